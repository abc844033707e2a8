"""docs/weights.md: each program moves the autoencoder to another library and back."""

import importlib.util
import os
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import PROGRAM

PAGE = (Path(__file__).parents[1] / "docs" / "weights.md").read_text(encoding="utf-8")
START, *SECTIONS = PAGE.split("\n## ")
PROGRAMS = {section.split("\n")[0]: PROGRAM.findall(section) for section in SECTIONS}


@pytest.mark.parametrize("library", PROGRAMS)
def test_the_outputs_are_the_same_there_and_the_weights_come_back(library, tmp_path, monkeypatch):
    for module in re.findall(r"^(?:import|from) (\w+)", "".join(PROGRAMS[library]), re.M):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"wants {module}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())  # Keras's program names a backend
    names = {}
    exec(*PROGRAM.findall(START), names)
    ours, back, x = names["ours"], names["back"], names["x"]
    for program in PROGRAMS[library]:
        back.load_state_dict({name: np.zeros_like(array) for name, array in back.state_dict().items()})
        exec(program, names)
        assert all(np.array_equal(a, b) for a, b in zip(back.state_dict().values(), ours.state_dict().values()))
    outputs = names["outputs"]
    assert np.abs(outputs).max() > 0.05  # enough for the last tanh to count
    np.testing.assert_allclose(outputs, ours(x), rtol=0, atol=1e-6)
