"""Matrix products in Numba: out += a @ b, for float32 and float64, in any memory order.

Each product here equals this triple loop:

    for i in range(M):
        for j in range(N):
            for k in range(K):
                out[i, j] += a[i, k] * b[k, j]

Run as it stands, the loop spends its time waiting: every multiplication wants two numbers from memory.
Three changes keep the processor busy instead; of what is computed they alter only the order of additions.

1. Packing. Rows of `a` and columns of `b` are first copied into small blocks in which consecutive `k`
   lie side by side. The compiler can then load 4 to 16 numbers at once, and a block stays in the cache
   until it is no longer needed.
2. A tile of 4 x 3 sums. A multiplication that uses each loaded number once is limited by loading.
   Four rows and three columns make 12 products from 7 loads, and the 12 running sums stay in registers.
3. Threads. Each thread takes columns of `out` of its own. No two write to the same element, so the
   result does not depend on which of them is faster: two runs agree to the last bit.
"""

import numba
import numpy as np

K_BLOCK = 512  # numbers of a packed row: 4 + 3 such rows of float32 are 14 KB, well within a 32 KB L1 cache
N_BLOCK = 48  # columns packed at a time by one thread: 96 KB of float32, within its L2 cache
M_BLOCK = 64  # rows packed at a time by one thread
PADDING = 16  # numbers between packed rows, so that rows a power of two apart do not evict one another

# "contract" permits a * b + c in one instruction, "reassoc" adding in another order, which vector sums need.
# The flags that let the compiler assume that there is no nan or inf stay off.
_jit = numba.njit(fastmath={"contract", "reassoc"}, error_model="numpy", cache=True)
_jit_parallel = numba.njit(fastmath={"contract", "reassoc"}, error_model="numpy", cache=True, parallel=True)


def add_product(a, b, out):
    """Add the matrix product a @ b to `out` in place.

    a: (M, K), b: (K, N), out: (M, N); one dtype, float32 or float64. `a` and `b` may be transposed views
    (read without a copy) or have any other strides (copied first). `out` must not overlap them.
    """
    rows, rows_transposed = _row_major(a)
    columns, columns_transposed = _row_major(b.T)
    blocks = -(-a.shape[1] // K_BLOCK)
    packed = np.empty((blocks, a.shape[0], min(K_BLOCK, a.shape[1]) + PADDING), out.dtype)
    _pack_all(rows, rows_transposed, a.shape[1], packed)
    _add_dots(packed, columns, columns_transposed, a.shape[1], out, _columns_a_task(out.shape[1]))


def _row_major(a):
    """(array, transposed): `array` is C-contiguous, and `a` is that array or its transpose."""
    if a.flags.f_contiguous and not a.flags.c_contiguous:
        return a.T, True
    return np.ascontiguousarray(a), False


def _columns_a_task(columns):
    """At most N_BLOCK, a multiple of the tile's 3, and such that the threads get about the same number of tasks."""
    threads = numba.get_num_threads()
    tasks = max(1, -(-columns // (N_BLOCK * threads))) * threads
    return -(-columns // (tasks * 3)) * 3


@_jit
def _pack(source, transposed, first, last, k0, k1, packed):
    """packed[r, k] = source[first + r, k0 + k], or source[k0 + k, first + r] if `transposed`."""
    if not transposed:
        for r in range(first, last):
            for k in range(k0, k1):
                packed[r - first, k - k0] = source[r, k]
    else:  # 16 neighbours at a time, so that each line of memory that is fetched is used whole
        for r0 in range(first, last, 16):
            for k in range(k0, k1):
                for r in range(r0, min(r0 + 16, last)):
                    packed[r - first, k - k0] = source[k, r]


@_jit_parallel
def _pack_all(source, transposed, K, packed):
    """packed[q, i, k] = number q * K_BLOCK + k of row i (of column i, if `transposed`).

    packed: (blocks, M, K_BLOCK + PADDING); the padding is never read.
    """
    blocks, M, _ = packed.shape
    strips = (M + M_BLOCK - 1) // M_BLOCK
    for task in numba.prange(blocks * strips):
        q, i0 = task // strips, (task % strips) * M_BLOCK
        _pack(source, transposed, i0, min(i0 + M_BLOCK, M), q * K_BLOCK, min((q + 1) * K_BLOCK, K), packed[q, i0:])


@_jit_parallel
def _add_dots(packed, columns, transposed, K, out, width):
    """out[i, j] += the dot product of packed row i with column j; each task packs `width` columns of its own.

    packed: (blocks, M, K_BLOCK + PADDING); block, one task's columns: (width, K_BLOCK + PADDING).
    """
    M, N = out.shape
    for task in numba.prange((N + width - 1) // width):
        j0 = task * width
        j1 = min(j0 + width, N)
        block = np.empty((width, packed.shape[2]), packed.dtype)
        for q in range(packed.shape[0]):
            k0, k1 = q * K_BLOCK, min((q + 1) * K_BLOCK, K)
            _pack(columns, transposed, j0, j1, k0, k1, block)
            for i in range(0, M, 4):
                for j in range(j0, j1, 3):
                    _tile(packed[q], i, min(4, M - i), block, j - j0, min(3, j1 - j), k1 - k0, out, j)


@_jit
def _tile(A, i, rows, B, j, columns, K, out, out_j):
    """out[i + r, out_j + c] += A[i + r, :K] . B[j + c, :K] for the 4 x 3 pairs of r and c.

    At the edge of `out`, where fewer than 4 rows or 3 columns are left, the last one is computed again in
    place of those that are missing, and not stored.
    """
    a0, a1, a2, a3 = A[i, :K], A[i + min(1, rows - 1), :K], A[i + min(2, rows - 1), :K], A[i + min(3, rows - 1), :K]
    b0, b1, b2 = B[j, :K], B[j + min(1, columns - 1), :K], B[j + min(2, columns - 1), :K]
    zero = A.dtype.type(0)
    s00 = s01 = s02 = s10 = s11 = s12 = zero
    s20 = s21 = s22 = s30 = s31 = s32 = zero
    for k in range(K):
        s00 += a0[k] * b0[k]
        s01 += a0[k] * b1[k]
        s02 += a0[k] * b2[k]
        s10 += a1[k] * b0[k]
        s11 += a1[k] * b1[k]
        s12 += a1[k] * b2[k]
        s20 += a2[k] * b0[k]
        s21 += a2[k] * b1[k]
        s22 += a2[k] * b2[k]
        s30 += a3[k] * b0[k]
        s31 += a3[k] * b1[k]
        s32 += a3[k] * b2[k]
    sums = ((s00, s01, s02), (s10, s11, s12), (s20, s21, s22), (s30, s31, s32))
    for r, (c0, c1, c2) in enumerate(sums):
        if r < rows:
            out[i + r, out_j] += c0
            if columns > 1:
                out[i + r, out_j + 1] += c1
            if columns > 2:
                out[i + r, out_j + 2] += c2
