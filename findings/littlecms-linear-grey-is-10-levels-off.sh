#!/usr/bin/env bash
# Pillow 13.0.0 with its LittleCMS (numpy 2.4.6, CPython 3.11, Linux x86-64): ImageCms.profileToProfile of an 8-bit grey
# image with a linear grey profile (gamma 1) to sRGB is up to 10 grey levels darker than the formula of sRGB in the
# shadows: level 2 becomes 12 and not 22. With Flags.NOOPTIMIZE every level is right to a rounding. The table that is
# made by default has too few entries where the curve is steep.
# Who meets it: whoever converts linear grey, as of raw images, renderers and scanners.
# Remedy: flags=ImageCms.Flags.NOOPTIMIZE.
# Source: the run below; cmsopt.c of LittleCMS. Output seen: the lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import io, struct
import numpy as np
from PIL import Image, ImageCms

def grey_profile(gamma):  # ICC version 2: a header of 128 bytes, a table of tags, the tags
    d50 = struct.pack(">iii", 63190, 65536, 54061)
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma)) + bytes(2)
    tags = {b"kTRC": curve, b"wtpt": b"XYZ " + bytes(4) + d50, b"cprt": b"text" + bytes(4) + b"none",
            b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"g" + bytes(81)}
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = 128 + len(table) + len(body)
    head = struct.pack(">I", size) + bytes(4) + b"\2\x10\0\0" + b"mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28) + d50
    return io.BytesIO(head.ljust(128, b"\0") + table + body)

levels = np.arange(256, dtype=np.uint8)[None]
for gamma in (2.2, 1):
    light = (levels / 255) ** gamma
    right = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    for flags in (0, ImageCms.Flags.NOOPTIMIZE):
        y = ImageCms.profileToProfile(Image.fromarray(levels), ImageCms.ImageCmsProfile(grey_profile(gamma)),
                                      ImageCms.createProfile("sRGB"), outputMode="RGB", flags=flags)
        y = np.asarray(y)[..., 0]
        print(f"gamma {gamma} flags {int(flags)}: at most {np.abs(y - right).max():.0f} levels off, 2 is {y[0, 2]}")
PY
python3 -m venv v; v/bin/pip install -q numpy==2.4.6 pillow==13.0.0 2>pip.log || { cat pip.log; exit 1; }
v/bin/python run.py | tee out
cat > want <<'W'
gamma 2.2 flags 0: at most 1 levels off, 2 is 0
gamma 2.2 flags 256: at most 1 levels off, 2 is 0
gamma 1 flags 0: at most 10 levels off, 2 is 12
gamma 1 flags 256: at most 0 levels off, 2 is 22
W
diff want out && echo "as found"
