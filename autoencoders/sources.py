"""What a person names as images, a folder, a .zip, a .npy or an .npz file, becomes an array, uint8 (N, 64, 64, 3)."""

import os
import re
from contextlib import contextmanager, nullcontext

import numpy as np

from autoencoders.arrays import array_entries, npz_array
from autoencoders.cache import UNKNOWN, load_or_decode
from autoencoders.folders import folder_entries, list_folder, zip_entries
from autoencoders.pictures import SHAPE
from nnlite.serialization import map_npy, open_file, open_zip

WANTED = "a folder or .zip of pictures, or a .npy or .npz file of images"


def open_source(path, quiet):
    """(array, Origin) of the images in a folder or file. Raises as load_images does."""
    path = os.fspath(path)
    file, key = split_key(path)
    if not os.path.exists(file):
        raise FileNotFoundError(f"{file}: found no such file, wanted {WANTED}")
    if os.path.isdir(file):
        paths, notes = list_folder(file)
        array, origin = load_or_decode(path, paths, lambda: nullcontext((folder_entries(file, paths), [])), quiet)
        return array, origin._replace(notes=[*notes, *origin.notes])
    with open_file(file) as opened:
        start = opened.read(6)
    if start[:2] == b"PK":
        return load_or_decode(path, [file], lambda: _archive_entries(path, file, key), quiet)
    if start != b"\x93NUMPY":
        raise ValueError(f"{file}: found no .npy, .npz or .zip file, wanted {WANTED}")
    array = map_npy(file)
    if array.dtype == np.uint8 and array.shape[1:] == SHAPE and len(array):  # there is nothing to decode
        return array, UNKNOWN
    return load_or_decode(path, [file], lambda: nullcontext(array_entries(path, array)), quiet)


def split_key(path):
    """(file, the name of an array in it, or None) of FILE or FILE.npz:NAME."""
    found = re.fullmatch(r"(.+\.(?:npz|zip)):(.+)", os.fspath(path), re.IGNORECASE | re.DOTALL)
    return found.groups() if found and not os.path.exists(path) else (os.fspath(path), None)


@contextmanager
def _archive_entries(path, file, key):
    with open_zip(file) as archive:
        names = archive.namelist()
        if key is None and (not names or not all(name.endswith(".npy") for name in names)):
            yield zip_entries(archive)
        else:
            with npz_array(path, archive, key) as array:
                yield array_entries(path, array)
