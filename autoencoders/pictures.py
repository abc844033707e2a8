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
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageOps
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
SIDE = 4 * SHAPE[0]  # to no less than this width and height a JPEG is reduced while it is decoded
LARGE = 2**24  # pixels above which a picture is sampled down to
ENOUGH = 2**22  # of them before it is converted
MEMORY = 2**29  # bytes that decoding one picture may take
DECODING = {"JPEG2000": 24, "WEBP": 12, "AVIF": 12, "HEIF": 12}  # bytes a pixel that a decoder takes; the others 8
HALF = 0.5 / 255  # half a grey level, if white is 1: so far beyond a range rounding may lead

_ORIENTATION, _BITS, _PHOTOMETRIC, _XMP, _SAMPLE_FORMAT = 274, 258, 262, 700, 339  # tags of Exif and TIFF
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


def read_picture(file):
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
        needed = 6 * picture.width * picture.height if "progressive" in picture.info else 0  # a JPEG's coefficients
        if picture.format in ("JPEG", "MPO") and min(picture.size) >= 2 * SIDE:
            picture.draft(None, (SIDE, SIDE))  # to a half, a quarter or an eighth
        pixels = picture.width * picture.height
        needed += DECODING.get(picture.format, 8) * pixels
        if needed > MEMORY:
            raise ValueError(f"{was}: takes {needed >> 20:,} MiB of memory to decode, may take {MEMORY >> 20:,}")
        step = math.ceil(math.sqrt(pixels / ENOUGH)) if pixels > LARGE else 1
        with _large if needed > MEMORY / 8 else contextlib.nullcontext():
            turn = _load_and_turn(picture)
            colours, alpha, extrema = _planes(picture, step)
        rgb = _on_white(_in_srgb(colours, picture.info.get("icc_profile")), alpha, picture.format)
    image = fit(rgb if turn is None else rgb.transpose(turn))
    return Decoded(image, was + extrema)


def fit(picture):
    """uint8 (64, 64, 3): the central square of a Pillow image in RGB or grey, resized by a Hamming filter.

    That filter averages, where sharper ones, such as Lanczos, overshoot at edges and would be clipped.
    """
    return np.asarray(ImageOps.fit(picture, SHAPE[:2], Resampling.HAMMING).convert("RGB"))


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


def _load_and_turn(picture):
    """Decode the picture. Returns the Transpose that makes it upright, or None.

    Of Exif the orientation alone is read, for the rest may be damaged; XMP's counts where Exif has none.
    """
    tags = getattr(picture, "tag_v2", {})
    xmp = [picture.info.pop(key, None) for key in ("xmp", "XML:com.adobe.xmp")]  # so that Pillow turns by none of them
    xmp += [tags.get(_XMP), *(data for _, data in getattr(picture, "applist", ()))]  # where Pillow before 11 has it
    has_tag = _ORIENTATION in tags  # by that of a TIFF Pillow has turned it when it is loaded
    _scale_transparency(picture)
    picture.load()
    with contextlib.suppress(Exception):
        if (orientation := picture.getexif().get(_ORIENTATION)) is not None or has_tag:
            return _TURNS.get(orientation)
    for text in xmp:
        text = text.encode() if isinstance(text, str) else text
        if isinstance(text, bytes) and (found := re.search(_XMP_ORIENTATION, text)):
            return _TURNS.get(int(found[1]))
    return None


def _scale_transparency(picture):
    """Bring the level or colour that a PNG of 1, 2, 4 or 16 bits says is transparent to 8 bits, as its values are."""
    key, (raw_mode, *_) = picture.info.get("transparency"), [tile[3] for tile in picture.tile] or [None]
    if isinstance(key, int) and raw_mode in ("1", "L;2", "L;4"):
        picture.info["transparency"] = min(255, key * {"1": 255, "L;2": 85, "L;4": 17}[raw_mode])
    elif isinstance(key, tuple) and raw_mode == "RGB;16B":
        picture.info["transparency"] = tuple(level >> 8 for level in key)


def _planes(picture, step):
    """(colours of 8 bits, alpha or None, the range of values of more bits): of every step-th pixel and row."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        values = np.asarray(picture)[::step, ::step]
        key = picture.info.get("transparency")
        alpha = None if key is None else Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
        return Image.fromarray(_eight_bits(picture, values)), alpha, f", {values.min():.5g}..{values.max():.5g}"
    if getattr(picture, "tag_v2", {}).get(_SAMPLE_FORMAT) == _SIGNED:
        picture = picture.point([level ^ 128 for level in range(256)])  # -128 is black
    if step > 1:
        size = max(1, picture.width // step), max(1, picture.height // step)
        picture = picture.resize(size, Resampling.NEAREST)
    if picture.mode == "La":  # which converts to LA alone
        picture = picture.convert("LA")
    alpha = picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else None
    return picture, alpha, ""


def _eight_bits(picture, values):
    """What values of more bits stand for, 0..255: by what the file says of them, or else by their range."""
    tags = getattr(picture, "tag_v2", {})
    (bits, *_), is_signed = tags.get(_BITS, (16,)), tags.get(_SAMPLE_FORMAT) == _SIGNED
    if picture.mode == "F" or bits > 16:
        limits = value_range(values.min(), values.max(), values.dtype)
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


def _on_white(rgb, alpha, format):
    if alpha is None or (format == "BMP" and alpha.getextrema() == (0, 0)):  # for Windows, that is a byte not in use
        return rgb
    if alpha.getextrema() == (0, 0):
        raise ValueError("transparent all over")
    return Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)


def _without_text(file):
    """A PNG, as a file, less its text and its colour profile."""
    file.seek(0)
    data = file.read()
    kept, start = [data[:8]], 8
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")  # length, name, data, checksum
        if data[start + 4 : start + 8] not in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            kept.append(data[start:end])
        start = end
    return io.BytesIO(b"".join(kept))
