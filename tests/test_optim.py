import numpy as np
import pytest

from nnlite import SGD, Adam, Parameter, use_backend
from nnlite.optim import BLOCK


def a_parameter(value, grad):
    parameter = Parameter(np.array([value]))
    parameter.grad[...] = grad
    return parameter


def test_sgd_steps_against_the_gradient():
    p = a_parameter(1.0, grad=2.0)
    SGD([p], lr=0.1).step()
    assert np.isclose(p.data, 0.8)


def test_sgd_with_momentum_keeps_half_of_its_speed():
    p = a_parameter(1.0, grad=2.0)
    optimizer = SGD([p], lr=0.1, momentum=0.5)
    optimizer.step()  # speed 2
    optimizer.step()  # speed 0.5 * 2 + 2 = 3
    optimizer.step()  # speed 0.5 * 3 + 2 = 3.5
    assert np.isclose(p.data, 1 - 0.1 * (2 + 3 + 3.5))


def test_sgd_keeps_no_speed_unless_asked_to():
    p = a_parameter(1.0, grad=2.0)
    optimizer = SGD([p], lr=0.1)
    optimizer.step()
    optimizer.step()
    assert np.isclose(p.data, 1 - 0.1 * (2 + 2))


def test_adam_worked_by_hand():
    p = a_parameter(1.0, grad=2.0)
    optimizer = Adam([p], lr=0.1, betas=(0.5, 0.75), eps=0)
    optimizer.step()  # m' = 2, v' = 4: a step of lr * 2 / 2
    assert np.isclose(p.data, 0.9, rtol=1e-15)
    p.grad[...] = -4
    optimizer.step()  # m = 0.5 * 1 - 0.5 * 4 = -1.5, m' = m / 0.75; v = 0.75 * 1 + 0.25 * 16 = 4.75, v' = v / 0.4375
    assert np.isclose(p.data, 0.9 + 0.1 * 2 / np.sqrt(4.75 / 0.4375), rtol=1e-15)


def test_adam_steps_every_number_of_a_large_parameter(rng):
    p = Parameter(rng.standard_normal((3, 2 * BLOCK // 3 + 5)))
    start = p.data.copy()
    p.grad[...] = rng.choice([-2, 2], p.data.shape)
    Adam([p], lr=0.1, eps=0).step()
    assert np.allclose(p.data, start - 0.1 * np.sign(p.grad), rtol=0, atol=1e-12)


def test_adams_first_step_is_a_thousandth_unless_told_otherwise():
    p = a_parameter(1.0, grad=2.0)
    Adam([p]).step()
    assert np.isclose(p.data, 0.999, rtol=1e-10)


def test_eps_halves_adams_first_step_along_a_gradient_as_small_as_eps():
    p = a_parameter(1.0, grad=1e-8)
    Adam([p], lr=0.1).step()  # m' = 1e-8, v' = 1e-16: lr * 1e-8 / (1e-8 + 1e-8)
    assert np.isclose(p.data, 1 - 0.1 / 2, rtol=1e-10)


@pytest.mark.parametrize("optimizer", [lambda p: SGD([p], lr=1.0), lambda p: Adam([p])], ids=["SGD", "Adam"])
def test_a_parameter_without_numbers_may_take_part(optimizer):
    p = Parameter(np.empty((0, 3)))
    optimizer(p).step()
    assert p.data.shape == (0, 3)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_number_of_numpys_steps_float32_as_pythons_does(rng, backend):
    start, gradient, after = *rng.standard_normal((2, 30, 20)).astype(np.float32), []
    for number in (float, np.float64):
        p = Parameter(start.copy())
        p.grad[...] = gradient
        with use_backend(backend):
            Adam([p], number(1e-3), (number(0.9), number(0.999)), number(1e-8)).step()
        after.append(p.data)
    assert np.array_equal(*after)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam_steps_alike_on_both_backends(rng, dtype):
    start, gradients = rng.standard_normal((70, 50)), rng.standard_normal((5, 70, 50))
    after = []
    for backend in ("numba", "numpy"):
        p = Parameter(start.astype(dtype))
        optimizer = Adam([p])
        for gradient in gradients:
            p.grad[...] = gradient
            with use_backend(backend):
                optimizer.step()
        after.append(p.data)
    assert np.allclose(*after, rtol=8 * np.finfo(dtype).eps, atol=8e-3 * np.finfo(dtype).eps)


def test_adam_takes_no_step_where_the_gradient_is_zero():
    p = a_parameter(1.0, grad=0.0)
    Adam([p]).step()
    assert p.data == 1


@pytest.mark.parametrize("optimizer", [lambda p: SGD([p], lr=1.0), lambda p: Adam([p], lr=1.0)])
def test_lr_may_be_set_between_steps(optimizer):
    p = a_parameter(1.0, grad=2.0)
    optimizer = optimizer(p)
    optimizer.lr = 0.0
    optimizer.step()
    assert p.data == 1


def test_a_step_is_in_place_and_keeps_float32():
    p = Parameter(np.ones(3, np.float32))
    data = p.data
    for optimizer in (SGD([p], lr=0.1, momentum=0.9), Adam([p])):
        optimizer.step()
    assert p.data is data and data.dtype == np.float32


def test_zero_grad_zeroes_the_gradients():
    p = a_parameter(1.0, grad=2.0)
    SGD([p], lr=0.1).zero_grad()
    assert p.grad == 0


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_no_parameters_are_refused(optimizer):
    with pytest.raises(ValueError, match=f"^{optimizer.__name__}: parameters is empty, wanted at least one Parameter$"):
        optimizer([], lr=0.1)
