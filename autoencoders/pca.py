"""Principal component analysis: the best linear autoencoder, found without training.

Baldi and Hornik, "Neural networks and principal component analysis", Neural Networks 2, 1989.
Letters for shapes: N images, D pixels, Z components.
"""

import numpy as np

from nnlite.layers import matmul

ROUNDS, MORE = 8, 10


class PCA:
    """encoder: (N, D) -> (N, Z), decoder: (N, Z) -> (N, D), as those of an FCNAutoencoder; called, it does both."""

    def __init__(self, features, components):
        """Fitted on `features`, (N, D), of which there are more than `components`.

        The components are the leading eigenvectors of X^T X, X being the centred images. To multiply a vector by X^T X
        turns it towards them. So a few more vectors than are wanted, at first images, are multiplied and made
        orthonormal again, eight times: Halko, Martinsson and Tropp, arXiv 0909.4061, algorithm 4.4. What is then left
        of images, whose eigenvalues fall fast, exceeds the least by less than 1 in 10,000.
        """
        if not components < len(features):
            raise ValueError(f"PCA: found {len(features)} images, wanted more than the {components} components")
        self.mean = features.mean(axis=0)  # (D,)
        X = features - self.mean  # (N, D)
        plane = X[: components + MORE].T  # (D, K)
        for _ in range(ROUNDS):
            plane, _ = np.linalg.qr(X.T @ (X @ plane))  # (D, K)
        _, _, axes = np.linalg.svd(X @ plane, full_matrices=False)  # (K, K): in the plane, the longest of X first
        self.basis = plane @ axes[:components].T  # (D, Z), orthonormal

    def encoder(self, x):
        return matmul(x - self.mean, self.basis)

    def decoder(self, z):
        return matmul(z, self.basis.T) + self.mean

    def __call__(self, x):
        return self.decoder(self.encoder(x))
