#!/usr/bin/env bash
# numba 0.68.1 (numpy 2.4.6, CPython 3.11, Linux x86-64): np.median of an array with NaN is a number or NaN in jitted
# code, by where the NaN stand. NumPy's is NaN, and so is np.percentile(a, 50) in jitted code.
# Who meets it: compiled medians and background levels of data whose gaps are NaN.
# Remedy: np.isnan(a).any() first, or np.nanmedian.
# Source: the run below; in numba/np/arraymath.py the median is selected by `<`, which NaN fails. Numba's issue 10095.
# Output seen: the lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import numpy as np
from numba import njit
def median(a): return np.median(a)
def percentile(a): return np.percentile(a, 50)
nan = np.nan
a, b = np.array([3, nan, 1, nan, 2]), np.array([1, 2, 3, nan, nan])
for name, compiled in {"NumPy": lambda function: function, "Numba": njit}.items():
    print(name, "medians", compiled(median)(a), compiled(median)(b), "percentile", compiled(percentile)(a))
PY
python3 -m venv v; v/bin/pip install -q numba==0.68.1 numpy==2.4.6 2>pip.log || { cat pip.log; exit 1; }
v/bin/python run.py | tee out
cat > want <<'W'
NumPy medians nan nan percentile nan
Numba medians 2.0 nan percentile nan
W
diff want out && echo "as found"
