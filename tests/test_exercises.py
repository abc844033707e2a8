"""docs/exercises.md: each program fails as it is printed, and passes with the lines that are asked for."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROGRAM
from exercise_solutions import SOLUTIONS

PAGE = (Path(__file__).parents[1] / "docs" / "exercises.md").read_text(encoding="utf-8")
PROGRAMS = {block.split()[1]: block for block in PROGRAM.findall(PAGE)}
HOLE = re.compile(r"^ +\.\.\. .*$", re.M)


def run(name, folder, text):
    (folder / name).write_text(text, encoding="utf-8")
    return subprocess.run([sys.executable, name], cwd=folder, capture_output=True, text=True)


def test_each_of_the_ten_has_a_solution_a_command_and_a_hint():
    assert list(PROGRAMS) == list(SOLUTIONS) and len(PROGRAMS) == 10
    assert all(f"`python {name}`" in PAGE for name in PROGRAMS) and PAGE.count("Hint:") == 10
    assert {name: len(HOLE.findall(text)) for name, text in PROGRAMS.items()} == {
        name: len(lines) for name, lines in SOLUTIONS.items()
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_fails_as_it_is_printed(name, tmp_path):
    done = run(name, tmp_path, PROGRAMS[name])
    assert done.returncode == 1 and done.stdout == ""
    assert re.search(r"^(nnlite\.gradcheck\.GradcheckError|AssertionError|TypeError)\b", done.stderr, re.M)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_passes_with_the_lines_that_are_asked_for(name, tmp_path):
    lines = iter(SOLUTIONS[name])

    def filled(hole):
        text, indent = next(lines), re.match(" +", hole.group())[0]
        return text.strip("\n") if "\n" in text else indent + text

    done = run(name, tmp_path, HOLE.sub(filled, PROGRAMS[name]))
    assert done.returncode == 0 and done.stdout, done.stderr
