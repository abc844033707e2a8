"""Losses: each returns its value and its gradient from one function, so that the two cannot drift apart.

Letters at the end of a line give the shape that it computes: N batch, Z code.
"""

import numpy as np

from nnlite.backend import accelerated


def mse_loss(prediction, target):
    """The mean squared error over every element, and its gradient by `prediction`; torch.nn.MSELoss.

    prediction, target: any one shape; returns (loss, grad), a number and an array of that shape. For n elements

        L = 1/n sum_k (p_k - t_k)^2        dL/dp_k = 2/n (p_k - t_k)

    because p_k stands in one term of the sum alone. Whole numbers count as float64. Raises ValueError if the shapes
    differ or are empty: NumPy would broadcast the one to the other.
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.shape != target.shape or prediction.size == 0:
        raise ValueError(f"mse_loss: prediction {prediction.shape}, target {target.shape}, wanted one shape, not empty")
    if not np.issubdtype(prediction.dtype, np.inexact):
        prediction = np.asarray(prediction, np.float64)
    difference = prediction - target
    return np.mean(difference * difference), 2 / difference.size * difference


mse_loss = accelerated(mse_loss)  # by nnlite/fused.py


def kl_divergence(mu, logvar):
    """How far the codes N(mu, sigma^2), sigma^2 = exp(logvar), are from a standard normal, and the gradients.

    A term of the loss of a variational autoencoder (autoencoders/vae.py), each of whose codes is a normal distribution
    N(mean, variance). mu, logvar: (N, Z); returns (kl, grad_mu, grad_logvar): a number in nats (natural logarithms),
    summed over the code and averaged over the batch, and two arrays (N, Z). With v = logvar, element k of code n:

        KL         = 1/N sum_nk 1/2 (mu_nk^2 + exp(v_nk) - 1 - v_nk)
        dKL/dmu_nk = 1/N mu_nk
        dKL/dv_nk  = 1/N 1/2 (exp(v_nk) - 1)

    A term of the sum is the mean of log N(z; mu, sigma^2) - log N(z; 0, 1) over numbers z drawn from N(mu, sigma^2),
    where (z - mu)^2 has the mean sigma^2 and z^2 the mean mu^2 + sigma^2: Kingma and Welling, arXiv 1312.6114,
    appendix B.
    Raises ValueError if the shapes differ, are not (N, Z), or are empty.
    """
    mu, logvar = np.asarray(mu), np.asarray(logvar)
    if mu.shape != logvar.shape or mu.ndim != 2 or mu.size == 0:
        raise ValueError(f"kl_divergence: mu {mu.shape}, logvar {logvar.shape}, wanted one shape (N, Z), not empty")
    N = mu.shape[0]
    variance = np.exp(logvar)  # (N, Z)
    kl = np.sum(mu * mu + variance - 1 - logvar) / (2 * N)
    return kl, mu / N, (variance - 1) / (2 * N)
