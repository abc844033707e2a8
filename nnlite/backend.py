"""The backend switch: each array operation that pays for it exists in Numba and, as a twin, in NumPy.

The Numba side is in matmul.py and fused.py. Here stands what each operation computes, its twin, and which one runs.
"""

import functools
import logging
import os
import threading

import numpy as np

try:
    import numba
    from numba.core import event

    from nnlite import fused
    from nnlite.matmul import product

    _numba_error = None
except Exception as error:  # missing, or broken in one of many ways
    _numba_error = f"Numba cannot be imported ({error})"

BACKENDS = ("numba", "numpy")
BLOCK = 2**16  # numbers of each array that the NumPy twin of adam_step works on at a time

_one_caller = threading.Lock()  # some of the thread pools that Numba can use end the process if two threads call them
_chosen = None  # what use_backend() set; None leaves the choice to the environment


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
    obstacle = _numba_error or (numba.config.DISABLE_JIT and "NUMBA_DISABLE_JIT is set")
    if name == "numba" and obstacle:
        _say(f"nnlite: {obstacle}, so NumPy takes the place of Numba")
        return "numpy"
    return name


@functools.cache
def _say(sentence):
    logging.getLogger("nnlite").warning(sentence)  # to stderr, unless the program has other plans


if not _numba_error:

    class _Announcement(event.Listener):
        """Says once why the first call takes its time, when Numba compiles instead of reading its cache."""

        def on_start(self, compiling):
            if compiling.data["dispatcher"].py_func.__module__.startswith("nnlite."):
                _say("nnlite: compiling for this processor, some 10 seconds, the first time only")

        def on_end(self, compiling):
            pass

    event.register("numba:compile", _Announcement())


def _check(name, where):
    if name not in BACKENDS:
        raise ValueError(f"{where}: found {name!r}, wanted one of {', '.join(BACKENDS)}")


def matmul(a, b, out=None, add=False):
    """The matrix product a @ b; in `out` if that is given, and added to what is there if `add`.

    a: (M, K), b: (K, N), result: (M, N), row-major. Transposed views such as `w.T` are read without a copy.
    The Numba backend takes float32 and float64; all else, complex numbers included, goes to the NumPy twin.
    `out` must not overlap a or b. Raises ValueError if shapes do not fit, or `out` is of another dtype or read-only.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"matmul: a has shape {a.shape} and b {b.shape}, wanted (M, K) and (K, N)")
    shape, dtype = (a.shape[0], b.shape[1]), np.result_type(a.dtype, b.dtype)
    if out is None:
        out, add = np.empty(shape, dtype), False
    if out.shape != shape or out.dtype != dtype or not out.flags.writeable:
        found = f"{out.dtype} {out.shape}" + ("" if out.flags.writeable else ", read-only")
        raise ValueError(f"matmul: out is {found}, wanted {dtype} {shape} to write to")
    if _in_numba(a, b) and out.flags.c_contiguous:
        with _one_caller:
            product(a, b, out, add)
    elif add:
        out += a @ b
    else:
        np.matmul(a, b, out=out)
    return out


def _in_numba(*arrays):
    """Whether the Numba backend is chosen and takes these arrays: float32, or float64."""
    return current_backend() == "numba" and {array.dtype for array in arrays} in ({np.dtype("f4")}, {np.dtype("f8")})


def _flat(array):
    """The numbers of an array in a row."""
    return _read_only(np.ascontiguousarray(array).reshape(-1))


def _read_only(array):
    """A view that is not to be written to. To Numba that is another type: all inputs alike, it compiles once."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def tanh(x):
    """(y, slope): y = tanh(x) and dy/dx = 1 - y^2. x: any shape.

    In float32 the Numba backend is off by less than 5 units in the last place; 0, inf and nan are exact.
    """
    if x.dtype == np.float32 and _in_numba(x):
        y, slope = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
        with _one_caller:
            fused.tanh(_flat(x), y.reshape(-1), slope.reshape(-1))
        return y, slope
    y = np.tanh(x)
    return y, 1 - y * y


def mean_squared_error(prediction, target):
    """(loss, grad): the mean of (p - t)^2 over all n elements, and 2/n (p - t). prediction, target: one shape, any."""
    n = prediction.size
    if prediction.dtype == np.float32 and _in_numba(prediction, target):
        grad, sums = np.empty(prediction.shape, prediction.dtype), np.empty(-(-n // fused.CHUNK))
        with _one_caller:
            fused.squared_error(_flat(prediction), _flat(target), np.float32(2 / n), grad.reshape(-1), sums)
        return np.float32(sums.sum() / n), grad
    difference = prediction - target
    return np.mean(difference * difference), 2 / n * difference


def take_levels(images, rows, levels):
    """levels[images[rows]], channel-first: uint8 (N, H, W, C) -> (len(rows), C * H * W), of the dtype of `levels`.

    rows: (n,) indices; levels: (256,). Raises IndexError if a row is not one of the N.
    """
    N, H, W, C = images.shape
    rows = np.asarray(rows)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or not ((0 <= rows) & (rows < N)).all():
        raise IndexError(f"rows are {rows}, wanted a list of numbers from 0 to {N - 1}")
    if (
        images.dtype == np.uint8
        and images.flags.c_contiguous
        and levels.shape == (256,)
        and current_backend() == "numba"
    ):
        out = np.empty((len(rows), C, H * W), levels.dtype)
        with _one_caller:
            fused.take_levels(_read_only(images), _flat(rows.astype(np.intp)), _flat(levels), out)
    else:
        out = levels[np.moveaxis(images[rows], -1, 1)]
    return out.reshape(len(rows), C * H * W)


def adam_step(p, g, m, v, beta1, beta2, rate, v_weight, eps):
    """One step of Adam (optim.py) on the arrays of one parameter, in place.

    m <- beta1 m + (1 - beta1) g
    v <- beta2 v + (1 - beta2) g^2
    p <- p - rate m / (sqrt(v / v_weight) + eps)

    Raises ValueError if their shapes differ.
    """
    if not p.shape == g.shape == m.shape == v.shape:
        raise ValueError(f"Adam: a parameter has shape {p.shape}, its gradient {g.shape}, its m and v {m.shape}")
    numbers = [p.dtype.type(number) for number in (beta1, 1 - beta1, beta2, 1 - beta2, rate, 1 / v_weight, eps)]
    if _in_numba(p, g, m, v) and all(array.flags.c_contiguous for array in (p, m, v)):
        with _one_caller:
            fused.adam_step(p.reshape(-1), _flat(g), m.reshape(-1), v.reshape(-1), *numbers)
    else:
        _adam_step_in_blocks(p, g, m, v, *numbers)


def _adam_step_in_blocks(p, g, m, v, keep_m, take_m, keep_v, take_v, rate, v_scale, eps):
    """Block after block, so small that what the formula makes on its way stays in the cache."""
    modes = (["readwrite"], ["readonly"], ["readwrite"], ["readwrite"])
    with np.nditer((p, g, m, v), ["external_loop", "buffered", "zerosize_ok"], modes, buffersize=BLOCK) as blocks:
        for p, g, m, v in blocks:
            m *= keep_m
            m += take_m * g
            v *= keep_v
            v += take_v * g * g
            p -= rate * m / (np.sqrt(v_scale * v) + eps)
