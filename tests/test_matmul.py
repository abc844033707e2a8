"""The products: equal to NumPy's within the rounding of K additions, for every shape, memory order and thread count."""

import contextlib
import itertools
import os
import platform
import subprocess
import sys

import numba
import numpy as np
import pytest
from ablations import TRICKS, changed
from hypothesis import given
from hypothesis import strategies as st

import nnlite.matmul as module
from demos.roofline import computed_as
from nnlite.matmul import BYTES, CHUNK, FEW, JOB, JOBS, ROWS, SIDE, matmul, plan

SIZES = st.integers(1, 70)
ORDERS = st.sampled_from(["rows", "columns", "gaps"])
DTYPES = [np.float32, np.float64]
GUARD = 64  # numbers on either side of an array that nobody may touch


def guarded(array, dtype, order="rows"):
    """(whole, view): the array in a given memory order, between guard bands of nan."""
    rows, columns = array.shape
    if order == "gaps":
        whole = np.full((2 * rows, 3 * columns), np.nan, dtype)
        view = whole[::2, ::3]
    else:
        whole = np.full(2 * GUARD + array.size, np.nan, dtype)
        inner = whole[GUARD : GUARD + array.size]
        view = inner.reshape(columns, rows).T if order == "columns" else inner.reshape(rows, columns)
    view[...] = array
    return whole, view


def check(M, N, K, dtype, a_order="rows", b_order="rows", seed=0):
    rng = np.random.default_rng(seed)
    a, b, c = (rng.standard_normal(shape, dtype) for shape in ((M, K), (K, N), (M, N)))
    right, sizes = a.astype(np.float64) @ b, np.abs(a) @ np.abs(b)
    (whole_a, a), (whole_b, b) = guarded(a, dtype, a_order), guarded(b, dtype, b_order)
    bits = [whole.view(f"u{whole.itemsize}") for whole in (whole_a, whole_b)]
    untouched = [each.copy() for each in bits]
    for adding in (False, True):
        whole, out = guarded(c if adding else c * np.nan, dtype)
        matmul(a, b, out, adding)
        before = c.astype(np.float64) if adding else 0.0
        # K products and additions, each rounded by at most eps / 2 of what has been summed so far
        bound = (K + 2) * np.finfo(dtype).eps * (sizes + np.abs(before))
        assert (np.abs(out - (before + right)) <= bound).all()
        assert np.isnan(whole[:GUARD]).all() and np.isnan(whole[-GUARD:]).all()
    assert all(map(np.array_equal, bits, untouched))


@contextlib.contextmanager
def many_jobs():
    """Products as small as those of the tests are cut like large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "JOB", 1000)
        plan.cache_clear()
        yield
    plan.cache_clear()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@given(M=SIZES, N=SIZES, K=SIZES, a_order=ORDERS, b_order=ORDERS, seed=st.integers(0, 9))
def test_a_product_is_numpys_and_stays_within_its_arrays(threads, dtype, M, N, K, a_order, b_order, seed):
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, before))
    try:
        with many_jobs():
            check(M, N, K, dtype, a_order, b_order, seed)
    finally:
        numba.set_num_threads(before)


BOTH_ORDERS = list(itertools.product(("rows", "columns"), repeat=2))
EDGES = [
    (FEW, SIDE + 1, 100),
    (FEW + 1, 17, SIDE),
    (40, SIDE, 33),
    (50, 33, SIDE - 1),
    (CHUNK + 1, SIDE + 1, 2 * SIDE + 1),
    (2 * CHUNK + ROWS + 1, CHUNK + 1, 2 * SIDE + 1),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("orders", BOTH_ORDERS)
@pytest.mark.parametrize("shape", EDGES)
def test_products_at_the_edges_of_blocks_and_chunks(shape, orders, dtype):
    check(*shape, dtype, *orders)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("orders", BOTH_ORDERS)
@pytest.mark.parametrize("shape", [(64, 128, 9000), (70, 90, 2000), (1000, 70, 90), (90, 1000, 70), (33, 128, 700)])
def test_products_in_many_jobs(shape, orders, dtype):
    with many_jobs():
        check(*shape, dtype, *orders)


THREADS = (1, 2, 3, 4, 8, 16)
BATCHES = (64, 128, 256, 512)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("batch", BATCHES)
def test_each_large_product_is_cut_into_4_jobs_a_thread_none_too_small(batch, threads):
    for *shape, b_rows in computed_as(batch):
        jobs, *_ = plan(*shape, BYTES // 4, b_rows, threads)
        sizes = np.prod(jobs[:, 1:6:2] - jobs[:, 0:6:2], axis=1)
        assert len(jobs) >= JOBS * threads
        assert sizes.min() >= JOB and sizes.sum() == np.prod(shape)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("shape", [(70, 90, 3000), (3000, 70, 90), (90, 3000, 70), (1, 1, 1), (7, 300, 300)])
def test_each_multiplication_is_in_one_job(shape, threads):
    times = np.zeros(shape, int)
    with many_jobs():
        jobs, *_ = plan(*shape, BYTES // 4, True, threads)
    for i0, i1, j0, j1, k0, k1, _ in jobs:
        times[i0:i1, j0:j1, k0:k1] += 1
    assert (times == 1).all()


ON_16_THREADS = """
import numba
import numpy as np
from nnlite.matmul import matmul

rng = np.random.default_rng(0)
for batch, dtype in ((64, np.float32), (100, np.float64)):
    shapes = (batch, 12288), (batch, 512), (512, 12288), (12288, 512)
    x, h, W, V = (rng.standard_normal(shape, dtype) for shape in shapes)
    for a, b in ((x, W.T), (h, V.T), (x, V), (h.T, x), (x.T, h)):
        found = []
        for threads in THREADS:
            numba.set_num_threads(threads)
            found += [matmul(a, b), matmul(a, b)]
        assert all(np.array_equal(each, found[0]) for each in found[1:]), (a.shape, b.shape)
        bound = 12290 * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b))
        assert (np.abs(found[0] - a.astype(np.float64) @ b) <= bound).all(), (a.shape, b.shape)
"""


@pytest.mark.slow
def test_the_large_products_are_right_and_the_same_to_the_bit_on_any_number_of_threads():
    script = ON_16_THREADS.replace("THREADS", str(THREADS))
    subprocess.run([sys.executable, "-c", script], env=os.environ | {"NUMBA_NUM_THREADS": "16"}, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [1, 7, 256])
def test_the_products_of_the_model(batch, dtype):
    for inputs, outputs in ((12288, 512), (512, 24), (24, 512), (512, 12288)):
        check(batch, outputs, inputs, dtype, b_order="columns")  # y = x W^T
        check(batch, inputs, outputs, dtype)  # dx = dy W
        check(outputs, inputs, batch, dtype, a_order="columns")  # dW = dy^T x


BETWEEN_PAGES_THAT_NOBODY_MAY_TOUCH = """
import ctypes, mmap, sys
import numpy as np
from nnlite.matmul import matmul

PAGE, NOTHING, ALL = mmap.PAGESIZE, 0, 3
protect, kept = ctypes.CDLL(None).mprotect, []

def fenced(array, at_the_end):
    pages = -(-array.nbytes // PAGE)
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    kept.append(memory)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (0, pages + 1):
        assert protect(ctypes.c_void_p(start + page * PAGE), ctypes.c_size_t(PAGE), NOTHING) == 0
    offset = PAGE + (pages * PAGE - array.nbytes) * at_the_end
    there = np.frombuffer(memory, array.dtype, array.size, offset).reshape(array.shape)
    there[...] = array
    return there

rng = np.random.default_rng(0)
for n in range(400):
    M, N, K = rng.integers(1, (70, 70, 70) if n % 8 else (300, 300, 800))
    At, Bt, adding, at_the_end = rng.integers(0, 2, 4)
    dtype = np.dtype(sys.argv[1 + n % (len(sys.argv) - 1)])
    a, b = rng.standard_normal((K, M) if At else (M, K)), rng.standard_normal((N, K) if Bt else (K, N))
    a, b, out = (fenced(x.astype(dtype), at_the_end) for x in (a, b, np.zeros((M, N))))
    a, b = a.T if At else a, b.T if Bt else b
    matmul(a, b, out, bool(adding))
    assert np.allclose(out, a @ b, rtol=0, atol=K * np.finfo(dtype).eps * 10)
import os; os._exit(0)  # the fences would be in the way of cleaning up
"""


ANY_X86 = {"NUMBA_CPU_NAME": "generic"}  # vectors of 16 bytes, and no fma
SHORT_VECTORS = ANY_X86 | {"NUMBA_CPU_FEATURES": "+fma,+avx2"}


@pytest.mark.skipif(sys.platform == "win32", reason="wants mprotect")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names processors of x86")
@pytest.mark.parametrize(
    "processor, dtypes",
    [
        pytest.param({}, ("f4", "f8"), id="this processor"),
        pytest.param(SHORT_VECTORS, ("f4",), id="vectors of 32 bytes", marks=pytest.mark.slow),  # compiled for it
        pytest.param(ANY_X86, ("f8",), id="vectors of 16 bytes, no fma", marks=pytest.mark.slow),
    ],
)
def test_products_are_right_and_do_not_read_or_write_outside_their_arrays(processor, dtypes):
    command = [sys.executable, "-c", BETWEEN_PAGES_THAT_NOBODY_MAY_TOUCH, *dtypes]
    subprocess.run(command, env=os.environ | processor, check=True)


@pytest.mark.parametrize("M, N, K", [(0, 3, 2), (3, 0, 2), (3, 2, 0)])
@pytest.mark.parametrize("adding", [False, True])
def test_empty_products_are_0(M, N, K, adding):
    out = np.full((M, N), 7.0)
    matmul(np.ones((M, K)), np.ones((K, N)), out, adding)
    assert np.array_equal(out, np.full((M, N), 7.0 if adding else 0.0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("adding", [False, True])
@pytest.mark.parametrize("rows", [3, 6, 40])
def test_nan_and_inf_come_out_where_numpy_has_them(rng, rows, adding, dtype):
    a, b = rng.standard_normal((rows, 9)).astype(dtype), rng.standard_normal((9, 40)).astype(dtype)
    a[2, 3], a[0, 0], b[5, 1], b[5, 39] = np.nan, np.inf, -np.inf, np.inf
    out = np.zeros((rows, 40), dtype)
    with np.errstate(invalid="ignore"):
        expected = a @ b
    matmul(a, b, out, adding)
    infinite = np.isinf(expected)
    assert np.array_equal(np.isnan(out), np.isnan(expected)) and np.array_equal(np.isinf(out), infinite)
    assert np.array_equal(out[infinite], expected[infinite])


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_runs_agree_to_the_last_bit(rng, dtype):
    a, b = rng.standard_normal((70, 9000)).astype(dtype), rng.standard_normal((9000, 80)).astype(dtype)
    with many_jobs():
        assert np.array_equal(matmul(a, b), matmul(a, b))


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_that_ablations_takes_away_is_there(trick):
    assert callable(changed(TRICKS[trick]))
