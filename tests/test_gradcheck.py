"""The checker: it rejects what is wrong and says why, accepts what is right, and leaves everything as it was."""

import re
from fnmatch import fnmatchcase

import numpy as np
import pytest

from autoencoders import VAE, FCNAutoencoder
from autoencoders.vae import VAELoss
from demos.planted_bugs import BUGS, FEATURES, N
from nnlite import (
    GradcheckError,
    Layer,
    Linear,
    ReLU,
    Sequential,
    Tanh,
    gradcheck,
    kl_divergence,
    mse_loss,
    use_backend,
)

both_methods = pytest.mark.parametrize("method", ["complex", "central"])


TOGETHER = "hint: each layer is right by itself: look at how they are put together"
NAMED = {  # the line by which gradcheck shows that it recognises a planted bug, with * for anything
    "WrongSign": "hint: input: is -1 times the right one: the sign",
    "TransposedWeight": "hint: input: would be right with weight transposed",
    "InputForUpstream": "hint: input: does not depend on grad_output: multiply by it",
    "FactorTwo": "hint: weight: is 2 times the right one: the 2 of a square's derivative",
    "TransposedGradient": "hint: weight: is transposed",
    "TransposedShape": "*: weight.grad has shape (4, 2), wanted (2, 4): is it transposed?",
    "Overwritten": "hint: weight: is overwritten: write += instead of =, for gradients add up",
    "MeanOverBatch": "hint: bias: is 0.333333 times the right one: 1 / the batch size",
    "FirstRowOnly": "hint: bias: does not depend on the last row of grad_output: sum over the *",
    "NotSummed": "*: bias.grad has shape (3, 4), wanted (4,): sum it over the batch",
    "ForgottenBias": "hint: bias: is 0: backward does not compute it",
    "OneEntry": "hint: bias: is wrong at 1 of 4 entries alone: *",
    "Squeezed": "right for a batch of 3, but for a batch of 1: *",
    "SlopeAtOutput": "hint: input: is the derivative at the output of forward: *",
    "SlopeOfInput": "hint: input: would be right if x were the output: *",
    "EarlierForward": "hint: input: is the derivative at the input of an earlier *",
    "DroppedUpstream": "hint: input: does not depend on grad_output: *",
    "CacheChanged": "hint: input: is right at first, but not in a second backward, *",
    "Float32Inside": "*: the gradient of the input is float32, wanted float64",
    "MaskOfUpstream": "hint: input: does not turn round with grad_output: *",
    "WritesToUpstream": "*: backward writes to grad_output, *",
    "WritesToInput": "*: forward writes to x, which is not its own",
    "SumForMean": "hint: input: is 12 times the right one: the size of x",
    "HalfForgotten": "hint: input: is 0.5 times *: 1 / the 2 of a square's derivative",
    "RowSizeTwice": "hint: input: is 0.25 times *: 1 / the size of a row of x",
    "ConstantForgotten": "hint: input: is off by the constant *: a constant *",
    "NoiseSlope": TOGETHER,
    "BetaUnused": TOGETHER,
    "BranchOverwritten": TOGETHER,
    "TargetForgotten": TOGETHER,
}


@both_methods
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_rejected_and_named(rng, name, method):
    with BUGS[name].planted(), pytest.raises(GradcheckError) as raised:
        gradcheck(BUGS[name].build(rng), rng.standard_normal((N, FEATURES)), method=method)
    assert any(fnmatchcase(line, NAMED[name]) for line in str(raised.value).splitlines())


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


class Square(Linear):
    """A Linear with as many outputs as inputs."""

    def __init__(self, rng):
        super().__init__(FEATURES, FEATURES, rng=rng, dtype=np.float64)


class Curve(Layer):
    """y = f(x), element by element, for a function and its slope."""

    def __init__(self, f, slope):
        self.f, self.slope = f, slope

    def forward(self, x):
        self._cache = self.slope(x)
        return self.f(x)

    def backward(self, grad_output, input_grad=True):
        return grad_output * self._cache


class Skip(Layer):
    """y = x + f(x)."""

    def __init__(self, f):
        self.f = f

    def forward(self, x):
        return x + self.f(x)

    def backward(self, grad_output, input_grad=True):
        return grad_output + self.f.backward(grad_output)


class Centred(Layer):
    """y = x less its mean over the batch, so that the gradient of a bias before it is 0 but for rounding."""

    def forward(self, x):
        return x - x.mean(axis=0)

    def backward(self, grad_output, input_grad=True):
        return grad_output - grad_output.mean(axis=0)


class Softmax(Layer):
    """y = exp(x) / sum of exp(x) over the row."""

    def forward(self, x):
        y = np.exp(x - x.real.max(axis=1, keepdims=True))
        self._cache = y / y.sum(axis=1, keepdims=True)
        return self._cache.copy()

    def backward(self, grad_output, input_grad=True):
        y = self._cache
        return y * (grad_output - np.sum(y * grad_output, axis=1, keepdims=True))


class LayerNorm(Layer):
    """y = (x - mean) / sqrt(variance + 1e-5) over each row."""

    def forward(self, x):
        centred = x - x.mean(axis=1, keepdims=True)
        scale = 1 / np.sqrt(np.mean(centred * centred, axis=1, keepdims=True) + 1e-5)
        self._cache = centred * scale, scale
        return centred * scale

    def backward(self, grad_output, input_grad=True):
        y, scale = self._cache
        g = grad_output - grad_output.mean(axis=1, keepdims=True)
        return scale * (g - y * np.mean(grad_output * y, axis=1, keepdims=True))


def linear(rng, inputs=FEATURES, outputs=FEATURES):
    return Linear(inputs, outputs, rng=rng, dtype=np.float64)


def tied(rng):
    first, second = linear(rng), linear(rng)
    second.weight = first.weight
    return Sequential(first, Tanh(), second)


def cross_entropy(logits):
    shifted = np.exp(logits - logits.real.max(axis=1, keepdims=True))
    softmax = shifted / shifted.sum(axis=1, keepdims=True)
    return -np.mean(np.log(softmax[:, 0])), (softmax - (np.arange(logits.shape[1]) == 0)) / len(logits)


def vae_loss(rng, **settings):
    return VAELoss(VAE(FEATURES, 3, 1, rng=rng, dtype=np.float64), rng.standard_normal((N, 1)), **settings)


def mean_squared_error(rng):
    target = rng.standard_normal((N, FEATURES))
    return lambda prediction: mse_loss(prediction, target)


def kl_by_mu(rng):
    logvar = rng.standard_normal((N, FEATURES))
    return lambda mu: kl_divergence(mu, logvar)[:2]


def kl_by_logvar(rng):
    mu = rng.standard_normal((N, FEATURES))
    return lambda logvar: kl_divergence(mu, logvar)[::2]


RIGHT = {
    "Linear": linear,
    "Linear to 1 output": lambda rng: linear(rng, outputs=1),
    "Linear to 9 outputs": lambda rng: linear(rng, outputs=9),
    "ReLU": lambda rng: ReLU(),
    "Tanh": lambda rng: Tanh(),
    "empty Sequential": lambda rng: Sequential(),
    "Linear, ReLU": lambda rng: Sequential(linear(rng), ReLU()),
    "ReLU, Linear": lambda rng: Sequential(ReLU(), linear(rng)),
    "four Linears": lambda rng: Sequential(linear(rng), Tanh(), linear(rng), ReLU(), linear(rng), Tanh(), linear(rng)),
    "tied weights": tied,
    "skip": lambda rng: Skip(Sequential(linear(rng), Tanh())),
    "skip in skip": lambda rng: Skip(Sequential(linear(rng), Skip(Sequential(ReLU(), linear(rng))))),
    "centred": lambda rng: Sequential(linear(rng), Centred(), Tanh()),
    "layer norm": lambda rng: Sequential(linear(rng), LayerNorm()),
    "sigmoid": lambda rng: Curve(lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    "softplus": lambda rng: Curve(lambda x: np.log(1 + np.exp(x)), lambda x: 1 / (1 + np.exp(-x))),
    "sine": lambda rng: Sequential(linear(rng), Curve(np.sin, np.cos)),
    "cube": lambda rng: Curve(lambda x: x**3, lambda x: 3 * x**2),
    "mse_loss": mean_squared_error,
    "kl_divergence by mu": kl_by_mu,
    "kl_divergence by logvar": kl_by_logvar,
    "cross entropy": lambda rng: cross_entropy,
    "FCNAutoencoder": lambda rng: FCNAutoencoder(FEATURES, 3, 1, rng=rng, dtype=np.float64),
    "VAE": vae_loss,
    "VAE, sigma2 and beta": lambda rng: vae_loss(rng, sigma2=0.07, beta=0.5),
    "VAE, another target": lambda rng: vae_loss(rng, target=rng.standard_normal((N, FEATURES))),
}


@both_methods
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_accepted(rng, name, method):
    gradcheck(RIGHT[name](rng), rng.standard_normal((N, FEATURES)), method=method, rng=rng)


@pytest.mark.slow
@pytest.mark.no_cover  # which takes as long again, and has seen each of these lines in the test before
@both_methods
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_accepted_for_a_hundred_seeds(name, method):
    with use_backend("numpy"):
        for seed in range(100):
            rng = np.random.default_rng(seed)
            gradcheck(RIGHT[name](rng), rng.standard_normal((N, FEATURES)), method=method, rng=rng)


@both_methods
def test_a_saturated_tanh_is_accepted(rng, method):
    gradcheck(Tanh(), 20 * rng.standard_normal((N, FEATURES)), method=method)


def test_an_input_at_a_kink_is_replaced_by_another():
    report = gradcheck(ReLU(), np.zeros((N, FEATURES)), method="central")
    assert str(report).splitlines()[-1] == (
        "hint: x lies at a kink, where there is no one slope: this is of another input from its range"
    )


def test_a_kink_within_the_step_but_beside_x_is_seen():
    x = np.array([[1.0, 2.0, -1.0, 1e-6, -1e-6, 4e-6]])
    gradcheck(ReLU(), x, method="central")


def test_a_mistake_is_found_at_a_kink_too():
    with pytest.raises(GradcheckError) as raised:
        gradcheck(Curve(lambda x: np.maximum(x, 0), lambda x: 3.0 * (x > 0)), np.zeros((N, FEATURES)), method="central")
    kink, factor = str(raised.value).splitlines()[-2:]
    assert (
        kink.startswith("hint: x lies at a kink, ")
        and factor == "hint: input: is 3 times the right one: the batch size"
    )


def test_a_mistake_in_large_numbers_is_not_taken_for_a_kink(rng):
    with pytest.raises(GradcheckError, match="2 times the right one"):
        large = Curve(lambda x: 1e9 * np.sin(x), lambda x: 2e9 * np.cos(x))
        gradcheck(large, rng.standard_normal((N, FEATURES)), method="central")


def test_a_kink_that_is_decided_by_complex_numbers_is_no_mistake():
    gradcheck(Curve(lambda x: np.where(x > 0, x, 0), lambda x: x.real > 0), np.zeros((N, FEATURES)))


def test_kinks_of_several_arrays_are_all_named(rng):
    class Stairs(Square):
        def forward(self, x):
            return np.round(super().forward(x), 9)

    with pytest.raises(GradcheckError, match="to the left of input, weight, bias disagree at 10 inputs: forward has"):
        gradcheck(Stairs(rng), rng.standard_normal((N, FEATURES)), method="central")


@pytest.mark.parametrize("lowest", [0.001, 0.01])
@pytest.mark.parametrize(
    "f, slope", [(np.log, lambda x: 1 / x), (np.sqrt, lambda x: 0.5 / np.sqrt(x))], ids=["log", "sqrt"]
)
def test_a_steep_curve_is_accepted_by_central_differences(f, slope, lowest):
    for seed in range(100):
        x = np.random.default_rng(seed).uniform(lowest, 1, (N, FEATURES))
        gradcheck(Curve(f, slope), x, method="central", rng=seed)


@both_methods
def test_a_saturated_softmax_is_accepted(method):
    for seed in range(20):
        x = 20 * np.random.default_rng(seed).standard_normal((N, FEATURES))
        gradcheck(Softmax(), x, method=method, rng=seed)


def test_a_kink_at_every_input_is_an_error_that_says_so(rng):
    with pytest.raises(GradcheckError) as raised:
        gradcheck(
            Curve(lambda x: x + np.floor(1e9 * x) / 1e6, np.ones_like), rng.standard_normal((3, 4)), method="central"
        )
    assert str(raised.value) == (
        "Curve: the slopes to the right and to the left of input disagree at 10 inputs: "
        "forward has a kink there, whatever x is, or computes in less than float64"
    )


def test_a_forward_that_is_not_analytic_is_told_to_use_central_differences(rng):
    layer = Curve(np.abs, lambda x: np.sign(x.real))
    with pytest.raises(GradcheckError) as raised:
        gradcheck(layer, rng.standard_normal((3, 4)))
    hint = "agrees with central differences: forward is not analytic (abs, .real, astype); try method='central'"
    assert str(raised.value).splitlines()[-1] == f"hint: input: {hint}"
    gradcheck(layer, rng.standard_normal((3, 4)), method="central")


def test_a_backward_that_computes_in_float32_is_named(rng):
    layer = Curve(np.sin, lambda x: np.float64(np.float32(np.cos(x.real))))
    with pytest.raises(
        GradcheckError,
        match="\nhint: input: agrees in 5 digits: does anything compute in float32, or is a small term wrong\\?$",
    ):
        gradcheck(layer, rng.standard_normal((3, 4)))


def test_a_factor_without_a_known_cause_is_stated(rng):
    with pytest.raises(GradcheckError, match=r"hint: input: is -1\.7 times the right one$"):
        gradcheck(Curve(np.sin, lambda x: -1.7 * np.cos(x)), rng.standard_normal((3, 4)))


def test_of_two_numbers_a_factor_and_a_constant_are_told(rng):
    with pytest.raises(GradcheckError, match="1.7 times the right one$"):
        gradcheck(Curve(np.sin, lambda x: 1.7 * np.cos(x)), rng.standard_normal((1, 2)))
    with pytest.raises(GradcheckError, match="is off by the constant .*: a constant term is missing, or too much$"):
        gradcheck(lambda x: (np.sum(x**3), 3 * x**2 + 0.1), rng.standard_normal((1, 2)))


def test_the_upstream_gradient_is_not_the_input_even_if_the_seeds_are_the_same():
    x = np.random.default_rng(0).standard_normal((N, FEATURES))
    for rng in (None, np.random.default_rng(0)):
        with BUGS["InputForUpstream"].planted(), pytest.raises(GradcheckError, match="WRONG"):
            gradcheck(linear(np.random.default_rng(1)), x, rng=rng)


def test_a_batch_size_of_2_leaves_two_reasons_for_a_factor_2(rng):
    with pytest.raises(
        GradcheckError, match="2 times the right one: the 2 of a square's derivative or the batch size$"
    ):
        gradcheck(Curve(np.sin, lambda x: 2 * np.cos(x)), rng.standard_normal((2, 4)))


def test_a_number_is_its_own_batch_of_1():
    with pytest.raises(GradcheckError, match=r"\nhint: input: at \(\), x = 0.5, has the slope 2.633, wanted 0.8776$"):
        gradcheck(Curve(np.sin, lambda x: 3 * np.cos(x)), np.array(0.5))


def test_of_two_rows_one_that_is_left_out_is_noticed(rng):
    message = "bias: does not depend on the last row of grad_output"
    with BUGS["FirstRowOnly"].planted(), pytest.raises(GradcheckError, match=message):
        gradcheck(linear(rng), rng.standard_normal((2, FEATURES)))


def test_hints_go_on_past_the_experiment_of_transposing(rng):
    message = "hint: input, 0.bias: is the derivative at the input of an earlier forward: keep what the latest one"
    with BUGS["EarlierForward"].planted(), pytest.raises(GradcheckError, match=message):
        gradcheck(Sequential(linear(rng), Tanh()), rng.standard_normal((N, FEATURES)))


def test_of_an_element_wise_layer_an_unknown_mistake_shows_the_slopes_at_the_worst_entry():
    with pytest.raises(GradcheckError) as raised:
        gradcheck(Curve(lambda x: x**3, lambda x: 2 * x), np.array([[0.1, -2.0]]), rng=np.random.default_rng(1))
    assert re.fullmatch(
        r"hint: input: at \(0, 1\), x = -2, has the slope -4, wanted 12",
        str(raised.value).splitlines()[-1],
    )


def test_of_other_layers_an_unknown_mistake_is_called_so(rng):
    class Half(Linear):
        def backward(self, grad_output, input_grad=True):
            return super().backward(grad_output) * [1, 2, 3]

    with pytest.raises(GradcheckError, match="\nhint: this looks like no mistake known here$"):
        gradcheck(Half(3, 2, rng=rng, dtype=np.float64), rng.standard_normal((3, 3)))


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
@pytest.mark.parametrize("wrong, told", [(1, True), (5, True), (6, False)])
def test_wrong_entries_are_counted_if_they_are_less_than_half(rng, scale, wrong, told):
    class Some(Curve):
        def backward(self, grad_output, input_grad=True):
            grad_input = super().backward(grad_output)
            grad_input.flat[:wrong] *= 2
            return grad_input

    with pytest.raises(GradcheckError) as raised:
        gradcheck(Some(lambda x: scale * np.sin(x), lambda x: scale * np.cos(x)), rng.standard_normal((3, 4)))
    assert (f"is wrong at {wrong} of 12 entries alone: look at what is special" in str(raised.value)) == told


def test_a_term_that_is_added_is_named(rng):
    class Decayed(Square):
        def backward(self, grad_output, input_grad=True):
            self.weight.grad += 0.01 * self.weight.data
            return super().backward(grad_output, input_grad)

    with pytest.raises(
        GradcheckError, match="\nhint: weight: has a term without grad_output: multiply by it, do not add$"
    ):
        gradcheck(Decayed(rng), rng.standard_normal((3, 4)))


def test_an_unknown_mistake_of_a_loss_is_called_so(rng):
    with pytest.raises(GradcheckError, match="\nhint: this looks like no mistake known here$"):
        gradcheck(lambda x: (np.sum(x**3), 3 * x), rng.standard_normal((3, 4)))


def test_a_forgotten_slope_is_named(rng):
    with pytest.raises(GradcheckError, match="\nhint: input: is grad_output itself: multiply by the slope$"):
        gradcheck(Curve(np.sin, np.ones_like), rng.standard_normal((3, 4)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_rejected(value):
    with pytest.raises(GradcheckError, match=f"^Loss: the gradient of the input holds {value}$"):
        gradcheck(lambda x: (np.sum(x), abs(x) * value), np.ones((1, 1)), rng=np.random.default_rng(3))


def test_an_output_that_is_not_finite_is_rejected():
    with np.errstate(over="ignore"), pytest.raises(GradcheckError, match="^Curve: forward gives inf for this x$"):
        gradcheck(Curve(np.exp, np.ones_like), np.array([[1.0, 1000.0]]))


def test_an_output_of_nan_is_not_taken_for_randomness():
    root = Curve(lambda x: np.sqrt(x.astype(float)), np.ones_like)
    with np.errstate(invalid="ignore"), pytest.raises(GradcheckError, match="^Curve: forward gives nan for this x$"):
        gradcheck(root, np.array([[-1.0]]), method="central")


def test_a_backward_that_returns_nothing_is_rejected(rng):
    class Nothing(Tanh):
        def backward(self, grad_output, input_grad=True):
            pass

    with pytest.raises(GradcheckError, match=r"^Nothing: the gradient of the input has shape \(\), wanted \(3, 4\)$"):
        gradcheck(Nothing(), rng.standard_normal((3, 4)))


def test_a_backward_that_raises_is_rejected(rng):
    class Raises(Square):
        def backward(self, grad_output, input_grad=True):
            return grad_output @ self.weight.data[:3]

    with pytest.raises(GradcheckError, match="Raises: backward raised ValueError"):
        gradcheck(Raises(rng), rng.standard_normal((3, 4)))


def test_a_second_backward_that_raises_is_rejected(rng):
    class Consumed(Tanh):
        def backward(self, grad_output, input_grad=True):
            slope, self._cache = self._from_forward(), None
            return slope * grad_output

    with pytest.raises(GradcheckError, match="Consumed: a second backward raised RuntimeError"):
        gradcheck(Consumed(), rng.standard_normal((3, 4)))


def test_a_forward_that_does_not_repeat_itself_is_rejected(rng):
    noise = np.random.default_rng(0)
    with pytest.raises(
        GradcheckError,
        match="^Curve: forward gives two outputs for one x: it draws random numbers, or changes its own state$",
    ):
        gradcheck(Curve(lambda x: x + noise.standard_normal(x.shape), np.ones_like), rng.standard_normal((3, 4)))


def test_a_forward_that_changes_the_dtype_is_rejected(rng):
    with pytest.raises(GradcheckError, match="^Curve: forward turns float64 into float32$"):
        gradcheck(Curve(np.float32, np.ones_like), rng.standard_normal((3, 4)))


def test_a_forward_that_writes_to_a_parameter_is_rejected(rng):
    class Clipped(Square):
        def forward(self, x):
            np.clip(self.weight.data.real, -0.1, 0.1, out=self.weight.data.real)
            return super().forward(x)

    with pytest.raises(GradcheckError, match="^Clipped: forward writes to weight, which is not its own$"):
        gradcheck(Clipped(rng), rng.standard_normal((3, 4)))


def test_all_that_backward_writes_to_is_named(rng):
    class Writes(Square):
        def backward(self, grad_output, input_grad=True):
            grad_input = super().backward(grad_output)
            self._cache[...] = self.bias.data[...] = 0
            return grad_input

    message = "^Writes: backward writes to x, which is not its own; backward writes to bias, which is not its own$"
    with pytest.raises(GradcheckError, match=message):
        gradcheck(Writes(rng), rng.standard_normal((3, 4)))


def test_a_backward_that_writes_to_a_parameter_is_rejected(rng):
    class Steps(Square):
        def backward(self, grad_output, input_grad=True):
            grad_input = super().backward(grad_output)
            self.weight.data -= 0.1 * self.weight.grad
            return grad_input

    with pytest.raises(GradcheckError, match="^Steps: backward writes to weight, which is not its own$"):
        gradcheck(Steps(rng), rng.standard_normal((3, 4)))


@pytest.mark.parametrize("rows", [2, 3])
def test_a_batch_of_1_is_tried_where_others_work(rng, rows):
    message = f"^right for a batch of {rows}, but for a batch of 1: Linear: backward raised"
    with BUGS["Squeezed"].planted(), pytest.raises(GradcheckError, match=message):
        gradcheck(linear(rng), rng.standard_normal((rows, FEATURES)))


def test_a_batch_of_1_is_tried_with_the_first_rows_of_noise(rng):
    class WrongAlone(VAE):
        def backward(self, grad_output=1.0, input_grad=True):
            grad_input = super().backward(grad_output, input_grad)
            return grad_input if grad_input is None or len(grad_input) > 1 else 2 * grad_input

    vae = WrongAlone(FEATURES, 5, 2, rng=rng, dtype=np.float64)
    with pytest.raises(
        GradcheckError, match="^right for a batch of 3, but for a batch of 1: VAELoss: backward does not"
    ):
        gradcheck(VAELoss(vae, rng.standard_normal((3, 2))), rng.standard_normal((3, FEATURES)))


@pytest.mark.parametrize("rows", [2, 3])
def test_a_forward_that_refuses_a_batch_of_1_is_wrong(rng, rows):
    class Standardized(Tanh):
        def forward(self, x):
            if len(x) < 2:
                raise ValueError("one row has no variance")
            return super().forward(x)

    with pytest.raises(
        GradcheckError, match=f"^right for a batch of {rows}, but for a batch of 1: one row has no vari"
    ):
        gradcheck(Standardized(), rng.standard_normal((rows, FEATURES)))


def test_of_a_batch_of_1_no_other_is_made(rng):
    gradcheck(Recorder(), np.ones((1, 2)))
    assert {seen.shape for seen in Recorder.seen} == {(1, 2)}


def test_a_vector_is_no_batch(rng):
    kernel = np.array([1.0, 2.0, 3.0])

    class Convolution(Layer):
        def forward(self, x):
            self._cache = x.shape
            return np.convolve(x, kernel, "valid")

        def backward(self, grad_output, input_grad=True):
            assert len(grad_output) == self._cache[0] - 2
            return np.convolve(grad_output, kernel[::-1])

    gradcheck(Convolution(), rng.standard_normal(7))


def test_a_layer_that_takes_one_batch_size_only_is_not_judged_by_another(rng):
    target = rng.standard_normal((3, 4))
    gradcheck(lambda prediction: mse_loss(prediction, target), rng.standard_normal((3, 4)))


def test_the_report_has_a_row_for_the_input_and_each_parameter(rng):
    report = gradcheck(Sequential(linear(rng, 3, 2), Tanh()), rng.standard_normal((4, 3)))
    assert [(row.layer, row.name, row.checked) for row in report.rows] == [
        ("Sequential", "input", "12 of 12"),
        ("Linear", "0.weight", "6 of 6"),
        ("Linear", "0.bias", "2 of 2"),
    ]
    assert all(row.relative_error <= report.tolerance and np.isclose(row.analytic, row.numeric) for row in report.rows)


@pytest.mark.parametrize("value, error", [(3.0, "3.3e-08"), (0.0, "7.4e-10")])
def test_an_error_where_the_gradient_is_0_is_relative_to_a_hundredth_of_the_loss(value, error):
    with pytest.raises(GradcheckError, match=rf"input  2 of 2   {error} .* 0.00000000e\+00  WRONG"):
        gradcheck(lambda x: (value, np.full(x.shape, 1e-9)), np.ones((1, 2)))


def test_the_report_of_what_is_right_prints_as_a_table():
    report = gradcheck(Sequential(), np.ones((1, 1)), rng=np.random.default_rng(3))
    u = report.rows[0].analytic
    assert (report.tolerance, report.hints) == (1e-12, [])
    assert str(report).splitlines() == [
        "layer       array  checked  error    relative to  worst index  analytic        numeric",
        f"Sequential  input  1 of 1   0.0e+00  {abs(u):.1e}      (0, 0)       {u:.8e}  {u:.8e}",
    ]


def test_the_report_prints_as_a_table_with_the_hints_under_it():
    double = Curve(lambda x: x, lambda x: np.full(x.shape, 2.0))
    with pytest.raises(GradcheckError) as raised:
        gradcheck(double, np.ones((1, 1)))
    upstream = np.random.default_rng(0).spawn(1)[0]
    upstream.uniform(size=1)  # the input of an earlier forward
    u = upstream.standard_normal()
    assert str(raised.value).splitlines() == [
        "Curve: backward does not match forward",
        "layer  array  checked  error    relative to  worst index  analytic         numeric",
        f"Curve  input  1 of 1   1.0e+00  {abs(u):.1e}      (0, 0)       {2 * u:.8e}  {u:.8e}  WRONG",
        "hint: input: is 2 times the right one: the 2 of a square's derivative",
    ]


def test_the_worst_entry_is_named(rng):
    class OneEntry(Square):
        def backward(self, grad_output, input_grad=True):
            grad_input = super().backward(grad_output)
            grad_input[-1, 1] = 0
            return grad_input

    with pytest.raises(GradcheckError, match=r"input .*\(2, 1\)"):
        gradcheck(OneEntry(rng), rng.standard_normal((3, 4)))


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

    with BUGS["WrongSign"].planted(), pytest.raises(GradcheckError, match="hint: body.0 is wrong by itself"):
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
    with pytest.raises(GradcheckError) as raised:
        gradcheck(model, rng.standard_normal((3, 4)))
    assert "last row" not in str(raised.value)


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


def test_a_way_around_a_layer_that_backward_forgets_is_named(rng):
    class ForgottenSkip(Skip):
        def backward(self, grad_output, input_grad=True):
            return self.f.backward(grad_output)

    message = "hint: input: lacks grad_output itself: x also reaches the output unchanged, and gradients of two ways "
    with pytest.raises(GradcheckError, match=message):
        gradcheck(ForgottenSkip(Sequential(linear(rng), Tanh())), rng.standard_normal((3, 4)))


def test_a_large_array_is_checked_at_25_entries_and_along_a_direction(rng):
    assert gradcheck(linear(rng, 25, 20), rng.standard_normal((2, 25))).rows[1].checked == "500 of 500"
    report = gradcheck(linear(rng, 30, 20), rng.standard_normal((2, 30)))
    assert [(row.name, row.checked) for row in report.rows] == [
        ("input", "60 of 60"),
        ("weight", "25 of 600"),
        ("bias", "20 of 20"),
        ("(all at once)", "1 of 680"),
    ]


@both_methods
def test_wrong_entries_of_a_large_array_are_found_along_the_direction(rng, method):
    class TwoOf600(Linear):
        def backward(self, grad_output, input_grad=True):
            self.weight.grad[7, [11, 12]] += 1e-3, -1e-3
            return super().backward(grad_output)

    layer = TwoOf600(30, 20, rng=rng, dtype=np.float64)
    with pytest.raises(GradcheckError) as raised:
        gradcheck(layer, rng.standard_normal((2, 30)), method=method)
    *table, hint = str(raised.value).splitlines()[2:]
    assert [line.split()[-1] == "WRONG" for line in table] == [False, False, False, True]
    assert hint == "hint: an entry that was not checked is wrong: check a smaller layer, of which every entry is"


def test_a_large_model_is_right_by_central_differences(rng):
    model = Sequential(linear(rng, 400, 60), ReLU(), linear(rng, 60, 30), Tanh())
    gradcheck(model, rng.standard_normal((5, 400)), method="central")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["FCNAutoencoder", "VAE"])
def test_the_gradients_of_the_full_size_models_are_right(rng, name):
    x, f64 = rng.uniform(-1, 1, (1, 12288)), {"rng": rng, "dtype": np.float64}
    model = FCNAutoencoder(**f64) if name == "FCNAutoencoder" else VAELoss(VAE(**f64), rng.standard_normal((1, 24)))
    assert max(row.relative_error for row in gradcheck(model, x).rows) < 1e-12


def test_everything_is_left_as_it_was(rng):
    layer, x = linear(rng), rng.standard_normal((3, 4))
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


def test_the_same_generator_gives_the_same_report(rng):
    layer, x = linear(rng), rng.standard_normal((3, 4))
    assert gradcheck(layer, x, rng=np.random.default_rng(5)) == gradcheck(layer, x, rng=np.random.default_rng(5))


@pytest.mark.parametrize(
    "x", [np.ones((0, 4)), np.ones((3, 4), complex), np.full((3, 4), np.nan)], ids=["empty", "complex", "nan"]
)
def test_an_input_that_cannot_be_checked_is_refused(x):
    with pytest.raises(ValueError) as raised:
        gradcheck(Tanh(), x)
    assert str(raised.value) == f"gradcheck: x is {x.dtype} {x.shape}, wanted real, finite numbers, at least one"


def test_float32_is_refused_with_the_reason_and_the_way_on(rng):
    with pytest.raises(ValueError) as raised:
        gradcheck(Linear(4, 4, rng=rng), rng.standard_normal((3, 4)))
    assert str(raised.value) == (
        "gradcheck: weight is float32, wanted float64. Rounding in float32 is as large as a small mistake: "
        "build the layer in float64, or see for yourself with gradcheck(..., dtype=np.float32)"
    )


def test_a_parameter_that_is_not_listed_is_refused(rng):
    class InAList(Layer):
        def __init__(self):
            self.layers = [linear(rng)]

    with pytest.raises(ValueError) as raised:
        gradcheck(InAList(), rng.standard_normal((3, 4)))
    assert str(raised.value) == (
        "gradcheck: InAList holds Parameters that named_parameters() does not list, wanted each, "
        "and each layer, as an attribute or in a Sequential"
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
    with pytest.raises(ValueError, match="gradcheck: method is 'forward', wanted one of complex, central"):
        gradcheck(Tanh(), np.ones((3, 4)), method="forward")
    with pytest.raises(ValueError, match="gradcheck: dtype is float16, wanted one of float64, float32"):
        gradcheck(Tanh(), np.ones((3, 4)), dtype=np.float16)


@pytest.mark.parametrize("layer", ["Tanh", Tanh])
def test_what_is_no_layer_and_no_loss_is_refused(layer):
    with pytest.raises(TypeError) as raised:
        gradcheck(layer, np.ones((3, 4)))
    assert str(raised.value) == f"gradcheck: layer is {layer!r}, wanted an instance of a Layer, or a loss function"


@pytest.mark.parametrize("returned, kind", [(1.0, "float"), ((np.ones(2), np.ones(2)), "tuple")])
def test_a_loss_that_does_not_return_a_number_and_its_gradient_is_refused(returned, kind):
    with pytest.raises(TypeError) as raised:
        gradcheck(lambda prediction: returned, np.ones(2))
    assert str(raised.value) == f"gradcheck: the loss returned a {kind}, wanted (value, grad), a number and an array"


def test_a_backward_that_raises_with_input_grad_false_is_rejected(rng):
    class Wants(Square):
        def backward(self, grad_output, input_grad=True):
            return super().backward(grad_output, input_grad) + 0

    with pytest.raises(GradcheckError, match="^Wants: backward raised TypeError.* with input_grad=False$"):
        gradcheck(Wants(rng), rng.standard_normal((3, 4)))


def test_a_forward_that_does_not_take_complex_numbers_is_named(rng):
    layer = Curve(lambda x: np.logaddexp(x, 0), lambda x: 1 / (1 + np.exp(-x)))
    with pytest.raises(TypeError, match="^Curve: forward does not take complex numbers: use method='central'$"):
        gradcheck(layer, rng.standard_normal((3, 4)))
    gradcheck(layer, rng.standard_normal((3, 4)), method="central")


def test_a_gradient_that_is_left_out_with_input_grad_false_is_named(rng):
    class LeftOut(Square):
        def backward(self, grad_output, input_grad=True):
            return super().backward(grad_output) if input_grad else None

    with pytest.raises(
        GradcheckError, match="^LeftOut: weight.grad is another with input_grad=False, wanted the same$"
    ):
        gradcheck(LeftOut(rng), rng.standard_normal((3, 4)))


def test_a_tolerance_may_be_given_and_an_error_as_large_passes():
    double = Curve(lambda x: x, lambda x: np.full(x.shape, 2.0))
    report = gradcheck(double, np.ones((1, 1)), tolerance=1.0)
    assert report.rows[0].relative_error == report.tolerance == 1 and "WRONG" not in str(report)
    with pytest.raises(GradcheckError):
        gradcheck(double, np.ones((1, 1)), tolerance=0.999)


@pytest.mark.parametrize("x", [1.0, 1.5, 3.0])
def test_a_step_may_be_given_and_is_scaled_with_what_it_moves(x):
    power = Curve(lambda x: x**5, lambda x: 5 * x**4)
    report = gradcheck(power, np.array([x]), method="central", step=0.1, tolerance=1)
    h = 0.1 * x  # D(h) = 5 x^4 + 10 x^2 h^2 + h^4, so (4 D(h/2) - D(h)) / 3 = 5 x^4 - h^4 / 4
    assert report.rows[0].relative_error == pytest.approx(h**4 / 4 / (5 * x**4 - h**4 / 4), rel=1e-6)


class Recorder(Layer):
    """y = f(x), which keeps every x that it was given."""

    seen = []

    def __init__(self, f=np.copy, slope=np.ones_like):
        self.f, self.slope = f, slope
        self.seen.clear()

    def forward(self, x):
        self.seen.append(x.copy())
        self._cache = self.slope(x)
        return self.f(x)

    def backward(self, grad_output, input_grad=True):
        return self._cache * grad_output


@pytest.mark.parametrize("dtype, h", [(np.float64, 6.055454452393343e-06), (np.float32, 0.004921566601151848)])
def test_central_differences_step_by_the_cube_root_of_the_rounding(dtype, h):
    gradcheck(Recorder(), np.array([0.0, 0.5]), method="central", dtype=dtype)
    assert max(seen[0] for seen in Recorder.seen if seen[1] == 0.5) == pytest.approx(h, rel=1e-6)
    assert {seen.dtype for seen in Recorder.seen} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    "x, low, high", [([2.0, 1.0], 1, 2), ([2.0, 2.0], 1, 3), ([-2.0, -2.0], -3, -1), ([0, 0], -1, 1)]
)
def test_other_inputs_are_drawn_from_the_range_of_x_or_around_it(x, low, high):
    others = []
    for seed in range(50):
        gradcheck(Recorder(), np.array(x), rng=seed)
        others.append(Recorder.seen[0])
    assert np.shape(others) == (50, 2) and low <= np.min(others) and np.max(others) <= high
    assert np.max(others) - np.min(others) > 0.9 * (high - low)


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
