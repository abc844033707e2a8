#!/usr/bin/env bash
# torch 2.13.0 (numpy 2.4.6, CPython 3.11, Linux x86-64): a scheduler made anew for a restored optimizer, with
# last_epoch = the epochs done - 1, goes on rightly if it is a CosineAnnealingLR, PolynomialLR or ExponentialLR. A
# StepLR or MultiStepLR multiplies by gamma once more where the epochs done are one of its steps, as at many a
# checkpoint. No warning.
# Who meets it: who resumes without the scheduler's state_dict; the run goes on at a tenth of its rate and looks
# converged.
# Remedy: make the scheduler as at first, then load the state_dicts of both.
# Source: the run below; get_lr of StepLR and MultiStepLR in torch/optim/lr_scheduler.py does not ask for _is_initial,
# as that of ExponentialLR does since pull request 149312 (issue 102261). Output seen: the lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import torch
from torch.optim import lr_scheduler
def sgd(): return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
for name, options in {"StepLR": {"step_size": 4}, "CosineAnnealingLR": {"T_max": 10}}.items():
    kind, first, resumed = getattr(lr_scheduler, name), sgd(), sgd()
    scheduler = kind(first, **options)
    for _ in range(4):
        first.step()
        scheduler.step()
    resumed.load_state_dict(first.state_dict())
    kind(resumed, **options, last_epoch=3)
    print(name, *(f"{optimizer.param_groups[0]['lr']:.4f}" for optimizer in (first, resumed)))
PY
python3 -m venv v; v/bin/pip install -q torch==2.13.0 numpy==2.4.6 2>pip.log || { cat pip.log; exit 1; }
v/bin/python run.py 2>/dev/null | tee out
cat > want <<'W'
StepLR 0.1000 0.0100
CosineAnnealingLR 0.6545 0.6545
W
diff want out && echo "as found"
