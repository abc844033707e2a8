"""Planted bugs: backwards that are wrong at one place, each a mistake that people make, to see what gradcheck says.

At the end of a wrong line stands what is right.
"""

import functools
from typing import NamedTuple

import numpy as np

from autoencoders import VAE
from autoencoders.vae import VAELoss
from nnlite import Layer, Linear, ReLU, Sequential, Tanh, kl_divergence

N, FEATURES = 3, 4


class Square(Linear):
    """A Linear with as many outputs as inputs, so that a transposed array fits."""

    def __init__(self, rng):
        super().__init__(FEATURES, FEATURES, rng=rng, dtype=np.float64)


class WrongSign(Square):
    def backward(self, grad_output, input_grad=True):
        self.weight.grad += grad_output.T @ self._cache
        self.bias.grad += grad_output.sum(axis=0)
        return -grad_output @ self.weight.data  # grad_output @ self.weight.data


class FactorTwo(Square):
    def backward(self, grad_output, input_grad=True):
        self.weight.grad += 2 * grad_output.T @ self._cache  # grad_output.T @ self._cache
        self.bias.grad += grad_output.sum(axis=0)
        return grad_output @ self.weight.data


class MeanOverBatch(Square):
    def backward(self, grad_output, input_grad=True):
        self.weight.grad += grad_output.T @ self._cache
        self.bias.grad += grad_output.mean(axis=0)  # grad_output.sum(axis=0)
        return grad_output @ self.weight.data


class FirstRowOnly(Square):
    def backward(self, grad_output, input_grad=True):
        self.weight.grad += grad_output.T @ self._cache
        self.bias.grad += grad_output[0]  # grad_output.sum(axis=0)
        return grad_output @ self.weight.data


class NotSummed(Square):
    def backward(self, grad_output, input_grad=True):
        self.weight.grad += grad_output.T @ self._cache
        self.bias.grad = self.bias.grad + grad_output  # self.bias.grad + grad_output.sum(axis=0)
        return grad_output @ self.weight.data


class ForgottenBias(Square):
    def backward(self, grad_output, input_grad=True):
        self.weight.grad += grad_output.T @ self._cache
        return grad_output @ self.weight.data  # and before it: self.bias.grad += grad_output.sum(axis=0)


class TransposedWeight(Square):
    def backward(self, grad_output, input_grad=True):
        self.weight.grad += grad_output.T @ self._cache
        self.bias.grad += grad_output.sum(axis=0)
        return grad_output @ self.weight.data.T  # grad_output @ self.weight.data


class TransposedGradient(Square):
    def backward(self, grad_output, input_grad=True):
        self.weight.grad += self._cache.T @ grad_output  # grad_output.T @ self._cache
        self.bias.grad += grad_output.sum(axis=0)
        return grad_output @ self.weight.data


class TransposedShape(Linear):
    def __init__(self, rng):
        super().__init__(FEATURES, 2, rng=rng, dtype=np.float64)

    def backward(self, grad_output, input_grad=True):
        self.weight.grad = self.weight.grad.T + self._cache.T @ grad_output  # self.weight.grad + grad_output.T @ ...
        self.bias.grad += grad_output.sum(axis=0)
        return grad_output @ self.weight.data


class Overwritten(Square):
    def backward(self, grad_output, input_grad=True):
        self.weight.grad = grad_output.T @ self._cache  # +=
        self.bias.grad += grad_output.sum(axis=0)
        return grad_output @ self.weight.data


class OneEntry(Square):
    def backward(self, grad_output, input_grad=True):
        self.weight.grad += grad_output.T @ self._cache
        self.bias.grad += grad_output.sum(axis=0)
        grad_input = grad_output @ self.weight.data
        grad_input[-1, 1] = 0  # should not be here
        return grad_input


class InputForUpstream(Square):
    def backward(self, grad_output, input_grad=True):
        self.weight.grad += grad_output.T @ self._cache
        self.bias.grad += grad_output.sum(axis=0)
        return self._cache @ self.weight.data  # grad_output @ self.weight.data


class SharedOverwritten(Layer):
    """y = f(f(x)): f stands twice, as two Linears that share their Parameters."""

    def __init__(self, rng):
        self.first, self.second = Square(rng), Square(rng)
        self.second.weight, self.second.bias = self.first.weight, self.first.bias

    def forward(self, x):
        return self.second(self.first(x))

    def backward(self, grad_output, input_grad=True):
        before = self.first.weight.grad.copy()
        grad_hidden = self.second.backward(grad_output)
        self.first.weight.grad[...] = before  # should not be here
        return self.first.backward(grad_hidden)


class ForgottenSkip(Layer):
    """y = x + f(x)."""

    def __init__(self, rng):
        self.f = Sequential(Square(rng), Tanh())

    def forward(self, x):
        return x + self.f(x)

    def backward(self, grad_output, input_grad=True):
        return self.f.backward(grad_output)  # grad_output + self.f.backward(grad_output)


class DroppedUpstream(Tanh):
    def backward(self, grad_output, input_grad=True):
        return self._from_forward().copy()  # grad_output * self._from_forward()


class SlopeAtOutput(Tanh):
    def forward(self, x):
        y = np.tanh(x)
        self._cache = 1 - np.tanh(y) ** 2  # 1 - y**2
        return y


class SlopeOfInput(Tanh):
    def forward(self, x):
        y = np.tanh(x)
        self._cache = 1 - x**2  # 1 - y**2
        return y


class EarlierForward(Tanh):
    def forward(self, x):
        y = np.tanh(x)
        if np.shape(self._cache) != y.shape:  # always
            self._cache = 1 - y**2
        return y


class CacheChanged(Tanh):
    def backward(self, grad_output, input_grad=True):
        self._cache *= grad_output  # grad_input = grad_output * self._cache
        return self._cache.copy()


class MaskOfUpstream(ReLU):
    def backward(self, grad_output, input_grad=True):
        return np.where(grad_output <= 0, 0, grad_output)  # np.where(self._from_forward(), 0, grad_output)


class WritesToUpstream(ReLU):
    def backward(self, grad_output, input_grad=True):
        grad_output[self._from_forward()] = 0  # grad_input = np.where(self._from_forward(), 0, grad_output)
        return grad_output


class WritesToInput(ReLU):
    def forward(self, x):
        self._cache = x.real <= 0
        x[self._cache] = 0  # y = np.where(self._cache, 0, x)
        return x.copy()


class Float32Inside(Tanh):
    def backward(self, grad_output, input_grad=True):
        return np.float32(grad_output) * np.float32(self._from_forward())  # without np.float32


class Squeezed(Square):
    """Right, but for a batch of 1."""

    def forward(self, x):
        return super().forward(x).squeeze()  # super().forward(x)


def sum_for_mean(target, prediction):
    """The value is the mean over every element, the gradient that of the sum."""
    difference = prediction - target
    return np.mean(difference**2), 2 * difference  # 2 * difference / difference.size


def half_forgotten(target, prediction):
    """The gradient is that of half the squared error."""
    difference = prediction - target
    return np.mean(difference**2), difference / difference.size  # 2 * difference / difference.size


def row_size_twice(target, prediction):
    """The value is a sum over each row and a mean over the batch, the gradient that of the mean over every element."""
    difference = prediction - target
    return np.sum(difference**2) / len(difference), 2 * difference / difference.size  # / len(difference)


def constant_forgotten(mu, logvar):
    """The KL divergence's gradient by logvar, where the term -logvar / 2 of the value left no trace."""
    return kl_divergence(mu, logvar)[0], np.exp(logvar) / (2 * len(mu))  # (np.exp(logvar) - 1) / (2 * len(mu))


class BetaUnused(VAE):
    """The loss of beta = 2, but the gradient of beta = 1."""

    def loss(self, x, noise, **settings):
        super().loss(x, noise)
        cache = self._cache
        losses = super().loss(x, noise, beta=2)
        self._cache = cache  # should not be here
        return losses


class NoiseSlope(VAE):
    """sigma = exp(logvar / 2), differentiated as if it were exp(logvar)."""

    def loss(self, x, noise, **settings):
        losses = super().loss(x, noise, **settings)
        grad_prediction, dz_dlogvar, *rest = self._cache
        self._cache = (grad_prediction, 2 * dz_dlogvar, *rest)  # dz_dlogvar
        return losses


class Bug(NamedTuple):
    """A planted bug, by the class or function that shows it."""

    wrong: object
    build: object  # build(rng) -> what gradcheck takes, for an input (3, 4)
    named: str  # the line by which gradcheck shows that it recognises the mistake, with * for anything


def _plain(wrong):
    return lambda rng: wrong()


def _loss(function):
    return lambda rng: functools.partial(function, rng.standard_normal((N, FEATURES)))


def _vae(wrong):
    return lambda rng: VAELoss(wrong(FEATURES, 5, 2, rng=rng, dtype=np.float64), rng.standard_normal((N, 2)))


BUGS = {
    bug.wrong.__name__: bug
    for bug in [
        Bug(WrongSign, WrongSign, "hint: input: is -1 times the right one: the sign"),
        Bug(FactorTwo, FactorTwo, "hint: weight: is 2 times the right one: the 2 of a square's derivative"),
        Bug(MeanOverBatch, MeanOverBatch, "hint: bias: is 0.333333 times the right one: 1 / the batch size"),
        Bug(FirstRowOnly, FirstRowOnly, "hint: bias: does not depend on the last row of grad_output: sum over the *"),
        Bug(NotSummed, NotSummed, "*: bias.grad has shape (3, 4), wanted (4,): sum it over the batch"),
        Bug(ForgottenBias, ForgottenBias, "hint: bias: is 0: backward does not compute it"),
        Bug(TransposedWeight, TransposedWeight, "hint: input: would be right with weight transposed"),
        Bug(TransposedGradient, TransposedGradient, "hint: weight: is transposed"),
        Bug(TransposedShape, TransposedShape, "*: weight.grad has shape (4, 2), wanted (2, 4): is it transposed?"),
        Bug(Overwritten, Overwritten, "hint: weight: is overwritten: write += instead of =, for gradients add up"),
        Bug(OneEntry, OneEntry, "hint: input: is wrong at 1 of 12 entries alone: *"),
        Bug(InputForUpstream, InputForUpstream, "hint: input: does not depend on grad_output: multiply by it"),
        Bug(
            SharedOverwritten,
            SharedOverwritten,
            "hint: each layer is right by itself: look at how they are put together",
        ),
        Bug(ForgottenSkip, ForgottenSkip, "hint: input: lacks grad_output itself: x also reaches the output *"),
        Bug(DroppedUpstream, _plain(DroppedUpstream), "hint: input: does not depend on grad_output: *"),
        Bug(SlopeAtOutput, _plain(SlopeAtOutput), "hint: input: is the derivative at the output of forward: *"),
        Bug(SlopeOfInput, _plain(SlopeOfInput), "hint: input: would be right if x were the output: *"),
        Bug(EarlierForward, _plain(EarlierForward), "hint: input: is the derivative at the input of an earlier *"),
        Bug(CacheChanged, _plain(CacheChanged), "hint: input: is right at first, but not in a second backward, *"),
        Bug(MaskOfUpstream, _plain(MaskOfUpstream), "hint: input: does not turn round with grad_output: *"),
        Bug(WritesToUpstream, _plain(WritesToUpstream), "*: backward writes to grad_output, *"),
        Bug(WritesToInput, _plain(WritesToInput), "*: forward writes to x, which is not its own"),
        Bug(Float32Inside, _plain(Float32Inside), "*: the gradient of the input is float32, wanted float64"),
        Bug(Squeezed, Squeezed, "right for a batch of 3, but for a batch of 1: *"),
        Bug(sum_for_mean, _loss(sum_for_mean), "hint: input: is 12 times the right one: the size of x"),
        Bug(half_forgotten, _loss(half_forgotten), "hint: input: is 0.5 times *: 1 / the 2 of a square's derivative"),
        Bug(row_size_twice, _loss(row_size_twice), "hint: input: is 0.25 times *: 1 / the size of a row of x"),
        Bug(constant_forgotten, _loss(constant_forgotten), "hint: input: is off by the constant *: a constant *"),
        Bug(BetaUnused, _vae(BetaUnused), "hint: each layer is right by itself: look at how they are put together"),
        Bug(NoiseSlope, _vae(NoiseSlope), "hint: each layer is right by itself: look at how they are put together"),
    ]
}
