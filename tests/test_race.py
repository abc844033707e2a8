from types import SimpleNamespace

import pytest

from demos.race import Race


def test_a_contender_that_has_died_ends_the_program_with_one_line(tmp_path, capsys):
    options = SimpleNamespace(threads=1, prog="benchmark")
    with Race(options, tmp_path / "images.npy", ["nnlite"]) as race, pytest.raises(SystemExit, match="2"):
        race.processes["nnlite"].kill()
        race.ask("nnlite", "begin", 64, 1)
    assert capsys.readouterr().err == (
        "benchmark: error: nnlite: found its process dead, wanted an answer to 'begin'\n"
    )
