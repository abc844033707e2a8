#!/usr/bin/env bash
# Pillow 13.0.0 (numpy 2.4.6, CPython 3.11, Linux x86-64): rotate with BILINEAR or BICUBIC of a 16-bit grey image, mode
# I;16, as which a 16-bit PNG opens, interpolates single bytes: pixels of 1000, 0x03e8, become 6 and 232. resize of the
# same image is right, and so is rotate with NEAREST, its default. No error, no warning.
# Who meets it: augmentation and registration of depth maps, X-rays, microscope images.
# Remedy: convert("I") first.
# Source: the run below; bilinear_filter8 in Geometry.c of Pillow. Its issue 1127 tells of transform. Output seen: the
# lines of "want".
set -euo pipefail
d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
cat > run.py <<'PY'
import numpy as np
from PIL import Image
flat = Image.fromarray(np.full((5, 5), 1000, np.uint16))
def middle(image): return np.unique(np.asarray(image)[2, 1:4]).tolist()
for image in (flat, flat.convert("I")):
    print(image.mode, "resized", middle(image.resize((5, 6), Image.BILINEAR)), "rotated", *(
        middle(image.rotate(10, resample)) for resample in (Image.NEAREST, Image.BILINEAR, Image.BICUBIC)))
PY
python3 -m venv v; v/bin/pip install -q numpy==2.4.6 pillow==13.0.0 2>pip.log || { cat pip.log; exit 1; }
v/bin/python run.py | tee out
cat > want <<'W'
I;16 resized [1000] rotated [1000] [6, 232] [3, 232]
I resized [1000] rotated [1000] [1000] [1000]
W
diff want out && echo "as found"
