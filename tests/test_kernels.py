import numba
import numpy as np
import pytest

from nnlite import use_backend
from nnlite.kernels import backend, matmul


def test_numba_is_the_default(monkeypatch):
    monkeypatch.delenv("NNLITE_BACKEND", raising=False)
    assert backend() == "numba"


def test_the_environment_chooses_the_backend(monkeypatch):
    monkeypatch.setenv("NNLITE_BACKEND", "numpy")
    assert backend() == "numpy"


def test_use_backend_goes_before_the_environment_and_restores_on_leaving(monkeypatch):
    monkeypatch.setenv("NNLITE_BACKEND", "numpy")
    with use_backend("numba"):
        assert backend() == "numba"
    assert backend() == "numpy"


def test_use_backend_is_a_setting_too():
    with use_backend("numba"):
        use_backend("numpy")
        assert backend() == "numpy"


def test_where_numba_may_not_compile_numpy_takes_its_place_and_says_so_once(monkeypatch, capsys):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    with use_backend("numba"):
        assert [backend(), backend()] == ["numpy", "numpy"]
    assert capsys.readouterr().err == "nnlite: NUMBA_DISABLE_JIT is set, so NumPy takes the place of Numba\n"


def test_an_unknown_backend_is_named(monkeypatch):
    with pytest.raises(ValueError, match="use_backend: found 'cuda', wanted one of numba, numpy"):
        use_backend("cuda")
    monkeypatch.setenv("NNLITE_BACKEND", "cuda")
    with pytest.raises(ValueError, match="NNLITE_BACKEND: found 'cuda'"):
        backend()


@pytest.mark.parametrize("name", ["numba", "numpy"])
def test_matmul_returns_a_new_product_or_adds_to_one(rng, name):
    a, b, c = rng.standard_normal((3, 4, 4))
    with use_backend(name):
        assert np.allclose(matmul(a, b), a @ b, rtol=1e-13)
        expected = c + a @ b
        assert matmul(a, b, add_to=c) is c
        assert np.allclose(c, expected, rtol=1e-13)


@pytest.mark.parametrize("name", ["numba", "numpy"])
@pytest.mark.parametrize(
    "a, b, add_to",
    [
        (np.ones((2, 3)), np.ones((2, 4)), None),
        (np.ones((2, 3)), np.ones((3, 4)), np.ones((4, 2))),
        (np.ones((2, 3)), np.ones((3, 4)), np.ones((2, 4), int)),
    ],
    ids=["factors", "sum", "dtype"],
)
def test_what_does_not_fit_is_refused(name, a, b, add_to):
    with use_backend(name), pytest.raises(ValueError, match="matmul: .*, wanted"):
        matmul(a, b, add_to)


def test_complex_numbers_go_to_the_numpy_twin(rng):
    a, b = rng.standard_normal((2, 4, 4))
    assert np.array_equal(matmul(a * 1j, b), a * 1j @ b)
