"""How a code space behaves between and beyond the codes of images: measured, and said in a sentence.

Letters for shapes: N pictures, R real images, D = 12288 values in [-1, 1], Z code.
"""

from typing import NamedTuple

import numpy as np

from autoencoders.claims import judge

CYCLES = 8  # a spatial frequency is high from so many cycles a picture on


def perturbed(codes, k, rng):
    """The codes (N, Z), each element moved by noise of k times the standard deviation that it has over the codes."""
    return codes + (k * codes.std(axis=0) * rng.standard_normal(codes.shape)).astype(codes.dtype)


def midpoints(codes):
    """(N, Z): halfway between each code and the next one; the last one's next is the first."""
    return (codes + np.roll(codes, -1, axis=0)) / 2


def fitted_samples(codes, count, rng):
    """(count, Z) samples of the normal distribution that has the mean and the covariance of the codes (N, Z)."""
    return rng.multivariate_normal(codes.mean(axis=0), np.cov(codes.T), count).astype(codes.dtype)


def nearest_distance(pictures, real):
    """The mean squared difference of each picture (N, D) to the nearest of the real images (R, D): (N,)."""
    squares = (pictures**2).sum(axis=1)[:, None] + (real**2).sum(axis=1) - 2 * pictures @ real.T  # (N, R)
    return squares.min(axis=1) / pictures.shape[1]


def high_frequencies(pictures):
    """The energy of each picture (N, D) in spatial frequencies of 8 cycles a picture and more: (N,).

    That in all frequencies is the mean square of the picture.
    """
    spectrum = np.abs(np.fft.fft2(pictures.reshape(-1, 3, 64, 64))) ** 2 / 64**4  # (N, 3, 64, 64)
    cycles = np.fft.fftfreq(64, 1 / 64)  # (64,)
    return spectrum[:, :, np.hypot(cycles[:, None], cycles) >= CYCLES].sum(axis=2).mean(axis=1)


class Comparison(NamedTuple):
    """Something claimed of a model against the vanilla autoencoder, and how each outcome is said."""

    name: str
    holds: str
    fails: str
    unclear: str

    def say(self, differences):
        """What judge() finds of paired differences (N,), positive where true, with "name" and "sentence"."""
        found = judge(differences)
        text = {"holds": self.holds, "does not hold": self.fails, "too small to say": self.unclear}[found["verdict"]]
        sentence = f"{text} ({found['mean']:+.4f} ± {found['standard_error']:.5f})."
        return {"name": self.name, **found, "sentence": sentence}


ADVANTAGES = (
    Comparison(
        "pictures between two codes",
        "Halfway between two codes the VAE's pictures are nearer to real images than the vanilla autoencoder's",
        "The source document's claim does not hold: halfway between two codes the vanilla autoencoder's pictures are"
        " nearer to real images than the VAE's",
        "Halfway between two codes neither model's pictures are measurably nearer to real images",
    ),
    Comparison(
        "samples of N(0, I)",
        "Decoded samples of N(0, I) are nearer to real images from the VAE than from the vanilla autoencoder",
        "Decoded samples of N(0, I) are nearer to real images from the vanilla autoencoder than from the VAE",
        "Decoded samples of N(0, I) are measurably nearer to real images from neither",
    ),
    Comparison(
        "a comparison with samples of a normal distribution fitted to the vanilla codes",
        "Decoded samples of N(0, I) from the VAE are nearer than those of a normal distribution fitted to the vanilla"
        " autoencoder's codes",
        "But decoded samples of a normal distribution fitted to the vanilla autoencoder's codes are nearer still",
        "Decoded samples of a normal distribution fitted to the vanilla autoencoder's codes are not measurably nearer",
    ),
    Comparison(
        "pictures of disturbed codes",
        "Noise of one standard deviation on the code adds less to the error in the VAE",
        "Noise of one standard deviation on the code adds more to the error in the VAE",
        "Noise of one standard deviation on the code adds measurably more to the error in neither",
    ),
)
DISADVANTAGES = (
    Comparison(
        "reconstructions from the mean",
        "The VAE reconstructs held-out images worse, even from the mean of its code",
        "The source document's claim does not hold: from the mean of its code the VAE reconstructs held-out images"
        " better",
        "From the mean of its code the VAE reconstructs held-out images not measurably better or worse",
    ),
    Comparison(
        "reconstructions from a sample",
        "From a sampled code, as it is trained, the VAE reconstructs held-out images worse",
        "Even from a sampled code the VAE reconstructs held-out images better",
        "From a sampled code the VAE reconstructs held-out images not measurably better or worse",
    ),
)


def conclusion(kind, said):
    """One sentence: in which of the comparisons the `kind`, "advantage" or "disadvantage", was found."""
    found = [comparison["name"] for comparison in said if comparison["verdict"] == "holds"]
    rest = [comparison["name"] for comparison in said if comparison["verdict"] != "holds"]
    if not found:
        return f"The {kind} of the VAE that the source document claims shows in none of these measurements."
    but = f" It does not show in {_listed(rest, 'or')}." if rest else ""
    return f"The VAE's {kind} shows in {_listed(found, 'and')}.{but}"


def _listed(names, word):
    *first, last = names
    return f"{', '.join(first)} {word} {last}" if first else last
