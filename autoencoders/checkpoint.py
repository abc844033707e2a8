"""Checkpoints: all that a training changes, on disk, so that one that was interrupted goes on as if it had not been."""

import contextlib
import hashlib
import json
import signal
import threading
import time

import numpy as np

from nnlite.serialization import Unfit, open_npz, save_arrays

FORMAT = 1  # another number for another way to read the file


class Interrupted(KeyboardInterrupt):
    """A signal stopped a training, which was saved before. signal: its number."""

    def __init__(self, number, message):
        super().__init__(message)
        self.signal = number


class Checkpoint:
    """Where and how often train(..., checkpoint=...) saves its state.

    path: the .npz file. every: seconds between two saves. resume: begin with the state that was saved at `path`, if
    there is one. settings: what must be as it was for that, beside the arguments of train: {name: what JSON holds}.

    Ctrl-C and SIGTERM let the training finish its step and save; then it raises Interrupted. A second one does at once
    what it always does. A training that was resumed ends with the weights of one that was never interrupted, to the
    bit, on the same machine with the same versions, backend and number of threads.

    Resuming raises ValueError, naming the file, if it is damaged or the state of a training of other settings.
    """

    def __init__(self, path, *, every=60.0, resume=False, settings=None):
        if not every >= 0:
            raise ValueError(f"Checkpoint: every is {every}, wanted 0 seconds or more")
        self.path, self.every, self.resume, self.settings = path, every, resume, settings or {}
        self._signal = None

    @contextlib.contextmanager
    def of(self, run):
        """While the block runs, the state of the training `run` is this checkpoint's: loaded at first if `resume`."""
        self._run, self._saved = run, time.monotonic()
        if self.resume:
            with contextlib.suppress(FileNotFoundError):
                self._load()
        with self._noting_signals():
            yield

    def after_step(self):
        """Save if it is time, or if a signal came, and then stop."""
        if self._signal is None and time.monotonic() - self._saved < self.every:
            return
        self._save()
        if self._signal is not None:
            name = signal.Signals(self._signal).name
            raise Interrupted(self._signal, f"stopped by {name} after {self._run.position()}, saved in {self.path}")
        self._saved = time.monotonic()

    def _save(self):
        self._run.require_finite()
        state = _to_json({"format": FORMAT, "settings": self._settings(), "numbers": self._run.numbers()})
        arrays = self._run.arrays() | self._run.split()
        texts = {"state": state, "checksum": _checksum(state, arrays)}
        save_arrays(self.path, arrays | {name: np.frombuffer(text.encode(), np.uint8) for name, text in texts.items()})

    def _load(self):
        with open_npz(self.path) as npz:
            checksum, state = npz.pop_text("checksum"), npz.pop_text("state")
            saved = json.loads(state)
            if saved["format"] != FORMAT:
                raise Unfit(f"found a checkpoint of format {saved['format']}, wanted {FORMAT}")
            _require_same(saved["settings"], json.loads(_to_json(self._settings())))
            split = self._run.split()
            arrays = npz.read(self._run.arrays() | split)
            if _checksum(state, arrays) != checksum:
                raise Unfit("found another checksum than its contents have")
            if not all(np.array_equal(arrays[name], rows) for name, rows in split.items()):
                raise Unfit("found a checkpoint of another split into training and validation images")
            self._run.restore(saved["numbers"], arrays)

    def _settings(self):
        return self._run.settings | self.settings

    @contextlib.contextmanager
    def _noting_signals(self):
        if threading.current_thread() is not threading.main_thread():  # others may set no handlers
            yield
            return

        def note(number, frame):
            self._signal = number
            signal.signal(number, before[number])

        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) or signal.SIG_DFL for number in numbers}
        for number in numbers:
            signal.signal(number, note)
        try:
            yield
        finally:
            for number in numbers:
                signal.signal(number, before[number])


def _to_json(value):
    return json.dumps(value, default=lambda array: array.tolist())  # a generator's state may hold some, or np.float32


def _checksum(state, arrays):
    digest = hashlib.sha256(state.encode())
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]))
    return digest.hexdigest()


def _require_same(found, wanted):
    differences = [
        f"{name} is {found.get(name)}, wanted {wanted.get(name)}"
        for name in found | wanted
        if found.get(name) != wanted.get(name)
    ]
    if differences:
        raise Unfit(f"found a checkpoint of other settings: {'; '.join(differences)}")
