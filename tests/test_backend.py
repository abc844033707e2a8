import os
import re
import threading

import numba
import numpy as np
import pytest
from conftest import python

from autoencoders import FCNAutoencoder
from autoencoders.images import take_levels
from nnlite import Adam, Parameter, backend, mse_loss, use_backend
from nnlite.backend import current_backend
from nnlite.fused import CHUNK
from nnlite.layers import matmul, tanh_and_slope, zero_where


def on_both_backends(function, *arguments):
    for name in ("numba", "numpy"):
        with use_backend(name):
            yield function(*arguments)


def test_numba_is_the_default(monkeypatch):
    monkeypatch.delenv("NNLITE_BACKEND", raising=False)
    assert current_backend() == "numba"


def test_the_environment_chooses_the_backend(monkeypatch):
    monkeypatch.setenv("NNLITE_BACKEND", "numpy")
    assert current_backend() == "numpy"


def test_use_backend_goes_before_the_environment_and_restores_on_leaving(monkeypatch):
    monkeypatch.setenv("NNLITE_BACKEND", "numpy")
    with use_backend("numba"):
        assert current_backend() == "numba"
    assert current_backend() == "numpy"


def test_use_backend_restores_what_was_chosen_before():
    with use_backend("numpy"):
        with use_backend("numba"):
            pass
        assert current_backend() == "numpy"


def test_use_backend_is_a_setting_too():
    with use_backend("numba"):
        use_backend("numpy")
        assert current_backend() == "numpy"


def test_where_numba_may_not_compile_numpy_takes_its_place_and_says_so_once(monkeypatch, caplog):
    backend._say.cache_clear()
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    with use_backend("numba"):
        assert [current_backend(), current_backend()] == ["numpy", "numpy"]
    assert caplog.messages == ["nnlite: NUMBA_DISABLE_JIT is set, so NumPy takes the place of Numba"]


def test_an_unknown_backend_is_named(monkeypatch):
    with pytest.raises(ValueError, match="use_backend: found 'cuda', wanted one of numba, numpy"):
        use_backend("cuda")
    monkeypatch.setenv("NNLITE_BACKEND", "cuda")
    with pytest.raises(ValueError, match="NNLITE_BACKEND: found 'cuda'"):
        current_backend()


@pytest.mark.parametrize("name", ["numba", "numpy"])
def test_matmul_returns_a_new_product_or_fills_an_array_or_adds_to_it(rng, name):
    a, b, c = rng.standard_normal((3, 4, 4))
    with use_backend(name):
        assert np.allclose(matmul(a, b), a @ b, rtol=1e-13)
        assert matmul(b, a, out=c) is c
        assert np.allclose(c, b @ a, rtol=1e-13)
        expected = c + a @ b
        assert matmul(a, b, out=c, add=True) is c
        assert np.allclose(c, expected, rtol=1e-13)


@pytest.mark.parametrize("name", ["numba", "numpy"])
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize(
    "b, out",
    [
        (np.ones((2, 4)), None),
        (np.ones((3, 4)), np.ones((4, 2))),
        (np.ones((3, 4)), np.ones((2, 4), np.int32)),
        (np.ones((3, 4)), np.broadcast_to(1.0, (2, 4))),
    ],
    ids=["factors", "out", "dtype", "read-only"],
)
def test_what_does_not_fit_is_refused(name, b, out, add):
    with (
        use_backend(name),
        pytest.raises(ValueError, match="matmul: Input operand|out is .*, wanted|read-only"),
    ):
        matmul(np.ones((2, 3)), b, out, add)


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("name", ["numba", "numpy"])
def test_a_product_is_never_broadcast_over_a_larger_array(name, add):
    out = np.zeros((4, 5))
    with use_backend(name), pytest.raises(ValueError, match=re.escape("out is float64 (4, 5), wanted float64 (1, 5)")):
        matmul(np.ones((1, 3)), np.ones((3, 5)), out, add)
    assert not out.any()


def test_a_product_of_two_precisions_has_the_higher_one(rng):
    a, b = rng.standard_normal((4, 4)).astype(np.float32), rng.standard_normal((4, 4))
    for product in on_both_backends(matmul, a, b):
        assert product.dtype == np.float64 and np.array_equal(product, a @ b)


def test_complex_numbers_go_to_numpy(rng):
    a, b = rng.standard_normal((2, 4, 4))
    assert np.array_equal(matmul(a * 1j, b), a * 1j @ b)


def float32_numbers():
    """Every 997th float32, the powers of two and their neighbours, 0 and inf, of both signs."""
    inf = np.array(np.inf, np.float32).view(np.uint32)
    powers = np.arange(0, inf, 2**23, dtype=np.uint32)
    bits = np.concatenate([np.arange(0, inf, 997, dtype=np.uint32), powers, powers + 1, powers[1:] - 1, [inf - 1, inf]])
    positive = bits.astype(np.uint32).view(np.float32)
    return np.concatenate([positive, -positive])


def test_tanh_in_float32_is_off_by_less_than_5_units_in_the_last_place():
    x = float32_numbers()
    with use_backend("numba"):
        y, slope = tanh_and_slope(x)
    right = np.tanh(x, dtype=np.float64)
    assert np.max(np.abs(y - right) / np.spacing(np.abs(right).astype(np.float32))) < 5
    assert np.array_equal(np.signbit(y), np.signbit(x))
    assert np.max(np.abs(slope - (1 - right**2))) < 1e-6


def test_tanh_is_as_near_on_a_processor_without_fma(tmp_path):
    np.save(tmp_path / "x.npy", float32_numbers())
    code = f"import numpy as np; from nnlite.layers import tanh_and_slope; x = np.load({str(tmp_path / 'x.npy')!r}); "
    code += "y = tanh_and_slope(x)[0]; right = np.tanh(x, dtype=np.float64); "
    code += "print(np.max(np.abs(y - right) / np.spacing(np.abs(right).astype(np.float32))))"
    out, _ = python(code, NUMBA_CPU_NAME="generic", NUMBA_CACHE_DIR=str(tmp_path), NNLITE_BACKEND="numba")
    assert float(out) < 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tanh_is_exact_at_0_and_infinity_and_keeps_nan(dtype):
    with use_backend("numba"):
        y, slope = tanh_and_slope(np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype))
    assert np.array_equal(y, [0, 0, 1, -1, np.nan], equal_nan=True) and np.array_equal(np.signbit(y[:2]), [False, True])
    assert np.array_equal(slope, [1, 1, 0, 0, np.nan], equal_nan=True)


@pytest.mark.parametrize("shape", [(), (0, 3), (3, 5), (3, 2 * CHUNK + 1)])
def test_tanh_of_any_shape_is_numpys(rng, shape):
    x = rng.standard_normal(shape).astype(np.float32)
    for ours, expected in zip(*on_both_backends(tanh_and_slope, np.asarray(x))):
        assert ours.shape == expected.shape == shape and np.allclose(ours, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0, 3), (3, 5)])
def test_zero_where_is_numpys_and_keeps_nan(rng, shape, dtype):
    x = np.asarray(rng.choice([np.nan, np.inf, -np.inf, -0.0, 1.5, -2.5], shape), dtype)
    off = rng.random(shape) < 0.5
    ours, expected = on_both_backends(zero_where, off, x)
    assert ours.dtype == dtype and ours.shape == shape and np.array_equal(ours, expected, equal_nan=True)
    assert np.array_equal(np.signbit(ours), np.signbit(expected))


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("size", [1, CHUNK, 2 * CHUNK + 1])
def test_the_mse_loss_is_numpys(rng, size, order):
    prediction, target = (np.array(x, np.float32, order=order) for x in rng.standard_normal((2, 3, size)))
    (loss, grad), (expected, expected_grad) = on_both_backends(mse_loss, prediction, target)
    assert type(loss) is np.float32 and np.isclose(loss, expected, rtol=1e-5)
    assert np.allclose(grad, expected_grad, rtol=1e-6)


def test_an_error_between_two_precisions_has_the_higher_one(rng):
    prediction, target = rng.standard_normal((3, 5)).astype(np.float32), rng.standard_normal((3, 5))
    for _, grad in on_both_backends(mse_loss, prediction, target):
        assert grad.dtype == np.float64 and np.array_equal(grad, 2 / 15 * (prediction - target))


@pytest.mark.parametrize("rows", [[], [4], [3, 0, 3]])
def test_levels_are_taken_channel_first(rng, rows):
    images, levels = rng.integers(0, 256, (5, 2, 3, 3), np.uint8), rng.standard_normal(256).astype(np.float32)
    ours, expected = on_both_backends(take_levels, images, np.array(rows, int), levels)
    assert ours.shape == (len(rows), 18) and ours.dtype == np.float32 and np.array_equal(ours, expected)
    if rows:
        assert ours[0, 6 + 4] == levels[images[rows[0], 1, 1, 1]]  # channel 1, row 1, column 1


@pytest.mark.parametrize(
    "images, levels",
    [
        (np.arange(36, dtype=np.uint8).reshape(2, 2, 3, 3)[:, :, ::2], np.arange(256.0)),
        (np.arange(300, 312, dtype=np.uint16).reshape(1, 2, 2, 3), np.arange(400.0)),
    ],
    ids=["every second column", "two bytes"],
)
def test_levels_of_other_arrays_than_images_in_a_row_are_numpys(images, levels):
    for taken in on_both_backends(take_levels, images, np.array([0]), levels):
        assert np.array_equal(taken.reshape(3, -1), images[0].reshape(-1, 3).T)


def test_levels_are_taken_by_the_backend_that_is_chosen(monkeypatch):
    called = []
    monkeypatch.setitem(backend._NUMBA, "take_levels", lambda *arrays: called.append(current_backend()))
    list(on_both_backends(take_levels, np.zeros((1, 2, 2, 3), np.uint8), np.array([0]), np.zeros(256)))
    assert called == ["numba"]


@pytest.mark.parametrize("rows", [[5], [2**62], [0.5]])
@pytest.mark.parametrize("name", ["numba", "numpy"])
def test_a_row_that_does_not_exist_is_refused_not_read(name, rows):
    with use_backend(name), pytest.raises(IndexError):
        take_levels(np.zeros((5, 2, 2, 3), np.uint8), np.array(rows), np.zeros(256, np.float32))


def test_a_negative_row_counts_from_the_end_on_both_backends(rng):
    images, levels = rng.integers(0, 256, (5, 2, 2, 3), np.uint8), np.arange(256.0)
    for taken in on_both_backends(take_levels, images, np.array([-1]), levels):
        assert np.array_equal(taken[0].reshape(3, 2, 2), np.moveaxis(images[4], -1, 0))


def an_adam_of(p, g, m, v):
    parameter = Parameter(np.empty(0))
    parameter.data, parameter.grad = p, g
    adam = Adam([parameter])
    adam.m, adam.v = [m], [v]
    return adam


@pytest.mark.parametrize("short", range(4))
@pytest.mark.parametrize("name", ["numba", "numpy"])
def test_adams_arrays_of_different_shapes_are_refused_not_read(name, short):
    arrays = list(np.zeros((4, 3, 4)))
    arrays[short] = np.zeros(4)
    with use_backend(name), pytest.raises(ValueError, match=r"Adam: the shapes of .+ are \[.*\(4,\).*\], wanted one"):
        an_adam_of(*arrays).step()


def test_adam_steps_a_parameter_that_is_every_second_column_of_an_array(rng):
    def stepped(arrays):
        p, g, m, v = arrays.copy()[..., ::2]
        an_adam_of(p, g, m, v).step()
        return p

    arrays = np.abs(rng.standard_normal((4, 3, 8)))
    ours, expected = on_both_backends(stepped, arrays)
    assert np.array_equal(ours, expected) and not np.any(ours == arrays[0, :, ::2])


def test_a_gradient_that_is_read_only_is_read_on_both_backends():
    def stepped():
        p = np.ones((2, 3))
        an_adam_of(p, np.broadcast_to(1.0, (2, 3)), np.zeros((2, 3)), np.zeros((2, 3))).step()
        return p

    for p in on_both_backends(stepped):
        assert np.allclose(p, 1 - 1e-3)


def test_a_tiny_product_leaves_the_number_of_threads_as_it_was():
    before = numba.get_num_threads()
    with use_backend("numba"):
        matmul(np.ones((4, 4)), np.ones((4, 4)))
    assert numba.get_num_threads() == before


def test_several_threads_may_multiply_at_a_time(rng):
    a, b = rng.standard_normal((2, 300, 300)).astype(np.float32)
    expected, products = a @ b, []
    with use_backend("numba"):
        threads = [threading.Thread(target=lambda: products.extend(matmul(a, b) for _ in range(50))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(products) == 200 and all(np.allclose(product, expected, atol=1e-3) for product in products)


class NoOperand(np.ndarray):
    """An array on which NumPy's operators and functions, @ and np.add included, raise TypeError."""

    __array_ufunc__ = None

    def __array_function__(self, function, *_):
        raise TypeError(f"{function.__name__} was called")


def a_step_with_weights_that_numpy_cannot_compute_with():
    model = FCNAutoencoder(30, 20, 8, rng=np.random.default_rng(0))
    optimizer, x = Adam(model.parameters()), np.linspace(-1, 1, 7 * 30, dtype=np.float32).reshape(7, 30)
    for layer in (model.encoder[0], model.encoder[2], model.decoder[0], model.decoder[2]):
        layer.weight.data, layer.weight.grad = layer.weight.data.view(NoOperand), layer.weight.grad.view(NoOperand)
    for _ in range(2):
        model.backward(mse_loss(model(x), x)[1])
    optimizer.step()


def test_no_product_of_a_step_goes_to_blas():
    with use_backend("numba"):
        a_step_with_weights_that_numpy_cannot_compute_with()
    with use_backend("numpy"), pytest.raises(TypeError, match="does not support ufuncs"):
        a_step_with_weights_that_numpy_cannot_compute_with()


PRODUCT = (
    "import numpy, nnlite.backend, nnlite.layers;"
    " print(nnlite.backend.current_backend(), nnlite.layers.matmul(*numpy.full((2, 8, 8), 2.0))[0, 0])"
)
TWO_KERNELS = """
import numpy as np
from nnlite import Tanh, mse_loss
x = np.ones((2, 3), "f4")
Tanh()(x)
print(mse_loss(x, x)[0])
"""


@pytest.mark.parametrize("line", ["", "raise ImportError('Numba needs NumPy 2.3 or less')", "0 / 0"])
def test_where_numba_is_missing_or_broken_numpy_takes_its_place_and_a_line_says_why(tmp_path, line):
    if line:
        (tmp_path / "numba.py").write_text(line)
    block = "" if line else "import sys; sys.modules['numba'] = None; "
    out, err = python(block + PRODUCT, PYTHONPATH=f"{tmp_path}{os.pathsep}.", NNLITE_BACKEND="numba")
    assert out == "numpy 32.0\n"
    assert re.fullmatch(r"nnlite: Numba cannot be imported \(.+\), so NumPy takes the place of Numba\n", err)


@pytest.mark.slow
def test_compilation_is_announced_once_and_kept(tmp_path):
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "NNLITE_BACKEND": "numba"}
    announced = "nnlite: compiling for this processor, some 10 seconds, the first time only\n"
    assert python(TWO_KERNELS, **environment) == ("0.0\n", announced)
    assert python(TWO_KERNELS, **environment) == ("0.0\n", "")


def has_tbb():
    try:
        from numba.np.ufunc import tbbpool  # noqa: F401
    except ImportError:
        return False
    return True


@pytest.mark.parametrize("layer", ["nonsense", "tbb"])
def test_where_numbas_threads_cannot_be_had_numpy_takes_its_place_and_a_line_says_why(layer):
    if layer == "tbb" and has_tbb():
        pytest.skip("wants that TBB is not installed")
    out, err = python(PRODUCT, NUMBA_THREADING_LAYER=layer, NNLITE_BACKEND="numba")
    assert out == "numpy 32.0\n"
    assert re.fullmatch(r"nnlite: Numba cannot start threads \(.+\), so NumPy takes the place of Numba\n", err)


CANNOT_COMPILE = """
from numba.core import compiler, errors

def fail(*arguments, **named):
    raise errors.LoweringError("\\x1b[1mno such instruction\\x1b[0m")  # in colour

compiler.compile_extra = fail
"""


def test_where_numba_cannot_compile_numpy_takes_its_place_and_a_line_says_why(tmp_path):
    out, err = python(CANNOT_COMPILE + PRODUCT, NUMBA_CACHE_DIR=str(tmp_path), NNLITE_BACKEND="numba")
    assert out == "numba 32.0\n"  # what can be done is known when it is tried
    said = r"nnlite: Numba cannot compile \(no such instruction.*\), so NumPy takes the place of Numba"
    assert re.fullmatch(said, err.splitlines()[-1])


FORKED = """
import multiprocessing, sys
import numpy as np
from nnlite.backend import current_backend
from nnlite.layers import matmul

a = np.ones((100, 100), "f4")

def compute(n):
    return current_backend(), float(matmul(a, a)[0, 0])

if {parent_computes}:
    compute(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(*pool.map_async(compute, range(2)).get(timeout=60))
print(*compute(0))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="wants fork")
@pytest.mark.parametrize("parent_computes, childs", [(True, "numpy"), (False, "numba")])
@pytest.mark.parametrize("layer", ["omp", "workqueue", "tbb"])
def test_the_child_of_a_process_that_has_computed_computes_with_numpy(layer, parent_computes, childs):
    if layer == "tbb":
        if not has_tbb():
            pytest.skip("wants TBB")
        childs = "numba"  # TBB's threads begin anew
    code = FORKED.format(parent_computes=parent_computes)
    out, err = python(code, NUMBA_THREADING_LAYER=layer, NNLITE_BACKEND="numba", PYTHONWARNINGS="ignore")
    assert out == f"('{childs}', 100.0) ('{childs}', 100.0)\nnumba 100.0\n"
    said = "nnlite: Numba's threads do not survive a fork, so NumPy takes the place of Numba\n"
    assert (said in err) == (childs == "numpy")


LOCKED = """
import os, threading, time
import numpy as np
from nnlite.layers import matmul

a = np.ones((1500, 1500), "f4")
matmul(a, a)
thread = threading.Thread(target=lambda: [matmul(a, a) for _ in range(20)])
thread.start()
for _ in range(8):
    time.sleep(0.005)
    child = os.fork()
    if child == 0:
        os._exit(int(matmul(a[:5], a)[0, 0] != 1500))
    assert os.waitpid(child, 0)[1] == 0
thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="wants fork")
def test_a_child_that_is_forked_while_another_thread_computes_computes_too():
    python(LOCKED, NNLITE_BACKEND="numba", PYTHONWARNINGS="ignore")
