"""docs/weights.md: each program moves the autoencoder to another library and back."""

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "weights.md").read_text(encoding="utf-8")
START, *SECTIONS = re.split(r"^## ", PAGE, flags=re.M)
PROGRAMS = {text.split("\n")[0]: re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S) for text in SECTIONS}


@pytest.fixture
def start(monkeypatch, tmp_path):
    """The names of the page's first program, with weights large enough for the last tanh to matter."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(re.search(r"^```python\n(.*?)^```$", START, re.M | re.S)[1], names)
    for parameter in names["ours"].parameters():
        parameter.data *= 3
    return names


@pytest.mark.parametrize("library", PROGRAMS)
def test_the_outputs_are_the_same_there_and_the_weights_come_back(library, start):
    for module in re.findall(r"^(?:import|from) (\w+)", "".join(PROGRAMS[library]), re.M):
        pytest.importorskip(module)
    ours, back, x = start["ours"], start["back"], start["x"]
    for program in PROGRAMS[library]:
        for parameter in back.parameters():
            parameter.data[...] = 0
        exec(program, start)
        np.testing.assert_allclose(start["outputs"], ours(x), rtol=0, atol=1e-5)
        assert all(np.array_equal(a, b) for a, b in zip(back.state_dict().values(), ours.state_dict().values()))
    assert np.abs(start["outputs"]).max() > 0.9
