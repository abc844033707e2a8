"""A picture of any size and kind as an image: upright, in sRGB, on white, its values as they were meant.

docs/pictures.md lists the formats, and what becomes of each kind of value.
"""

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
from PIL import Image, ImageCms
from PIL.Image import Resampling, Transpose

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
DECODING = {"JPEG2000": 24, "WEBP": 12, "AVIF": 12, "HEIF": 12}  # bytes a pixel that a decoder takes; the others 8
HALF = 0.5 / 255  # half a grey level, if white is 1: so far beyond a range rounding may lead

_BITS, _PHOTOMETRIC, _ORIENTATION, _PLANES, _TILE_WIDTH, _TILE_HEIGHT = 258, 262, 274, 284, 322, 323  # tags of TIFF
_SAMPLE_FORMAT, _XMP = 339, 700
_WHITE_IS_ZERO, _SIGNED = 0, (2,)
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
_SPACES = {  # of a profile: the mode that it converts from, and the modes of pictures that it may belong to
    "GRAY": ("L", {"1", "L", "LA"}),
    "RGB": ("RGB", {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr"}),
    "CMYK": ("CMYK", {"CMYK"}),
    "Lab": ("LAB", {"LAB"}),
}
_AS_DEFINED = 0x100  # NOOPTIMIZE of LittleCMS, whose faster table is up to 10 grey levels off in grey and LAB
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
        needed += DECODING.get(picture.format, 8) * max(picture.width * picture.height, _tile_pixels(picture))
        if needed > MEMORY:
            raise ValueError(f"{was}: takes {needed >> 20:,} MiB of memory to decode, may take {MEMORY >> 20:,}")
        step = math.ceil(math.sqrt(width * height / ENOUGH)) if width * height > LARGE else 1
        with _large if needed > MEMORY / 8 else contextlib.nullcontext():
            turn = _load_and_turn(picture)
            colours, alpha, extrema = _planes(picture, step)
        square = _central_square(width / step, height / step)
        rgb = _on_white(_in_srgb(colours, picture.info.get("icc_profile")), alpha, square, picture.format)
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


def value_range(lowest, highest, dtype):
    """The range, such as (0, 1), that values from `lowest` to `highest` are of.

    Floats are of 0..1, -1..1 or 0..255, integers of 0..255 or 0..65535. Raises ValueError if they go beyond all of
    these, or leave so much of one unused, such as 0..10 of 0..255, that it is likely another.
    """
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise ValueError(f"found nan or inf among {dtype}, wanted finite numbers")
    if np.issubdtype(dtype, np.floating):
        if -HALF <= lowest and highest <= 1 + HALF:
            return 0, 1
        if -1 - 2 * HALF <= lowest <= -0.5 and highest <= 1 + 2 * HALF:
            return -1, 1
        if -255 * HALF <= lowest and 255 / 8 <= highest <= 255 + 255 * HALF:
            return 0, 255
        ranges = "0..1, -1..1 and 0..255"
    else:
        for largest in (255, 65535):
            if 0 <= lowest and largest / 8 <= highest <= largest:
                return 0, largest
        ranges = "0..255 and 0..65535"
    raise ValueError(f"found {dtype} from {lowest:.5g} to {highest:.5g}, wanted numbers that fill one of {ranges}")


def to_levels(values, limits):
    """Values between the limits (black, white) -> uint8, 0..255, rounded; what lies outside is clipped."""
    black, white = limits
    return np.rint(np.clip((values - np.float64(black)) * (255 / (white - black)), 0, 255)).astype(np.uint8)


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
    _refuse_what_pillow_misreads(picture)
    _scale_transparency(picture)
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


def _scale_transparency(picture):
    """Bring the level or colour that a PNG of 1, 2, 4 or 16 bits says is transparent to 8 bits, as its values are."""
    key, raw_mode = picture.info.get("transparency"), _decoder(picture)[1]
    if isinstance(key, int) and raw_mode in ("1", "L;2", "L;4"):
        picture.info["transparency"] = min(255, key * {"1": 255, "L;2": 85, "L;4": 17}[raw_mode])
    elif isinstance(key, tuple) and raw_mode == "RGB;16B":
        picture.info["transparency"] = tuple(level >> 8 for level in key)


def _decoder(picture):
    """(Pillow's name of the decoder, of the values as they are in the file) of a picture before it is loaded."""
    if not picture.tile:
        return None, None
    name, _, _, arguments = picture.tile[0]
    return name, arguments if isinstance(arguments, str) else arguments[0]


def _refuse_what_pillow_misreads(picture):
    tags, (decoder, raw_mode) = getattr(picture, "tag_v2", {}), _decoder(picture)
    if tags.get(_PLANES) == 2 and max(tags.get(_BITS, (8,))) > 8 and decoder == "raw":
        raise ValueError("TIFF in planes of more than 8 bits, which Pillow does not read")
    if decoder == "libtiff" and raw_mode in ("I;16BS", "I;32BS", "F;32BF"):
        raise ValueError("compressed big-endian TIFF of signed integers or floats, which Pillow does not read")


def _planes(picture, step):
    """(colours of 8 bits, alpha or None, the range of values of more bits), each the mean of step x step pixels."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        values = np.asarray(picture)
        extrema = values.min(), values.max()
        key = picture.info.get("transparency")
        alpha = None if key is None else Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)).reduce(step)
        means = values if step == 1 else np.asarray(Image.fromarray(values.astype(np.float32)).reduce(step))
        levels = _eight_bits(picture, means, *extrema, values.dtype)
        return Image.fromarray(levels), alpha, f", {extrema[0]:.5g}..{extrema[1]:.5g}"
    if getattr(picture, "tag_v2", {}).get(_SAMPLE_FORMAT) == _SIGNED:
        picture = picture.point([level ^ 128 for level in range(256)])  # -128 is black
    if picture.mode == "La":  # which converts to LA alone
        picture = picture.convert("LA")
    if step > 1:
        if picture.has_transparency_data:
            picture = picture.convert("RGBA").convert("RGBa").reduce(step).convert("RGBA")
        else:
            picture = picture.convert({"1": "L", "P": "RGB"}.get(picture.mode, picture.mode)).reduce(step)
    alpha = picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else None
    return picture, alpha, ""


def _eight_bits(picture, values, lowest, highest, dtype):
    """What values of more bits stand for, 0..255: by what the file says of them, or else by their range."""
    tags = getattr(picture, "tag_v2", {})
    (bits, *_), is_signed = tags.get(_BITS, (16,)), tags.get(_SAMPLE_FORMAT) == _SIGNED
    if picture.mode == "F" or bits > 16:
        limits = value_range(lowest, highest, dtype)
    else:
        limits = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    levels = to_levels(values, limits)
    return 255 - levels if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else levels


def _in_srgb(picture, profile):
    """A picture as RGB, converted from its ICC profile if it has a valid one, other than sRGB."""
    if picture.mode == "LAB" and profile is None:
        profile = _lab_profile()
    space, transform = _transform(profile)
    mode, modes = _SPACES.get(space, (None, ()))
    if picture.mode in modes:
        return ImageCms.applyTransform(picture.convert(mode), transform)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


@functools.lru_cache(maxsize=8)
def _transform(profile):
    """(colour space, ImageCmsTransform to sRGB) of a profile's bytes; (None, None) if it is none, damaged, or sRGB."""
    if profile is None:
        return None, None
    with contextlib.suppress(Exception):  # a damaged profile raises almost anything
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        mode, _ = _SPACES[space]
        flags = 0 if mode == "RGB" else _AS_DEFINED
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB", flags=flags)
        colours = np.stack(np.meshgrid(*[np.arange(0, 256, 51)] * 3), axis=-1).reshape(1, -1, 3).astype(np.uint8)
        if mode != "RGB" or _distance(colours, ImageCms.applyTransform(Image.fromarray(colours), transform)) > 1:
            return space, transform
    return None, None


def _distance(one, other):
    return np.abs(np.asarray(one).astype(int) - np.asarray(other)).max()


@functools.cache
def _lab_profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


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
