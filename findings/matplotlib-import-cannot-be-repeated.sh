#!/usr/bin/env bash
# matplotlib 3.11.2 (numpy 2.4.6, CPython 3.11, Linux x86-64): where MPLBACKEND names a backend that is not installed,
# `import matplotlib` raises ValueError. After the variable is put right, the same import in the same process raises
# AttributeError: module 'matplotlib' has no attribute '_docstring'. Python has dropped the half-made package and kept
# its submodules, which it does not set as attributes of the new one.
# Who meets it: commands that a notebook starts, for they inherit its MPLBACKEND; tests and servers that catch the first
# error and try again: the second hides the reason.
# Remedy: put MPLBACKEND right before the first import; else a new process.
# Source: the run below; matplotlib/__init__.py reads the variable at its end. Output seen: the lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import os
for backend in ("not_installed", "agg"):
    os.environ["MPLBACKEND"] = backend
    try:
        import matplotlib
        print(backend, matplotlib.get_backend())
    except Exception as error:
        print(backend, type(error).__name__, str(error)[:50])
PY
python3 -m venv v; v/bin/pip install -q numpy==2.4.6 matplotlib==3.11.2 2>pip.log || { cat pip.log; exit 1; }
v/bin/python run.py | tee out
cat > want <<'W'
not_installed ValueError Key backend: 'not_installed' is not a valid value 
agg AttributeError module 'matplotlib' has no attribute '_docstring'
W
diff want out && echo "as found"
