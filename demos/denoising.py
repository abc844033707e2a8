"""Denoising: the same autoencoder trained on clean and on noisy images, and what each makes of more and more noise."""

import numpy as np

from autoencoders import gaussian_noise
from autoencoders.architecture import architecture_figure
from autoencoders.code_space import Comparison
from autoencoders.figures import curves_figure
from autoencoders.images import to_features
from autoencoders.training import squared_errors
from demos import settings
from demos.output import MEAN, SHOWN, Picture, Table, mean_and_error, save_figure, save_results, save_rows, value
from demos.trained import NOISE, trained

JUDGED = 300
GAIN = Comparison(
    "denoising",
    "The denoising autoencoder's error is lower than the vanilla one's",
    "The denoising autoencoder's error is higher than the vanilla one's",
    "The denoising autoencoder's error is not measurably different from the vanilla one's",
)
LEVELS = (0, 0.25, 0.5, 0.75, 1)  # standard deviations of the noise


def main(argv=None):
    settings.start("python -m demos.denoising", __doc__, argv, run, unused=["--element"])


def run(options, training_set, validation_set):
    models = {
        "vanilla": trained("fcn", options, training_set, validation_set)[0],
        "denoising": trained("dae", options, training_set, validation_set)[0],
    }
    x = to_features(validation_set[:JUDGED])  # (N, D)
    noisy = {level: gaussian_noise(level)(x, np.random.default_rng((options.seed, 4))) for level in LEVELS}

    measured = {name: [squared_errors(model(each), x) for each in noisy.values()] for name, model in models.items()}

    def gain(level):
        return measured["vanilla"][level] - measured["denoising"][level]  # (N,)

    results = {
        "images": len(x),
        "noise": list(LEVELS),
        "trained with": NOISE,
        "error": {name: [mean_and_error(values) for values in each] for name, each in measured.items()},
        "with noise": GAIN.say(gain(LEVELS.index(NOISE))),
        "without noise": GAIN.say(gain(0)),
    }
    save_figure(
        options, "denoising_architecture.png", architecture_figure(models["denoising"], corrupt=f"noise of std {NOISE}")
    )
    shown = noisy[NOISE][:SHOWN]
    rows = {"original": x, f"noise of std {NOISE}": shown} | {name: m(shown) for name, m in models.items()}
    title = "Validation images, noise added, and what each autoencoder makes of that"
    save_rows(options, "denoising.png", title, rows)
    curves = curves_figure("Error of reconstructions of noisy images", "std of the noise", LEVELS, results["error"])
    save_figure(options, "denoising_error.png", curves)
    save_results(options, "denoising", "Denoising", results, parts(results).values())


def parts(results):
    """What denoising.md and the report say."""
    levels = range(len(results["noise"]))
    return {
        "architecture": Picture(
            "denoising_architecture.png", "The autoencoder, shown noisy images, asked for clean ones"
        ),
        "measured": "Mean squared error against the clean image, ${/denoising/images} validation images, ± standard"
        " error; the denoising autoencoder was trained with noise of standard deviation ${/denoising/trained with}:",
        "errors": Table(
            ["noise", *(value("denoising", "noise", k) for k in levels)],
            [[name, *(value("denoising", "error", name, k, form=MEAN) for k in levels)] for name in results["error"]],
        ),
        "curves": Picture("denoising_error.png", "The error over the noise on the image; bars are standard errors"),
        "gain": "In brackets the vanilla autoencoder's error less the denoising one's, image by image. With the noise"
        " of its training: ${/denoising/with noise/sentence} Without noise: ${/denoising/without noise/sentence}",
        "pictures": Picture("denoising.png", "Validation images, noise added, and what each autoencoder makes of that"),
    }


if __name__ == "__main__":
    main()
