"""Whether backward and what is measured differ by a mistake, by rounding, or at a kink."""

import re

import numpy as np
import pytest
from small_layers import Centred, Curve, Scale, Softmax, linear
from students.scales import SixteenSigmoids

from demos.planted_bugs import FEATURES, N
from nnlite import GradcheckError, Layer, Parameter, ReLU, Sequential, Tanh, gradcheck
from nnlite.checking.slopes import Slope
from nnlite.checking.subject import Loss, Move, Subject
from nnlite.checking.verdict import Verdict, _are_roundings, _is_between_slopes_nearby

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
        re.fullmatch(r"note: w: \d+ entries cannot be measured by central differences, and were not checked", remark)
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


class Scripted:
    """In the place of a Measure: the slope of sum(x) less a difference, told beforehand for each time; it notes how it
    was called."""

    step, tolerance = 1.0, 1e-12

    def __init__(self, differences):
        self.differences, self.steps, self.moved = list(differences), [], []

    def _replace(self, step):
        self.steps.append(step)
        return self

    def slopes(self, subject, moves):
        self.moved.append(np.std(subject.inputs[0] - 1) / subject.eps)
        return [Slope(1 - each, 1.0) for each in np.atleast_1d(self.differences.pop(0))]


def are_roundings(*differences, size=2, moves=1):
    """(whether each of so many differences of 1 is found to be rounding, the Scripted measure)."""
    subject = Subject(Loss(lambda x: (np.sum(x), np.ones(size)), []), [np.ones(size)], np.dtype(float), seeded(), {})
    subject.stand_at(subject.inputs, {})
    scripted = Scripted(differences)
    uncertain = [Verdict(Move("input", (at,), 1.0), 1.0, 0.0, 1.0) for at in range(moves)]
    found = _are_roundings(subject, scripted, uncertain).tolist()
    assert (subject.inputs[0] == 1).all() and (subject.upstream == 1).all()
    return found, scripted


def seeded():
    return np.random.default_rng(0)


@pytest.mark.parametrize("differences, is_rounding", [([0.9], False), ([1.29], False), ([1.31], True), ([0.69], True)])
def test_what_changes_by_more_than_a_third_with_the_last_digits_is_rounding(differences, is_rounding):
    assert are_roundings(*differences, *11 * [1.0])[0] == [is_rounding]


def test_it_may_change_at_any_of_12_times_and_no_longer_matters_then():
    for at in range(12):
        found, scripted = are_roundings(*at * [1.0], 2.0, *11 * [1.0])
        assert (found, len(scripted.steps)) == ([True], at + 1)
    assert are_roundings(*12 * [1.0], 2.0)[0] == [False]


def test_each_of_several_is_judged_by_itself():
    found, _ = are_roundings([2, 1, 1], [1, 1, 2], *10 * [[1, 1, 1]], size=3, moves=3)
    assert found == [True, False, True]


def test_numbers_move_by_64_roundings_then_more_while_steps_get_smaller():
    _, scripted = are_roundings(*12 * [1.0], size=20_000)
    assert scripted.moved == pytest.approx([64, 64**2, 64**3, *9 * [64**4]], rel=0.03)
    assert scripted.steps == [1 / 2, 1 / 4, 1 / 8, *9 * [1 / 16]]


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


class Median(Layer):
    """The middle one of an odd number, whose gradient is shared among ties by a function."""

    def __init__(self, share):
        self.share = share

    def forward(self, x):
        at = np.argsort(x.real, kind="stable")[len(x) // 2]
        self._cache = x.real, at
        return x[at]

    def backward(self, grad_output, input_grad=True):
        x, at = self._cache
        return grad_output * self.share(np.arange(len(x)) == at, x == x[at])


@pytest.mark.parametrize(
    "share, right",
    [
        (lambda chosen, ties: 1.0 * chosen, True),
        (lambda chosen, ties: ties / ties.sum(), True),
        (lambda chosen, ties: 1.0 * ties, False),
        (lambda chosen, ties: 2.0 * chosen, False),
        (lambda chosen, ties: -1.0 * chosen, False),
        (lambda chosen, ties: 1.01 * chosen, False),
        (lambda chosen, ties: 1.0 * (np.arange(5) == 0), False),
    ],
    ids=["one", "shared", "all", "twice", "sign", "1.01", "another"],
)
def test_where_slopes_agree_on_both_sides_of_a_tie_those_nearby_count(share, right):
    x = np.array([0.0, 2.0, 2.0, 2.0, 5.0])  # to move one of three changes nothing
    if right:
        gradcheck(Median(share), x, here_only=True)
    else:
        rejected(Median(share), x, here_only=True)


def is_between(f, analytic, x=0.0, move=None):
    subject = Subject(Curve(f, np.ones_like), [np.array([x])], np.dtype(float), seeded(), {})
    subject.stand_at(subject.inputs, {})
    subject.upstream = np.ones(1)
    return _is_between_slopes_nearby(subject, Verdict(move or Move("input", (0,), 1.0), analytic, 0.0, 1.0))


@pytest.mark.parametrize(
    "analytic, inside", [(-1, True), (0.3, True), (1, True), (1.00005, True), (1.001, False), (-1.001, False)]
)
def test_nearby_slopes_are_those_on_both_sides(analytic, inside):
    assert is_between(np.abs, analytic) == inside
    assert is_between(lambda x: 1e6 * np.abs(x - 3), 1e6 * analytic, x=3.0) == inside


@pytest.mark.parametrize("rise, kink", [(0.001, False), (0.02, True)])
def test_nearby_slopes_that_differ_by_less_than_a_hundredth_are_no_kink(rise, kink):
    assert is_between(lambda x: x + rise * np.maximum(x, 0), 1 + rise / 2) == kink


def test_nearby_slopes_of_another_branch_that_does_not_meet_this_one_do_not_count():
    assert not is_between(lambda x: np.where(x > 0, 3 * x + 10, x), 2.0)
    assert is_between(lambda x: np.where(x > 0, 3 * x, x), 2.0)


def test_along_a_direction_the_slope_may_be_a_little_farther_from_those_nearby_than_they_are_from_each_other():
    along = Move("input", ..., np.ones(1))
    assert is_between(np.abs, 6.9, move=along) and is_between(np.abs, -6.9, move=along)
    assert not is_between(np.abs, 7.1, move=along) and not is_between(np.abs, -7.1, move=along)
    assert is_between(lambda x: x + 1e-4 * np.maximum(x, 0), 1 + 1e-5, move=along)


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
