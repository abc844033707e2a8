"""Finding what does not belong: scores of images, of which higher is stranger, and how well they tell two sets apart.

Letters for shapes: N images, D values of an image in [-1, 1], Z code, L samples. x_hat is the reconstruction of x.
"""

import numpy as np

from nnlite import kl_divergence

BATCH = 64
ROUNDING = (2 / 255) ** 2 / 12  # the variance of what is lost when a pixel is rounded to one of 256 levels
ERROR, WEIGHTED_ERROR = "error", "weighted error"
UNEXPLAINED, WEIGHTED_UNEXPLAINED = "unexplained", "weighted unexplained"
CODE_DISTANCE, NEGATIVE_ELBO = "code distance", "negative ELBO"
DEFAULT = WEIGHTED_UNEXPLAINED


def error(x, x_hat, variance=1.0):
    """The mean over an image's D values of (x - x_hat)^2 / variance.  (N, D), (N, D), (D,) -> (N,)

    With a variance of 1 it is the mean squared error. With that of each value's residuals on training images, what is
    never reconstructed well counts for less; it is then -2/D log N(x; x_hat, variance), up to a constant. Both as the
    squared prediction error of Jackson and Mudholkar, "Control procedures for residuals associated with principal
    component analysis", Technometrics 21, 1979.
    Weakness: an image of little contrast is near to its reconstruction, and passes, however strange it is.
    """
    return np.mean((x - x_hat) ** 2 / variance, axis=1, dtype=np.float64)


def unexplained(x, x_hat, variance=1.0):
    """error(x, x_hat, variance) / error(x, flat(x), variance): the share of its own variance that is left.  (N,)

    1 - R^2 of regression (Wright, "Correlation and causation", 1921), here over the values of one image. A flat image
    has no variance to explain: it scores infinity, or 0 if x_hat is equal to it.
    Weakness: a blurred image of the right kind is explained better than a sharp one, and passes.
    """
    left = error(x, x_hat, variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(left == 0, 0.0, left / error(x, flat(x), variance))


def flat(x):
    """Each image painted with its mean colour alone.  (N, D) -> (N, D)"""
    channels = x.reshape(len(x), 3, -1)  # (N, 3, D / 3)
    return np.repeat(channels.mean(axis=2, dtype=np.float64), channels.shape[2], axis=1)


def contrast(x):
    """The standard deviation of an image's values around its mean colour.  (N, D) -> (N,)"""
    return np.sqrt(error(x, flat(x)))


def mahalanobis(z, mean, precision):
    """sqrt((z - mean)^T precision (z - mean)), where precision is the inverse covariance of codes.  (N, Z) -> (N,)

    Mahalanobis, "On the generalized distance in statistics", 1936.
    Weakness: it sees nothing that the encoder does not put into the code, and codes need not be normally distributed.
    """
    difference = np.asarray(z, np.float64) - mean  # (N, Z)
    return np.sqrt(np.maximum(np.einsum("nz,zy,ny->n", difference, precision, difference), 0))


def negative_elbo(vae, x, sigma2, noise):
    """VAE.loss for each image alone, averaged over L samples of its code: a bound on -log p(x), in nats.  (N,)

    noise: (L, Z) from N(0, 1), the same for each image, so that an image's score is its own alone.
    Kingma and Welling, arXiv 1312.6114, equation 3; the average is An and Cho's, "Variational autoencoder based anomaly
    detection using reconstruction probability", 2015.
    Weakness: smooth images are likely, strange or not (Nalisnick et al., arXiv 1810.09136; Serra et al., 1909.11480).
    """
    mu, logvar = vae.encode(x)  # (N, Z) each
    kl = np.array([kl_divergence(mu[[i]], logvar[[i]])[0] for i in range(len(x))], np.float64)  # (N,)
    samples = [vae.reparameterize(mu, logvar, np.broadcast_to(each, mu.shape)) for each in noise]  # L times (N, Z)
    mse = np.mean([error(x, vae.decode(z)) for z in samples], axis=0)  # (N,)
    D = x.shape[1]
    return D / (2 * sigma2) * mse + D / 2 * np.log(2 * np.pi * sigma2) + kl


class Detector:
    """The scores of a model, of which `encode`, x -> code, and `decode`, code -> x_hat, are the halves.

    What is usual is measured on `images`, an ImageSet that the model was trained on: `variance`, (D,), the mean square
    of each value's residual, and the `mean` (Z,) and `precision` (Z, Z) of the codes. A direction in which these do not
    vary counts for nothing in the distance of codes.
    """

    def __init__(self, encode, decode, images):
        self.encode, self.decode = encode, decode
        squares, codes = 0.0, []
        for x in images.batches(BATCH):
            codes.append(encode(x))
            squares += np.sum((x - decode(codes[-1])) ** 2, axis=0, dtype=np.float64)  # (D,)
        self.variance = (squares / len(images) + ROUNDING).astype(x.dtype)
        z = np.concatenate(codes).astype(np.float64)
        self.mean = z.mean(axis=0)
        covariance = (z - self.mean).T @ (z - self.mean) / len(z)  # (Z, Z)
        self.precision = np.linalg.pinv(covariance, rcond=1e-10, hermitian=True)

    def score(self, x):
        """{name: (N,)} of features (N, D). One that holds a nan scores nan, and the others their own."""
        z = self.encode(x)  # (N, Z)
        x_hat = self.decode(z)  # (N, D)
        found = {
            ERROR: error(x, x_hat),
            WEIGHTED_ERROR: error(x, x_hat, self.variance),
            UNEXPLAINED: unexplained(x, x_hat),
            WEIGHTED_UNEXPLAINED: unexplained(x, x_hat, self.variance),
        }
        return found | {CODE_DISTANCE: mahalanobis(z, self.mean, self.precision)} if z.shape[1] else found

    def scores(self, images):
        """{name: (N,)} of an ImageSet, in its order.

        All batches have as many rows, the last one filled up with zeros: a matrix product may round a row differently
        in another shape, but not, in the same one, for other rows beside it (with Numba; NumPy's may).
        """
        found = []
        for x in images.batches(BATCH):
            filled = np.concatenate([x, np.zeros((BATCH - len(x), x.shape[1]), x.dtype)])
            found.append({name: values[: len(x)] for name, values in self.score(filled).items()})
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


class VAEDetector(Detector):
    """The scores of a VAE: those of its mean code, and the negative evidence lower bound. See negative_elbo()."""

    def __init__(self, vae, images, sigma2, noise):
        super().__init__(lambda x: vae.encode(x)[0], vae.decode, images)
        self.vae, self.sigma2, self.noise = vae, sigma2, noise

    def score(self, x):
        return super().score(x) | {NEGATIVE_ELBO: negative_elbo(self.vae, x, self.sigma2, self.noise)}


def roc_curve(labels, scores):
    """(false positive rates, true positive rates, thresholds): of images whose score is at least the threshold.

    labels: (N,), True or 1 for what is strange, False or 0 for what is normal; scores: (N,). A point for every distinct
    score, from (0, 0), whose threshold is infinity, to (1, 1); within a straight line, as in scikit-learn's roc_curve,
    points are left out. Raises ValueError as auc() does.
    """
    normal, strange = _split("roc_curve", labels, scores)
    thresholds = np.unique(np.append(normal, strange))[::-1]
    counts = [len(each) - np.searchsorted(np.sort(each), thresholds) for each in (normal, strange)]
    bends = np.any(np.diff(counts, 2) != 0, axis=0)
    kept = np.append(0, np.flatnonzero([True, *bends, True][: len(thresholds)]) + 1)  # the first one is (0, 0)
    false, true = (np.append(0, count)[kept] / count[-1] for count in counts)
    return false, true, np.append(np.inf, thresholds)[kept]


def auc(labels, scores):
    """The area under the ROC curve, which is the probability that a strange image scores higher than a normal one.

    Of equal scores, half of the pairs count. See roc_curve() for labels and scores. Raises ValueError if these differ
    in shape, a label is not 0 or 1, a score is nan, or one of both kinds is missing.
    Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology 143, 1982.
    """
    return float(_placements("auc", labels, scores)[1].mean())


def auc_error(labels, scores, other=None):
    """The standard error of auc(labels, scores), or with the scores `other` of the same images, of its difference to
    auc(labels, other). None if there are less than two images of a kind.

    DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", Biometrics 44, 1988, for independent images. It is 0 where the kinds do not overlap at all.
    """
    placements = _placements("auc_error", labels, scores)
    if other is not None:
        placements = [one - two for one, two in zip(placements, _placements("auc_error", labels, other))]
    if min(map(len, placements)) < 2:
        return None
    return float(np.sqrt(sum(each.var(ddof=1) / len(each) for each in placements)))


def _placements(name, labels, scores):
    """[for each normal image the share of strange ones above it, for each strange one of normal ones below it]."""
    normal, strange = _split(name, labels, scores)

    def below(some, others):  # the share of `others` below each of `some`; equal ones count half
        others = np.sort(others)
        return (np.searchsorted(others, some, "left") + np.searchsorted(others, some, "right")) / (2 * len(others))

    return [1 - below(normal, strange), below(strange, normal)]


def _split(name, labels, scores):
    """The scores of normal and of strange images."""
    labels, scores = np.asarray(labels), np.asarray(scores)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(f"{name}: found labels {labels.shape} and scores {scores.shape}, wanted (N,) both")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"{name}: found labels {np.unique(labels)[:5]}, wanted 1 for strange images, 0 for normal ones"
        )
    if nans := np.count_nonzero(np.isnan(scores)):
        raise ValueError(f"{name}: found {nans} of {len(scores)} scores nan, wanted numbers")
    kinds = scores[labels == 0], scores[labels == 1]
    if not all(map(len, kinds)):
        raise ValueError(f"{name}: found {len(kinds[0])} normal and {len(kinds[1])} strange images, wanted both kinds")
    return kinds
