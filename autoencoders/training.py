"""The training loop: one function for the autoencoder, the denoising one and the VAE."""

import contextlib
import math
from dataclasses import dataclass, field

import numpy as np

from autoencoders.images import require_images
from autoencoders.progress import progress_bar
from autoencoders.vae import VAE
from nnlite import Adam, Linear, mse_loss
from nnlite.arguments import generator, require_numbers

EVALUATION_BATCH = 256


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
    history=None,
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

    history: the History of an earlier training of this `model`, which stays as it is. `epochs` counts its epochs too:
    with 2 of them and epochs=5, the epochs 3, 4 and 5 are trained, at the learning rates that they have in a training
    of 5; Adam's averages begin at 0.

    A bar on stderr, if that is a terminal and not `quiet`, shows the epoch, the loss, images per second and the time
    left.
    Raises FloatingPointError, naming epoch, step, layer and array, if a loss or gradient is not finite: a gradient at
    the next loss, at the end of the epoch or before the next save, whichever comes first.
    """
    for name, given in (("images", images), ("validation", images if validation is None else validation)):
        require_images("train", name, given)
    generator("train", rng)
    require_numbers("train", 1, whole=True, epochs=epochs, batch_size=batch_size)
    require_numbers("train", 0, beta=beta, beta_warmup=beta_warmup, sigma2=0 if sigma2 is None else sigma2)
    if not isinstance(model, VAE) and (sigma2, beta, beta_warmup) != (None, 1.0, 0):
        raise ValueError(f"train: sigma2, beta and beta_warmup are for a VAE, but the model is {type(model).__name__}")
    if validation is None:
        images, validation = images.split(rng)
    done = 0 if history is None else len(history.train_loss)
    if epochs <= done:
        raise ValueError(f"train: epochs is {epochs}, wanted more than the {done} of history")
    optimizer = Adam(model.parameters(), lr)
    arguments = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "corrupt": corrupt is not None}
    arguments |= {"sigma2": sigma2, "beta": beta, "beta_warmup": beta_warmup, "epochs trained before": done}
    state = TrainingState(model, optimizer, rng, images, validation, arguments, history or History())
    with checkpoint.attached(state) if checkpoint else contextlib.nullcontext(), _bar(state, quiet) as bar:
        for epoch in range(state.epoch, epochs):
            bar.set_description(f"epoch {epoch + 1}/{epochs}")
            optimizer.lr = lr / 2 * (1 + math.cos(math.pi * epoch / epochs))
            if isinstance(model, VAE):
                current_beta = float(beta) * min(1, (epoch + 1) / max(1, beta_warmup))
                current_sigma2 = 1.0 if sigma2 is None else float(sigma2)  # a np.float64 would make float64 gradients
                if sigma2 is None and epoch > 0:
                    current_sigma2 = state.history.train_loss[-1]  # the minimiser of the loss: see VAE.loss
                Z = model.decoder[0].weight.data.shape[1]
            if state.step == 0:  # else the epoch was begun before the checkpoint
                state.order = rng.permutation(len(images))
            for x in images.subset(state.order[state.step * batch_size :]).batches(batch_size):  # (N, D)
                shown = x if corrupt is None else corrupt(x, rng)  # (N, D)
                optimizer.zero_grad()
                if isinstance(model, VAE):
                    noise = rng.standard_normal((len(x), Z), x.dtype)  # (N, Z)
                    _, reconstruction, kl = model.loss(shown, noise, target=x, sigma2=current_sigma2, beta=current_beta)
                    # Times 2 sigma2 / D, the loss is the mean squared error + 2 sigma2 / D beta KL + a constant. Its
                    # scale then stays as it is when sigma2 falls; Adam, whose averages lag behind, would otherwise
                    # take larger steps.
                    scale = 2 * current_sigma2 / x.shape[1]
                    model.backward(scale, input_grad=False)
                    # reconstruction = D / (2 sigma2) error + D/2 log(2 pi sigma2), solved for the mean squared error
                    loss = scale * reconstruction - current_sigma2 * np.log(2 * np.pi * current_sigma2)
                    state.count_step(len(x), train_loss=float(loss), kl=float(kl))
                else:
                    loss, grad = mse_loss(model.forward(shown), x)  # (), (N, D)
                    model.backward(grad, input_grad=False)
                    state.count_step(len(x), train_loss=float(loss))
                optimizer.step()
                bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                bar.update(len(x))
                if checkpoint:
                    checkpoint.save_if_due()
            state.require_finite()
            state.end_epoch(float(reconstruction_errors(model, validation).mean()))
            if isinstance(model, VAE):
                state.history.sigma2.append(current_sigma2)
            if checkpoint:
                checkpoint.save_if_due()
    return state.history


@dataclass
class History:
    """One number an epoch; errors are mean squared, pixels in [-1, 1], so that they compare across models.

    train_loss: the mean over the epoch, each batch measured before its step, so that it lags behind; that of a VAE
    is of reconstructions from sampled codes. validation_loss: after the epoch, and therefore at first the smaller
    one; that of a VAE is of reconstructions from mu. Of a VAE alone: kl, the mean in nats, and sigma2.
    best_weights: the model's state_dict() after the epoch of the smallest validation_loss; where a training goes on
    from a history without them, those with which it goes on, until an epoch is better.
    """

    train_loss: list = field(default_factory=list)
    validation_loss: list = field(default_factory=list)
    kl: list = field(default_factory=list)
    sigma2: list = field(default_factory=list)
    best_weights: dict = field(default_factory=dict, repr=False, compare=False)

    def curves(self):
        """The lists of numbers, by name."""
        return {name: values for name, values in vars(self).items() if name != "best_weights"}


class TrainingState:
    """All that changes while a model is trained, which is what a checkpoint keeps.

    epoch and step: how many epochs are done, and how many steps of the one that has begun. order: that of the images
    in it. means: what the history will hold of it, summed so far. arguments: those of train(), which do not change.
    """

    def __init__(self, model, optimizer, rng, images, validation, arguments, history):
        self.model, self.optimizer, self.rng = model, optimizer, rng
        self.images, self.validation = images, validation
        self.epoch, self.step = len(history.train_loss), 0
        self.order = np.arange(len(images))
        self.means, self.arguments = {}, arguments
        curves = {name: list(values) for name, values in history.curves().items()}
        self.history = History(**curves, best_weights=history.best_weights or model.state_dict())

    def position(self):
        return f"epoch {self.epoch + 1}, step {self.step}" if self.step else f"epoch {self.epoch}"

    def count_step(self, images, **measured):
        """Add what a step on so many images measured to the means, before the optimizer makes it."""
        self.step += 1
        if not all(map(math.isfinite, measured.values())):
            self.require_finite("the loss")
        for name, value in measured.items():
            self.means[name] = self.means.get(name, 0.0) + value * images / len(self.images)

    def end_epoch(self, validation_loss):
        if not math.isfinite(validation_loss):
            self.require_finite("the validation loss")
        if validation_loss < min(self.history.validation_loss, default=math.inf):
            self.history.best_weights = self.model.state_dict()
        for name, value in (self.means | {"validation_loss": validation_loss}).items():
            getattr(self.history, name).append(value)
        self.epoch, self.step, self.means = self.epoch + 1, 0, {}

    def require_finite(self, failed=None):
        """Raise FloatingPointError that names the first array that is not finite. failed: a loss that is not.

        A gradient that is not finite spoils Adam's m and v and the weights in its step, the last layer's first, and so
        the loss of the next step. If all these are finite, what a layer computes is not.
        """
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        moments = [*zip(self.optimizer.parameters, self.optimizer.m, self.optimizer.v)][::-1]
        arrays = {f"the gradient of {names[parameter]}": m for parameter, m, _ in moments}
        arrays |= {f"the squared gradient of {names[parameter]}": v for parameter, _, v in moments}
        arrays |= {name: parameter.data for parameter, name in names.items()}
        for name, layer in self.model.named_layers():
            if failed and isinstance(layer, Linear) and layer._cache is not None:
                arrays[f"the input of {name}"] = layer._cache
        found = next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)
        if failed:
            reason = found or "a sum that overflows"
            raise FloatingPointError(f"{self.position()}: {failed} is not finite, because of {reason}")
        if found:
            raise FloatingPointError(f"{self.position()}: {found} is not finite")


def _bar(state, quiet):
    images, epochs = len(state.images), state.arguments["epochs"]
    done = state.epoch * images + min(state.step * state.arguments["batch_size"], images)
    return progress_bar(quiet, total=epochs * images, initial=done, unit=" images")


def reconstruction_errors(model, images):
    """The mean squared error of each image's reconstruction, pixels in [-1, 1]: (N,)."""
    return np.concatenate([squared_errors(model(x), x) for x in images.batches(EVALUATION_BATCH)])


def squared_errors(pictures, originals):
    """The mean squared error of each of the pictures (N, D): (N,)."""
    return np.mean((pictures - originals) ** 2, axis=1)
