"""The variational autoencoder: an image to a normal distribution over codes, and a sample of that back to an image.

Kingma and Welling, arXiv 1312.6114. In its words: the prior, N(0, I), is what codes are to look like all together;
the posterior of an image, here N(mu, exp(logvar)), is where the encoder believes its code to be; the evidence lower
bound is a number that log p(image) cannot be below, and its negative the loss. A nat is 1 / log(2) bits.

Letters for shapes: N batch, D values of an image, H hidden, Z code.
"""

from typing import NamedTuple

import numpy as np

from nnlite import Layer, Linear, ReLU, Sequential, Tanh, kl_divergence, mse_loss
from nnlite.arguments import require_numbers

MAX_LOGVAR = 2.0  # a sigma of e: no image is told by a posterior so much wider than the prior, whose sigma is 1
ACTIVE = 0.01  # variance of mu over images above which an element is in use: Burda et al., arXiv 1509.00519


class VAE(Layer):
    """The fully connected autoencoder, but its code is drawn: z = mu + sigma noise, sigma = exp(logvar / 2).

    encoder: (N, in_features) -> (N, hidden_features), ended by a ReLU; mu and logvar, a Linear each, make of that
    the mean and the logarithm of the variance of every element of the code; decoder: (N, latent_features) ->
    (N, in_features), ended by a Tanh.

    A logvar above MAX_LOGVAR is replaced by that: a Linear is not bounded, and for one image unlike all others it can
    return 60, whose KL, of exp(60), would overflow and end the training.

    loss is what backward belongs to: forward reconstructs without noise, to look at, and has no backward.
    """

    def __init__(self, in_features=12288, hidden_features=512, latent_features=24, *, rng, dtype=np.float32):
        self.encoder = Sequential(Linear(in_features, hidden_features, rng=rng, dtype=dtype), ReLU())
        self.mu = Linear(hidden_features, latent_features, rng=rng, dtype=dtype)
        self.logvar = Linear(hidden_features, latent_features, rng=rng, dtype=dtype)
        self.decoder = Sequential(
            Linear(latent_features, hidden_features, rng=rng, dtype=dtype),
            ReLU(),
            Linear(hidden_features, in_features, rng=rng, dtype=dtype),
            Tanh(),
        )

    def encode(self, x):
        """(mu, logvar) of the codes of x.  (N, D) -> (N, Z), (N, Z)"""
        self._cache = None  # what the layers keep is of this forward now, so an earlier loss cannot go backward
        h = self.encoder(x)  # (N, H)
        logvar = self.logvar(h)  # (N, Z)
        return self.mu(h), np.where(logvar.real > MAX_LOGVAR, MAX_LOGVAR, logvar)

    def decode(self, z):
        """The images of codes.  (N, Z) -> (N, D)"""
        self._cache = None
        return self.decoder(z)

    def forward(self, x):
        """The reconstruction from the mean code, without noise: decode(mu).  (N, D) -> (N, D)"""
        return self.decode(self.encode(x)[0])

    def reparameterize(self, mu, logvar, noise):
        """z = mu + exp(logvar / 2) noise: for noise from N(0, 1), a sample of N(mu, exp(logvar)).  (N, Z) each

        What is random, the noise, is an argument: z is a smooth function of mu and logvar, with the derivatives
        dz/dmu = 1 and dz/dlogvar = 1/2 exp(logvar / 2) noise (section 2.4 of the paper).
        """
        if np.shape(noise) != np.shape(mu):
            raise ValueError(f"VAE: noise has shape {np.shape(noise)}, wanted that of mu, {np.shape(mu)}")
        return mu + np.exp(logvar / 2) * noise

    def loss(self, x, noise, *, target=None, sigma2=1.0, beta=1.0):
        """The negative evidence lower bound, the paper's equation 3, for pixels of variance sigma2 around x_hat.

        x: (N, D); noise: (N, Z), from N(0, 1); target: what to reconstruct, (N, D), by default x. Returns (total,
        reconstruction, kl), numbers in nats, each the mean over the batch; x_hat = decode(z):

            reconstruction = ||target - x_hat||^2 / (2 sigma2) + D/2 log(2 pi sigma2)  (= -log N(target; x_hat, sigma2))
            kl             = kl_divergence(mu, logvar)
            total          = reconstruction + beta kl

        With S = ||target - x_hat||^2 the derivative of the first line by sigma2 is -S / (2 sigma2^2) + D / (2 sigma2).
        It is 0 at sigma2 = S / D: the mean squared error of sampled reconstructions is the best sigma2.
        Raises ValueError if sigma2 is not positive, or beta negative.
        """
        require_numbers("VAE.loss", 0, beta=beta)
        if not 0 < sigma2 < np.inf:
            raise ValueError(f"VAE.loss: sigma2 is {sigma2}, wanted more than 0")
        mu, logvar = self.encode(x)  # (N, Z) each
        z = self.reparameterize(mu, logvar, noise)  # (N, Z)
        mse, grad_mse = mse_loss(self.decode(z), x if target is None else target)  # (), (N, D); 1 / (N D) is in both
        D = grad_mse.shape[1]
        reconstruction = D / (2 * sigma2) * mse + D / 2 * np.log(2 * np.pi * sigma2)
        kl, grad_mu, grad_logvar = kl_divergence(mu, logvar)  # (), (N, Z), (N, Z)
        free = logvar.real < MAX_LOGVAR  # (N, Z), where logvar is the Linear's
        self._cache = (
            D / (2 * sigma2) * grad_mse,  # (N, D), dL/dx_hat
            free * (z - mu) / 2,  # (N, Z), dz/dlogvar = 1/2 exp(logvar / 2) noise
            beta * grad_mu,  # (N, Z), beta dKL/dmu
            free * beta * grad_logvar,  # (N, Z), beta dKL/dlogvar
            target is None,
        )
        return reconstruction + beta * kl, reconstruction, kl

    def backward(self, grad_output=1.0, input_grad=True):
        """The chain rule from the total of the latest loss(): grad_output is dL/dtotal, 1 unless that is part of more.
        In between, do not call the layers, such as vae.decoder: what they keep is of their own latest forward.

        mu reaches the loss through z, where dz/dmu = 1, and through the KL; so does logvar, and their gradients add
        up. Both come from the same h, whose gradients add up as well. Where the target is x itself, x also reaches
        the loss as the target, with the opposite sign of x_hat.

        dL/dmu     = dL/dz                                + beta dKL/dmu         (N, Z)
        dL/dlogvar = dL/dz 1/2 exp(logvar / 2) noise      + beta dKL/dlogvar     (N, Z)
        dL/dh      = dL/dmu W_mu  +  dL/dlogvar W_logvar                         (N, H)
        """
        if self._cache is None:
            raise RuntimeError("VAE.backward was called before loss, or after another forward: call loss first")
        grad_prediction, dz_dlogvar, beta_kl_grad_mu, beta_kl_grad_logvar, target_is_x = self._cache
        grad_prediction = grad_output * grad_prediction  # (N, D)
        grad_z = self.decoder.backward(grad_prediction)  # (N, Z)
        grad_h = self.mu.backward(grad_z + grad_output * beta_kl_grad_mu)  # (N, H)
        grad_h += self.logvar.backward(grad_z * dz_dlogvar + grad_output * beta_kl_grad_logvar)  # (N, H)
        grad_x = self.encoder.backward(grad_h, input_grad)  # (N, D)
        return grad_x - grad_prediction if input_grad and target_is_x else grad_x


class VAELoss(Layer):
    """The total of VAE.loss as a Layer, for gradcheck: forward(x) -> total, with everything but x held fast.

    noise and target: for a batch of any size; a smaller one takes their first rows.
    """

    def __init__(self, vae, noise, *, target=None, sigma2=1.0, beta=1.0):
        self.vae, self.noise, self.target, self.settings = vae, noise, target, {"sigma2": sigma2, "beta": beta}

    def forward(self, x):
        target = None if self.target is None else self.target[: len(x)]
        return np.asarray(self.vae.loss(x, self.noise[: len(x)], target=target, **self.settings)[0])

    def backward(self, grad_output, input_grad=True):
        return self.vae.backward(grad_output, input_grad)


class CodeUse(NamedTuple):
    """Which elements of a code carry something: the mean KL of each in nats, and the variance of each mu. (Z,) each."""

    kl: np.ndarray
    variance: np.ndarray

    @property
    def active(self):
        """How many elements are in use: those whose mu varies over the images by more than 0.01."""
        return int(np.sum(self.variance > ACTIVE))

    def results(self):
        """For JSON."""
        counts = {"active": self.active, "elements": len(self.kl)}
        return {"kl": self.kl.tolist(), "kl total": float(self.kl.sum())} | counts


def code_use(model, images):
    """The CodeUse of a VAE over an ImageSet."""
    mu, logvar = map(np.concatenate, zip(*(model.encode(x) for x in images.batches(256))))  # (N, Z) each
    kl = [kl_divergence(mu[:, [k]], logvar[:, [k]])[0] for k in range(mu.shape[1])]
    return CodeUse(np.array(kl), mu.var(axis=0))
