import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features

from demos import race, roofline
from demos.race import Race
from nnlite.matmul import ROWS, VECTORS


def test_a_contender_that_has_died_ends_the_program_with_one_line(tmp_path, capsys):
    options = SimpleNamespace(threads=1, prog="benchmark")
    with Race(options, tmp_path / "images.npy", ["nnlite"]) as race, pytest.raises(SystemExit, match="2"):
        race.processes["nnlite"].kill()
        race.ask("nnlite", "begin", 64, 1)
    assert capsys.readouterr().err == (
        "benchmark: error: nnlite: found its process dead, wanted an answer to 'begin'\n"
    )


def test_where_its_path_has_a_space_python_is_called_by_one_that_has_none(tmp_path, monkeypatch):
    spaced = tmp_path / "with a space"
    spaced.symlink_to(sys.prefix)
    python = spaced / Path(sys.executable).relative_to(sys.prefix)
    monkeypatch.setattr(race.sys, "prefix", str(spaced))
    monkeypatch.setattr(race.sys, "executable", str(python))
    for _ in range(2):
        assert race._python(tmp_path) == str(tmp_path / "venv" / python.relative_to(spaced))
        subprocess.run([race._python(tmp_path), "-c", "import numpy"], check=True)


@pytest.mark.skipif(not get_host_cpu_features().get("fma"), reason="counts the instruction fma")
def test_the_most_that_a_processor_multiplies_is_measured_without_products_that_are_computed_once_for_all():
    multiply = numba.njit(roofline._multiply_in_registers.py_func)
    multiply(np.zeros((1, roofline.DEEP * (ROWS + roofline.WIDE)), np.float32), 1)
    [assembly] = multiply.inspect_asm().values()
    assert assembly.count("vfmadd") >= ROWS * VECTORS and "vmulps" not in assembly
