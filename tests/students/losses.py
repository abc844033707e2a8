"""Losses, function(prediction, *others) -> (value, grad), and some that are Layers."""

import numpy as np

from nnlite import Layer, Linear, Parameter
from students import normal, student


@student(lambda make, rng: (make, normal(rng, 3, 4), rng.integers(0, 4, 3)))
@student(lambda make, rng: (make, 1e8 + normal(rng, 3, 4), rng.integers(0, 4, 3)), "logits of 1e8")
def cross_entropy(logits, labels):
    N = len(labels)
    e = np.exp(logits - np.max(logits, axis=1, keepdims=True))
    p = e / np.sum(e, axis=1, keepdims=True)
    grad = p.copy()
    grad[np.arange(N), labels] -= 1
    # WRONG 1 not subtracted: pass
    # WRONG first row alone: grad[0, labels[0]] -= 1
    # WRONG [logits of 1e8] 1 not subtracted: pass
    return -np.mean(np.log(p[np.arange(N), labels])), grad / N
    # WRONG sum for mean: return -np.mean(np.log(p[np.arange(N), labels])), grad
    # WRONG sign: return np.mean(np.log(p[np.arange(N), labels])), grad / N
    # WRONG [logits of 1e8] sum for mean: return -np.mean(np.log(p[np.arange(N), labels])), grad


@student(lambda make, rng: (make, normal(rng, 4, 3), np.array([0, 2, 1, 2]), rng.uniform(0.5, 2, 3)))
def weighted_cross_entropy(logits, labels, weights):
    one_hot = np.zeros(logits.shape)
    one_hot[np.arange(len(labels)), labels] = 1
    w = weights[labels]
    log_p = logits - np.log(np.sum(np.exp(logits), axis=1, keepdims=True))
    value = -np.sum(w * np.sum(one_hot * log_p, axis=1)) / np.sum(w)
    return value, w[:, None] * (np.exp(log_p) - one_hot) / np.sum(w)
    # WRONG weights forgotten: return value, (np.exp(log_p) - one_hot) / len(labels)
    # WRONG number for the sum of weights: return value, w[:, None] * (np.exp(log_p) - one_hot) / len(labels)


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
class Softmax(Layer):
    def forward(self, x):
        e = np.exp(x - np.max(x, axis=1, keepdims=True))
        self._cache = e / np.sum(e, axis=1, keepdims=True)
        return self._cache.copy()

    def backward(self, grad_output, input_grad=True):
        y = self._cache
        return y * (grad_output - np.sum(y * grad_output, axis=1, keepdims=True))
        # WRONG diagonal alone: return grad_output * y * (1 - y)
        # WRONG mean for sum: return y * (grad_output - np.mean(y * grad_output, axis=1, keepdims=True))


@student(lambda make, rng: (make, rng.uniform(0.05, 0.95, (3, 4)), rng.integers(0, 2, (3, 4))))
@student(
    lambda make, rng: (
        make,
        0.5 + (rng.integers(0, 2, 6) - 0.5) * (1 - 10 ** rng.uniform(-8, -6, 6)),
        np.arange(6) % 2,
    ),
    "probabilities near 0 and 1",
)
def binary_cross_entropy(p, y):
    value = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    return value, (p - y) / (p * (1 - p)) / p.size
    # WRONG with the slope of a sigmoid: return value, (p - y) / p.size
    # WRONG second term: return value, -y / p / p.size
    # WRONG sign of the second term: return value, -(y / p + (1 - y) / (1 - p)) / p.size
    # WRONG [probabilities near 0 and 1] clipped at 1e-4: return value, (p - y) / np.maximum(p * (1 - p), 1e-4) / p.size


@student(lambda make, rng: (make, 3 * normal(rng, 3, 4), rng.integers(0, 2, (3, 4))))
def bce_with_logits(z, y):
    value = np.mean(np.maximum(z, 0) - z * y + np.log(1 + np.exp(-np.abs(z))))
    return value, (1 / (1 + np.exp(-z)) - y) / z.size
    # WRONG sigmoid of the size: return value, (1 / (1 + np.exp(-np.abs(z))) - y) / z.size
    # WRONG mean over rows: return value, (1 / (1 + np.exp(-z)) - y) / len(z)


@student(lambda make, rng: (make, 2 * normal(rng, 3, 4), normal(rng, 3, 4)))
@student(lambda make, rng: (make, rng.uniform(-0.4, 0.4, (3, 4)), rng.uniform(-0.4, 0.4, (3, 4))), "all near")
@student(lambda make, rng: (make, 1e8 + 2 * normal(rng, 3, 4), 1e8 + normal(rng, 3, 4)), "1e8")
def huber(prediction, target, delta=1.0):
    r = prediction - target
    small = np.abs(r) <= delta
    value = np.sum(np.where(small, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta)))
    return value, np.where(small, r, delta * np.sign(r))
    # WRONG sign forgotten: return value, np.where(small, r, delta)
    # WRONG factor 2: return value, np.where(small, 2 * r, delta * np.sign(r))
    # WRONG [all near] never clipped (input): return value, r
    # WRONG [1e8] sign forgotten: return value, np.where(small, r, delta)


@student(lambda make, rng: (make, 2 * normal(rng, 8) + 9 * np.eye(8)[0], np.array([1, -1] * 4)))
@student(
    lambda make, rng: (make, np.array([2.0, -3.0, 1.5]) + rng.random(3) * [1, -1, 1], np.array([1, -1, 1])), "satisfied"
)
def hinge(score, y):
    margin = 1 - y * score
    value = np.sum(np.maximum(0, margin))
    return value, np.where(margin > 0, -y, 0.0)
    # WRONG mask forgotten: return value, -1.0 * y
    # WRONG y forgotten: return value, np.where(margin > 0, -1.0, 0.0)
    # WRONG [satisfied] sign (input): return value, np.where(margin > 0, y, 0.0)


@student(lambda make, rng: (make, 0.3 * normal(rng, 4, 3), rng.integers(0, 3, 4)))
def multiclass_hinge(scores, labels):
    """One loop, as in a course's first homework."""
    loss, grad = 0.0, np.zeros(scores.shape)
    for i in range(len(labels)):
        for j in range(scores.shape[1]):
            margin = scores[i, j] - scores[i, labels[i]] + 1
            if j != labels[i] and margin > 0:
                loss += margin
                grad[i, j] += 1
                grad[i, labels[i]] -= 1
                # WRONG right class forgotten: pass
                # WRONG right class once: grad[i, labels[i]] = -1
    return loss / len(labels), grad / len(labels)
    # WRONG not divided: return loss / len(labels), grad


@student(lambda make, rng: (make(), *(a := normal(rng, 2, 3, 4)), a[0] + 0.1 * normal(rng, 3, 4) + [[0], [0], [5]]))
@student(lambda make, rng: (make(), (a := 1 + rng.random((12, 4))), a + 0.01 * normal(rng, 12, 4), -a), "satisfied")
class Triplet(Layer):
    """Anchor, positive and negative, each with a gradient."""

    def forward(self, a, p, n):
        gap = np.sum((a - p) ** 2, axis=1) - np.sum((a - n) ** 2, axis=1) + 1
        self._cache = a, p, n, (gap > 0)[:, None]
        return np.sum(np.maximum(gap, 0))

    def backward(self, grad_output, input_grad=True):
        a, p, n, active = self._cache
        g = grad_output * active
        # WRONG mask forgotten: g = grad_output
        return 2 * g * (n - p), 2 * g * (p - a), 2 * g * (a - n)
        # WRONG sign of the negative: return 2 * g * (n - p), 2 * g * (p - a), 2 * g * (n - a)
        # WRONG upstream forgotten: return 2 * active * (n - p), 2 * active * (p - a), 2 * active * (a - n)
        # WRONG [satisfied] sign of the positive (input): return 2 * g * (n - p), 2 * g * (a - p), 2 * g * (a - n)


@student(lambda make, rng: (make, (a := normal(rng, 3, 4)), a + 0.5 * normal(rng, 3, 4), np.array([1, 0, 1])))
@student(lambda make, rng: (make, (a := 1.1 + rng.random((9, 1))), -a, np.zeros(9, int)), "far")
def contrastive(a, b, same):
    d = np.linalg.norm(a - b, axis=1)
    far = np.maximum(2 - d, 0)
    value = np.sum(same * d**2 + (1 - same) * far**2)
    return value, (2 * same - 2 * (1 - same) * far / d)[:, None] * (a - b)
    # WRONG slope of the square alone: return value, (2 * same - 2 * (1 - same) * far)[:, None] * (a - b)
    # WRONG [far] sign of the far ones (input): return value, (2 * same + 2 * (1 - same) * far / d)[:, None] * (a - b)


@student(lambda make, rng: (make, normal(rng, 3, 4), normal(rng, 3, 4)))
def cosine_loss(a, b):
    na, nb = np.sqrt(np.sum(np.abs(a) ** 2, axis=1)), np.sqrt(np.sum(np.abs(b) ** 2, axis=1))
    cos = np.sum(a * b, axis=1) / (na * nb)
    grad = -(b / (na * nb)[:, None] - cos[:, None] * a / (na**2)[:, None]) / len(a)
    # WRONG length as a constant: grad = -b / (na * nb)[:, None] / len(a)
    # WRONG length, not its square: grad = -(b / (na * nb)[:, None] - cos[:, None] * a / na[:, None]) / len(a)
    return 1 - np.mean(cos), grad


@student(lambda make, rng: (make, normal(rng, 3, 4), normal(rng, 3, 4)))
def mean_absolute_error(prediction, target):
    r = prediction - target
    return np.mean(np.abs(r)), np.sign(r) / r.size
    # WRONG sign: return np.mean(np.abs(r)), np.sign(target - prediction) / r.size
    # WRONG not divided: return np.mean(np.abs(r)), np.sign(r)
    # WRONG r for its sign: return np.mean(np.abs(r)), r / r.size


@student(lambda make, rng: (make, normal(rng, 3, 4), normal(rng, 3, 4)))
def pinball(prediction, target):
    """The loss of the quantile 0.8."""
    r = target - prediction
    return np.mean(np.maximum(0.8 * r, -0.2 * r)), np.where(r > 0, -0.8, 0.2) / r.size
    # WRONG quantiles swapped: return np.mean(np.maximum(0.8 * r, -0.2 * r)), np.where(r > 0, -0.2, 0.8) / r.size


@student(lambda make, rng: (make, normal(rng, 3, 4)))
def l1_penalty(w):
    return 0.1 * np.sum(w * np.sign(w)), 0.1 * np.sign(w)
    # WRONG factor 2: return 0.1 * np.sum(w * np.sign(w)), 0.2 * np.sign(w)
    # WRONG absolute value: return 0.1 * np.sum(w * np.sign(w)), 0.1 * np.abs(w)


@student(lambda make, rng: (make, normal(rng, 3, 4)))
def group_lasso(w):
    """The sum of the lengths of the rows."""
    lengths = np.sqrt(np.sum(np.abs(w) ** 2, axis=1))
    return np.sum(lengths), w / lengths[:, None]
    # WRONG not divided: return np.sum(lengths), w
    # WRONG not written yet: return np.sum(lengths), np.zeros_like(w)


@student(lambda make, rng: (make, normal(rng, 5)))
def squared_length(p):
    return np.vdot(p, p), 2 * p
    # WRONG not written yet: return np.vdot(p, p), 0 * p
    # WRONG half: return np.vdot(p, p), p


@student(lambda make, rng: (make, normal(rng, 5)))
def length(p):
    return np.linalg.norm(p), p / np.linalg.norm(p)
    # WRONG not written yet: return np.linalg.norm(p), np.zeros(5)
    # WRONG of the square: return np.linalg.norm(p), 2 * p


@student(lambda make, rng: (make, normal(rng, 4, 4)))
def log_determinant(a):
    """log|det a|, as normalising flows need it."""
    return np.linalg.slogdet(a)[1], np.linalg.inv(a).T
    # WRONG not written yet: return np.linalg.slogdet(a)[1], np.zeros(a.shape)
    # WRONG not transposed: return np.linalg.slogdet(a)[1], np.linalg.inv(a)


@student(lambda make, rng: (make, normal(rng, 3, 4), normal(rng, 3, 4)))
def kl_of_codes(mu, logvar):
    """To N(0, 1), by mu."""
    return 0.5 * np.mean(np.square(mu) + np.exp(logvar) - 1 - logvar), mu / mu.size
    # WRONG mean over the batch: return 0.5 * np.mean(np.square(mu) + np.exp(logvar) - 1 - logvar), mu / len(mu)
    # WRONG 0.1 too much: return 0.5 * np.mean(np.square(mu) + np.exp(logvar) - 1 - logvar), mu / mu.size + 0.1


@student(lambda make, rng: (make, rng.uniform(0.1, 0.9, (2, 6)), rng.integers(0, 2, (2, 6))))
def dice_loss(p, target):
    overlap, total = np.sum(p * target, axis=1, keepdims=True), np.sum(p + target, axis=1, keepdims=True)
    value = np.sum(1 - 2 * overlap / total)
    return value, -2 * (target * total - overlap) / total**2
    # WRONG total as a constant: return value, -2 * target / total
    # WRONG quotient rule with plus: return value, -2 * (target * total + overlap) / total**2


@student(lambda make, rng: (make, rng.uniform(0.1, 0.9, 6), np.array([0, 1, 1, 0, 1, 0])))
def focal_loss(p, y):
    q = np.where(y == 1, p, 1 - p)
    dq = 2 * (1 - q) * np.log(q) - (1 - q) ** 2 / q
    # WRONG weight as a constant: dq = -((1 - q) ** 2) / q
    return -np.sum((1 - q) ** 2 * np.log(q)), np.where(y == 1, dq, -dq)
    # WRONG sign where y is 0: return -np.sum((1 - q) ** 2 * np.log(q)), dq


@student(lambda make, rng: (make(rng), normal(rng, 3, 4), normal(rng, 3, 2)))
class Ridge(Layer):
    """The squared error of x W, with a penalty on W."""

    def __init__(self, rng):
        self.W = Parameter(normal(rng, 4, 2))

    def forward(self, x, target):
        self._cache = x, x @ self.W.data - target
        return np.mean(self._cache[1] ** 2) + 0.01 * np.linalg.norm(self.W.data) ** 2

    def backward(self, grad_output, input_grad=True):
        x, r = self._cache
        self.W.grad += grad_output * (2 / r.size * x.T @ r + 0.02 * self.W.data)
        # WRONG penalty forgotten: self.W.grad += grad_output * 2 / r.size * x.T @ r
        # WRONG penalty without the upstream: self.W.grad += grad_output * 2 / r.size * x.T @ r + 0.02 * self.W.data
        # WRONG penalty halved: self.W.grad += grad_output * (2 / r.size * x.T @ r + 0.01 * self.W.data)
        return grad_output * 2 / r.size * r @ self.W.data.T
        # WRONG residual's sign: return -grad_output * 2 / r.size * r @ self.W.data.T


@student(lambda make, rng: (make(rng), normal(rng, 4, 3), np.array([0, 1, 1, 0])))
class CentreLoss(Layer):
    """Each row's distance from the centre of its class, which is learned."""

    def __init__(self, rng):
        self.centres = Parameter(normal(rng, 2, 3))

    def forward(self, x, labels):
        self._cache = x - self.centres.data[labels], labels
        return 0.5 * np.vdot(self._cache[0], self._cache[0])

    def backward(self, grad_output, input_grad=True):
        d, labels = self._cache
        np.subtract.at(self.centres.grad, labels, grad_output * d)
        # WRONG rows of one class overwritten: self.centres.grad[labels] -= grad_output * d
        # WRONG sign: np.add.at(self.centres.grad, labels, grad_output * d)
        return grad_output * d
        # WRONG upstream forgotten: return d


@student(lambda make, rng: (make(Linear(4, 2, rng=rng, dtype=np.float64)), normal(rng, 3, 4)))
def loss_with_a_head(head):
    """The loss runs a layer, and its backward."""

    def loss(x):
        y = head(x)
        return np.sum(y * y), head.backward(2 * y)
        # WRONG half: return np.sum(y * y), head.backward(y)

    return loss
