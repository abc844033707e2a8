"""Normalisation by mean, deviation and length."""

import numpy as np

from nnlite import Layer, Parameter
from students import normal, student


@student(lambda make, rng: (make(4), normal(rng, 3, 4)))
class LayerNorm(Layer):
    def __init__(self, features):
        self.gamma, self.beta = Parameter(np.ones(features)), Parameter(np.zeros(features))

    def forward(self, x):
        std = np.sqrt(np.var(x, axis=1, keepdims=True) + 1e-5)
        self._cache = (x - x.mean(axis=1, keepdims=True)) / std, std
        return self.gamma.data * self._cache[0] + self.beta.data

    def backward(self, grad_output, input_grad=True):
        y, std = self._cache
        self.gamma.grad += (grad_output * y).sum(axis=0)
        # WRONG gamma overwritten (again): self.gamma.grad = (grad_output * y).sum(axis=0)
        self.beta.grad += grad_output.sum(axis=0)
        # WRONG beta from the first row: self.beta.grad += grad_output[0]
        g = grad_output * self.gamma.data
        # WRONG gamma forgotten (parameters): g = grad_output
        return (g - g.mean(axis=1, keepdims=True) - y * (g * y).mean(axis=1, keepdims=True)) / std
        # WRONG variance as a constant: return (g - g.mean(axis=1, keepdims=True)) / std
        # WRONG mean as a constant: return (g - y * (g * y).mean(axis=1, keepdims=True)) / std
        # WRONG both as constants: return g / std
        # WRONG variance of all rows: return (g - g.mean(axis=1, keepdims=True) - y * (g * y).mean()) / std


@student(lambda make, rng: (make(4), 2 * normal(rng, 5, 4) + 1))
class BatchNorm(Layer):
    """In training: by the mean and the variance of the batch."""

    def __init__(self, features):
        self.gamma, self.beta = Parameter(np.ones(features)), Parameter(np.zeros(features))
        self.running_mean, self.running_var = np.zeros(features), np.ones(features)

    def forward(self, x):
        mean, var = x.mean(axis=0), x.var(axis=0)
        self.running_mean = 0.9 * self.running_mean + 0.1 * mean
        self.running_var = 0.9 * self.running_var + 0.1 * var
        self._cache = x - mean, 1 / np.sqrt(var + 1e-5)
        return self.gamma.data * self._cache[0] * self._cache[1] + self.beta.data

    def backward(self, grad_output, input_grad=True):
        centred, inv_std = self._cache
        N = len(centred)
        self.gamma.grad += np.sum(grad_output * centred * inv_std, axis=0)
        # WRONG gamma's gradient by x less its mean: self.gamma.grad += np.sum(grad_output * centred, axis=0)
        self.beta.grad += np.sum(grad_output, axis=0)
        dxhat = grad_output * self.gamma.data
        # WRONG gamma forgotten (parameters): dxhat = grad_output
        dvar = np.sum(dxhat * centred, axis=0) * -0.5 * inv_std**3
        # WRONG power of the deviation: dvar = np.sum(dxhat * centred, axis=0) * -0.5 * inv_std**2
        # WRONG variance as a constant: dvar = 0
        dmean = -np.sum(dxhat * inv_std, axis=0)
        # WRONG mean as a constant: dmean = 0
        return dxhat * inv_std + dvar * 2 * centred / N + dmean / N
        # WRONG N - 1 for N: return dxhat * inv_std + dvar * 2 * centred / (N - 1) + dmean / N


@student(lambda make, rng: (make(4), normal(rng, 3, 4)))
class RMSNorm(Layer):
    def __init__(self, features):
        self.gain = Parameter(np.ones(features))

    def forward(self, x):
        rms = np.linalg.norm(x, axis=1, keepdims=True) / np.sqrt(x.shape[1])
        self._cache = x / rms, rms
        return self.gain.data * x / rms

    def backward(self, grad_output, input_grad=True):
        y, rms = self._cache
        self.gain.grad += (grad_output * y).sum(axis=0)
        # WRONG gain's gradient by x: self.gain.grad += (grad_output * y * rms).sum(axis=0)
        g = grad_output * self.gain.data
        # WRONG gain forgotten (parameters): g = grad_output
        return (g - y * (g * y).mean(axis=1, keepdims=True)) / rms
        # WRONG length as a constant: return g / rms
        # WRONG sum for mean: return (g - y * (g * y).sum(axis=1, keepdims=True)) / rms


@student(lambda make, rng: (make(2, 4), normal(rng, 2, 4, 3)))
class GroupNorm(Layer):
    """x: (N, C, L), the C channels in groups."""

    def __init__(self, groups, channels):
        self.groups, self.gamma = groups, Parameter(np.ones((channels, 1)))

    def forward(self, x):
        self.shape = x.shape
        x = x.reshape(len(x), self.groups, -1)
        std = x.std(axis=2, keepdims=True) + 1e-5
        y = (x - x.mean(axis=2, keepdims=True)) / std
        self._cache = y, std
        return self.gamma.data * y.reshape(self.shape)

    def backward(self, grad_output, input_grad=True):
        y, std = self._cache
        self.gamma.grad += (grad_output * y.reshape(self.shape)).sum(axis=(0, 2))[:, None]
        g = (grad_output * self.gamma.data).reshape(y.shape)
        # WRONG gamma forgotten (parameters): g = grad_output.reshape(y.shape)
        # WRONG order of memory (order): g = (grad_output * self.gamma.data).reshape(y.shape, order="A")
        slope = (g * y).mean(axis=2, keepdims=True) * std / (std - 1e-5)
        # WRONG eps within the root: slope = (g * y).mean(axis=2, keepdims=True)
        # WRONG mean over the group of the sum: slope = (g * y).sum(axis=2, keepdims=True) * std / (std - 1e-5)
        return ((g - g.mean(axis=2, keepdims=True) - y * slope) / std).reshape(self.shape)


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
class L2Normalise(Layer):
    def forward(self, x):
        length = np.linalg.norm(x, axis=1, keepdims=True)
        self._cache = x / length, length
        return x / length

    def backward(self, grad_output, input_grad=True):
        y, length = self._cache
        return (grad_output - y * np.sum(y * grad_output, axis=1, keepdims=True)) / length
        # WRONG length as a constant: return grad_output / length
        # WRONG projection of y: return (grad_output - np.sum(y * grad_output, axis=1, keepdims=True)) / length


@student(lambda make, rng: (make(rng), normal(rng, 3, 4)))
class WeightNorm(Layer):
    """y = x w with w = g v / |v|, where g is |v| at the start."""

    def __init__(self, rng):
        self.v = Parameter(normal(rng, 4))
        self.g = Parameter(np.array([np.linalg.norm(self.v.data)]))

    def forward(self, x):
        self._cache = x
        return x @ (self.g.data * self.v.data / np.linalg.norm(self.v.data))

    def backward(self, grad_output, input_grad=True):
        length = np.linalg.norm(self.v.data)
        unit, dw = self.v.data / length, grad_output @ self._cache
        self.g.grad += dw @ unit
        self.v.grad += self.g.data / length * (dw - unit * (unit @ dw))
        # WRONG g forgotten (parameters): self.v.grad += dw - unit * (unit @ dw)
        # WRONG projection forgotten: self.v.grad += self.g.data / length * dw
        return np.outer(grad_output, self.g.data * unit)
        # WRONG v for w (parameters): return np.outer(grad_output, self.v.data)


@student(lambda make, rng: (make(), normal(rng, 3, 4), normal(rng, 3, 4)))
class Cosine(Layer):
    """The cosine of the angle between a and b, row by row, with a gradient for each."""

    def forward(self, a, b):
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        cos = np.sum(a * b, axis=1) / lengths
        self._cache = a, b, lengths[:, None], cos[:, None]
        return cos

    def backward(self, grad_output, input_grad=True):
        a, b, lengths, cos = self._cache
        g = grad_output[:, None]
        da = g * (b / lengths - cos * a / np.sum(a * a, axis=1, keepdims=True))
        # WRONG lengths as constants: da = g * b / lengths
        db = g * (a / lengths - cos * b / np.sum(b * b, axis=1, keepdims=True))
        # WRONG length of the other: db = g * (a / lengths - cos * b / np.sum(a * a, axis=1, keepdims=True))
        return da, db
        # WRONG swapped: return db, da
