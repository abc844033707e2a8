import errno
import io
import os
import threading
import time
import zipfile

import numpy as np
import pytest

from nnlite import Linear, Sequential, Tanh, load_weights, save_weights, serialization
from nnlite.serialization import replacing


@pytest.fixture
def model(rng):
    return Sequential(Linear(3, 2, rng=rng), Tanh())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.npz"


def npy(array, **settings):
    """The bytes of a .npy file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), **settings)
    return file.getvalue()


def write_npz(path, members, compression=zipfile.ZIP_STORED):
    """Write (name, bytes) pairs as a zip file."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)


WEIGHT, BIAS = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(2, np.float32)
RIGHT = [("0.weight.npy", npy(WEIGHT)), ("0.bias.npy", npy(BIAS))]


def test_weights_come_back_to_the_bit(path, model, rng):
    save_weights(path, model)
    other = Sequential(Linear(3, 2, rng=rng), Tanh())
    load_weights(path, other)
    assert all(np.array_equal(array, other.state_dict()[name]) for name, array in model.state_dict().items())


def test_the_file_is_an_npz_of_the_state(path, model):
    save_weights(path, model)
    with np.load(path, allow_pickle=False) as arrays:
        assert {name: array.shape for name, array in arrays.items()} == {"0.weight": (2, 3), "0.bias": (2,)}


def test_what_np_savez_wrote_is_read(path, model):
    np.savez_compressed(path, **{"0.weight": WEIGHT, "0.bias": BIAS})
    load_weights(path, model)
    assert np.array_equal(model[0].weight.data, WEIGHT) and np.array_equal(model[0].bias.data, BIAS)


@pytest.mark.parametrize(
    "stored",
    [np.asfortranarray(WEIGHT), WEIGHT.astype(">f4"), np.asfortranarray(WEIGHT.astype(">f8")), WEIGHT.astype("<i2")],
    ids=["Fortran order", "big-endian", "both, float64", "integers"],
)
def test_arrays_stored_another_way_are_read_right(path, model, stored):
    np.savez(path, **{"0.weight": stored, "0.bias": BIAS})
    load_weights(path, model)
    assert np.array_equal(model[0].weight.data, WEIGHT) and model[0].weight.data.dtype == np.float32


def test_a_write_that_fails_leaves_the_earlier_file_and_nothing_else(path, model, monkeypatch):
    save_weights(path, model)
    before = path.read_bytes()

    def half_written(file, *arguments, **settings):
        file.write(b"PK")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", half_written)
    with pytest.raises(OSError, match="No space left on device: .*weights.npz'$"):
        save_weights(path, model)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_an_error_of_a_library_that_names_no_file_names_it(path):
    with pytest.raises(OSError, match="weights.npz: encoder error -2"), replacing(path):
        raise OSError("encoder error -2")


def test_a_file_is_on_the_disk_before_it_takes_the_place_of_the_earlier_one(path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, call=call: calls.append(name) or call(*args))
    with replacing(path) as file:
        file.write(b"data")
    assert calls == ["fsync", "replace", "fsync"]  # the file, the name, the folder


def test_two_that_write_one_file_do_not_mix(path):
    with replacing(path) as first, replacing(path) as second:
        first.write(b"first")
        second.write(b"2nd")
    assert path.read_bytes() == b"first" and list(path.parent.iterdir()) == [path]


def test_a_reader_sees_whole_files_while_others_write(path, model):
    save_weights(path, model)
    ends = time.monotonic() + 1

    def write():
        while time.monotonic() < ends:
            save_weights(path, model)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    while time.monotonic() < ends:
        load_weights(path, model)
    for writer in writers:
        writer.join()
    assert list(path.parent.iterdir()) == [path]


def test_the_part_of_one_who_was_killed_is_deleted_and_that_of_one_who_writes_is_not(path, model):
    dead, busy, other = (path.with_name(f"weights.npz.{name}.part") for name in ("d" * 32, "b" * 32, "mine"))
    for part in (dead, busy, other):
        part.write_bytes(b"")
    for part in (dead, other):
        os.utime(part, (time.time() - serialization.ABANDONED - 1,) * 2)
    save_weights(path, model)
    assert set(path.parent.iterdir()) == {path, busy, other}


def test_weights_that_are_not_finite_are_not_saved(path, model):
    save_weights(path, model)
    before = path.read_bytes()
    model[0].bias.data[0] = np.nan
    with pytest.raises(ValueError, match="0.bias holds nan or inf"):
        save_weights(path, model)
    assert path.read_bytes() == before


HUGE = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }"


def forged(shape):
    """A .npy file whose header says `shape`, followed by data for WEIGHT."""
    header = (HUGE % (shape,)).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + WEIGHT.tobytes()


DAMAGE = {
    "an empty file": (b"", "found no intact .npz file of arrays"),
    "no zip file": (b"no weights", "found no intact .npz file of arrays"),
    "a pickle": (b"\x80\x04}\x94.", r"found no intact .npz file of arrays \(but a pickle as of torch.save"),
    "a .npy file": (npy(WEIGHT), "found no intact .npz file of arrays"),
    "objects": ([("0.weight.npy", npy(np.array([{}]))), RIGHT[1]], "0.weight is object, wanted float32"),
    "a pickle for an array": ([("0.weight.npy", b"\x80\x04}\x94."), RIGHT[1]], "found no intact .npz file of arrays"),
    "a forged shape": ([("0.weight.npy", forged("(10**12,)")), RIGHT[1]], "found no intact .npz"),
    "a terabyte": ([("0.weight.npy", forged((10**12,))), RIGHT[1]], r"0.weight has shape \(1000000000000,\), wanted"),
    "an overflowing shape": ([("0.weight.npy", forged((2**62, 2**62))), RIGHT[1]], r"0.weight has shape \(46116860"),
    "a negative shape": ([("0.weight.npy", forged((-2, -3))), RIGHT[1]], r"found shape \(-2, -3\), wanted no negative"),
    "a header of 4 GB": ([("0.weight.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"), RIGHT[1]], "found no intact .npz"),
    "a missing array": (RIGHT[:1], "missing 0.bias$"),
    "several faults": (
        [("0.weight.npy", npy(BIAS)), ("../../scale.npy", npy(BIAS))],
        r"missing 0.bias; unexpected ../../scale; 0.weight has shape \(2,\), wanted \(2, 3\)$",
    ),
    "a name twice": ([*RIGHT, RIGHT[0]], "found the name '0.weight', wanted printable ones, each once"),
    "a name for a terminal": ([*RIGHT, ("\x1b[2J.npy", npy(BIAS))], r"found the name '\\x1b\[2J'"),
    "too little data": ([("0.weight.npy", npy(WEIGHT)[:-1]), RIGHT[1]], "found '0.weight' shorter or longer than"),
    "too much data": ([("0.weight.npy", npy(WEIGHT) + b"\0"), RIGHT[1]], "found '0.weight' shorter or longer than"),
    "nan": ([("0.weight.npy", npy(WEIGHT * np.nan)), RIGHT[1]], "0.weight holds nan or inf"),
    "inf": ([("0.weight.npy", npy(WEIGHT.astype(float) * 1e99)), RIGHT[1]], "0.weight holds nan or inf"),
    "complex numbers": ([("0.weight.npy", npy(WEIGHT * 1j)), RIGHT[1]], "0.weight is complex64, wanted float32"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", DAMAGE)
def test_what_is_no_file_of_the_models_weights_is_named_and_the_model_unchanged(path, model, case):
    content, message = DAMAGE[case]
    path.write_bytes(content) if isinstance(content, bytes) else write_npz(path, content)
    before = model.state_dict()
    with pytest.raises(ValueError, match=f"weights.npz: .*{message}"):
        load_weights(path, model)
    assert all(np.array_equal(array, model.state_dict()[name]) for name, array in before.items())


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(path, model, kept):
    save_weights(path, model)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(ValueError, match="weights.npz: found no intact .npz file of arrays"):
        load_weights(path, model)


def test_a_flipped_bit_anywhere_in_the_data_is_noticed(path, rng):
    model = Sequential(Linear(100, 100, rng=rng))
    save_weights(path, model)
    valid = path.read_bytes()
    for value in (model[0].weight.data[0, 0], model[0].weight.data[-1, -1], model[0].bias.data[-1]):
        data = bytearray(valid)
        data[data.index(value.tobytes())] ^= 1
        path.write_bytes(data)
        with pytest.raises(ValueError, match="Bad CRC-32 for file"):
            load_weights(path, model)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_expand_without_bounds_are_refused(path, model, compression):
    write_npz(path, RIGHT, compression)
    with pytest.raises(ValueError, match=f"in compression {compression}, wanted none or deflate"):
        load_weights(path, model)


def test_of_a_zip_bomb_no_more_is_expanded_than_is_wanted(path, model, monkeypatch):
    write_npz(path, [("0.weight.npy", npy(WEIGHT) + bytes(10**8)), RIGHT[1]], zipfile.ZIP_DEFLATED)
    expanded, read = [], zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda self, n: expanded.append(n) or read(self, n))
    with pytest.raises(ValueError, match="found '0.weight' shorter or longer than its header says"):
        load_weights(path, model)
    assert path.stat().st_size < 10**6 and sum(expanded) < 10**5


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="wants a pipe with a name")
def test_a_directory_that_is_said_to_be_huge_is_not_read(path, model):
    write_npz(path, RIGHT)
    end = path.read_bytes()[-22:]  # which holds the size of the directory and where it begins
    size = 400 * 2**20
    with open(path, "wb") as file:
        file.seek(size)  # without a byte on the disk
        file.write(end[:12] + size.to_bytes(4, "little") + bytes(4) + end[20:])
    with pytest.raises(ValueError, match="weights.npz: found 419,430,400 bytes to be read at once"):
        load_weights(path, model)


@pytest.mark.parametrize("fault", [MemoryError(), OSError(errno.EIO, "Input/output error")])
def test_a_fault_of_the_machine_is_not_taken_for_one_of_the_file(path, model, monkeypatch, fault):
    def failing(*arguments):
        raise fault

    save_weights(path, model)
    monkeypatch.setattr(serialization.Npz, "_array", failing)
    with pytest.raises(type(fault)):
        load_weights(path, model)


def test_a_pipe_is_not_waited_for(path, model):
    os.mkfifo(path)
    with pytest.raises(OSError, match="weights.npz: found a folder, pipe or device, wanted a file"):
        load_weights(path, model)


def test_a_missing_file_is_named(path, model):
    with pytest.raises(FileNotFoundError, match="weights.npz"):
        load_weights(path, model)
