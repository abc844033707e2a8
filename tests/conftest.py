import contextlib
import io
import json
import logging
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import settings
from matplotlib.figure import Figure

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")
CHROMIUM = shutil.which("chromium")
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)  # in a page of docs
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


class Browser:
    """Headless Chromium over its DevTools protocol: messages of JSON, each ended by a zero byte, over two pipes."""

    def __init__(self, profile):
        command = 'exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>&2'
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        ]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(["sh", "-c", command, CHROMIUM, *options], **pipes)
        self.events, self._number, self._session = [], 0, {}
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")

    def do(self, method, **parameters):
        """The result of a command; events that come before it are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | self._session
        self.process.stdin.write(json.dumps(message).encode() + b"\0")
        self.process.stdin.flush()
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self):
        watchdog = threading.Timer(60, self.process.kill)  # a browser that does not answer is an error, no wait
        watchdog.start()
        message = bytearray()
        while (byte := self.process.stdout.read(1)) != b"\0":
            assert byte, "chromium has ended"
            message += byte
        watchdog.cancel()
        return json.loads(message)

    def open(self, path, width, scheme="light", part=""):
        """Open a page, at a `part` of it; returns what is wrong: what it logged, asked for, drew beyond the window."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500)
        self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        for url in ("about:blank", path.as_uri() + part):  # the former, else only the part after # may be another one
            self.events.clear()
            self.do("Page.navigate", url=url)
            while not any(event["method"] == "Page.loadEventFired" for event in self.events):
                self.events.append(self._read())
        drawn = self.evaluate("document.documentElement.scrollWidth")
        complete = self.evaluate("[...document.images].every(image => image.complete && image.naturalWidth)")
        complaints = self.complaints(path.as_uri())
        wrong = [event["params"].get("request", {}).get("url", event["method"]) for event in complaints]
        if drawn > width:
            wrong.append(f"{drawn} pixels wide")
        if not complete:
            wrong.append("a picture is missing")
        return wrong

    def complaints(self, page=None):
        """The events in which something was logged or asked for, but for the `page` itself and what is in it."""
        found = []
        for event in self.events:
            if event["method"] == "Network.requestWillBeSent":
                url = event["params"]["request"]["url"]
                if page is None or not (url.startswith("data:") or url.partition("#")[0] == page):
                    found.append(event)
            elif event["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
                found.append(event)
        return found

    def evaluate(self, expression):
        """The value of an expression of JavaScript; that of a promise is waited for."""
        done = self.do("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def close(self):
        self.do("Browser.close")
        self.process.communicate(timeout=30)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("wants chromium, Debian's package of that name")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
