"""A picture of any format and size as an image: its central square, upright, on white, 64 x 64."""

import contextlib
import functools
import io
import math
import re
import threading
import warnings
import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.Image import Resampling, Transpose

from autoencoders.values import prepare, read_values

SHAPE = (64, 64, 3)
FORMATS = {  # Pillow's names of what is opened, and the suffixes; none of them can name a file or run a program
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "PNG": {".png", ".apng"},
    "WEBP": {".webp"},
    "BMP": {".bmp"},
    "GIF": {".gif"},
    "TIFF": {".tif", ".tiff"},
    "PPM": {".pbm", ".pgm", ".ppm", ".pnm", ".pfm"},
    "AVIF": {".avif"},
    "JPEG2000": {".jp2", ".j2k", ".jpx", ".jpf"},
    "HEIF": {".heic", ".heif", ".hif"},
}
JPEGS = ("JPEG", "MPO")
SIDE = 4 * SHAPE[0]  # a JPEG is reduced while it is decoded, to no less than this width and height,
FINER_SIDE = 6 * SHAPE[0]  # or than this
LARGE = 2**24  # pixels above which a picture is averaged
ENOUGH = 2**22  # to at most so many before it is converted
MEMORY = 2**29  # bytes that decoding one picture may take
AVERAGING = {"1": 2, "L": 2, "RGB": 5, "CMYK": 5, "YCbCr": 5, "LAB": 5, "I": 5, "F": 5, "I;16": 8, "I;16B": 8}
# bytes a pixel of each mode, with what it becomes on the way to fewer; of the others 9
DECODING = {"TIFF": 1, "JPEG2000": 15, "WEBP": 11, "AVIF": 5, "HEIF": 3}  # and of these decoders besides

_ORIENTATION, _TILE_WIDTH, _TILE_HEIGHT, _XMP = 274, 322, 323, 700  # tags of Exif and TIFF
_XMP_ORIENTATION = rb"tiff:Orientation(?:\s*=\s*[\"']|>)\s*([1-8])"
_TURNS = {  # what makes a picture of an orientation upright
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_large = threading.Lock()  # of pictures that take much memory, one is decoded at a time


class Decoded(NamedTuple):
    image: np.ndarray  # uint8 (64, 64, 3)
    was: str  # the picture's format, mode, size, and the range of its values if they had more than 8 bits


def decode_picture(file):
    """The Decoded of a picture in a file that is open for reading.

    Raises UnidentifiedImageError if it is of no format that is here; ValueError, OSError or another exception of
    Pillow's if it is damaged, transparent all over, or would take more than MEMORY.
    """
    try:
        return _decode(file)
    except ValueError as error:
        if not re.search("decompressed data|text chunks", str(error), re.IGNORECASE):
            raise
        return _decode(_without_text(file))  # more than 1 MiB of it, compressed, makes Pillow refuse a PNG


def _decode(file):
    with Image.open(file, formats=formats()) as picture:
        was = f"{picture.format} {picture.mode} {picture.width} x {picture.height}"
        needed = _coefficients(picture)
        width, height = _reduce(picture)
        bytes_a_pixel = AVERAGING.get(picture.mode, 9) + DECODING.get(picture.format, 0)
        needed += bytes_a_pixel * max(picture.width * picture.height, _tile_pixels(picture))
        if needed > MEMORY:
            raise ValueError(f"{was}: takes {needed >> 20:,} MiB of memory to decode, may take {MEMORY >> 20:,}")
        step = math.ceil(math.sqrt(width * height / ENOUGH)) if width * height > LARGE else 1
        with _large if needed > MEMORY / 8 else contextlib.nullcontext():
            turn = _load_and_turn(picture)
            rgb, alpha, extrema = read_values(picture, step)
        square = _central_square(width / step, height / step)
        rgb = _on_white(rgb, alpha, square, picture.format)
    small = rgb.resize(SHAPE[:2], Resampling.HAMMING, square)
    return Decoded(np.asarray(small if turn is None else small.transpose(turn)), was + extrema)


def fit(picture):
    """uint8 (64, 64, 3): the central square of a Pillow image in RGB or grey, resized by a Hamming filter.

    That filter averages, where sharper ones, such as Lanczos, overshoot at edges and would be clipped.
    """
    square = _central_square(*picture.size)
    return np.asarray(picture.resize(SHAPE[:2], Resampling.HAMMING, square).convert("RGB"))


def _central_square(width, height):
    """(left, top, right, bottom); of a reduced picture, whose last column and row are parts, in fractions of pixels."""
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


@functools.cache
def formats():
    """Those of FORMATS that are here: AVIF comes with Pillow 11.3, HEIF with pillow-heif."""
    Image.init()
    with contextlib.suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return [name for name in FORMATS if name in Image.OPEN]


@contextlib.contextmanager
def limited_by_memory():
    """In this block a picture may have as many pixels as MEMORY allows, and Pillow's warnings, which do not name the
    picture, are not shown. Both hold for the whole process."""
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _coefficients(picture):
    """Bytes of a JPEG's coefficients, which are all kept unless one scan of the file holds all there is of a block."""
    if picture.format not in JPEGS:
        return 0
    sampling = [(horizontal, vertical) for _, horizontal, vertical, _ in picture.layer]
    end, length = picture.fp.tell(), 6 + 2 * len(sampling)
    picture.fp.seek(max(0, end - length - 2))
    is_interleaved = picture.fp.read(5) == bytes([0xFF, 0xDA, 0, length, len(sampling)])  # the header of a scan of all
    picture.fp.seek(end)
    if is_interleaved and "progressive" not in picture.info:
        return 0
    horizontal, vertical = np.max(sampling, axis=0).clip(1)
    samples = sum(h * v for h, v in sampling) / (horizontal * vertical)  # of a pixel
    return int(2 * samples * picture.width * picture.height)


def _reduce(picture):
    """Have a JPEG decoded at a half, a quarter or an eighth of its size. Returns (width, height), with fractions.

    Where a last block of 8 x 8 is a part, that reduced far would be seen at the edge.
    """
    side = FINER_SIDE if any(length % 8 for length in picture.size) else SIDE
    if picture.format in JPEGS and min(picture.size) >= 2 * side:
        _, (_, _, width, height) = picture.draft(None, (side, side))
        return width, height
    return picture.size


def _tile_pixels(picture):
    """Pixels of a tile of a TIFF, which may be larger than the picture."""
    tags = getattr(picture, "tag_v2", {})
    return tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_HEIGHT, 0)


def _load_and_turn(picture):
    """Decode the picture. Returns the Transpose that makes it upright, or None.

    Of Exif the orientation alone is read, for the rest may be damaged; XMP's counts where Exif has none.
    """
    tags = getattr(picture, "tag_v2", {})
    xmp = [picture.info.pop(key, None) for key in ("xmp", "XML:com.adobe.xmp")]  # so that Pillow turns by none of them
    xmp += [tags.get(_XMP), *(data for _, data in getattr(picture, "applist", ()))]  # where Pillow before 11 has it
    has_tag = _ORIENTATION in tags  # by that of a TIFF Pillow has turned it when it is loaded
    prepare(picture)
    picture.load()
    with contextlib.suppress(Exception):
        orientation = picture.getexif().get(_ORIENTATION)
        if isinstance(orientation, bytes):  # of another type than usual
            orientation = orientation[0]
        if orientation is not None or has_tag:
            return _TURNS.get(orientation)
    for text in xmp:
        text = text.encode() if isinstance(text, str) else text
        if isinstance(text, bytes) and (found := re.search(_XMP_ORIENTATION, text)):
            return _TURNS.get(int(found[1]))
    return None


def _on_white(rgb, alpha, square, format):
    if alpha is None or (format == "BMP" and alpha.getextrema() == (0, 0)):  # for Windows, that is a byte not in use
        return rgb
    left, top, right, bottom = square
    if alpha.crop((int(left), int(top), math.ceil(right), math.ceil(bottom))).getextrema() == (0, 0):
        raise ValueError("transparent all over")
    return Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)


def _without_text(file):
    """A PNG, as a file, less its text but XMP, and less a colour profile of more than 1 MiB."""
    file.seek(0)
    data = file.read()
    kept, start = [data[:8]], 8
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")  # length, name, data, checksum
        name, content = data[start + 4 : start + 8], data[start + 8 : end - 4]
        if name == b"iTXt":
            is_needed = content.startswith(b"XML:com.adobe.xmp\0\0")  # not compressed
        elif name == b"iCCP":
            is_needed = _expands_within(2**20, content[content.find(b"\0") + 2 :])
        else:
            is_needed = name not in (b"tEXt", b"zTXt")
        if is_needed:
            kept.append(data[start:end])
        start = end
    return io.BytesIO(b"".join(kept))


def _expands_within(limit, compressed):
    try:
        return len(zlib.decompressobj().decompress(compressed, limit + 1)) <= limit
    except zlib.error:
        return False
