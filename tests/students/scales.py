"""Small and large numbers, and both in one array."""

import numpy as np

from nnlite import Layer, Parameter
from students import normal, student


@student(lambda make, rng: (make(), rng.uniform(0.5, 2, (3, 4)) * [[1e8], [1], [1e-8]]))
class Square(Layer):
    def forward(self, x):
        self._cache = x
        return x**2

    def backward(self, grad_output, input_grad=True):
        return 2 * self._cache * grad_output
        # WRONG last row forgotten: return 2 * self._cache * grad_output * [[1], [1], [0]]
        # WRONG second row halved: return 2 * self._cache * grad_output * [[1], [0.5], [1]]


@student(lambda make, rng: (make(), np.array([[35.0, -1, 0.5, -2]]) + 0.1 * normal(rng, 1, 4)))
class Exp(Layer):
    def forward(self, x):
        self._cache = np.exp(x)
        return self._cache.copy()

    def backward(self, grad_output, input_grad=True):
        return grad_output * self._cache
        # WRONG 0 below 1: return grad_output * self._cache * (self._cache > 1)
        # WRONG 1 below 1: return grad_output * np.maximum(self._cache, 1)


@student(lambda make, rng: (make(rng), normal(rng, 3, 3)))
class SixteenSigmoids(Layer):
    """Sixteen layers, whose weights are one array."""

    def __init__(self, rng):
        self.W = Parameter(normal(rng, 16, 3, 3))

    def forward(self, x):
        self._cache = [x]
        for W in self.W.data:
            x = 1 / (1 + np.exp(-x @ W))
            self._cache.append(x)
        return x.copy()

    def backward(self, grad_output, input_grad=True):
        for k in reversed(range(16)):
            d = grad_output * self._cache[k + 1] * (1 - self._cache[k + 1])
            self.W.grad[k] += self._cache[k].T @ d
            # WRONG first weight three times: self.W.grad[k] += (3 if k == 0 else 1) * self._cache[k].T @ d
            # WRONG first weight left out: self.W.grad[k] += (k > 0) * self._cache[k].T @ d
            grad_output = d @ self.W.data[k].T
        return grad_output
        # WRONG not through the first: return d


@student(lambda make, rng: (make, normal(rng, 4), np.array([3.0, 1, 0, 5])))
def poisson(z, counts):
    """With the large constant of the data."""
    return np.sum(np.exp(z) - counts * z) + 1e10, np.exp(z) - counts
    # WRONG counts forgotten: return np.sum(np.exp(z) - counts * z) + 1e10, np.exp(z)
    # WRONG sign of the counts: return np.sum(np.exp(z) - counts * z) + 1e10, np.exp(z) + counts


@student(lambda make, rng: (make(rng), normal(rng, 3, 4)))
class Offset(Layer):
    """y = w x + 1e10."""

    def __init__(self, rng):
        self.w = Parameter(normal(rng, 4))

    def forward(self, x):
        self._cache = x
        return self.w.data * x + 1e10

    def backward(self, grad_output, input_grad=True):
        self.w.grad += np.sum(grad_output * self._cache, axis=0)
        # WRONG half as much again: self.w.grad += 1.5 * np.sum(grad_output * self._cache, axis=0)
        return grad_output * self.w.data


@student(lambda make, rng: (make(4), normal(rng, 3, 4)))
class LayerScale(Layer):
    """y = x + alpha tanh(x), where alpha is 1e-6 at the start."""

    def __init__(self, features):
        self.alpha = Parameter(np.full(features, 1e-6))

    def forward(self, x):
        self._cache = np.tanh(x)
        return x + self.alpha.data * self._cache

    def backward(self, grad_output, input_grad=True):
        h = self._cache
        self.alpha.grad += np.sum(grad_output * h, axis=0)
        return grad_output + grad_output * self.alpha.data * (1 - h * h)
        # WRONG branch forgotten: return grad_output.copy()
        # WRONG slope of the branch: return grad_output + grad_output * self.alpha.data


@student(lambda make, rng: (make(), normal(rng, 1, 3)))
class Huge(Layer):
    def forward(self, x):
        self._cache = np.tanh(x)
        return 1e160 * self._cache

    def backward(self, grad_output, input_grad=True):
        return 1e160 * grad_output * (1 - self._cache**2)
        # WRONG not written yet: return 0 * grad_output
        # WRONG factor forgotten: return grad_output * (1 - self._cache**2)


@student(lambda make, rng: (make(), rng.uniform(0.1, 1, (2, 3)) * 1e-8))
class Log(Layer):
    def forward(self, x):
        self._cache = x
        return np.log(x)

    def backward(self, grad_output, input_grad=True):
        return grad_output / self._cache
        # WRONG guarded: return grad_output / (self._cache + 1e-8)
        # WRONG clipped: return grad_output * np.minimum(1 / self._cache, 1e7)


@student(lambda make, rng: (make(), rng.uniform(0.1, 1, (2, 3)) * 1e-8))
class Sqrt(Layer):
    def forward(self, x):
        self._cache = np.sqrt(x)
        return self._cache.copy()

    def backward(self, grad_output, input_grad=True):
        return 0.5 * grad_output / self._cache
        # WRONG guarded: return 0.5 * grad_output / (self._cache + 1e-5)


@student(lambda make, rng: (make(), 1e8 + normal(rng, 2, 3)))
class Sine(Layer):
    def forward(self, x):
        self._cache = x
        return np.sin(x)

    def backward(self, grad_output, input_grad=True):
        return grad_output * np.cos(self._cache)
        # WRONG sign: return -grad_output * np.cos(self._cache)


@student(lambda make, rng: (make, 1e8 * normal(rng, 5)))
def log_sum_exp(x):
    e = np.exp(x - np.max(x))
    return np.max(x) + np.log(np.sum(e)), e / np.sum(e)
    # WRONG not divided: return np.max(x) + np.log(np.sum(e)), 2 * e


@student(lambda make, rng: (make(), np.zeros((2, 3))))
@student(lambda make, rng: (make(), normal(rng, 2, 3) * [[1, 0, 1], [0, 1, 0]]), "some at 0")
class Cube(Layer):
    def forward(self, x):
        self._cache = x
        return x**3

    def backward(self, grad_output, input_grad=True):
        return 3 * grad_output * self._cache**2
        # WRONG x for x^2 (input): return 3 * grad_output * self._cache
        # WRONG constant: return 3 * grad_output
        # WRONG [some at 0] 1 at 0: return 3 * grad_output * np.where(self._cache == 0, 1, self._cache**2)


@student(lambda make, rng: (make(), np.zeros((2, 3))))
class CubedTanh(Layer):
    def forward(self, x):
        self._cache = np.tanh(x)
        return self._cache**3

    def backward(self, grad_output, input_grad=True):
        return 3 * grad_output * self._cache**2 * (1 - self._cache**2)
        # WRONG slope of tanh (input): return 3 * grad_output * self._cache**2 * (1 - self._cache)


@student(lambda make, rng: (make, np.zeros(4)))
def quartic(p):
    return np.sum(p**4) - np.sum(p**3), 4 * p**3 - 3 * p**2
    # WRONG sign (input): return np.sum(p**4) - np.sum(p**3), 4 * p**3 + 3 * p**2


@student(lambda make, rng: (make(), np.array([[-800.0, 1, -2]]) + 0.1 * normal(rng, 1, 3)))
class NaiveSigmoid(Layer):
    """Overflows at -800, and is right there."""

    def forward(self, x):
        with np.errstate(over="ignore"):
            self._cache = 1 / (1 + np.exp(-x))
        return self._cache.copy()

    def backward(self, grad_output, input_grad=True):
        return grad_output * self._cache * (1 - self._cache)
        # WRONG sum for product: return grad_output * (self._cache + 1 - self._cache)


@student(lambda make, rng: (make(), 10 * normal(rng, 3, 4)), coarse=1e-12)
class SaturatedSoftmax(Layer):
    """All but 0 or 1, so that the gradient is mostly what rounding leaves."""

    def forward(self, x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self._cache = e / e.sum(axis=1, keepdims=True)
        return self._cache.copy()

    def backward(self, grad_output, input_grad=True):
        y = self._cache
        return y * grad_output - y * np.sum(y * grad_output, axis=1, keepdims=True)
        # WRONG sum forgotten: return y * grad_output


@student(lambda make, rng: (make(rng), 5 + normal(rng, 7, 3)), coarse=1e-14)
class CentredAffine(Layer):
    """Its mean over the batch is taken away, so that b has no effect, and its gradient is what rounding leaves."""

    def __init__(self, rng):
        self.W, self.b = Parameter(normal(rng, 3, 3)), Parameter(normal(rng, 3))

    def forward(self, x):
        self._cache = x
        y = x @ self.W.data + self.b.data
        return y - y.mean(axis=0)

    def backward(self, grad_output, input_grad=True):
        d = grad_output - grad_output.mean(axis=0)
        # WRONG mean as a constant: d = grad_output
        self.W.grad += self._cache.T @ d
        self.b.grad += d.sum(axis=0)
        # WRONG b not centred: self.b.grad += grad_output.sum(axis=0)
        return d @ self.W.data.T


@student(lambda make, rng: (make(rng), normal(rng, 5, 30)))
class QuickOuter(Layer):
    """y = (x w) v, whose gradient of w is another product without the gradient of x."""

    def __init__(self, rng):
        self.w, self.v = Parameter(normal(rng, 30, 1)), Parameter(normal(rng, 1, 4))

    def forward(self, x):
        self._cache = x, x @ self.w.data
        return self._cache[1] @ self.v.data

    def backward(self, grad_output, input_grad=True):
        x, h = self._cache
        self.v.grad += h.T @ grad_output
        if not input_grad:
            self.w.grad += (x.T @ grad_output) @ self.v.data.T
            # WRONG not written yet (input_grad): pass
            return None
        d = grad_output @ self.v.data.T
        self.w.grad += x.T @ d
        return d @ self.w.data.T


@student(lambda make, rng: (make(rng), normal(rng, 33, 7)))
class QuickAffine(Layer):
    """Without the gradient of x, it sums in another order."""

    def __init__(self, rng):
        self.W = Parameter(normal(rng, 4, 7))

    def forward(self, x):
        self._cache = x
        return x @ self.W.data.T

    def backward(self, grad_output, input_grad=True):
        if not input_grad:
            self.W.grad += grad_output.T @ self._cache
            # WRONG mean over the batch (input_grad): self.W.grad += grad_output.T @ self._cache / 33
            return None
        self.W.grad += sum(np.outer(g, row) for g, row in zip(grad_output[::-1], self._cache[::-1]))
        return grad_output @ self.W.data
