"""Slopes, measured from forward alone in three ways."""

import numpy as np
import pytest
from small_layers import Curve

from nnlite import GradcheckError, Layer, gradcheck
from nnlite.checking.slopes import NotAnalytic, _best, by_central_differences, by_complex_step, carefully
from nnlite.checking.subject import Move, Subject

EPS = np.finfo(float).eps


def subject_of(f, x, upstream=1.0):
    """A Subject that stands at x, of a layer y = f(x)."""
    subject = Subject(Curve(f, np.ones_like), [np.array(x, float)], np.dtype(float), np.random.default_rng(0), {})
    subject.stand_at(subject.inputs, {})
    subject.upstream = upstream * np.ones(subject.output.shape)
    return subject


def first_entry(delta=1.0):
    return Move("input", (0,), delta)


def careful(f, x, delta=1.0):
    with np.errstate(all="ignore"):
        return carefully(subject_of(f, [x]), first_entry(delta))


# By complex step


def test_a_complex_step_is_exact_to_rounding():
    (slope,) = by_complex_step(subject_of(np.exp, [1.0]), [first_entry()], 1e-30)
    assert slope.value == pytest.approx(np.e, rel=2 * EPS)


@pytest.mark.parametrize("measured", [by_complex_step, by_central_differences])
def test_the_share_is_what_does_not_cancel(measured):
    subject = subject_of(lambda x: np.array([3, -1]) * x[0], [1.0])
    subject.upstream = np.array([1.0, 2.0])
    (slope,) = measured(subject, [first_entry(2.0)], 1e-3)
    assert slope == pytest.approx((2 * (3 - 2), 2 * (3 + 2)))


@pytest.mark.parametrize("measured", [by_complex_step, by_central_differences])
def test_each_move_is_measured_from_the_same_place(measured):
    subject = subject_of(lambda x: np.sum(x**2), [1.0, 2.0])
    moves = [first_entry(), Move("input", (1,), 1.0), Move("input", ..., np.array([1.0, -1.0]))]
    assert [slope.value for slope in measured(subject, moves, 1e-4)] == pytest.approx([2, 4, -2])
    assert subject.inputs[0].tolist() == [1, 2] and subject.inputs[0].dtype == float


def refuses(x):
    if np.iscomplexobj(x):
        raise OverflowError("too much")
    return x


@pytest.mark.parametrize(
    "f, reason",
    [
        (np.abs, "returns real numbers for complex ones"),
        (refuses, "does not take complex numbers (OverflowError: too much)"),
        (
            lambda x: x.astype(float),
            "does not take complex numbers (ComplexWarning: Casting complex values to real disc",
        ),
        (lambda x: np.where(x == 1, np.nan, x) if np.iscomplexobj(x) else x, "gives (nan"),
    ],
    ids=["real", "raises", "cast", "nan"],
)
def test_a_complex_step_that_is_lost_is_named(f, reason):
    subject = subject_of(f, [1.0, 2.0])
    with pytest.raises(NotAnalytic) as raised:
        by_complex_step(subject, [Move("input", (1,), 1.0)], 1e-30)
    assert str(raised.value).startswith(reason)
    assert subject.inputs[0].dtype == float


# By central differences


@pytest.mark.parametrize("x", [1.0, 1.5, 3.0])
def test_a_step_may_be_given_and_is_scaled_with_what_it_moves(x):
    power = Curve(lambda x: x**5, lambda x: 5 * x**4)
    report = gradcheck(power, np.array([x]), method="central", step=0.1, tolerance=1)
    h = 0.1 * x  # D(h) = 5 x^4 + 10 x^2 h^2 + h^4, so (4 D(h/2) - D(h)) / 3 = 5 x^4 - h^4 / 4
    assert report.rows[0].relative_error == pytest.approx(h**4 / 4 / (5 * x**4 - h**4 / 4), rel=1e-6)


def test_a_step_that_is_given_is_that_of_complex_steps_too():
    cube = Curve(lambda x: x**3, lambda x: 3 * x**2)
    report = gradcheck(cube, np.array([1.0]), method="complex", step=1e-4, tolerance=1, here_only=True)
    assert report.rows[0].relative_error == pytest.approx(1e-8 / 3, rel=1e-6)  # Im (x + ih)^3 / h = 3 x^2 - h^2


class Seen:
    """Kept away from the layer, which is put back with all that it holds."""

    inputs = []


class Recorder(Layer):
    """y = f(x), which keeps every x that it was given."""

    def __init__(self, f=np.copy, slope=np.ones_like):
        self.f, self.slope = f, slope
        Seen.inputs.clear()

    def forward(self, x):
        Seen.inputs.append(x.copy())
        self._cache = self.slope(x)
        return self.f(x)

    def backward(self, grad_output, input_grad=True):
        return self._cache * grad_output


@pytest.mark.parametrize("dtype, h", [(np.float64, 6.055454452393343e-06), (np.float32, 0.004921566601151848)])
def test_central_differences_step_by_the_cube_root_of_the_rounding(dtype, h):
    gradcheck(Recorder(), np.array([0.25, 0.5]), method="central", dtype=dtype, here_only=True)
    others = np.sqrt((0.25**2 + 0.5**2) / 2)  # an entry moves in proportion to the others where these are larger
    moved = [seen[0] - 0.25 for seen in Seen.inputs if seen[1] == 0.5]
    assert max(moved) == pytest.approx(h * others, rel=1e-4)
    assert {seen.dtype for seen in Seen.inputs} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    "f, slope, x",
    [
        (np.log, lambda x: 1 / x, 1e-8),
        (np.sqrt, lambda x: 0.5 / np.sqrt(x), 1e-8),
        (np.sin, np.cos, 1e8),
        (lambda x: x**2, lambda x: 2 * x, 1e-160),
        (lambda x: x**2, lambda x: 2 * x, np.array([1e8, 1, 1e-8])),
        (lambda x: np.tanh(x) + 1e10, lambda x: 1 - np.tanh(x) ** 2, 0.3),
        (lambda x: x**3, lambda x: 3 * x**2, 0.0),
    ],
    ids=["log", "sqrt", "sine", "tiny", "each its own", "constant", "cube at 0"],
)
@pytest.mark.parametrize("factor", [1, 1.5])
def test_steps_are_relative_to_each_entry(f, slope, x, factor):
    x = x * np.array([1, 1.5, 0.75])
    layer = Curve(f, lambda x: factor * slope(x))
    if factor == 1 or not slope(x).any():
        gradcheck(layer, x, method="central", here_only=True)
    else:
        with pytest.raises(GradcheckError, match="WRONG"):
            gradcheck(layer, x, method="central", here_only=True)


# Carefully


@pytest.mark.parametrize(
    "f, x, slope",
    [
        (np.exp, 1.0, np.e),
        (np.sin, 1e8, np.cos(1e8)),
        (np.log, 1e-8, 1e8),
        (np.sqrt, 1e-8, 0.5e4),
        (lambda x: 1e10 + np.tanh(x), 0.5, 1 - np.tanh(0.5) ** 2),
        (lambda x: x**3, 0.0, 0.0),
        (lambda x: 1e160 * np.tanh(x), 0.5, 1e160 * (1 - np.tanh(0.5) ** 2)),
        (lambda x: np.sin(1000 * x), 0.1, 1000 * np.cos(100)),
        (lambda x: np.maximum(x, 0.5), 0.5 + 1e-6, 1.0),
        (lambda x: np.round(np.exp(x), 9), 1.0, np.e),
    ],
    ids=["exp", "sin", "log", "sqrt", "offset", "cube", "huge", "fast", "near a kink", "rounded"],
)
def test_a_careful_slope_knows_its_error(f, x, slope):
    found = careful(f, x)
    assert abs(found.value - slope) <= 2 * found.error
    assert found.error <= 1e-6 * max(abs(slope), 1, 1e-7 * abs(f(x))) and not found.is_kink


def test_a_careful_slope_is_exact_for_what_is_linear():
    found = careful(lambda x: 3 * x, 1.0)
    assert found.value == pytest.approx(3, rel=1e-14) and found.error < 1e-12
    assert (found.share, found.size) == pytest.approx((3, 3))


def best(estimates, share=1.0, rounding=1e-9):
    """(value, error, at) for estimates of one slope, each of a smaller step."""
    number = len(estimates)
    return _best(np.array(estimates, float), np.full(number, rounding), share * np.ones(number + 1))


def test_the_estimate_that_differs_least_from_its_neighbours_is_taken_and_its_error_is_that_difference():
    found = best([9, 5, 3, 2.5, 2.4, 2.41, 2.43, 2.6, 4], share=100)
    assert found == pytest.approx((2.4, 2.5 - 2.4, 4))
    assert best([5, 4, 3.5, 3.1, 3.1, 3.1, 3.1, 9, 20], rounding=0.5, share=100) == (3.1, 0.5, 4)


def test_estimates_beyond_a_domain_do_not_count():
    assert best([np.nan, np.nan, 2, 2, 2, 2, 2, 2.1, 2.2]) == (2, 1e-9, 4)
    value, error, _ = best(9 * [np.nan])
    assert np.isnan(value) and error == np.inf


def test_steps_at_which_nothing_moves_do_not_count():
    share = np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0])
    assert best([2, 2.01, 2, 2.01, 2.01, 0, 0, 0, 0, 0], share)[0] == pytest.approx(2, abs=0.02)
    assert best(9 * [0], 0) == (0, 1e-9, 1)


@pytest.mark.parametrize("growth, settled", [(1.0, True), (1.9, True), (2.1, False), (4.0, False)])
def test_where_the_share_doubles_from_step_to_step_nothing_is_settled(growth, settled):
    estimates = [7.0, 7, 7, 7, 7, 7.001, 7.001, 7.001, 7.001]  # the last ones, which agree as well, would be preferred
    assert (best(estimates, growth ** np.arange(10))[2] == 6) == settled


@pytest.mark.parametrize("share, settled", [(1e-6, True), (1.1e-7, True), (0.9e-7, False)])
def test_a_slope_as_small_as_a_hundred_errors_is_not_settled(share, settled):
    assert (best(9 * [2.0], share)[2] == 6) == settled


def test_small_steps_that_agree_count_more_than_large_ones_that_agree_on_something_else():
    assert best([*6 * [7], *6 * [3]])[0] == 3  # of a fast sine, large steps see a mean


def test_two_small_steps_may_agree_by_chance():
    assert best([*6 * [7], *5 * [3]])[0] == best([*6 * [7], *4 * [3]])[0] == 7


def test_an_entry_that_is_moved_by_another_size_has_the_slope_along_that():
    assert careful(np.exp, 1.0, delta=1e-3).value == pytest.approx(1e-3 * np.e, rel=1e-9)
    assert careful(np.exp, 1e-3, delta=10.0).value == pytest.approx(10 * np.exp(1e-3), rel=1e-9)


def test_a_careful_slope_along_a_direction():
    subject = subject_of(lambda x: np.sum(x**2), [1.0, 2.0])
    found = carefully(subject, Move("input", ..., np.array([1.0, 0.5])))
    assert found.value == pytest.approx(4, rel=1e-10) and not found.is_kink


@pytest.mark.parametrize(
    "f, x, left, right",
    [
        (np.abs, 0.0, -1, 1),
        (lambda x: np.maximum(x, 0), 0.0, 0, 1),
        (lambda x: -np.abs(x - 2), 2.0, -1, 1),
        (lambda x: np.exp(x) + 1e-3 * np.abs(x), 0.0, 1 - 1e-3, 1 + 1e-3),
        (lambda x: np.abs(x - 1e5), 1e5, -1, 1),
        (lambda x: np.where(x > 1e-8, 3 * x, x), 1e-8, 1, np.inf),
    ],
    ids=["abs", "relu", "down", "small", "large", "jump"],
)
def test_at_a_kink_the_slopes_on_both_sides_are_told(f, x, left, right):
    found = careful(f, x)
    assert found.is_kink
    if right < np.inf:
        assert found.sides == pytest.approx((left, right), abs=1e-6)
        assert found.sides[0] <= left and right <= found.sides[1]


@pytest.mark.parametrize("factor", [1.0, 1e8, 1e-8])
@pytest.mark.parametrize("f", [lambda x: 1.0 * (x > 0), lambda x: 1.0 * (x >= 0), np.sign], ids=[">", ">=", "sign"])
def test_at_a_jump_any_slope_is_allowed(f, factor):
    found = careful(lambda x: factor * f(x) + x, 0.0)
    assert found.is_kink and found.sides == (-np.inf, np.inf)


def ends(x):
    if (x < 0).any():
        raise ValueError("beyond the domain")
    return 2 * x


@pytest.mark.parametrize("f", [ends, lambda x: 2 * x + 0 * np.sqrt(x), lambda x: 2 * x[x >= 0]])
def test_where_forward_ends_there_is_the_slope_of_one_side(f):
    found = careful(f, 0.0)
    assert found.is_kink and found.sides == pytest.approx((2, 2), abs=2e-6)


def test_where_forward_is_at_no_other_place_any_slope_is_allowed():
    found = careful(lambda x: np.where(x == 1, x, np.nan), 1.0)
    assert found.is_kink and found.sides == (-np.inf, np.inf)


def test_the_size_is_that_of_outputs_which_can_change():
    subject = subject_of(lambda x: np.array([x[0], 1e10, -3 * x[0]]), [2.0])
    assert carefully(subject, first_entry()).size == pytest.approx(2 + 6)
    subject = subject_of(lambda x: np.array([5.0, 7.0]) + 0 * x[0], [2.0])
    assert carefully(subject, first_entry()).size == pytest.approx(12)


def test_of_what_does_not_react_the_slope_is_0():
    found = careful(lambda x: 0 * x + 3, 1.0)
    assert (found.value, found.share, found.is_kink) == (0, 0, False)
