import os

import numpy as np
import pytest

from nnlite import Linear, Sequential, Tanh, load_weights, save_weights
from nnlite.serialization import replacing


@pytest.fixture
def model(rng):
    return Sequential(Linear(3, 2, rng=rng), Tanh())


def test_weights_come_back_to_the_bit(tmp_path, model, rng):
    save_weights(tmp_path / "weights.npz", model)
    other = Sequential(Linear(3, 2, rng=rng), Tanh())
    load_weights(tmp_path / "weights.npz", other)
    assert all(np.array_equal(array, other.state_dict()[name]) for name, array in model.state_dict().items())


def test_the_file_is_an_npz_of_the_state(tmp_path, model):
    save_weights(tmp_path / "weights.npz", model)
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as arrays:
        assert {name: array.shape for name, array in arrays.items()} == {"0.weight": (2, 3), "0.bias": (2,)}


def test_a_write_that_fails_leaves_the_earlier_file_and_nothing_else(tmp_path, model, monkeypatch):
    path = tmp_path / "weights.npz"
    save_weights(path, model)
    before = path.read_bytes()

    def half_written(file, **state):
        file.write(b"PK")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", half_written)
    with pytest.raises(OSError, match="disk full"):
        save_weights(path, model)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_two_processes_that_write_one_file_do_not_mix(tmp_path, monkeypatch):
    with replacing(tmp_path / "a") as first:
        first.write(b"first")
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with replacing(tmp_path / "a") as second:
            second.write(b"2nd")
    assert (tmp_path / "a").read_bytes() == b"first" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"no weights"])
def test_a_damaged_file_is_named_and_the_model_unchanged(tmp_path, model, damage):
    path = tmp_path / "weights.npz"
    save_weights(path, model)
    path.write_bytes(damage(path.read_bytes()))
    before = model.state_dict()
    with pytest.raises(ValueError, match="weights.npz: .*found no weights, wanted an .npz"):
        load_weights(path, model)
    assert all(np.array_equal(array, model.state_dict()[name]) for name, array in before.items())


def test_pickled_objects_are_refused(tmp_path, model):
    np.savez(tmp_path / "weights.npz", **{"0.weight": np.array([{}]), "0.bias": np.zeros(2)})
    with pytest.raises(ValueError, match="weights.npz"):
        load_weights(tmp_path / "weights.npz", model)
