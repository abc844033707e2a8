"""What holds for any shape, dtype, memory order and value: each formula once more, in loops over Python's numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nnlite import SGD, Adam, Linear, Parameter, ReLU, Sequential, Tanh, kl_divergence, mse_loss, use_backend

DTYPES = st.sampled_from([np.float32, np.float64])
SIZES = st.integers(1, 6)
SHAPES = st.lists(SIZES, max_size=3).map(tuple)
ORDERS = st.sampled_from(["C", "F", "with gaps"])
INF_AND_NAN = [np.inf, -np.inf, np.nan]


@st.composite
def an_array(draw, dtype, shape, limit=10, special=()):
    """Numbers from -limit to limit, zeros of both signs and subnormal numbers, and perhaps some of `special`.

    Read-only, so that a function that writes to it raises.
    """
    smallest = np.finfo(dtype).smallest_subnormal
    ordinary = st.floats(-limit, limit, width=np.finfo(dtype).bits) | st.sampled_from([0.0, -0.0, smallest, -smallest])
    elements = draw(st.sampled_from([ordinary, ordinary | st.sampled_from(special)])) if special else ordinary
    array = in_order(draw(arrays(dtype, shape, elements=elements)), draw(ORDERS))
    array.flags.writeable = False
    return array


def in_order(array, order):
    if order != "with gaps":
        return array.copy(order)
    every_second = (slice(None, None, 2),) * array.ndim + (...,)
    spread = np.zeros([2 * size for size in array.shape], array.dtype)
    spread[every_second] = array
    return spread[every_second]


def product(a, b):
    columns = b.T.tolist()
    return np.array([[sum(x * y for x, y in zip(row, column)) for column in columns] for row in a.tolist()])


def each(function, *arrays):
    """The function of every number, or of all that stand in one place, by itself."""
    values = [function(*numbers) for numbers in zip(*(array.ravel().tolist() for array in arrays))]
    return np.array(values).reshape(arrays[0].shape)


def close(found, wanted, size, dtype):
    """Of this dtype and equal, nan and inf included, but for some roundings of numbers as large as `size`."""
    near = np.isclose(found, wanted, rtol=0, atol=32 * np.finfo(dtype).eps * size, equal_nan=True)
    return found.dtype == dtype and found.shape == np.shape(wanted) and near.all()


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@given(data=st.data(), dtype=DTYPES, n=SIZES, i=SIZES, o=SIZES)
def test_linear_is_its_sums_in_both_directions(backend, data, dtype, n, i, o):
    layer = Linear(i, o, rng=np.random.default_rng(0), dtype=dtype)
    layer.bias.data[...], layer.weight.data[...] = data.draw(an_array(dtype, o)), data.draw(an_array(dtype, (o, i)))
    x, upstream = (data.draw(an_array(dtype, shape, special=INF_AND_NAN)) for shape in ((n, i), (n, o)))
    with use_backend(backend), np.errstate(invalid="ignore"):
        y, grad_x = layer(x), layer.backward(upstream)
    W, b = layer.weight.data, layer.bias.data
    assert close(y, product(x, W.T) + b, 100 * i, dtype)
    assert close(grad_x, product(upstream, W), 100 * o, dtype)
    assert close(layer.weight.grad, product(upstream.T, x), 100 * n, dtype)
    assert close(layer.bias.grad, product(np.ones((1, n)), upstream)[0], 10 * n, dtype)


@given(data=st.data(), dtype=DTYPES, shape=SHAPES)
def test_relu_passes_what_is_above_zero_and_nan_and_stops_the_rest(data, dtype, shape):
    special = [*INF_AND_NAN, np.finfo(dtype).max]
    layer, x, upstream = ReLU(), *(data.draw(an_array(dtype, shape, special=special)) for _ in range(2))
    y, grad_x = layer(x), layer.backward(upstream)
    assert close(y, each(lambda v: v if v > 0 or math.isnan(v) else 0.0, x), 0, dtype)
    assert close(grad_x, each(lambda v, g: g if v > 0 or math.isnan(v) else 0.0, x, upstream), 0, dtype)


@given(data=st.data(), dtype=DTYPES, shape=SHAPES)
def test_tanh_is_its_formula_and_passes_nan(data, dtype, shape):
    special = [*INF_AND_NAN, np.finfo(dtype).max]
    layer, x, upstream = Tanh(), data.draw(an_array(dtype, shape, special=special)), data.draw(an_array(dtype, shape))
    y, grad_x = layer(x), layer.backward(upstream)
    assert close(y, each(math.tanh, x), 1, dtype)
    assert close(grad_x, each(lambda v, g: g * (1 - math.tanh(v) ** 2), x, upstream), 10, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tanh_is_1_and_flat_at_infinity(dtype):
    layer, x = Tanh(), np.array([-np.inf, np.inf, -np.finfo(dtype).max, np.finfo(dtype).max], dtype)
    assert np.array_equal(layer(x), [-1, 1, -1, 1])
    assert np.array_equal(layer.backward(np.ones(4, dtype)), [0, 0, 0, 0])


@st.composite
def a_model(draw, dtype, in_features):
    """Any Sequential, the empty one included, that takes (N, in_features)."""
    layers, features, rng = [], in_features, np.random.default_rng(0)
    for kind in draw(st.lists(st.sampled_from([Linear, ReLU, Tanh]), max_size=4)):
        if kind is Linear:
            out_features = draw(SIZES)
            layers.append(Linear(features, out_features, rng=rng, dtype=dtype))
            features = out_features
        else:
            layers.append(kind())
    return Sequential(*layers)


@given(data=st.data(), dtype=DTYPES, n=SIZES, i=SIZES)
def test_sequential_is_one_layer_after_another_and_back(data, dtype, n, i):
    model, x = data.draw(a_model(dtype, i)), data.draw(an_array(dtype, (n, i)))
    y = x
    for layer in model:
        y = layer(y)
    grad_x = upstream = data.draw(an_array(dtype, y.shape))
    for layer in reversed(model):
        grad_x = layer.backward(grad_x)
    assert np.array_equal(model(x), y) and np.array_equal(model.backward(upstream), grad_x)


def gradients(model, batches):
    model.zero_grad()
    for x, upstream in batches:
        model(x)
        model.backward(upstream)
    return [parameter.grad.copy() for parameter in model.parameters()]


@given(data=st.data(), dtype=DTYPES, n=SIZES, i=SIZES)
def test_the_gradients_of_two_batches_add_up(data, dtype, n, i):
    model, (x1, x2) = data.draw(a_model(dtype, i)), (data.draw(an_array(dtype, (n, i))) for _ in range(2))
    upstream1, upstream2 = (data.draw(an_array(dtype, model(x).shape)) for x in (x1, x2))
    both = gradients(model, [(x1, upstream1), (x2, upstream2)])
    for grad, grad1, grad2 in zip(both, gradients(model, [(x1, upstream1)]), gradients(model, [(x2, upstream2)])):
        assert close(grad, grad1 + grad2, 1 + np.abs(grad1) + np.abs(grad2), dtype)


@given(data=st.data(), dtype=DTYPES, shape=SHAPES)
def test_mse_loss_is_its_sum(data, dtype, shape):
    prediction, target = (data.draw(an_array(dtype, shape, special=INF_AND_NAN)) for _ in range(2))
    with np.errstate(invalid="ignore"):
        loss, grad = mse_loss(prediction, target)
    squares = each(lambda p, t: (p - t) * (p - t), prediction, target)
    assert close(loss, sum(squares.ravel().tolist()) / squares.size, 400, dtype)
    assert close(grad, each(lambda p, t: 2 / squares.size * (p - t), prediction, target), 40, dtype)


@given(data=st.data(), dtype=DTYPES, shape=st.tuples(SIZES, SIZES))
def test_kl_divergence_is_its_sum(data, dtype, shape):
    mu, logvar = (data.draw(an_array(dtype, shape, limit=5, special=INF_AND_NAN)) for _ in range(2))
    with np.errstate(invalid="ignore"):
        kl, grad_mu, grad_logvar = kl_divergence(mu, logvar)
    terms = each(lambda m, v: (m * m + math.exp(v) - 1 - v) / 2, mu, logvar)
    assert close(kl, sum(terms.ravel().tolist()) / len(mu), 200 * shape[1], dtype)
    assert close(grad_mu, each(lambda m: m / len(mu), mu), 5, dtype)
    assert close(grad_logvar, each(lambda v: (math.exp(v) - 1) / 2 / len(mu), logvar), 150, dtype)


@st.composite
def a_start_and_gradients(draw, dtype, shape):
    """A parameter's data and the gradients of three steps: 0, or of a size whose square float32 can hold."""
    size = st.floats(2**-10, 2**10, width=32)
    elements = st.just(0.0) | size | size.map(lambda value: -value)
    return draw(an_array(dtype, shape)), [draw(arrays(dtype, shape, elements=elements)) for _ in range(3)]


def after_steps(optimizer, start, gradients):
    parameter = Parameter(start.copy())
    optimizer = optimizer([parameter])
    for gradient in gradients:
        parameter.grad[...] = gradient
        optimizer.step()
    return parameter.data


@given(data=st.data(), dtype=DTYPES, shape=SHAPES, momentum=st.sampled_from([0.0, 0.5, 0.9]))
def test_sgd_moves_every_number_by_its_formula(data, dtype, shape, momentum):
    def sgd(p, *slopes):
        s = 0.0
        for g in slopes:
            s = momentum * s + g
            p = p - 0.1 * s
        return p

    start, gradients = data.draw(a_start_and_gradients(dtype, shape))
    found = after_steps(lambda parameters: SGD(parameters, lr=0.1, momentum=momentum), start, gradients)
    assert close(found, each(sgd, start, *gradients), 1000, dtype)


@given(data=st.data(), dtype=DTYPES, shape=SHAPES)
def test_adam_moves_every_number_by_its_formula(data, dtype, shape):
    def adam(p, *slopes):
        m = v = 0.0
        for t, g in enumerate(slopes, start=1):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            p = p - 1e-3 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return p

    start, gradients = data.draw(a_start_and_gradients(dtype, shape))
    assert close(after_steps(Adam, start, gradients), each(adam, start, *gradients), 10, dtype)
