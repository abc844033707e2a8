"""States of other people: what is said of each names what it is, and the line that it gives makes it loadable."""

import json
import re
import zipfile

import numpy as np
import pytest

from nnlite import Linear, load_weights


@pytest.fixture
def layer(rng):
    return Linear(2, 3, rng=rng)


@pytest.fixture
def state(rng):
    return {"weight": rng.standard_normal((3, 2), np.float32), "bias": rng.standard_normal(3, np.float32)}


def is_loaded(layer, state):
    layer.load_state_dict(state)
    return all(np.array_equal(array, state[name]) for name, array in layer.state_dict().items())


def refused(layer, state):
    """What is said of a state that is refused; the layer keeps its own."""
    before = layer.state_dict()
    with pytest.raises(ValueError, match="^state_dict does not fit Linear: ") as error:
        layer.load_state_dict(state)
    assert all(np.array_equal(array, before[name]) for name, array in layer.state_dict().items())
    return str(error.value).removeprefix("state_dict does not fit Linear: ")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "model."])
@pytest.mark.parametrize("more", [{}, {"n_averaged": np.array(7)}], ids=["alone", "beside another"])
def test_a_prefix_of_every_name_is_told_and_the_line_takes_it_away(layer, state, prefix, more):
    wrapped = {prefix + name: array for name, array in state.items()} | more
    said = refused(layer, wrapped)
    assert said.startswith(f"the names wanted stand behind {prefix!r} (of a file, state = numpy.load(FILE)); load {{")
    renamed = eval(said.partition("; load ")[2], {"state": wrapped})
    assert is_loaded(layer, renamed)


def test_a_prefix_in_a_file_is_told_too(layer, state, tmp_path):
    np.savez(tmp_path / "w.npz", **{f"module.{name}": array for name, array in state.items()})
    with pytest.raises(ValueError, match=r"w.npz: the names wanted stand behind 'module.' .*; load \{.*\}$") as error:
        load_weights(tmp_path / "w.npz", layer)
    with np.load(tmp_path / "w.npz") as loaded:
        assert is_loaded(layer, eval(str(error.value).partition("; load ")[2], {"state": loaded}))


def test_of_several_prefixes_none_is_recommended(layer, state):
    both = {f"{who}.{name}": array for who in ("teacher", "student") for name, array in state.items()}
    assert refused(layer, both).startswith("missing weight; missing bias; unexpected teacher.weight")
    assert refused(layer, both | state).startswith("unexpected teacher.weight")


def test_a_prefix_ends_with_a_dot(layer, state):
    wrong = {f"1{name}": array for name, array in state.items()}
    assert refused(layer, wrong) == "missing weight; missing bias; unexpected 1weight; unexpected 1bias"


def test_a_state_within_a_checkpoint_is_pointed_out(layer, state):
    said = refused(layer, {"epoch": 3, "optimizer": {}, "model": state})
    assert said == "found dicts, 'optimizer', 'model'; is one of them the state, as state['model']?"


@pytest.mark.parametrize("no_state", [None, [1, 2], "w.npz"], ids=str)
def test_what_is_no_state_is_refused(layer, no_state):
    said = refused(layer, no_state)
    assert said == f"found {type(no_state).__name__}, wanted {{name: array}}, as of state_dict()"


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, bool])
def test_numbers_of_one_byte_are_taken_for_quantized(layer, state, dtype):
    said = refused(layer, state | {"weight": np.ones((3, 2), dtype)})
    assert said == f"weight is {np.dtype(dtype)}, wanted float32: if quantized, array.astype('f4') * scale"


def test_the_bytes_of_bfloat16_are_named(layer, state, tmp_path):
    np.savez(tmp_path / "w.npz", **state | {"weight": np.zeros((3, 2), "V2")})
    with pytest.raises(
        ValueError, match=r"weight is \|V2, wanted float32: if bfloat16, save tensor.float\(\).numpy\(\)"
    ):
        load_weights(tmp_path / "w.npz", layer)


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e300])
def test_what_load_weights_would_refuse_is_refused(layer, state, number):
    weight = state["weight"].astype(np.float64)
    weight[2, 1] = number
    assert refused(layer, state | {"weight": weight}) == "weight holds nan or inf"


class OnAnotherDevice:
    def __array__(self, *given, **named):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


def test_a_tensor_that_numpy_cannot_read_is_told_with_the_line_that_makes_arrays(layer, state):
    said = refused(layer, state | {"weight": OnAnotherDevice()})
    assert said.startswith(
        "weight is no array (can't convert cuda:0 device type tensor to numpy); of PyTorch's tensors"
    )
    assert said.endswith("load {name: tensor.detach().float().cpu().numpy() for name, tensor in state.items()}")


def a_zip_as_torch_writes(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")


def a_pickle_as_torch_wrote(path):
    path.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")


def safetensors(path):
    header = json.dumps({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


@pytest.mark.parametrize(
    "write, said",
    [
        (a_zip_as_torch_writes, "a pickle as of torch.save: numpy.savez(NEW, **{name: "),
        (a_pickle_as_torch_wrote, "a pickle as of torch.save: numpy.savez(NEW, **{name: "),
        (safetensors, "a safetensors file: numpy.savez(NEW, **safetensors.numpy.load_file(FILE)) makes one of it"),
    ],
)
def test_files_of_other_libraries_are_named_with_the_line_that_makes_an_npz_file(layer, tmp_path, write, said):
    write(tmp_path / "w.pt")
    with pytest.raises(ValueError, match=re.escape(f"w.pt: found no intact .npz file of arrays (but {said}")):
        load_weights(tmp_path / "w.pt", layer)
