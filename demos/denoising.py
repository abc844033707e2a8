"""Denoising: the same autoencoder trained on clean and on noisy images, and what each makes of more and more noise."""

import numpy as np

from autoencoders import gaussian_noise
from autoencoders.architecture import architecture_figure
from autoencoders.claims import mean_and_error
from autoencoders.code_space import Comparison
from autoencoders.figures import curves_figure
from autoencoders.images import to_features
from autoencoders.training import squared_errors
from demos import settings
from demos.output import SHOWN, Picture, Table, plus_minus, save_figure, save_results, save_rows
from demos.trained import NOISE, trained

JUDGED = 300
LEVELS = (0, 0.25, 0.5, 0.75, 1)  # standard deviations of the noise
GAIN = Comparison(
    "denoising",
    "The denoising autoencoder's error is lower than the vanilla one's",
    "The denoising autoencoder's error is higher than the vanilla one's",
    "The denoising autoencoder's error is not measurably different from the vanilla one's",
)


def main(argv=None):
    settings.start("python -m demos.denoising", __doc__, argv, run)


def run(options, training_set, validation_set):
    models = {
        "vanilla": trained("fcn", options, training_set, validation_set)[0],
        "denoising": trained("dae", options, training_set, validation_set)[0],
    }
    x = to_features(validation_set[:JUDGED])  # (N, D)
    noisy = [gaussian_noise(level)(x, np.random.default_rng((options.seed, 4))) for level in LEVELS]
    errors = {name: [squared_errors(model(each), x) for each in noisy] for name, model in models.items()}  # (N,) each
    gains = [vanilla - denoising for vanilla, denoising in zip(errors["vanilla"], errors["denoising"])]
    at_training = LEVELS.index(NOISE)
    results = {
        "images": len(x),
        "noise": list(LEVELS),
        "trained with": NOISE,
        "error": {name: list(map(mean_and_error, each)) for name, each in errors.items()},
        "with noise": GAIN.say(gains[at_training]),
        "without noise": GAIN.say(gains[0]),
    }
    noise = f"noise of std {NOISE}"
    save_figure(options, "denoising_architecture.png", architecture_figure(models["denoising"], corrupt=noise))
    shown = noisy[at_training][:SHOWN]
    rows = {"original": x, noise: shown} | {name: model(shown) for name, model in models.items()}
    title = "Validation images, noise added, and what each autoencoder makes of that"
    save_rows(options, "denoising.png", title, rows)
    curves = curves_figure("Error of reconstructions of noisy images", "std of the noise", LEVELS, results["error"])
    save_figure(options, "denoising_error.png", curves)
    save_results(options, "denoising", "Denoising", results, parts(results))


def parts(results):
    rows = [[name, *map(plus_minus, errors)] for name, errors in results["error"].items()]
    return [
        Picture("denoising_architecture.png", "The autoencoder, shown noisy images, asked for clean ones"),
        f"Mean squared error against the clean image, {results['images']} validation images, ± standard error; the"
        f" denoising autoencoder was trained with noise of standard deviation {results['trained with']}:",
        Table(["noise", *map(str, results["noise"])], rows),
        Picture("denoising_error.png", "The error over the noise on the image; bars are standard errors"),
        "In brackets the vanilla autoencoder's error less the denoising one's, image by image. With the noise of its"
        f" training: {results['with noise']['sentence']} Without noise: {results['without noise']['sentence']}",
        Picture("denoising.png", "Validation images, noise added, and what each autoencoder makes of that"),
    ]


if __name__ == "__main__":
    main()
