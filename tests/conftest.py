import contextlib
import io
import json
import logging
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import settings
from matplotlib.figure import Figure

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")
signal.signal(signal.SIGINT, signal.default_int_handler)  # which the background jobs of a shell ignore


def pytest_addoption(parser):
    parser.addoption("--seeds", type=int, default=1, help="how many numbers to try test_student_layers.py with")


def pytest_generate_tests(metafunc):
    if "other_seed" in metafunc.fixturenames:
        metafunc.parametrize("other_seed", range(1, metafunc.config.getoption("seeds")))


@pytest.fixture(autouse=True)
def everything_is_said():
    """Whatever --quiet of a test before has left."""
    logging.getLogger("nnlite").setLevel(logging.NOTSET)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def python(code, folder=None, **environment):
    """(stdout, stderr) of a new interpreter, in `folder`, that runs `code` and is to succeed."""
    command, environment = [sys.executable, "-c", code], os.environ | environment
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


class Rows:
    """Rows of an array in place of images."""

    def __init__(self, array):
        self.array = array

    def subset(self, indices):
        return Rows(self.array[indices])

    def __len__(self):
        return len(self.array)

    def batches(self, batch_size, rng=None):
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        for start in range(0, len(self), batch_size):
            yield self.array[order[start : start + batch_size]]


SMALL = ("--images", "200", "--epochs", "3")


class SmallRun(NamedTuple):
    """What `python -m demos` left: its folder, what it printed, and {file name: Figure}."""

    folder: Path
    out: str
    err: str
    figures: dict

    def results(self, name):
        return json.loads((self.folder / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """One run of all demos."""
    folder, figures, savefig = tmp_path_factory.mktemp("small_run"), {}, Figure.savefig
    out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))

    def save_and_keep(figure, file, **settings):
        figures[Path(file.name).name.partition(".png")[0] + ".png"] = figure
        savefig(figure, file, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", save_and_keep)
        patch.setattr("demos.latent_scaling.PROBE_FACES", 100)
        patch.setattr("sys.argv", ["demos", *SMALL, "--out", str(folder)])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_module("demos", run_name="__main__")
    return SmallRun(folder, *(stream.buffer.getvalue().decode() for stream in (out, err)), figures)
