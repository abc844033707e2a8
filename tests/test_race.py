import os
from types import SimpleNamespace

import pytest

from demos import race
from demos.race import Race


def test_a_contender_that_has_died_ends_the_program_with_one_line(tmp_path, capsys):
    options = SimpleNamespace(threads=1, prog="benchmark")
    with Race(options, tmp_path / "images.npy", ["nnlite"]) as race, pytest.raises(SystemExit, match="2"):
        race.processes["nnlite"].kill()
        race.ask("nnlite", "begin", 64, 1)
    assert capsys.readouterr().err == (
        "benchmark: error: nnlite: found its process dead, wanted an answer to 'begin'\n"
    )


def test_where_its_path_has_a_space_python_is_called_by_one_that_has_none(tmp_path, monkeypatch):
    (tmp_path / "with a space").mkdir()
    monkeypatch.setattr(race.sys, "prefix", f"{tmp_path}/with a space")
    monkeypatch.setattr(race.sys, "executable", f"{tmp_path}/with a space/bin/python")
    assert race._python(tmp_path) == race._python(tmp_path) == f"{tmp_path}/venv/bin/python"
    assert os.readlink(tmp_path / "venv") == race.sys.prefix
