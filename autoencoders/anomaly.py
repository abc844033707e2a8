"""Finding what does not belong: scores of images, of which higher is stranger, and how well they tell two sets apart.

Letters for shapes: N images, D = 3 * height * width values of an image in [-1, 1], channel-first, Z code, L samples.
x_hat is the reconstruction of x.
"""

import numpy as np

from autoencoders.images import require_images
from nnlite import kl_divergence

BATCH = 64
ROUNDING = (2 / 255) ** 2 / 12  # variance of what rounding to 256 levels leaves off: what is usual is never nothing
ERROR, WEIGHTED_ERROR = "error", "weighted error"
UNEXPLAINED, WEIGHTED_UNEXPLAINED = "unexplained", "weighted unexplained"
CODE_DISTANCE, NEGATIVE_ELBO = "code distance", "negative ELBO"
DEFAULT = WEIGHTED_UNEXPLAINED  # it finds the most among photographs of other things: docs/photographs.md


def error(x, x_hat, usual=1.0):
    """The mean over an image's D values of (x - x_hat)^2 / usual.  (N, D), (N, D), (D,) -> (N,)

    Where usual is 1, the mean squared error: Jackson and Mudholkar, "Control procedures for residuals associated with
    principal component analysis", Technometrics 21, 1979. Where it is the mean of (x - x_hat)^2 over training images,
    the weighted error: what is never reconstructed well counts for less. Up to a constant that is -2/D log N(x; x_hat,
    usual), as in An and Cho, "Variational autoencoder based anomaly detection using reconstruction probability", 2015.
    Weakness: an image of little contrast is near to its reconstruction, and passes, however strange it is.
    """
    return np.mean((x - x_hat) ** 2 / usual, axis=1, dtype=np.float64)


def unexplained(x, x_hat, usual=1.0):
    """error(x, x_hat, usual) / error(x, flat(x), usual): how much of its own contrast an image keeps to itself.  (N,)

    Where usual is 1, it is 1 - R^2 of regression (Wright, "Correlation and causation", 1921), over the values of one
    image: 0 for an exact reconstruction, 1 for one that is no better than a flat picture, and more for a worse one. A
    flat image has no contrast to explain: it scores infinity, or 0 if x_hat is equal to it.
    Weakness: a blurred image of the right kind passes more easily than a sharp one, and one of little contrast less.
    """
    left = error(x, x_hat, usual)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(left == 0, 0.0, left / error(x, flat(x), usual))


def flat(x):
    """Each image painted with its mean colour alone.  (N, D) -> (N, D)"""
    channels = x.reshape(len(x), 3, -1)  # (N, 3, D / 3)
    return np.repeat(channels.mean(axis=2, dtype=np.float64), channels.shape[2], axis=1)


def contrast(x):
    """The standard deviation of an image's values around its mean colour.  (N, D) -> (N,)"""
    return np.sqrt(error(x, flat(x)))


def mahalanobis(z, mean, precision):
    """sqrt((z - mean)^T precision (z - mean)), where precision is the inverse covariance of codes.  (N, Z) -> (N,)

    A distance in standard deviations: Mahalanobis, "On the generalised distance in statistics", 1936.
    Weakness: it sees nothing that the encoder does not put into the code, and codes need not be normally distributed.
    """
    difference = np.asarray(z, np.float64) - mean  # (N, Z)
    squares = np.sum(difference @ precision * difference, axis=1)  # (N,), which rounding may leave just below 0
    return np.sqrt(np.maximum(squares, 0))


def negative_elbo(vae, x, sigma2, noise):
    """VAE.loss of each image alone, averaged over L samples of its code: -log p(x), in nats, is at most that.  (N,)

    noise: (L, Z) from N(0, 1), the same for each image, so that a score is that of the image alone. sigma2: as in
    VAE.loss; of a trained VAE, the last of history.sigma2.
    Kingma and Welling, arXiv 1312.6114, equation 3; the average is An and Cho's: see error().
    Weakness: smooth images are likely, strange or not (Nalisnick et al., arXiv 1810.09136; Serra et al., 1909.11480).
    """
    mu, logvar = vae.encode(x)  # (N, Z) each
    kl = np.array([kl_divergence(mu[[i]], logvar[[i]])[0] for i in range(len(x))], np.float64)  # (N,), of (1, Z) each
    samples = [vae.reparameterize(mu, logvar, np.tile(each, (len(x), 1))) for each in noise]  # L times (N, Z)
    mse = np.mean([error(x, vae.decode(z)) for z in samples], axis=0)  # (N,)
    D = x.shape[1]
    return D / (2 * sigma2) * mse + D / 2 * np.log(2 * np.pi * sigma2) + kl


class Detector:
    """The scores of a model of which `encode`, (N, D) -> (N, Z), and `decode`, (N, Z) -> (N, D), are the halves.

        detector = Detector(model.encoder, model.decoder, training_images)
        scores = detector.scores(load_images("testset.npy"))["weighted unexplained"]  # (N,)

    What is usual is measured on `images`, an ImageSet of what the model was trained on, or of some of that: `usual`,
    (D,), the mean of (x - x_hat)^2 and ROUNDING, and the `mean` (Z,) and `precision` (Z, Z) of codes. A direction in
    which codes do not vary counts for nothing in their distance.
    """

    def __init__(self, encode, decode, images):
        require_images("Detector", "images", images)
        self.encode, self.decode = encode, decode
        squares, codes = 0.0, []
        for x, count in _filled(images):
            z = encode(x)  # (B, Z)
            squares += np.sum((x - decode(z))[:count] ** 2, axis=0, dtype=np.float64)  # (D,)
            codes.append(z[:count])
        self.usual = (squares / len(images) + ROUNDING).astype(x.dtype)
        z = np.concatenate(codes).astype(np.float64)
        self.mean = z.mean(axis=0)
        variances, axes = np.linalg.eigh((z - self.mean).T @ (z - self.mean) / len(z))  # (Z,), (Z, Z)
        vary = variances > 1e-10 * np.sum(z**2) / len(z)  # the variance of rounding errors is some 1e-14
        self.precision = axes[:, vary] / variances[vary] @ axes[:, vary].T

    def score_features(self, x):
        """{name: (N,)} of features (N, D), those of to_features(). One with a nan scores nan, the others their own."""
        z = self.encode(x)  # (N, Z)
        x_hat = self.decode(z)  # (N, D)
        found = {
            ERROR: error(x, x_hat),
            WEIGHTED_ERROR: error(x, x_hat, self.usual),
            UNEXPLAINED: unexplained(x, x_hat),
            WEIGHTED_UNEXPLAINED: unexplained(x, x_hat, self.usual),
        }
        return found | {CODE_DISTANCE: mahalanobis(z, self.mean, self.precision)} if z.shape[1] else found

    def scores(self, images):
        """{name: (N,)} of an ImageSet, in its order."""
        require_images("Detector.scores", "images", images)
        found = []
        for x, count in _filled(images):
            found.append({name: values[:count] for name, values in self.score_features(x).items()})
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _filled(images):
    """Yield (features (BATCH, D), how many rows are images; the others are zeros).

    A matrix product may round a row in another way in another shape. In the same one, Numba's gives it the same bits
    whatever the other rows are, so that a score is that of the image alone; NumPy's may differ by a rounding.
    """
    for x in images.batches(BATCH):
        yield np.concatenate([x, np.zeros((BATCH - len(x), x.shape[1]), x.dtype)]), len(x)


class VAEDetector(Detector):
    """The scores of a VAE: those of its mean code, and the negative ELBO. sigma2, noise: see negative_elbo()."""

    def __init__(self, vae, images, sigma2, noise):
        super().__init__(lambda x: vae.encode(x)[0], vae.decode, images)
        self.vae, self.sigma2, self.noise = vae, sigma2, noise

    def score_features(self, x):
        return super().score_features(x) | {NEGATIVE_ELBO: negative_elbo(self.vae, x, self.sigma2, self.noise)}


def roc_curve(labels, scores):
    """(false positive rates, true positive rates, thresholds): what is found, if all that scores as high is positive.

    labels: (N,), True or 1 for what is strange, False or 0 for what is normal; scores: (N,). A point for every distinct
    score, from (0, 0), whose threshold is infinity, to (1, 1); as scikit-learn's roc_curve, it leaves out points within
    a straight line. Raises ValueError as auc() does.
    """
    normal, strange = _split("roc_curve", labels, scores)
    thresholds = np.unique(np.append(normal, strange))[::-1]  # (T,), falling
    positives = [len(each) - np.searchsorted(np.sort(each), thresholds) for each in (normal, strange)]  # (T,) each
    bends = np.any(np.diff(positives, 2) != 0, axis=0)  # (T - 2,), whether the curve bends at all but the outer two
    kept = np.append(0, np.flatnonzero([True, *bends, True][: len(thresholds)]) + 1)  # with a (0, 0) before the first
    false_rates, true_rates = (np.append(0, count)[kept] / count[-1] for count in positives)
    return false_rates, true_rates, np.append(np.inf, thresholds)[kept]


def auc(labels, scores):
    """The area under the ROC curve, which is the probability that a strange image scores higher than a normal one.

    Of equal scores, half of the pairs count. See roc_curve() for labels and scores. Raises ValueError if these differ
    in shape, a label is not 0 or 1, a score is nan, or one of both kinds is missing.
    Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve",
    Radiology 143, 1982.
    """
    _, of_strange = _placements("auc", labels, scores)
    return float(of_strange.mean())


def auc_error(labels, scores, other=None):
    """The standard error of auc(labels, scores), or with the scores `other` of the same images, of its difference to
    auc(labels, other). None if there are less than two images of a kind.

    The placement of a strange image is the share of normal ones below it, that of a normal image the share of strange
    ones above it; the mean of either is the AUC. With S strange and N normal images, independent of one another,

        error^2 = variance of the placements of strange images / S + variance of those of normal ones / N,

    equation 5 of DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver
    operating characteristic curves", Biometrics 44, 1988; for a difference, of the differences of placements. It is 0
    where the scores of both kinds do not overlap, which says nothing of images that are not there.
    """
    placements = _placements("auc_error", labels, scores)
    if other is not None:
        placements = [one - two for one, two in zip(placements, _placements("auc_error", labels, other))]
    if min(map(len, placements)) < 2:
        return None
    return float(np.sqrt(sum(each.var(ddof=1) / len(each) for each in placements)))


def _placements(name, labels, scores):
    """The placements of normal images, and of strange ones: see auc_error()."""
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
    if scores.dtype.kind not in "biuf":
        raise ValueError(f"{name}: found scores of dtype {scores.dtype}, wanted real numbers")
    if nans := np.count_nonzero(np.isnan(scores)):
        raise ValueError(f"{name}: found {nans} of {len(scores)} scores nan, wanted numbers")
    kinds = scores[labels == 0], scores[labels == 1]
    if not all(map(len, kinds)):
        raise ValueError(f"{name}: found {len(kinds[0])} normal and {len(kinds[1])} strange images, wanted both kinds")
    return kinds
