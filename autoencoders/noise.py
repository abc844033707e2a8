"""What a denoising autoencoder has to undo: train(..., corrupt=gaussian_noise(0.5)) shows it noisy images.

Vincent et al., "Extracting and composing robust features with denoising autoencoders", ICML 2008. Each function
returns a corruption: corrupt(x, rng) -> noisy x, a new array of the shape and dtype of x.
"""

import numpy as np


def gaussian_noise(std):
    """Add noise from N(0, std^2) to every value; pixels are in [-1, 1], and noisy ones may leave that range.

    Raises ValueError if std is negative.
    """
    if not std >= 0:
        raise ValueError(f"gaussian_noise: std is {std}, wanted 0 or more")
    return lambda x, rng: x + np.asarray(std, x.dtype) * rng.standard_normal(x.shape, x.dtype)


def masking_noise(share):
    """Set each value to 0, which is mid-grey, with the probability `share`.

    Raises ValueError if share is not in [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"masking_noise: share is {share}, wanted 0 to 1")
    return lambda x, rng: np.where(rng.random(x.shape, np.float32) < share, np.zeros((), x.dtype), x)
