"""Writes docs/complex_step.md: what functions of NumPy, SciPy and Numba do to a complex step.

    pip install scipy && python tests/complex_step.py > docs/complex_step.md

A line of ROWS is a program, the x that it is run at, its slope along d, and what to write instead. What the complex
step makes of it stands in no line: it is measured.
"""

import math
import platform
import sys
import textwrap
import warnings
from typing import NamedTuple

import numba
import numpy as np

try:
    import scipy
except ImportError:
    scipy = None

H = 1e-30
POINTS = {  # x and d; where ROWS has a number, that is the one entry of x, and d is 1
    "v": ([0.5, -1.2, 2], [1, 0.5, -0.7]),
    "v6": ([0.5, -1.2, 2, 0.8, -0.3, 1.1], [1, 0.5, -0.7, 0.2, 0.4, -0.9]),
    "tie": ([2, 1, 2], [0.5, 0.3, 0.7]),
    "M": ([[2, 1, 0.5], [-1, 3, 0.3], [0.2, -0.4, 1.5]], [[1, 0.5, -0.7], [0.3, -0.2, 0.9], [-0.4, 0.6, 0.8]]),
    "S": ([[4, 1, 0.5], [1, 3, -0.3], [0.5, -0.3, 2]], [[1, 0.5, -0.7], [0.5, -0.2, 0.9], [-0.7, 0.9, 0.8]]),
    "S100": (np.diag(np.arange(1, 101)) + 0.1, np.cos(np.add.outer(np.arange(100), np.arange(100)))),
}
NAMES = {"np": np, "math": math, "scipy": scipy, "njit": numba.njit, "inv": np.linalg.inv} | {
    "__name__": __name__,  # the module of a lambda in a program
    "w": np.array([1.5, -0.5, 0.7]),
    "w6": np.array([1.5, -0.5, 0.7, 0.4, -1.1, 0.9]),
    "A": np.array([[1, -2, 0.5], [0.7, 0.3, -1.1], [0.4, 0.9, 1.3]]),
}

# What becomes of the step, and why.
CLASSES = {
    "Drops it": """The result is real, or its imaginary part is 0. A gradient of 0, because nobody has written it yet,
        passes for right. By default, a ComplexWarning is printed once for each line of code. scipy.ndimage takes a
        weight below 2.2e-16 for 0.""",
    "Gives another number": """The step goes through one part of the program and is dropped or conjugated in another.
        LAPACK conjugates where it takes a symmetric matrix for a Hermitian one.""",
    "Turns its sign": "An argument is conjugated. A gradient of the wrong sign passes, and the right one does not.",
    "Doubles it": "From NumPy 2.0 on, and in Numba, the sign of a complex z is z / |z|; before, it was that of z.real.",
    "Decides a kink by the sign of h": """Complex numbers are compared by their real parts and, where these are equal,
        by their imaginary parts. So at a kink a positive h gives the slope to the right, a negative one that to the
        left: for a ReLU 1, where PyTorch has 0; for a clip 0 at the upper limit and 1 at the lower, where PyTorch has 1
        at both.""",
    "Loses it to rounding": """The imaginary part is a sum of terms as large as f, and their rounding, 1e-16, is divided
        by h. With h = 1e-8 these have at least three right digits.""",
    "Loses digits": "The relative error is above 1e-12. In sinh / cosh, large products cancel.",
    "Gives nan": "The real function is finite there.",
    "Raises": "Numba's TypingError is no TypeError.",
    "Carries it": "The relative error is below 1e-12.",
}
DROPS, ANOTHER, TURNS, DOUBLES, KINK, ROUNDING, DIGITS, NAN, RAISES, CARRIES = CLASSES

INTRODUCTION = """\
# What NumPy, SciPy and Numba do to a complex step

For a real x, f(x + ih) = f(x) + ih f'(x) - h^2/2 f''(x) - ..., so Im f(x + ih) / h is f'(x) up to h^2. Nothing is
subtracted, so h can be 1e-30, and the slope is exact to rounding (Squire and Trapp, SIAM Review 40 (1998) 110-112). A
gradient check by it takes [a dozen lines](backprop.md#a-gradient-check-in-a-dozen-lines). But it wants an f that is
analytic and made of functions that take complex numbers. Of the {rows} programs below, each run with h = 1e-30, {right}
carry the step; of the others, {silent} give another number than the slope, and no warning.

{versions}. Written by

    pip install scipy && python tests/complex_step.py > docs/complex_step.md

[tests/test_complex_step.py](../tests/test_complex_step.py) runs every program again and names those that now behave
otherwise than this page says.

x is an array: one number, where the column x has one; else v = (0.5, -1.2, 2), v6 of six entries, tie = (2, 1, 2), M a
3 x 3 matrix, S and S100 positive definite ones, each with a direction d in which it moves. w, w6 and A are constants,
two vectors and a matrix. Several statements leave their result in y. "slope" is the right one, df(x + td)/dt at t = 0,
by a closed form that a test compares with differences; of an array, the entry is shown at which the complex step is
farthest from it. What stands under "write instead" gives the same for a real x, and carries the step: both are tested.

`gradcheck` notices a forward that does not carry the step, and goes on by central differences. This page is for who
writes a check, or wants a forward that can be checked to 1e-12.
"""

# program | x | slope | instead.  Several statements leave their result in y. In a slope, f is the program: f(d) is the
# slope of one that is linear. At a kink there are two slopes, to the left and to the right.
ROWS = """
np.exp(x) | 0.5 | np.exp(x)
np.exp2(x) | 0.5 | np.exp2(x) * np.log(2)
np.expm1(x) | 1e-8 | np.exp(x)
np.log(x) | 0.5 | 1 / x
np.log2(x) | 0.5 | 1 / x / np.log(2)
np.log10(x) | 0.5 | 1 / x / np.log(10)
np.log1p(x) | 1e-8 | 1 / (1 + x)
np.sqrt(x) | 0.5 | 0.5 / np.sqrt(x)
np.square(x) | -0.5 | 2 * x
np.reciprocal(x) | -0.5 | -1 / x**2
np.sin(x) | 0.5 | np.cos(x)
np.cos(x) | 0.5 | -np.sin(x)
np.tan(x) | 0.5 | 1 / np.cos(x) ** 2
np.arcsin(x) | 0.5 | 1 / np.sqrt(1 - x**2)
np.arccos(x) | 0.5 | -1 / np.sqrt(1 - x**2)
np.arctan(x) | 0.5 | 1 / (1 + x**2)
np.sinh(x) | 0.5 | np.cosh(x)
np.cosh(x) | 0.5 | np.sinh(x)
np.tanh(x) | 0.5 | 1 / np.cosh(x) ** 2
np.tanh(x) | 10 | 1 / np.cosh(x) ** 2
np.tanh(x) | 25 | 1 / np.cosh(x) ** 2
np.sinh(x) / np.cosh(x) | 10 | 1 / np.cosh(x) ** 2 | np.tanh(x)
np.arcsinh(x) | 0.5 | 1 / np.sqrt(x**2 + 1)
np.arccosh(x) | 1.5 | 1 / np.sqrt(x**2 - 1)
np.arctanh(x) | 0.5 | 1 / (1 - x**2)
np.sinc(x) | 0.5 | (np.cos(np.pi * x) - np.sinc(x)) / x
x**2 | -1.1 | 2 * x
x**3 | -1.1 | 3 * x**2
x**99 | -1.1 | 99 * x**98
x**100 | -1.1 | 100 * x**99 | (x * x) ** 50
x**100 | 1.1 | 100 * x**99
x**-100 | -1.1 | -100 * x**-101 | (x * x) ** -50
x**0.5 | 1.1 | 0.5 * x**-0.5
2**x | -1.1 | 2**x * np.log(2)
np.logaddexp(x, 0) | 0.5 | 1 / (1 + np.exp(-x)) | np.log1p(np.exp(-x * np.sign(x.real))) + (x.real > 0) * x
np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0) | 0.5 | 1 / (1 + np.exp(-x)) | \
    np.log1p(np.exp(-x * np.sign(x.real))) + (x.real > 0) * x
1 / (1 + np.exp(-x)) | 0.5 | 0.25 / np.cosh(x / 2) ** 2
1 / (1 + np.exp(-x)) | -1000 | 0 | 0.5 * (1 + np.tanh(x / 2))
np.cbrt(x) | -0.5 | 1 / (3 * np.cbrt(x) ** 2) | np.sign(x.real) * (x * np.sign(x.real)) ** (1 / 3)
np.hypot(x, 3) | 0.5 | x / np.hypot(x, 3) | np.sqrt(x * x + 3 * 3)
np.arctan2(x, 3) | 0.5 | 3 / (x**2 + 9) | 2 * np.arctan(x / (np.sqrt(x * x + 3 * 3) + 3))
np.deg2rad(x) | 0.5 | np.pi / 180 | x * (np.pi / 180)
np.i0(x) | 0.5 | x / 2 + x**3 / 16 + x**5 / 384 + x**7 / 18432 + x**9 / 1474560 + x**11 / 176947200

np.abs(x) | -0.5 | -1 | x * np.sign(x.real)
abs(x) | -0.5 | -1 | x * np.sign(x.real)
np.abs(x) | 0 | (-1, 1) | np.where(x.real < 0, -x, x)
np.fabs(x) | -0.5 | -1 | x * np.sign(x.real)
np.abs(x) ** 2 | -0.5 | 2 * x | x * x
(x * x.conj()).real | -0.5 | 2 * x | x * x
x * np.sign(x) | -0.5 | -1 | x * np.sign(x.real)
x * np.sign(x.real) | -0.5 | -1
np.sqrt(x * x) | -0.5 | -1
x / (1 + np.abs(x)) | -0.5 | 1 / (1 - x) ** 2 | x / (1 + x * np.sign(x.real))
np.where(np.abs(x) < 1, x * x / 2, np.abs(x) - 0.5) | 0.5 | x
np.where(np.abs(x) < 1, x * x / 2, np.abs(x) - 0.5) | -1.5 | -1 | \
    a = x * np.sign(x.real); y = np.where(a.real < 1, a * a / 2, a - 0.5)
np.copysign(x, 1) | -0.5 | -1 | x * np.sign(x.real)
np.conj(x) | 0.5 | 1 | x
x.real | 0.5 | 1 | x
np.real_if_close(x) | 0.5 | 1 | x
np.angle(x + 1j) | 0.5 | -1 / (1 + x**2) | np.pi / 2 - np.arctan(x)
np.floor(x) * x | 1.5 | 1 | np.floor(x.real) * x
x % 1 | 1.5 | 1 | x - np.floor(x.real)
np.fmod(x, 1) | 1.5 | 1 | x - np.trunc(x.real)
x - np.round(x) | 1.6 | 1
np.heaviside(x, 0) * x | 0.5 | 1 | (x.real > 0) * x

np.maximum(x, 0) | 0.5 | 1
np.maximum(x, 0) | 0 | (0, 1) | np.where(x.real > 0, x, 0)
np.minimum(x, 0) | 0 | (1, 0) | np.where(x.real < 0, x, 0)
np.fmax(x, 0) | 0 | (0, 1) | np.where(x.real > 0, x, 0)
np.clip(x, -1, 1) | 0.5 | 1
np.clip(x, -1, 1) | 1 | (1, 0) | np.where(x.real < -1, -1, np.where(x.real > 1, 1, x))
np.clip(x, -1, 1) | -1 | (0, 1) | np.where(x.real < -1, -1, np.where(x.real > 1, 1, x))
np.where(x > 0, x, 0.1 * x) | -0.5 | 0.1
np.where(x > 0, x, 0.1 * x) | 0 | (0.1, 1) | np.where(x.real > 0, x, 0.1 * x)
np.where(x.real > 0, x, 0.1 * x) | 0 | (0.1, 1)
(x > 0) * x | 0 | (0, 1) | (x.real > 0) * x
[max(t, 0) for t in x] | 0 | (0, 1) | [t if t.real > 0 else 0 for t in x]
[max(t, 0) for t in x.tolist()] | 0.5 | 1 | [t if t.real > 0 else 0 for t in x.tolist()]
np.piecewise(x, [x < 0, x >= 0], [np.sin, np.exp]) | 0.5 | np.exp(x)
np.select([x < 0, x >= 0], [x * x, 3 * x]) | -0.5 | 2 * x
np.max(x) | v | d[2]
np.max(x) | tie | (0.5, 0.7) | x[np.argmax(x.real)]
np.lib.stride_tricks.sliding_window_view(x, 2).max(axis=1) | v | d[[0, 2]]
np.sort(x) | v | d[[1, 0, 2]]
np.sort(x) | tie | ([0.3, 0.7, 0.5], [0.3, 0.5, 0.7]) | x[np.argsort(x.real, stable=True)]
np.median(x) | v | d[0]
np.quantile(x, 0.25) | v | (d[1] + d[0]) / 2 | (np.sort(x)[0] + np.sort(x)[1]) / 2

np.sum(x) | v | f(d)
np.cumsum(x) | v | f(d)
np.mean(x) | v | f(d)
np.average(x, weights=[1, 2, 3]) | v | f(d)
np.prod(x) | v | (d / x).sum() * x.prod()
np.var(x) | v | 2 / 3 * (x - x.mean()) @ d | ((x - x.mean()) ** 2).mean()
np.std(x) | v | (x - x.mean()) @ d / x.std() / 3 | np.sqrt(((x - x.mean()) ** 2).mean())
(x - x.mean()) / np.sqrt(x.var() + 0.1) | v | c = x - x.mean(); s = np.sqrt(x.var() + 0.1); \
    y = (d - d.mean()) / s - c * (c @ d) / s**3 / 3 | c = x - x.mean(); y = c / np.sqrt((c * c).mean() + 0.1)
np.cov(x) | v | (x - x.mean()) @ d | ((x - x.mean()) ** 2).sum() / (x.size - 1)
np.cov(x) | M | c = x - x.mean(1, keepdims=True); y = (d @ c.T + c @ d.T) / 2 | \
    c = x - x.mean(1, keepdims=True); y = c @ c.T / (c.shape[1] - 1)
np.corrcoef(x, w)[0, 1] | v | c = x - x.mean(); e = w - w.mean(); y = (d @ e - d @ c * (c @ e) / (c @ c)) \
    / np.sqrt(c @ c * (e @ e)) | c = x - x.mean(); e = w - w.mean(); y = c @ e / np.sqrt((c @ c) * (e @ e))
np.exp(x - x.max()) / np.exp(x - x.max()).sum() | v | p = np.exp(x) / np.exp(x).sum(); y = p * (d - p @ d)
np.exp(x - x.real.max()) | v | np.exp(x - x.max()) * (d - d[2]) | np.exp(x - x.max())
x / x.real.sum() | v | d / x.sum() - x * d.sum() / x.sum() ** 2 | x / x.sum()
np.linalg.norm(x) | v | x @ d / np.sqrt(x @ x) | np.sqrt(np.sum(x * x))
x / np.linalg.norm(x) | v | d / np.sqrt(x @ x) - x * (x @ d) / np.sqrt(x @ x) ** 3 | x / np.sqrt(np.sum(x * x))
np.linalg.norm(x, 1) | v | np.sign(x) @ d | np.sum(x * np.sign(x.real))

x @ A | v | f(d)
x.T @ x | M | d.T @ x + x.T @ d
x.conj().T @ A | M | f(d) | x.T @ A
np.sum(x * x.conj()) | v | 2 * x @ d | np.sum(x * x)
np.dot(x, w) | v | f(d)
np.einsum("ij,j->i", x, w) | M | f(d)
np.tensordot(x, A, 1) | M | f(d)
np.outer(x, w) | v | f(d)
np.kron(x, w) | v | f(d)
np.cross(x, w) | v | f(d)
np.vdot(w, x) | v | f(d)
np.vdot(x, w) | v | f(d) | np.dot(x, w)
np.vecdot(x, w) | v | f(d) | np.dot(x, w)
np.vecmat(x, A) | v | f(d) | x @ A
np.vecmat(w, x) | M | f(d)
np.matvec(A, x) | v | f(d)
np.convolve(x, w) | v | f(d)
np.correlate(x, w) | v | f(d)
np.correlate(w, x) | v | f(d) | np.convolve(w, x[::-1], "valid")
np.polyval(w, x) | 0.5 | 3 * x - 0.5
np.interp([0.3, 1.5], [0, 1, 2], x) | v | f(d)
np.interp(x, [0, 1, 3], w) | 0.5 | -2 | p = np.array([0, 1, 3]); k = np.searchsorted(p, x.real, "right") - 1; \
    y = w[k] + (x - p[k]) * np.diff(w)[k] / np.diff(p)[k]
np.diff(x) | v | f(d)
np.gradient(x) | v | f(d)
np.trapezoid(x) | v | f(d)
np.pad(x, 1, "reflect") | v | f(d)
np.bincount([0, 1, 0], weights=x) | v | f(d) | y = np.zeros(2, x.dtype); np.add.at(y, [0, 1, 0], x)
y = np.zeros(2, x.dtype); np.add.at(y, [0, 1, 0], x) | v | f(d)
y = np.zeros(2); np.add.at(y, [0, 1, 0], x) | v | f(d) | y = np.zeros(2, x.dtype); np.add.at(y, [0, 1, 0], x)
np.random.default_rng(0).normal(x) | v | d | x + np.random.default_rng(0).standard_normal(3)
np.fft.ifft(np.fft.fft(x) * np.fft.fft(w6)) | v6 | sum(w6[k] * np.roll(d, k) for k in range(6)) | \
    sum(w6[k] * np.roll(x, k) for k in range(6))
np.fft.ifft(np.fft.fft(x) * np.fft.fft(w6)).real | v6 | f(d) | sum(w6[k] * np.roll(x, k) for k in range(6))
np.fft.irfft(np.fft.rfft(x) * np.fft.rfft(w6)) | v6 | f(d) | sum(w6[k] * np.roll(x, k) for k in range(6))
np.abs(np.fft.fft(x)) | v6 | F = np.fft.fft(x); y = (F.conj() * np.fft.fft(d)).real / np.abs(F) | \
    k = np.outer(range(6), range(6)) * np.pi / 3; y = np.sqrt((np.cos(k) @ x) ** 2 + (np.sin(k) @ x) ** 2)

np.linalg.inv(x) | M | -inv(x) @ d @ inv(x)
np.linalg.solve(x, w) | M | -inv(x) @ d @ inv(x) @ w
np.linalg.det(x) | M | np.linalg.det(x) * np.trace(inv(x) @ d)
np.linalg.slogdet(x)[1] | M | np.trace(inv(x) @ d) | np.log(np.linalg.det(x) * np.sign(np.linalg.det(x).real))
np.linalg.matrix_power(x, 3) | M | d @ x @ x + x @ d @ x + x @ x @ d
np.linalg.pinv(x) | M | -inv(x) @ d @ inv(x)
np.linalg.pinv(x[:, :2]) | M | X, D = x[:, :2], d[:, :2]; P = np.linalg.pinv(X); \
    y = -P @ D @ P + P @ P.T @ D.T @ (np.eye(3) - X @ P) | X = x[:, :2]; y = np.linalg.inv(X.T @ X) @ X.T
np.linalg.lstsq(A[:, :2], x)[0] | v | f(d)
np.linalg.lstsq(x[:, :2], w)[0] | M | X, D = x[:, :2], d[:, :2]; P = np.linalg.pinv(X); \
    y = (-P @ D @ P + P @ P.T @ D.T @ (np.eye(3) - X @ P)) @ w | X = x[:, :2]; y = np.linalg.solve(X.T @ X, X.T @ w)
np.linalg.svdvals(x) | M | U, s, V = np.linalg.svd(x); y = np.diag(U.T @ d @ V.T) | \
    U, s, V = np.linalg.svd(x.real); y = np.diag(U.T @ x @ V.T)
np.linalg.norm(x, 2) | M | U, s, V = np.linalg.svd(x); y = U[:, 0] @ d @ V[0] | \
    U, s, V = np.linalg.svd(x.real); y = U[:, 0] @ x @ V[0]
np.linalg.eigvalsh(x) | S | Q = np.linalg.eigh(x)[1]; y = np.diag(Q.T @ d @ Q) | \
    Q = np.linalg.eigh(x.real)[1]; y = np.diag(Q.T @ x @ Q)
np.sort(np.linalg.eigvals(x)) | S | Q = np.linalg.eigh(x)[1]; y = np.diag(Q.T @ d @ Q)
np.sort(np.linalg.eigvals(x)) | S100 | Q = np.linalg.eigh(x)[1]; y = np.diag(Q.T @ d @ Q) | \
    Q = np.linalg.eigh(x.real)[1]; y = np.diag(Q.T @ x @ Q)
np.linalg.cholesky(x) | S | L = np.linalg.cholesky(x); P = inv(L) @ d @ inv(L).T; \
    y = L @ (np.tril(P, -1) + np.diag(np.diag(P)) / 2)
np.linalg.qr(x)[1] | M | Q, R = np.linalg.qr(x); B = Q.T @ d @ inv(R); L = np.tril(B, -1); y = (B - L + L.T) @ R

math.exp(x[0]) | 0.5 | np.exp(x[0]) | np.exp(x[0])
[math.exp(t) for t in x.tolist()] | 0.5 | np.exp(x) | np.exp(x)
np.vectorize(math.exp)(x) | 0.5 | np.exp(x) | np.exp(x)
np.vectorize(lambda t: t * t)(x) | 0.5 | 2 * x
[float(t) * t for t in x] | 0.5 | 2 * x | [t * t for t in x]
np.float64(x) ** 2 | 0.5 | 2 * x | np.asarray(x) ** 2
np.asarray(x, float) ** 2 | 0.5 | 2 * x | np.asarray(x) ** 2
x.astype(float) ** 2 | 0.5 | 2 * x | x ** 2
np.fromiter((t * t for t in x), float) | 0.5 | 2 * x | np.fromiter((t * t for t in x), x.dtype)
y = np.zeros(x.shape); y[:] = x * x | 0.5 | 2 * x | y = np.zeros_like(x); y[:] = x * x
y = np.zeros(x.shape); y += x * x | 0.5 | 2 * x | y = np.zeros_like(x); y += x * x
y = np.zeros(x.shape); np.multiply(x, x, out=y) | 0.5 | 2 * x | y = np.zeros_like(x); np.multiply(x, x, out=y)
y = np.zeros_like(x); y[:] = x * x | 0.5 | 2 * x
np.concatenate([x, w]) | v | np.concatenate([d, 0 * w])

scipy.special.expit(x) | 0.5 | 0.25 / np.cosh(x / 2) ** 2 | 0.5 * (1 + np.tanh(x / 2))
scipy.special.logit(x) | 0.3 | 1 / x + 1 / (1 - x) | np.log(x / (1 - x))
scipy.special.log_expit(x) | 0.5 | 1 / (1 + np.exp(x)) | -np.log1p(np.exp(-x))
scipy.special.logsumexp(x) | v | np.exp(x) @ d / np.exp(x).sum()
scipy.special.softmax(x) | v | p = np.exp(x) / np.exp(x).sum(); y = p * (d - p @ d)
scipy.special.erf(x) | 0.5 | 2 / np.sqrt(np.pi) * np.exp(-x * x)
scipy.special.erf(x) | 3 | 2 / np.sqrt(np.pi) * np.exp(-x * x)
scipy.special.erfc(x) | 5 | -2 / np.sqrt(np.pi) * np.exp(-x * x)
scipy.special.erfinv(x) | 0.5 | np.sqrt(np.pi) / 2 * np.exp(scipy.special.erfinv(x) ** 2)
scipy.special.log_ndtr(x) | -5 | np.exp(-x * x / 2) / np.sqrt(2 * np.pi) / scipy.special.ndtr(x)
scipy.special.gammaln(x) | 2.5 | scipy.special.digamma(x) | scipy.special.loggamma(x)
scipy.special.loggamma(x) | 2.5 | scipy.special.digamma(x)
scipy.special.gamma(x) | 2.5 | scipy.special.gamma(x) * scipy.special.digamma(x)
scipy.special.gamma(x) | -1.5 | scipy.special.gamma(x) * scipy.special.digamma(x) | \
    np.pi / (np.sin(np.pi * x) * scipy.special.gamma(1 - x))
scipy.special.digamma(x) | 2.5 | scipy.special.polygamma(1, x)
scipy.special.polygamma(1, x) | 2.5 | scipy.special.polygamma(2, x)
scipy.special.betaln(x, 3) | 2.5 | scipy.special.digamma(x) - scipy.special.digamma(x + 3) | \
    scipy.special.loggamma(x) + scipy.special.loggamma(3) - scipy.special.loggamma(x + 3)
scipy.special.xlogy(x, x) | 0.5 | 1 + np.log(x)
scipy.special.entr(x) | 0.5 | -1 - np.log(x) | -x * np.log(x)
scipy.special.rel_entr(x, 0.3) | 0.5 | 1 + np.log(x / 0.3) | x * np.log(x / 0.3)
scipy.special.huber(1, x) | 0.5 | x | np.where(x.real**2 <= 1, x * x / 2, x * np.sign(x.real) - 0.5)
scipy.special.i0(x) | 3 | scipy.special.i1(x) | scipy.special.iv(0, x)
scipy.special.iv(0, x) | 3 | scipy.special.i1(x)
scipy.special.iv(0, x) | 30 | scipy.special.i1(x)
scipy.special.ive(0, x) | 3 | scipy.special.i1e(x) - scipy.special.i0e(x) | scipy.special.iv(0, x) * np.exp(-x)
scipy.special.jv(0, x) | 3 | -scipy.special.j1(x)
scipy.special.jv(1.5, x) | 3 | scipy.special.jvp(1.5, x)
scipy.special.kv(0, x) | 3 | -scipy.special.k1(x)
scipy.special.yv(0, x) | 3 | -scipy.special.y1(x)
scipy.special.spherical_jn(0, x) | 3 | np.cos(x) / x - np.sin(x) / x**2 | np.sin(x) / x
scipy.special.expi(x) | 0.5 | np.exp(x) / x
scipy.linalg.expm(x) | M | scipy.linalg.expm(np.block([[x, d], [0 * x, x]]))[:3, 3:]
scipy.linalg.logm(x) | M | scipy.linalg.logm(np.block([[x, d], [0 * x, x]]))[:3, 3:]
scipy.linalg.sqrtm(x) | M | s = scipy.linalg.sqrtm(x); y = scipy.linalg.solve_sylvester(s, s, d)
scipy.linalg.solve(x, w, assume_a="pos") | S | -inv(x) @ d @ inv(x) @ w | scipy.linalg.solve(x, w, assume_a="gen")
scipy.linalg.cho_solve(scipy.linalg.cho_factor(x), w) | S | -inv(x) @ d @ inv(x) @ w | np.linalg.solve(x, w)
scipy.linalg.toeplitz(x) | v | f(d) | scipy.linalg.toeplitz(x, x)
scipy.signal.fftconvolve(x, w6) | v6 | np.convolve(d, w6) | np.convolve(x, w6)
scipy.signal.convolve(x, w) | v | f(d)
scipy.signal.correlate(x, w) | v | f(d)
scipy.signal.correlate(w, x) | v | f(d) | scipy.signal.convolve(w, x[::-1])
scipy.signal.correlate2d(A, x) | M | f(d) | scipy.signal.convolve2d(A, x[::-1, ::-1])
scipy.signal.lfilter([1, 2], [1, 0.5], x) | v | f(d)
scipy.signal.savgol_filter(x, 3, 1) | v | f(d)
scipy.ndimage.correlate(x, A) | M | f(d)
scipy.ndimage.correlate(A, x) | M | f(d) | scipy.signal.convolve2d(np.pad(A, 1, "symmetric"), x[::-1, ::-1], "valid")
scipy.ndimage.gaussian_filter(x, 1) | M | f(d)
scipy.ndimage.maximum_filter(x, 2) | M | d[[[0, 0, 0], [0, 1, 1], [2, 1, 1]], [[0, 0, 1], [0, 1, 1], [0, 1, 1]]] | \
    np.lib.stride_tricks.sliding_window_view(np.pad(x, ((1, 0), (1, 0)), "symmetric"), (2, 2)).max(axis=(2, 3))
scipy.fft.dct(x) | v | f(d)
scipy.interpolate.CubicSpline([0, 1, 2], w)(x) | 0.5 | -2 | s = scipy.interpolate.CubicSpline([0, 1, 2], w); \
    k = np.searchsorted(s.x, x.real, "right") - 1; y = sum(s.c[j, k] * (x - s.x[k]) ** (3 - j) for j in range(4))
scipy.interpolate.CubicSpline([0, 1, 2], x)(0.3) | v | f(d)
scipy.integrate.quad(lambda t: t * x[0], 0, 1)[0] | 0.5 | 0.5 | \
    scipy.integrate.quad(lambda t: t * x[0], 0, 1, complex_func=True)[0]
scipy.spatial.distance.cdist(x, A) | M | e = x[:, None] - A; y = (e * d[:, None]).sum(-1) / np.sqrt((e * e).sum(-1)) | \
    np.sqrt(((x[:, None] - A) ** 2).sum(-1))
scipy.stats.norm.logpdf(x) | 0.5 | -x
scipy.stats.zscore(x) | v | c = x - x.mean(); y = (d - d.mean()) / x.std() - c * (c @ d) / x.std() ** 3 / 3 | \
    c = x - x.mean(); y = c / np.sqrt((c * c).mean())
scipy.sparse.csr_array(A) @ x | v | f(d)

njit(lambda x: x**2)(x) | -2 | 2 * x
njit(lambda x: x**3)(x) | -2 | 3 * x**2 | njit(lambda x: x * x * x)(x)
njit(lambda x: 1 / x)(x) | -2 | -1 / x**2
njit(lambda x: x**-1)(x) | -2 | -1 / x**2 | njit(lambda x: 1 / x)(x)
njit(lambda x: np.exp(x))(x) | 0.5 | np.exp(x)
njit(lambda x: np.tanh(x))(x) | 3 | 1 / np.cosh(x) ** 2 | np.tanh(x)
njit(lambda x: np.tanh(x))(x) | 10 | 1 / np.cosh(x) ** 2 | np.tanh(x)
njit(lambda x: np.tanh(x))(x) | 25 | 1 / np.cosh(x) ** 2 | np.tanh(x)
njit(lambda x: np.tanh(x))(x) | 400 | 0 | np.tanh(x)
njit(lambda x: np.sign(x) * x)(x) | -0.5 | -1 | njit(lambda x: np.sign(x.real) * x)(x)
njit(lambda x: np.where(x > 0, x, 0))(x) | 0.5 | 1 | njit(lambda x: np.where(x.real > 0, x, 0))(x)
"""


class Row(NamedTuple):
    """A line of ROWS."""

    program: str
    at: str
    slope: str
    instead: str = ""

    @property
    def library(self):
        return "SciPy" if "scipy." in self.program else "Numba" if "njit(" in self.program else "NumPy"


ROWS = [Row(*" ".join(line.split()).split(" | ")) for line in ROWS.splitlines() if line]
VERSIONS = {"NumPy": np.__version__, "Numba": numba.__version__} | ({"SciPy": scipy.__version__} if scipy else {})


def run(program, **names):
    names = NAMES | names
    if ";" not in program:
        return eval(program, names)
    exec(program, names)
    return names["y"]


def point(row):
    """x and d, arrays of float64."""
    x, d = POINTS.get(row.at, ([row.at], [1]))
    return np.array(x, np.float64), np.array(d, np.float64)


def slopes(row):
    """The slopes along d, to the left and to the right of x."""
    x, d = point(row)
    slope = run(row.slope, x=x, d=d, f=lambda x: run(row.program, x=x))
    return np.broadcast_arrays(*(slope if isinstance(slope, tuple) else (slope, slope)))


class Measured(NamedTuple):
    """What becomes of the step: one of CLASSES, Im f(x + ihd) / h, and the name of an exception or a warning."""

    kind: str
    found: np.ndarray
    said: str = ""


def measure(row, program):
    """The Measured of a program, which is that of the row, or the one to write instead."""
    x, d = point(row)
    left, right = slopes(row)
    scale = np.max(np.abs([left, right]))

    def step(h):
        return np.asarray(np.imag(run(program, x=x + 1j * h * d)) / h)

    def near(a, b, tolerance=1e-12):
        return np.max(np.abs(a - b)) <= tolerance * scale

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = step(H)
        except Exception as error:
            return Measured(RAISES, None, type(error).__name__)
        said = "ComplexWarning" if any(w.category is np.exceptions.ComplexWarning for w in caught) else ""
        if np.isnan(found).any():
            kind = NAN
        elif np.any(left != right) and not near(found, step(-H)):
            kind = KINK
        elif near(found, left) or near(found, right):
            kind = CARRIES
        elif near(found, 0):
            kind = DROPS
        elif near(found, 2 * right):
            kind = DOUBLES
        elif near(found, -right):
            kind = TURNS
        elif near(found, right, 1e-3):
            kind = DIGITS
        else:
            kind = ROUNDING if near(step(1e-8), right, 1e-3) else ANOTHER
    return Measured(kind, found, said)


def cells(row, measured):
    """The cells of a row of the page. Of an array, the entry is shown that is farthest off."""
    left, right = slopes(row)
    found = right if measured.found is None else measured.found
    off = np.abs(found - (left if measured.kind == KINK else right))
    worst = np.unravel_index(np.argmax(off), off.shape)
    a, b, c = (np.broadcast_to(array, off.shape)[worst] for array in (left, right, found))
    slope = f"{b:.4g}" if a == b else f"{a:.4g} left, {b:.4g} right"
    became = f"{0 if measured.kind == DROPS else c:.4g}"
    if measured.kind in (CARRIES, DIGITS) and a == b:
        became = f"error {np.max(off) / np.max(np.abs(right)):.1g}"
    if measured.said:
        became = measured.said if measured.kind == RAISES else f"{became}, {measured.said}"
    instead = f"`{row.instead}`" if row.instead else "central differences"
    return [f"`{row.program}`", row.at, slope, became] + [instead] * (measured.kind != CARRIES)


def page():
    """Yield the lines of the page."""
    of = {kind: [] for kind in CLASSES}
    for row in ROWS:
        measured = measure(row, row.program)
        of[measured.kind].append(cells(row, measured))
    silent = [
        line for kind in CLASSES if kind not in (CARRIES, RAISES, NAN) for line in of[kind] if "Warning" not in line[3]
    ]
    versions = [f"{name} {version}" for name, version in VERSIONS.items()]
    versions += [f"Python {platform.python_version()}", f"{platform.system()} {platform.machine()}"]
    yield INTRODUCTION.format(rows=len(ROWS), right=len(of[CARRIES]), silent=len(silent), versions=", ".join(versions))
    yield from table(
        ["what becomes of the step", "programs"],
        [[f"[{kind}](#{kind.lower().replace(' ', '-')})", str(len(of[kind]))] for kind in CLASSES],
    )
    for kind, why in CLASSES.items():
        yield f"\n## {kind}\n\n{textwrap.fill(' '.join(why.split()), 120)}\n"
        yield from table(["program", "x", "slope", "complex step", "write instead"][: 5 - (kind == CARRIES)], of[kind])


def table(columns, lines):
    for line in [columns, ["---"] * len(columns), *lines]:
        yield f"| {' | '.join(line)} |"


if __name__ == "__main__":
    if scipy is None:
        sys.exit("the page has rows of SciPy: pip install scipy")
    print("\n".join(page()))
