"""Anomaly: images that do not belong, found by what an autoencoder fails to reconstruct; scores and models compared."""

import csv
import io
import re

import numpy as np

from autoencoders import anomaly
from autoencoders.anomaly import DEFAULT, ERROR, WEIGHTED_ERROR, Detector, VAEDetector, auc, auc_error, roc_curve
from autoencoders.faces import make_faces
from autoencoders.faults import FAULTS, FAULTS_OF_FACES
from autoencoders.figures import histograms_figure, roc_figure
from autoencoders.images import ImageSet, to_features
from autoencoders.pca import PCA
from demos import settings
from demos.output import SHOWN, Picture, Table, plus_minus, save_figure, save_results, save_rows, save_text
from demos.trained import trained

MODEL, NORMAL = "autoencoder", "normal"  # the model that is looked at more closely; the kind of what belongs
USUAL = 4000  # training images on which it is measured what is usual
PLANTED = 100  # images of each kind of fault
SAMPLES = 8  # codes drawn for a negative ELBO
FOUND = 0.6  # the AUC below which a kind is called not found
MEANING = {
    ERROR: "mean squared error of the reconstruction",
    WEIGHTED_ERROR: "the same, each square divided by its mean over training images",
    anomaly.UNEXPLAINED: "the error, as a share of that of a picture of the image's mean colour",
    DEFAULT: "the same of weighted errors: the default",
    anomaly.CODE_DISTANCE: "Mahalanobis distance of the code from those of training images",
    anomaly.NEGATIVE_ELBO: "the VAE's loss for the image alone, averaged over samples of the code",
}


def main(argv=None):
    settings.start("python -m demos.anomaly", __doc__, argv, run, hidden=["--element"])


def run(options, training_set, validation_set):
    fcn, _ = trained("fcn", options, training_set, validation_set)
    dae, _ = trained("dae", options, training_set, validation_set)
    vae, history = trained("vae", options, training_set, validation_set)
    rng = np.random.default_rng((options.seed, 5))
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
    kinds = np.append(np.full(len(normal), NORMAL), kinds)  # (N,): the normal images, and after them the strange ones
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
        _save_scores(options, detectors[MODEL])
    save_results(options, "anomaly", "Finding what does not belong", results, parts(results))


def _sets(options, validation_set, rng):
    """(ImageSet of normal images, ImageSet of S strange ones, the kind (S,) of each of these)."""
    if options.anomalies is not None:
        return validation_set, options.anomalies, np.full(len(options.anomalies), "strange")
    if options.data is None and options.validation is None:
        normal = validation_set
        planted = {kind: fault(make_faces(PLANTED, rng)[0], rng) for kind, fault in FAULTS.items()}
        planted |= {kind: paint(PLANTED, rng) for kind, paint in FAULTS_OF_FACES.items()}
    else:  # no image is in both sets
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
        labels = is_strange[rows]
        return {
            model: {name: [auc(labels, each[rows]), auc_error(labels, each[rows])] for name, each in of.items()}
            for model, of in scores.items()
        }

    def beside_normal(values, kind):
        return float(np.median(values[kinds == kind]) / np.median(values[~is_strange]))

    high = contrast[~is_strange] > np.median(contrast[~is_strange])
    by_contrast = {ERROR: error[~is_strange], DEFAULT: default[~is_strange]} if high.any() else {}
    return {
        "images": {kind: int(np.sum(kinds == kind)) for kind in (NORMAL, *strange_kinds)},
        "auc": areas(np.arange(len(kinds))),
        "auc by kind": {kind: areas(~is_strange | (kinds == kind)) for kind in strange_kinds},
        "gain": [auc(is_strange, default) - auc(is_strange, error), auc_error(is_strange, default, error)],
        "auc of high contrast": {name: [auc(high, each), auc_error(high, each)] for name, each in by_contrast.items()},
        "beside normal": {kind: [beside_normal(each, kind) for each in (weighted, contrast)] for kind in strange_kinds},
    }


def _save_figures(options, model, normal, strange, scores, kinds):
    is_strange = kinds != NORMAL
    of_model = scores["VAE"] | scores[MODEL]  # {score: (N,)}
    panels = {name: (of_model[name][~is_strange], of_model[name][is_strange]) for name in MEANING}
    save_figure(options, "anomaly_histograms.png", histograms_figure(panels))
    curves = {
        f"the scores of the {MODEL}": of_model,
        f"the score “{DEFAULT}” of each model": {name: of[DEFAULT] for name, of in scores.items()},
    }
    rates = {
        title: {name: roc_curve(is_strange, each)[:2] for name, each in of.items()} for title, of in curves.items()
    }
    save_figure(options, "anomaly_roc.png", roc_figure(rates))
    order = np.argsort(scores[MODEL][DEFAULT], kind="stable")
    false_alarms = to_features(normal[order[~is_strange[order]][::-1][:SHOWN]])  # (n, D)
    missed = to_features(strange[order[is_strange[order]][:SHOWN] - len(normal)])
    rows = {
        "strangest\nnormal images": false_alarms,
        "their\nreconstructions": model(false_alarms),
        "most normal\nstrange images": missed,
        "reconstructions\nof these": model(missed),
    }
    title = f"Where the score “{DEFAULT}” of the {MODEL} is most mistaken"
    save_rows(options, "anomaly_mistakes.png", title, rows)


def _save_scores(options, detector):
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["ID", "score"])
    names = (options.score.describe(i)[0] for i in range(len(options.score)))  # of a file, or "image" and a number
    ids = (re.sub(r"^image (\d+)$", r"\1", name) for name in names)
    writer.writerows((id_, f"{score:.9g}") for id_, score in zip(ids, detector.scores(options.score)[DEFAULT]))
    save_text(options, "scores.csv", table.getvalue())


def parts(results):
    areas, by_kind = results["auc"], results["auc by kind"]
    count = {kind: f"{number:,}" for kind, number in results["images"].items()}
    normal = count.pop(NORMAL)
    origin = "with faults planted in them" if results["planted"] else "of --anomalies"
    strange = ", ".join(f"{number} {kind}" for kind, number in count.items())
    said = [
        f"Normal are {normal} validation images; strange are images {origin}: {strange}. What is usual was measured on"
        f" {results['usual']:,} training images; PCA has {results['components']} components. An AUC is the share of"
        " pairs, a strange and a normal image, in which the strange one scores higher; a half is chance.",
        [f"{name}: {meaning}" for name, meaning in MEANING.items()],
        Table(["AUC", *MEANING], [[name, *_cells(of)] for name, of in areas.items()]),
        _gain(results),
        Picture("anomaly_roc.png", "ROC curves: the share of strange images found, over that of false alarms"),
        Picture("anomaly_histograms.png", "Each score of normal and of strange images"),
    ]
    if results["planted"]:
        rows = [[kind, *_cells(of["VAE"] | of[MODEL])] for kind, of in by_kind.items()]
        said += [f"By kind of fault, the scores of the {MODEL}, and the negative ELBO of the VAE:"]
        said += [Table(["AUC", *MEANING], rows)]
    return [
        *said,
        _missed(results),
        *_contrast(results),
        Picture("anomaly_mistakes.png", "The strangest normal images and the most normal strange ones"),
    ]


def _cells(of):
    return [plus_minus(of[name], ".3f", ".3f") if name in of else "" for name in MEANING]


def _gain(results):
    areas, (gain, error) = results["auc"], results["gain"]
    verdict = _verdict(gain, error, "more than", "less than", "neither measurably more nor less than")
    one, two = (plus_minus(areas[MODEL][name], ".3f", ".3f") for name in (DEFAULT, ERROR))
    area, best, model = max((of[name][0], name, model) for model, of in areas.items() for name in of)
    return (
        f"The default score finds {verdict} the plain error: AUC {one} against {two}, a difference of"
        f" {plus_minus(results['gain'], '+.3f', '.3f')}. The largest in the table, {area:.3f}, is that of the {best} by"
        f" the {model}; the best of so many is also a little lucky."
    )


def _verdict(difference, error, more, less, neither):
    """What is said of a difference: it is none within two standard errors, and of one image there is no error."""
    if error is None or abs(difference) <= 2 * error:
        return neither
    return more if difference > 0 else less


def _missed(results):
    by_default = {kind: of[MODEL][DEFAULT][0] for kind, of in results["auc by kind"].items()}
    missed = [kind for kind, area in by_default.items() if area < results["found from"]]
    if not missed:
        hardest = min(by_default, key=by_default.get)
        return f"The default score finds every kind: the AUC of the hardest, {hardest}, is {by_default[hardest]:.3f}."
    beside = {kind: "weighted error {:.2f}, contrast {:.2f}".format(*results["beside normal"][kind]) for kind in missed}
    listed = "; ".join(f"{kind}, AUC {by_default[kind]:.3f}: {beside[kind]}" for kind in missed)
    return (
        f"Not found by the default score, with an AUC below {results['found from']}; medians, as multiples of those of"
        f" normal images: {listed}. The model reconstructs what is missed as well as what it knows, or its contrast"
        " excuses the error."
    )


def _contrast(results):
    if not results["auc of high contrast"]:
        return []
    (plain, plain_error), (default, default_error) = results["auc of high contrast"].values()
    readings = "rises with contrast", "falls with contrast", "has measurably nothing to do with contrast"
    lesson = (
        " Smooth strange images tend to pass it, and busy normal ones to fail." if plain - 0.5 > 2 * plain_error else ""
    )
    return [
        f"Contrast alone: of a normal image with more of it than half of them and one with less, the former has the"
        f" higher plain error in {plain:.0%} of pairs; the plain error {_verdict(plain - 0.5, plain_error, *readings)}."
        f"{lesson} It has the higher default score in {default:.0%}; this score"
        f" {_verdict(default - 0.5, default_error, *readings)}."
    ]


if __name__ == "__main__":
    main()
