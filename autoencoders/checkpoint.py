"""Checkpoints: all that a training changes, on disk, so that one that was interrupted goes on as if it had not been."""

import contextlib
import hashlib
import json
import math
import os
import signal
import threading
import time

import numpy as np

from nnlite.backend import current_backend
from nnlite.serialization import Mismatch, open_npz, save_arrays

FORMAT = 4  # another number for another way to read the file
LONGEST = 200  # characters of a setting, in a message
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """A signal stopped a training, which was saved before. signal: its number; exit with 128 + signal, as is usual."""

    def __init__(self, number, message):
        super().__init__(message)
        self.signal = number


class CheckpointError(ValueError):
    """A file from which this training cannot go on: damaged, or of a training of other settings."""


class Checkpoint:
    """Where and how often train(..., checkpoint=...) saves its state.

    To go on with a training, run the same program again with resume=True, which without a file begins anew:

        checkpoint = Checkpoint("run.npz", resume=True, settings={"data": "faces.npy"})
        train(model, images, epochs=24, rng=np.random.default_rng(0), checkpoint=checkpoint)

    path: the .npz file, four times as large as the weights. every: seconds between two saves. settings: {name: what
    JSON holds}. A file is refused, with CheckpointError that names the difference, if these were others, or the numbers
    among the arguments of train, the backend, the class or the shapes of the model, or the rows that are trained and
    validated on. The pixels are not compared, nor what corrupts them: name them in the settings, such as {"data":
    {"name": "faces.npy", "digest": images.digest}}, where the digest is compared and the name is told. The epochs
    count, for the learning rate depends on them.

    While train runs in the main thread, Ctrl-C, SIGTERM and SIGHUP let it finish its step and save; then it raises
    Interrupted. A second signal has its usual effect at once. The end of a training saves and deletes nothing.

    A training that was resumed ends with the weights of one that was never interrupted, to the bit, on the same machine
    with the same versions and backend and, for NumPy's, the same number of its BLAS's threads. These are not compared.
    """

    def __init__(self, path, *, every=60.0, resume=False, settings=None):
        if not every >= 0:
            raise ValueError(f"Checkpoint: every is {every}, wanted 0 seconds or more")
        self.path, self.every, self.resume, self.settings = path, every, resume, settings or {}
        self._state = self._saved_at = self._signal = self._written = None

    @contextlib.contextmanager
    def attached(self, state):
        """While the block runs, the TrainingState is this checkpoint's: loaded at first if `resume`."""
        os.stat(os.path.dirname(os.path.abspath(self.path)))  # if there is no folder, fail now, not at the first save
        _to_json(self.settings)
        self._state, self._saved_at, self._signal = state, time.monotonic(), None
        with self._noting_signals():
            if self.resume:
                with contextlib.suppress(FileNotFoundError):
                    self._load()
            yield

    def save_if_due(self):
        """Save if it is time, or if a signal came, and then stop."""
        if self._signal is None and time.monotonic() - self._saved_at < self.every:
            return
        self._save()
        if self._signal is not None:
            done = f"stopped by {signal.Signals(self._signal).name} when {self._state.position()} was done"
            raise Interrupted(self._signal, f"{done}, saved in {self.path}")
        self._saved_at = time.monotonic()

    def _save(self):
        self._state.require_finite()
        text = _to_json({"format": FORMAT, "settings": self._settings(), "numbers": _numbers(self._state)})
        arrays = _arrays(self._state) | _rows(self._state)
        texts = {"state": text, "checksum": checksum(text, arrays)}
        save_arrays(self.path, arrays | {name: np.frombuffer(text.encode(), np.uint8) for name, text in texts.items()})
        self._written = identity(self.path)

    def _load(self):
        try:
            with open_npz(self.path) as npz:
                wanted, text = npz.pop_text("checksum"), npz.pop_text("state")
                saved = json.loads(text)
                if saved["format"] != FORMAT:
                    raise Mismatch(f"found a checkpoint of format {_short(_to_json(saved['format']))}, wanted {FORMAT}")
                settings = self._settings()
                by_part = [differences(saved["settings"][part], settings[part]).values() for part in settings]
                if different := dict.fromkeys(text for texts in by_part for text in texts):
                    raise Mismatch(f"found a checkpoint of other settings: {'; '.join(different)}")
                rows = _rows(self._state)
                arrays = npz.read(_arrays(self._state) | rows)
                if checksum(text, arrays) != wanted:
                    raise Mismatch("found another checksum than its contents have")
                if not all(np.array_equal(arrays[name], array) for name, array in rows.items()):
                    raise Mismatch("found a checkpoint of another split into training and validation images")
                _restore(self._state, saved["numbers"], arrays)
            self._written = identity(self.path)
        except ValueError as error:
            raise CheckpointError(error) from None

    def _settings(self):
        """What must be the same for a training to go on; its arguments come last."""
        state = self._state
        training = {
            "model": type(state.model).__name__,
            "dtype": str(state.optimizer.parameters[0].data.dtype),
            "images": [len(state.images), len(state.validation)],
            "generator": type(state.rng.bit_generator).__name__,
            "backend": current_backend(),
        }
        return {"settings": self.settings, "training": training | state.arguments}

    def delete(self):
        """Delete the file, unless another process has written it since."""
        with contextlib.suppress(FileNotFoundError):
            if identity(self.path) == self._written:
                os.unlink(self.path)

    @contextlib.contextmanager
    def _noting_signals(self):
        """SIGNALS are noted, in the main thread: others may set no handlers. Those ignored stay ignored."""
        before = {}

        def restore():
            for number, handler in before.items():
                signal.signal(number, handler)

        def note(number, frame):
            self._signal = number
            restore()

        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in SIGNALS}
            before = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
        for number in before:
            signal.signal(number, note)
        try:
            yield
        finally:
            restore()
        if self._signal is not None:  # it came after the last save
            signal.raise_signal(self._signal)


def _arrays(state):
    """The arrays that a training changes, by name; themselves, not copies."""
    arrays = {f"model.{name}": parameter.data for name, parameter in state.model.named_parameters()}
    arrays |= {f"best.{name}": array for name, array in state.history.best_weights.items()}
    for name, moments in (("m", state.optimizer.m), ("v", state.optimizer.v)):
        arrays |= {f"adam.{name}.{position}": array for position, array in enumerate(moments)}
    return arrays | {"order": state.order}


def _numbers(state):
    """What it changes beside the arrays, for JSON."""
    return {
        "epoch": state.epoch,
        "step": state.step,
        "means": state.means,
        "history": state.history.curves(),
        "generator": state.rng.bit_generator.state,
    }


def _rows(state):
    """What stays: which images are trained and validated on."""
    return {"rows.training": state.images.rows, "rows.validation": state.validation.rows}


def _restore(state, numbers, arrays):
    """Set everything back to what _arrays() and _numbers() were. Raises an exception if they cannot have been."""
    epoch, step, history, means = (numbers[name] for name in ("epoch", "step", "history", "means"))
    steps = math.ceil(len(state.images) / state.arguments["batch_size"])
    if not (type(epoch) is type(step) is int and 0 <= epoch <= state.arguments["epochs"] and 0 <= step <= steps):
        raise ValueError(f"epoch {epoch!r}, step {step!r}")
    curves = state.history.curves()
    if history.keys() != curves.keys() or not means.keys() <= {"train_loss", "kl"}:
        raise ValueError("other names in the history")
    lengths = {name: len(values) for name, values in history.items()}
    if not lengths["train_loss"] == lengths["validation_loss"] == epoch or not {*lengths.values()} <= {0, epoch}:
        raise ValueError(f"a history that is not of {epoch} epochs")
    for values in (*history.values(), [*means.values()]):
        if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
            raise ValueError("a history of other than finite numbers")
    if not np.array_equal(np.sort(arrays["order"]), np.arange(len(state.images))):
        raise ValueError("an order that is not one of the images")
    state.rng.bit_generator.state = numbers["generator"]
    state.epoch, state.step, state.means = epoch, step, means
    state.optimizer.t = (epoch - state.arguments["epochs trained before"]) * steps + step
    for name, values in curves.items():
        values[:] = history[name]
    for name, array in _arrays(state).items():
        array[...] = arrays[name]


def identity(path):
    """What tells a file from those that stood or will stand at its path; None if there is none."""
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(path)
        return status.st_ino, status.st_mtime_ns


def _to_json(value):
    return json.dumps(value, default=_to_lists)


def _to_lists(value):
    if not isinstance(value, (np.ndarray, np.generic)):  # of which generators' states and settings may be made
        raise TypeError(f"Checkpoint: {type(value).__name__} is not JSON serializable: {value!r}")
    return value.tolist()


def checksum(text, arrays):
    """The SHA-256 of a text and of arrays with their names, in hexadecimal."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]))
    return digest.hexdigest()


def differences(found, wanted):
    """{name: text} of the settings {name: what JSON holds} that differ; in a {"name", "digest"} the digest counts."""
    texts = {}
    for name in wanted | found:
        (compared, was), (now_compared, now) = (_read_setting(each, name) for each in (found, wanted))
        if compared != now_compared:
            changed = f"was {was}, is {now}" if was != now else f"{now} has changed"
            texts[name] = f"{_short(_to_json(name))} {changed}"
    return texts


def _read_setting(settings, name):
    """(what is compared of a setting, how it is shown)"""
    setting = settings.get(name)
    if isinstance(setting, dict) and setting.keys() == {"name", "digest"}:
        return setting["digest"], _short(_to_json(setting["name"]))
    text = _to_json(setting) if name in settings else "not set"
    return text, _short(text)


def _short(text):
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}...{text[-LONGEST // 2 :]}"
