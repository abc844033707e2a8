"""The training loop."""

import math
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from nnlite import Adam, mse_loss

EVALUATION_BATCH = 256


@dataclass
class History:
    """Mean squared errors, one an epoch.

    train_loss: the mean over the epoch, each batch measured before its step, so that it lags behind;
    validation_loss: after the epoch, and therefore at first the smaller one.
    """

    train_loss: list = field(default_factory=list)
    validation_loss: list = field(default_factory=list)


def train(model, images, *, epochs, batch_size=128, lr=1e-3, rng, validation=None):
    """Train `model` to reconstruct `images` and return a History.

    images, validation: ImageSets; without `validation`, images.split(rng) sets one apart, never trained on.
    rng: the Generator that shuffles. In every epoch it orders the images anew, and each is used exactly once.
    Adam's learning rate falls on half a cosine, lr/2 (1 + cos(pi e / epochs)) in epoch e = 0 .. epochs - 1: large
    steps first, small ones to settle.
    A bar on stderr, if that is a terminal, shows the epoch, the loss, images per second and the time left.
    """
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}, wanted at least 1")
    if validation is None:
        images, validation = images.split(rng)
    optimizer = Adam(model.parameters(), lr)
    history = History()
    with tqdm(total=epochs * len(images), unit=" images", disable=None) as bar:
        for epoch in range(epochs):
            bar.set_description(f"epoch {epoch + 1}/{epochs}")
            optimizer.lr = lr / 2 * (1 + math.cos(math.pi * epoch / epochs))
            total = 0.0
            for x in images.batches(batch_size, rng):  # (N, D)
                optimizer.zero_grad()
                loss, grad = mse_loss(model(x), x)  # (), (N, D)
                model.backward(grad, input_grad=False)
                optimizer.step()
                total += len(x) * float(loss)
                bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                bar.update(len(x))
            history.train_loss.append(total / len(images))
            history.validation_loss.append(float(reconstruction_errors(model, validation).mean()))
    return history


def reconstruction_errors(model, images):
    """The mean squared error of each image's reconstruction, pixels in [-1, 1]: (N,)."""
    return np.concatenate([np.mean((model(x) - x) ** 2, axis=1) for x in images.batches(EVALUATION_BATCH)])
