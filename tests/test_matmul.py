import numpy as np
import pytest

from nnlite.matmul import K_BLOCK, N_BLOCK, add_product

SHAPES = [
    (1, 1, 1),
    (1, 24, 512),
    (3, 2, 5),
    (4, 3, 16),
    (5, 4, 17),
    (7, 5, K_BLOCK - 1),
    (65, 2 * N_BLOCK + 1, K_BLOCK),
    (130, 37, 2 * K_BLOCK + 1),
    (0, 3, 2),
    (3, 0, 2),
    (3, 2, 0),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", ["a b", "a b.T", "a.T b", "a.T b.T", "strided"])
def test_the_product_is_added(rng, shape, dtype, order):
    M, N, K = shape
    a, b, out = rng.standard_normal((M, K)), rng.standard_normal((K, N)), rng.standard_normal((M, N))
    expected = out + a @ b
    bound = K * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b) + np.abs(out)) + np.finfo(dtype).eps * np.abs(expected)
    a, b, out = arrange(a, dtype, order, "a"), arrange(b, dtype, order, "b"), out.astype(dtype)
    add_product(a, b, out)
    assert (np.abs(out - expected) <= 4 * bound).all()


def arrange(array, dtype, order, name):
    """The same values in row-major, transposed or strided memory."""
    if order == "strided":
        padded = np.zeros((2 * array.shape[0], 3 * array.shape[1]), dtype)
        padded[::2, ::3] = array
        return padded[::2, ::3]
    return np.array(array, dtype, order="F" if name + ".T" in order else "C")


def test_nan_and_inf_come_out_where_numpy_has_them(rng):
    a, b, out = rng.standard_normal((6, 9)), rng.standard_normal((9, 7)), np.zeros((6, 7))
    a[2, 3], a[4, 0], b[5, 1] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        expected = a @ b
    add_product(a, b, out)
    assert np.array_equal(np.isnan(out), np.isnan(expected))
    assert np.array_equal(out[np.isinf(expected)], expected[np.isinf(expected)])


def test_two_runs_agree_to_the_last_bit(rng):
    a, b = rng.standard_normal((70, 600)), rng.standard_normal((600, 200))
    first, second = np.zeros((2, 70, 200))
    add_product(a, b, first)
    add_product(a, b, second)
    assert np.array_equal(first, second)
