"""nnlite: a layer library without autograd. Every gradient is written by hand and checked against its definition."""

from nnlite.backend import use_backend
from nnlite.gradcheck import GradcheckError, gradcheck
from nnlite.layers import Layer, Linear, Parameter, ReLU, Sequential, Tanh
from nnlite.losses import kl_divergence, mse_loss
from nnlite.optim import SGD, Adam
from nnlite.serialization import load_weights, save_weights

__all__ = [
    "Adam",
    "GradcheckError",
    "Layer",
    "Linear",
    "Parameter",
    "ReLU",
    "SGD",
    "Sequential",
    "Tanh",
    "gradcheck",
    "kl_divergence",
    "load_weights",
    "mse_loss",
    "save_weights",
    "use_backend",
]
