#!/usr/bin/env bash
# Pillow 13.0.0 (the same in 12.3.0 and 11.3.0; numpy 2.4.6, CPython 3.11, Linux x86-64): of a 16-bit grey image, mode
# I;16, as a 16-bit PNG opens, resize is right, but rotate and transform with BILINEAR or BICUBIC interpolate single
# bytes: pixels of 1000 become 6 and 232. paste(1000, box) writes the lower byte twice: 0x03e8 becomes 0xe8e8 = 59624.
# No error, no warning; with NEAREST, the default, rotate is right.
# Who meets it: augmentation and registration of depth maps, X-rays, microscope images.
# Remedy: convert("I") or convert("F") first; go back by way of "I", for convert from "F" to "I;16" clips at 255.
# Source: the run below; bilinear_filter8 in Geometry.c and fill in Paste.c of Pillow. Issue 1127 of Pillow tells of
# transform. Output seen: the lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import numpy as np
from PIL import Image
flat = Image.fromarray(np.full((5, 5), 1000, np.uint16))
def middle(image): return np.unique(np.asarray(image)[2, 1:4]).tolist()
for image in (flat, flat.convert("I")):
    pasted = image.copy()
    pasted.paste(1000, (0, 0, 5, 5))
    print(image.mode, "resized", middle(image.resize((5, 6), Image.BILINEAR)), "rotated",
          middle(image.rotate(10, Image.BILINEAR)), "pasted", middle(pasted))
PY
python3 -m venv v; v/bin/pip install -q numpy==2.4.6 pillow==13.0.0 2>pip.log || { cat pip.log; exit 1; }
v/bin/python run.py | tee out
cat > want <<'W'
I;16 resized [1000] rotated [6, 232] pasted [59624]
I resized [1000] rotated [1000] pasted [1000]
W
diff want out && echo "as found"
