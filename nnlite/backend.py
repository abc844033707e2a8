"""The backend switch: the few functions that take most of the time run in Numba, or as they are written, in NumPy.

Every formula stands once, in NumPy, where a reader looks for it. A line beneath it, `f = accelerated(f)`, lets its
Numba version, of matmul.py or fused.py, take its place. To try another formula, run with NNLITE_BACKEND=numpy: else the
Numba version goes on computing the old one.
"""

import contextlib
import functools
import logging
import os
import re
import threading

try:
    import numba
    from numba.core import errors, event

    from nnlite import fused
    from nnlite.matmul import matmul

    _obstacle = None
except Exception as error:  # missing, or broken in one of many ways
    _obstacle = f"Numba cannot be imported ({error})"
else:
    _NUMBA = {  # by the __qualname__ of what they compute in its place
        "matmul": matmul,
        "zero_where": fused.zero_where,
        "tanh_and_slope": fused.tanh_and_slope,
        "mse_loss": fused.mse_loss,
        "Adam._update": fused.adam_update,
        "take_levels": fused.take_levels,
    }

    class _Announcement(event.Listener):
        """Says once why the first call takes its time, when Numba compiles instead of reading its cache."""

        def on_start(self, compiling):
            if str(compiling.data["dispatcher"].py_func.__module__).startswith("nnlite."):  # of eval's, it is None
                _say("nnlite: compiling for this processor, some 10 seconds, the first time only")

        def on_end(self, compiling):
            pass

    event.register("numba:compile", _Announcement())

    def _after_fork():
        """In the child, which has none of Numba's threads, though Numba would wait for them. TBB starts its own."""
        global _one_caller, _obstacle
        _one_caller = threading.Lock()  # another thread of the parent may have held it
        with contextlib.suppress(ValueError):  # if Numba has not started any
            if numba.threading_layer() != "tbb":
                _obstacle = "Numba's threads do not survive a fork"

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)

_one_caller = threading.Lock()  # some of the thread pools that Numba can use end the process if two threads call them
_chosen = None  # what use_backend() set; None leaves the choice to the environment


def accelerated(function):
    """`function`, but on the Numba backend its Numba version, for the arguments that this takes.

    For others, such as complex numbers, integers, or shapes that do not fit, that returns NotImplemented, and
    `function` computes, or raises the error. Called, not written as a decorator, which mutation tests would not enter.
    """

    @functools.wraps(function)
    def numba_or_numpy(*arguments, **named):
        global _obstacle
        if current_backend() == "numba":
            try:
                with _one_caller:
                    result = _NUMBA[function.__qualname__](*arguments, **named)
            except (errors.NumbaError, RuntimeError) as error:  # raised before anything is computed
                _obstacle = f"Numba cannot compile ({_in_one_line(error)})"
                return numba_or_numpy(*arguments, **named)
            if result is not NotImplemented:
                return result
        return function(*arguments, **named)

    return numba_or_numpy


class use_backend:
    """Choose who computes: "numba" (the default) or "numpy".

    A setting, `use_backend("numpy")`, or a context manager, `with use_backend("numpy"): ...`, which restores
    the backend on leaving. Where neither is used, the environment variable NNLITE_BACKEND decides.

    Raises ValueError for any other name.
    """

    def __init__(self, name):
        global _chosen
        _check(name, "use_backend")
        self._previous = _chosen
        _chosen = name

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        global _chosen
        _chosen = self._previous


def current_backend():
    """The name of the backend in use. Where Numba cannot compile, that is "numpy", and a line on stderr says why.

    Raises ValueError if NNLITE_BACKEND names no backend.
    """
    name = _chosen
    if name is None:
        name = os.environ.get("NNLITE_BACKEND", "numba")
        _check(name, "NNLITE_BACKEND")
    if name == "numpy":
        return name
    obstacle = _obstacle or (numba.config.DISABLE_JIT and "NUMBA_DISABLE_JIT is set") or _start_threads()
    if obstacle:
        _say(f"nnlite: {obstacle}, so NumPy takes the place of Numba")
        return "numpy"
    return name


@functools.cache
def _start_threads():
    """Returns what is in the way, or None."""
    try:
        numba.get_num_threads()
    except Exception as error:  # such as a ValueError, where NUMBA_THREADING_LAYER names what is not installed
        return f"Numba cannot start threads ({_in_one_line(error)})"


def _in_one_line(error):
    """The text of an error of Numba's, which has several lines, and colours where colorama is installed."""
    return " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())


def _check(name, where):
    if name not in ("numba", "numpy"):
        raise ValueError(f"{where}: found {name!r}, wanted one of numba, numpy")


@functools.cache
def _say(sentence):
    logging.getLogger("nnlite").warning(sentence)  # to stderr, unless the program has other plans
