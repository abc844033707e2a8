"""Inputs at a kink, where there is no one slope: padding, ties, one-hot rows and exact zeros."""

import numpy as np

from nnlite import Layer, Parameter
from students import normal, student


def padded(rng):
    """Rows (3, 5), of which two end in zeros."""
    return normal(rng, 3, 5) * [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]


def one_hot(rng):
    return np.eye(5)[rng.integers(0, 5, (3, 2))]


@student(lambda make, rng: (make(rng), padded(rng)))
class PooledReLU(Layer):
    """ReLU(w x), divided by the number of tokens that are no padding."""

    def __init__(self, rng):
        self.w = Parameter(normal(rng, 5))

    def forward(self, x):
        z, n = self.w.data * x, np.sum(x != 0, axis=1, keepdims=True)
        self._cache = x, z > 0, n
        return np.maximum(z, 0) / n

    def backward(self, grad_output, input_grad=True):
        x, on, n = self._cache
        d = grad_output * on / n
        # WRONG divided by all: d = grad_output * on / x.shape[1]
        self.w.grad += (d * x).sum(axis=0)
        # WRONG w divided by all: self.w.grad += (grad_output * on * x).sum(axis=0) / x.shape[1]
        return d * self.w.data


@student(lambda make, rng: (make(), padded(rng)))
class MaskedMean(Layer):
    """The mean of the numbers that are not 0."""

    def forward(self, x):
        self._cache = x != 0
        return x.sum(axis=1) / self._cache.sum(axis=1)

    def backward(self, grad_output, input_grad=True):
        mask = self._cache
        return mask * (grad_output / mask.sum(axis=1))[:, None]
        # WRONG divided by all: return mask * (grad_output / mask.shape[1])[:, None]
        # WRONG sum for mean: return mask * grad_output[:, None]


@student(lambda make, rng: (make(rng), one_hot(rng)))
class OneHotEmbedding(Layer):
    """x: one-hot rows (N, T, V); the sum of their embeddings, by the number of different tokens, with a bias."""

    def __init__(self, rng):
        self.E, self.b = Parameter(normal(rng, 5, 3)), Parameter(np.zeros(3))

    def forward(self, x):
        kinds = np.count_nonzero(x.sum(axis=1), axis=1)[:, None]
        self._cache = x, kinds
        return (x @ self.E.data).sum(axis=1) / kinds + np.maximum(self.b.data, 0)

    def backward(self, grad_output, input_grad=True):
        x, kinds = self._cache
        g = grad_output / kinds
        # WRONG divided by T + 1: g = grad_output / (x.shape[1] + 1)
        self.E.grad += np.einsum("ntv,nd->vd", x, g)
        # WRONG first token alone: self.E.grad += np.einsum("nv,nd->vd", x[:, 0], g)
        self.b.grad += grad_output.sum(axis=0) * (self.b.data > 0)
        # WRONG b ten times: self.b.grad += 10 * grad_output.sum(axis=0)
        return np.repeat((g @ self.E.data.T)[:, None], x.shape[1], axis=1)


@student(lambda make, rng: (make(), rng.permutation([0.0, 0, 0, 0, 1, 1, 2, 2, -1, -1, -2, -2]).reshape(3, 4)))
class ReLUOfWholeNumbers(Layer):
    """With exact zeros in x."""

    def forward(self, x):
        self._cache = x
        return np.where(x > 0, x, 0)

    def backward(self, grad_output, input_grad=True):
        return grad_output * (self._cache >= 0)
        # WRONG slope 7 at 0: return grad_output * np.where(self._cache == 0, 7, self._cache > 0)
        # WRONG slope -1 at 0: return grad_output * np.where(self._cache == 0, -1, self._cache > 0)
        # WRONG 1 at 2: return grad_output * (self._cache >= 2)


@student(lambda make, rng: (make, np.array([0.0, 1.5, 0, -2, 0.3]) + [0, *normal(rng, 1), 0, 0, 0]))
def lasso(w):
    return 0.1 * np.sum(np.abs(w)), 0.1 * np.sign(w)
    # WRONG 1 at 0: return 0.1 * np.sum(np.abs(w)), np.where(w == 0, 1, 0.1 * np.sign(w))
    # WRONG sign: return 0.1 * np.sum(np.abs(w)), -0.1 * np.sign(w)


@student(lambda make, rng: (make, np.array([1.0, -1, 2, 0.5, -0.5, 1]), np.array([1, -1, 1, 1, 1, -1])))
def hinge_at_its_margin(score, y):
    margin = 1 - y * score
    slope = margin > 0
    # WRONG satisfied ones too: slope = margin != 0
    # WRONG twice at the margin: slope = np.where(margin == 0, 2, margin > 0)
    return np.mean(np.maximum(margin, 0)), -y * slope / len(y)


@student(lambda make, rng: (make(), rng.integers(-2, 3, (3, 6)) - [0, 0, 0, 0, 0, 9.0]))
class MaxOverTime(Layer):
    """The largest of a row, of whole numbers, so that there are ties."""

    def forward(self, x):
        self._cache = x
        return np.max(x, axis=1)

    def backward(self, grad_output, input_grad=True):
        dx = np.zeros(self._cache.shape)
        dx[np.arange(len(dx)), np.argmax(self._cache, axis=1)] = grad_output
        # WRONG last column: dx[:, -1] = grad_output
        # WRONG twice: dx[np.arange(len(dx)), np.argmax(self._cache, axis=1)] = 2 * grad_output
        return dx


@student(lambda make, rng: (make(), np.clip(2 * normal(rng, 3, 4), -1, 1)))
class ClippedAtItsLimits(Layer):
    def forward(self, x):
        self._cache = x
        return np.clip(x, -1, 1) + 0.1 * x

    def backward(self, grad_output, input_grad=True):
        return grad_output * (1.1 * (np.abs(self._cache) < 1) + 0.1 * (np.abs(self._cache) >= 1))
        # WRONG 0 at the limits: return grad_output * 1.1 * (np.abs(self._cache) < 1)
        # WRONG 0.1 forgotten: return grad_output * (np.abs(self._cache) < 1)


@student(lambda make, rng: (make(rng), normal(rng, 3, 4) * (rng.random((3, 4)) < 0.7)))
class LinearOfSparse(Layer):
    """x W, and |x|, whose slope jumps where x is 0."""

    def __init__(self, rng):
        self.W = Parameter(normal(rng, 4, 4))

    def forward(self, x):
        self._cache = x
        return x @ self.W.data + np.abs(x)

    def backward(self, grad_output, input_grad=True):
        x = self._cache
        self.W.grad += x.T @ grad_output
        # WRONG W transposed: self.W.grad += grad_output.T @ x
        # WRONG W's last row: self.W.grad[:-1] += (x.T @ grad_output)[:-1]
        return grad_output @ self.W.data.T + grad_output * np.sign(x)
        # WRONG size forgotten: return grad_output @ self.W.data.T
