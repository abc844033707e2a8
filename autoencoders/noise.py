"""What a denoising autoencoder has to undo: train(..., corrupt=gaussian_noise(0.5)) shows it noisy images.

Vincent et al., "Extracting and composing robust features with denoising autoencoders", ICML 2008. Each makes a
corruption: corrupt(x, rng) -> noisy x, a new array of the shape and dtype of x. Its repr tells it from every other.
"""

from dataclasses import dataclass

import numpy as np

from nnlite.arguments import generator, require_numbers


@dataclass(frozen=True)
class gaussian_noise:
    """Add noise from N(0, std^2) to every value; pixels are in [-1, 1], and noisy ones may leave that range.

    Raises ValueError if std is negative.
    """

    std: float

    def __post_init__(self):
        require_numbers("gaussian_noise", 0, std=self.std)

    def __call__(self, x, rng):
        return x + np.asarray(self.std, x.dtype) * generator("gaussian_noise", rng).standard_normal(x.shape, x.dtype)


@dataclass(frozen=True)
class masking_noise:
    """Set each value to 0, which is mid-grey, with the probability `share`.

    Raises ValueError if share is not in [0, 1].
    """

    share: float

    def __post_init__(self):
        if not 0 <= self.share <= 1:
            raise ValueError(f"masking_noise: share is {self.share}, wanted 0 to 1")

    def __call__(self, x, rng):
        return np.where(
            generator("masking_noise", rng).random(x.shape, np.float32) < self.share, np.zeros((), x.dtype), x
        )
