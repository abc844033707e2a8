"""The training loop."""

import math
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from autoencoders.objectives import NegativeELBO, SquaredError
from autoencoders.vae import VAE
from nnlite import Adam

EVALUATION_BATCH = 256


@dataclass
class History:
    """One number an epoch; errors are mean squared, pixels in [-1, 1], so that they compare across models.

    train_loss: the mean over the epoch, each batch measured before its step, so that it lags behind; that of a VAE
    is of reconstructions from sampled codes. validation_loss: after the epoch, and therefore at first the smaller
    one; that of a VAE is of reconstructions from mu. Of a VAE alone: kl, the mean in nats, and sigma2.
    best_weights: the model's state_dict() after the epoch of the smallest validation_loss.
    """

    train_loss: list = field(default_factory=list)
    validation_loss: list = field(default_factory=list)
    kl: list = field(default_factory=list)
    sigma2: list = field(default_factory=list)
    best_weights: dict = field(default_factory=dict, repr=False, compare=False)

    def curves(self):
        """The lists of numbers, by name."""
        return {name: values for name, values in vars(self).items() if name != "best_weights"}


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
    checkpoint=None,
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

    checkpoint: a Checkpoint, which saves the state of the training from time to time.

    A bar on stderr, if that is a terminal, shows the epoch, the loss, images per second and the time left.
    Raises FloatingPointError, naming epoch, step and array, at a loss or gradient that is not finite. Nothing that is
    not finite is ever saved.
    """
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}, wanted at least 1")
    if not isinstance(model, VAE) and (sigma2, beta, beta_warmup) != (None, 1.0, 0):
        raise ValueError(f"train: sigma2, beta and beta_warmup are for a VAE, but the model is {type(model).__name__}")
    if validation is None:
        images, validation = images.split(rng)
    objective = NegativeELBO(model, rng, sigma2, beta, beta_warmup) if isinstance(model, VAE) else SquaredError(model)
    optimizer = Adam(model.parameters(), lr)
    run = _Run(model, optimizer, objective, rng, images, validation)
    run.settings |= {"epochs": epochs, "batch_size": batch_size, "lr": lr, "corrupt": corrupt is not None}
    run.settings |= {"sigma2": sigma2, "beta": beta, "beta_warmup": beta_warmup}
    with nullcontext() if checkpoint is None else checkpoint.of(run), _bar(run, epochs, batch_size) as bar:
        for epoch in range(run.epoch, epochs):
            bar.set_description(f"epoch {epoch + 1}/{epochs}")
            optimizer.lr = lr / 2 * (1 + math.cos(math.pi * epoch / epochs))
            for x in run.batches(batch_size):  # (N, D)
                shown = x if corrupt is None else corrupt(x, rng)  # (N, D)
                optimizer.zero_grad()
                measured = objective.gradients(shown, x, epoch)
                run.end_step(measured, shown)
                optimizer.step()
                bar.set_postfix(loss=f"{measured['train_loss']:.4f}", refresh=False)
                bar.update(len(x))
                if checkpoint is not None:
                    checkpoint.after_step()
            run.end_epoch()
            if checkpoint is not None:
                checkpoint.after_step()
    return run.history


class _Run:
    """All that changes while a model is trained: what a checkpoint keeps, and how it is set back to that.

    epoch and step: how many are done, the steps of the current epoch. shuffle: the generator's state before it ordered
    the images of the epoch. means: the sums so far of what the history will keep of it.
    """

    def __init__(self, model, optimizer, objective, rng, images, validation):
        self.model, self.optimizer, self.objective, self.rng = model, optimizer, objective, rng
        self.images, self.validation = images, validation
        self.epoch = self.step = 0
        self.shuffle = None
        self.means = defaultdict(float)
        self.history = History(best_weights=model.state_dict())
        self.settings = {
            "model": type(model).__name__,
            "dtype": str(optimizer.parameters[0].data.dtype),
            "images": [len(images), len(validation)],
            "generator": type(rng.bit_generator).__name__,
        }

    def position(self):
        return f"epoch {self.epoch + 1}, step {self.step}" if self.step else f"epoch {self.epoch}"

    def batches(self, batch_size):
        """The batches of the epoch that are still to come: all, or fewer if the run was set back to within it."""
        now = self.rng.bit_generator.state
        if self.step == 0:
            self.shuffle = now
            return self.images.batches(batch_size, self.rng)
        self.rng.bit_generator.state = self.shuffle
        batches = self.images.batches(batch_size, self.rng)
        for _ in range(self.step):
            next(batches)
        self.rng.bit_generator.state = now
        return batches

    def end_step(self, measured, x):
        self.step += 1
        if not all(map(math.isfinite, measured.values())):
            self._stop("the loss", x)
        for name, value in measured.items():
            self.means[name] += value * len(x) / len(self.images)

    def end_epoch(self):
        self.objective.end_epoch(self.means)
        self.means["validation_loss"] = float(reconstruction_errors(self.model, self.validation).mean())
        if not math.isfinite(self.means["validation_loss"]):
            self._stop("the validation loss", next(self.validation.batches(EVALUATION_BATCH)))
        if self.means["validation_loss"] < min(self.history.validation_loss, default=math.inf):
            self.history.best_weights = self.model.state_dict()
        for name, value in self.means.items():
            getattr(self.history, name).append(value)
        self.epoch, self.step, self.means = self.epoch + 1, 0, defaultdict(float)

    def _stop(self, what, x):
        """Raise FloatingPointError with the name of the first array on the way to the loss that is not finite.

        A gradient that is not makes the weights so in its step, and the loss of the next one.
        """
        name = _not_finite({"the images": x} | self._trained() | self.objective.arrays(x)) or "a sum that overflows"
        raise FloatingPointError(f"{self.position()}: {what} is not finite, because of {name}")

    def require_finite(self):
        name = _not_finite(self._trained())
        if name is not None:
            raise FloatingPointError(f"{self.position()}: {name} is not finite")

    def _trained(self):
        """Adam's means by what they are of, the last layer's first, where backward begins; and the weights."""
        m, v = self.optimizer.m, self.optimizer.v
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        of = [names[parameter] for parameter in self.optimizer.parameters]
        arrays = {f"the gradient of {name}": array for name, array in reversed([*zip(of, m)])}
        arrays |= {f"the squared gradient of {name}": array for name, array in reversed([*zip(of, v)])}
        return arrays | {name: parameter.data for parameter, name in names.items()}

    def arrays(self):
        """What changes, by name; the arrays themselves, not copies."""
        arrays = {f"model.{name}": parameter.data for name, parameter in self.model.named_parameters()}
        arrays |= {f"best.{name}": array for name, array in self.history.best_weights.items()}
        for name, each in (("m", self.optimizer.m), ("v", self.optimizer.v)):
            arrays |= {f"adam.{name}.{position}": array for position, array in enumerate(each)}
        return arrays

    def split(self):
        """What stays: the rows of the images that are trained and validated on."""
        return {"split.training": self.images.rows, "split.validation": self.validation.rows}

    def numbers(self):
        """What changes beside the arrays, for JSON."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "adam.t": self.optimizer.t,
            "sigma2": self.objective.sigma2,
            "means": self.means,
            "history": self.history.curves(),
            "shuffle": self.shuffle,
            "generator": self.rng.bit_generator.state,
        }

    def restore(self, numbers, arrays):
        """Set everything back to what arrays() and numbers() were."""
        self.epoch, self.step, self.shuffle = numbers["epoch"], numbers["step"], numbers["shuffle"]
        self.optimizer.t, self.objective.sigma2 = numbers["adam.t"], numbers["sigma2"]
        self.means = defaultdict(float, numbers["means"])
        self.history = History(**numbers["history"], best_weights=self.history.best_weights)
        self.rng.bit_generator.state = numbers["generator"]
        for name, array in self.arrays().items():
            array[...] = arrays[name]


def _bar(run, epochs, batch_size):
    done = run.epoch * len(run.images) + run.step * batch_size
    return tqdm(total=epochs * len(run.images), initial=done, unit=" images", disable=None)


def _not_finite(arrays):
    """The name of the first array that is not finite, or None."""
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)


def reconstruction_errors(model, images):
    """The mean squared error of each image's reconstruction, pixels in [-1, 1]: (N,)."""
    return np.concatenate([squared_errors(model(x), x) for x in images.batches(EVALUATION_BATCH)])


def squared_errors(pictures, originals):
    """The mean squared error of each of the pictures (N, D): (N,)."""
    return np.mean((pictures - originals) ** 2, axis=1)
