"""What can be checked: layers and losses, of one input or several, of integers, of any memory order."""

import numpy as np
import pytest
from small_layers import Curve, Product, Scale

from nnlite import GradcheckError, Layer, Parameter, Tanh, gradcheck, mse_loss
from nnlite.checking.subject import Move, Subject, direction, entries


@pytest.fixture
def x(rng):
    return rng.standard_normal((3, 4))


class Embedding(Layer):
    """Rows of E, by integers."""

    def __init__(self, rng, factor=1):
        self.E, self.factor = Parameter(rng.standard_normal((5, 3))), factor

    def forward(self, tokens):
        self._cache = tokens
        return self.E.data[tokens]

    def backward(self, grad_output, input_grad=True):
        np.add.at(self.E.grad, self._cache, self.factor * grad_output)


def subject_of(*inputs, layer=None):
    return Subject(layer or Tanh(), list(inputs), np.dtype(float), np.random.default_rng(0), {})


# Moves


def test_an_entry_is_moved_in_proportion_to_itself_or_to_the_others_if_these_are_larger():
    root_mean_square = np.sqrt((3**2 + 4**2 + 0 + 1) / 4)
    sizes = subject_of(np.array([-3.0, 4.0, 0.0, 1.0])).size("input")
    assert sizes == pytest.approx([3, 4, root_mean_square, root_mean_square])


def test_zeros_are_moved_by_1_and_of_nothing_there_is_no_size():
    assert subject_of(np.zeros((2, 1))).size("input").tolist() == [[1], [1]]
    assert subject_of(np.zeros((0, 2))).size("input").shape == (0, 2)


def test_a_direction_moves_each_entry_at_random_or_those_of_a_row_nearly_alike():
    subject = subject_of(np.full((2, 1000), 4.0))
    at_random, even = (direction(subject, "input", even=even).delta for even in (False, True))
    assert np.max(np.abs(at_random)) < 4 < 1.01 * np.max(np.abs(at_random)) and abs(np.mean(at_random)) < 0.2
    assert (np.std(even, axis=1) < 0.02 * np.abs(np.mean(even, axis=1))).all() and np.std(even) > 0.1


def test_entries_are_moved_one_by_one_all_of_500_and_5_of_more():
    moves = entries(subject_of(2 * np.ones((25, 20))), "input")
    assert [move.index for move in moves] == [(row, column) for row in range(25) for column in range(20)]
    assert all(move.is_entry and move.delta == 2 for move in moves)
    some = [move.index for move in entries(subject_of(np.ones((3, 167))), "input")]
    assert len(set(some)) == 5 and some == sorted(some) and all(type(i) is int for index in some for i in index)


def test_a_move_is_undone_even_after_an_error():
    x = np.array([1.0, 2.0])

    def fails(x):
        if x[1] > 2:
            raise ValueError("beyond")
        return x

    subject = subject_of(x, layer=Curve(fails, np.ones_like))
    y = subject.along(Move("input", (1,), 0.5))
    assert y(-1).tolist() == [1, 1.5] and subject.inputs[0].tolist() == [1, 2]
    with pytest.raises(ValueError):
        y(1)
    assert subject.inputs[0].tolist() == [1, 2]


def test_where_forward_does_not_go_there_is_nan():
    def cut(x):
        if x[0] > 10:
            raise ValueError("beyond")
        return x[x <= 2]

    subject = subject_of(np.array([1.0, 2.0]), layer=Curve(cut, np.ones_like))
    subject.stand_at(subject.inputs, {})
    y = subject.along_or_nan(Move("input", (0,), 1.0))
    assert y(0.5).tolist() == [1.5, 2]
    assert np.isnan(y(5)).tolist() == np.isnan(y(50)).tolist() == [True, True]


# Inputs


def test_integers_have_no_gradient(rng):
    tokens = rng.integers(0, 5, (2, 4))
    assert [row.name for row in gradcheck(Embedding(rng), tokens).rows] == ["E"]
    with pytest.raises(GradcheckError, match="E: is 2 times the right one"):
        gradcheck(Embedding(rng, factor=2), tokens)


def test_a_token_that_stands_twice_is_tried(rng):
    class OnceEach(Embedding):
        def backward(self, grad_output, input_grad=True):
            self.E.grad[self._cache] += grad_output  # which adds once for each token

    with pytest.raises(GradcheckError, match="but at another input"):
        gradcheck(OnceEach(rng), np.array([0, 3, 1]))


def test_other_inputs_are_passed_on_as_they_are(x):
    class Seen:  # not the loss's, which is put back with all that it holds
        others = set()

    def loss(prediction, target, mask, name):
        Seen.others.add((str(target.dtype), str(mask.dtype), name))
        return mse_loss(prediction * mask, target * mask)[0], mask * mse_loss(prediction * mask, target * mask)[1]

    gradcheck(loss, x, np.arange(12).reshape(3, 4), x > 0, "name")
    assert Seen.others == {("int64", "bool", "name")}


def test_other_inputs_without_a_gradient_stay_as_they_are(x):
    class Seen:
        targets = set()

    def loss(prediction, target):
        Seen.targets |= set(target.ravel().tolist())
        return mse_loss(prediction, target)

    target = x + 1
    gradcheck(loss, x, target)
    assert Seen.targets == set(target.ravel().tolist())


def test_of_several_real_inputs_each_has_its_row_and_the_wrong_one_is_named(x):
    class Wrong(Product):
        def backward(self, grad_output, input_grad=True):
            grad_a, grad_b = super().backward(grad_output)
            return grad_a, 1.7 * grad_b

    with pytest.raises(GradcheckError) as raised:
        gradcheck(Wrong(), x, x + 1)
    assert [(row.name, bool(row.relative_error > 0.1)) for row in raised.value.report.rows] == [
        ("input", False),
        ("others[0]", True),
    ]


class Selected(Layer):
    """y = a[tokens] b."""

    def __init__(self, gradients):
        self.gradients = gradients

    def forward(self, a, tokens, b):
        self._cache = a, tokens, b
        return a[:, tokens] * b

    def backward(self, grad_output, input_grad=True):
        a, tokens, b = self._cache
        grad_a = np.zeros(a.shape)
        np.add.at(grad_a, (slice(None), tokens), grad_output * b)
        return self.gradients(grad_a, grad_output * a[:, tokens])


@pytest.mark.parametrize(
    "gradients, names",
    [
        (lambda a, b: (a, b), ["input", "others[1]"]),
        (lambda a, b: (a, None, b), ["input", "others[1]"]),
        (lambda a, b: [a, b], ["input", "others[1]"]),
        (lambda a, b: (a, None, None), ["input"]),
        (lambda a, b: (a,), ["input"]),
        (lambda a, b: a, ["input"]),
    ],
    ids=["real ones", "all", "list", "None", "first", "no tuple"],
)
def test_gradients_are_of_the_real_inputs_in_their_order(x, gradients, names):
    report = gradcheck(Selected(gradients), x, np.array([0, 2, 2]), x[:, :3] + 1)
    assert [row.name for row in report.rows] == names


def test_a_loss_may_return_gradients_of_several_inputs(x):
    def distance(a, b):
        return np.sum((a - b) ** 2), (2 * (a - b), 2 * (b - a))

    assert [row.name for row in gradcheck(distance, x, x + 1).rows] == ["input", "others[0]"]


def test_a_number_is_an_input_of_no_dimension():
    report = gradcheck(Tanh(), np.array(0.5))
    assert (report.rows[0].index, report.rows[0].checked) == ((), "1 of 1")


def test_a_parameter_may_be_one_number(rng):
    class Slope(Layer):
        def __init__(self):
            self.a = Parameter(0.1)

        def forward(self, x):
            self._cache = x
            return self.a.data * x

        def backward(self, grad_output, input_grad=True):
            self.a.grad = self.a.grad + np.sum(grad_output * self._cache)
            return grad_output * self.a.data

    assert gradcheck(Slope(), rng.standard_normal((3, 4))).rows[1].index == ()


def test_booleans_have_no_gradient():
    layer = Scale(np.arange(1.0, 5.0))
    layer.backward = lambda grad_output: Scale.backward(layer, grad_output)
    report = gradcheck(layer, np.array([[True, False, True, True]]))
    assert [row.name for row in report.rows] == ["w"]


def test_x_may_be_in_fortran_order(x):
    class Seen:
        is_fortran = []

    class Ordered(Scale):
        def forward(self, x):
            Seen.is_fortran.append(x.flags.f_contiguous)
            return super().forward(x)

    gradcheck(Ordered(np.arange(1.0, 5.0)), np.asfortranarray(x), here_only=True)
    assert np.mean(Seen.is_fortran) > 0.8  # those drawn at random are not


def test_a_forward_that_keeps_x_and_one_that_writes_to_its_copy_see_no_later_steps(x):
    class Halving(Layer):
        def forward(self, x):
            self._cache = x
            return x**2

        def backward(self, grad_output, input_grad=True):
            return 2 * grad_output * self._cache

    gradcheck(Halving(), x)


def test_a_loss_that_returns_a_plain_number_is_a_loss_too():
    gradcheck(lambda x: (float(np.sum(x.real**2)), 2 * x), np.ones(3))
    gradcheck(lambda x: (0, np.zeros(3)), np.ones(3), here_only=True)


def test_a_loss_of_integers_is_no_integer(rng):
    E = Parameter(rng.standard_normal(5))

    def loss(tokens):
        np.add.at(E.grad, tokens, E.data[tokens].real)
        return 0.5 * np.sum(E.data[tokens] ** 2), np.zeros(3)

    assert [row.name for row in gradcheck(loss, np.array([0, 3, 1])).rows] == ["E"]


def test_a_loss_in_float32_is_of_float32():
    gradcheck(lambda x: (np.sum(x), np.ones(x.shape, np.float32)), np.ones(3), dtype=np.float32, here_only=True)


def test_the_value_of_a_loss_is_what_its_rows_are_of():
    report = gradcheck(lambda x: (np.sum(3 * x), np.full(x.shape, 3.0)), np.ones(2))
    assert report.rows[0].analytic == report.rows[0].numeric == pytest.approx(3)


@pytest.mark.parametrize(
    "returned, shown",
    [
        (1.0, "float"),
        ((np.ones(2), np.ones(2)), "[(2,), (2,)]"),
        ((1.0, 1.0, np.ones(2)), "[(), (), (2,)]"),
        ([1.0, np.ones(2)], "list"),
    ],
    ids=["number", "array", "three", "list"],
)
def test_a_loss_that_does_not_return_a_number_and_its_gradient_is_refused(returned, shown):
    with pytest.raises(TypeError) as raised:
        gradcheck(lambda prediction: returned, np.ones(2))
    assert str(raised.value) == f"gradcheck: the loss returned {shown}, wanted (value, grad), a number and an array"


def test_a_loss_that_runs_layers_backward_is_checked_with_their_parameters(rng, x):
    head = Scale(np.arange(1.0, 5.0))

    def loss(prediction, factor=1):
        y = head(prediction)
        return np.sum(y * y), head.backward(2 * y.real)

    assert [row.name for row in gradcheck(loss, x).rows] == ["input", "head.w"]
    head.w.grad[...] = 5
    gradcheck(loss, x)
    assert (head.w.grad == 5).all()
