"""Element-wise functions in Numba: each makes one pass over memory of what NumPy makes several of, on all threads.

What each computes stands, in NumPy, in layers.py, losses.py, optim.py and autoencoders/images.py.
Each returns NotImplemented for arguments that it does not take: see accelerated() in backend.py.
"""

import numba
import numpy as np

from nnlite.compiling import jit_parallel
from nnlite.matmul import HAS_FMA, read_only

CHUNK = 2**14  # numbers whose squares are summed at a time, in float32; the sums of the chunks are float64

# tanh(x) = x P(x^2) / Q(x^2) for |x| < LARGE; P and Q from low to high, of Eigen (Eigen/src/Core/MathFunctionsImpl.h)
P = [4.89352456e-03, 6.37261929e-04, 1.48572236e-05, 5.12229709e-08, -8.60467152e-11, 2.00018790e-13, -2.76076847e-16]
Q = [4.89352519e-03, 2.26843463e-03, 1.18534706e-04, 1.19825839e-06]
# each fma rounds once; where a product and a sum round, float64 keeps the error below 5 units in the last place
P, Q = np.array(P, np.float32 if HAS_FMA else np.float64), np.array(Q, np.float32 if HAS_FMA else np.float64)
LARGE = np.float32(7.90531111)
ONE_FROM = np.float32(9.1)  # where tanh(x) rounds to 1
SMALL = np.float32(4e-4)  # up to which tanh(x) = x - x^3 / 3 + ... rounds to x


def zero_where(off, x):
    """x: float32 of the shape of `off`, any. np.where branches, and of random signs guesses every second wrong."""
    if not _are(np.float32, x) or off.shape != x.shape:
        return NotImplemented
    y = np.empty(x.shape, x.dtype)
    _zero_where(_flat(off), _flat(x), y.reshape(-1))
    return y


@jit_parallel
def _zero_where(off, x, y):
    for i in numba.prange(x.size):
        y[i] = np.float32(0) if off[i] else x[i]


def tanh_and_slope(x):
    """float32 of any shape. Off by less than 5 units in the last place; 0, inf and nan are exact."""
    if not _are(np.float32, x):
        return NotImplemented
    y, slope = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    _tanh_and_slope(_flat(x), y.reshape(-1), slope.reshape(-1))
    return y, slope


@jit_parallel
def _tanh_and_slope(x, y, slope):
    """The loop calls no function, so that the compiler turns it into one over vectors, as it cannot with math.tanh."""
    for i in numba.prange(x.size):
        z = min(max(x[i], -LARGE), LARGE)
        s = z * z
        p = (((((P[6] * s + P[5]) * s + P[4]) * s + P[3]) * s + P[2]) * s + P[1]) * s + P[0]
        q = ((Q[3] * s + Q[2]) * s + Q[1]) * s + Q[0]
        t = np.float32(z * p / q)
        if abs(x[i]) > ONE_FROM:  # between LARGE and here tanh(LARGE) is near enough
            t = np.copysign(np.float32(1), x[i])
        if not abs(x[i]) > SMALL:  # nan is not more than anything
            t = x[i]
        y[i] = t
        slope[i] = np.float32(1) - t * t


def mse_loss(prediction, target):
    """float32 of one shape, any but an empty one."""
    if not _are(np.float32, prediction, target) or prediction.shape != target.shape or prediction.size == 0:
        return NotImplemented
    n = prediction.size
    grad, sums = np.empty(prediction.shape, prediction.dtype), np.empty(-(-n // CHUNK))
    _squared_error(_flat(prediction), _flat(target), np.float32(2 / n), grad.reshape(-1), sums)
    return np.float32(sums.sum() / n), grad


@jit_parallel
def _squared_error(prediction, target, scale, grad, sums):
    """sums[c] is that of chunk c, whichever thread adds it up: two runs agree to the last bit."""
    for c in numba.prange(sums.size):
        chunk = slice(c * CHUNK, (c + 1) * CHUNK)
        p, t, g = prediction[chunk], target[chunk], grad[chunk]
        total = np.float32(0)
        for i in range(p.size):
            difference = p[i] - t[i]
            total += difference * difference
            g[i] = scale * difference
        sums[c] = total


def adam_update(adam, arrays, rate, v_scale):
    """float32 or float64; p, m and v row after row, for they are written to."""
    p, g, m, v = arrays
    rows = all(array.flags.c_contiguous for array in (p, m, v))
    if not rows or not (_are(np.float32, p, g, m, v) or _are(np.float64, p, g, m, v)):
        return NotImplemented
    beta1, beta2 = adam.betas
    numbers = [p.dtype.type(number) for number in (beta1, 1 - beta1, beta2, 1 - beta2, rate, v_scale, adam.eps)]
    _adam_update(p.reshape(-1), _flat(g), m.reshape(-1), v.reshape(-1), *numbers)


@jit_parallel
def _adam_update(p, g, m, v, keep_m, take_m, keep_v, take_v, rate, v_scale, eps):
    """Reads p, g, m, v and writes p, m, v, once each; no array holds what is computed on the way."""
    for i in numba.prange(p.size):
        m[i] = keep_m * m[i] + take_m * g[i]
        v[i] = keep_v * v[i] + take_v * g[i] * g[i]
        p[i] -= rate * m[i] / (np.sqrt(v_scale * v[i]) + eps)


def take_levels(images, rows, levels):
    """images: uint8 (N, H, W, C), row after row; rows: (n,) from 0 to N - 1; levels: (256,)."""
    there = rows.ndim == 1 and rows.dtype.kind in "iu" and ((0 <= rows) & (rows < len(images))).all()
    if not there or images.dtype != np.uint8 or not images.flags.c_contiguous or levels.shape != (256,):
        return NotImplemented
    _, H, W, C = images.shape
    out = np.empty((len(rows), C, H * W), levels.dtype)
    _take_levels(read_only(images), _flat(rows.astype(np.intp)), _flat(levels), out)
    return out.reshape(len(rows), C * H * W)


@jit_parallel
def _take_levels(images, rows, levels, out):
    """out[n, c, i] = levels[value of channel c in pixel i of image rows[n]]"""
    for n in numba.prange(rows.size):
        pixels, channels = images[rows[n]].reshape(-1), out.shape[1]
        for c in range(channels):
            for i in range(out.shape[2]):
                out[n, c, i] = levels[pixels[i * channels + c]]


def _are(dtype, *arrays):
    return all(isinstance(array, np.ndarray) and array.dtype == dtype for array in arrays)


def _flat(array):
    """The numbers of an array in a row."""
    return read_only(np.ascontiguousarray(array).reshape(-1))
