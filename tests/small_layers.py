"""Small layers and losses that are right, for what the checker says of them."""

import numpy as np

from autoencoders import VAE, FCNAutoencoder
from autoencoders.vae import VAELoss
from demos.planted_bugs import FEATURES, N
from nnlite import Layer, Linear, Parameter, ReLU, Sequential, Tanh, kl_divergence, mse_loss


class Square(Linear):
    """A Linear with as many outputs as inputs."""

    def __init__(self, rng):
        super().__init__(FEATURES, FEATURES, rng=rng, dtype=np.float64)


class Changed(Square):
    """A Linear whose backward returns what a function makes of it, of grad_output, and of what it would return."""

    def __init__(self, rng, change):
        super().__init__(rng)
        self.change = change

    def backward(self, grad_output, input_grad=True):
        return self.change(self, grad_output, super().backward(grad_output))


class Scale(Layer):
    """y = w x, for one w a column."""

    def __init__(self, w):
        self.w = Parameter(w)

    def forward(self, x):
        self._cache = x
        return self.w.data * x

    def backward(self, grad_output, input_grad=True):
        self.w.grad += np.sum(grad_output * self._cache, axis=0)
        return grad_output * self.w.data


class Curve(Layer):
    """y = f(x), element by element, for a function and its slope."""

    def __init__(self, f, slope):
        self.f, self.slope = f, slope

    def forward(self, x):
        self._cache = self.slope(x)
        return self.f(x)

    def backward(self, grad_output, input_grad=True):
        return grad_output * self._cache


class Product(Layer):
    """y = a b."""

    def forward(self, a, b):
        self._cache = a, b
        return a * b

    def backward(self, grad_output, input_grad=True):
        a, b = self._cache
        return grad_output * b, grad_output * a


class Skip(Layer):
    """y = x + f(x)."""

    def __init__(self, f):
        self.f = f

    def forward(self, x):
        return x + self.f(x)

    def backward(self, grad_output, input_grad=True):
        return grad_output + self.f.backward(grad_output)


class Centred(Layer):
    """y = x less its mean over the batch, so that the gradient of a bias before it is 0 but for rounding."""

    def forward(self, x):
        return x - x.mean(axis=0)

    def backward(self, grad_output, input_grad=True):
        return grad_output - grad_output.mean(axis=0)


class Softmax(Layer):
    """y = exp(x) / sum of exp(x) over the row."""

    def forward(self, x):
        y = np.exp(x - x.real.max(axis=1, keepdims=True))
        self._cache = y / y.sum(axis=1, keepdims=True)
        return self._cache.copy()

    def backward(self, grad_output, input_grad=True):
        y = self._cache
        return y * (grad_output - np.sum(y * grad_output, axis=1, keepdims=True))


class LayerNorm(Layer):
    """y = (x - mean) / sqrt(variance + 1e-5) over each row; of a variance that is taken by np.var, if by_var."""

    def __init__(self, by_var=False):
        self.by_var = by_var

    def forward(self, x):
        centred = x - x.mean(axis=1, keepdims=True)
        variance = np.mean(centred * centred, axis=1, keepdims=True)
        scale = 1 / np.sqrt((x.var(axis=1, keepdims=True) if self.by_var else variance) + 1e-5)
        self._cache = centred * scale, scale
        return centred * scale

    def backward(self, grad_output, input_grad=True):
        y, scale = self._cache
        g = grad_output - grad_output.mean(axis=1, keepdims=True)
        return scale * (g - y * np.mean(grad_output * y, axis=1, keepdims=True))


def linear(rng, inputs=FEATURES, outputs=FEATURES):
    return Linear(inputs, outputs, rng=rng, dtype=np.float64)


def tied(rng):
    first, second = linear(rng), linear(rng)
    second.weight = first.weight
    return Sequential(first, Tanh(), second)


def cross_entropy(logits):
    shifted = np.exp(logits - logits.real.max(axis=1, keepdims=True))
    softmax = shifted / shifted.sum(axis=1, keepdims=True)
    return -np.mean(np.log(softmax[:, 0])), (softmax - (np.arange(logits.shape[1]) == 0)) / len(logits)


def vae_loss(rng, **settings):
    return VAELoss(VAE(FEATURES, 3, 1, rng=rng, dtype=np.float64), rng.standard_normal((N, 1)), **settings)


def mean_squared_error(rng):
    target = rng.standard_normal((N, FEATURES))
    return lambda prediction: mse_loss(prediction, target)


def kl_by_mu(rng):
    logvar = rng.standard_normal((N, FEATURES))
    return lambda mu: kl_divergence(mu, logvar)[:2]


def kl_by_logvar(rng):
    mu = rng.standard_normal((N, FEATURES))
    return lambda logvar: kl_divergence(mu, logvar)[::2]


RIGHT = {
    "Linear": linear,
    "Linear to 1 output": lambda rng: linear(rng, outputs=1),
    "Linear to 9 outputs": lambda rng: linear(rng, outputs=9),
    "ReLU": lambda rng: ReLU(),
    "Tanh": lambda rng: Tanh(),
    "empty Sequential": lambda rng: Sequential(),
    "Linear, ReLU": lambda rng: Sequential(linear(rng), ReLU()),
    "ReLU, Linear": lambda rng: Sequential(ReLU(), linear(rng)),
    "four Linears": lambda rng: Sequential(linear(rng), Tanh(), linear(rng), ReLU(), linear(rng), Tanh(), linear(rng)),
    "tied weights": tied,
    "skip": lambda rng: Skip(Sequential(linear(rng), Tanh())),
    "skip in skip": lambda rng: Skip(Sequential(linear(rng), Skip(Sequential(ReLU(), linear(rng))))),
    "centred": lambda rng: Sequential(linear(rng), Centred(), Tanh()),
    "layer norm": lambda rng: Sequential(linear(rng), LayerNorm()),
    "sigmoid": lambda rng: Curve(lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    "softplus": lambda rng: Curve(lambda x: np.log(1 + np.exp(x)), lambda x: 1 / (1 + np.exp(-x))),
    "sine": lambda rng: Sequential(linear(rng), Curve(np.sin, np.cos)),
    "cube": lambda rng: Curve(lambda x: x**3, lambda x: 3 * x**2),
    "mse_loss": mean_squared_error,
    "kl_divergence by mu": kl_by_mu,
    "kl_divergence by logvar": kl_by_logvar,
    "cross entropy": lambda rng: cross_entropy,
    "FCNAutoencoder": lambda rng: FCNAutoencoder(FEATURES, 3, 1, rng=rng, dtype=np.float64),
    "VAE": vae_loss,
    "VAE, sigma2 and beta": lambda rng: vae_loss(rng, sigma2=0.07, beta=0.5),
    "VAE, another target": lambda rng: vae_loss(rng, target=rng.standard_normal((N, FEATURES))),
}
