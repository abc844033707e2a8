"""The backend switch: each array operation that pays for it exists in Numba and, as a twin, in NumPy.

An element-wise pass over a large array takes the time of its memory traffic if it is one pass. NumPy makes one for
each operator, on one thread; Numba makes one for the whole formula, on all threads.
"""

import functools
import os
import sys

import numba
import numpy as np

from nnlite.matmul import _jit_parallel, product

BACKENDS = ("numba", "numpy")
BLOCK = 2**16  # numbers of each array that the NumPy twin of adam_step works on at a time

_chosen = None  # what use_backend() set; None leaves the choice to the environment


class use_backend:
    """Choose who multiplies matrices: "numba" (the default) or "numpy".

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


def backend():
    """The name of the backend in use: "numpy" in any case where NUMBA_DISABLE_JIT is set.

    Raises ValueError if NNLITE_BACKEND names no backend.
    """
    name = _chosen
    if name is None:
        name = os.environ.get("NNLITE_BACKEND", "numba")
        _check(name, "NNLITE_BACKEND")
    if name == "numba" and numba.config.DISABLE_JIT:
        _say("nnlite: NUMBA_DISABLE_JIT is set, so NumPy takes the place of Numba")
        return "numpy"
    return name


@functools.cache
def _say(sentence):
    print(sentence, file=sys.stderr)


def _check(name, where):
    if name not in BACKENDS:
        raise ValueError(f"{where}: found {name!r}, wanted one of {', '.join(BACKENDS)}")


def matmul(a, b, add_to=None):
    """The matrix product a @ b, or `add_to` after adding a @ b to it in place.

    a: (M, K), b: (K, N), result: (M, N), row-major. Transposed views such as `w.T` are read without a copy.
    The Numba backend takes float32 and float64; all else, complex numbers included, goes to the NumPy twin.
    Raises ValueError if the shapes do not fit, or `add_to` is of another dtype.
    """
    shape, dtype = (a.shape[0], b.shape[1]), np.result_type(a, b)
    if a.shape[1] != b.shape[0]:
        raise ValueError(f"matmul: a has shape {a.shape} and b {b.shape}, wanted (M, K) and (K, N)")
    if add_to is not None and (add_to.shape != shape or add_to.dtype != dtype):
        raise ValueError(f"matmul: add_to is {add_to.dtype} {add_to.shape}, wanted {dtype} {shape}")
    if _in_numba(a, b) and (add_to is None or add_to.flags.c_contiguous):
        out = np.empty(shape, dtype) if add_to is None else add_to
        product(a, b, out, add_to is not None)
        return out
    if add_to is None:
        return a @ b
    add_to += a @ b
    return add_to


def _in_numba(*arrays):
    """Whether the Numba backend is chosen and takes these arrays: float32, or float64."""
    return backend() == "numba" and {array.dtype for array in arrays} in ({np.dtype("f4")}, {np.dtype("f8")})


def adam_step(p, g, m, v, beta1, beta2, rate, v_weight, eps):
    """One step of Adam (optim.py) on the arrays of one parameter, in place.

    m <- beta1 m + (1 - beta1) g
    v <- beta2 v + (1 - beta2) g^2
    p <- p - rate m / (sqrt(v / v_weight) + eps)
    """
    numbers = [p.dtype.type(number) for number in (beta1, 1 - beta1, beta2, 1 - beta2, rate, 1 / v_weight, eps)]
    if _in_numba(p, g, m, v) and all(array.flags.c_contiguous for array in (p, g, m, v)):
        _adam_step(p.reshape(-1), g.reshape(-1), m.reshape(-1), v.reshape(-1), *numbers)
    else:
        _adam_step_in_blocks(p, g, m, v, *numbers)


@_jit_parallel
def _adam_step(p, g, m, v, keep_m, take_m, keep_v, take_v, rate, v_scale, eps):
    for i in numba.prange(p.size):
        m[i] = keep_m * m[i] + take_m * g[i]
        v[i] = keep_v * v[i] + take_v * g[i] * g[i]
        p[i] -= rate * m[i] / (np.sqrt(v_scale * v[i]) + eps)


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
