"""Whether backward and what is measured differ by a mistake, by rounding, or at a kink."""

import re

import numpy as np
import pytest
from small_layers import Centred, Curve, Scale, Softmax, linear
from students.scales import SixteenSigmoids

from demos.planted_bugs import FEATURES, N
from nnlite import GradcheckError, Layer, Parameter, ReLU, Sequential, Tanh, gradcheck

both_methods = pytest.mark.parametrize("method", ["complex", "central"])
each_method = pytest.mark.parametrize("method", ["complex", "central", None])


def rejected(*arguments, **settings):
    with pytest.raises(GradcheckError) as raised:
        gradcheck(*arguments, **settings)
    return raised.value


# Saturated and steep


@each_method
@pytest.mark.parametrize("scale", [1, 20, 300])
def test_a_saturated_tanh_is_accepted(rng, method, scale):
    gradcheck(Tanh(), scale * rng.standard_normal((N, FEATURES)), method=method)


@both_methods
def test_a_saturated_softmax_is_accepted(method):
    for seed in range(20):
        x = 20 * np.random.default_rng(seed).standard_normal((N, FEATURES))
        gradcheck(Softmax(), x, method=method, rng=seed)


@both_methods
def test_of_a_saturated_softmax_what_is_wrong_is_rejected(rng, method):
    class Wrong(Softmax):
        def backward(self, grad_output, input_grad=True):
            return self._cache * grad_output

    rejected(Wrong(), 20 * rng.standard_normal((N, FEATURES)), method=method)


@pytest.mark.parametrize("lowest", [0.001, 0.01])
@pytest.mark.parametrize(
    "f, slope", [(np.log, lambda x: 1 / x), (np.sqrt, lambda x: 0.5 / np.sqrt(x))], ids=["log", "sqrt"]
)
def test_a_steep_curve_is_accepted_by_central_differences(f, slope, lowest):
    for seed in range(30):
        x = np.random.default_rng(seed).uniform(lowest, 1, (N, FEATURES))
        gradcheck(Curve(f, slope), x, method="central", rng=seed)


class Sigmoids(Layer):
    """So many layers, whose weights are one array; the first weight's gradient is multiplied by a factor."""

    def __init__(self, rng, layers, factor):
        self.w, self.factor = Parameter(rng.standard_normal((layers, 3, 3))), factor

    def forward(self, x):
        self._cache = [x]
        for w in self.w.data:
            x = 1 / (1 + np.exp(-x @ w))
            self._cache.append(x)
        return x.copy()

    def backward(self, grad_output, input_grad=True):
        for k in reversed(range(len(self.w.data))):
            d = grad_output * self._cache[k + 1] * (1 - self._cache[k + 1])
            self.w.grad[k] += (1 if k else self.factor) * self._cache[k].T @ d
            grad_output = d @ self.w.data[k].T
        return grad_output


@pytest.mark.parametrize("layers, method", [(16, "complex"), (16, "central"), (30, "complex"), (30, "central")])
def test_under_many_sigmoids_what_is_right_is_accepted(rng, layers, method):
    gradcheck(Sigmoids(rng, layers, 1), rng.standard_normal((3, 3)), method=method)


@pytest.mark.parametrize("layers, method", [(16, "complex"), (16, "central"), (30, "complex"), (30, None)])
def test_under_many_sigmoids_three_times_the_gradient_of_the_first_weight_is_rejected(rng, layers, method):
    rejected(Sigmoids(rng, layers, 3), rng.standard_normal((3, 3)), method=method)


def test_under_many_sigmoids_central_differences_say_what_they_cannot_resolve(rng):
    remarks = gradcheck(Sigmoids(rng, 30, 1), rng.standard_normal((3, 3)), method="central", here_only=True).remarks
    assert any(
        re.fullmatch(r"note: w: \d+ entries are below what central differences resolve, and were not checked", remark)
        for remark in remarks
    )


# Rounding


def test_what_rounding_leaves_of_a_gradient_is_no_mistake(rng):
    model = Sequential(linear(rng), Centred(), Tanh())
    model[0].weight.data *= 30
    gradcheck(model, rng.standard_normal((20, 4)))


def test_the_same_number_as_rounding_leaves_is_a_mistake_if_it_stays(rng):
    class Wrong(Centred):
        def backward(self, grad_output, input_grad=True):
            return super().backward(grad_output) + 1e-11

    rejected(Sequential(linear(rng), Wrong()), rng.standard_normal((20, 4)))


def test_a_large_constant_hides_nothing_by_central_differences(rng):
    def offset(factor):
        return Curve(lambda x: 1e10 + x**2, lambda x: factor * x)

    x = rng.standard_normal((3, 4))
    gradcheck(offset(2), x, method="central")
    rejected(offset(2.01), x, method="central")


def test_a_mistake_in_large_numbers_is_not_taken_for_a_kink(rng):
    large = Curve(lambda x: 1e9 * np.sin(x), lambda x: 2e9 * np.cos(x))
    assert "2 times the right one" in str(rejected(large, rng.standard_normal((N, FEATURES)), method="central"))


def test_the_error_of_each_entry_is_relative_to_its_own_share(rng):
    x = rng.uniform(1, 2, (2, 3)) * [[1e8], [1]]
    error = rejected(Curve(lambda x: x**2, lambda x: x * [[2], [1]]), x)
    (row,) = error.report.rows
    assert row.index[0] == 1 and row.relative_error == pytest.approx(0.5)


def test_of_two_backwards_the_one_that_is_farther_off_counts(rng):
    class Both(Scale):  # twice as much, and overwritten: the mean of two backwards is right
        def backward(self, grad_output, input_grad=True):
            self.w.grad = 2 * np.sum(grad_output * self._cache, axis=0)
            return grad_output * self.w.data

    rejected(Both(np.arange(1.0, 5.0)), rng.standard_normal((3, 4)))


# Not analytic


@pytest.mark.parametrize(
    "value, gradient, wrong",
    [
        (lambda p: np.sum(p * np.sign(p)), np.sign, lambda p: 2 * np.sign(p)),
        (np.linalg.norm, lambda p: p / np.linalg.norm(p), np.zeros_like),
        (lambda p: np.vdot(p, p), lambda p: 2 * p, np.zeros_like),
        (lambda p: np.sum(p.real**2), lambda p: 2 * p, np.zeros_like),
        (lambda p: np.var(p) + np.sum(p), lambda p: 2 * (p - p.mean()) / p.size + 1, np.ones_like),
        (lambda p: np.sum(np.conj(p) * p**2), lambda p: 3 * p**2, lambda p: p**2),
        (lambda p: np.sum(np.maximum(np.abs(p), p.real)), np.sign, np.zeros_like),
    ],
    ids=["sign", "norm", "vdot", "real", "var", "conj", "abs"],
)
def test_a_forward_that_is_not_analytic_is_judged_by_central_differences(rng, value, gradient, wrong):
    p = rng.standard_normal(5)
    report = gradcheck(lambda p: (value(p), gradient(p.real)), p)
    assert report.remarks[0].startswith("note: measured by central differences: forward ")
    rejected(lambda p: (value(p), wrong(p.real)), p)
    with pytest.raises(TypeError, match="use method='central'$"):
        gradcheck(lambda p: (value(p), gradient(p.real)), p, method="complex")


def test_an_entry_that_is_not_analytic_among_many_is_noticed(rng):
    def value(p):
        return np.sum(p**2) + 1e-9 * np.abs(p[0])

    gradcheck(lambda p: (value(p), 2 * p.real + 1e-9 * np.sign(p.real) * (np.arange(5) == 0)), rng.standard_normal(5))


def test_a_forward_that_rounds_is_measured_by_larger_steps(rng):
    layer = Curve(lambda x: np.round(np.exp(x), 9), np.exp)
    gradcheck(layer, rng.standard_normal((3, 4)))


# Kinks


def relu(slope_at_0):
    return Curve(lambda x: np.where(x > 0, x, 0), lambda x: np.where(x == 0, slope_at_0, x.real > 0))


@pytest.mark.parametrize("method", ["central", None])
@pytest.mark.parametrize("slope, right", [(0, True), (0.5, True), (1, True), (7, False), (-1, False), (1.001, False)])
def test_at_a_kink_the_gradient_lies_between_the_slopes_on_both_sides(method, slope, right):
    x = np.array([[0.0, 1.0, -2.0, 0.0]])
    if right:
        gradcheck(relu(slope), x, method=method)
    else:
        error = rejected(relu(slope), x, method=method, here_only=True)
        assert error.report.rows[0].index in [(0, 0), (0, 3)]


def test_an_entry_away_from_the_kink_is_not_excused_by_those_at_it():
    layer = Curve(lambda x: np.maximum(x, 0), lambda x: np.where(x == 1, 3.0, x > 0))
    error = rejected(layer, np.array([[0.0, 1.0, -2.0, 0.0]]), here_only=True)
    assert error.report.rows[0].index == (0, 1)


def test_all_entries_at_kinks_are_accepted():
    gradcheck(ReLU(), np.zeros((N, FEATURES)))
    gradcheck(Curve(np.abs, np.sign), np.zeros((N, FEATURES)))


def test_a_kink_within_the_step_but_beside_x_is_seen():
    gradcheck(ReLU(), np.array([[1.0, 2.0, -1.0, 1e-6, -1e-6, 4e-6]]), method="central")


def test_a_mistake_away_from_the_kink_is_found_by_the_other_inputs():
    triple = Curve(lambda x: np.maximum(x, 0), lambda x: 3.0 * (x > 0))
    assert "is 3 times the right one" in str(rejected(triple, np.zeros((N, FEATURES)), method="central"))


class Max(Layer):
    """The largest of each row."""

    def __init__(self, share):
        self.share = share

    def forward(self, x):
        self._cache = x.real
        return np.take_along_axis(x, np.argmax(x.real, axis=1)[:, None], axis=1)[:, 0]

    def backward(self, grad_output, input_grad=True):
        return self.share(self._cache) * grad_output[:, None]


def to_first(x):
    return np.arange(x.shape[1]) == np.argmax(x, axis=1)[:, None]


def among_ties(x):
    ties = x == x.max(axis=1, keepdims=True)
    return ties / ties.sum(axis=1, keepdims=True)


def to_each(x):
    return 1.0 * (x == x.max(axis=1, keepdims=True))


@pytest.mark.parametrize("share, right", [(to_first, True), (among_ties, True), (to_each, False)])
def test_of_a_tie_the_gradient_goes_to_one_or_is_shared(share, right):
    x = np.array([[1.0, 2.0, 2.0], [3.0, 0.0, -1.0], [1.0, 1.0, 1.0]])
    if right:
        gradcheck(Max(share), x)
    else:
        assert "wrong for entries together that are right alone" in str(rejected(Max(share), x))


def test_a_jump_allows_any_slope_at_itself_alone():
    steps = Curve(lambda x: 1.0 * (x > 0) + x, lambda x: 1 + 0.0 * x.real)
    gradcheck(steps, np.array([0.0, 1.0]), method="central", here_only=True)
    rejected(Curve(steps.f, lambda x: 2 + 0.0 * x.real), np.array([0.0, 1.0]), method="central", here_only=True)


def test_at_the_end_of_its_domain_the_slope_of_one_side_counts():
    def root(factor):
        return Curve(lambda x: x * np.sqrt(x) + x, lambda x: factor * (1.5 * np.sqrt(x) + 1))

    x = np.array([0.0, 1.0])
    gradcheck(root(1), x, method="central", here_only=True)
    rejected(root(1.1), x, method="central", here_only=True)


def test_sixteen_sigmoids_of_a_student_are_seen_by_each_method(rng):
    layer, x = SixteenSigmoids(rng), rng.standard_normal((3, 3))
    for method in ("complex", "central"):
        gradcheck(layer, x, method=method)
