"""Hints name the mistake, or are silent."""

import numpy as np
import pytest
from small_layers import Centred, Changed, Curve, Scale, Skip, Square, linear

from demos.planted_bugs import BUGS, FEATURES, N
from nnlite import GradcheckError, Layer, Linear, Parameter, Sequential, Tanh, gradcheck


def hints_on(layer, *inputs, **settings):
    """The hints of the report on a layer that is wrong."""
    with pytest.raises(GradcheckError) as raised:
        gradcheck(layer, *inputs, **settings)
    for hint in raised.value.report.hints:
        assert f"\nhint: {hint}" in str(raised.value)
    return raised.value.report.hints


def test_a_backward_that_computes_in_float32_is_named(rng):
    layer = Curve(np.sin, lambda x: np.float64(np.float32(np.cos(x.real))))
    assert hints_on(layer, rng.standard_normal((3, 4))) == [
        "input: agrees in 5 digits: does anything compute in float32, or is a small term wrong?"
    ]


def test_a_factor_without_a_known_cause_is_stated(rng):
    assert hints_on(Curve(np.sin, lambda x: -1.7 * np.cos(x)), rng.standard_normal((3, 4))) == [
        "input: is -1.7 times the right one"
    ]


def test_of_two_numbers_a_factor_and_a_constant_are_told(rng):
    assert hints_on(Curve(np.sin, lambda x: 1.7 * np.cos(x)), rng.standard_normal((1, 2))) == [
        "input: is 1.7 times the right one"
    ]
    assert hints_on(lambda x: (np.sum(x**3), 3 * x**2 + 0.1), rng.standard_normal((1, 2))) == [
        "input: is off by the constant 0.1: a constant term is missing, or too much"
    ]


def test_of_one_number_only_a_factor_with_a_known_cause_is_told():
    x = np.array([[0.5]])
    assert hints_on(lambda x: (np.sum(x**3), 1.7 * 3 * x**2), x) == ["this looks like no mistake known here"]
    assert hints_on(lambda x: (np.sum(x**3), 2 * 3 * x**2), x) == [
        "input: is 2 times the right one: perhaps the 2 of a square's derivative"
    ]


def test_a_batch_size_of_2_leaves_two_reasons_for_a_factor_2(rng):
    assert hints_on(Curve(np.sin, lambda x: 2 * np.cos(x)), rng.standard_normal((2, 4))) == [
        "input: is 2 times the right one: perhaps the 2 of a square's derivative or the batch size"
    ]


def test_a_number_is_its_own_batch_of_1():
    assert hints_on(Curve(np.sin, lambda x: 3 * np.cos(x)), np.array(0.5)) == [
        "input: at (), x = 0.5, has the slope 2.63275, wanted 0.877583"
    ]


def test_of_two_rows_one_that_is_left_out_is_noticed(rng):
    with BUGS["FirstRowOnly"].planted():
        hints = hints_on(linear(rng), rng.standard_normal((2, FEATURES)))
    assert hints == ["bias: does not depend on the last row of grad_output: sum over the whole batch"]


class Affine(Layer):
    """y = w x + b, for a w and a b a column, whose gradients are changed by functions."""

    def __init__(self, of_w, of_b=np.copy):
        self.w, self.b, self.of_w, self.of_b = Parameter(np.arange(1.0, 5.0)), Parameter(np.ones(4)), of_w, of_b

    def forward(self, x):
        self._cache = x
        return self.w.data * x + self.b.data

    def backward(self, grad_output, input_grad=True):
        self.w.grad += self.of_w(grad_output * self._cache).sum(axis=0)
        self.b.grad += self.of_b(grad_output).sum(axis=0)
        return grad_output * self.w.data


def test_the_last_row_alone_that_is_left_out_is_noticed(rng):
    assert hints_on(Affine(lambda rows: rows[:-1]), rng.standard_normal((4, 4))) == [
        "w: does not depend on the last row of grad_output: sum over the whole batch"
    ]


def test_another_row_that_is_left_out_is_not_taken_for_the_last(rng):
    assert hints_on(Affine(lambda rows: rows[1:]), rng.standard_normal((4, 4))) == [
        "this looks like no mistake known here"
    ]


def test_each_array_has_its_own_hint(rng):
    layer = Affine(lambda rows: rows * [1, 2, 3, 4], lambda rows: 2 * rows)
    assert hints_on(layer, rng.standard_normal((3, 4))) == [
        "b: is 2 times the right one: perhaps the 2 of a square's derivative"
    ]


def test_a_last_row_that_forward_leaves_out_too_is_no_mistake(rng):
    class Masked(Affine):
        def forward(self, x):
            return np.where(np.arange(3)[:, None] < 2, super().forward(x), 0)

        def backward(self, grad_output, input_grad=True):
            return super().backward(np.where(np.arange(3)[:, None] < 2, grad_output, 0))

    assert hints_on(Masked(lambda rows: rows * [1, 2, 3, 4]), rng.standard_normal((3, 4)), here_only=True) == [
        "this looks like no mistake known here"
    ]


def test_a_backward_that_refuses_a_grad_output_of_0_is_not_said_to_have_a_term_without_it(rng):
    class Picky(Curve):
        def backward(self, grad_output, input_grad=True):
            if not grad_output.any():
                raise ValueError("nothing to do")
            return super().backward(grad_output)

    assert hints_on(Picky(np.sin, lambda x: 1.7 * np.cos(x)), rng.standard_normal((3, 4))) == [
        "input: is 1.7 times the right one"
    ]


def test_hints_go_on_past_the_experiment_of_transposing(rng):
    with BUGS["EarlierForward"].planted():
        hints = hints_on(Sequential(linear(rng), Tanh()), rng.standard_normal((N, FEATURES)))
    assert "input, 0.bias: is the derivative at the input of an earlier forward: keep what the latest one got" in hints


def test_of_an_element_wise_layer_an_unknown_mistake_shows_the_slopes_at_the_worst_entry():
    assert hints_on(Curve(lambda x: x**3, lambda x: 2 * x), np.array([[0.1, -2.0]])) == [
        "input: at (0, 1), x = -2, has the slope -4, wanted 12"
    ]


def test_of_other_layers_an_unknown_mistake_is_called_so(rng):
    layer = Changed(rng, lambda self, grad_output, grad_input: grad_input * [1, 2, 3, 4])
    assert hints_on(layer, rng.standard_normal((3, 4))) == ["this looks like no mistake known here"]


def test_an_unknown_mistake_of_a_loss_is_called_so(rng):
    assert hints_on(lambda x: (np.sum(x**3), 3 * x), rng.standard_normal((3, 4))) == [
        "this looks like no mistake known here"
    ]


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
@pytest.mark.parametrize("wrong, told", [(1, True), (5, True), (6, False)])
def test_wrong_entries_are_counted_if_they_are_less_than_half(rng, scale, wrong, told):
    class Some(Curve):
        def backward(self, grad_output, input_grad=True):
            grad_input = super().backward(grad_output)
            grad_input.flat[:wrong] *= 2
            return grad_input

    hints = hints_on(Some(lambda x: scale * np.sin(x), lambda x: scale * np.cos(x)), rng.standard_normal((3, 4)))
    text = f"input: is wrong at {wrong} of 12 entries alone: look at what is special about (0, 0)"
    assert hints[0].startswith(text) == told


def test_a_term_that_is_added_is_named(rng):
    def decay(self, grad_output, grad_input):
        self.weight.grad += 0.01 * self.weight.data
        return grad_input

    assert hints_on(Changed(rng, decay), rng.standard_normal((3, 4))) == [
        "weight: has a term without grad_output: multiply by it, do not add"
    ]


def test_a_forgotten_slope_is_named(rng):
    assert hints_on(Curve(np.sin, np.ones_like), rng.standard_normal((3, 4))) == [
        "input: is grad_output itself: multiply by the slope"
    ]


def test_a_row_that_does_not_count_in_forward_either_is_no_mistake(rng):
    class Scaled(Square):
        def backward(self, grad_output, input_grad=True):
            before = self.weight.grad.copy()
            grad_input = super().backward(grad_output)
            self.weight.grad[...] = before + (self.weight.grad - before) * np.arange(1, 5)
            return grad_input

    model = Sequential(
        Scaled(rng), Centred(), Curve(lambda x: x * [[1], [1], [0]], lambda x: np.array([[1], [1], [0]]))
    )
    assert not any("last row" in hint for hint in hints_on(model, rng.standard_normal((3, 4))))


def test_a_way_around_a_layer_that_backward_forgets_is_named(rng):
    class ForgottenSkip(Skip):
        def backward(self, grad_output, input_grad=True):
            return self.f.backward(grad_output)

    hints = hints_on(ForgottenSkip(Sequential(linear(rng), Tanh())), rng.standard_normal((3, 4)))
    assert hints[0] == (
        "input: lacks grad_output itself: x also reaches the output unchanged, and gradients of two ways add up"
    )


def test_with_several_inputs_the_others_stay_where_they_are_in_an_experiment(rng):
    class Gate(Layer):
        def forward(self, x, gate):
            self._cache = np.tanh(x) * gate, gate
            return self._cache[0].copy()

        def backward(self, grad_output, input_grad=True):
            y, gate = self._cache
            return grad_output * gate * (1 - np.tanh(y) ** 2), None

    x, gate = rng.standard_normal((2, 3, 4))
    assert hints_on(Gate(), x, gate) == ["input: is the derivative at the output of forward: take it at x"]


def changed(forward, backward):
    layer = Curve(forward, np.ones_like)
    layer.backward = backward
    return layer


def test_of_what_is_not_element_wise_no_slope_is_told(rng):
    def neighbours(x):
        return x + 0.5 * np.roll(x, 1, axis=1)

    x = rng.standard_normal((3, 4))
    of_one = changed(neighbours, lambda grad_output: 1.7 * grad_output)
    assert hints_on(of_one, x) == ["this looks like no mistake known here"]
    of_two = changed(lambda x: 2 * x, lambda grad_output: 1.7 * grad_output + np.roll(grad_output, 1, axis=1))
    assert hints_on(of_two, x) == ["this looks like no mistake known here"]


def test_arrays_with_the_same_mistake_share_a_line(rng):
    class Negative(Linear):
        def backward(self, grad_output, input_grad=True):
            return super().backward(-grad_output)

    assert hints_on(Negative(4, 4, rng=rng, dtype=np.float64), rng.standard_normal((3, 4))) == [
        "input, weight, bias: is -1 times the right one: the sign"
    ]


def test_a_parameter_that_a_second_backward_finds_changed_is_not_called_overwritten(rng):
    class Consumed(Scale):
        def backward(self, grad_output, input_grad=True):
            grad_input = super().backward(grad_output)
            self._cache = 0 * self._cache
            return grad_input

    assert hints_on(Consumed(np.ones(4)), rng.standard_normal((3, 4))) == [
        "w: is right at first, but not in a second backward, which must find what forward kept as it was"
    ]


@pytest.mark.parametrize("given", [True, False])
def test_a_gradient_of_0_is_asked_about_if_it_is_0_at_another_input_too(rng, given):
    x = -1 - rng.uniform(size=(3, 4))
    layer = Curve(lambda x: x**2, lambda x: 0 * x if given else 2 * x * (x > -1))
    assert hints_on(layer, x) == ["input: is 0 everywhere" + given * ": is it computed, and added with +=?"]


def test_wrong_for_a_whole_tie_is_told_from_wrong_for_one_of_it():
    layer = Curve(lambda x: x, None)
    layer.forward = lambda x: np.max(x, axis=1)
    layer.backward = lambda grad_output, input_grad=True: np.repeat(grad_output[:, None], 4, axis=1)
    assert hints_on(layer, np.ones((3, 4)), here_only=True) == [
        "input: is wrong for entries together that are right alone: does each of a tie get it all?"
    ]
