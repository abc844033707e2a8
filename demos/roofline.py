"""What this machine can do at most, measured: multiplications and additions, and memory traffic, a second."""

import timeit

import numba
import numpy as np

from nnlite.matmul import BYTES, add, fma, splat, store

LOOPS = 10_000_000
NUMBERS = 2**26  # float32 of the traffic's array: far more than any cache holds


def peak_flops():
    """Float32 operations a second on all threads, out of registers alone; a fused multiply-add counts as 2."""
    lanes, sums = BYTES // 4, 12
    numbers = np.full((numba.get_num_threads(), sums + lanes), 0.5, np.float32)
    return 2 * lanes * sums * LOOPS * numba.get_num_threads() / _fastest(_multiply_in_registers, numbers, LOOPS)


def bandwidth():
    """Bytes a second that all threads together read and write in one pass over an array."""
    numbers = np.zeros(NUMBERS, np.float32)
    return 2 * numbers.nbytes / _fastest(_add_one, numbers)


def _fastest(function, *arguments):
    return min(timeit.repeat(lambda: function(*arguments), number=1, repeat=8)[1:])  # the first compiles


@numba.njit(parallel=True)
def _multiply_in_registers(numbers, loops):
    """Twelve sums a thread, for one multiply-add takes as long as several others can start."""
    for t in numba.prange(len(numbers)):
        n = t * numbers.shape[1]
        x = splat(numbers, n)
        c0, c1, c2, c3 = splat(numbers, n), splat(numbers, n + 1), splat(numbers, n + 2), splat(numbers, n + 3)
        c4, c5, c6, c7 = splat(numbers, n + 4), splat(numbers, n + 5), splat(numbers, n + 6), splat(numbers, n + 7)
        c8, c9, ca, cb = splat(numbers, n + 8), splat(numbers, n + 9), splat(numbers, n + 10), splat(numbers, n + 11)
        for _ in range(loops):
            c0, c1, c2, c3 = fma(x, x, c0), fma(x, x, c1), fma(x, x, c2), fma(x, x, c3)
            c4, c5, c6, c7 = fma(x, x, c4), fma(x, x, c5), fma(x, x, c6), fma(x, x, c7)
            c8, c9, ca, cb = fma(x, x, c8), fma(x, x, c9), fma(x, x, ca), fma(x, x, cb)
        total = add(add(add(c0, c1), add(c2, c3)), add(add(c4, c5), add(c6, c7)))
        store(numbers, n, add(total, add(add(c8, c9), add(ca, cb))))


@numba.njit(parallel=True)
def _add_one(numbers):
    for i in numba.prange(numbers.size):
        numbers[i] += np.float32(1)
