#!/usr/bin/env bash
# matplotlib 3.11.2 (numpy 2.4.6, Pillow 13.0.0, CPython 3.11, Linux x86-64): imsave with cmap="gray", vmin=0, vmax=255
# lowers 24 of the 256 grey levels of a uint8 image by one; 33 and 32 become the same. The same image stacked to (H, W,
# 3) is saved as it is.
# Who meets it: whoever saves grey images, masks or label maps and reads them again: label 33 is 32.
# Remedy: save by Pillow, or np.dstack([image] * 3).
# Source: the run below; Colormap._get_rgba_and_mask in matplotlib/colors.py: the table, 32.999... / 255 times 255, is
# cut to bytes and not rounded. Issue 12071 of matplotlib, closed as inactive. Output seen: the lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import matplotlib.pyplot as plt, numpy as np
from PIL import Image
levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
plt.imsave("grey.png", levels, cmap="gray", vmin=0, vmax=255)
plt.imsave("rgb.png", np.dstack([levels] * 3))
for name in ("grey.png", "rgb.png"):
    back = np.asarray(Image.open(name))[..., 0].astype(int)
    print(name, "levels that came back as others:", np.count_nonzero(back != levels), end="; ")
    print("33 came back as", back.flat[33])
PY
python3 -m venv v
v/bin/pip install -q numpy==2.4.6 pillow==13.0.0 matplotlib==3.11.2 2>pip.log || { cat pip.log; exit 1; }
MPLBACKEND=agg v/bin/python run.py | tee out
cat > want <<'W'
grey.png levels that came back as others: 24; 33 came back as 32
rgb.png levels that came back as others: 0; 33 came back as 33
W
diff want out && echo "as found"
