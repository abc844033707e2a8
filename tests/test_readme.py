"""README.md: its programs run as they are printed, the VAE on fewer faces."""

from pathlib import Path

from conftest import PROGRAM
from PIL import Image

README = Path(__file__).parents[1] / "README.md"
LIBRARY, SAMPLES, DEMO = PROGRAM.findall(README.read_text(encoding="utf-8"))


def test_the_library_in_a_few_lines_learns(capsys):
    exec(LIBRARY, {})
    loss, _, before = capsys.readouterr().out.splitlines()[-1].split()
    assert float(loss) < 0.1 * float(before)


def test_the_vae_paints_eight_faces(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(SAMPLES.strip().splitlines()) <= 15 and "count=2000" in SAMPLES and "epochs=10" in SAMPLES
    exec(SAMPLES.replace("count=2000", "count=60").replace("epochs=10", "epochs=1"), {})
    assert Image.open("samples.png").size == (8 * 64, 64)


def test_a_demo_of_your_own_writes_its_figure(tmp_path):
    demo = {"__name__": "halfway"}
    exec(DEMO, demo)
    demo["main"](["--images", "60", "--epochs", "1", "--out", str(tmp_path)])
    assert Image.open(tmp_path / "halfway.png").size[0] > 10 * 64
