"""Inputs whose first axis is no batch, batches that cannot be of 1, and mistakes that show in the number of rows."""

import numpy as np

from nnlite import Layer, Parameter
from students import normal, student


@student(lambda make, rng: (make(), normal(rng, 5, 3)))
class UnbiasedBatchNorm(Layer):
    """By the variance with N - 1, so that one row has none."""

    def forward(self, x):
        std = np.std(x, axis=0, ddof=1)
        self._cache = (x - x.mean(axis=0)) / std, std
        return self._cache[0].copy()

    def backward(self, grad_output, input_grad=True):
        y, std = self._cache
        of_std = y * (grad_output * y).sum(axis=0) / (len(y) - 1)
        # WRONG N for N - 1: of_std = y * (grad_output * y).sum(axis=0) / len(y)
        # WRONG deviation as a constant: of_std = 0
        return (grad_output - grad_output.mean(axis=0) - of_std) / std


@student(lambda make, rng: (make(), normal(rng, 4, 3)))
class RefusesOneRow(Layer):
    """Centres each column, and wants more than one row."""

    def forward(self, x):
        if len(x) < 2:
            raise ValueError("expected more than 1 row in training")
        self._cache = len(x)
        return x - x.mean(axis=0)

    def backward(self, grad_output, input_grad=True):
        return grad_output - grad_output.mean(axis=0)
        # WRONG sum for mean: return grad_output - grad_output.sum(axis=0)
        # WRONG mean as a constant: return grad_output.copy()


@student(lambda make, rng: (make(), normal(rng, 2, 4)))
class CosineOfTwoRows(Layer):
    def forward(self, x):
        a, b = x
        self._cache = a, b, np.linalg.norm(a), np.linalg.norm(b)
        return np.dot(a, b) / (self._cache[2] * self._cache[3])

    def backward(self, grad_output, input_grad=True):
        a, b, na, nb = self._cache
        cos = a @ b / (na * nb)
        slopes = np.stack([b / (na * nb) - cos * a / na**2, a / (na * nb) - cos * b / nb**2])
        # WRONG lengths as constants: slopes = np.stack([b, a]) / (na * nb)
        return grad_output * slopes
        # WRONG sign of the upstream lost (upstream): return np.abs(grad_output) * slopes
        # WRONG upstream forgotten: return slopes


@student(lambda make, rng: (make, normal(rng, 4, 3)))
def pairs(z):
    """Contrastive: row 2 i and row 2 i + 1 are a pair."""
    d = z[::2] - z[1::2]
    e = np.exp(z @ z.T)
    off = e - np.diag(np.diag(e))
    grad = 2 * off @ z / np.sum(off)
    # WRONG once: grad = off @ z / np.sum(off)
    # WRONG with itself: grad = 2 * e @ z / np.sum(off)
    grad[::2] += 2 * d
    grad[1::2] -= 2 * d
    # WRONG sign of the second: grad[1::2] += 2 * d
    return np.sum(d**2) + np.log(np.sum(off)), grad


@student(lambda make, rng: (make, normal(rng, 5, 3)))
def covariance_penalty(x):
    """The squares of the covariances of different columns, over N - 1, as in VICReg."""
    c = x - x.mean(axis=0)
    C = np.cov(x.T)
    C -= np.diag(np.diag(C))
    return np.sum(C**2), 4 * c @ C / (len(x) - 1)
    # WRONG N for N - 1: return np.sum(C**2), 4 * c @ C / len(x)
    # WRONG square of the diagonal: return np.sum(C**2), 4 * c @ np.cov(x.T) / (len(x) - 1)
    # WRONG half: return np.sum(C**2), 2 * c @ C / (len(x) - 1)


@student(lambda make, rng: (make, normal(rng, 5, 2)))
def correlation(x):
    """One minus the correlation of two columns."""
    a, b = (x - x.mean(axis=0)).T
    r = np.corrcoef(x[:, 0], x[:, 1])[0, 1]
    na, nb = np.linalg.norm(a), np.linalg.norm(b)
    return 1 - r, -np.stack([b / (na * nb) - r * a / na**2, a / (na * nb) - r * b / nb**2], axis=1)
    # WRONG first column alone: return 1 - r, -np.stack([b / (na * nb) - r * a / na**2, 0 * b], axis=1)
    # WRONG not written yet: return 1 - r, np.zeros_like(x)


@student(lambda make, rng: (make(rng), normal(rng, 5, 6)))
class Picture(Layer):
    """One picture (H, W), no batch, convolved with a kernel (3, 3)."""

    def __init__(self, rng):
        self.kernel = Parameter(normal(rng, 3, 3))

    def forward(self, x):
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3))
        self._cache = x.shape, windows
        return np.einsum("ijkl,kl->ij", windows, self.kernel.data)

    def backward(self, grad_output, input_grad=True):
        shape, windows = self._cache
        self.kernel.grad += np.einsum("ijkl,ij->kl", windows, grad_output)
        # WRONG transposed: self.kernel.grad += np.einsum("ijkl,ij->lk", windows, grad_output)
        dx = np.zeros(shape)
        for i, row in enumerate(grad_output):
            for j, g in enumerate(row):
                dx[i : i + 3, j : j + 3] += g * self.kernel.data
                # WRONG flipped: dx[i : i + 3, j : j + 3] += g * self.kernel.data[::-1, ::-1]
        return dx


@student(lambda make, rng: (make(), normal(rng, 5, 2)))
class Steps(Layer):
    """From one row of a series (T, D) to the next."""

    def forward(self, x):
        self._cache = x.shape
        return x[1:] - x[:-1]

    def backward(self, grad_output, input_grad=True):
        dx = np.zeros(self._cache)
        dx[1:] += grad_output
        dx[:-1] -= grad_output
        # WRONG sign: dx[:-1] += grad_output
        # WRONG overwritten: dx[:-1] = -grad_output
        return dx


@student(lambda make, rng: (make(), normal(rng, 5, 3)))
class Cumulative(Layer):
    def forward(self, x):
        return np.cumsum(x, axis=0)

    def backward(self, grad_output, input_grad=True):
        return np.cumsum(grad_output[::-1], axis=0)[::-1]
        # WRONG forwards: return np.cumsum(grad_output, axis=0)


@student(lambda make, rng: (make(rng), normal(rng, 1, 4)))
class OneRow(Layer):
    """x W + b, for a batch that is of 1."""

    def __init__(self, rng):
        self.W, self.b = Parameter(normal(rng, 4, 3)), Parameter(normal(rng, 3))

    def forward(self, x):
        self._cache = x
        return x @ self.W.data + self.b.data

    def backward(self, grad_output, input_grad=True):
        self.W.grad += self._cache.T @ grad_output
        # WRONG mean over the batch (batch): self.W.grad += self._cache.T @ grad_output / len(grad_output)
        self.b.grad += grad_output.sum(axis=0)
        # WRONG b's mean over the batch (batch): self.b.grad += grad_output.mean(axis=0)
        # WRONG first row (batch): self.b.grad += grad_output[0]
        return grad_output @ self.W.data.T


@student(lambda make, rng: (make(rng), normal(rng, 3, 4)), coarse=1e-14)
class Head(Layer):
    """One number a row."""

    def __init__(self, rng):
        self.w = Parameter(normal(rng, 4))

    def forward(self, x):
        self._cache = x
        return np.tanh(x @ self.w.data)

    def backward(self, grad_output, input_grad=True):
        d = grad_output * (1 - np.tanh(self._cache @ self.w.data) ** 2)
        self.w.grad += d @ self._cache
        # WRONG not added for one row (one): self.w.grad += d @ self._cache if len(d) > 1 else 0
        return d[:, None] * self.w.data
        # WRONG squeezed (one): return np.squeeze(d[:, None] * self.w.data)
        # WRONG slope for one row (one): return (d if len(d) > 1 else grad_output)[:, None] * self.w.data
