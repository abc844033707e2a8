"""The two objectives that train() can minimise: what each makes of a batch, and of an epoch."""

import numpy as np

from nnlite import mse_loss


class SquaredError:
    """The mean squared error, of an autoencoder."""

    sigma2 = None  # of a VAE alone

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


class NegativeELBO:
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
