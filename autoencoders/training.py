"""The training loop."""

import math
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from autoencoders.objectives import NegativeELBO, SquaredError
from autoencoders.vae import VAE
from nnlite import Adam
from nnlite.backend import current_backend

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
    quiet=False,
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

    checkpoint: a Checkpoint, which saves the state of the training from time to time. If it resumes, the weights of
    `model` and the state of `rng` are overwritten by those that were saved.

    A bar on stderr, if that is a terminal and not `quiet`, shows the epoch, the loss, images per second and the time
    left.
    Raises FloatingPointError, naming epoch, step, layer and array, if a loss or gradient is not finite: a gradient at
    the next loss, at the end of the epoch or before the next save, whichever comes first.
    """
    for name, given in (("images", images), ("validation", images if validation is None else validation)):
        if not hasattr(given, "batches"):
            raise TypeError(f"train: {name} is of type {type(given).__name__}, wanted an ImageSet, as of load_images()")
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}, wanted at least 1")
    if not isinstance(model, VAE) and (sigma2, beta, beta_warmup) != (None, 1.0, 0):
        raise ValueError(f"train: sigma2, beta and beta_warmup are for a VAE, but the model is {type(model).__name__}")
    if validation is None:
        images, validation = images.split(rng)
    objective = NegativeELBO(model, rng, sigma2, beta, beta_warmup) if isinstance(model, VAE) else SquaredError(model)
    optimizer = Adam(model.parameters(), lr)
    settings = {
        "model": type(model).__name__,
        "dtype": str(optimizer.parameters[0].data.dtype),
        "images": [len(images), len(validation)],
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "corrupt": corrupt is not None,
        "sigma2": sigma2,
        "beta": beta,
        "beta_warmup": beta_warmup,
        "generator": type(rng.bit_generator).__name__,
        "backend": current_backend(),
    }
    run = _Run(model, optimizer, objective, rng, images, validation, settings)
    with _saving(checkpoint, run) as save_if_due, _bar(run, quiet) as bar:  # a checkpoint is loaded here
        for epoch in range(run.epoch, epochs):
            bar.set_description(f"epoch {epoch + 1}/{epochs}")
            optimizer.lr = lr / 2 * (1 + math.cos(math.pi * epoch / epochs))
            for x in run.batches():  # (N, D)
                shown = x if corrupt is None else corrupt(x, rng)  # (N, D)
                optimizer.zero_grad()
                measured = objective.accumulate(shown, x, epoch)
                run.record(measured, shown)
                optimizer.step()
                bar.set_postfix(loss=f"{measured['train_loss']:.4f}", refresh=False)
                bar.update(len(x))
                save_if_due()
            run.end_epoch()
            save_if_due()
    return run.history


@contextmanager
def _saving(checkpoint, run):
    """Yield what is to be called after each step and each epoch."""
    if checkpoint is None:
        yield lambda: None
    else:
        with checkpoint.attached(run):
            yield checkpoint.save_if_due


class _Run:
    """All that changes while a model is trained: what a checkpoint keeps, and how it is set back to that.

    epoch and step: how many epochs are done, and how many steps of the one that has begun. before_shuffle: the
    generator's state before it ordered the images of this epoch; kept instead of the order, which it draws again.
    means: the sums so far of what the history will keep of this epoch.
    """

    def __init__(self, model, optimizer, objective, rng, images, validation, settings):
        self.model, self.optimizer, self.objective, self.rng = model, optimizer, objective, rng
        self.images, self.validation, self.settings = images, validation, settings
        self.epoch = self.step = 0
        self.before_shuffle = None
        self.means = defaultdict(float)
        self.history = History(best_weights=model.state_dict())

    def position(self):
        return f"epoch {self.epoch + 1}, step {self.step}" if self.step else f"epoch {self.epoch}"

    def batches(self):
        """The batches of the epoch that are still to come: all, or fewer if the run was set back to within it."""
        now = self.rng.bit_generator.state
        if self.step == 0:
            self.before_shuffle = now
        self.rng.bit_generator.state = self.before_shuffle
        batches = self.images.batches(self.settings["batch_size"], self.rng)
        for _ in range(self.step):
            next(batches)  # a generator: its first batch draws the order, from before_shuffle as it did then
        if self.step > 0:
            self.rng.bit_generator.state = now  # after the noise of those steps
        return batches

    def record(self, measured, x):
        """Count a step, before the optimizer makes it: a loss that is not finite is explained by its weights."""
        self.step += 1
        if not all(map(math.isfinite, measured.values())):
            self._stop("the loss", x)
        for name, value in measured.items():
            self.means[name] += value * len(x) / len(self.images)

    def end_epoch(self):
        self.require_finite()
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

        A gradient that is not finite spoils Adam's means and the weights in its step. It is noticed in the next step,
        by the loss, or at the end of the epoch or before a save. So the means are searched first.
        """
        name = _not_finite({"the images": x} | self._suspects() | self.objective.arrays(x)) or "a sum that overflows"
        raise FloatingPointError(f"{self.position()}: {what} is not finite, because of {name}")

    def require_finite(self):
        name = _not_finite(self._suspects())
        if name is not None:
            raise FloatingPointError(f"{self.position()}: {name} is not finite")

    def _suspects(self):
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

    def rows(self):
        """What stays: which images are trained and validated on."""
        return {"rows.training": self.images.rows, "rows.validation": self.validation.rows}

    def numbers(self):
        """What changes beside the arrays, for JSON."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "adam.t": self.optimizer.t,
            "sigma2": self.objective.sigma2,
            "means": self.means,
            "history": self.history.curves(),
            "before_shuffle": self.before_shuffle,
            "generator": self.rng.bit_generator.state,
        }

    def restore(self, numbers, arrays):
        """Set everything back to what arrays() and numbers() were. Raises an exception if they cannot have been."""
        epoch, step, history = numbers["epoch"], numbers["step"], numbers["history"]
        steps = math.ceil(len(self.images) / self.settings["batch_size"])
        if not (type(epoch) is type(step) is int and 0 <= epoch <= self.settings["epochs"] and 0 <= step <= steps):
            raise ValueError(f"epoch {epoch!r}, step {step!r}")
        if numbers["adam.t"] != epoch * steps + step:
            raise ValueError(f"step {numbers['adam.t']} of Adam in epoch {epoch}, step {step}")
        if history.keys() != self.history.curves().keys() or not numbers["means"].keys() <= history.keys() - {
            "validation_loss"
        }:
            raise ValueError("other names in the history")
        if any(len(values) not in (0, epoch) for values in history.values()) or len(history["validation_loss"]) < epoch:
            raise ValueError(f"a history that is not of {epoch} epochs")
        for values in (*history.values(), [*numbers["means"].values()]):
            if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
                raise ValueError("a history of other than finite numbers")
        if (sigma2 := numbers["sigma2"]) != self.objective.sigma2 and not 0 < sigma2 < math.inf:
            raise ValueError(f"sigma2 {sigma2}")
        if step > 0:
            self.rng.bit_generator.state = numbers["before_shuffle"]  # to see whether it is one
        self.rng.bit_generator.state = numbers["generator"]
        self.epoch, self.step, self.before_shuffle = epoch, step, numbers["before_shuffle"]
        self.optimizer.t, self.objective.sigma2 = numbers["adam.t"], sigma2
        self.means = defaultdict(float, {name: float(value) for name, value in numbers["means"].items()})
        self.history = History(**history, best_weights=self.history.best_weights)
        for name, array in self.arrays().items():
            array[...] = arrays[name]


def _bar(run, quiet):
    images, epochs = len(run.images), run.settings["epochs"]
    done = run.epoch * images + min(run.step * run.settings["batch_size"], images)
    return tqdm(total=epochs * images, initial=done, unit=" images", disable=quiet or None)


def _not_finite(arrays):
    """The name of the first array that is not finite, or None."""
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)


def reconstruction_errors(model, images):
    """The mean squared error of each image's reconstruction, pixels in [-1, 1]: (N,)."""
    return np.concatenate([squared_errors(model(x), x) for x in images.batches(EVALUATION_BATCH)])


def squared_errors(pictures, originals):
    """The mean squared error of each of the pictures (N, D): (N,)."""
    return np.mean((pictures - originals) ** 2, axis=1)
