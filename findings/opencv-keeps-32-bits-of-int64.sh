#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93 and 4.14.0.94 (numpy 2.4.6, CPython 3.11, Linux x86-64): functions take an int64 array
# and compute with the lower 32 bits of its numbers, in int32: 2**32 + 7 is 7, 2**31 is -2**31. No error, no warning,
# though version 5 has a type of 64-bit integers.
# Who meets it: label maps, IDs, sums and histograms, for int64 is what NumPy makes of Python's integers.
# Remedy: astype(np.float64) up to 2**53, or keep such arrays in NumPy; astype(np.int32) after a look at max().
# Source: the run below; the conversion of NumPy arrays in modules/python of OpenCV. Output seen: the lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import cv2, numpy as np
a = np.array([[7, 2**31, 2**32 + 7]])
for b in (a, a.astype(float)):
    y = cv2.flip(b, 1)
    print(cv2.__version__, b.dtype, "flipped:", y.dtype, y.ravel().astype(int).tolist(), end="; ")
print("largest:", int(cv2.minMaxLoc(a)[1]))
PY
for v in 4.14.0.94 5.0.0.93; do
  python3 -m venv "v$v"; "v$v/bin/pip" install -q numpy==2.4.6 opencv-python-headless==$v 2>log || { cat log; exit 1; }
  "v$v/bin/python" run.py | tee -a out
done
cat > want <<'W'
4.14.0 int64 flipped: int32 [7, -2147483648, 7]; 4.14.0 float64 flipped: float64 [4294967303, 2147483648, 7]; largest: 7
5.0.0 int64 flipped: int32 [7, -2147483648, 7]; 5.0.0 float64 flipped: float64 [4294967303, 2147483648, 7]; largest: 7
W
diff want out && echo "as found"
