"""Images in a .npy or .npz file, of any size, layout and range of values, each as an entry to be read.

No pickle in them is ever opened.
"""

import contextlib
import functools
import shutil
import tempfile

import numpy as np
from PIL import Image

from autoencoders.cache import Entry, cache_folder, printable
from autoencoders.folders import COMPRESSIONS
from autoencoders.pictures import SHAPE, Decoded, fit
from autoencoders.values import to_levels, value_range
from nnlite.serialization import is_temporary, map_array, read_header, whole

SMALLEST = 8  # height and width
LARGEST = 2**22  # height times width
BLOCK = 2**24  # bytes that are looked at together
WANTED = "images: numbers, (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W), from 8 x 8 to 2048 x 2048"


@contextlib.contextmanager
def npz_array(path, archive, key):
    """The one array of images in an open ZipFile, or that named `key`; its file is gone when the block ends.

    path: what errors call it. Raises ValueError, which names the arrays, if none fits, or several.
    """
    headers = {}
    for member in archive.infolist():
        with contextlib.suppress(Exception), archive.open(member) as data:  # what is damaged is no array
            header = read_header(data)
            is_bounded = member.compress_type in COMPRESSIONS and member.file_size == header.file_size
            if is_bounded or header.dtype.hasobject:  # of which no more than the header is read
                headers[member.filename.removesuffix(".npy")] = header
    if key is not None:
        if key not in headers:
            raise ValueError(f"{path}: found no array of this name, wanted one of: {_listed(headers)}")
        headers = {key: headers[key]}
    fitting = [name for name, header in headers.items() if _layout(header)]
    if len(fitting) != 1:
        wanted = f"one of them, as in {path}:{printable(fitting[0])}" if fitting else WANTED
        raise ValueError(f"{path}: found {_listed(headers)}; wanted {wanted}")
    with tempfile.TemporaryFile(dir=cache_folder()) as file:
        try:
            with archive.open(f"{fitting[0]}.npy") as data:
                shutil.copyfileobj(data, file, BLOCK)
            file.seek(0)
            array = map_array(file)
        except Exception as error:  # damaged bytes raise almost anything in zipfile and zlib
            if is_temporary(error):
                raise
            raise ValueError(f"{path}: found no complete array of numbers ({error})") from None
        yield array


def _listed(headers):
    return ", ".join(f"{printable(name)} {header.dtype} {header.shape}" for name, header in headers.items()) or "none"


def _layout(array):
    """(channels, whether they come before height and width) of an array or a Header of images; None of another."""
    match array.shape:
        case (_, height, width):
            channels, is_first = 1, False
        case (_, height, width, (1 | 3) as channels):
            is_first = False
        case (_, (1 | 3) as channels, height, width):
            is_first = True
        case _:
            return None
    fits = array.shape[0] > 0 and min(height, width) >= SMALLEST and height * width <= LARGEST
    return (channels, is_first) if fits and array.dtype.kind in "uif" else None


def array_entries(name, array):
    """(an Entry for each image, notes: how the values were understood)."""
    layout = _layout(array)
    if layout is None:
        raise ValueError(f"{name}: found {array.dtype} {array.shape}, wanted {WANTED}")
    channels, is_first = layout
    images = np.moveaxis(array, 1, -1) if is_first else array if array.ndim == 4 else array[..., None]  # (N, H, W, C)
    try:
        limits = (0, 255) if array.dtype == np.uint8 else value_range(*_extremes(images), array.dtype)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    height, width = images.shape[1:3]
    steps = {
        "scaled to 0..255": limits != (0, 255),
        "rounded": limits == (0, 255) and array.dtype.kind == "f",
        "cropped": height != width,
        "resized": min(height, width) != SHAPE[0],
    }
    done = ", ".join(step for step, is_taken in steps.items() if is_taken) or "as they are"
    order = ", channel-first" if is_first else ""
    colours = "grey" if channels == 1 else "colour"
    note = f"{array.dtype} in {limits[0]}..{limits[1]}, {colours}{order}, {height} x {width}: {done}"
    read = functools.partial(_read_row, images, limits)
    return [Entry(f"image {row}", functools.partial(read, row)) for row in range(len(images))], [note]


def _extremes(images):
    """(lowest, highest), nan if there is one."""
    rows = max(1, BLOCK // images[0].nbytes)
    blocks = (whole(images)[start : start + rows] for start in range(0, len(images), rows))
    extremes = [(block.min(), block.max()) for block in blocks]
    return np.min(extremes), np.max(extremes)


def _read_row(images, limits, row):
    values = whole(images)[row]  # (H, W, C)
    height, width, channels = values.shape
    levels = np.ascontiguousarray(values) if values.dtype == np.uint8 else to_levels(values, limits)
    picture = Image.fromarray(levels[..., 0] if channels == 1 else levels)
    return Decoded(fit(picture), f"{values.dtype} {width} x {height}, {values.min():.5g}..{values.max():.5g}")
