"""Short runs of the three experiments of docs/nothing_lost.md."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parent
linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process from /proc")


def said_by(script, *arguments):
    command = [sys.executable, str(EXPERIMENTS / script), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.mark.slow
def test_killed_trainings_end_as_if_they_had_not_been_killed():
    said = said_by("kills.py", "--kills", "2", "--hidden", "32", "--every", "0")
    assert re.search("^2 kills, .*; all ended bit-identical$", said, re.MULTILINE)


@linux
@pytest.mark.slow
def test_mutated_files_do_the_loaders_no_harm():
    said = said_by("mutations.py", "--seconds", "6")
    wanted = ["loader", "weights", "checkpoint", "arrays", "pictures", "archives", "cache"]
    assert re.findall(r"^\w+", said, re.MULTILINE) == wanted


@linux
@pytest.mark.slow
def test_training_on_140_000_images_takes_the_memory_of_10_000():
    said = said_by("memory.py", "--steps", "10", "--every", "0.2", "--sparse")
    assert len(re.findall(r"\d+ MiB", said)) == 2  # it ends otherwise if one is too large
