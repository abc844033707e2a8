"""Embeddings, recurrent cells, attention and what stands around them."""

import numpy as np

from nnlite import Layer, Parameter
from students import normal, student


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@student(lambda make, rng: (make(normal(rng, 5, 3)), np.array([[0, 3, 1], [1, 4, 1]])))
class Embedding(Layer):
    """Tokens, whole numbers, in; rows of a table out."""

    def __init__(self, weight):
        self.weight = Parameter(weight)

    def forward(self, tokens):
        self._cache = tokens
        return self.weight.data[tokens]

    def backward(self, grad_output, input_grad=True):
        tokens = self._cache
        np.add.at(self.weight.grad, tokens, grad_output)
        # WRONG repeated tokens once: self.weight.grad[tokens] += grad_output
        # WRONG padding's row: np.add.at(self.weight.grad, tokens, grad_output * (tokens > 0)[..., None])
        # WRONG first row alone: np.add.at(self.weight.grad, tokens[0], grad_output[0])
        # WRONG order of memory (order): np.add.at(self.weight.grad, tokens, grad_output.ravel("K").reshape(2, 3, 3))


@student(lambda make, rng: (make(normal(rng, 5, 3)), np.array([[1, 3, 0], [2, 2, 2]]), np.array([2, 3])))
class BagOfWords(Layer):
    """The mean of the rows of the first tokens, as many as a second array says."""

    def __init__(self, weight):
        self.weight = Parameter(weight)

    def forward(self, tokens, counts):
        self._cache = tokens, counts
        return np.array([self.weight.data[row[:n]].mean(axis=0) for row, n in zip(tokens, counts)])

    def backward(self, grad_output, input_grad=True):
        for row, n, g in zip(*self._cache, grad_output):
            for token in row[:n]:
                # WRONG padding counts: for token in row:
                self.weight.grad[token] += g / n
                # WRONG divided by all: self.weight.grad[token] += g / len(row)
                # WRONG overwritten: self.weight.grad[token] = g / n


@student(lambda make, rng: (make(rng), normal(rng, 4, 2, 3)))
@student(lambda make, rng: (make(rng), normal(rng, 1, 2, 3)), "one step")
class RNN(Layer):
    """x: (T, N, D)."""

    def __init__(self, rng):
        self.Wx, self.Wh, self.b = (Parameter(0.3 * normal(rng, *shape)) for shape in [(3, 4), (4, 4), (4,)])

    def forward(self, x):
        h = [np.zeros((x.shape[1], 4))]
        for x_t in x:
            h.append(np.tanh(x_t @ self.Wx.data + h[-1] @ self.Wh.data + self.b.data))
        self._cache = x, h
        return np.stack(h[1:])

    def backward(self, grad_output, input_grad=True):
        x, h = self._cache
        dx, dh = np.zeros(x.shape), np.zeros(h[0].shape)
        for t in reversed(range(len(x))):
            dz = (grad_output[t] + dh) * (1 - h[t + 1] ** 2)
            # WRONG through time forgotten: dz = grad_output[t] * (1 - h[t + 1] ** 2)
            # WRONG clipped (upstream): dz = np.clip(grad_output[t] + dh, -5, 5) * (1 - h[t + 1] ** 2)
            # WRONG [one step] through time forgotten (batch): dz = grad_output[t] * (1 - h[t + 1] ** 2)
            self.Wx.grad += x[t].T @ dz
            self.Wh.grad += h[t].T @ dz
            # WRONG state of the same step: self.Wh.grad += h[t + 1].T @ dz
            # WRONG [one step] Wh's gradient transposed (batch): self.Wh.grad += dz.T @ h[t]
            self.b.grad += dz.sum(axis=0)
            dx[t] = dz @ self.Wx.data.T
            dh = dz @ self.Wh.data.T
            # WRONG Wh not transposed: dh = dz @ self.Wh.data
            # WRONG [one step] Wh not transposed (batch): dh = dz @ self.Wh.data
        return dx


@student(lambda make, rng: (make(rng), normal(rng, 2, 3), normal(rng, 2, 3)))
@student(lambda make, rng: (make(rng), normal(rng, 2, 3), np.zeros((2, 3))), "state 0")
class GRUCell(Layer):
    """x and the state h, with a gradient for each."""

    def __init__(self, rng):
        self.W, self.U = Parameter(normal(rng, 3, 3, 3)), Parameter(normal(rng, 3, 3, 3))
        self.b = Parameter(np.zeros((3, 3)))

    def forward(self, x, h):
        W, U, b = self.W.data, self.U.data, self.b.data
        r = sigmoid(x @ W[0] + h @ U[0] + b[0])
        z = sigmoid(x @ W[1] + h @ U[1] + b[1])
        n = np.tanh(x @ W[2] + r * (h @ U[2]) + b[2])
        self._cache = x, h, r, z, n
        return (1 - z) * n + z * h

    def backward(self, grad_output, input_grad=True):
        (x, h, r, z, n), W, U = self._cache, self.W.data, self.U.data
        dn = grad_output * (1 - z) * (1 - n * n)
        dz = grad_output * (h - n) * z * (1 - z)
        # WRONG h alone in dz: dz = grad_output * h * z * (1 - z)
        dr = dn * (h @ U[2]) * r * (1 - r)
        # WRONG h without U: dr = dn * h * r * (1 - r)
        # WRONG [state 0] h without U (input): dr = dn * h * r * (1 - r)
        for k, d in enumerate([dr, dz, dn]):
            self.W.grad[k] += x.T @ d
            self.U.grad[k] += h.T @ (d * r if k == 2 else d)
            # WRONG r forgotten in U: self.U.grad[k] += h.T @ d
            # WRONG [state 0] r forgotten in U (input): self.U.grad[k] += h.T @ d
            self.b.grad[k] += d.sum(axis=0)
            # WRONG bias's mean: self.b.grad[k] += d.mean(axis=0)
        dx = dr @ W[0].T + dz @ W[1].T + dn @ W[2].T
        dh = grad_output * z + dr @ U[0].T + dz @ U[1].T + (dn * r) @ U[2].T
        # WRONG h as it is forgotten: dh = dr @ U[0].T + dz @ U[1].T + (dn * r) @ U[2].T
        return dx, dh


@student(lambda make, rng: (make(rng), normal(rng, 2, 3)))
class LSTMStep(Layer):
    """The first step, from a state and a cell of 0: y = o tanh(i g)."""

    def __init__(self, rng):
        self.W, self.b = Parameter(normal(rng, 3, 12)), Parameter(np.zeros(12))

    def forward(self, x):
        i, f, o, g = np.split(x @ self.W.data + self.b.data, 4, axis=1)
        self._cache = x, sigmoid(i), f, sigmoid(o), np.tanh(g)
        return self._cache[3] * np.tanh(self._cache[1] * self._cache[4])

    def backward(self, grad_output, input_grad=True):
        x, i, f, o, g = self._cache
        tc = np.tanh(i * g)
        dc = grad_output * o * (1 - tc * tc)
        # WRONG slope of tanh: dc = grad_output * o * tc
        di, do, dg = dc * g * i * (1 - i), grad_output * tc * o * (1 - o), dc * i * (1 - g * g)
        dz = np.hstack([di, 0 * f, do, dg])
        # WRONG gates in another order: dz = np.hstack([di, do, 0 * f, dg])
        self.W.grad += x.T @ dz
        self.b.grad += dz.sum(axis=0)
        return dz @ self.W.data.T


@student(lambda make, rng: (make(), *(normal(rng, 2, 3, 4) for _ in range(3))))
class Attention(Layer):
    """q, k, v: (N, T, D), with a gradient for each."""

    def forward(self, q, k, v):
        s = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        a = np.exp(s - s.max(axis=-1, keepdims=True))
        a /= a.sum(axis=-1, keepdims=True)
        self._cache = q, k, v, a
        return a @ v

    def backward(self, grad_output, input_grad=True):
        q, k, v, a = self._cache
        da = grad_output @ v.transpose(0, 2, 1)
        ds = a * (da - np.sum(da * a, axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
        # WRONG scale forgotten: ds = a * (da - np.sum(da * a, axis=-1, keepdims=True))
        # WRONG softmax's sum forgotten: ds = a * da / np.sqrt(q.shape[-1])
        # WRONG sum over the wrong axis: ds = a * (da - np.sum(da * a, axis=1, keepdims=True)) / np.sqrt(q.shape[-1])
        return ds @ k, ds.transpose(0, 2, 1) @ q, a.transpose(0, 2, 1) @ grad_output
        # WRONG dk not transposed: return ds @ k, ds @ q, a.transpose(0, 2, 1) @ grad_output
        # WRONG dv not transposed: return ds @ k, ds.transpose(0, 2, 1) @ q, a @ grad_output
        # WRONG dq and dk swapped: return ds.transpose(0, 2, 1) @ q, ds @ k, a.transpose(0, 2, 1) @ grad_output


@student(lambda make, rng: (make(rng), normal(rng, 2, 3, 4), np.tri(3, dtype=bool)))
class MaskedSelfAttention(Layer):
    """x: (N, T, D), with a mask of T by T, and one head."""

    def __init__(self, rng):
        self.W = Parameter(0.5 * normal(rng, 3, 4, 4))

    def forward(self, x, mask):
        q, k, v = (x @ W for W in self.W.data)
        s = np.where(mask, q @ np.swapaxes(k, 1, 2) / 2, -1e9)
        e = np.exp(s - np.max(s, axis=2, keepdims=True))
        a = e / np.sum(e, axis=2, keepdims=True)
        self._cache = x, q, k, v, a
        return a @ v

    def backward(self, grad_output, input_grad=True):
        x, q, k, v, a = self._cache
        da, dv = grad_output @ np.swapaxes(v, 1, 2), np.swapaxes(a, 1, 2) @ grad_output
        ds = a * (da - np.sum(a * da, axis=2, keepdims=True)) / 2
        dq, dk = ds @ k, np.swapaxes(ds, 1, 2) @ q
        for grad, d in zip(self.W.grad, [dq, dk, dv]):
            grad += np.einsum("ntd,nte->de", x, d)
            # WRONG first row alone: grad += x[0].T @ d[0]
        return sum(d @ W.T for d, W in zip([dq, dk, dv], self.W.data))
        # WRONG values alone: return dv @ self.W.data[2].T
        # WRONG keys forgotten: return dq @ self.W.data[0].T + dv @ self.W.data[2].T


@student(lambda make, rng: (make(rng), normal(rng, 3, 4)))
class ResidualBlock(Layer):
    """y = x + W2 relu(W1 x)."""

    def __init__(self, rng):
        self.W1, self.W2 = Parameter(normal(rng, 4, 5)), Parameter(normal(rng, 5, 4))

    def forward(self, x):
        z = x @ self.W1.data
        self._cache = x, np.maximum(z, 0)
        return x + self._cache[1] @ self.W2.data

    def backward(self, grad_output, input_grad=True):
        x, h = self._cache
        self.W2.grad += h.T @ grad_output
        dz = grad_output @ self.W2.data.T * (h > 0)
        # WRONG ReLU forgotten: dz = grad_output @ self.W2.data.T
        self.W1.grad += x.T @ dz
        # WRONG W1 overwritten (again): self.W1.grad = x.T @ dz
        return grad_output + dz @ self.W1.data.T
        # WRONG skip forgotten: return dz @ self.W1.data.T
        # WRONG branch forgotten: return grad_output.copy()


@student(lambda make, rng: (make(rng), normal(rng, 3, 4)))
class TiedAutoencoder(Layer):
    """y = tanh(x W) W^T."""

    def __init__(self, rng):
        self.W = Parameter(normal(rng, 4, 4))

    def forward(self, x):
        self._cache = x, np.tanh(x @ self.W.data)
        return self._cache[1] @ self.W.data.T

    def backward(self, grad_output, input_grad=True):
        x, h = self._cache
        dz = (grad_output @ self.W.data) * (1 - h * h)
        # WRONG W transposed: dz = (grad_output @ self.W.data.T) * (1 - h * h)
        self.W.grad += x.T @ dz + grad_output.T @ h
        # WRONG decoder alone: self.W.grad += grad_output.T @ h
        # WRONG encoder alone: self.W.grad += x.T @ dz
        # WRONG decoder's not transposed: self.W.grad += x.T @ dz + h.T @ grad_output
        return dz @ self.W.data.T


@student(lambda make, rng: (make(rng), normal(rng, 3, 4)))
class ReZero(Layer):
    """y = x + alpha tanh(x W), where alpha is 0 at the start."""

    def __init__(self, rng):
        self.alpha, self.W = Parameter(np.zeros(1)), Parameter(normal(rng, 4, 4))

    def forward(self, x):
        self._cache = x, np.tanh(x @ self.W.data)
        return x + self.alpha.data * self._cache[1]

    def backward(self, grad_output, input_grad=True):
        x, h = self._cache
        self.alpha.grad += np.sum(grad_output * h)
        dz = self.alpha.data * grad_output * (1 - h * h)
        self.W.grad += x.T @ dz
        # WRONG twice W (parameters): self.W.grad += 2 * x.T @ dz
        return grad_output + dz @ self.W.data.T
        # WRONG branch forgotten (parameters): return grad_output.copy()


@student(lambda make, rng: (make(rng), normal(rng, 3, 4)))
class LoRA(Layer):
    """y = x W + x A B, where W is fixed and B is 0 at the start."""

    def __init__(self, rng):
        self.W = normal(rng, 4, 3)
        self.A, self.B = Parameter(normal(rng, 4, 2)), Parameter(np.zeros((2, 3)))

    def forward(self, x):
        self._cache = x
        return x @ self.W + x @ self.A.data @ self.B.data

    def backward(self, grad_output, input_grad=True):
        x = self._cache
        self.A.grad += x.T @ grad_output @ self.B.data.T
        # WRONG not written yet (parameters): pass
        self.B.grad += (x @ self.A.data).T @ grad_output
        return grad_output @ (self.W + self.A.data @ self.B.data).T
        # WRONG branch forgotten (parameters): return grad_output @ self.W.T


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
class IdentityLinear(Layer):
    """y = (x W + b)^2, where W is the identity and b is 0 at the start."""

    def __init__(self):
        self.W, self.b = Parameter(np.eye(4)), Parameter(np.zeros(4))

    def forward(self, x):
        self._cache = x, x @ self.W.data + self.b.data
        return self._cache[1] ** 2

    def backward(self, grad_output, input_grad=True):
        x, z = self._cache
        dz = 2 * grad_output * z
        # WRONG b forgotten (parameters): dz = 2 * grad_output * (x @ self.W.data)
        self.W.grad += x.T @ dz
        self.b.grad += dz.sum(axis=0)
        return dz @ self.W.data.T
        # WRONG W not transposed (parameters): return dz @ self.W.data


@student(lambda make, rng: (make(rng), normal(rng, 3, 4)))
class Highway(Layer):
    """y = t h + (1 - t) x, where t, a gate for each feature, and h = x W."""

    def __init__(self, rng):
        self.W, self.gate = Parameter(normal(rng, 4, 4)), Parameter(np.zeros(4))

    def forward(self, x):
        self._cache = x, x @ self.W.data, sigmoid(self.gate.data)
        return self._cache[2] * self._cache[1] + (1 - self._cache[2]) * x

    def backward(self, grad_output, input_grad=True):
        x, h, t = self._cache
        self.W.grad += x.T @ (grad_output * t)
        # WRONG half for the gate (parameters): self.W.grad += x.T @ grad_output / 2
        self.gate.grad += np.sum(grad_output * (h - x), axis=0) * t * (1 - t)
        # WRONG slope of the gate (parameters): self.gate.grad += np.sum(grad_output * (h - x), axis=0) / 4
        return (grad_output * t) @ self.W.data.T + grad_output * (1 - t)
        # WRONG t for 1 - t (parameters): return (grad_output * t) @ self.W.data.T + grad_output * t


@student(lambda make, rng: (make(rng), normal(rng, 3, 4), normal(rng, 3, 5)))
class Bilinear(Layer):
    """y[n, o] = a[n] W[o] b[n], with a gradient for a and for b."""

    def __init__(self, rng):
        self.W = Parameter(normal(rng, 2, 4, 5))

    def forward(self, a, b):
        self._cache = a, b
        return np.einsum("ni,oij,nj->no", a, self.W.data, b)

    def backward(self, grad_output, input_grad=True):
        a, b = self._cache
        self.W.grad += np.einsum("no,ni,nj->oij", grad_output, a, b)
        # WRONG sum over b's columns: self.W.grad += np.einsum("no,ni->oi", grad_output, a)[..., None]
        da = np.einsum("no,oij,nj->ni", grad_output, self.W.data, b)
        db = np.einsum("no,oij,ni->nj", grad_output, self.W.data, a)
        # WRONG twice for b: db = 2 * np.einsum("no,oij,ni->nj", grad_output, self.W.data, a)
        return da, db


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
class SineAndCosine(Layer):
    """Both, stacked."""

    def forward(self, x):
        self._cache = x
        return np.stack([np.sin(x), np.cos(x)])

    def backward(self, grad_output, input_grad=True):
        return grad_output[0] * np.cos(self._cache) - grad_output[1] * np.sin(self._cache)
        # WRONG cosine forgotten: return grad_output[0] * np.cos(self._cache)
        # WRONG sign of the cosine: return grad_output[0] * np.cos(self._cache) + grad_output[1] * np.sin(self._cache)


@student(lambda make, rng: (make(rng), normal(rng, 3, 4)))
class Linear(Layer):
    def __init__(self, rng):
        self.W, self.b = Parameter(normal(rng, 4, 4)), Parameter(normal(rng, 4))

    def forward(self, x):
        self._cache = x
        return np.dot(x, self.W.data) + self.b.data

    def backward(self, grad_output, input_grad=True):
        self.W.grad += np.dot(self._cache.T, grad_output)
        # WRONG transposed: self.W.grad += np.dot(grad_output.T, self._cache)
        # WRONG twice and overwritten: self.W.grad = 2 * np.dot(self._cache.T, grad_output)
        # WRONG summed in float32: self.W.grad += np.dot(np.float32(self._cache.T), np.float32(grad_output))
        # WRONG clipped (upstream): self.W.grad += np.clip(np.dot(self._cache.T, grad_output), -50, 50)
        db = np.sum(grad_output, axis=0)
        self.b.grad += db
        # WRONG not summed: self.b.grad = self.b.grad + grad_output
        # WRONG scaled to length 100 (upstream): self.b.grad += db / max(1, np.linalg.norm(db) / 100)
        # WRONG b twice and overwritten: self.b.grad = 2 * db
        return np.dot(grad_output, self.W.data.T)
        # WRONG not transposed: return np.dot(grad_output, self.W.data)
        # WRONG x for the upstream: return np.dot(self._cache, self.W.data.T)
        # WRONG order of memory (order): return np.dot(grad_output.reshape(-1, order="A").reshape(-1, 4), self.W.data.T)
