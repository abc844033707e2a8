"""Arrays on disk: .npz files under PyTorch's names, without pickle, written whole or not at all, read with distrust.

A file may come from anywhere, and a process may be killed at any instant. So what is written takes the place of an
earlier file only when it is complete and on the disk; and of what is read, names, shapes and dtypes are compared with
those wanted before any memory is taken for the data.
"""

import contextlib
import errno
import glob
import io
import math
import os
import stat
import time
import uuid
import zipfile
from typing import NamedTuple

import numpy as np

from nnlite.states import TO_ARRAYS, Mismatch, cast, mismatches, not_finite, require

ABANDONED = 600  # seconds without a write after which a .part file is taken for that of a process that was killed
MAX_HEADER = 10_000  # bytes of a .npy header that NumPy is given to parse
MAX_TEXT = 2**24  # bytes, also of the directory of an .npz file
TEMPORARY = (errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ESTALE)


@contextlib.contextmanager
def replacing(path):
    """Open a file for writing bytes that takes the place of `path` when the block ends without an exception.

    Whenever the process is killed, `path` is the earlier file or the whole new one. Raises OSError that names `path`.
    """
    delete_abandoned(path)
    part = f"{path}.{uuid.uuid4().hex}.part"  # in the same folder, and another one for whoever writes the same file
    try:
        with open(part, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a crash of the machine could leave the new name without its bytes
        os.replace(part, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(part)
        if isinstance(error, OSError) and error.filename in (None, part):
            said = (error.errno, error.strerror, os.fspath(path)) if error.errno else (f"{path}: {error}",)
            raise OSError(*said) from None
        raise
    _sync_folder(os.path.dirname(os.path.abspath(path)))


def delete_abandoned(prefix):
    """Delete what those who were killed left of the files whose paths begin with `prefix`."""
    for part in glob.glob(f"{glob.escape(os.fspath(prefix))}*.{'[0-9a-f]' * 32}.part"):
        with contextlib.suppress(OSError):  # another process may delete it first
            if time.time() - os.stat(part).st_mtime > ABANDONED:
                os.unlink(part)


def _sync_folder(folder):
    if os.name == "posix":  # elsewhere, folders cannot be opened
        with contextlib.suppress(OSError):  # nor everywhere be synchronised; the file is in its place
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def save_weights(path, model):
    """Write the model's state_dict() to `path`. An earlier file there stays as it is until the new one is complete.

    Raises OSError if it cannot be written, and ValueError if a weight is nan or inf, which load_weights would refuse.
    """
    save_arrays(path, {name: parameter.data for name, parameter in model.named_parameters()})


def load_weights(path, model):
    """Read what save_weights, or np.savez of a PyTorch state dict, wrote into `model`.

    Takes the memory of a second model, and for a moment of its largest array. Raises OSError if `path` cannot be
    read, and ValueError, with the model unchanged, if it is damaged, holds nan or inf, or does not fit the model; it
    names every missing, unexpected and mismatched array, and tells how to load what other libraries have written.
    """
    with open_npz(path) as npz:
        model.load_state_dict(npz.read({name: parameter.data for name, parameter in model.named_parameters()}))


def save_arrays(path, arrays):
    """Write {name: array} as an .npz file. Raises as save_weights."""
    require(not_finite(arrays))
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), version=(1, 0), allow_pickle=False)


@contextlib.contextmanager
def open_npz(path):
    """The Npz of a file. Whatever the block finds wrong with it is a ValueError that names it."""
    with open_file(path) as file:
        try:
            yield Npz(_Bounded(file))
        except Mismatch as error:
            raise ValueError(f"{path}: {error}") from None
        except Exception as error:  # damaged bytes raise almost anything in zipfile, zlib and NumPy's header parser
            if is_temporary(error):
                raise
            raise ValueError(f"{path}: found no intact .npz file of arrays ({_foreign(file) or error})") from None


def _foreign(file):
    """What a file of another library is, and the line that makes an .npz file of it; None if it is of no such."""
    file.seek(0)
    start = file.read(200)
    if start[:1] == b"\x80" or b"/data.pkl" in start:
        tensors = TO_ARRAYS.replace("state", "torch.load(FILE, map_location='cpu')")
        return f"but a pickle as of torch.save: numpy.savez(NEW, **{tensors}) makes one of it"
    if start[4:10] == b'\0\0\0\0{"':  # behind its length
        return "but a safetensors file: numpy.savez(NEW, **safetensors.numpy.load_file(FILE)) makes one of it"


def open_file(path):
    """open(path, "rb"), but of a file alone: to open a pipe is to wait for one who writes to it."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(f"{path}: found a folder, pipe or device, wanted a file")
    return open(path, "rb")


def map_npy(path):
    """The array of a .npy file, mapped and not read. Raises ValueError, naming the file, if it is none of numbers."""
    with open_file(path) as file:
        try:
            return map_array(file)
        except Exception as error:  # a damaged header raises almost anything: it is parsed as Python
            raise ValueError(f"{path}: found no complete array of numbers, wanted a .npy file ({error})") from None


def whole(array):
    """`array`. Raises OSError if the file to which it is mapped was cut short: to read on would end the process."""
    mapped = array
    while isinstance(mapped.base, np.ndarray):
        mapped = mapped.base  # of which it is a view
    is_mapped = isinstance(mapped, np.memmap) and mapped.base is not None  # and not a copy
    if is_mapped and mapped.base.size() < mapped.offset + mapped.nbytes:
        raise OSError(errno.ESTALE, "found it cut short while it was in use", mapped.filename)
    return array


def map_array(file):
    """The array of the .npy file that `file` is at the beginning of, mapped."""
    header = read_header(file)
    if header.dtype.hasobject:
        raise ValueError("found Python objects")
    if header.file_size > os.fstat(file.fileno()).st_size:
        raise ValueError("found less data than its header says")
    order = "F" if header.fortran_order else "C"
    if 0 in header.shape:  # of which there is nothing to map
        return np.empty(header.shape, header.dtype, order)
    return np.memmap(file, header.dtype, "r", header.size, header.shape, order)


@contextlib.contextmanager
def open_zip(path):
    """The ZipFile of a path. Raises ValueError, naming it, if it is none."""
    with open_file(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except Exception as error:  # damaged bytes raise almost anything in zipfile
            if is_temporary(error):
                raise
            raise ValueError(f"{path}: found no intact .zip or .npz file ({error})") from None
        with archive:
            yield archive


def is_temporary(error):
    """Whether an exception speaks of the machine at this moment, and not of the file that was read."""
    return isinstance(error, MemoryError) or getattr(error, "errno", None) in TEMPORARY


class _Bounded:
    """A file, but of no more bytes at a time than MAX_TEXT: zipfile reads as many as the file's last bytes tell it."""

    def __init__(self, file):
        self._file = file

    def __getattr__(self, name):
        return getattr(self._file, name)

    def read(self, size=-1):
        if size > MAX_TEXT:
            raise Mismatch(f"found {size:,} bytes to be read at once, wanted at most {MAX_TEXT:,}")
        return self._file.read(size)


class Npz:
    """The arrays of an open .npz file. None is read before its header has been compared with what is wanted."""

    def __init__(self, file):
        self._archive = zipfile.ZipFile(file)
        self._headers = {}
        for member in self._archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name in self._headers or not name.isprintable():
                raise Mismatch(f"found the name {name!r}, wanted printable ones, each once")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # those read in bounded pieces
                raise Mismatch(f"found {name!r} in compression {member.compress_type}, wanted none or deflate")
            with self._archive.open(member) as data:
                self._headers[name] = read_header(data)

    def read(self, wanted):
        """{name: array}, with the names, shapes and dtypes of the arrays `wanted`."""
        require(mismatches(self._headers, wanted))
        return cast(self._array, wanted)

    def pop_text(self, name):
        """Take a text, an array of at most MAX_TEXT bytes, out of the arrays that read() compares with those wanted."""
        header = self._headers.get(name)
        if header is None or header.dtype != np.uint8 or header.file_size > MAX_TEXT:
            raise Mismatch(f"found no text named {name!r}")
        text = self._array(name).tobytes().decode()
        del self._headers[name]
        return text

    def _array(self, name):
        member = self._archive.getinfo(f"{name}.npy")
        if member.file_size != self._headers[name].file_size:  # of which zipfile expands no more
            raise Mismatch(f"found {name!r} shorter or longer than its header says")
        with self._archive.open(member) as data:
            return np.lib.format.read_array(data, allow_pickle=False)


class Header(NamedTuple):
    """What the header of a .npy file says of its array, and how many bytes the header and both take."""

    dtype: np.dtype
    shape: tuple
    fortran_order: bool
    size: int
    file_size: int


def read_header(file):
    """The Header of the .npy file that `file` is at the beginning of. Raises ValueError if there is none."""
    start = io.BytesIO(file.read(MAX_HEADER))  # a forged header may say that it is 4 GB long
    version = np.lib.format.read_magic(start)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"found .npy version {version}, wanted 1.0 or 2.0")
    try:
        shape, fortran_order, dtype = readers[version](start)
    except MemoryError:  # of Python's parser, if the header nests too deep
        raise ValueError("found no .npy header") from None
    if min(shape, default=0) < 0:
        raise ValueError(f"found shape {shape}, wanted no negative number")
    size = start.tell()
    return Header(dtype, shape, fortran_order, size, size + math.prod(shape) * dtype.itemsize)
