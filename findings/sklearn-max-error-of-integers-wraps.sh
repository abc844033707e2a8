#!/usr/bin/env bash
# scikit-learn 1.9.1 (numpy 2.4.6, scipy 1.17.1, CPython 3.11, Linux x86-64): max_error and median_absolute_error
# subtract in the integer dtype of the arrays, and wrap; mean_absolute_error and mean_squared_error of the same arrays
# are right. Of uint8, a miss by 2 counts as 254: in max_error where the prediction is too high, in
# median_absolute_error where it is too low. No warning.
# Who meets it: whoever scores images, quantised outputs or counts, and has looked at the mean errors alone.
# Remedy: astype(float) of both arrays.
# Source: the run below; sklearn/metrics/_regression.py: these two lack the cast to floats of the others. Output seen:
# the lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import numpy as np
from sklearn.metrics import max_error, mean_absolute_error, mean_squared_error, median_absolute_error
true, predicted = [10, 20, 30], [12, 18, 28]
for score in (mean_absolute_error, mean_squared_error, max_error, median_absolute_error):
    values = [float(score(np.array(true, dtype), np.array(predicted, dtype))) for dtype in (np.uint8, float)]
    print(score.__name__, *values)
PY
python3 -m venv v
v/bin/pip install -q numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 2>pip.log || { cat pip.log; exit 1; }
v/bin/python run.py | tee out
cat > want <<'W'
mean_absolute_error 2.0 2.0
mean_squared_error 4.0 4.0
max_error 254.0 2.0
median_absolute_error 254.0 2.0
W
diff want out && echo "as found"
