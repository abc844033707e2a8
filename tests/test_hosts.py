"""Where a demo may find itself: without docstrings, streams, a home folder or a terminal, with another's backend."""

import contextlib
import io
import os
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

from autoencoders.cache import cache_folder
from demos import denoising

SMALL = ["--images", "24", "--epochs", "1", "--quiet"]


def run(*arguments, **more):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, **more)


TWO_DEMOS = """
import sys
from demos import denoising, settings
settings.start("two", denoising.__doc__, sys.argv[1:], denoising.run, lambda *given: None)
"""


def test_without_docstrings_demos_run_and_are_called_by_their_names(tmp_path):
    environment = os.environ | {"NNLITE_BACKEND": "numpy"}  # whose kernels need not be compiled anew
    done = run("-OO", "-c", TWO_DEMOS, *SMALL[:-1], "--out", tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert "[1/2] demos.denoising\n" in done.stderr and (tmp_path / "denoising.png").exists()


def test_stdout_may_be_another_stream(tmp_path):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        denoising.main([*SMALL, "--out", str(tmp_path)])
    assert "Mean squared error" in out.getvalue()


NO_STREAMS = """
import sys
from demos import denoising
sys.stdout = sys.stderr = None
denoising.main(sys.argv[1:])
"""


def test_stdout_and_stderr_may_be_missing(tmp_path):
    done = run("-c", NO_STREAMS, *SMALL[:-1], "--out", tmp_path)
    assert done.returncode == 0 and (tmp_path / "denoising.png").exists()


@pytest.fixture
def images(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((12, 64, 64, 3), np.uint8))
    return tmp_path / "images.npy"


@pytest.mark.parametrize("backend", ["module://of.nobody", "nonsense"])
def test_a_backend_of_matplotlib_that_is_not_here_is_not_wanted_for_files(tmp_path, images, backend):
    command, environment = ("-m", "demos.contact_sheet", "--data", images), os.environ | {"MPLBACKEND": backend}
    done = run(*command, "--out", tmp_path / "out", env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "contact_sheet.png").exists()


def test_without_a_home_one_error_says_how_to_name_a_cache(monkeypatch):
    pwd = pytest.importorskip("pwd")

    def unknown(number):
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(
        OSError, match="^~: found no home folder, wanted a cache folder; XDG_CACHE_HOME may name another$"
    ):
        cache_folder()


def test_a_terminal_that_is_closed_saves_the_training(tmp_path):
    pty = pytest.importorskip("pty")
    child, terminal = pty.fork()
    if child == 0:
        options = ["--images", "200", "--epochs", "1000", "--out", str(tmp_path)]
        os.execv(sys.executable, [sys.executable, "-m", "demos.reconstruction", *options])
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))  # rows and columns, for the bar
    shown = b""
    while b"images/s" not in shown:
        shown += os.read(terminal, 10_000)
    os.close(terminal)  # which sends SIGHUP, and fails all that is written from here on
    deadline = time.monotonic() + 60
    while os.waitpid(child, os.WNOHANG)[0] != child:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (tmp_path / "fcn.checkpoint.npz").exists()


HUNG_UP = """
import os, signal, sys
from demos import denoising, trained

def train(*given, train=trained.train, **named):
    os.kill(os.getpid(), signal.SIGHUP)
    return train(*given, **named)

signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
trained.train = train
denoising.main(sys.argv[1:])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="wants SIGHUP")
def test_nohup_goes_on(tmp_path):
    assert run("-c", HUNG_UP, *SMALL, "--out", tmp_path).returncode == 0
