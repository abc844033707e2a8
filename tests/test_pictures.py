"""What becomes of one picture. Wanted values are computed from the numbers in the file, by no library of pictures."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from by_hand import bmp_with_alpha, icc_profile, png, tiff
from PIL import Image, PngImagePlugin, UnidentifiedImageError, __version__, features

from autoencoders import pictures
from autoencoders.pictures import decode_picture, formats

PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "photos"
PILLOW = tuple(map(int, __version__.split(".")[:2]))
PAGE = Path(__file__).parents[1] / "docs" / "pictures.md"

y, x = np.mgrid[0:64, 0:64]
RAMP = (4 * x + y // 16).astype(np.uint8)  # every grey level 16 times; 64 x 64, so that nothing is resized
COLOURS = np.stack([RAMP, RAMP[::-1], RAMP.T], axis=-1)
DEEP = RAMP.astype(np.uint16) * 257  # 0..65535
HALF = x < 32  # what is transparent below


def read(data):
    return decode_picture(io.BytesIO(data)).image.astype(int)


def apart(data, wanted):
    """The largest difference of what is read, in grey levels."""
    return np.abs(read(data) - (wanted if wanted.ndim == 3 else wanted[..., None])).max()


def saved(array, format, mode=None, **options):
    """The bytes of a file that Pillow writes."""
    file = io.BytesIO()
    picture = array if isinstance(array, Image.Image) else Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(file, format, **options)
    return file.getvalue()


def packed(values, bits):
    return np.packbits(values[..., None].astype(np.uint8) >> np.arange(bits)[::-1] & 1).tobytes()


def scaled(values, black, white):
    """To 0..255, rounded."""
    return np.rint((values.astype(np.float64) - black) / (white - black) * 255).astype(int)


def over_white(levels, alpha):
    """alpha: 0..1."""
    return np.rint(255 + alpha * (levels.astype(np.float64) - 255))


ROWS = {}  # of the table in docs/pictures.md: what gives (name, bytes of a file, wanted levels, difference if not 0)


def row(function):
    ROWS[function.__name__.replace("_", " ")] = function
    return function


@row
def values_of_1_bit():
    bits = RAMP > 100
    yield "PNG", png(1, 0, 64, 64, packed(bits, 1)), 255 * bits
    yield "PBM", b"P4 64 64\n" + packed(~bits, 1), 255 * bits
    yield "TIFF, white is zero", tiff(64, 64, packed(~bits, 1), bits=[1], photometric=0), 255 * bits


@row
def values_of_2_and_4_bits():
    yield "PNG, 2", png(2, 0, 64, 64, packed(RAMP // 64, 2)), RAMP // 64 * 85
    yield "PNG, 4", png(4, 0, 64, 64, packed(RAMP // 16, 4)), RAMP // 16 * 17


@row
def values_of_8_bits():
    yield "PNG", png(8, 0, 64, 64, RAMP.tobytes()), RAMP
    yield "PNG, colour", png(8, 2, 64, 64, COLOURS.tobytes()), COLOURS
    yield "PGM", b"P5 64 64 255\n" + RAMP.tobytes(), RAMP
    yield "PPM", b"P6 64 64 255\n" + COLOURS.tobytes(), COLOURS
    yield "TIFF", tiff(64, 64, COLOURS.tobytes(), bits=[8] * 3, photometric=2, formats=[1] * 3), COLOURS
    yield "WebP", saved(COLOURS, "WEBP", lossless=True), COLOURS
    yield "BMP", saved(COLOURS, "BMP"), COLOURS
    yield "JPEG 2000", saved(COLOURS, "JPEG2000"), COLOURS


@row
def grey_of_16_bits():
    odd = DEEP - RAMP  # no multiples of 257
    yield "PNG", png(16, 0, 64, 64, odd.astype(">u2").tobytes()), scaled(odd, 0, 65535)
    yield "PGM", b"P5 64 64 65535\n" + odd.astype(">u2").tobytes(), scaled(odd, 0, 65535)
    yield "TIFF", tiff(64, 64, odd.astype("<u2").tobytes(), bits=[16]), scaled(odd, 0, 65535)
    yield "TIFF, big-endian", tiff(64, 64, odd.astype(">u2").tobytes(), ">", bits=[16]), scaled(odd, 0, 65535)
    yield "JPEG 2000", saved(odd, "JPEG2000"), scaled(odd, 0, 65535)


@row
def colours_of_16_bits():
    deep = COLOURS.astype(np.uint16) * 257 - 100 * (COLOURS > 0)
    yield "PNG", png(16, 2, 64, 64, deep.astype(">u2").tobytes()), scaled(deep, 0, 65535), 1
    file = tiff(64, 64, deep.astype("<u2").tobytes(), bits=[16] * 3, photometric=2, formats=[1] * 3)
    yield "TIFF", file, scaled(deep, 0, 65535), 1


@row
def other_maxima_of_pgm_and_ppm():
    for maximum in (1, 15, 100, 1023, 4095, 40_000):
        values = (RAMP.astype(int) * maximum // 255).astype(">u2" if maximum > 255 else "u1")
        head = f"64 64 {maximum}\n".encode()
        yield f"PGM, {maximum}", b"P5 " + head + values.tobytes(), scaled(values, 0, maximum), 1
        text = " ".join(map(str, values.ravel())).encode()
        yield f"plain PGM, {maximum}", b"P2 " + head + text, scaled(values, 0, maximum), 1
        colours = np.stack([values, values.T, values], axis=-1).astype(values.dtype)
        yield f"PPM, {maximum}", b"P6 " + head + colours.tobytes(), scaled(colours, 0, maximum), 1


@row
def tiff_of_12_bits():
    values = RAMP.astype(np.uint16) * 16 + 7
    yield "TIFF", tiff(64, 64, packed_12(values), bits=[12]), scaled(values, 0, 4095)


def packed_12(values):
    return np.packbits((values[..., None] >> np.arange(12)[::-1] & 1).astype(np.uint8)).tobytes()


@row
def floats():
    unit = (RAMP / 255).astype("<f4")
    for what, values in (("0..1", unit), ("-1..1", 2 * unit - 1), ("0..255", 255 * unit)):
        yield f"TIFF, {what}", tiff(64, 64, values.astype("<f4").tobytes(), bits=[32], formats=[3]), RAMP
    yield "PFM, 0..1", b"Pf\n64 64\n-1.0\n" + unit[::-1].tobytes(), RAMP


@row
def signed_integers():
    signed = RAMP.astype(np.int16) - 128
    yield "TIFF, 8 bits", tiff(64, 64, signed.astype("i1").tobytes(), formats=[2]), RAMP
    deep = (DEEP.astype(int) - 32768).astype("<i2")
    yield "TIFF, 16 bits", tiff(64, 64, deep.tobytes(), bits=[16], formats=[2]), RAMP


@row
def integers_of_32_bits():
    for what, values in (("0..255", RAMP), ("0..65535", DEEP)):
        yield f"TIFF, {what}", tiff(64, 64, values.astype("<i4").tobytes(), bits=[32], formats=[2]), RAMP
        yield f"TIFF, unsigned, {what}", tiff(64, 64, values.astype("<u4").tobytes(), bits=[32]), RAMP


@row
def white_is_zero():
    yield "TIFF, 8 bits", tiff(64, 64, RAMP.tobytes(), photometric=0), 255 - RAMP.astype(int)
    yield "TIFF, 16 bits", tiff(64, 64, DEEP.astype("<u2").tobytes(), bits=[16], photometric=0), 255 - RAMP.astype(int)
    unit = (RAMP / 255).astype("<f4").tobytes()
    yield "TIFF, floats", tiff(64, 64, unit, bits=[32], formats=[3], photometric=0), 255 - RAMP.astype(int)


@row
def palettes():
    entries = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    yield "PNG", png(8, 3, 64, 64, RAMP.tobytes(), (b"PLTE", entries.tobytes())), entries[RAMP]
    picture = Image.fromarray(RAMP, "L")
    picture.putpalette(entries.tobytes())
    yield "GIF", saved(picture, "GIF"), entries[RAMP]
    deep = entries.T.astype("<u2") * 257
    yield "TIFF", tiff(64, 64, RAMP.tobytes(), photometric=3, more=[(320, 3, deep.ravel())]), entries[RAMP]


@row
def alpha():
    alpha = (4 * y).astype(np.uint8)[..., None]
    wanted = over_white(COLOURS, alpha / 255)
    yield "PNG, colour", png(8, 6, 64, 64, np.concatenate([COLOURS, alpha], axis=-1).tobytes()), wanted, 1
    grey = np.concatenate([RAMP[..., None], alpha], axis=-1)
    yield "PNG, grey", png(8, 4, 64, 64, grey.tobytes()), over_white(RAMP[..., None], alpha / 255), 1
    deep = (grey.astype(np.uint16) * 257).astype(">u2")
    yield "PNG, grey of 16 bits", png(16, 4, 64, 64, deep.tobytes()), over_white(RAMP[..., None], alpha / 255), 1
    both = np.concatenate([RAMP[..., None], alpha], axis=-1).tobytes()
    file = tiff(64, 64, both, bits=[8] * 2, formats=[1] * 2, more=[(338, 3, [2])])
    yield "TIFF, grey", file, over_white(RAMP[..., None], alpha / 255), 1


@row
def alpha_that_colours_are_multiplied_by():
    alpha = (64 + 3 * y).astype(np.uint8)
    levels = (RAMP.astype(int) * alpha // 255).astype(np.uint8)
    wanted = over_white(np.minimum(255, levels / (alpha / 255)), alpha / 255)[..., None]
    both = np.stack([levels, alpha], axis=-1).tobytes()
    if PILLOW >= (13,):
        yield "TIFF, grey", tiff(64, 64, both, bits=[8] * 2, formats=[1] * 2, more=[(338, 3, [1])]), wanted, 1
    four = np.stack([levels, levels, levels, alpha], axis=-1).tobytes()
    file = tiff(64, 64, four, bits=[8] * 4, formats=[1] * 4, photometric=2, more=[(338, 3, [1])])
    yield "TIFF, colour", file, wanted, 1


@row
def a_level_that_is_transparent():
    for bits in (1, 2, 4):
        values, white = RAMP >> (8 - bits), 2**bits - 1
        file = png(bits, 0, 64, 64, packed(values, bits), (b"tRNS", struct.pack(">H", 0)))
        yield f"PNG, {bits} bits, black", file, np.where(values == 0, 255, scaled(values, 0, white))
        file = png(bits, 0, 64, 64, packed(values, bits), (b"tRNS", struct.pack(">H", 1)))
        yield f"PNG, {bits} bits, 1", file, np.where(values == 1, 255, scaled(values, 0, white))
    yield "PNG, 8 bits", png(8, 0, 64, 64, RAMP.tobytes(), (b"tRNS", b"\0\x40")), np.where(RAMP == 64, 255, RAMP)
    file = png(16, 0, 64, 64, DEEP.astype(">u2").tobytes(), (b"tRNS", struct.pack(">H", 64 * 257)))
    yield "PNG, 16 bits", file, np.where(RAMP == 64, 255, RAMP)


@row
def a_colour_that_is_transparent():
    colours = np.where(HALF[..., None], (10, 20, 30), COLOURS)
    for bits, kind in ((8, "u1"), (16, ">u2")):
        values = (colours * (257 if bits == 16 else 1)).astype(kind)
        key = struct.pack(">3H", *values[0, 0])
        yield (
            f"PNG, {bits} bits",
            png(bits, 2, 64, 64, values.tobytes(), (b"tRNS", key)),
            np.where(HALF[..., None], 255, COLOURS),
        )
    entries = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1).tobytes()
    file = png(8, 3, 64, 64, RAMP.tobytes(), (b"PLTE", entries), (b"tRNS", b"\xff" * 64 + b"\0"))
    yield "PNG, palette", file, np.where(RAMP == 64, 255, RAMP)


@row
def bmp_alpha_that_is_0_everywhere():
    pixels = np.concatenate([COLOURS[::-1, :, ::-1], np.zeros((64, 64, 1), np.uint8)], axis=-1).tobytes()
    for header in (56, 108, 124):
        yield f"BMP, header of {header}", bmp_with_alpha(64, 64, pixels, header), COLOURS


@row
def cmyk():
    inks = np.concatenate([COLOURS, (RAMP // 2)[..., None]], axis=-1)
    wanted = np.rint((255 - COLOURS.astype(float)) * (255 - RAMP[..., None] // 2) / 255)
    yield "TIFF", tiff(64, 64, inks.tobytes(), bits=[8] * 4, formats=[1] * 4, photometric=5), wanted, 1


@row
def lab():
    lightness, a, b = 20 + RAMP.astype(int) // 2, (x - 32) // 2, (y - 32) // 2
    samples = np.stack([lightness, a & 255, b & 255], axis=-1).astype(np.uint8).tobytes()
    fy = (lightness * 100 / 255 + 16) / 116
    f = np.stack([fy + a / 500, fy, fy - b / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * (0.9642, 1, 0.8249)
    file = tiff(64, 64, samples, bits=[8] * 3, formats=[1] * 3, photometric=8)
    yield "TIFF", file, srgb(xyz), 2


TO_XYZ = {  # D50, columns red, green and blue
    "sRGB": [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]],
    "Display P3": [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]],
}


def srgb(xyz):
    """XYZ (..., 3) relative to D50 -> 0..255."""
    linear = np.clip(xyz @ np.linalg.inv(TO_XYZ["sRGB"]).T, 0, 1)
    return np.rint(255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


@row
def a_profile_other_than_srgb():
    profile = icc_profile(TO_XYZ["Display P3"], 2.2)
    wanted = srgb((COLOURS / 255) ** 2.2 @ np.transpose(TO_XYZ["Display P3"]))
    yield "PNG, Display P3", saved(COLOURS, "PNG", icc_profile=profile), wanted, 2
    yield "WebP, Display P3", saved(COLOURS, "WEBP", lossless=True, icc_profile=profile), wanted, 2
    with_alpha = np.concatenate([COLOURS, np.where(HALF, 255, 0)[..., None].astype(np.uint8)], axis=-1)
    wanted = np.where(HALF[..., None], wanted, 255)
    yield "PNG, Display P3 and alpha", saved(with_alpha, "PNG", icc_profile=profile), wanted, 2
    white = (0.9642, 1, 0.8249)
    wanted = srgb(((RAMP / 255) ** 1.0)[..., None] * white)
    yield "PNG, grey, linear", saved(RAMP, "PNG", icc_profile=icc_profile(None, 1.0)), wanted, 2


@row
def a_profile_that_is_damaged_or_of_another_space():
    for profile in (b"", b"nothing", icc_profile(TO_XYZ["Display P3"], 2.2)[:200], icc_profile(None, 1.0)):
        yield f"PNG, {profile[:8]}", saved(COLOURS, "PNG", icc_profile=profile), COLOURS


@pytest.mark.parametrize("name", ROWS)
def test_values_are_what_they_were_meant(name):
    for what, file, wanted, *tolerance in ROWS[name]():
        try:
            assert apart(file, wanted) <= sum(tolerance), what
        except OSError:  # that the format, or this kind of it, is not known
            if PILLOW >= (11, 3):
                raise


def test_the_page_lists_what_is_tested():
    _, _, table = PAGE.read_text().partition("| values | become 0..255 |\n|---|---|\n")
    cells = re.findall(r"^\| ([^|]+?) \|", table.partition("\n\n")[0], flags=re.MULTILINE)
    assert [cell.lower() for cell in cells] == list(ROWS)


def exif(orientation, *more):
    """An Exif block of the orientation and of other (tag, type, count, 4 bytes), little-endian."""
    tags = [(274, 3, 1, struct.pack("<HH", orientation, 0)), *more]
    entries = b"".join(struct.pack("<HHI", *tag) + value for *tag, value in sorted(tags))
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0" * 4


def xmp(orientation):
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


STORED = {  # how a viewer's orientation is undone
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
TURNED = {  # how a format is told of it, what else says so, and how far lossy ones are off
    "JPEG, Exif": (lambda stored, o: saved(stored, "JPEG", quality=100, subsampling=0, exif=exif(o)), 4),
    "JPEG, XMP": (lambda stored, o: with_xmp(saved(stored, "JPEG", quality=100, subsampling=0), xmp(o)), 4),
    "PNG, Exif": (lambda stored, o: saved(stored, "PNG", exif=exif(o)), 0),
    "PNG, XMP": (lambda stored, o: saved(stored, "PNG", pnginfo=itxt(xmp(o))), 0),
    "PNG, both": (lambda stored, o: saved(stored, "PNG", exif=exif(o), pnginfo=itxt(xmp(o))), 0),
    "WebP, Exif": (lambda stored, o: saved(stored, "WEBP", lossless=True, exif=exif(o)), 0),
    "WebP, both": (lambda stored, o: saved(stored, "WEBP", lossless=True, exif=exif(o), xmp=xmp(o)), 0),
    "TIFF": (lambda stored, o: colour_tiff(stored, [(274, 3, [o])]), 0),
    "TIFF, XMP": (lambda stored, o: colour_tiff(stored, [(700, 1, xmp(o))]), 0),
    "TIFF, both": (lambda stored, o: colour_tiff(stored, [(274, 3, [o]), (700, 1, xmp(o))]), 0),
    "TIFF, LZW": (lambda stored, o: saved(stored, "TIFF", compression="tiff_lzw", tiffinfo={274: o}), 0),
}


def with_xmp(jpeg, text):
    text = b"http://ns.adobe.com/xap/1.0/\0" + text
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(text) + 2) + text + jpeg[2:]


def itxt(text):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", text.decode())
    return info


def colour_tiff(array, more):
    height, width, _ = array.shape
    return tiff(width, height, array.tobytes(), bits=[8] * 3, photometric=2, formats=[1] * 3, more=more)


SMOOTH = np.stack([3 * x, 3 * y, 255 - x - 2 * y], axis=-1).astype(np.uint8)  # all corners differ


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("how", TURNED)
def test_a_picture_is_turned_upright_once(how, orientation):
    write, tolerance = TURNED[how]
    assert apart(write(np.ascontiguousarray(STORED[orientation](SMOOTH)), orientation), SMOOTH) <= tolerance


@pytest.mark.skipif("AVIF" not in formats() or not features.check("avif"), reason="wants Pillow 11.3")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned_upright_once(orientation):
    stored = np.ascontiguousarray(STORED[orientation](SMOOTH))
    assert apart(saved(stored, "AVIF", quality=100, subsampling="4:4:4", exif=exif(orientation)[6:]), SMOOTH) <= 5


@pytest.mark.skipif("HEIF" not in formats(), reason="wants pillow-heif")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_heic_is_turned_upright_once(orientation):
    stored = np.ascontiguousarray(STORED[orientation](SMOOTH))
    assert apart(saved(stored, "HEIF", quality=100, chroma=444, exif=exif(orientation)[6:]), SMOOTH) <= 5


UNUSUAL = {
    "XResolution as text": (282, 2, 4, b"300\0"),
    "ImageWidth as a byte": (256, 1, 1, b"\x40\0\0\0"),
    "a pointer to nothing": (34665, 4, 1, struct.pack("<I", 10**9)),
}


@pytest.mark.parametrize("what", UNUSUAL)
def test_of_exif_the_orientation_alone_is_needed(what):
    stored = np.ascontiguousarray(STORED[6](SMOOTH))
    block = exif(6, UNUSUAL[what])
    assert apart(saved(stored, "PNG", exif=block), SMOOTH) == 0
    assert apart(saved(stored, "WEBP", lossless=True, exif=block), SMOOTH) == 0
    assert apart(saved(stored, "JPEG", quality=100, subsampling=0, exif=block), SMOOTH) <= 4


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_does_not_cost_the_picture():
    for block in (b"", b"Exif\0\0", exif(6)[:20], exif(9), exif(0), b"Exif\0\0II*\0\xff\xff\xff\xff"):
        assert apart(saved(SMOOTH, "WEBP", lossless=True, exif=block), SMOOTH) == 0


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_more_than_a_mebibyte_of_text_or_profile_does_not_cost_a_png(name):
    head = {b"zTXt": b"Comment\0\0", b"iTXt": b"Comment\0\1\0\0\0", b"iCCP": b"profile\0\0"}[name]
    chunk = name, head + zlib.compress(b"a" * 2_000_000)
    file = png(8, 2, 64, 64, SMOOTH.tobytes(), (b"eXIf", exif(3)[6:]), chunk)
    assert apart(file, SMOOTH[::-1, ::-1]) == 0


def test_beside_too_much_text_xmp_and_the_profile_still_count():
    text = b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 2_000_000)
    said = b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(3)
    profile = b"iCCP", b"P3\0\0" + zlib.compress(icc_profile(TO_XYZ["Display P3"], 2.2))
    with_text = read(png(8, 2, 64, 64, SMOOTH.tobytes(), profile, text, said))
    assert np.array_equal(with_text, read(png(8, 2, 64, 64, SMOOTH.tobytes(), profile, said)))
    assert np.abs(with_text - SMOOTH[::-1, ::-1]).max() > 5


def test_what_is_transparent_all_over_is_refused():
    clear = np.concatenate([SMOOTH, np.zeros((64, 64, 1), np.uint8)], axis=-1)
    for format in ("PNG", "WEBP", "TIFF"):
        with pytest.raises(ValueError, match="transparent all over"):
            read(saved(clear, format))


def test_what_is_transparent_all_over_where_it_is_cropped_is_refused():
    clear = np.concatenate([np.full((64, 100, 3), 99), np.full((64, 100, 1), 255)], axis=-1).astype(np.uint8)
    clear[:, 10:90, 3] = 0
    with pytest.raises(ValueError, match="transparent all over"):
        read(saved(clear, "PNG"))


def test_kinds_of_tiff_that_pillow_reads_wrongly_are_refused():
    planes = np.zeros((3, 64, 64), "<u2").tobytes()
    with pytest.raises(ValueError, match="TIFF in planes of more than 8 bits, which Pillow does not read"):
        read(tiff(64, 64, planes, bits=[16] * 3, photometric=2, formats=[1] * 3, more=[(284, 3, [2])]))
    values = zlib.compress(np.full((64, 64), 0.5, ">f4").tobytes())
    with pytest.raises(ValueError, match="compressed big-endian TIFF of signed integers or floats"):
        read(tiff(64, 64, values, ">", bits=[32], formats=[3], compression=8))


def test_of_an_animation_the_first_frame_is_read():
    frames = [Image.fromarray(SMOOTH).quantize(), Image.new("P", (64, 64))]
    first = np.asarray(frames[0].convert("RGB"))
    for format in ("GIF", "PNG", "TIFF"):
        assert apart(saved(frames[0], format, save_all=True, append_images=frames[1:]), first) == 0, format
    two = {"save_all": True, "append_images": [Image.new("RGB", (64, 64))]}
    assert apart(saved(SMOOTH, "WEBP", lossless=True, **two), SMOOTH) == 0
    assert apart(saved(SMOOTH, "MPO", quality=100, subsampling=0, **two), SMOOTH) <= 4


@pytest.mark.parametrize("values", [np.linspace(0, 1.5, 4096), np.linspace(-2, 2, 4096)])
def test_floats_that_may_be_of_several_ranges_are_refused_with_the_range_found(values):
    with pytest.raises(ValueError, match=r"found float32 from \S+ to \S+, wanted .* one of 0..1, -1..1 and 0..255"):
        read(tiff(64, 64, np.array(values, "<f4").tobytes(), bits=[32], formats=[3]))


def test_integers_of_32_bits_that_may_be_of_several_ranges_are_refused():
    with pytest.raises(ValueError, match="found int32 from 0 to 4095, wanted .* one of 0..255 and 0..65535"):
        read(tiff(64, 64, np.linspace(0, 4095, 4096).astype("<i4").tobytes(), bits=[32], formats=[2]))


@pytest.mark.parametrize("text", [b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"%PDF-1.7\n", b"hello", b""])
def test_what_is_of_no_known_format_is_not_opened(text):
    with pytest.raises(UnidentifiedImageError):
        read(text.ljust(1000, b" "))


def test_what_a_picture_was_is_told():
    wide = np.zeros((10, 20), np.uint16)
    wide[0, 0] = 4095
    assert decode_picture(io.BytesIO(saved(wide, "PNG"))).was in ("PNG I;16 20 x 10, 0..4095", "PNG I 20 x 10, 0..4095")
    assert decode_picture(io.BytesIO(saved(SMOOTH[:40], "BMP"))).was == "BMP RGB 64 x 40"


def central_square(array):
    height, width = array.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return Image.fromarray(array[top : top + side, left : left + side])


def test_a_picture_becomes_its_central_square():
    for array in (np.pad(SMOOTH, ((0, 0), (8, 8), (0, 0))), np.pad(SMOOTH, ((10, 10), (0, 0), (0, 0)))):
        assert apart(saved(array, "PNG"), SMOOTH) == 0
    large = np.asarray(Image.fromarray(SMOOTH).resize((300, 200)))
    wanted = np.asarray(central_square(large).resize((64, 64), Image.Resampling.HAMMING))
    assert apart(saved(large, "PNG"), wanted) == 0


def test_a_picture_of_one_pixel_becomes_one_colour():
    assert apart(saved(np.full((1, 1, 3), (10, 20, 30), np.uint8), "PNG"), np.array([[[10, 20, 30]]])) == 0


def test_what_takes_too_much_memory_is_refused_before_it_is_decoded():
    huge = png(8, 2, 20_000, 20_000, b"")
    with pictures.limited_by_memory(), pytest.raises(ValueError, match=r"20000 x 20000: takes [\d,]+ MiB of memory"):
        read(huge)


def test_a_tile_that_is_larger_than_its_tiff_is_refused_before_it_is_decoded():
    with pytest.raises(ValueError, match=r"TIFF L 64 x 64: takes [\d,]+ MiB of memory"):
        read(tiff(64, 64, RAMP.tobytes(), compression=8, more=[(322, 4, [20_000]), (323, 4, [20_000])]))


@pytest.mark.parametrize("progressive, taken", [(False, 0), (True, 2 * 1.5)])
def test_a_jpeg_takes_memory_for_its_coefficients_only_if_they_are_all_kept(progressive, taken):
    file = saved(SMOOTH, "JPEG", progressive=progressive, subsampling="4:2:0")
    with Image.open(io.BytesIO(file)) as picture:
        assert pictures._coefficients(picture) == taken * 64 * 64
    scan = file.index(b"\xff\xda") + 4
    apart = file[:scan] + b"\1" + file[scan + 1 :]  # as if the first scan were of one colour alone
    with Image.open(io.BytesIO(apart)) as picture:
        assert pictures._coefficients(picture) == 2 * 1.5 * 64 * 64


def mosaic(columns, rows):
    """A picture of many photographs side by side, 178 x 218 each: rich in detail at any size."""
    photos = [np.asarray(Image.open(path)) for path in sorted(PHOTOS.glob("*.jpg"))]
    many = [photos[k % len(photos)] for k in range(columns * rows)]
    return np.concatenate([np.concatenate(many[k : k + columns], axis=1) for k in range(0, len(many), columns)])


@pytest.mark.skipif(not PHOTOS.exists(), reason="wants the development photographs")
@pytest.mark.parametrize("width", [512, 513, 1000, 1025, 1780, 2049, 2171, 2521])
def test_large_jpegs_are_decoded_at_a_reduced_size_and_look_the_same(width):
    photos = [Image.open(path) for path in sorted(PHOTOS.glob("*.jpg"))[::12]]
    for large in (Image.fromarray(mosaic(width // 178 + 1, width // 178 + 1)).crop((0, 0, width, width)), *photos):
        file = saved(large.resize((width, width * large.height // large.width), Image.BICUBIC), "JPEG", quality=90)
        difference = read(file) - pictures.fit(Image.open(io.BytesIO(file)))
        assert np.abs(difference).max() <= 4 and np.abs(difference).mean() < 1


@pytest.mark.skipif(not PHOTOS.exists(), reason="wants the development photographs")
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_large_pictures_of_other_formats_are_averaged_and_look_the_same(mode, monkeypatch):
    photo = Image.open(min(PHOTOS.glob("*.jpg"))).resize((1780, 2180))
    if mode == "I;16":
        file = saved(np.asarray(photo.convert("L")).astype(np.uint16) * 257, "PNG")
    else:
        file = saved(photo, "PNG", mode)  # "1" is dithered
    whole = read(file)
    monkeypatch.setattr(pictures, "LARGE", 500_000)
    monkeypatch.setattr(pictures, "ENOUGH", 450_000)
    difference = read(file) - whole
    assert np.abs(difference).max() <= 4 and np.abs(difference).mean() < 1


@pytest.mark.skipif(not PHOTOS.exists(), reason="wants the development photographs")
def test_photographs_in_grey_in_cmyk_and_turned_agree_with_their_originals():
    for path in sorted(PHOTOS.glob("*.jpg"))[::12]:
        photo, original = Image.open(path), read(path.read_bytes()).astype(np.uint8)
        assert apart(saved(photo, "JPEG", "CMYK", quality=98, subsampling=0), original) <= 3
        turned = photo.transpose(Image.Transpose.ROTATE_90)
        assert apart(saved(turned, "JPEG", quality=98, subsampling=0, exif=exif(6)), original) <= 3
        grey = np.asarray(Image.fromarray(original).convert("L"))
        assert apart(saved(photo, "PNG", "L"), grey) <= 3


@pytest.mark.skipif(not PHOTOS.exists(), reason="wants the development photographs")
@pytest.mark.parametrize("format", ["AVIF", "HEIF"])
def test_a_photograph_in_a_newer_format_agrees_with_its_original(format):
    if format not in formats():
        pytest.skip("not in this Pillow")
    for path in sorted(PHOTOS.glob("*.jpg"))[::40]:
        difference = read(saved(Image.open(path), format, quality=95)) - read(path.read_bytes())
        assert np.abs(difference).mean() < 2
