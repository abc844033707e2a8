"""What backward must keep to whatever the numbers are."""

import numpy as np
import pytest
from small_layers import Changed, Curve, Product, Scale, Square

from nnlite import GradcheckError, Layer, Parameter, Tanh, gradcheck


def fault_of(layer, *inputs, **settings):
    with pytest.raises(GradcheckError) as raised:
        gradcheck(layer, *inputs, **settings)
    assert raised.value.report is None
    return str(raised.value)


@pytest.fixture
def x(rng):
    return rng.standard_normal((3, 4))


# Numbers, shapes and dtypes


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_rejected(value):
    loss = lambda x: (np.sum(x), np.array([[1, value]]))  # noqa: E731
    assert fault_of(loss, np.ones((1, 2))) == f"Loss: the gradient of the input holds {value}"


def test_an_output_that_is_not_finite_is_rejected():
    with np.errstate(over="ignore"):
        fault = fault_of(Curve(np.exp, np.ones_like), np.array([[1.0, 1000.0]]))
    assert fault == "Curve: forward gives inf for this x"


def test_an_output_of_nan_is_not_taken_for_randomness():
    root = Curve(lambda x: np.sqrt(x.astype(float)), np.ones_like)
    assert fault_of(root, np.array([[-1.0]]), method="central") == "Curve: forward gives nan for this x"


def test_a_forward_that_does_not_repeat_itself_is_rejected(x):
    noise = np.random.default_rng(0)
    fault = fault_of(Curve(lambda x: x + noise.standard_normal(x.shape), np.ones_like), x)
    assert fault == "Curve: forward gives two outputs for one x: it draws random numbers, or changes its own state"


def test_a_forward_that_changes_the_dtype_is_rejected(x):
    assert fault_of(Curve(np.float32, np.ones_like), x) == "Curve: forward turns float64 into float32"


def test_a_forward_that_returns_no_array_is_refused(x):
    with pytest.raises(TypeError, match="^gradcheck: Curve.forward returned a tuple, wanted one array$"):
        gradcheck(Curve(lambda x: (x, x), np.ones_like), x)


def test_a_backward_that_returns_nothing_is_rejected(x):
    class Nothing(Tanh):
        def backward(self, grad_output, input_grad=True):
            pass

    assert fault_of(Nothing(), x) == "Nothing: the gradient of the input is None, wanted an array"


@pytest.mark.parametrize(
    "change, fault",
    [
        (lambda gradient: gradient[0], "has shape (4,), wanted (3, 4)"),
        (lambda gradient: gradient.T, "has shape (4, 3), wanted (3, 4): is it transposed?"),
        (lambda gradient: gradient[None], "has shape (1, 3, 4), wanted (3, 4): sum it over the batch"),
        (lambda gradient: gradient[None, :1], "has shape (1, 1, 4), wanted (3, 4)"),
        (lambda gradient: np.float32(gradient), "is float32, wanted float64"),
        (lambda gradient: np.array(None), "is None, wanted an array"),
    ],
    ids=["row", "transposed", "batch", "another", "float32", "None"],
)
def test_a_gradient_that_is_none_of_its_array_is_rejected(x, change, fault):
    class OfTanh(Tanh):
        def backward(self, grad_output, input_grad=True):
            return change(super().backward(grad_output))

    assert fault_of(OfTanh(), x) == f"OfTanh: the gradient of the input {fault}"


def test_a_vector_is_not_transposed():
    class OfTanh(Tanh):
        def backward(self, grad_output, input_grad=True):
            return grad_output[:2]

    assert fault_of(OfTanh(), np.ones(3)) == "OfTanh: the gradient of the input has shape (2,), wanted (3,)"


def test_all_gradients_that_are_amiss_are_named(rng, x):
    def change(self, grad_output, grad_input):
        self.weight.grad, self.bias.grad = self.weight.grad[0], np.float32(self.bias.grad)
        return grad_input

    assert fault_of(Changed(rng, change), x) == (
        "Changed: weight.grad has shape (4,), wanted (4, 4); bias.grad is float32, wanted float64"
    )


# Several inputs


def test_of_several_inputs_backward_returns_a_tuple_of_gradients(x):
    report = gradcheck(Product(), x, x + 1)
    assert [row.name for row in report.rows] == ["input", "others[0]"]


@pytest.mark.parametrize("length, told", [(1, "3 gradients, wanted one for each of 1"), (4, "2 gradients, wanted one")])
def test_a_wrong_number_of_gradients_is_named(x, length, told):
    class Many(Layer):
        def forward(self, *inputs):
            return np.sum(inputs, axis=0)

        def backward(self, grad_output, input_grad=True):
            return (grad_output,) * (3 if length == 1 else 2)

    assert f"backward returned {told}" in fault_of(Many(), *length * [x])


def test_none_in_the_tuple_leaves_an_input_out(x):
    class One(Product):
        def backward(self, grad_output, input_grad=True):
            return super().backward(grad_output)[0], None

    assert [row.name for row in gradcheck(One(), x, x + 1).rows] == ["input"]


# Writing


def test_a_forward_that_writes_to_a_parameter_is_rejected(rng, x):
    class Decayed(Square):
        def forward(self, x):
            self.weight.data *= 0.99
            return super().forward(x)

    assert fault_of(Decayed(rng), x).startswith("Decayed: forward writes to weight, which is not its own")


def test_a_forward_that_writes_to_a_parameter_once_is_rejected(rng, x):
    class Clipped(Square):
        def forward(self, x):
            np.clip(self.weight.data.real, -0.1, 0.1, out=self.weight.data.real)
            return super().forward(x)

    assert fault_of(Clipped(rng), x) == "Clipped: forward writes to weight, which is not its own"


def test_all_that_backward_writes_to_is_named(rng, x):
    def write(self, grad_output, grad_input):
        self._cache[...] = self.bias.data[...] = 0
        return grad_input

    assert fault_of(Changed(rng, write), x) == (
        "Changed: backward writes to x, which is not its own; backward writes to bias, which is not its own"
    )


def test_a_backward_that_writes_to_grad_output_is_rejected(rng, x):
    def write(self, grad_output, grad_input):
        grad_output *= 2
        return grad_input

    assert fault_of(Changed(rng, write), x) == "Changed: backward writes to grad_output, which is not its own"


def test_a_backward_that_writes_to_a_parameter_is_rejected(rng, x):
    def step(self, grad_output, grad_input):
        self.weight.data -= 0.1 * self.weight.grad
        return grad_input

    assert fault_of(Changed(rng, step), x) == "Changed: backward writes to weight, which is not its own"


@pytest.mark.parametrize("other", [np.ones((3, 4)), np.ones((3, 4), bool)], ids=["floats", "booleans"])
def test_a_backward_that_writes_to_another_input_is_rejected(x, other):
    class Masked(Product):
        def backward(self, grad_output, input_grad=True):
            grad_a = grad_output * self._cache[1]
            self._cache[1][...] = 0
            return grad_a

    assert fault_of(Masked(), x, other) == "Masked: backward writes to others[0], which is not its own"


def test_nan_in_another_input_is_not_taken_for_a_change(x):
    gradcheck(lambda x, labels: (np.sum(x**2), 2 * x), x, np.array([np.nan]))


def test_a_forward_that_adds_to_grad_is_rejected(rng, x):
    class Penalty(Square):
        def forward(self, x):
            self.weight.grad += self.weight.data.real
            return super().forward(x)

    assert fault_of(Penalty(rng), x) == "Penalty: forward changes weight.grad, to which backward adds"


def test_a_parameter_that_is_replaced_is_named(rng, x):
    class Replacing(Scale):
        def forward(self, x):
            self.w = Parameter(self.w.data)
            return super().forward(x)

    assert fault_of(Replacing(np.arange(4.0)), x) == (
        "Replacing: forward or backward replaces the Parameter w: write to its .data and .grad"
    )


# Exceptions


def test_a_backward_that_raises_is_rejected_and_the_line_told(rng, x):
    def wrong(self, grad_output, grad_input):
        return np.einsum("ij,jk", grad_output, self.weight.data[:3])  # which raises in a line of its own

    fault = fault_of(Changed(rng, wrong), x)
    assert fault.startswith("Changed: backward raised ValueError(")
    assert fault.endswith(f" in line {wrong.__code__.co_firstlineno + 1} of test_behaviour.py")


def test_a_second_backward_that_raises_is_rejected(x):
    class Consumed(Tanh):
        def backward(self, grad_output, input_grad=True):
            slope, self._cache = self._from_forward(), None
            return slope * grad_output

    assert fault_of(Consumed(), x).startswith("Consumed: a second backward raised RuntimeError(")


def test_a_backward_that_raises_with_input_grad_false_is_rejected(rng, x):
    class Wants(Square):
        def backward(self, grad_output, input_grad=True):
            return super().backward(grad_output, input_grad) + 0

    fault = fault_of(Wants(rng), x)
    assert fault.startswith("Wants: backward raised TypeError(") and fault.endswith(" with input_grad=False")


# Linearity


def scaled(grad_output, how):
    return {
        "clipped": np.clip(grad_output, -5, 5),
        "dropped": np.where(np.abs(grad_output) > 1e-6, grad_output, 0),
        "normalised": grad_output / np.linalg.norm(grad_output),
        "to unit length above it": grad_output / max(np.linalg.norm(grad_output) / 100, 1),
    }[how]


@pytest.mark.parametrize("how", ["clipped", "dropped", "normalised", "to unit length above it"])
def test_a_backward_that_is_not_linear_in_grad_output_is_rejected(x, how):
    class Bounded(Tanh):
        def backward(self, grad_output, input_grad=True):
            return super().backward(scaled(grad_output, how))

    with pytest.raises(GradcheckError, match="Bounded: backward "):
        gradcheck(Bounded(), x)


def test_what_is_clipped_far_above_and_dropped_far_below_is_told(x):
    class Bounded(Tanh):
        def backward(self, grad_output, input_grad=True):
            return super().backward(np.where(np.abs(grad_output) > 1e-6, np.clip(grad_output, -50, 50), 0))

    for scale in ("-1e+12", "9e-13"):
        assert (
            f"backward is not linear in grad_output: for {scale} times grad_output, the gradient of input is not "
            f"{scale} times as large: is it clipped or dropped, or is |grad_output| taken?"
        ) in fault_of(Bounded(), x)


def test_what_is_clipped_in_comparison_to_the_rest_is_told(x):
    class Compared(Tanh):  # which is of the same degree as grad_output
        def backward(self, grad_output, input_grad=True):
            size = np.abs(grad_output)
            return super().backward(np.where(size > 1e-2 * size.max(), grad_output, 0))

    assert fault_of(Compared(), x).startswith(
        "Compared: backward is not linear in grad_output: of a sum of two, the gradient of input is not the sum of its "
        "gradients: is something clipped or dropped in comparison to the rest?"
    )


def test_rows_that_are_dropped_in_comparison_to_the_rest_are_told(rng):
    class Compared(Tanh):
        def backward(self, grad_output, input_grad=True):
            size = np.max(np.abs(grad_output), axis=1, keepdims=True)
            return super().backward(np.where(size > 1e-2 * size.max(), grad_output, 0))

    assert "of a sum of two" in fault_of(Compared(), rng.standard_normal((20, 4)))


@pytest.mark.parametrize("read", [lambda array: array.ravel("K"), lambda array: array.ravel("A")], ids=["K", "A"])
def test_a_backward_that_reads_memory_is_rejected(x, read):
    class Raw(Tanh):
        def backward(self, grad_output, input_grad=True):
            return super().backward(read(grad_output).reshape(grad_output.shape))

    assert fault_of(Raw(), x) == (
        "Raw: the gradient of input is another if grad_output is not contiguous: is its memory read?"
    )


def test_a_backward_that_refuses_scattered_memory_is_not_blamed(x):
    class Contiguous(Tanh):
        def backward(self, grad_output, input_grad=True):
            assert grad_output.flags.c_contiguous
            return super().backward(grad_output)

    gradcheck(Contiguous(), x)


# Without the gradient of the input


def test_a_gradient_that_is_left_out_with_input_grad_false_is_named(rng, x):
    class LeftOut(Square):
        def backward(self, grad_output, input_grad=True):
            return super().backward(grad_output) if input_grad else None

    assert fault_of(LeftOut(rng), x) == (
        "LeftOut: the gradient of weight, bias is another with input_grad=False, wanted the same"
    )


@pytest.mark.parametrize("w", [1e-13, 1e-6, 1, 1e6])
@pytest.mark.parametrize("x_size", [1e-13, 1, 1e6])
def test_without_the_gradient_of_the_input_a_millionth_is_missed_whatever_the_size(rng, w, x_size):
    class Nearly(Scale):
        def backward(self, grad_output, input_grad=True):
            self.w.grad += (1 if input_grad else 1 - 1e-6) * np.sum(grad_output * self._cache, axis=0)
            return grad_output * self.w.data

    x = x_size * rng.standard_normal((3, 4))
    wanted = "Nearly: the gradient of w is another with input_grad=False, wanted the same"
    assert fault_of(Nearly(w * np.ones(4)), x) == wanted


class CentredScale(Scale):
    """y = w x less its mean over the batch: where x is the same all along it, rounding is the gradient of w."""

    def forward(self, x):
        y = super().forward(x)
        return y - y.mean(axis=0)


def test_rounding_is_in_proportion_to_what_cancels(rng):
    class OtherOrder(CentredScale):
        def backward(self, grad_output, input_grad=True):
            d = grad_output - grad_output.mean(axis=0)
            self.w.grad += np.sum(d * self._cache, axis=0) if input_grad else sum((d * self._cache)[::-1])
            return d * self.w.data

    gradcheck(OtherOrder(rng.standard_normal(4)), np.full((50, 4), 30.0) + rng.standard_normal((50, 1)) * [1, 0, 0, 0])


def test_rounding_of_a_sum_of_two_is_in_proportion_to_their_sizes(rng):
    class RowByRow(CentredScale):  # in one order, whatever the memory is
        def backward(self, grad_output, input_grad=True):
            d = grad_output - sum(grad_output) / len(grad_output)
            self.w.grad += sum(d * self._cache)
            return d * self.w.data

    gradcheck(RowByRow(rng.standard_normal(4)), np.full((50, 4), 3e3) + rng.standard_normal((50, 1)) * [1, 0, 0, 0])


def test_numbers_too_large_for_a_larger_grad_output_are_checked_with_a_smaller_one(x):
    gradcheck(Curve(lambda x: 1e300 * x, lambda x: 1e300 + 0 * x.real), x, here_only=True)


def test_the_same_sum_in_another_order_is_no_mistake(rng):
    class OtherOrder(Scale):
        def backward(self, grad_output, input_grad=True):
            grad_w = grad_output * self._cache
            self.w.grad += grad_w.sum(axis=0) if input_grad else sum(grad_w[::-1])
            return grad_output * self.w.data

    gradcheck(OtherOrder(rng.standard_normal(4)), 1 + rng.standard_normal((300, 4)))


def test_a_backward_without_input_grad_is_a_backward_too(x):
    class Plain(Layer):
        def forward(self, x):
            return 2 * x

        def backward(self, grad_output):
            return 2 * grad_output

    gradcheck(Plain(), x)


# Memory


def remarks_on(layer, *inputs):
    return [line for line in gradcheck(layer, *inputs, here_only=True).remarks if line.startswith("warning: ")]


def test_a_layer_that_shares_no_memory_gets_no_warning(x):
    assert remarks_on(Tanh(), x) == []


def test_grad_output_that_is_returned_is_warned_of(x):
    layer = Curve(np.copy, np.ones_like)
    layer.backward = lambda grad_output: grad_output
    assert remarks_on(layer, x) == [
        "warning: backward returns memory of grad_output: return a copy of it, grad_output.copy()"
    ]


def test_a_view_of_grad_output_in_a_tuple_is_warned_of(x):
    class Sum(Layer):
        def forward(self, a, b):
            return a + b

        def backward(self, grad_output):
            return grad_output.copy(), grad_output[:]

    assert remarks_on(Sum(), x, 2 * x) == [
        "warning: backward returns memory of grad_output: return a copy of it, grad_output.copy()"
    ]


def test_a_grad_that_is_the_returned_gradient_is_warned_of(x):
    class Shift(Layer):
        def __init__(self):
            self.b = Parameter(np.ones((3, 4)))

        def forward(self, x):
            return x + self.b.data

        def backward(self, grad_output, input_grad=True):
            grad_input = grad_output.copy()
            self.b.grad = self.b.grad + grad_input if self.b.grad.any() else grad_input
            return grad_input

    assert remarks_on(Shift(), x) == [
        "warning: b.grad is not its own memory, but that of a gradient: write b.grad += for b.grad ="
    ]


class CachedTanh(Layer):
    def forward(self, x):
        self._cache = np.tanh(x)
        return self._cache

    def backward(self, grad_output, input_grad=True):
        return grad_output * (1 - self._cache**2)


def test_a_cache_that_is_returned_is_warned_of(x):
    assert remarks_on(CachedTanh(), x)[0] == (
        "warning: backward reads the output, which is the caller's: let forward return a copy, y.copy()"
    )


def test_a_cache_that_is_returned_is_warned_of_once(x):
    assert len(remarks_on(CachedTanh(), x)) == 1


def test_a_buffer_that_is_returned_and_read_again_is_warned_of(x):
    class Slope(Layer):
        def forward(self, x):
            self._cache = np.exp(x)
            return x * 1.0

        def backward(self, grad_output, input_grad=True):
            self._cache[...] = 1
            self._kept = getattr(self, "_kept", np.zeros(self._cache.shape))
            self._kept[...] = 0 * self._kept + grad_output
            return self._kept

    assert remarks_on(Slope(), x) == ["warning: backward returns memory that it reads again: let it return a copy"]


def test_an_output_that_cannot_be_written_to_shares_nothing(x):
    class Wide(Layer):
        def forward(self, x):
            return np.broadcast_to(x.sum(axis=1, keepdims=True), x.shape)

        def backward(self, grad_output, input_grad=True):
            return np.broadcast_to(grad_output.sum(axis=1, keepdims=True), grad_output.shape)

    assert remarks_on(Wide(), x) == []
