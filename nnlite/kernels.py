"""The backend switch: each array operation that pays for it exists in Numba and, as a twin, in NumPy."""

import os

import numpy as np

from nnlite.matmul import add_product

BACKENDS = ("numba", "numpy")

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
    """The name of the backend in use. Raises ValueError if NNLITE_BACKEND names no backend."""
    if _chosen is not None:
        return _chosen
    name = os.environ.get("NNLITE_BACKEND", "numba")
    _check(name, "NNLITE_BACKEND")
    return name


def _check(name, where):
    if name not in BACKENDS:
        raise ValueError(f"{where}: found {name!r}, wanted one of {', '.join(BACKENDS)}")


def matmul(a, b, add_to=None):
    """The matrix product a @ b, or `add_to` after adding a @ b to it in place.

    a: (M, K), b: (K, N), result: (M, N). Transposed views such as `w.T` are read without a copy.
    The Numba backend takes float32 and float64; all else, complex numbers included, goes to the NumPy twin.
    Raises ValueError if the shapes do not fit, or `add_to` is of another dtype.
    """
    shape, dtype = (a.shape[0], b.shape[1]), np.result_type(a, b)
    if a.shape[1] != b.shape[0]:
        raise ValueError(f"matmul: a has shape {a.shape} and b {b.shape}, wanted (M, K) and (K, N)")
    if add_to is not None and (add_to.shape != shape or add_to.dtype != dtype):
        raise ValueError(f"matmul: add_to is {add_to.dtype} {add_to.shape}, wanted {dtype} {shape}")
    in_numba = backend() == "numba" and a.dtype == b.dtype and a.dtype in (np.float32, np.float64)
    if not in_numba:
        if add_to is None:
            return a @ b
        add_to += a @ b
        return add_to
    if add_to is None:
        add_to = np.zeros(shape, dtype)
    add_product(a, b, add_to)
    return add_to
