"""Element-wise passes over large arrays in Numba: each makes one pass of what NumPy makes several of, on all threads.

Arrays are C-contiguous; tanh and squared_error take float32. backend.py, which calls these, says what each computes.
"""

import numba
import numpy as np

from nnlite.matmul import jit_parallel

CHUNK = 2**14  # numbers whose squares are summed at a time, in float32; the sums of the chunks are float64

# tanh(x) = x P(x^2) / Q(x^2) for |x| < LARGE; P and Q from low to high, of Eigen (Eigen/src/Core/MathFunctionsImpl.h)
P = np.array(
    [4.89352456e-03, 6.37261929e-04, 1.48572236e-05, 5.12229709e-08, -8.60467152e-11, 2.00018790e-13, -2.76076847e-16],
    np.float32,
)
Q = np.array([4.89352519e-03, 2.26843463e-03, 1.18534706e-04, 1.19825839e-06], np.float32)
LARGE = np.float32(7.90531111)
ONE_FROM = np.float32(9.1)  # where tanh(x) rounds to 1
SMALL = np.float32(4e-4)  # up to which tanh(x) = x - x^3 / 3 + ... rounds to x


@jit_parallel
def tanh(x, y, slope):
    """The loop calls no function, so that the compiler turns it into one over vectors, as it cannot with math.tanh."""
    for i in numba.prange(x.size):
        z = min(max(x[i], -LARGE), LARGE)
        s = z * z
        p = (((((P[6] * s + P[5]) * s + P[4]) * s + P[3]) * s + P[2]) * s + P[1]) * s + P[0]
        q = ((Q[3] * s + Q[2]) * s + Q[1]) * s + Q[0]
        t = z * p / q
        if abs(x[i]) > ONE_FROM:  # between LARGE and here tanh(LARGE) is near enough
            t = np.copysign(np.float32(1), x[i])
        if not abs(x[i]) > SMALL:  # nan is not more than anything
            t = x[i]
        y[i] = t
        slope[i] = np.float32(1) - t * t


@jit_parallel
def squared_error(prediction, target, scale, grad, sums):
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


@jit_parallel
def take_levels(images, rows, levels, out):
    """out[n, c, i] = levels[value of channel c in pixel i of image rows[n]]"""
    for n in numba.prange(rows.size):
        pixels, channels = images[rows[n]].reshape(-1), out.shape[1]
        for c in range(channels):
            for i in range(out.shape[2]):
                out[n, c, i] = levels[pixels[i * channels + c]]


@jit_parallel
def adam_step(p, g, m, v, keep_m, take_m, keep_v, take_v, rate, v_scale, eps):
    """Reads p, g, m, v and writes p, m, v, once each; no array holds what is computed on the way."""
    for i in numba.prange(p.size):
        m[i] = keep_m * m[i] + take_m * g[i]
        v[i] = keep_v * v[i] + take_v * g[i] * g[i]
        p[i] -= rate * m[i] / (np.sqrt(v_scale * v[i]) + eps)
