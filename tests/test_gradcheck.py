"""The checker: it accepts what is right, rejects planted bugs, and leaves everything as it was."""

import numpy as np
import pytest

from nnlite import GradcheckError, Layer, Linear, Sequential, Tanh, gradcheck, mse_loss


class DroppedUpstream(Tanh):
    def backward(self, grad_output, input_grad=True):
        return self._from_forward().copy()


class Planted(Linear):
    """A square Linear, whose backward a subclass breaks in one place."""

    def __init__(self, rng):
        super().__init__(4, 4, rng=rng, dtype=np.float64)


class MissingBiasSum(Planted):
    def backward(self, grad_output, input_grad=True):
        bias_grad = self.bias.grad.copy()
        grad_input = super().backward(grad_output)
        self.bias.grad[...] = bias_grad + grad_output[0]
        return grad_input


class WrongShape(Planted):
    def backward(self, grad_output, input_grad=True):
        grad_input = super().backward(grad_output)
        self.bias.grad = self.bias.grad + grad_output
        return grad_input


class WritesToItsArgument(Planted):
    def backward(self, grad_output, input_grad=True):
        grad_input = super().backward(grad_output)
        grad_output[...] = 0
        return grad_input


class TakesInputForUpstream(Planted):
    def backward(self, grad_output, input_grad=True):
        return super().backward(self._cache)


class Raises(Planted):
    def backward(self, grad_output, input_grad=True):
        return grad_output @ self.weight.data[:3]


class MissingTranspose(Planted):
    def backward(self, grad_output, input_grad=True):
        super().backward(grad_output)
        return grad_output @ self.weight.data.T


class TransposedWeightGradient(Planted):
    def backward(self, grad_output, input_grad=True):
        grad_input = super().backward(grad_output)
        self.weight.grad = self.weight.grad.T
        return grad_input


class WrongSign(Planted):
    def backward(self, grad_output, input_grad=True):
        return -super().backward(grad_output)


class FactorTwo(Planted):
    def backward(self, grad_output, input_grad=True):
        grad_input = super().backward(grad_output)
        self.weight.grad += grad_output.T @ self._cache
        return grad_input


class Overwritten(Planted):
    def backward(self, grad_output, input_grad=True):
        self.zero_grad()
        return super().backward(grad_output)


PLANTED = {
    MissingBiasSum: "WRONG",
    MissingTranspose: "WRONG",
    TransposedWeightGradient: "WRONG",
    WrongSign: "WRONG",
    FactorTwo: "WRONG",
    Overwritten: "WRONG",
    TakesInputForUpstream: "WRONG",
    WrongShape: r"bias.grad has shape \(3, 4\), wanted \(4,\)",
    WritesToItsArgument: "backward writes to grad_output",
    Raises: "backward raised ValueError",
}


@pytest.mark.parametrize("method", ["complex", "central"])
@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_rejected(rng, bug, method):
    with pytest.raises(GradcheckError, match=PLANTED[bug]):
        gradcheck(bug(rng), rng.standard_normal((3, 4)), method=method)


def test_the_upstream_gradient_is_not_the_input_even_if_the_seeds_are_the_same():
    x = np.random.default_rng(0).standard_normal((3, 4))
    for rng in (None, np.random.default_rng(0)):
        with pytest.raises(GradcheckError, match="WRONG"):
            gradcheck(TakesInputForUpstream(np.random.default_rng(1)), x, rng=rng)


@pytest.mark.parametrize("method", ["complex", "central"])
def test_a_dropped_upstream_gradient_is_rejected(rng, method):
    with pytest.raises(GradcheckError, match="WRONG"):
        gradcheck(DroppedUpstream(), rng.standard_normal((3, 4)), method=method)


def test_a_loss_off_by_a_factor_is_rejected(rng):
    def doubled(prediction):
        loss, grad = mse_loss(prediction, np.zeros((3, 4)))
        return loss, 2 * grad

    with pytest.raises(GradcheckError, match="WRONG"):
        gradcheck(doubled, rng.standard_normal((3, 4)))


def test_a_nan_in_a_gradient_is_rejected(rng):
    with pytest.raises(GradcheckError, match="nan"):
        gradcheck(lambda x: (np.sum(x), x * np.nan), rng.standard_normal((3, 4)))


def test_a_backward_that_returns_nothing_is_rejected(rng):
    class Nothing(Tanh):
        def backward(self, grad_output, input_grad=True):
            pass

    with pytest.raises(GradcheckError, match=r"the gradient of the input has shape \(\), wanted \(3, 4\)"):
        gradcheck(Nothing(), rng.standard_normal((3, 4)))


def test_the_report_has_a_row_for_the_input_and_each_parameter(rng):
    layer = Sequential(Linear(3, 2, rng=rng, dtype=np.float64), Tanh())
    report = gradcheck(layer, rng.standard_normal((4, 3)))
    assert [row.name for row in report.rows] == ["input", "0.weight", "0.bias"]
    for row in report.rows:
        assert row.relative_error <= report.tolerance and np.isclose(row.analytic, row.numeric)
        assert row.name in str(report)


def test_the_worst_entry_is_named(rng):
    class OneWrong(Planted):
        def backward(self, grad_output, input_grad=True):
            grad_input = super().backward(grad_output)
            grad_input[2, 1] += 1
            return grad_input

    with pytest.raises(GradcheckError, match=r"input .*\(2, 1\)"):
        gradcheck(OneWrong(rng), rng.standard_normal((3, 4)))


def test_everything_is_left_as_it_was(rng):
    layer, x = Linear(4, 4, rng=rng, dtype=np.float64), rng.standard_normal((3, 4))
    layer.weight.grad[...] = 7
    x_before, data, grad, values = x.copy(), layer.weight.data, layer.weight.grad, layer.weight.data.copy()
    gradcheck(layer, x)
    assert np.array_equal(x, x_before)
    assert layer.weight.data is data and np.array_equal(data, values)
    assert layer.weight.grad is grad and (grad == 7).all()


def test_everything_is_left_as_it_was_when_forward_raises(rng):
    class Raises(Linear):
        def forward(self, x):
            if np.iscomplexobj(x):
                raise ZeroDivisionError
            return super().forward(x)

    layer = Raises(4, 4, rng=rng, dtype=np.float64)
    data = layer.weight.data
    with pytest.raises(ZeroDivisionError):
        gradcheck(layer, rng.standard_normal((3, 4)))
    assert layer.weight.data is data and data.dtype == np.float64


def test_backward_still_follows_the_forward_before_the_check(rng):
    layer, x, upstream = Tanh(), *rng.standard_normal((2, 3, 4))
    layer(x)
    expected = layer.backward(upstream)
    gradcheck(layer, rng.standard_normal((3, 4)))
    assert np.array_equal(layer.backward(upstream), expected)


@pytest.mark.parametrize("x", [np.ones((0, 4)), np.ones((3, 4), complex)], ids=["empty", "complex"])
def test_an_input_that_cannot_be_checked_is_refused(x):
    with pytest.raises(ValueError, match="gradcheck: x is .*, wanted real numbers, at least one"):
        gradcheck(Tanh(), x)


def test_float32_is_refused_with_the_reason(rng):
    with pytest.raises(ValueError, match="weight is float32, wanted float64"):
        gradcheck(Linear(4, 4, rng=rng), rng.standard_normal((3, 4)))


def test_an_unknown_method_is_named(rng):
    with pytest.raises(ValueError, match="'forward', wanted one of complex, central"):
        gradcheck(Tanh(), rng.standard_normal((3, 4)), method="forward")


def test_a_tolerance_may_be_given(rng):
    with pytest.raises(GradcheckError):
        gradcheck(Tanh(), rng.standard_normal((3, 4)), method="central", tolerance=1e-16)


def test_a_layer_of_ones_own_needs_only_forward_and_backward(rng):
    class Square(Layer):
        def forward(self, x):
            self._cache = x
            return x * x

        def backward(self, grad_output, input_grad=True):
            return 2 * self._cache * grad_output

    gradcheck(Square(), rng.standard_normal((3, 4)))
