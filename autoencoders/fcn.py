"""The fully connected autoencoder: an image through a narrow code and back.

Letters for shapes: N batch, D = 3 * 64 * 64 = 12288 pixels, Z = 24 code.
"""

import numpy as np

from nnlite import Layer, Linear, ReLU, Sequential, Tanh


class FCNAutoencoder(Layer):
    """Two encoding and two decoding Linear layers.

    encoder: (N, in_features) -> (N, latent_features), the code, which no activation bounds; decoder: the way back,
    ended by a Tanh, for the pixels are in [-1, 1].
    """

    def __init__(self, in_features=12288, hidden_features=512, latent_features=24, *, rng, dtype=np.float32):
        self.encoder = Sequential(
            Linear(in_features, hidden_features, rng=rng, dtype=dtype),
            ReLU(),
            Linear(hidden_features, latent_features, rng=rng, dtype=dtype),
        )
        self.decoder = Sequential(
            Linear(latent_features, hidden_features, rng=rng, dtype=dtype),
            ReLU(),
            Linear(hidden_features, in_features, rng=rng, dtype=dtype),
            Tanh(),
        )

    def forward(self, x):
        """x_hat = decoder(encoder(x)).  (N, D) -> (N, Z) -> (N, D)"""
        return self.decoder(self.encoder(x))

    def backward(self, grad_output, input_grad=True):
        """The chain rule, from the picture to the code and from the code to x.  (N, D) -> (N, Z) -> (N, D)"""
        return self.encoder.backward(self.decoder.backward(grad_output), input_grad)
