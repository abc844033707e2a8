"""Convolutions, pooling and upsampling, with loops."""

import numpy as np

from nnlite import Layer, Parameter
from students import normal, student


@student(lambda make, rng: (make(normal(rng, 2, 3, 3), normal(rng, 2)), normal(rng, 2, 3, 6)))
class Conv1d(Layer):
    """x: (N, C, L), weight: (O, C, K)."""

    def __init__(self, weight, bias):
        self.weight, self.bias = Parameter(weight), Parameter(bias)

    def forward(self, x):
        W, (N, _, L) = self.weight.data, x.shape
        self._cache = x
        y = np.zeros((N, len(W), L - W.shape[2] + 1))
        for i in range(y.shape[2]):
            y[:, :, i] = np.tensordot(x[:, :, i : i + W.shape[2]], W, ([1, 2], [1, 2])) + self.bias.data
        return y

    def backward(self, grad_output, input_grad=True):
        x, W = self._cache, self.weight.data
        dx, K = np.zeros(x.shape), W.shape[2]
        self.bias.grad += grad_output.sum(axis=(0, 2))
        # WRONG bias's mean over the batch: self.bias.grad += grad_output.mean(axis=0).sum(axis=1)
        # WRONG bias without the last position: self.bias.grad += grad_output[:, :, :-1].sum(axis=(0, 2))
        for i in range(grad_output.shape[2]):
            # WRONG one position short: for i in range(grad_output.shape[2] - 1):
            g = grad_output[:, :, i]
            self.weight.grad += np.tensordot(g, x[:, :, i : i + K], (0, 0))
            # WRONG flipped weight: self.weight.grad += np.tensordot(g, x[:, :, i : i + K], (0, 0))[:, :, ::-1]
            dx[:, :, i : i + K] += np.tensordot(g, W, (1, 0))
            # WRONG overwritten: dx[:, :, i : i + K] = np.tensordot(g, W, (1, 0))
            # WRONG flipped kernel: dx[:, :, i : i + K] += np.tensordot(g, W, (1, 0))[:, :, ::-1]
        return dx
        # WRONG not written yet: return np.zeros(x.shape)


@student(lambda make, rng: (make(), normal(rng, 3, 6)))
class Blur(Layer):
    """Each row convolved with a kernel that is symmetric at the start."""

    def __init__(self):
        self.kernel = Parameter(np.array([0.25, 0.5, 0.25]))

    def forward(self, x):
        self._cache = x
        return np.stack([np.convolve(row, self.kernel.data, "valid") for row in x])

    def backward(self, grad_output, input_grad=True):
        for row, g in zip(self._cache, grad_output):
            self.kernel.grad += np.convolve(row[::-1], g, "valid")
        flipped = self.kernel.data[::-1]
        # WRONG not flipped (parameters): flipped = self.kernel.data
        return np.stack([np.convolve(g, flipped) for g in grad_output])


@student(lambda make, rng: (make(rng), normal(rng, 7)))
class Correlate(Layer):
    """A single row, by np.correlate."""

    def __init__(self, rng):
        self.kernel = Parameter(normal(rng, 3))

    def forward(self, x):
        self._cache = x
        return np.correlate(x, self.kernel.data, "valid")

    def backward(self, grad_output, input_grad=True):
        self.kernel.grad += np.correlate(self._cache, grad_output, "valid")
        # WRONG sign: self.kernel.grad -= np.correlate(self._cache, grad_output, "valid")
        # WRONG flipped: self.kernel.grad += np.correlate(self._cache, grad_output, "valid")[::-1]
        return np.convolve(grad_output, self.kernel.data, "full")


@student(lambda make, rng: (make(normal(rng, 2, 2, 2, 2)), normal(rng, 2, 2, 3, 4)))
class Conv2d(Layer):
    """x: (N, C, H, W), padded by a zero on each side, weight: (O, C, K, K)."""

    def __init__(self, weight):
        self.weight = Parameter(weight)

    def forward(self, x):
        W, K = self.weight.data, self.weight.data.shape[2]
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        self._cache = padded
        N, _, height, width = padded.shape
        y = np.zeros((N, len(W), height - K + 1, width - K + 1))
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                y[:, :, i, j] = np.einsum("nckl,ockl->no", padded[:, :, i : i + K, j : j + K], W)
        return y

    def backward(self, grad_output, input_grad=True):
        padded, W, K = self._cache, self.weight.data, self.weight.data.shape[2]
        dx = np.zeros(padded.shape)
        for i in range(grad_output.shape[2]):
            for j in range(grad_output.shape[3]):
                g = grad_output[:, :, i, j]
                # WRONG rows and columns swapped: g = grad_output[:, :, j % grad_output.shape[2], i]
                window = padded[:, :, i : i + K, j : j + K]
                self.weight.grad += np.einsum("no,nckl->ockl", g, window)
                # WRONG first image alone: self.weight.grad += np.einsum("o,ckl->ockl", g[0], window[0])
                dx[:, :, i : i + K, j : j + K] += np.einsum("no,ockl->nckl", g, W)
                # WRONG kernel transposed: dx[:, :, i : i + K, j : j + K] += np.einsum("no,oclk->nckl", g, W)
                # WRONG channels swapped: dx[:, :, i : i + K, j : j + K] += np.einsum("no,cokl->nckl", g, W)
        return dx[:, :, 1:-1, 1:-1]
        # WRONG padding cut off at one side: return dx[:, :, 2:, 2:]


@student(lambda make, rng: (make(), normal(rng, 2, 3, 4, 4)))
@student(lambda make, rng: (make(), rng.integers(0, 2, (2, 1, 4, 4)).astype(float)), "ties")
class MaxPool2d(Layer):
    """Over 2 by 2."""

    def forward(self, x):
        N, C, H, W = x.shape
        blocks = x.reshape(N, C, H // 2, 2, W // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(N, C, H // 2, W // 2, 4)
        self._cache = blocks, x.shape
        return blocks.max(axis=-1)

    def backward(self, grad_output, input_grad=True):
        blocks, (N, C, H, W) = self._cache
        mask = np.arange(4) == blocks.argmax(axis=-1)[..., None]
        # WRONG [ties] all of a tie: mask = blocks == blocks.max(axis=-1, keepdims=True)
        # WRONG smallest: mask = np.arange(4) == blocks.argmin(axis=-1)[..., None]
        # WRONG shared by all: mask = np.full(blocks.shape, 0.25)
        dx = mask * grad_output[..., None]
        # WRONG order of memory (order): dx = mask * grad_output.ravel("K").reshape(*mask.shape[:-1], 1)
        return dx.reshape(N, C, H // 2, W // 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(N, C, H, W)
        # WRONG not put back in order: return dx.reshape(N, C, H, W)


@student(lambda make, rng: (make(), normal(rng, 2, 7) + [0, 0, 9, 0, 0, 0, 0]))
class MaxPool1d(Layer):
    """Over 3, in steps of 2, so that they overlap."""

    def forward(self, x):
        self._cache = x
        y = np.zeros((len(x), (x.shape[1] - 1) // 2))
        for i in range(y.shape[1]):
            y[:, i] = np.amax(x[:, 2 * i : 2 * i + 3], axis=1)
        return y

    def backward(self, grad_output, input_grad=True):
        dx, rows = np.zeros(self._cache.shape), np.arange(len(self._cache))
        for i in range(grad_output.shape[1]):
            where = 2 * i + np.argmax(self._cache[:, 2 * i : 2 * i + 3], axis=1)
            # WRONG start of the window forgotten: where = np.argmax(self._cache[:, 2 * i : 2 * i + 3], axis=1)
            dx[rows, where] += grad_output[:, i]
            # WRONG overwritten: dx[rows, where] = grad_output[:, i]
        return dx


@student(lambda make, rng: (make(), normal(rng, 2, 3, 6)))
class MeanPool(Layer):
    """Over 2, along the last axis."""

    def forward(self, x):
        return x.reshape(*x.shape[:-1], -1, 2).mean(axis=-1)

    def backward(self, grad_output, input_grad=True):
        return np.repeat(grad_output, 2, axis=-1) / 2
        # WRONG not divided: return np.repeat(grad_output, 2, axis=-1)
        # WRONG tiled: return np.tile(grad_output, 2) / 2


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
class Upsample(Layer):
    def forward(self, x):
        return np.repeat(x, 2, axis=1)

    def backward(self, grad_output, input_grad=True):
        return grad_output.reshape(len(grad_output), -1, 2).sum(axis=2)
        # WRONG mean for sum: return grad_output.reshape(len(grad_output), -1, 2).mean(axis=2)
        # WRONG every second: return grad_output[:, ::2].copy()
