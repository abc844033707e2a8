"""What this machine can do at most, measured: multiplications and additions, and memory traffic, a second."""

import timeit

import numba
import numpy as np

from nnlite.matmul import BYTES, ROWS, VECTORS, add_outer, plan, pointer, store, zeros

ROUNDS = 80_000
DEEP = 64  # outer products of which the numbers, 18 KB with AVX-512, stay in the first-level cache
WIDE = VECTORS * BYTES // 4  # numbers in a row of a tile
NUMBERS = 2**26  # float32 of the traffic's array: far more than any cache holds


def peak_flops():
    """Float32 operations a second on all threads, of numbers that stay in registers and the first-level cache.

    A fused multiply-add counts as 2.
    """
    threads = numba.get_num_threads()
    numbers = np.zeros((threads, DEEP * (ROWS + WIDE)), np.float32)
    return 2 * ROUNDS * DEEP * threads * ROWS * WIDE / _fastest(_multiply_in_registers, numbers, ROUNDS)


def bandwidth():
    """Bytes a second that all threads together read and write in one pass over an array."""
    numbers = np.zeros(NUMBERS, np.float32)
    return 2 * numbers.nbytes / _fastest(_add_one, numbers)


def computed_as(batch):
    """(M, N, K, b_rows) of race.PRODUCTS as matmul.py computes them, for plan(): see the table in its opening."""
    n, hidden, pixels = batch, 512, 12288
    shapes = (hidden, n, pixels), (hidden, pixels, n), (pixels, n, hidden), (pixels, hidden, n), (n, hidden, pixels)
    return [(*shape, b_rows) for shape, b_rows in zip(shapes, (False, True, False, True, True))]


def traffic(batch, threads):
    """Bytes that pass the second-level cache, [(must, does), ...] for race.PRODUCTS, counted from matmul.py's loops.

    Must: each operand comes once, and the result comes and goes once. Does: A comes again for each block of columns, B
    for each strip of rows, and C for each block of k. The sums of a part come and go with each block if they are larger
    than half a megabyte, and else once, and come once more to be added up. For batches of whole tiles.
    """
    found = []
    for M, N, K, b_rows in computed_as(batch):
        jobs, parts, deep, wide = plan(M, N, K, BYTES // 4, b_rows, threads)
        i, j, k = (jobs[:, 1:6:2] - jobs[:, 0:6:2]).T
        visits = -(-k // deep) if parts == 1 or M * N > 2**17 else 1
        does = np.sum(i * k * -(-j // wide) + k * j + 2 * i * j * visits) + (parts > 1) * (parts + 2) * M * N
        found.append((4 * (M * K + K * N + 2 * M * N), int(4 * does)))
    return found


def _fastest(function, *arguments):
    return min(timeit.repeat(lambda: function(*arguments), number=1, repeat=8)[1:])  # the first compiles


@numba.njit(parallel=True)
def _multiply_in_registers(numbers, rounds):
    """A tile a thread, to which DEEP outer products are added in turns: a single one would be computed but once."""
    for t in numba.prange(len(numbers)):
        own = pointer(numbers[t])
        tile = zeros(own)
        for _ in range(rounds):
            for k in range(DEEP):
                tile = add_outer(tile, own, k, DEEP, own, DEEP * ROWS + k * WIDE)
        store(tile, own, 0, WIDE)


@numba.njit(parallel=True)
def _add_one(numbers):
    for i in numba.prange(numbers.size):
        numbers[i] += np.float32(1)
