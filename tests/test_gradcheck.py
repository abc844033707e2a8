"""The checker: it rejects what is wrong and says where, accepts what is right, and takes what people give it.

Its parts have tests of their own: test_subject.py, test_slopes.py, test_verdict.py, test_behaviour.py, test_places.py,
test_held.py and test_hints.py. What students write is in test_student_layers.py.
"""

from fnmatch import fnmatchcase

import numpy as np
import pytest
from small_layers import RIGHT, Curve, LayerNorm, Product, Scale, Square, linear

from autoencoders import VAE, FCNAutoencoder
from autoencoders.vae import VAELoss
from demos.planted_bugs import BUGS, FEATURES, N
from nnlite import GradcheckError, Layer, Linear, Parameter, ReLU, Sequential, Tanh, gradcheck, mse_loss, use_backend

both_methods = pytest.mark.parametrize("method", ["complex", "central"])
each_method = pytest.mark.parametrize("method", ["complex", "central", None])

TOGETHER = "hint: each layer is right by itself: look at how they are put together"
NAMED = {  # the line by which gradcheck shows that it recognises a planted bug, with * for anything
    "WrongSign": "hint: input: is -1 times the right one: the sign",
    "TransposedWeight": "hint: input: would be right with weight transposed",
    "InputForUpstream": "hint: input: does not depend on grad_output: multiply by it",
    "FactorTwo": "hint: weight: is 2 times the right one: perhaps the 2 of a square's derivative",
    "TransposedGradient": "hint: weight: is transposed",
    "TransposedShape": "*: weight.grad has shape (4, 2), wanted (2, 4): is it transposed?",
    "Overwritten": "hint: weight: is overwritten: write += instead of =, for gradients add up",
    "MeanOverBatch": "hint: bias: is 0.333333 times the right one: perhaps 1 / the batch size",
    "FirstRowOnly": "hint: bias: does not depend on the last row of grad_output: sum over the *",
    "NotSummed": "*: bias.grad has shape (3, 4), wanted (4,): sum it over the batch",
    "ForgottenBias": "hint: bias: is 0 everywhere: is it computed, and added with +=?",
    "OneEntry": "hint: bias: is wrong at 1 of 4 entries alone: *",
    "Squeezed": "right for a batch of 3, but for a batch of 1: Linear: the output has shape (4,), wanted 2 dimensions",
    "SlopeAtOutput": "hint: input: is the derivative at the output of forward: *",
    "SlopeOfInput": "hint: input: would be right if x were the output: *",
    "EarlierForward": "hint: input: is the derivative at the input of an earlier *",
    "DroppedUpstream": "hint: input: does not depend on grad_output: *",
    "CacheChanged": "hint: input: is right at first, but not in a second backward, *",
    "Float32Inside": "*: the gradient of the input is float32, wanted float64",
    "MaskOfUpstream": "hint: input: does not turn round with grad_output: *",
    "WritesToUpstream": "*: backward writes to grad_output, *",
    "WritesToInput": "*: forward writes to x, which is not its own",
    "SumForMean": "hint: input: is 12 times the right one: perhaps the size of x",
    "HalfForgotten": "hint: input: is 0.5 times *: perhaps 1 / the 2 of a square's derivative",
    "RowSizeTwice": "hint: input: is 0.25 times *: perhaps 1 / the size of a row of x",
    "ConstantForgotten": "hint: input: is off by the constant *: a constant *",
    "NoiseSlope": TOGETHER,
    "BetaUnused": TOGETHER,
    "BranchOverwritten": TOGETHER,
    "TargetForgotten": TOGETHER,
}


@each_method
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_rejected_and_named(rng, name, method):
    with BUGS[name].planted(), pytest.raises(GradcheckError) as raised:
        gradcheck(BUGS[name].build(rng), rng.standard_normal((N, FEATURES)), method=method)
    assert any(fnmatchcase(line, NAMED[name].replace("[", "[[]")) for line in str(raised.value).splitlines())


def test_after_the_block_the_planted_bug_is_gone(rng):
    with BUGS["WrongSign"].planted():
        pass
    gradcheck(linear(rng), rng.standard_normal((N, FEATURES)))


@pytest.mark.parametrize("right, found", [("self.bias.grad -= 1", 0), ("input_grad", 2)])
def test_a_bug_wants_the_right_line_to_stand_in_the_real_source_once(right, found):
    bug = BUGS["WrongSign"]._replace(right=right)
    with pytest.raises(LookupError) as raised, bug.planted():
        pass
    assert str(raised.value) == f"planted bugs: found {right!r} {found} times in Linear.backward, wanted it once"


@both_methods
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_accepted(rng, name, method):
    gradcheck(RIGHT[name](rng), rng.standard_normal((N, FEATURES)), method=method, rng=rng)


@pytest.mark.slow
@pytest.mark.no_cover  # which takes as long again, and has seen each of these lines in the test before
@both_methods
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_accepted_for_20_seeds(name, method):
    with use_backend("numpy"):
        for seed in range(20):
            rng = np.random.default_rng(seed)
            gradcheck(RIGHT[name](rng), rng.standard_normal((N, FEATURES)), method=method, rng=rng)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["FCNAutoencoder", "VAE"])
def test_the_gradients_of_the_full_size_models_are_right(rng, name):
    x, f64 = rng.uniform(-1, 1, (1, 12288)), {"rng": rng, "dtype": np.float64}
    model = FCNAutoencoder(**f64) if name == "FCNAutoencoder" else VAELoss(VAE(**f64), rng.standard_normal((1, 24)))
    assert max(row.relative_error for row in gradcheck(model, x).rows) < 1e-12


def test_a_large_model_is_right_by_central_differences(rng):
    model = Sequential(linear(rng, 400, 60), ReLU(), linear(rng, 60, 30), Tanh())
    gradcheck(model, rng.standard_normal((5, 400)), method="central")


# The report


def test_the_report_has_a_row_for_the_input_and_each_parameter(rng):
    report = gradcheck(Sequential(linear(rng, 3, 2), Tanh()), rng.standard_normal((4, 3)))
    assert [(row.layer, row.name, row.checked) for row in report.rows] == [
        ("Sequential", "input", "12 of 12"),
        ("Linear", "0.weight", "6 of 6"),
        ("Linear", "0.bias", "2 of 2"),
    ]
    assert all(row.relative_error <= report.tolerance and np.isclose(row.analytic, row.numeric) for row in report.rows)


def test_the_report_of_what_is_right_prints_as_a_table_with_the_remarks_under_it():
    report = gradcheck(Curve(np.exp, np.exp), np.zeros((1, 1)), here_only=True, method="central")
    (row,) = report.rows
    assert (report.tolerance, report.remarks, report.hints) == (1e-7, [], [])
    number, error = f"{row.analytic:.8e}", f"{row.relative_error:.1e}"
    assert f"{row.numeric:.8e}" == number and abs(row.analytic) == pytest.approx(row.scale)
    assert str(report._replace(remarks=["note: that"])).splitlines() == [
        f"layer  array  checked  error    relative to  worst index  {'analytic':{len(number)}}  numeric",
        f"Curve  input  1 of 1   {error}  {row.scale:.1e}      (0, 0)       {number}  {number}",
        "note: that",
    ]


def test_the_report_of_what_is_wrong_prints_as_a_table_with_the_hints_under_it():
    double = Curve(lambda x: x.copy(), lambda x: np.full(x.shape, 2.0))
    with pytest.raises(GradcheckError) as raised:
        gradcheck(double, np.ones((1, 1)))
    (row,) = raised.value.report.rows
    u = row.numeric
    assert (row.analytic, row.scale, row.relative_error) == (2 * u, abs(u), 1)
    numbers = f"{2 * u:.8e}", f"{u:.8e}"
    assert str(raised.value).splitlines() == [
        "Curve: backward does not match forward",
        f"layer  array  checked  error    relative to  worst index  {'analytic':{len(numbers[0])}}  numeric",
        f"Curve  input  1 of 1   1.0e+00  {abs(u):.1e}      (0, 0)       {'  '.join(numbers)}  WRONG",
        "hint: input: is 2 times the right one: perhaps the 2 of a square's derivative",
    ]


def test_numbers_are_of_one_entry_not_of_a_step_in_proportion_to_it():
    with pytest.raises(GradcheckError) as raised:
        gradcheck(lambda x: (3 * np.sum(x), 6 * np.ones(x.shape)), np.array([7.0, 5.0]))
    (row,) = raised.value.report.rows
    assert (row.analytic, row.numeric, row.scale) == pytest.approx((6, 3, 3))


def test_the_worst_entry_is_named(rng):
    class OneEntry(Square):
        def backward(self, grad_output, input_grad=True):
            grad_input = super().backward(grad_output)
            grad_input[-1, 1] = 0
            return grad_input

    with pytest.raises(GradcheckError, match=r"input .*\(2, 1\)"):
        gradcheck(OneEntry(rng), rng.standard_normal((3, 4)))


def test_a_large_array_is_checked_at_5_entries_and_along_directions(rng):
    assert gradcheck(linear(rng, 25, 20), rng.standard_normal((2, 25))).rows[1].checked == "500 of 500"
    report = gradcheck(linear(rng, 30, 20), rng.standard_normal((2, 30)))
    assert [(row.name, row.checked) for row in report.rows] == [
        ("input", "60 of 60"),
        ("weight", "5 of 600 and all together"),
        ("bias", "20 of 20"),
    ]


@both_methods
def test_wrong_entries_of_a_large_array_are_found_along_its_own_direction(rng, method):
    class TwoOf600(Linear):
        def backward(self, grad_output, input_grad=True):
            self.weight.grad[7, [11, 12]] += 1e-3, -1e-3
            return super().backward(grad_output)

    layer = TwoOf600(30, 20, rng=rng, dtype=np.float64)
    with pytest.raises(GradcheckError) as raised:
        gradcheck(layer, rng.standard_normal((2, 30)), method=method)
    *table, hint = str(raised.value).splitlines()[2:]
    assert [(line.split()[1], line.split()[-1] == "WRONG") for line in table] == [
        ("input", False),
        ("weight", True),
        ("bias", False),
    ]
    assert [row.index for row in raised.value.report.rows][1] is None and "a direction" in table[1]
    assert (
        hint == "hint: weight: an entry that was not checked is wrong: check a smaller layer, of which every entry is"
    )


def test_a_gradient_where_there_is_none_is_wrong_however_small_it_is():
    with pytest.raises(GradcheckError, match=r"input  2 of 2   1.0e\+00  0.0e\+00 .* 0.00000000e\+00  WRONG"):
        gradcheck(lambda x: (3.0, np.full(x.shape, 1e-9)), np.ones((1, 2)))


def test_a_forward_that_is_not_analytic_is_noticed_and_said_to_be_so(rng):
    report = gradcheck(LayerNorm(by_var=True), rng.standard_normal((3, 4)))
    assert report.remarks == [
        "note: measured by central differences: forward is not analytic in input here, as with np.var, np.abs, "
        "np.linalg.norm",
        "note: checked also at another input, for a batch of 1",
    ]
    assert report.tolerance == 1e-7


@pytest.mark.parametrize(
    "forward, reason",
    [
        (lambda x: x - x.var(axis=1), "is not analytic in input here, as with np.var, np.abs, np.linalg.norm"),
        (np.abs, "returns real numbers for complex ones"),
        (lambda x: np.logaddexp(x, 0), "does not take complex numbers (TypeError: ufunc 'logaddexp' not supported"),
        (lambda x: 1 / (1 + np.exp(800 + x)), "gives (nan+nanj) for complex numbers"),
        (lambda x: np.array(x, float), "does not take complex numbers (ComplexWarning: Casting complex values to real"),
    ],
    ids=["var", "abs", "logaddexp", "sigmoid at -800", "float"],
)
def test_by_complex_step_what_is_not_analytic_is_named_in_place_of_a_verdict(rng, forward, reason):
    class AsItIs(Layer):
        def forward(self, x):
            return forward(x)

        def backward(self, grad_output, input_grad=True):
            return np.zeros((4, 4))

    with pytest.raises(TypeError) as raised:
        gradcheck(AsItIs(), rng.standard_normal((4, 4)), method="complex")
    assert str(raised.value).startswith(f"gradcheck: AsItIs: forward {reason}")
    assert str(raised.value).endswith(": use method='central'")


def test_what_says_nothing_is_said_to_be_unchecked(rng):
    class Unused(Scale):
        def __init__(self, w):
            super().__init__(w)
            self.bias = Parameter(np.ones(2))

    report = gradcheck(Unused(np.ones(4)), rng.standard_normal((3, 4)))
    assert report.remarks[0] == ("warning: bias: 0 everywhere, by forward and by backward: nothing was checked here")


def test_what_reacts_at_another_input_alone_is_checked_there():
    report = gradcheck(lambda x: (np.sum(np.where(x.real > 0, x**2, 0)), 2 * x * (x > 0)), -np.ones((3, 2)))
    assert not any("0 everywhere" in remark for remark in report.remarks)


def test_a_parameter_of_size_0_has_no_row_and_no_warning(rng):
    class WithoutBias(Scale):
        def __init__(self, w):
            super().__init__(w)
            self.bias = Parameter(np.zeros(0))

    report = gradcheck(WithoutBias(np.ones(4)), rng.standard_normal((3, 4)))
    assert [row.name for row in report.rows] == ["input", "w"]
    assert len(report.remarks) == 1


def test_entries_at_a_kink_are_counted():
    report = gradcheck(ReLU(), np.array([[0.0, 0.0, 1.0, -1.0]]), here_only=True, method="central")
    assert report.remarks == [
        "note: input: 2 entries lie at a kink, where the gradient is between the slopes on both sides"
    ]


# Which layer of a model is wrong


def test_of_a_composition_the_layer_that_is_wrong_by_itself_is_named(rng):
    model = Sequential(linear(rng), Sequential(Tanh(), linear(rng)))
    with BUGS["SlopeAtOutput"].planted(), pytest.raises(GradcheckError) as raised:
        gradcheck(model, rng.standard_normal((3, 4)))
    named, alone = str(raised.value).split("hint: 1.0 is wrong by itself, at the input that it gets here. ")
    assert named.startswith("Sequential: backward does not match forward")
    assert alone.startswith("Tanh: backward does not match forward")
    assert alone.endswith("hint: input: is the derivative at the output of forward: take it at x")


def test_a_layer_that_stands_under_two_names_is_checked_alone_once(rng):
    class TwoNames(Layer):
        def __init__(self):
            self.body = Sequential(linear(rng), Tanh())
            self.head = self.body[0]

        def forward(self, x):
            return self.body(x)

        def backward(self, grad_output, input_grad=True):
            return self.body.backward(grad_output, input_grad)

    with BUGS["WrongSign"].planted(), pytest.raises(GradcheckError, match="hint: head is wrong by itself"):
        gradcheck(TwoNames(), rng.standard_normal((3, 4)))


def test_a_layer_that_cannot_be_checked_alone_is_not_blamed(rng):
    class Sum(Layer):
        def forward(self, a, b):
            return a + b

    class Twice(Layer):
        def __init__(self):
            self.f, self.sum = linear(rng), Sum()

        def forward(self, x):
            return self.sum.forward(self.f(x), x)

        def backward(self, grad_output, input_grad=True):
            return self.f.backward(grad_output) + grad_output

    with BUGS["WrongSign"].planted(), pytest.raises(GradcheckError, match="hint: f is wrong by itself"):
        gradcheck(Twice(), rng.standard_normal((3, 4)))


def test_a_layer_of_two_inputs_is_checked_alone_too(rng):
    class Wrong(Product):
        def backward(self, grad_output, input_grad=True):
            grad_a, grad_b = super().backward(grad_output)
            return grad_a, 3 * grad_b

    class Gated(Layer):
        def __init__(self):
            self.product = Wrong()

        def forward(self, x):
            return self.product(x, x + 1)

        def backward(self, grad_output, input_grad=True):
            return np.add(*self.product.backward(grad_output))

    with pytest.raises(GradcheckError, match=r"hint: product is wrong by itself[^$]*others\[0\]: is 3 times"):
        gradcheck(Gated(), rng.standard_normal((3, 4)))


def test_layers_within_a_loss_that_is_a_function_are_checked_alone(rng):
    head = linear(rng)

    def loss(x):
        y = head(x)
        return np.sum(y * y), head.backward(2 * y.real)

    with BUGS["WrongSign"].planted(), pytest.raises(GradcheckError, match="hint: head is wrong by itself"):
        gradcheck(loss, rng.standard_normal((3, 4)))


def test_a_composition_of_right_layers_that_is_wrong_is_said_to_be_so(rng):
    class SharedOverwritten(Layer):  # y = f(f(x)): f stands twice, as two Linears that share their Parameters
        def __init__(self):
            self.first, self.second = linear(rng), linear(rng)
            self.second.weight, self.second.bias = self.first.weight, self.first.bias

        def forward(self, x):
            return self.second(self.first(x))

        def backward(self, grad_output, input_grad=True):
            before = self.first.weight.grad.copy()
            grad_hidden = self.second.backward(grad_output)
            self.first.weight.grad[...] = before
            return self.first.backward(grad_hidden)

    with pytest.raises(GradcheckError, match=f"{TOGETHER}$"):
        gradcheck(SharedOverwritten(), rng.standard_normal((3, 4)))


# A batch of 1


@pytest.mark.parametrize("rows", [2, 3])
def test_an_output_of_other_dimensions_for_a_batch_of_1_is_rejected(rng, rows):
    message = (
        f"^right for a batch of {rows}, but for a batch of 1: Linear: the output has shape .*, wanted 2 dimensions$"
    )
    with BUGS["Squeezed"].planted(), pytest.raises(GradcheckError, match=message):
        gradcheck(linear(rng), rng.standard_normal((rows, FEATURES)))


class WrongAlone(Scale):
    """What it says of a batch of 1 is changed by a function."""

    def __init__(self, change):
        super().__init__(np.arange(1.0, 5.0))
        self.change = change

    def backward(self, grad_output, input_grad=True):
        grad_input = super().backward(grad_output)
        return self.change(grad_input) if len(grad_output) == 1 else grad_input


def test_a_gradient_that_is_wrong_for_a_batch_of_1_alone_is_found(rng):
    message = (
        "^right for a batch of 3, but for a batch of 1: WrongAlone: backward does not match forward\n(?s:.*) 2 times"
    )
    with pytest.raises(GradcheckError, match=message):
        gradcheck(WrongAlone(lambda gradient: 2 * gradient), rng.standard_normal((3, 4)))


def test_a_gradient_of_another_shape_for_a_batch_of_1_alone_is_found(rng):
    message = r"^right for a batch of 3, .* 1: WrongAlone: the gradient of input has shape \(4,\), wanted \(1, 4\)$"
    with pytest.raises(GradcheckError, match=message):
        gradcheck(WrongAlone(lambda gradient: gradient[0]), rng.standard_normal((3, 4)))


def test_noise_of_a_loss_is_cut_to_a_batch_of_1(rng):
    class WrongVAE(VAE):
        def backward(self, grad_output=1.0, input_grad=True):
            grad_input = super().backward(grad_output, input_grad)
            return grad_input if grad_input is None or len(grad_input) > 1 else 2 * grad_input

    loss = VAELoss(WrongVAE(FEATURES, 5, 2, rng=rng, dtype=np.float64), rng.standard_normal((3, 2)))
    with pytest.raises(
        GradcheckError, match="^right for a batch of 3, but for a batch of 1: VAELoss: backward does not"
    ):
        gradcheck(loss, rng.standard_normal((3, FEATURES)))


def test_other_arrays_with_as_many_rows_are_cut_to_a_batch_of_1_too(rng):
    def loss(prediction, target):
        value, grad = mse_loss(prediction, target)
        return value, 2 * grad if len(prediction) == 1 else grad

    with pytest.raises(GradcheckError, match="^right for a batch of 3, but for a batch of 1"):
        gradcheck(loss, *rng.standard_normal((2, 3, 4)))


@pytest.mark.parametrize("rows", [2, 3])
def test_a_forward_that_refuses_a_batch_of_1_is_not_blamed(rng, rows):
    class Standardized(Tanh):
        def forward(self, x):
            if len(x) < 2:
                raise ValueError("one row has no variance")
            return super().forward(x)

    report = gradcheck(Standardized(), rng.standard_normal((rows, FEATURES)))
    assert "batch" not in report.remarks[-1]


def test_a_backward_that_refuses_a_batch_of_1_is_not_blamed(rng):
    def refuse(gradient):
        raise ValueError("one row has no variance")

    assert "batch" not in gradcheck(WrongAlone(refuse), rng.standard_normal((3, FEATURES))).remarks[-1]


def test_a_batch_of_1_that_gives_nan_is_not_blamed(rng):
    class SampleDeviation(Layer):  # with N - 1 in it
        def forward(self, x):
            self._cache = x - x.mean(axis=0), len(x) - 1
            return np.sum(self._cache[0] ** 2, axis=0) / self._cache[1]

        def backward(self, grad_output, input_grad=True):
            centred, n = self._cache
            return 2 * grad_output * centred / n

    assert "batch" not in gradcheck(SampleDeviation(), rng.standard_normal((3, FEATURES))).remarks[-1]


def test_what_takes_as_many_rows_alone_as_x_has_is_no_batch(rng):
    target = rng.standard_normal((3, 4))
    gradcheck(lambda prediction: mse_loss(prediction, target), rng.standard_normal((3, 4)))


@pytest.mark.parametrize("rows", [2, 3, 4])
def test_what_takes_one_row_as_it_takes_a_number_is_no_batch(rng, rows):
    mask = rng.standard_normal((rows, 4))  # with which one row would be multiplied too
    gradcheck(Curve(lambda x: x * mask, lambda x: mask), rng.standard_normal((rows, 4)))


def test_a_vector_is_no_batch_even_where_forward_takes_a_part_of_it(rng):
    gradcheck(lambda x: (np.sum(x**2), (2 if len(x) > 1 else 3) * x), rng.standard_normal(3))


def test_a_convolution_of_a_vector_is_no_batch(rng):
    kernel = np.array([1.0, 2.0, 3.0])

    class Convolution(Layer):
        def forward(self, x):
            self._cache = x.shape
            return np.convolve(x, kernel, "valid")

        def backward(self, grad_output, input_grad=True):
            assert len(grad_output) == self._cache[0] - 2
            return np.convolve(grad_output, kernel[::-1])

    gradcheck(Convolution(), rng.standard_normal(7))


# What is given


def test_here_only_checks_at_the_given_point_alone(rng):
    layer = Curve(lambda x: x**2, lambda x: 2 * x * (x < 4))  # wrong from 4 on
    x = rng.uniform(0, 1, (3, 4))
    assert gradcheck(layer, x, here_only=True).remarks == []
    with pytest.raises(GradcheckError, match="^right for the x and the parameters given, but at another inp"):
        gradcheck(layer, x)


def test_elsewhere_an_error_in_the_tenth_digit_is_no_mistake(rng):
    def sine(factor):  # right up to 1
        return Curve(np.sin, lambda x: np.cos(x) * np.where(x.real < 1, 1, factor))

    x = rng.uniform(0, 1, (3, 4))
    gradcheck(sine(1 + 1e-10), x)
    with pytest.raises(GradcheckError) as raised:
        gradcheck(sine(1 + 1e-6), x)
    assert raised.value.report.tolerance == 1e-9
    with pytest.raises(GradcheckError) as raised:
        gradcheck(sine(1 + 1e-10), x + 1)
    assert raised.value.report.tolerance == 1e-12


def test_elsewhere_entries_are_looked_at_only_where_a_direction_is_wrong(rng):
    class Calls:
        number = 0

    class Counted(Tanh):
        def forward(self, x):
            Calls.number += 1
            return super().forward(x)

    gradcheck(Counted(), rng.standard_normal((2, 100)), here_only=True)
    here, Calls.number = Calls.number, 0
    gradcheck(Counted(), rng.standard_normal((2, 100)))
    assert 200 < here < Calls.number < here + 100


def test_expected_gives_the_forward_that_a_straight_through_estimator_stands_for(rng):
    rounding, x = Curve(np.round, np.ones_like), rng.standard_normal((3, 4))
    with pytest.raises(GradcheckError):
        gradcheck(rounding, x)
    gradcheck(rounding, x, expected={"input": lambda x: x})


def test_expected_none_leaves_an_array_out(rng):
    class Stopped(Scale):
        def backward(self, grad_output, input_grad=True):
            return 0 * super().backward(grad_output)

    layer, x = Stopped(np.arange(1.0, 5.0)), rng.standard_normal((3, 4))
    assert [row.name for row in gradcheck(layer, x, expected={"input": None}).rows] == ["w"]


def test_expected_wants_names_of_arrays_and_functions_of_the_inputs(rng):
    x = rng.standard_normal((3, 4))
    for expected in ({"weigth": None}, {"input": lambda x: x.sum()}):
        with pytest.raises(
            ValueError, match=r"^gradcheck: expected\['\w+'\] is .*, wanted the name of one of input, and a f"
        ):
            gradcheck(Tanh(), x, expected=expected)
    with pytest.raises(ValueError, match="^gradcheck: expected is {'input': None}, which leaves nothing to check$"):
        gradcheck(Tanh(), x, expected={"input": None})


def test_nothing_to_check_is_said_to_be_so():
    with pytest.raises(ValueError) as raised:
        gradcheck(Curve(lambda x: x / 2, np.ones_like), np.arange(3))
    assert str(raised.value) == (
        "gradcheck: x is int64, which has no gradient, and Curve has no Parameters: nothing to check. "
        "Is x meant to be real: x.astype(float)?"
    )


def test_the_same_generator_gives_the_same_report_and_stays_as_it_is(rng):
    layer, x = linear(rng), rng.standard_normal((3, 4))
    before = rng.bit_generator.state
    report = gradcheck(layer, x, rng=rng)
    assert rng.bit_generator.state == before
    assert gradcheck(layer, x, rng=rng) == report != gradcheck(layer, x, rng=1)


def test_a_seed_and_a_random_state_are_generators_too(rng):
    layer, x = linear(rng), rng.standard_normal((3, 4))
    assert gradcheck(layer, x, rng=0) == gradcheck(layer, x)
    state = np.random.RandomState(5)
    assert gradcheck(layer, x, rng=state) == gradcheck(layer, x, rng=state) != gradcheck(layer, x)


def test_the_upstream_gradient_is_not_the_input_even_if_the_seeds_are_the_same():
    x = np.random.default_rng(0).standard_normal((N, FEATURES))
    for rng in (None, np.random.default_rng(0)):
        with BUGS["InputForUpstream"].planted(), pytest.raises(GradcheckError, match="WRONG"):
            gradcheck(linear(np.random.default_rng(1)), x, rng=rng)


@pytest.mark.parametrize(
    "x, shown",
    [
        (np.ones((0, 4)), "float64 (0, 4)"),
        (np.ones((3, 4), complex), "complex128 (3, 4)"),
        (np.full((3, 4), np.nan), "float64 (3, 4)"),
        (np.array([1, None]), "object (2,)"),
        (None, "object (0,)"),
    ],
    ids=["empty", "complex", "nan", "objects", "None"],
)
def test_an_input_that_cannot_be_checked_is_refused(x, shown):
    with pytest.raises(ValueError) as raised:
        gradcheck(Tanh(), x)
    assert str(raised.value) == f"gradcheck: x is {shown}, wanted an array of real, finite numbers, at least one"


@pytest.mark.parametrize("x", [0.5, [0.5, 1.0], np.float64(0.5)])
def test_a_number_or_a_list_of_them_is_an_array_too(x):
    assert gradcheck(Tanh(), x).rows[0].checked == f"{np.size(x)} of {np.size(x)}"


def test_x_is_cast_to_the_dtype_that_is_checked(rng):
    report = gradcheck(Tanh(), rng.standard_normal((3, 4)).astype(np.float32))
    assert report.tolerance == 1e-12


def test_float32_is_refused_with_the_reason_and_the_way_on(rng):
    with pytest.raises(ValueError) as raised:
        gradcheck(Linear(4, 4, rng=rng), rng.standard_normal((3, 4)))
    assert str(raised.value) == (
        "gradcheck: weight is float32, wanted float64. Rounding in float32 is as large as a small mistake: "
        "build the layer in float64, or see for yourself with gradcheck(..., dtype=np.float32)"
    )


@pytest.mark.parametrize("settings", [{"tolerance": 0}, {"step": 0}, {"step": -1e-6}])
def test_a_tolerance_or_step_that_is_none_is_refused(settings):
    with pytest.raises(ValueError, match="^gradcheck: tolerance is .*, step .*, wanted more than 0$"):
        gradcheck(Tanh(), np.ones((3, 4)), **settings)


@both_methods
def test_float32_can_be_checked_all_the_same_and_shows_less(rng, method):
    x = rng.standard_normal((3, 4))
    gradcheck(ReLU(), x, method=method, dtype=np.float32)
    layer = Sequential(Linear(4, 4, rng=rng), Tanh())
    errors = [row.relative_error for row in gradcheck(layer, x, method=method, dtype=np.float32).rows]
    assert 1e-8 < max(errors) < {"complex": 1e-5, "central": 1e-2}[method]


def test_an_unknown_method_or_dtype_is_named():
    with pytest.raises(ValueError, match="^gradcheck: method is 'forward', wanted one of complex, central$"):
        gradcheck(Tanh(), np.ones((3, 4)), method="forward")
    with pytest.raises(ValueError, match="^gradcheck: dtype is float16, wanted one of float64, float32$"):
        gradcheck(Tanh(), np.ones((3, 4)), dtype=np.float16)


class NoLayer:
    def __call__(self, x):
        return x

    def backward(self, grad_output):
        return grad_output


@pytest.mark.parametrize("layer", ["Tanh", Tanh, NoLayer, NoLayer()])
def test_what_is_no_layer_and_no_loss_is_refused(layer):
    with pytest.raises(TypeError) as raised:
        gradcheck(layer, np.ones((3, 4)))
    assert str(raised.value) == f"gradcheck: layer is {layer!r}, wanted an instance of a Layer, or a loss function"


def test_a_tolerance_may_be_given_and_an_error_as_large_passes():
    double = Curve(lambda x: x, lambda x: np.full(x.shape, 2.0))
    report = gradcheck(double, np.ones((1, 1)), tolerance=1.0)
    assert report.rows[0].relative_error == report.tolerance == 1 and "WRONG" not in str(report)
    with pytest.raises(GradcheckError):
        gradcheck(double, np.ones((1, 1)), tolerance=0.999)


@pytest.mark.parametrize("kind", [FCNAutoencoder, VAE])
def test_the_float32_kernels_give_the_gradients_of_float64_projected_on_random_directions(rng, kind):
    images, noise = rng.uniform(-1, 1, (64, 12288)), rng.standard_normal((64, 24))
    model, double = kind(rng=rng), kind(rng=rng, dtype=np.float64)
    double.load_state_dict(model.state_dict())
    with use_backend("numba"):
        for each in (model, double):
            if kind is VAE:
                each.loss(images, noise, sigma2=0.07)
                each.backward()
            else:
                each.backward(mse_loss(each(images), images)[1])
    for (name, single), right in zip(model.named_parameters(), double.parameters()):
        directions = rng.standard_normal((3, *right.data.shape))
        found, wanted = [np.sum(directions * p.grad, axis=tuple(range(1, directions.ndim))) for p in (single, right)]
        assert np.max(np.abs(found - wanted)) <= 1e-4 * np.max(np.abs(wanted)), name
