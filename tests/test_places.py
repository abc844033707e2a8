"""Where else is checked: what is 0, 1, symmetric or on one side of a kink at the start hides mistakes."""

import numpy as np
import pytest
from small_layers import Curve, Scale, Square

from nnlite import GradcheckError, Layer, Parameter, gradcheck
from nnlite.checking.places import Place, draw, gradients_at, move_parameters, rows_of, usual_slopes
from nnlite.checking.subject import Loss, Subject


def subject_of(layer, *inputs):
    return Subject(layer, list(inputs), np.dtype(float), np.random.default_rng(0), {})


def drawn(x, how, layer=None, n=50):
    subject = subject_of(layer or Curve(np.copy, np.ones_like), np.array(x))
    return np.array([draw(np.array(x), subject, how) for _ in range(n)])


of_a_loss = Loss(lambda x: (np.sum(x), np.ones(x.shape)), [])


@pytest.mark.parametrize(
    "x, low, high",
    [([2.0, 1.0], 1, 2), ([2.0, 2.0], 1, 3), ([-2.0, -2.0], -3, -1), ([0.0, 0.0], -1, 1)],
)
def test_inputs_that_are_alike_are_of_the_same_range_or_around_it(x, low, high):
    others = drawn(x, "alike")
    assert others.shape == (50, 2) and low <= np.min(others) and np.max(others) <= high
    assert np.max(others) - np.min(others) > 0.9 * (high - low)


def test_other_inputs_are_normal_numbers_and_all_rows_but_the_first_may_be_wide():
    narrow = drawn(np.full((2, 3), 1e9), "near", n=500)
    assert narrow.shape == (500, 2, 3) and np.mean(narrow) == pytest.approx(0, abs=0.1)
    assert np.std(narrow) == pytest.approx(1, rel=0.05)
    for how in ("wide", "long"):
        rows = drawn(np.full((2, 3), 1e9), how, n=500)
        assert np.std(rows, axis=(0, 2)) == pytest.approx([1, 6], rel=0.1)


def test_what_is_1_long_is_longer_but_for_the_last_axis():
    assert drawn(np.ones((1, 2, 1, 1)), "long").shape == (50, 3, 2, 3, 1)
    assert drawn(np.ones((1, 2, 1, 1)), "near").shape == (50, 1, 2, 1, 1)


def test_integers_are_drawn_from_their_range_and_one_stands_twice():
    others = drawn([2, 4, 3], "near", n=100)
    assert set(others.ravel()) == {2, 3, 4} and others.dtype == int
    assert (others[:, 0] == others[:, -1]).all() and len({tuple(each) for each in others}) > 3


def test_booleans_stay_booleans():
    assert drawn([True, False], "near").dtype == bool


@pytest.mark.parametrize(
    "x, kept",
    [
        ([0.2, 0.9], True),
        ([0.0, 0.5], True),
        ([0.5, 1.0], True),
        ([0.0, 1.0], False),
        ([0.2, 1.1], False),
        ([-0.1, 0.9], False),
    ],
)
def test_probabilities_of_a_loss_stay_probabilities(x, kept):
    others = drawn(x, "near", of_a_loss)
    assert (others.min() >= 0 and others.max() <= 1) == kept and np.std(others) > 0.2
    assert not (drawn(x, "near").min() >= 0)  # of a layer, they may be anything


def test_probabilities_that_sum_to_1_still_do():
    for x in ([0.2, 0.8], [[0.2, 0.8], [0.5, 0.5]], [[[0.2, 0.8], [0.5, 0.5]]]):
        assert np.allclose(drawn(x, "near", of_a_loss).sum(axis=-1), 1)
    assert not np.allclose(drawn([[0.2, 0.7]], "near", of_a_loss).sum(axis=-1), 1)
    assert 0 <= drawn(0.5, "near", of_a_loss).min()


def test_a_symmetric_matrix_stays_symmetric():
    others = drawn([[1.0, 2.0], [2.0, 1.0]], "near")
    assert np.array_equal(others, others.transpose(0, 2, 1))
    others = drawn([[1.0, 2.0], [3.0, 1.0]], "near")
    assert not np.array_equal(others, others.transpose(0, 2, 1))


def test_a_symmetric_matrix_of_ascending_rows_stays_symmetric():
    others = drawn([[1.0, 2.0], [2.0, 5.0]], "near")
    assert np.array_equal(others, others.transpose(0, 2, 1))


def test_ascending_rows_still_ascend():
    assert (np.diff(drawn([[1.0, 2.0, 5.0], [0.0, 1.0, 2.0]], "near")) > 0).all()
    assert not (np.diff(drawn([[1.0, 2.0, 5.0], [0.0, 1.0, 1.0]], "near")) > 0).all()


def test_rows_of_length_1_still_are():
    assert np.allclose(np.linalg.norm(drawn([[0.6, 0.8], [0.0, 1.0]], "wide"), axis=-1), 1)
    assert not np.allclose(np.linalg.norm(drawn([[0.6, 0.8], [0.0, 2.0]], "near"), axis=-1), 1)
    assert len(np.unique(np.abs(drawn([[1.0], [1.0]], "near")))) > 2


def test_rows_are_taken_of_x_and_of_what_has_as_many():
    x, labels, weights = np.ones((3, 4)), np.array([5, 6, 7]), np.ones(4)
    some = rows_of([x, labels, weights, 2.0, None], slice(1))
    assert some[0].shape == (1, 4) and some[1] == [5] and some[2:] == [weights, 2.0, None]


def test_parameters_move_by_three_tenths_of_themselves_and_three_tenths_more():
    subject = subject_of(Curve(np.copy, np.ones_like), np.ones(1))
    subject.given = [], {"zero": np.zeros(10_000), "four": np.full(10_000, 4.0)}
    moved = move_parameters(subject)
    assert (np.mean(moved["zero"]), np.std(moved["zero"])) == pytest.approx((0, 0.3), abs=0.02)
    assert (np.mean(moved["four"]), np.std(moved["four"])) == pytest.approx((4, np.hypot(1.2, 0.3)), abs=0.05)


class Fussy(Layer):
    """y = x, of which a mark in x makes something else."""

    def forward(self, x):
        self._cache = x[0]
        if x[0] == 1:
            raise ValueError("no such input")
        return x[:0] if x[0] == 2 else x / (x[0] != 3)

    def backward(self, grad_output, input_grad=True):
        if self._cache == 4:
            raise ValueError("no gradient there")
        return {5: grad_output[:1], 6: np.nan * grad_output}.get(self._cache, grad_output)


@pytest.mark.parametrize("mark", [1, 2, 3, 4, 5, 6], ids=["raises", "empty", "inf", "b raises", "b shape", "b nan"])
def test_a_place_where_something_fails_is_left_for_the_next(mark):
    subject = subject_of(Fussy(), np.zeros(2))
    bad, good = [np.array([mark, 1.0])], [np.array([0.0, 7.0])]
    with np.errstate(all="ignore"):
        assert gradients_at(subject, Place("", [(bad, {}), (good, {})])) is not None
        assert subject.inputs[0][1] == 7
        assert gradients_at(subject, Place("", [(bad, {})])) is None


def test_usual_slopes_are_medians_of_three():
    seen = []
    subject = subject_of(Loss(lambda x: seen.append(x.copy()) or (np.sum(x**2), 2 * x), []), np.full(5, 1e6))
    subject.stand_at(subject.inputs, {})
    output = subject.output
    usual = usual_slopes(subject)["input"]
    three = np.unique([np.abs(2 * x) for x in seen if np.max(x) < 100], axis=0)
    assert three.shape == (3, 5) and np.array_equal(usual, np.median(three, axis=0))
    assert subject.inputs[0][0] == 1e6 and subject.output is output


def test_where_nothing_is_usual_the_slopes_are_0():
    def at_1(x):
        if (x != 1).any():
            raise ValueError("of 1 alone")
        return np.sum(x), np.ones(3)

    subject = subject_of(Loss(at_1, []), np.ones(3))
    subject.stand_at(subject.inputs, {})
    assert usual_slopes(subject)["input"].tolist() == [0, 0, 0]


# What is found by it


def test_what_the_parameters_hide_is_found(rng):
    class Affine(Layer):
        """y = scale x + bias, whose backward takes the scale for the 1 that it is at the start."""

        def __init__(self):
            self.scale, self.bias = Parameter(np.ones(4)), Parameter(np.zeros(4))

        def forward(self, x):
            self._cache = x
            return self.scale.data * x + self.bias.data

        def backward(self, grad_output, input_grad=True):
            self.scale.grad += np.sum(grad_output * self._cache, axis=0)
            self.bias.grad += np.sum(grad_output, axis=0)
            return 1 * grad_output

    message = "^right for the x and the parameters given, but with other parameters: Affine: backward does not match"
    with pytest.raises(GradcheckError, match=message):
        gradcheck(Affine(), rng.standard_normal((3, 4)))
    gradcheck(Affine(), rng.standard_normal((3, 4)), here_only=True)


def test_what_x_hides_is_found(rng):
    message = "^right for the x and the parameters given, but at another input: Curve: backward does not match"
    with pytest.raises(GradcheckError, match=message):
        gradcheck(Curve(lambda x: x**2, lambda x: 2 * x * (x > 0)), rng.uniform(1, 2, (3, 4)))


def test_what_one_row_hides_is_found(rng):
    class OneRow(Square):
        def backward(self, grad_output, input_grad=True):
            grad_input = super().backward(grad_output)
            self.bias.grad += grad_output[0] - grad_output.sum(axis=0)
            return grad_input

    with pytest.raises(GradcheckError, match="^right for the x and the parameters given, but at another input: OneRow"):
        gradcheck(OneRow(rng), rng.standard_normal((1, 4)))


def test_what_only_large_numbers_show_is_found(rng):
    hard = Curve(lambda x: np.clip(x.real, -4, 4), lambda x: 1.0 + 0 * x.real)
    with pytest.raises(GradcheckError, match="but at another input: Curve: backward does not match"):
        gradcheck(hard, rng.uniform(-1, 1, (3, 4)))


def test_what_forward_takes_of_the_same_range_alone_is_tried(rng):
    class Ranged(Curve):
        def forward(self, x):
            if np.min(x) < 1 or np.max(x) > 2:
                raise ValueError("out of range")
            return super().forward(x)

    wrong_above = Ranged(lambda x: x**2, lambda x: 2 * x * (x < 1.2))
    with pytest.raises(GradcheckError, match="but at another input: Ranged: backward does not match"):
        gradcheck(wrong_above, np.array([1.0, 1.1, 1.15, 2]), expected={"input": lambda x: np.where(x < 2, x, 0) ** 2})


def test_where_forward_fails_nothing_is_concluded(rng):
    class Picky(Scale):
        def forward(self, x):
            if np.max(np.abs(x)) > 2:
                raise ValueError("out of range")
            return super().forward(x)

    report = gradcheck(Picky(np.arange(1.0, 5.0)), rng.uniform(1, 1.5, (3, 4)))
    assert report.remarks[-1].startswith("note: checked also with other parameters, at another input")


def test_where_nothing_else_goes_that_is_not_claimed():
    x = np.array([[1.0, 2.0]])

    class Particular(Curve):
        def forward(self, given):
            if not np.allclose(given, x, atol=0.05, rtol=0):
                raise ValueError("not this one")
            return super().forward(given)

    assert gradcheck(Particular(np.exp, np.exp), x).remarks == []


def test_of_one_row_more_are_made_too():
    class Seen:  # not the layer's, which is put back with all that it holds
        shapes = set()

    class Recorder(Curve):
        def forward(self, x):
            Seen.shapes.add(x.shape)
            return super().forward(x)

    gradcheck(Recorder(np.exp, np.exp), np.ones((1, 2)))
    assert Seen.shapes == {(1, 2), (3, 2)}
