"""The contenders of demos.benchmark: one training step and one reconstruction of the same autoencoder.

`python -m demos.contenders NAME IMAGES CORES` is the process of one of them, which keeps to so many cores. IMAGES is a
.npy file. It reads one order a line from stdin, such as {"order": "step", "batch": 64, "times": 5}, and answers each
with one line, here of five times in seconds.
Each contender starts from the weights of FCNAutoencoder(rng=default_rng(0)), and is written as its users write it.
"""

import json
import os
import sys
import time

import numpy as np

from autoencoders import FCNAutoencoder, ImageSet, train
from nnlite import Adam, mse_loss, use_backend
from nnlite.layers import matmul

LR, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8
STEPS = 3  # over which the losses of all contenders must agree
FCN_SIZES = ((12288, 512), (512, 24), (24, 512), (512, 12288))  # (in, out) of the Linears


class Nnlite:
    """This project, by the layer API."""

    backend = "numba"

    def __init__(self):
        use_backend(self.backend)
        self.model = FCNAutoencoder(rng=np.random.default_rng(0))
        self.optimizer = Adam(self.model.parameters(), LR)

    def step(self, x):
        self.optimizer.zero_grad()
        loss, grad = mse_loss(self.model(x), x)
        self.model.backward(grad, input_grad=False)
        self.optimizer.step()
        return loss

    def infer(self, x):
        return self.model(x)

    def products(self, batch):
        """The five large products of a step: y = x W^T and dL/dW of the outer layers, and dL/dx of the last one."""
        x, y, W, V, grad_W, grad_V, hidden = _operands(batch)
        return [
            lambda: matmul(x, W.T),
            lambda: matmul(hidden.T, x, out=grad_W),
            lambda: matmul(hidden, V.T),
            lambda: matmul(y.T, hidden, out=grad_V),
            lambda: matmul(y, V),
        ]


class NnliteOnNumPy(Nnlite):
    """This project on the NumPy backend."""

    backend = "numpy"


class NnliteTrain:
    """This project, by train() on uint8 images: with everything that its loop does between two batches."""

    def step_times(self, images, batch, times):
        clocked = _Clocked(images, np.resize(np.arange(len(images)), (times + 1) * batch))
        _train_one_epoch(clocked, batch)
        return np.diff(clocked.clock).tolist()

    def mean_loss(self, images, batch):
        return _train_one_epoch(ImageSet(images, rows=np.arange(STEPS * batch)), batch).train_loss[0]


class _Clocked(ImageSet):
    """Notes the time whenever the loop has a batch."""

    def __init__(self, images, rows):
        super().__init__(images, rows=rows)
        self.clock = []

    def batches(self, batch_size, rng=None):
        for batch in super().batches(batch_size, rng):
            self.clock.append(time.perf_counter())
            yield batch


def _train_one_epoch(images, batch):
    model, rng = FCNAutoencoder(rng=np.random.default_rng(0)), np.random.default_rng(batch)
    return train(model, images, epochs=1, batch_size=batch, lr=LR, rng=rng, validation=images.sample(1))


class NaiveNumPy:
    """NumPy as one writes it down first."""

    def __init__(self):
        self.p = list(_weights().values())
        self.m, self.v = ([np.zeros_like(p) for p in self.p] for _ in range(2))
        self.t = 0

    def forward(self, x):
        W1, b1, W2, b2, W3, b3, W4, b4 = self.p
        h = np.maximum(x @ W1.T + b1, 0)
        z = h @ W2.T + b2
        k = np.maximum(z @ W3.T + b3, 0)
        return h, z, k, np.tanh(k @ W4.T + b4)

    def step(self, x):
        W2, W3, W4 = self.p[2], self.p[4], self.p[6]
        h, z, k, y = self.forward(x)
        difference = y - x
        d4 = 2 / np.float32(x.size) * difference * (1 - y**2)
        d3 = (d4 @ W4) * (k > 0)
        d2 = d3 @ W3
        d1 = (d2 @ W2) * (h > 0)
        pairs = ((d1, x), (d2, h), (d3, z), (d4, k))
        gradients = [g for d, inputs in pairs for g in (d.T @ inputs, d.sum(axis=0))]
        self.t += 1
        m_weight, v_weight = 1 - BETA1**self.t, 1 - BETA2**self.t
        for i, g in enumerate(gradients):
            self.m[i] = BETA1 * self.m[i] + (1 - BETA1) * g
            self.v[i] = BETA2 * self.v[i] + (1 - BETA2) * g**2
            self.p[i] = self.p[i] - LR * (self.m[i] / m_weight) / (np.sqrt(self.v[i] / v_weight) + EPS)
        return np.mean(difference**2)

    def infer(self, x):
        return self.forward(x)[-1]

    def products(self, batch):
        """Those of Nnlite.products, by the BLAS that NumPy brings along."""
        x, y, W, V, grad_W, grad_V, hidden = _operands(batch)
        return [
            lambda: x @ W.T,
            lambda: np.matmul(hidden.T, x, out=grad_W),
            lambda: hidden @ V.T,
            lambda: np.matmul(y.T, hidden, out=grad_V),
            lambda: y @ V,
        ]


class PyTorch:
    """PyTorch, eager."""

    fused, compiled = False, False

    def __init__(self):
        import torch
        from torch import nn

        layers = [layer for sizes in FCN_SIZES for layer in (nn.Linear(*sizes), nn.ReLU())]
        layers[3], layers[7] = nn.Identity(), nn.Tanh()
        self.torch, self.model = torch, nn.Sequential(*layers)
        with torch.no_grad():
            for parameter, weights in zip(self.model.parameters(), _weights().values()):
                parameter.copy_(torch.from_numpy(weights))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR, fused=self.fused or None)
        self.loss, self.forward = self._loss, self.model
        if self.compiled:
            self.loss, self.forward = (torch.compile(f, dynamic=False) for f in (self._loss, self.model))

    def _loss(self, x):
        return self.torch.nn.functional.mse_loss(self.model(x), x)

    def step(self, x):
        self.optimizer.zero_grad()
        loss = self.loss(self.torch.from_numpy(x))
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def infer(self, x):
        with self.torch.inference_mode():
            return self.forward(self.torch.from_numpy(x))


class PyTorchFused(PyTorch):
    """PyTorch with Adam(fused=True)."""

    fused = True


class PyTorchCompiled(PyTorch):
    """PyTorch with torch.compile and Adam(fused=True)."""

    fused, compiled = True, True


class Jax:
    """JAX, compiled, with donated buffers."""

    def __init__(self):
        import jax
        import jax.numpy as jnp

        def forward(p, x):
            W1, b1, W2, b2, W3, b3, W4, b4 = p
            z = jax.nn.relu(x @ W1.T + b1) @ W2.T + b2
            return jnp.tanh(jax.nn.relu(z @ W3.T + b3) @ W4.T + b4)

        def step(p, m, v, t, x):
            loss, g = jax.value_and_grad(lambda p: jnp.mean((forward(p, x) - x) ** 2))(p)
            t = t + 1
            m = [BETA1 * m + (1 - BETA1) * g for m, g in zip(m, g)]
            v = [BETA2 * v + (1 - BETA2) * g**2 for v, g in zip(v, g)]
            m_weight, v_weight = 1 - BETA1**t, 1 - BETA2**t
            p = [p - LR * (m / m_weight) / (jnp.sqrt(v / v_weight) + EPS) for p, m, v in zip(p, m, v)]
            return p, m, v, t, loss

        p = [jnp.array(weights) for weights in _weights().values()]
        self.state = p, [jnp.zeros_like(p) for p in p], [jnp.zeros_like(p) for p in p], jnp.float32(0)
        self.jitted_step, self.jitted_forward = jax.jit(step, donate_argnums=(0, 1, 2, 3)), jax.jit(forward)

    def step(self, x):
        *self.state, loss = self.jitted_step(*self.state, x)
        self.state[0][0].block_until_ready()
        return loss

    def infer(self, x):
        return self.jitted_forward(self.state[0], x).block_until_ready()


CONTENDERS = {
    "nnlite": Nnlite,
    "nnlite, train()": NnliteTrain,
    "nnlite, NumPy backend": NnliteOnNumPy,
    "naive NumPy": NaiveNumPy,
    "PyTorch eager": PyTorch,
    "PyTorch fused": PyTorchFused,
    "PyTorch compiled": PyTorchCompiled,
    "JAX": Jax,
}


def _weights():
    return FCNAutoencoder(rng=np.random.default_rng(0)).state_dict()


def _operands(batch):
    """x and y, W and V of the first and the last layer, room for their gradients, and a hidden array."""
    rng = np.random.default_rng(0)
    shapes = (batch, 12288), (batch, 12288), (512, 12288), (12288, 512), (512, 12288), (12288, 512), (batch, 512)
    return [rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]


def _clock(call, *arguments):
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


class Worker:
    """Obeys the orders for one contender. Each method is an order."""

    def __init__(self, name, images):
        self.kind, self.images = CONTENDERS[name], np.load(images, mmap_mode="r")
        self.contender = self.kind()

    def _batches(self, batch, count=1):
        images = ImageSet(self.images, rows=np.arange(count * batch))
        return list(images.batches(batch, np.random.default_rng(batch)))

    def loss(self, batch):
        """The mean loss of the first steps, each measured before it."""
        self.contender = self.kind()
        if hasattr(self.contender, "mean_loss"):
            return self.contender.mean_loss(self.images, batch)
        return float(np.mean([float(self.contender.step(x)) for x in self._batches(batch, STEPS)]))

    def step(self, batch, times):
        if hasattr(self.contender, "step_times"):
            return self.contender.step_times(self.images, batch, times)
        [x] = self._batches(batch)
        return [_clock(self.contender.step, x) for _ in range(times)]

    def infer(self, batch, times):
        [x] = self._batches(batch)
        return [_clock(self.contender.infer, x) for _ in range(times)]

    def products(self, batch, times):
        """`times` times, the times of the five products."""
        products = self.contender.products(batch)
        return np.transpose([[_clock(product) for _ in range(times)] for product in products]).tolist()

    def limits(self):
        from demos import roofline

        return {"flops": roofline.peak_flops(), "bandwidth": roofline.bandwidth()}


def main():
    name, images, cores = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):  # Linux; JAX takes no other limit
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
    worker = Worker(name, images)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(getattr(worker, order.pop("order"))(**order)), flush=True)


if __name__ == "__main__":
    main()
