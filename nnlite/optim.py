"""Optimizers: each turns the gradients that backward left into a step of the parameters, in place."""

import numpy as np

from nnlite.arguments import require_numbers
from nnlite.backend import accelerated

BLOCK = 2**16  # numbers


class Optimizer:
    """The parameters and the learning rate `lr`, which may be set between steps, and is not checked then.

    parameters: any iterable of Parameters. Raises ValueError if it is empty, or a number is out of range.
    """

    def __init__(self, parameters, lr):
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError(f"{type(self).__name__}: parameters is empty, wanted at least one Parameter")
        require_numbers(type(self).__name__, 0, lr=lr)
        self.lr = lr

    def zero_grad(self):
        for parameter in self.parameters:
            parameter.zero_grad()


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as torch.optim.SGD has it:

    s <- momentum s + g
    p <- p - lr s
    """

    def __init__(self, parameters, lr, momentum=0.0):
        super().__init__(parameters, lr)
        require_numbers("SGD", 0, momentum=momentum)
        self.momentum = momentum
        self._s = [np.zeros_like(p.data) for p in self.parameters]

    def step(self):
        for p, s in zip(self.parameters, self._s):
            s *= self.momentum
            s += p.grad
            p.data -= self.lr * s


class Adam(Optimizer):
    """Adam: Kingma and Ba, arXiv 1412.6980, algorithm 1. For step t = 1, 2, ... and gradient g

    m <- beta1 m + (1 - beta1) g               running mean of g
    v <- beta2 v + (1 - beta2) g^2             running mean of g^2
    p <- p - lr m' / (sqrt(v') + eps)          with m' = m / (1 - beta1^t), v' = v / (1 - beta2^t)

    m and v start at 0. Unrolled, m = (1 - beta1) sum_s beta1^(t-s) g_s, whose weights sum to 1 - beta1^t instead
    of 1; dividing by that makes m' a weighted mean of the gradients. So for v'. eps keeps the quotient finite.
    """

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(parameters, lr)
        if not hasattr(betas, "__len__") or len(betas) != 2:
            raise ValueError(f"Adam: betas is {betas!r}, wanted two numbers")
        beta1, beta2 = betas
        require_numbers("Adam", 0, below=1, beta1=beta1, beta2=beta2)
        require_numbers("Adam", 0, eps=eps)
        self.betas = tuple(map(float, betas))  # numbers of NumPy would make float32 steps in float64
        self.eps = float(eps)
        self.t = 0
        self.m = [np.zeros_like(p.data) for p in self.parameters]
        self.v = [np.zeros_like(p.data) for p in self.parameters]

    def step(self):
        """Raises ValueError if a parameter and its gradient, m or v differ in shape."""
        beta1, beta2 = self.betas
        self.t += 1
        rate = float(self.lr) / (1 - beta1**self.t)  # rate m = lr m'
        v_scale = 1 / (1 - beta2**self.t)  # v_scale v = v'
        for p, m, v in zip(self.parameters, self.m, self.v):
            shapes = [array.shape for array in (p.data, p.grad, m, v)]
            if len(set(shapes)) > 1:
                raise ValueError(f"Adam: the shapes of a parameter, its gradient, m and v are {shapes}, wanted one")
            self._update((p.data, p.grad, m, v), rate, v_scale)

    def _update(self, arrays, rate, v_scale):
        """The step of one parameter, in place; arrays: p, g, m, v."""
        beta1, beta2 = self.betas
        for p, g, m, v in _blocks(arrays):
            m *= beta1
            m += (1 - beta1) * g
            v *= beta2
            v += (1 - beta2) * g * g
            p -= rate * m / (np.sqrt(v_scale * v) + self.eps)

    _update = accelerated(_update)  # by adam_update in nnlite/fused.py


def _blocks(arrays):
    """The arrays, of one shape, piece by piece: what is computed in between then stays in the processor's cache."""
    modes = [["readwrite" if array.flags.writeable else "readonly"] for array in arrays]
    with np.nditer(arrays, ["external_loop", "buffered", "zerosize_ok"], modes, buffersize=BLOCK) as pieces:
        yield from pieces
