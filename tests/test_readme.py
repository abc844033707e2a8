"""README.md: its two programs run as they are printed."""

import re
from pathlib import Path

from PIL import Image

README = Path(__file__).parents[1] / "README.md"
LIBRARY, DEMO = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)


def test_the_library_in_a_few_lines_learns(capsys):
    exec(LIBRARY, {})
    loss, _, before = capsys.readouterr().out.splitlines()[-1].split()
    assert float(loss) < 0.1 * float(before)


def test_a_demo_of_your_own_writes_its_figure(tmp_path):
    demo = {"__name__": "halfway"}
    exec(DEMO, demo)
    demo["main"](["--images", "60", "--epochs", "1", "--out", str(tmp_path)])
    assert Image.open(tmp_path / "halfway.png").size[0] > 10 * 64
