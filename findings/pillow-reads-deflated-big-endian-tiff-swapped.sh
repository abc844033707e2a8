#!/usr/bin/env bash
# Pillow 13.0.0 with tifffile 2026.3.3 (numpy 2.4.6, CPython 3.11, Linux x86-64): of a big-endian TIFF of int16 or
# float32 that is compressed by deflate, Pillow returns numbers whose bytes are swapped: 1 becomes 256, 1.5 about 7e-41.
# The same file without compression, and the compressed one in little-endian order, are right. No error, no warning.
# Who meets it: elevations, temperatures and scientific images in TIFFs that begin with MM.
# Remedy: tifffile.imread.
# Source: the run below; libtiff has put the bytes in order while it expanded them, and TiffImagePlugin.py of Pillow
# asks for it again. Output seen: the lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import numpy as np, tifffile
from PIL import Image
for order in "<>":
    for compression in (None, "zlib"):
        for values in (np.array([[1, 3]], np.int16), np.array([[1.5, 3]], np.float32)):
            tifffile.imwrite("t.tif", values, byteorder=order, compression=compression)
            right = [np.array_equal(image, values) for image in (tifffile.imread("t.tif"), Image.open("t.tif"))]
            print(order, compression, values.dtype, "tifffile", right[0], "Pillow", right[1])
PY
python3 -m venv v
v/bin/pip install -q numpy==2.4.6 pillow==13.0.0 tifffile==2026.3.3 2>pip.log || { cat pip.log; exit 1; }
v/bin/python run.py | tee out
cat > want <<'W'
< None int16 tifffile True Pillow True
< None float32 tifffile True Pillow True
< zlib int16 tifffile True Pillow True
< zlib float32 tifffile True Pillow True
> None int16 tifffile True Pillow True
> None float32 tifffile True Pillow True
> zlib int16 tifffile True Pillow False
> zlib float32 tifffile True Pillow False
W
diff want out && echo "as found"
