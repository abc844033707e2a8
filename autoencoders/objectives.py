"""The two objectives that train() can minimise: what each makes of a batch, and of an epoch."""

import numpy as np

from nnlite import mse_loss


class SquaredError:
    """The mean squared error, of an autoencoder."""

    sigma2 = None  # of a VAE alone

    def __init__(self, model):
        self.model = model

    def accumulate(self, shown, target, epoch):
        """Add the gradients of a batch, and return what is measured, by the names of a History."""
        loss, grad = mse_loss(self.model(shown), target)  # (), (N, D)
        self.model.backward(grad, input_grad=False)
        return {"train_loss": float(loss)}

    def end_epoch(self, means):
        pass

    def arrays(self, x):
        """What the loss is made of, by name, in the order of its computation."""
        arrays = _outputs("encoder", self.model.encoder, x)
        return arrays | _outputs("decoder", self.model.decoder, self.model.encoder(x))


class NegativeELBO:
    """VAE.loss, with its sigma2 and beta of each epoch."""

    def __init__(self, model, rng, sigma2, beta, beta_warmup):
        self.model, self.rng, self.beta, self.beta_warmup = model, rng, float(beta), beta_warmup
        self.estimate = sigma2 is None
        self.sigma2 = 1.0 if self.estimate else float(sigma2)  # a np.float64 would make the gradients float64

    def accumulate(self, shown, target, epoch):
        noise = self.rng.standard_normal(
            (len(shown), self.model.decoder[0].weight.data.shape[1]), shown.dtype
        )  # (N, Z)
        beta = self.beta * min(1, (epoch + 1) / max(1, self.beta_warmup))
        _, reconstruction, kl = self.model.loss(shown, noise, target=target, sigma2=self.sigma2, beta=beta)
        D = shown.shape[1]
        # Times 2 sigma2 / D, the loss is the mean squared error + 2 sigma2 / D beta KL + a constant. Its scale then
        # stays as it is when sigma2 falls; Adam, whose averages lag behind, would otherwise take larger steps.
        self.model.backward(2 * self.sigma2 / D, input_grad=False)
        # reconstruction = D / (2 sigma2) error + D/2 log(2 pi sigma2), solved for the mean squared error
        error = 2 * self.sigma2 / D * reconstruction - self.sigma2 * np.log(2 * np.pi * self.sigma2)
        return {"train_loss": float(error), "kl": float(kl)}

    def end_epoch(self, means):
        means["sigma2"] = self.sigma2
        if self.estimate:
            self.sigma2 = means["train_loss"]  # the minimiser of the loss: see VAE.loss

    def arrays(self, x):
        mu, logvar = self.model.encode(x)
        code = {
            "the output of mu": mu,
            "the output of logvar": logvar,
            "exp(logvar)": np.exp(logvar),
            "mu * mu": mu * mu,
        }
        return _outputs("encoder", self.model.encoder, x) | code | _outputs("decoder", self.model.decoder, mu)


def _outputs(name, layers, x):
    """What each layer of a Sequential makes of x."""
    outputs = {}
    for position, layer in enumerate(layers):
        x = outputs[f"the output of {name}.{position}"] = layer(x)
    return outputs
