"""The training loop, and the two objectives that it can train for."""

import math
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from autoencoders.vae import VAE
from nnlite import Adam, mse_loss

EVALUATION_BATCH = 256


@dataclass
class History:
    """One number an epoch; errors are mean squared, pixels in [-1, 1], so that they compare across models.

    train_loss: the mean over the epoch, each batch measured before its step, so that it lags behind; that of a VAE
    is of reconstructions from sampled codes. validation_loss: after the epoch, and therefore at first the smaller
    one; that of a VAE is of reconstructions from mu. Of a VAE alone: kl, the mean in nats, and sigma2.
    """

    train_loss: list = field(default_factory=list)
    validation_loss: list = field(default_factory=list)
    kl: list = field(default_factory=list)
    sigma2: list = field(default_factory=list)


def train(
    model,
    images,
    *,
    epochs,
    batch_size=128,
    lr=1e-3,
    rng,
    validation=None,
    corrupt=None,
    sigma2=None,
    beta=1.0,
    beta_warmup=0,
):
    """Train `model` to reconstruct `images` and return a History.

    images, validation: ImageSets; without `validation`, images.split(rng) sets one apart, never trained on.
    rng: the Generator that shuffles and draws noise. In every epoch it orders the images anew, and each is used
    exactly once. Adam's learning rate falls on half a cosine, lr/2 (1 + cos(pi e / epochs)) in epoch
    e = 0 .. epochs - 1: large steps first, small ones to settle.

    corrupt: a corruption, such as gaussian_noise(0.5): the model is shown corrupt(x, rng) and is to return x, which
    makes it a denoising autoencoder.

    sigma2, beta, beta_warmup: for a VAE, which minimises VAE.loss. sigma2: a number, or None to begin with 1 and
    take in each further epoch the mean squared error of the sampled reconstructions of the one before. beta: the
    weight of the KL, which rises to it linearly over the first `beta_warmup` epochs.

    A bar on stderr, if that is a terminal, shows the epoch, the loss, images per second and the time left.
    Raises FloatingPointError, naming epoch, step and array, at a loss that is not finite.
    """
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}, wanted at least 1")
    if not isinstance(model, VAE) and (sigma2, beta, beta_warmup) != (None, 1.0, 0):
        raise ValueError(f"train: sigma2, beta and beta_warmup are for a VAE, but the model is {type(model).__name__}")
    if validation is None:
        images, validation = images.split(rng)
    objective = _NegativeELBO(model, rng, sigma2, beta, beta_warmup) if isinstance(model, VAE) else _SquaredError(model)
    optimizer = Adam(model.parameters(), lr)
    history = History()
    with tqdm(total=epochs * len(images), unit=" images", disable=None) as bar:
        for epoch in range(epochs):
            bar.set_description(f"epoch {epoch + 1}/{epochs}")
            optimizer.lr = lr / 2 * (1 + math.cos(math.pi * epoch / epochs))
            means = defaultdict(float)
            for step, x in enumerate(images.batches(batch_size, rng)):  # (N, D)
                shown = x if corrupt is None else corrupt(x, rng)  # (N, D)
                optimizer.zero_grad()
                measured = objective.gradients(shown, x, epoch)
                if not all(map(math.isfinite, measured.values())):
                    where = f"epoch {epoch + 1}, step {step + 1}"
                    raise FloatingPointError(
                        f"{where}: the loss is not finite, because of {_culprit(objective, shown)}"
                    )
                optimizer.step()
                for name, value in measured.items():
                    means[name] += value * len(x) / len(images)
                bar.set_postfix(loss=f"{measured['train_loss']:.4f}", refresh=False)
                bar.update(len(x))
            objective.end_epoch(means)
            means["validation_loss"] = float(reconstruction_errors(model, validation).mean())
            for name, value in means.items():
                getattr(history, name).append(value)
    return history


class _SquaredError:
    """The mean squared error, of an autoencoder."""

    def __init__(self, model):
        self.model = model

    def gradients(self, x, target, epoch):
        """Add the gradients of a batch, and return what a History keeps."""
        loss, grad = mse_loss(self.model(x), target)  # (), (N, D)
        self.model.backward(grad, input_grad=False)
        return {"train_loss": float(loss)}

    def end_epoch(self, means):
        pass

    def arrays(self, x):
        """What the loss is made of, by name, in the order of its computation."""
        return {"the reconstruction": self.model(x)}


class _NegativeELBO:
    """VAE.loss, with its sigma2 and beta of each epoch."""

    def __init__(self, model, rng, sigma2, beta, beta_warmup):
        self.model, self.rng, self.beta, self.beta_warmup = model, rng, beta, beta_warmup
        self.estimate = sigma2 is None
        self.sigma2 = 1.0 if self.estimate else sigma2

    def gradients(self, x, target, epoch):
        noise = self.rng.standard_normal((len(x), self.model.decoder[0].weight.data.shape[1]), x.dtype)  # (N, Z)
        beta = self.beta * min(1, (epoch + 1) / max(1, self.beta_warmup))
        _, reconstruction, kl = self.model.loss(x, noise, target=target, sigma2=self.sigma2, beta=beta)
        # Times 2 sigma2 / D, the loss is the mean squared error + 2 sigma2 / D beta KL + a constant. Its scale then
        # stays as it is when sigma2 falls; Adam, whose averages lag behind, would otherwise take larger steps.
        self.model.backward(2 * self.sigma2 / x.shape[1], input_grad=False)
        # reconstruction = D / (2 sigma2) error + D/2 log(2 pi sigma2), solved for the mean squared error
        error = 2 * self.sigma2 / x.shape[1] * reconstruction - self.sigma2 * np.log(2 * np.pi * self.sigma2)
        return {"train_loss": float(error), "kl": float(kl)}

    def end_epoch(self, means):
        means["sigma2"] = self.sigma2
        if self.estimate:
            self.sigma2 = means["train_loss"]  # the minimiser of the loss: see VAE.loss

    def arrays(self, x):
        mu, logvar = self.model.encode(x)
        return {"mu": mu, "logvar": logvar, "exp(logvar)": np.exp(logvar), "mu * mu": mu * mu}


def _culprit(objective, x):
    """The name of the first array on the way to the loss that is not finite."""
    weights = {name: parameter.data for name, parameter in objective.model.named_parameters()}
    for name, array in ({"the images": x} | weights | objective.arrays(x)).items():
        if not np.isfinite(array).all():
            return name
    return "a sum that overflows"


def reconstruction_errors(model, images):
    """The mean squared error of each image's reconstruction, pixels in [-1, 1]: (N,)."""
    return np.concatenate([squared_errors(model(x), x) for x in images.batches(EVALUATION_BATCH)])


def squared_errors(pictures, originals):
    """The mean squared error of each of the pictures (N, D): (N,)."""
    return np.mean((pictures - originals) ** 2, axis=1)
