"""Small picture files written byte by byte, from the formats' specifications and without Pillow."""

import struct
import zlib

import numpy as np


def png(depth, colour, width, height, samples, *chunks):
    """A PNG; samples: bytes of all rows, packed; chunks: (name, data) before them."""
    row = len(samples) // height or 1
    rows = b"".join(b"\0" + samples[start : start + row] for start in range(0, len(samples), row))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)), *chunks]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def tiff(width, height, samples, order="<", *, bits=(8,), photometric=1, formats=(1,), compression=1, more=()):
    """A TIFF in one strip; samples: bytes of all rows; bits, formats: of each sample; more: (tag, type, values)."""
    tags = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, bits),
        (259, 3, [compression]),
        (262, 3, [photometric]),
        (273, 4, [8]),  # the samples stand behind the header of 8 bytes
        (277, 3, [len(bits)]),
        (278, 4, [height]),
        (279, 4, [len(samples)]),
        (339, 3, formats),
        *more,
    ]
    samples += b"\0" * (len(samples) % 2)
    start = 8 + len(samples)  # of the directory
    behind, entries = start + 2 + 12 * len(tags) + 4, b""
    values = b""
    for tag, kind, numbers in sorted(tags):
        data = bytes(numbers) if kind in (1, 7) else struct.pack(f"{order}{len(numbers)}{' .HI'[kind - 1]}", *numbers)
        if len(data) > 4:
            values += b"\0" * (len(values) % 2)
            place = struct.pack(f"{order}I", behind + len(values))
            values += data
        else:
            place = data.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + place
    header = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, start)
    return header + samples + struct.pack(f"{order}H", len(tags)) + entries + b"\0" * 4 + values


def bmp_with_alpha(width, height, pixels, header=108):
    """A BMP of 32 bits with an alpha mask, bottom row first; pixels: bytes of blue, green, red, alpha."""
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    info = struct.pack("<IiiHHIIiiII", header, width, height, 1, 32, 3, len(pixels), 2835, 2835, 0, 0) + masks
    info = info.ljust(header, b"\0")
    start = 14 + len(info)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + info + pixels


def icc_profile(primaries, gamma):
    """A version 2 profile: colour of these XYZ columns (D50), or grey if they are None, with a curve of this gamma."""

    def s15(numbers):
        return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))

    white = (0.9642, 1.0, 0.8249)
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + b"\0\0"
    text = b"by hand"
    tags = {
        b"desc": b"desc" + struct.pack(">II", 0, len(text) + 1) + text + b"\0" + b"\0" * 78,
        b"wtpt": b"XYZ " + b"\0" * 4 + s15(white),
    }
    if primaries is None:
        space, tags[b"kTRC"] = b"GRAY", curve
    else:
        space = b"RGB "
        for name, column in zip("rgb", np.transpose(primaries)):
            tags[f"{name}XYZ".encode()] = b"XYZ " + b"\0" * 4 + s15(column)
            tags[f"{name}TRC".encode()] = curve
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        value = value.ljust(-(-len(value) // 4) * 4, b"\0")
        table += struct.pack(">4sII", name, start + len(data), len(value))
        data += value
    size = start + len(data)
    header = struct.pack(">I4sI4s4s4s", size, b"\0" * 4, 0x02400000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + b"\0" * 28 + s15(white)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data
