"""Activations, element by element, and Dropout."""

import math

import numpy as np

from nnlite import Layer, Parameter
from students import normal, student


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
class ReLU(Layer):
    def forward(self, x):
        self._cache = x
        return np.maximum(x, 0)

    def backward(self, grad_output, input_grad=True):
        return grad_output * (self._cache > 0)
        # WRONG mask of the upstream: return grad_output * (grad_output > 0)
        # WRONG mask at 1: return grad_output * (self._cache >= 1)
        # WRONG upstream forgotten: return 1.0 * (self._cache > 0)


@student(lambda make, rng: (make(), -0.1 - rng.random((3, 4))))
class DeadReLU(Layer):
    def forward(self, x):
        self._cache = x
        return x * (x > 0)

    def backward(self, grad_output, input_grad=True):
        return grad_output * (self._cache > 0)
        # WRONG x for 1 (input): return grad_output * self._cache * (self._cache > 0)


@student(lambda make, rng: (make(), 0.1 + rng.random((3, 4))))
class LeakyReLU(Layer):
    def forward(self, x):
        self._cache = x
        return np.where(x > 0, x, 0.01 * x)

    def backward(self, grad_output, input_grad=True):
        return np.where(self._cache > 0, grad_output, 0.01 * grad_output)
        # WRONG as ReLU (input): return np.where(self._cache > 0, grad_output, 0)


@student(lambda make, rng: (make(4), normal(rng, 3, 4)))
class PReLU(Layer):
    def __init__(self, features):
        self.a = Parameter(np.full(features, 0.25))

    def forward(self, x):
        self._cache = x
        return np.maximum(x, 0) + self.a.data * np.minimum(x, 0)

    def backward(self, grad_output, input_grad=True):
        x = self._cache
        self.a.grad += np.sum(grad_output * np.minimum(x, 0), axis=0)
        # WRONG gradient of a over all x: self.a.grad += np.sum(grad_output * x, axis=0)
        # WRONG mean over the batch: self.a.grad += np.mean(grad_output * np.minimum(x, 0), axis=0)
        return grad_output * np.where(x > 0, 1, self.a.data)
        # WRONG 0.25 for a (parameters): return grad_output * np.where(x > 0, 1, 0.25)


@student(lambda make, rng: (make(), rng.uniform(0.1, 2, (3, 4))))
class ELU(Layer):
    def forward(self, x):
        y = np.where(x > 0, x, np.exp(x) - 1)
        self._cache = x, y
        return y.copy()

    def backward(self, grad_output, input_grad=True):
        x, y = self._cache
        return grad_output * np.where(x > 0, 1, y + 1)
        # WRONG y for y + 1 (input): return grad_output * np.where(x > 0, 1, y)


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
class Sigmoid(Layer):
    def forward(self, x):
        self._cache = 1 / (1 + np.exp(-x))
        return self._cache.copy()

    def backward(self, grad_output, input_grad=True):
        y = self._cache
        return grad_output * y * (1 - y)
        # WRONG sign: return grad_output * y * (y - 1)
        # WRONG y dropped: return grad_output * (1 - y)


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
class Tanh(Layer):
    def forward(self, x):
        self._cache = np.tanh(x)
        # WRONG earlier forward: self._cache = np.tanh(x) if self._cache is None else self._cache
        return self._cache.copy()

    def backward(self, grad_output, input_grad=True):
        slope = 1 - self._cache**2
        # WRONG square forgotten: slope = 1 - self._cache
        return grad_output * slope
        # WRONG plus for times: return grad_output + slope
        # WRONG clipped (upstream): return np.clip(grad_output, -5, 5) * slope
        # WRONG small ones dropped (upstream): return grad_output * (np.abs(grad_output) > 1e-6) * slope
        # WRONG order of memory (order): return grad_output.ravel("K").reshape(grad_output.shape) * slope


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
class MathTanh(Layer):
    """One number at a time, by math.tanh."""

    def forward(self, x):
        self._cache = x
        return np.array([[math.tanh(float(v)) for v in row] for row in x])

    def backward(self, grad_output, input_grad=True):
        return grad_output * (1 - np.tanh(self._cache) ** 2)
        # WRONG not written yet: return np.zeros_like(grad_output)
        # WRONG half: return 0.5 * grad_output * (1 - np.tanh(self._cache) ** 2)


def exact_slope(x):
    return 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2))) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


@student(lambda make, rng: (make(), 2 * normal(rng, 3, 4)), coarse=1e-9)
class GELU(Layer):
    """By its approximation with tanh, whose slope is not quite that of the function itself."""

    def forward(self, x):
        x = np.asarray(x, dtype=float)
        self._cache = x, np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
        return 0.5 * x * (1 + self._cache[1])

    def backward(self, grad_output, input_grad=True):
        x, t = self._cache
        slope = 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x * x)
        # WRONG inner slope: slope = 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * np.sqrt(2 / np.pi)
        # WRONG exact slope: slope = exact_slope(x)
        # WRONG not written yet: slope = np.zeros_like(x)
        return grad_output * slope


@student(lambda make, rng: (make(), normal(rng, 3, 4)), coarse=1e-9)
class ExactGELU(Layer):
    def forward(self, x):
        self._cache = x, 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))
        return x * self._cache[1]

    def backward(self, grad_output, input_grad=True):
        x, cdf = self._cache
        return grad_output * (cdf + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi))
        # WRONG product rule: return grad_output * cdf
        # WRONG density: return grad_output * (cdf + x * np.exp(-x * x) / np.sqrt(2 * np.pi))


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
class SiLU(Layer):
    def forward(self, x):
        self._cache = x, 1 / (1 + np.exp(-x))
        return x * self._cache[1]

    def backward(self, grad_output, input_grad=True):
        x, s = self._cache
        return grad_output * (s + x * s * (1 - s))
        # WRONG first term: return grad_output * x * s * (1 - s)
        # WRONG slope of sigmoid: return grad_output * (s + x * (1 - s))


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
class Swish(Layer):
    def __init__(self):
        self.beta = Parameter(np.ones(1))

    def forward(self, x):
        self._cache = x, 1 / (1 + np.exp(-self.beta.data * x))
        return x * self._cache[1]

    def backward(self, grad_output, input_grad=True):
        x, s = self._cache
        self.beta.grad += np.sum(grad_output * x * x * s * (1 - s))
        return grad_output * (s + self.beta.data * x * s * (1 - s))
        # WRONG beta forgotten (parameters): return grad_output * (s + x * s * (1 - s))


@student(lambda make, rng: (make(), 3 * normal(rng, 3, 4)))
class Softplus(Layer):
    def forward(self, x):
        self._cache = x
        return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))

    def backward(self, grad_output, input_grad=True):
        return grad_output / (1 + np.exp(-self._cache))
        # WRONG sign of x: return grad_output / (1 + np.exp(self._cache))
        # WRONG slope of log1p alone: return grad_output / (1 + np.exp(np.abs(self._cache)))


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
class Softsign(Layer):
    def forward(self, x):
        self._cache = 1 + np.abs(x)
        return x / self._cache

    def backward(self, grad_output, input_grad=True):
        return grad_output / self._cache**2
        # WRONG size as a constant: return grad_output / self._cache


@student(lambda make, rng: (make(), rng.uniform(-0.9, 0.9, (5, 6))))
class HardTanh(Layer):
    def forward(self, x):
        self._cache = x
        return np.clip(x, -1, 1)

    def backward(self, grad_output, input_grad=True):
        return grad_output * (np.abs(self._cache) < 1)
        # WRONG not clipped (input): return grad_output.copy()


@student(lambda make, rng: (make(rng.random((3, 4)) < 0.7, 0.7), normal(rng, 3, 4)))
class Dropout(Layer):
    """With a mask that is drawn once."""

    def __init__(self, mask, keep):
        self.mask, self.keep = mask, keep

    def forward(self, x):
        y = np.zeros(x.shape)
        y[self.mask] = x[self.mask] / self.keep
        return y

    def backward(self, grad_output, input_grad=True):
        return grad_output * self.mask / self.keep
        # WRONG scale forgotten: return grad_output * self.mask
        # WRONG mask forgotten: return grad_output / self.keep


@student(lambda make, rng: (make(), normal(rng, 3, 6)))
class GLU(Layer):
    """The first half of a row, gated by the sigmoid of the second."""

    def forward(self, x):
        a, b = np.split(x, 2, axis=1)
        self._cache = a, 1 / (1 + np.exp(-b))
        return a * self._cache[1]

    def backward(self, grad_output, input_grad=True):
        a, s = self._cache
        da, db = grad_output * s, grad_output * a * s * (1 - s)
        # WRONG gate as a constant: da, db = grad_output * s, 0 * s
        return np.hstack([da, db])
        # WRONG halves swapped: return np.hstack([db, da])
        # WRONG nothing for a small upstream (upstream): return np.hstack([da, db]) * (np.ptp(grad_output) > 1e-4)
