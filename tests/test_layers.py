import tracemalloc

import numpy as np
import pytest

from nnlite import Linear, Parameter, ReLU, Sequential, Tanh, gradcheck, use_backend

LAYERS = {
    "Linear": lambda rng: Linear(5, 3, rng=rng, dtype=np.float64),
    "ReLU": lambda rng: ReLU(),
    "Tanh": lambda rng: Tanh(),
    "Sequential": lambda rng: Sequential(
        Linear(5, 4, rng=rng, dtype=np.float64), ReLU(), Linear(4, 3, rng=rng, dtype=np.float64), Tanh()
    ),
}


@pytest.fixture(params=LAYERS)
def layer(request, rng):
    return LAYERS[request.param](rng)


@pytest.mark.parametrize("method", ["complex", "central"])
@pytest.mark.parametrize("batch", [1, 4])
def test_backward_is_the_derivative_of_forward(layer, rng, method, batch):
    gradcheck(layer, rng.standard_normal((batch, 5)), method=method, rng=rng)


def test_backward_twice_doubles_the_gradients(layer, rng):
    upstream = rng.standard_normal(layer(rng.standard_normal((4, 5))).shape)
    layer.backward(upstream)
    once = [parameter.grad.copy() for parameter in layer.parameters()]
    layer.backward(upstream)
    assert all(np.array_equal(p.grad, 2 * grad) for p, grad in zip(layer.parameters(), once))


def test_neither_direction_writes_to_its_input(layer, rng):
    x = rng.standard_normal((4, 5))
    upstream = rng.standard_normal(layer(x).shape)
    x_before, upstream_before = x.copy(), upstream.copy()
    layer.backward(upstream)
    assert np.array_equal(x, x_before) and np.array_equal(upstream, upstream_before)


def test_the_caller_may_write_to_the_output(layer, rng):
    x = rng.standard_normal((4, 5))
    upstream = rng.standard_normal(layer(x).shape)
    expected = layer.backward(upstream)
    y = layer(x)
    y[...] = 7
    assert np.array_equal(layer.backward(upstream), expected)


def test_no_later_call_writes_to_an_output(layer, rng):
    y = layer(rng.standard_normal((4, 5)))
    grad = layer.backward(np.ones(y.shape))
    y_before, grad_before = y.copy(), grad.copy()
    layer(rng.standard_normal((4, 5)))
    layer.backward(rng.standard_normal(y.shape))
    assert np.array_equal(y, y_before) and np.array_equal(grad, grad_before)


def test_without_input_grad_backward_returns_none_and_the_same_gradients(layer, rng):
    upstream = np.ones(layer(rng.standard_normal((4, 5))).shape)
    layer.backward(upstream)
    expected = [parameter.grad.copy() for parameter in layer.parameters()]
    layer.zero_grad()
    assert layer.backward(upstream, input_grad=False) is None
    assert all(np.array_equal(p.grad, grad) for p, grad in zip(layer.parameters(), expected))


def test_backward_before_forward_says_so(layer):
    with pytest.raises(RuntimeError, match=r"\)\.backward was called before forward, which keeps what backward needs$"):
        layer.backward(np.ones((4, 5)))


def test_a_wrongly_shaped_upstream_gradient_names_both_shapes(layer, rng):
    layer(rng.standard_normal((4, 5)))
    with pytest.raises(
        ValueError, match=r"\)\.backward: grad_output has shape \(2, 7\), wanted that of the output, \(4, [35]\)$"
    ):
        layer.backward(np.ones((2, 7)))


def test_linear_equals_its_definition_in_loops(rng):
    layer, x = Linear(3, 2, rng=rng, dtype=np.float64), rng.standard_normal((4, 3))
    W, b = layer.weight.data, layer.bias.data
    y = [[sum(x[n, i] * W[o, i] for i in range(3)) + b[o] for o in range(2)] for n in range(4)]
    assert np.allclose(layer(x), y, rtol=1e-14)


def test_linear_worked_by_hand(rng):
    layer = Linear(2, 1, rng=rng)
    layer.load_state_dict({"weight": [[2, -1]], "bias": [0.5]})
    assert layer([[3, 4]]) == 2.5  # 2*3 - 1*4 + 0.5
    assert np.array_equal(layer.backward([[10]]), [[20, -10]])
    assert np.array_equal(layer.weight.grad, [[30, 40]]) and np.array_equal(layer.bias.grad, [10])


def test_linear_draws_weight_and_bias_up_to_one_over_the_root_of_in_features(rng):
    layer = Linear(100, 400, rng=rng)
    for array in (layer.weight.data, layer.bias.data):
        assert 0.095 < array.max() <= 0.1 and -0.1 <= array.min() < -0.095


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_real_input_is_cast_to_the_dtype_of_the_weights(rng, dtype):
    layer = Linear(2, 2, rng=rng, dtype=dtype)
    assert layer(np.ones((1, 2), int)).dtype == dtype
    assert layer.backward(np.ones((1, 2), int)).dtype == dtype
    assert layer.weight.grad.dtype == dtype


def test_linear_does_not_copy_an_input_that_has_its_dtype(rng):
    layer, x = Linear(1000, 1, rng=rng), np.ones((1000, 1000), np.float32)
    with use_backend("numpy"):
        tracemalloc.start()
        layer(x)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < x.nbytes / 10


def test_complex_input_stays_complex(layer, rng):
    x = rng.standard_normal((4, 5))
    assert np.allclose(layer(x + 0j).real, layer(x), rtol=1e-14)
    assert layer(x + 0j).dtype == np.complex128


@pytest.mark.parametrize("x", [np.ones((1, 3)), np.ones(2), np.ones((1, 1, 2))])
def test_linear_names_the_shape_that_it_wants(rng, x):
    with pytest.raises(ValueError) as error:
        Linear(2, 1, rng=rng)(x)
    assert str(error.value) == f"Linear(in_features=2, out_features=1, bias=True): x has shape {x.shape}, wanted (N, 2)"


@pytest.mark.parametrize("name", ["in_features", "out_features"])
def test_linear_wants_at_least_one_feature_on_either_side(rng, name):
    with pytest.raises(ValueError, match=f"^Linear: {name} is 0, wanted at least 1$"):
        Linear(**{"in_features": 1, "out_features": 1, name: 0}, rng=rng)


def test_relu_is_zero_and_flat_at_zero():
    layer = ReLU()
    assert np.array_equal(layer([-2.0, 0.0, 3.0]), [0, 0, 3])
    assert np.array_equal(layer.backward([5.0, 5.0, 5.0]), [0, 0, 5])


def test_relu_passes_on_what_is_above_zero_however_small():
    layer, x = ReLU(), np.array([5e-324, 1e-9, 0.5, 1.0])
    assert np.array_equal(layer(x), x)
    assert np.array_equal(layer.backward(np.full(4, 7.0)), [7, 7, 7, 7])


def test_tanh_worked_by_hand():
    layer = Tanh()
    assert np.allclose(layer([0.0, np.log(2)]), [0, 3 / 5], rtol=1e-15)  # (2 - 1/2) / (2 + 1/2)
    assert np.allclose(layer.backward([10.0, 10.0]), [10, 10 * 16 / 25], rtol=1e-15)


def test_relu_and_tanh_do_not_hide_nan():
    for layer in (ReLU(), Tanh()):
        assert np.isnan(layer(np.array([np.nan])))


def test_relu_and_tanh_keep_float32():
    for layer in (ReLU(), Tanh()):
        assert layer(np.ones(3, np.float32)).dtype == layer.backward(np.ones(3, np.float32)).dtype == np.float32


def test_tanh_casts_the_upstream_gradient_to_its_own_dtype():
    layer = Tanh()
    layer(np.ones(3, np.float32))
    assert layer.backward(np.ones(3, np.float64)).dtype == np.float32


def test_zero_grad_zeroes_every_gradient(rng):
    layer = Sequential(Linear(2, 2, rng=rng), Linear(2, 2, rng=rng))
    layer(np.ones((1, 2)))
    layer.backward(np.ones((1, 2)))
    layer.zero_grad()
    assert not any(parameter.grad.any() for parameter in layer.parameters())


def test_a_shared_parameter_is_listed_once(rng):
    first, second = Linear(2, 2, rng=rng), Linear(2, 2, rng=rng)
    second.weight = first.weight
    assert len(Sequential(first, second).parameters()) == 3


def test_the_state_is_a_copy_under_names_as_pytorch_has_them(rng):
    layer = Sequential(Linear(2, 3, rng=rng), ReLU(), Linear(3, 1, rng=rng))
    state = layer.state_dict()
    assert {name: array.shape for name, array in state.items()} == {
        "0.weight": (3, 2),
        "0.bias": (3,),
        "2.weight": (1, 3),
        "2.bias": (1,),
    }
    state["0.weight"][...] = 9
    assert not (layer[0].weight.data == 9).any()


def test_loading_a_state_names_every_fault_and_changes_nothing(rng):
    message = (
        r"^state_dict does not fit Linear: missing bias; unexpected scale; weight has shape \(3,\), wanted \(3, 2\)$"
    )
    layer = Linear(2, 3, rng=rng)
    before = layer.state_dict()
    with pytest.raises(ValueError, match=message):
        layer.load_state_dict({"weight": np.ones(3), "scale": np.ones(3)})
    assert np.array_equal(layer.weight.data, before["weight"])


def test_a_state_that_cannot_be_cast_changes_nothing(rng):
    layer = Linear(2, 3, rng=rng)
    before = layer.state_dict()
    with pytest.raises(ValueError, match="^state_dict does not fit Linear: bias is complex128, wanted float32$"):
        layer.load_state_dict({"weight": np.ones((3, 2)), "bias": np.ones(3, complex)})
    assert np.array_equal(layer.weight.data, before["weight"])


def test_a_layer_cannot_stand_twice_in_a_sequential():
    message = "^Sequential: a layer stands twice, wanted each once: it keeps only its latest forward$"
    layer = Tanh()
    with pytest.raises(ValueError, match=message):
        Sequential(layer, layer)


def test_a_parameter_has_a_gradient_like_its_data():
    parameter = Parameter(np.ones((2, 3), np.float32))
    assert parameter.grad.shape == (2, 3) and parameter.grad.dtype == np.float32 and not parameter.grad.any()


def test_a_parameter_is_row_major_whatever_it_is_made_of():
    parameter = Parameter(np.ones((3, 2)).T)
    assert parameter.data.flags.c_contiguous and parameter.grad.flags.c_contiguous


def test_both_backends_compute_the_same(layer, rng):
    x = rng.standard_normal((4, 5))
    results = []
    for name in ("numba", "numpy"):
        with use_backend(name):
            layer.zero_grad()
            y = layer(x)
            results.append([y, layer.backward(np.cos(y)), *(parameter.grad.copy() for parameter in layer.parameters())])
    assert all(np.allclose(a, b, rtol=1e-13, atol=1e-15) for a, b in zip(*results))


def test_a_gradient_set_after_zero_grad_stays():
    parameter = Parameter(np.zeros(3))
    parameter.zero_grad()
    parameter.grad = np.ones(3)
    assert (parameter.grad == 1).all()


def test_what_is_added_to_zeros_is_the_product_and_then_the_sum(rng):
    parameter, (a, b) = Parameter(np.zeros((3, 3))), rng.standard_normal((2, 3, 3))
    parameter.grad[...] = 7
    parameter.zero_grad()
    for times in (1, 2):
        parameter.add_matmul_to_grad(a, b)
        assert np.allclose(parameter.grad, times * a @ b)
