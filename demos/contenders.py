"""The contenders of demos.benchmark: the same autoencoder by this project, by plain NumPy, by PyTorch and by JAX.

Each is written as its users write it: a function that returns (step, reconstruct). step(x) trains on a batch x, float32
(N, 12288), and returns the loss from before; reconstruct(x) returns (N, 12288). All start from the same weights. The
whole loop, train(), on uint8 images, is one more.
"""

import functools

import numpy as np

from autoencoders import FCNAutoencoder, train
from nnlite import Adam, layers, mse_loss, use_backend

OURS, NAIVE = "nnlite", "naive NumPy"
MATMUL_OF_NUMPY = layers.matmul.__wrapped__  # the formula beneath accelerated()
LR, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8


def by_nnlite(backend="numba"):
    """This project, by the layer API."""
    use_backend(backend)
    model = FCNAutoencoder(rng=np.random.default_rng(0))
    optimizer = Adam(model.parameters(), LR)

    def step(x):
        optimizer.zero_grad()
        loss, grad = mse_loss(model(x), x)
        model.backward(grad, input_grad=False)
        optimizer.step()
        return loss

    return step, model


def by_nnlite_and_blas():
    """This project but for its products, which are NumPy's: those of OpenBLAS."""
    layers.matmul = MATMUL_OF_NUMPY
    return by_nnlite()


def by_numpy():
    """NumPy as one writes it down first."""
    p = _first_weights()
    m, v = ([np.zeros_like(weights) for weights in p] for _ in range(2))
    t = 0

    def forward(x):
        W1, b1, W2, b2, W3, b3, W4, b4 = p
        h = np.maximum(x @ W1.T + b1, 0)
        z = h @ W2.T + b2
        k = np.maximum(z @ W3.T + b3, 0)
        return h, z, k, np.tanh(k @ W4.T + b4)

    def step(x):
        nonlocal t
        _, _, W2, _, W3, _, W4, _ = p
        h, z, k, y = forward(x)
        difference = y - x
        d4 = 2 / np.float32(x.size) * difference * (1 - y**2)
        d3 = (d4 @ W4) * (k > 0)
        d2 = d3 @ W3
        d1 = (d2 @ W2) * (h > 0)
        pairs = ((d1, x), (d2, h), (d3, z), (d4, k))
        gradients = [g for d, inputs in pairs for g in (d.T @ inputs, d.sum(axis=0))]
        t += 1
        m_weight, v_weight = 1 - BETA1**t, 1 - BETA2**t
        for i, g in enumerate(gradients):
            m[i] = BETA1 * m[i] + (1 - BETA1) * g
            v[i] = BETA2 * v[i] + (1 - BETA2) * g**2
            p[i] = p[i] - LR * (m[i] / m_weight) / (np.sqrt(v[i] / v_weight) + EPS)
        return np.mean(difference**2)

    return step, lambda x: forward(x)[-1]


def by_pytorch(fused=None, compiled=False):
    """PyTorch, eager unless it is `compiled` by torch.compile; fused: Adam's option."""
    import torch
    from torch import nn

    encoder = nn.Linear(12288, 512), nn.ReLU(), nn.Linear(512, 24)
    decoder = nn.Linear(24, 512), nn.ReLU(), nn.Linear(512, 12288), nn.Tanh()
    forward = model = nn.Sequential(*encoder, *decoder)
    with torch.no_grad():
        for parameter, weights in zip(model.parameters(), _first_weights()):
            parameter.copy_(torch.from_numpy(weights))
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=fused)

    def compute_loss(x):
        return nn.functional.mse_loss(model(x), x)

    if compiled:
        compute_loss, forward = (torch.compile(function, dynamic=False) for function in (compute_loss, model))

    def step(x):
        optimizer.zero_grad()
        loss = compute_loss(torch.from_numpy(x))
        loss.backward()
        optimizer.step()
        return loss.detach()

    def reconstruct(x):
        with torch.inference_mode():
            return forward(torch.from_numpy(x))

    return step, reconstruct


def by_jax():
    """JAX, compiled, with donated buffers."""
    import jax
    import jax.numpy as jnp

    def forward(p, x):
        W1, b1, W2, b2, W3, b3, W4, b4 = p
        z = jax.nn.relu(x @ W1.T + b1) @ W2.T + b2
        return jnp.tanh(jax.nn.relu(z @ W3.T + b3) @ W4.T + b4)

    def update(p, m, v, t, x):
        loss, g = jax.value_and_grad(lambda p: jnp.mean((forward(p, x) - x) ** 2))(p)
        t = t + 1
        m = [BETA1 * m + (1 - BETA1) * g for m, g in zip(m, g)]
        v = [BETA2 * v + (1 - BETA2) * g**2 for v, g in zip(v, g)]
        m_weight, v_weight = 1 - BETA1**t, 1 - BETA2**t
        p = [p - LR * (m / m_weight) / (jnp.sqrt(v / v_weight) + EPS) for p, m, v in zip(p, m, v)]
        return p, m, v, t, loss

    p = [jnp.array(weights) for weights in _first_weights()]
    state = p, [jnp.zeros_like(p) for p in p], [jnp.zeros_like(p) for p in p], jnp.float32(0)
    compiled_update, compiled_forward = jax.jit(update, donate_argnums=(0, 1, 2, 3)), jax.jit(forward)

    def step(x):
        nonlocal state
        *state, loss = compiled_update(*state, x)
        state[0][0].block_until_ready()
        return loss

    return step, lambda x: compiled_forward(state[0], x).block_until_ready()


CONTENDERS = {
    OURS: by_nnlite,
    "nnlite, train()": train,
    "nnlite, np.matmul": by_nnlite_and_blas,
    "nnlite, NumPy backend": functools.partial(by_nnlite, "numpy"),
    NAIVE: by_numpy,
    "PyTorch eager": by_pytorch,
    "PyTorch fused": functools.partial(by_pytorch, fused=True),
    "PyTorch compiled": functools.partial(by_pytorch, fused=True, compiled=True),
    "JAX": by_jax,
}


def _first_weights():
    return list(FCNAutoencoder(rng=np.random.default_rng(0)).state_dict().values())
