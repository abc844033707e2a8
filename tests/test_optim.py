import numpy as np
import pytest

from nnlite import SGD, Adam, Parameter
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
    assert np.isclose(p.data, 1 - 0.1 * (2 + 3))


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


def test_no_parameters_are_refused():
    with pytest.raises(ValueError, match="Adam: parameters is empty"):
        Adam([])
