#!/usr/bin/env bash
# Pillow 13.0.0 (the same in 12.3.0 and 11.3.0; tifffile 2026.3.3, numpy 2.4.6, CPython 3.11, Linux x86-64): a
# big-endian 16-bit grey TIFF opens as mode I;16B. Its array is right; resize and thumbnail, but with NEAREST,
# interpolate numbers whose bytes are swapped. Of deflated big-endian int16 and float32, the array itself is swapped: 1
# becomes 256. No error, no warning. The same picture in a little-endian file is right.
# Who meets it: thumbnails and data loaders of TIFFs that begin with MM, as microscopes and older software write them.
# Remedy: tifffile.imread; or, of unsigned 16 bits, convert("I") before anything else.
# Source: the run below; Resample.c of Pillow, and its TIFF decoder, which is handed numbers that libtiff has swapped.
# Output seen: the lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import numpy as np, tifffile
from PIL import Image
def opened(order, values, dtype, **options):
    tifffile.imwrite("t.tif", np.array([values] * 2, dtype), byteorder=order, **options)
    return Image.open("t.tif")
for order in "<>":
    image = opened(order, [0, 1000, 2000, 3000], np.uint16)
    print(order, np.asarray(image)[0].tolist(), "resized", np.asarray(image.resize((2, 1)))[0].tolist(), end=" ")
    print("by way of I", np.asarray(image.convert("I").resize((2, 1)))[0].tolist(), end="; ")
    deflated = opened(order, [1, 3], np.int16, compression="zlib")
    print("int16", np.asarray(deflated)[0].tolist(), "by tifffile", tifffile.imread("t.tif")[0].tolist())
PY
python3 -m venv v
v/bin/pip install -q numpy==2.4.6 pillow==13.0.0 tifffile==2026.3.3 2>pip.log || { cat pip.log; exit 1; }
v/bin/python run.py | tee out
cat > want <<'W'
< [0, 1000, 2000, 3000] resized [587, 2413] by way of I [587, 2413]; int16 [1, 3] by tifffile [1, 3]
> [0, 1000, 2000, 3000] resized [33148, 41935] by way of I [587, 2413]; int16 [256, 768] by tifffile [1, 3]
W
diff want out && echo "as found"
