"""Anomaly: images that do not belong, found by what an autoencoder fails to reconstruct; scores and models compared."""

import csv
import io
import re
import textwrap

import numpy as np

from autoencoders import anomaly
from autoencoders.anomaly import DEFAULT, ERROR, WEIGHTED_ERROR, Detector, VAEDetector, auc, auc_error, roc_curve
from autoencoders.faces import make_faces
from autoencoders.faults import FAULTS, FAULTS_OF_FACES
from autoencoders.figures import histograms_figure, picture_rows_figure, roc_figure
from autoencoders.images import ImageSet, to_features, to_pixels
from autoencoders.pca import PCA
from demos import settings
from demos.output import SHOWN, Picture, Table, plus_minus, save_figure, save_results, save_text
from demos.settings import say
from demos.trained import trained

MODEL, NORMAL, STRANGE = "autoencoder", "normal", "strange"  # MODEL is the one that is looked at more closely
USUAL = 4000  # training images, at most, on which it is measured what is usual
PLANTED = 100  # images of each kind of fault
SAMPLES = 8  # codes drawn for a negative ELBO
FOUND = 0.6  # the AUC below which a kind is called not found
ENOUGH = 10  # images of either kind, for a standard error
MEANING = {
    ERROR: "mean of (x - x_hat)^2 over the values x of an image and x_hat of its reconstruction",
    WEIGHTED_ERROR: "mean of (x - x_hat)^2 / u, where u is the mean of (x - x_hat)^2 over training images",
    anomaly.UNEXPLAINED: "the error divided by that of a flat picture, of the image's mean colour",
    DEFAULT: "the weighted error divided by that of the flat picture; the default",
    anomaly.CODE_DISTANCE: "Mahalanobis distance of the code, in standard deviations of the codes of training images",
    anomaly.NEGATIVE_ELBO: "of the VAE alone: its loss for the image, averaged over samples of the code",
}


def main(argv=None):
    settings.start("python -m demos.anomaly", __doc__, argv, run, hidden=("--element",))


def run(options, training_set, validation_set):
    fcn, _ = trained("fcn", options, training_set, validation_set)
    dae, _ = trained("dae", options, training_set, validation_set)
    vae, history = trained("vae", options, training_set, validation_set)
    rng = np.random.default_rng((options.seed, 5))  # a stream of its own
    normal, strange, kinds = _sets(options, validation_set, rng)
    usual = training_set.subset(np.arange(min(USUAL, len(training_set))))
    Z = vae.decoder[0].weight.data.shape[1]
    pca = PCA(to_features(usual[:]), min(Z, len(usual) - 1))
    detectors = {
        MODEL: Detector(fcn.encoder, fcn.decoder, usual),
        "denoising": Detector(dae.encoder, dae.decoder, usual),
        "VAE": VAEDetector(vae, usual, history.sigma2[-1], rng.standard_normal((SAMPLES, Z), np.float32)),
        "PCA": Detector(pca.encoder, pca.decoder, usual),
        "mean image": Detector(lambda x: x[:, :0], lambda z: np.tile(pca.mean, (len(z), 1)), usual),  # without a code
    }
    kinds = np.append(np.full(len(normal), NORMAL), kinds)  # (N,): the normal images, then the strange ones
    scores = {}  # {model: {score: (N,)}}
    for name, detector in detectors.items():
        of_normal, of_strange = detector.scores(normal), detector.scores(strange)
        scores[name] = {score: np.append(of_normal[score], of_strange[score]) for score in of_normal}
    contrast = np.concatenate([anomaly.contrast(x) for each in (normal, strange) for x in each.batches(256)])  # (N,)

    results = {
        "found from": FOUND,
        "usual": len(usual),
        "components": pca.basis.shape[1],
        "planted": options.anomalies is None,
    }
    results |= measured(scores, kinds, contrast)
    _save_figures(options, fcn, normal, strange, scores, kinds)
    if options.score is not None:
        _save_scores(options, detectors[MODEL], results["threshold"])
    save_results(options, "anomaly", "Finding what does not belong", results, parts(results))


def _sets(options, validation_set, rng):
    """(ImageSet of normal images, ImageSet of S strange ones, the kind (S,) of each of these)."""
    if options.anomalies is not None:
        return validation_set, options.anomalies, np.full(len(options.anomalies), STRANGE)
    if options.data is None and options.validation is None:
        normal = validation_set
        planted = {kind: fault(make_faces(PLANTED, rng)[0], rng) for kind, fault in FAULTS.items()}
        planted |= {kind: paint(PLANTED, rng) for kind, paint in FAULTS_OF_FACES.items()}
    else:  # every other image stays normal, and of the rest every kind of fault gets its own
        normal = validation_set.subset(np.arange(0, len(validation_set), 2))
        others = validation_set[1 : 2 * PLANTED * len(FAULTS) : 2]
        shares = {kind: others[k :: len(FAULTS)] for k, kind in enumerate(FAULTS) if k < len(others)}
        planted = {kind: FAULTS[kind](images, rng) for kind, images in shares.items()}
    kinds = np.repeat(list(planted), [len(images) for images in planted.values()])
    return normal, ImageSet(np.concatenate(list(planted.values())), "faults"), kinds


def measured(scores, kinds, contrast):
    """The numbers of anomaly.json; scores: {model: {score: (N,)}}; kinds, contrast: (N,), of each image."""
    is_strange = kinds != NORMAL  # (N,)
    strange_kinds = list(dict.fromkeys(kinds[is_strange].tolist()))
    error, weighted, default = (scores[MODEL][name] for name in (ERROR, WEIGHTED_ERROR, DEFAULT))

    def areas(rows):
        """{model: {score: [AUC, standard error]}} of some of the images."""
        return {
            model: {name: _area(is_strange[rows], each[rows]) for name, each in of.items()}
            for model, of in scores.items()
        }

    by_contrast = {}
    for name, some in ((NORMAL, ~is_strange), (STRANGE, is_strange)):
        high = contrast[some] > np.median(contrast[some])
        if min(high.sum(), (~high).sum()) >= ENOUGH:
            by_contrast[name] = {ERROR: _area(high, error[some]), DEFAULT: _area(high, default[some])}
    beside = {}  # where normal images have any contrast
    if np.median(contrast[~is_strange]) > 0:
        for kind in strange_kinds:
            medians = [[np.median(each[of]) for of in (kinds == kind, ~is_strange)] for each in (weighted, contrast)]
            beside[kind] = [float(strange / normal) for strange, normal in medians]
    return {
        "images": {kind: int(np.sum(kinds == kind)) for kind in (NORMAL, *strange_kinds)},
        "auc": areas(np.arange(len(kinds))),
        "auc by kind": {kind: areas(~is_strange | (kinds == kind)) for kind in strange_kinds},
        "gain": _area(is_strange, default, error),
        "auc of high contrast": by_contrast,
        "beside normal": beside,
        "threshold": _finite(np.quantile(default[~is_strange], 0.95, method="lower")),
        "strangest normal": [_finite(each) for each in np.sort(default[~is_strange])[::-1][:SHOWN]],
        "most normal strange": [_finite(each) for each in np.sort(default[is_strange])[:SHOWN]],
    }


def _finite(value):
    return float(value) if np.isfinite(value) else None  # JSON has no infinity


def _area(labels, scores, other=None):
    """[AUC, its standard error], or of what it exceeds that of other scores by; of too few images without an error."""
    area = auc(labels, scores) - (0 if other is None else auc(labels, other))
    enough = min(np.sum(labels), np.sum(~labels)) >= ENOUGH
    return [area, auc_error(labels, scores, other) if enough else None]


def _save_figures(options, model, normal, strange, scores, kinds):
    is_strange = kinds != NORMAL
    negative_elbo = {f"{anomaly.NEGATIVE_ELBO}, VAE": scores["VAE"][anomaly.NEGATIVE_ELBO]}
    of_model = scores[MODEL] | negative_elbo  # {score: (N,)}
    panels = {name: (each[~is_strange], each[is_strange]) for name, each in of_model.items()}
    save_figure(options, "anomaly_histograms.png", histograms_figure(panels))
    curves = {
        f"each score of the {MODEL}": of_model,
        f"the score “{DEFAULT}” of each model": {name: of[DEFAULT] for name, of in scores.items()},
    }
    rates = {
        title: {name: roc_curve(is_strange, each)[:2] for name, each in of.items()} for title, of in curves.items()
    }
    save_figure(options, "anomaly_roc.png", roc_figure(rates))
    default = scores[MODEL][DEFAULT]
    order = np.argsort(default, kind="stable")  # (N,), the most normal first
    false_alarms, missed = order[~is_strange[order]][::-1][:SHOWN], order[is_strange[order]][:SHOWN]
    found = {
        "strangest\nnormal images": (normal[false_alarms], false_alarms),
        "most normal\nstrange images": (strange[missed - len(normal)], missed),
    }
    pictures, captions = {}, {}
    for name, (images, rows) in found.items():
        pictures[name] = images
        pictures[f"{name},\nreconstructed"] = to_pixels(model(to_features(images)))
        captions[name] = [f"{textwrap.fill(kinds[row], 16)}\n{default[row]:.3g}" for row in rows]
    title = f"Where the score “{DEFAULT}” of the {MODEL} is most mistaken:\nunder each image its kind and score"
    save_figure(options, "anomaly_mistakes.png", picture_rows_figure(title, pictures, captions))


def _save_scores(options, detector, threshold):
    scores = detector.scores(options.score)[DEFAULT]
    names = (options.score.describe(i)[0] for i in range(len(scores)))  # of a file, or "image" and a number
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["ID", "score"])
    writer.writerows((re.sub(r"^image (\d+)$", r"\1", name), f"{score:.9g}") for name, score in zip(names, scores))
    save_text(options, "scores.csv", table.getvalue())
    say(options, f"          the score “{DEFAULT}” of the {MODEL}, {len(scores)} images")
    if threshold is not None:
        above = np.count_nonzero(scores > threshold)
        say(options, f"          {above} of them above {threshold:.3g}, as 5 in a hundred normal images are")
    if flat := np.count_nonzero(np.isinf(scores)):
        say(options, f"          {flat} without any contrast: their score is infinite")


def parts(results):
    areas, by_kind = results["auc"], results["auc by kind"]
    count = {kind: f"{number:,}" for kind, number in results["images"].items()}
    normal = count.pop(NORMAL)
    origin = "other images, in which faults are planted" if results["planted"] else "those of --anomalies"
    strange = ", ".join(f"{number} {kind}" for kind, number in count.items())
    said = [
        f"Normal are {normal} validation images, strange are {origin}: {strange}. What is usual was measured on"
        f" {results['usual']:,} training images; PCA has {results['components']} components. Of every score, higher is"
        " stranger:",
        [f"{name}: {meaning}" for name, meaning in MEANING.items()],
        "AUC: in this share of pairs, a strange and a normal image, the strange one scores higher; a half is chance,"
        " below it the strange images look the more normal ones. ± is a standard error; a difference of two of them can"
        " be measured.",
        Table(["AUC", *MEANING], [[name, *_cells(of)] for name, of in areas.items()]),
        _gain(results),
        Picture("anomaly_roc.png", "ROC curves: the share of strange images found, over that of false alarms"),
        Picture("anomaly_histograms.png", "Each score of normal and of strange images"),
    ]
    if results["planted"]:
        rows = [[kind, *_cells(of["VAE"] | of[MODEL])] for kind, of in by_kind.items()]
        said += [f"By kind of fault, the scores of the {MODEL}, and the negative ELBO of the VAE:"]
        said += [Table(["AUC", *MEANING], rows), _missed(results)]
    return [
        *said,
        *(_contrast(results, name) for name in results["auc of high contrast"]),
        Picture("anomaly_mistakes.png", "The strangest normal images and the most normal strange ones"),
        *_threshold(results),
    ]


def _cells(of):
    return [plus_minus(of[name], ".3f", ".3f") if name in of else "" for name in MEANING]


def _gain(results):
    areas, (gain, error) = results["auc"], results["gain"]
    verdict = _verdict(gain, error, "more than", "less than", "neither measurably more nor less than")
    one, two = (plus_minus(areas[MODEL][name], ".3f", ".3f") for name in (DEFAULT, ERROR))
    cells = {f"{name}, {model}": area for model, of in areas.items() for name, (area, _) in of.items()}
    best = [cell for cell, area in cells.items() if area == max(cells.values())]
    where = "; ".join(best) if len(best) < 3 else f"{len(best)} times"
    return (
        f"The default score finds {verdict} the plain error: AUC {one} against {two}, a difference of"
        f" {plus_minus(results['gain'], '+.3f', '.3f')}. The largest in the table, {max(cells.values()):.3f}"
        f" ({where}), is also a little lucky, as the best of many."
    )


def _verdict(difference, error, more, less, neither):
    """What is said of a difference: within two standard errors it is none, and of one image there is no error."""
    if error is None or abs(difference) <= 2 * error:
        return neither
    return more if difference > 0 else less


def _missed(results):
    by_default = {kind: of[MODEL][DEFAULT][0] for kind, of in results["auc by kind"].items()}
    said = []
    for kind, area in by_default.items():
        if area < results["found from"]:
            why = ""
            if kind in results["beside normal"]:
                error, contrast = results["beside normal"][kind]
                reason = "its contrast excuses its error" if min(error, contrast) > 1 else "it is reconstructed as well"
                beside = f"weighted error {error:.2f}, contrast {contrast:.2f} times those of normal images"
                why = f", for {reason} ({beside})"
            said.append(f"{kind}, AUC {area:.3f}{why}")
    if said:
        return f"Not found by the default score, with an AUC below {results['found from']}: {'; '.join(said)}."
    hardest = min(by_default, key=by_default.get)
    return (
        f"The default score finds every kind, with an AUC of {results['found from']} or more; that of the hardest,"
        f" {hardest}, is {by_default[hardest]:.3f}."
    )


def _contrast(results, kind):
    """Whether the plain and the default score depend on contrast, and what follows for normal or strange images."""
    high, low, mistake = ("busy", "smooth", "called strange") if kind == NORMAL else ("smooth", "busy", "missed")
    rises = f"rises with contrast: {high} images are the first to be {mistake}"
    falls = f"falls with contrast: {low} images are the first to be {mistake}"
    said = []
    for name, (area, error) in zip(("plain error", "default score"), results["auc of high contrast"][kind].values()):
        verdict = _verdict(area - 0.5, error, rises, falls, "does not measurably depend on contrast")
        said.append(f"In {area:.0%} of such pairs the first has the higher {name}, which {verdict}.")
    return f"Take two {kind} images, the first of more contrast than half of them, the second of less. {' '.join(said)}"


def _threshold(results):
    if results["threshold"] is None:
        return []
    return [f"Five in a hundred normal images have a default score above {results['threshold']:.3g}."]


if __name__ == "__main__":
    main()
