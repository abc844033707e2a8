"""Planted bugs: one line of the real source replaced by another, each a mistake that people make."""

import contextlib
import inspect
import textwrap
from typing import NamedTuple
from unittest import mock

import numpy as np

from autoencoders import VAE
from autoencoders.vae import VAELoss
from nnlite import Linear, ReLU, Tanh, layers, losses

N, FEATURES = 3, 4


class Bug(NamedTuple):
    build: object  # build(rng) -> what gradcheck takes to find the bug, for an input (N, FEATURES)
    owner: object  # the class or module that holds the function in which it is planted
    function: str
    right: str  # what stands in one line there
    wrong: str  # what is planted in its place

    def sources(self):
        """(right, wrong): the source of the function, as it is and with the bug.

        Raises LookupError unless `right` stands there once: where the source has changed, the table has to follow.
        """
        source = inspect.getsource(getattr(self.owner, self.function))
        found = source.count(self.right)
        if found != 1:
            where = f"{self.owner.__name__}.{self.function}"
            raise LookupError(f"planted bugs: found {self.right!r} {found} times in {where}, wanted it once")
        return source, source.replace(self.right, self.wrong)

    @contextlib.contextmanager
    def planted(self):
        """For the duration of a block, the function with the bug stands in the place of the real one."""
        made, source = {}, textwrap.dedent(self.sources()[1])
        source = source[source.index("def ") :]  # a decorator, as mutation tests add one, would bring back the real one
        exec(compile(source, f"{self.function} with a bug", "exec"), vars(inspect.getmodule(self.owner)), made)
        with mock.patch.object(self.owner, self.function, made[self.function]):
            yield


def linear(rng):
    """With as many outputs as inputs, so that a transposed array fits."""
    return Linear(FEATURES, FEATURES, rng=rng, dtype=np.float64)


def narrow(rng):
    return Linear(FEATURES, 2, rng=rng, dtype=np.float64)


def tanh(rng):
    return Tanh()


def relu(rng):
    return ReLU()


def mse(rng):
    target = rng.standard_normal((N, FEATURES))
    return lambda prediction: losses.mse_loss(prediction, target)


def kl(rng):
    mu = rng.standard_normal((N, FEATURES))
    return lambda logvar: losses.kl_divergence(mu, logvar)[::2]


def vae(rng):
    return VAELoss(VAE(FEATURES, 5, 2, rng=rng, dtype=np.float64), rng.standard_normal((N, 2)), beta=2.0)


# the first four fields of all bugs that replace one line
INPUT = linear, Linear, "backward", "return matmul(grad_output, W)"
WEIGHT = linear, Linear, "backward", "self.weight.add_matmul_to_grad(grad_output.T, x)"
BIAS = linear, Linear, "backward", "self.bias.grad += grad_output.sum(axis=0)"
SLOPE = tanh, layers, "tanh_and_slope", "return y, 1 - y * y"
TANH = tanh, Tanh, "backward", "return np.asarray(grad_output, slope.dtype) * slope"
RELU = relu, ReLU, "backward", "return zero_where(off, grad_output)"
MSE = mse, losses, "mse_loss", "return np.mean(difference * difference), 2 / difference.size * difference"

BUGS = {
    "WrongSign": Bug(*INPUT, "return -matmul(grad_output, W)"),
    "TransposedWeight": Bug(*INPUT, "return matmul(grad_output, W.T)"),
    "InputForUpstream": Bug(*INPUT, "return matmul(x, W)"),
    "FactorTwo": Bug(*WEIGHT, "self.weight.add_matmul_to_grad(2 * grad_output.T, x)"),
    "TransposedGradient": Bug(*WEIGHT, "self.weight.add_matmul_to_grad(x.T, grad_output)"),
    "TransposedShape": Bug(*WEIGHT, "self.weight.grad = x.T @ grad_output")._replace(build=narrow),
    "Overwritten": Bug(*WEIGHT, "self.weight.grad = grad_output.T @ x"),
    "MeanOverBatch": Bug(*BIAS, "self.bias.grad += grad_output.mean(axis=0)"),
    "FirstRowOnly": Bug(*BIAS, "self.bias.grad += grad_output[0]"),
    "NotSummed": Bug(*BIAS, "self.bias.grad = self.bias.grad + grad_output"),
    "ForgottenBias": Bug(*BIAS, "self.bias.grad + grad_output.sum(axis=0)"),
    "OneEntry": Bug(*BIAS, "self.bias.grad[1:] += grad_output[:, 1:].sum(axis=0)"),
    "Squeezed": Bug(linear, Linear, "forward", "return y", "return y.squeeze()"),
    "SlopeAtOutput": Bug(*SLOPE, "return y, 1 - np.tanh(y) ** 2"),
    "SlopeOfInput": Bug(*SLOPE, "return y, 1 - x * x"),
    "EarlierForward": Bug(tanh, Tanh, "forward", "= slope", "= slope if self._cache is None else self._cache"),
    "DroppedUpstream": Bug(*TANH, "return slope"),
    "CacheChanged": Bug(*TANH, "return np.multiply(grad_output, slope, out=slope)"),
    "Float32Inside": Bug(*TANH, "return np.float32(grad_output * slope)"),
    "MaskOfUpstream": Bug(*RELU, "return np.where(grad_output <= 0, 0, grad_output)"),
    "WritesToUpstream": Bug(*RELU, "return np.multiply(grad_output, ~off, out=grad_output)"),
    "WritesToInput": Bug(relu, ReLU, "forward", "return zero_where(off, x)", "return np.maximum(x, 0, out=x)"),
    "SumForMean": Bug(*MSE, "return np.mean(difference * difference), 2 * difference"),
    "HalfForgotten": Bug(*MSE, "return np.mean(difference * difference), difference / difference.size"),
    "RowSizeTwice": Bug(*MSE, "return np.sum(difference**2) / len(difference), 2 / difference.size * difference"),
    "ConstantForgotten": Bug(kl, losses, "kl_divergence", "(variance - 1) / (2 * N)", "variance / (2 * N)"),
    "NoiseSlope": Bug(vae, VAE, "loss", "(z - mu) / 2,", "z - mu,"),
    "BetaUnused": Bug(vae, VAE, "loss", "return reconstruction + beta * kl,", "return reconstruction + kl,"),
    "BranchOverwritten": Bug(vae, VAE, "backward", "grad_h += self.logvar", "grad_h = self.logvar"),
    "TargetForgotten": Bug(vae, VAE, "backward", " - grad_prediction if input_grad and target_is_x else grad_x", ""),
}
