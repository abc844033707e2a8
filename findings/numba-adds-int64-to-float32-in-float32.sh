#!/usr/bin/env bash
# numba 0.68.1 (numpy 2.4.6, CPython 3.11, Linux x86-64): in jitted code the sum of an int64 array and a float32 array
# is a float32 array, and the integers are rounded to 24 bits; NumPy gives float64. The same numbers, added one by one
# in a jitted loop, are added in float64.
# Who meets it: who compiles NumPy code that joins float32 data with times in seconds, counts or IDs.
# Remedy: astype(np.float64) on one of the two.
# Source: the run below; ufunc_can_cast in numba/np/numpy_support.py takes any integer to fit any float (Numba's issue
# 2006, for float32 ** int). Output seen: the lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import numpy as np
from numba import njit
def whole(t, f): return t + f
def loop(t, f): return np.array([t[i] + f[i] for i in range(len(t))])
seconds, part = np.array([1_700_000_001]), np.array([0.5], np.float32)
for name, function in {"NumPy": whole, "Numba": njit(whole), "Numba, a loop": njit(loop)}.items():
    y = function(seconds, part)
    print(name, y.dtype, f"{y[0]:.1f}")
PY
python3 -m venv v; v/bin/pip install -q numba==0.68.1 numpy==2.4.6 2>pip.log || { cat pip.log; exit 1; }
v/bin/python run.py | tee out
cat > want <<'W'
NumPy float64 1700000001.5
Numba float32 1700000000.0
Numba, a loop float64 1700000001.5
W
diff want out && echo "as found"
