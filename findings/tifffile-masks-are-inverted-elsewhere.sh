#!/usr/bin/env bash
# tifffile 2026.3.3 with Pillow 13.0.0 and opencv-python-headless 5.0.0.93 (numpy 2.4.6, CPython 3.11, Linux x86-64):
# imwrite of a bool array makes a file of one bit a pixel that is marked "white is zero", and writes True as 1. Pillow
# and OpenCV heed the mark and read the mask inverted; tifffile does not, and its own round trip looks right.
# Who meets it: segmentation masks that tifffile has written and another data loader reads.
# Remedy: photometric="minisblack", or mask.astype(np.uint8) * 255.
# Source: the run below; TiffWriter.write in tifffile.py: MINISWHITE where the image is bilevel. Its docstring says that
# the default is inferred from shape, dtype and colormap. Output seen: the lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import cv2, numpy as np, tifffile
from PIL import Image
mask = np.zeros((8, 16), bool)
mask[2:4, 3:6] = True
for name, array in {"bool": mask, "uint8": mask.astype(np.uint8) * 255}.items():
    tifffile.imwrite("m.tif", array)
    read = tifffile.imread("m.tif"), np.asarray(Image.open("m.tif")), cv2.imread("m.tif", cv2.IMREAD_UNCHANGED)
    print(name, *(f"{reader} {np.count_nonzero(a)}" for reader, a in zip(("tifffile", "Pillow", "OpenCV"), read)))
PY
python3 -m venv v; v/bin/pip install -q numpy==2.4.6 pillow==13.0.0 tifffile==2026.3.3 \
  opencv-python-headless==5.0.0.93 2>pip.log || { cat pip.log; exit 1; }
v/bin/python run.py | tee out
cat > want <<'W'
bool tifffile 6 Pillow 122 OpenCV 122
uint8 tifffile 6 Pillow 6 OpenCV 6
W
diff want out && echo "as found"
