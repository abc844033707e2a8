"""What the values of a picture stand for: 8 bits of red, green and blue in sRGB, whatever they were in its file.

docs/pictures.md lists the kinds of values, and what becomes of each.
"""

import contextlib
import functools
import io

import numpy as np
from PIL import Image, ImageCms

HALF = 0.5 / 255  # half a grey level, if white is 1: so far beyond a range rounding may lead

BITS, PHOTOMETRIC, PLANES, SAMPLE_FORMAT = 258, 262, 284, 339  # tags of TIFF
WHITE_IS_ZERO, SIGNED = 0, (2,)
SPACES = {  # of a profile: the mode that it converts from, and the modes of pictures that it may belong to
    "GRAY": ("L", {"1", "L", "LA"}),
    "RGB": ("RGB", {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr"}),
    "CMYK": ("CMYK", {"CMYK"}),
    "Lab": ("LAB", {"LAB"}),
}
AS_DEFINED = 0x100  # NOOPTIMIZE of LittleCMS, whose faster table is up to 10 grey levels off in grey and LAB


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
    levels = values - np.float64(black)  # of which there is one copy alone
    levels *= 255 / (white - black)
    return np.rint(np.clip(levels, 0, 255, out=levels), out=levels).astype(np.uint8)


def prepare(picture):
    """What is to be done before a picture is loaded, so that its values and what is transparent come as they are."""
    tags, (decoder, raw_mode) = getattr(picture, "tag_v2", {}), _decoder(picture)
    if tags.get(PLANES) == 2 and max(tags.get(BITS, (8,))) > 8 and decoder == "raw":
        raise ValueError("TIFF in planes of more than 8 bits, which Pillow does not read")
    if decoder == "libtiff" and raw_mode in ("I;16BS", "I;32BS", "F;32BF"):
        raise ValueError("compressed big-endian TIFF of signed integers or floats, which Pillow does not read")
    key = picture.info.get("transparency")  # of a PNG, in as many bits as its file has
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


def read_values(picture, step):
    """(a loaded picture as RGB, its alpha or None, a text of the range of values of more than 8 bits).

    Each pixel is the mean of step x step of them.
    """
    colours, alpha, extrema = _planes(picture, step)
    return _in_srgb(colours, picture.info.get("icc_profile")), alpha, extrema


def _planes(picture, step):
    """(colours of 8 bits, alpha or None, the range of values of more bits), each the mean of step x step pixels."""
    tags, key = getattr(picture, "tag_v2", {}), picture.info.get("transparency")
    if picture.mode == "F" or picture.mode.startswith("I"):
        deep = _in_mode(picture, "F" if picture.mode == "F" else "I")
        lowest, highest = deep.getextrema()
        levels = _eight_bits(np.asarray(deep.reduce(step)), lowest, highest, tags)
        alpha = None if key is None else Image.fromarray(np.where(np.asarray(deep) == key, np.uint8(0), np.uint8(255)))
        return Image.fromarray(levels), alpha and alpha.reduce(step), f", {lowest:.5g}..{highest:.5g}"
    if tags.get(SAMPLE_FORMAT) == SIGNED:
        picture = picture.point([level ^ 128 for level in range(256)])  # -128 is black
    if picture.mode == "La":  # which converts to LA alone
        picture = picture.convert("LA")
    if step > 1:
        if picture.has_transparency_data:
            picture = _in_mode(picture, "RGBA").convert("RGBa").reduce(step).convert("RGBA")
        else:
            picture = _in_mode(picture, {"1": "L", "P": "RGB"}.get(picture.mode, picture.mode)).reduce(step)
    alpha = picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else None
    return picture, alpha, ""


def _in_mode(picture, mode):
    return picture if picture.mode == mode else picture.convert(mode)


def _eight_bits(values, lowest, highest, tags):
    """What values of more bits stand for, 0..255: by what a TIFF's tags say of them, or else by their range."""
    (bits, *_), is_signed = tags.get(BITS, (16,)), tags.get(SAMPLE_FORMAT) == SIGNED
    if values.dtype == np.float32 or bits > 16:
        limits = value_range(lowest, highest, values.dtype)
    else:
        limits = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    levels = to_levels(values, limits)
    return 255 - levels if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else levels


def _in_srgb(picture, profile):
    """A picture as RGB, converted from its ICC profile if it has a valid one, other than sRGB."""
    if picture.mode == "LAB" and profile is None:
        profile = _lab_profile()
    space, transform = _transform(profile)
    mode, modes = SPACES.get(space, (None, ()))
    if picture.mode in modes:
        return ImageCms.applyTransform(picture.convert(mode), transform)
    return _in_mode(picture, "RGB")


@functools.lru_cache(maxsize=8)
def _transform(profile):
    """(colour space, ImageCmsTransform to sRGB) of a profile's bytes; (None, None) if it is none, damaged, or sRGB."""
    if profile is None:
        return None, None
    with contextlib.suppress(Exception):  # a damaged profile raises almost anything
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        mode, _ = SPACES[space]
        flags = 0 if mode == "RGB" else AS_DEFINED
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
