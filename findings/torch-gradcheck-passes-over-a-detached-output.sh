#!/usr/bin/env bash
# torch 2.13.0 (numpy 2.4.6, CPython 3.11, Linux x86-64): where one output of a function requires grad,
# torch.autograd.gradcheck leaves out those that do not. A function whose gradient is lost by detach() fails alone;
# beside a right output in a tuple it passes, with fast_mode too. A gradient that is there and wrong is found.
# Who meets it: tests of functions with several outputs: an output and a hidden state, terms of a loss.
# Remedy: assert all(y.requires_grad for y in f(*inputs)) beside gradcheck.
# Source: the run below; _differentiable_outputs in torch/autograd/gradcheck.py. Output seen: the lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import torch
from torch.autograd import gradcheck
functions = {
    "x**3, detached": lambda x: x.detach() ** 3,
    "x**2 and x**3, detached": lambda x: (x**2, x.detach() ** 3),
    "x**2 and x**3 with a wrong slope": lambda x: (x**2, (x**3).detach() + x - x.detach()),
}
x = torch.tensor([2.0, 3.0], dtype=torch.float64, requires_grad=True)
for name, f in functions.items():
    print(f"{name}:", *(gradcheck(f, (x,), raise_exception=False, fast_mode=fast) for fast in (False, True)))
PY
python3 -m venv v; v/bin/pip install -q torch==2.13.0 numpy==2.4.6 2>pip.log || { cat pip.log; exit 1; }
v/bin/python run.py 2>err | tee out || { cat err; exit 1; }
cat > want <<'W'
x**3, detached: False False
x**2 and x**3, detached: True True
x**2 and x**3 with a wrong slope: False False
W
diff want out && echo "as found"
