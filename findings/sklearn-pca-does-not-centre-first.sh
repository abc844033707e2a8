#!/usr/bin/env bash
# scikit-learn 1.9.1 (numpy 2.4.6, scipy 1.17.1, CPython 3.11, Linux x86-64): PCA() does not centre its data first where
# there are at least 10 rows a column and at most 1000 columns: it multiplies X.T @ X in the dtype of X, and takes the
# mean's part off after. The docstring says of this solver "on centered data", and that its stability is less where
# singular values differ much, which those of the data here do not. Variances of float32 around 1e5 with deviations 3, 2
# and 1, or of float64 around 1.7e9, such as times in seconds, are off by more than half. No warning.
# Who meets it: times, pressures in pascal, coordinates in metres, without a scaler before.
# Remedy: PCA(svd_solver="full"), or subtract the mean before.
# Source: the run below; _fit_full in sklearn/decomposition/_pca.py, at C = X.T @ X. Output seen: the lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import numpy as np
from sklearn.decomposition import PCA
z = np.random.default_rng(0).standard_normal((1000, 3)) * [3, 2, 1]
for name, x in {"float32 around 1e5": (z + 1e5).astype(np.float32), "float64 around 1.7e9": z + 1.7e9}.items():
    centred = x - x.mean(axis=0, dtype=np.float64)
    true = np.linalg.eigvalsh(np.cov(centred, rowvar=False))[::-1]
    errors = [np.max(np.abs(pca.fit(x).explained_variance_ / true - 1)) for pca in (PCA(), PCA(svd_solver="full"))]
    print(name, *(f"below 1%: {error < 0.01}, above 50%: {error > 0.5};" for error in errors))
PY
python3 -m venv v
v/bin/pip install -q numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 2>pip.log || { cat pip.log; exit 1; }
v/bin/python run.py | tee out
cat > want <<'W'
float32 around 1e5 below 1%: False, above 50%: True; below 1%: True, above 50%: False;
float64 around 1.7e9 below 1%: False, above 50%: True; below 1%: True, above 50%: False;
W
diff want out && echo "as found"
