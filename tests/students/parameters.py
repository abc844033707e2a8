"""Parameters where nobody looks for them, attributes that cannot be copied, and arrays that share memory."""

import threading

import numpy as np

from nnlite import Layer, Parameter
from students import normal, student


class Scale(Layer):
    """y = w x. Those below are Scales, written in other ways."""

    def __init__(self, w):
        self.w = Parameter(w)

    def forward(self, x):
        self._cache = x
        return self.w.data * x

    def backward(self, grad_output, input_grad=True):
        self.w.grad += (grad_output * self._cache).sum(axis=0)
        return grad_output * self.w.data


@student(lambda make, rng: (make(normal(rng, 4)), normal(rng, 3, 4)))
class Replacing(Scale):
    def forward(self, x):
        self._cache = x
        # WRONG new w in forward, three times: self._cache, self.w = 3 * x, Parameter(self.w.data)
        return self.w.data * x

    def backward(self, grad_output, input_grad=True):
        dw = (grad_output * self._cache).sum(axis=0)
        self.w.grad += dw
        # WRONG new w in backward, three times: self.w = Parameter(self.w.data); self.w.grad += 3 * dw
        return grad_output * self.w.data


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
@student(lambda make, rng: (make(), normal(rng, 1, 4)), "one row")
class Lazy(Layer):
    """Its w is made in the first forward."""

    w = None

    def forward(self, x):
        if self.w is None:
            self.w = Parameter(np.arange(1.0, 5.0))
        self._cache = x
        return self.w.data * x

    def backward(self, grad_output, input_grad=True):
        self.w.grad += (grad_output * self._cache).sum(axis=0)
        # WRONG three times: self.w.grad += 3 * (grad_output * self._cache).sum(axis=0)
        # WRONG not written yet: pass
        # WRONG [one row] three times: self.w.grad += 3 * (grad_output * self._cache).sum(axis=0)
        return grad_output * self.w.data


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
class OfTheClass(Layer):
    w = Parameter(np.array([1.0, -2.0, 0.5, 3.0]))

    def forward(self, x):
        self._cache = x
        return self.w.data * x

    def backward(self, grad_output, input_grad=True):
        self.w.grad += (grad_output * self._cache).sum(axis=0)
        # WRONG three times: self.w.grad += 3 * (grad_output * self._cache).sum(axis=0)
        # WRONG not written yet: pass
        return grad_output * self.w.data


class FromFunctions(Layer):
    def __init__(self, f, b):
        self.f, self.b = f, b

    def forward(self, x):
        self._cache = x
        return self.f(x)

    def backward(self, grad_output, input_grad=True):
        return self.b(grad_output, self._cache)


@student(lambda make, rng: (make(normal(rng, 4)), normal(rng, 3, 4)))
def closures(w):
    """A Layer of two functions over a Parameter."""
    w = Parameter(w)

    def backward(grad_output, x):
        w.grad += (grad_output * x).sum(axis=0)
        # WRONG three times: w.grad += 3 * (grad_output * x).sum(axis=0)
        # WRONG not written yet: pass
        return grad_output * w.data

    return FromFunctions(lambda x: w.data * x, backward)


@student(lambda make, rng: (make(normal(rng, 4)), normal(rng, 3, 4)))
class Alias(Layer):
    """Its array goes by a second name."""

    def __init__(self, w):
        self.w = Parameter(w)
        self.weight = self.w.data

    def forward(self, x):
        self._cache = x
        return self.weight * x

    def backward(self, grad_output, input_grad=True):
        self.w.grad += (grad_output * self._cache).sum(axis=0)
        # WRONG not written yet: pass
        # WRONG sign: self.w.grad -= (grad_output * self._cache).sum(axis=0)
        return grad_output * self.weight


@student(lambda make, rng: (make(normal(rng, 4)), normal(rng, 3, 4)), coarse=1e-14)
class OfALambda(Layer):
    def __init__(self, w):
        self.w = Parameter(w)
        self.act = lambda x: np.tanh(self.w.data * x)

    def forward(self, x):
        self._cache = x, self.act(x)
        return self._cache[1].copy()

    def backward(self, grad_output, input_grad=True):
        x, y = self._cache
        d = grad_output * (1 - y * y)
        self.w.grad += (d * x).sum(axis=0)
        # WRONG not written yet: pass
        # WRONG slope forgotten: self.w.grad += (grad_output * x).sum(axis=0)
        return d * self.w.data


@student(lambda make, rng: (make(normal(rng, 8)), normal(rng, 3, 4)))
class FlatVector(Layer):
    """y = w x + b, where both are views of one vector."""

    def __init__(self, flat):
        self.flat = flat
        self.w, self.b = Parameter(flat[:4]), Parameter(flat[4:])

    def forward(self, x):
        self._cache = x
        return self.flat[:4] * x + self.flat[4:]

    def backward(self, grad_output, input_grad=True):
        self.w.grad += (grad_output * self._cache).sum(axis=0)
        # WRONG not written yet: pass
        self.b.grad += grad_output.sum(axis=0)
        # WRONG mean: self.b.grad += grad_output.mean(axis=0)
        return grad_output * self.flat[:4]


@student(lambda make, rng: (make(normal(rng, 3, 4)), normal(rng, 3, 4)))
class CalledInput(Layer):
    """y = x + input, where input is a Parameter."""

    def __init__(self, input):
        self.input = Parameter(input)

    def forward(self, x):
        return x + self.input.data

    def backward(self, grad_output, input_grad=True):
        self.input.grad += grad_output
        # WRONG twice: self.input.grad += 2 * grad_output
        return grad_output.copy()
        # WRONG x seven times: return 7 * grad_output


@student(lambda make, rng: (make(normal(rng, 2, 4)), normal(rng, 3, 4)))
class InAList(Layer):
    def __init__(self, ws):
        self.ws = [Parameter(w) for w in ws]

    def forward(self, x):
        self._cache = x, self.ws[0].data * x
        return self._cache[1] * self.ws[1].data

    def backward(self, grad_output, input_grad=True):
        x, h = self._cache
        self.ws[1].grad += (grad_output * h).sum(axis=0)
        # WRONG x for h: self.ws[1].grad += (grad_output * x).sum(axis=0)
        d = grad_output * self.ws[1].data
        self.ws[0].grad += (d * x).sum(axis=0)
        # WRONG not written yet: pass
        return d * self.ws[0].data


@student(lambda make, rng: (make(normal(rng, 4)), normal(rng, 3, 4)))
class Centres:
    """A loss that is an object with a Parameter, and no Layer."""

    def __init__(self, c):
        self.c = Parameter(c)

    def __call__(self, x):
        d = x - self.c.data
        self.c.grad += -2 * np.sum(d, axis=0).real
        # WRONG sign and factor: self.c.grad += 3 * np.sum(d, axis=0).real
        # WRONG not written yet: pass
        return np.sum(d * d), 2 * d


@student(lambda make, rng: (make(normal(rng, 3)), normal(rng, 3, 3)))
class Energy(Layer):
    """y = (x w)^2, one number a row."""

    def __init__(self, w):
        self.w = Parameter(w)

    def forward(self, x):
        z = x @ self.w.data
        self._cache = x, z
        return z * z

    def backward(self, grad_output, input_grad=True):
        x, z = self._cache
        d = 2 * grad_output * z
        self.w.grad += d @ x
        # WRONG twice and overwritten: self.w.grad = 2 * d @ x
        # WRONG overwritten (again): self.w.grad = d @ x
        return d[:, None] * self.w.data
        # WRONG twice, then 0: self._cache = x, 0 * z; return 2 * d[:, None] * self.w.data
        # WRONG once, then 0 (again): self._cache = x, 0 * z; return d[:, None] * self.w.data


@student(lambda make, rng: (make(normal(rng, 4), np.zeros(0)), normal(rng, 3, 4)))
class WithoutBias(Scale):
    """Its bias is there, of size 0."""

    def __init__(self, w, bias):
        super().__init__(w)
        self.bias = Parameter(bias)

    def backward(self, grad_output, input_grad=True):
        return super().backward(grad_output)
        # WRONG half: return super().backward(grad_output) / 2


@student(lambda make, rng: (make(normal(rng, 4), lock=threading.Lock()), normal(rng, 3, 4)))
@student(lambda make, rng: (make(normal(rng, 4), xp=np), normal(rng, 3, 4)), "a module")
@student(lambda make, rng: (make(normal(rng, 4), rng=np.random.RandomState(0)), normal(rng, 3, 4)), "a RandomState")
@student(lambda make, rng: (make(normal(rng, 4), state=(n for n in range(3))), normal(rng, 3, 4)), "a generator")
class WithAttributes(Scale):
    """Holds a lock, or something else that cannot be copied."""

    def __init__(self, w, **attributes):
        super().__init__(w)
        vars(self).update(attributes)

    def forward(self, x):
        return super().forward(x)
        # WRONG cache of twice x: return super().forward(2 * x) / 2


@student(lambda make, rng: (make(), normal(rng, 3, 4)))
class ScalarPReLU(Layer):
    """Its slope is one number, 0-dimensional."""

    def __init__(self):
        self.a = Parameter(0.1)

    def forward(self, x):
        self._cache = x
        return np.where(x > 0, x, self.a.data * x)

    def backward(self, grad_output, input_grad=True):
        x = self._cache
        self.a.grad = self.a.grad + np.sum(grad_output * x * (x < 0))
        # WRONG positive ones: self.a.grad = self.a.grad + np.sum(grad_output * x * (x > 0))
        return np.where(x > 0, grad_output, grad_output * self.a.data)
        # WRONG a forgotten: return np.where(x > 0, grad_output, grad_output)


@student(lambda make, rng: (make(normal(rng, 3)), normal(rng, 2, 3)))
class Unused(Layer):
    """Holds a weight of which y does not depend."""

    def __init__(self, w):
        self.w, self.unused = Parameter(w), Parameter(np.ones(2))

    def forward(self, x):
        self._cache = x
        return self.w.data**2 * x + 0 * np.sum(self.unused.data)

    def backward(self, grad_output, input_grad=True):
        self.w.grad += 2 * self.w.data * (grad_output * self._cache).sum(axis=0)
        self.unused.grad += 0 * grad_output.sum()
        # WRONG unused gets a gradient: self.unused.grad += grad_output.sum()
        return grad_output * self.w.data**2
