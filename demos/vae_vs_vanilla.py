"""VAE against vanilla autoencoder: the same decoder, trained as long on the same images; what each is worth."""

import functools

import numpy as np
from PIL import Image, ImageFilter

from autoencoders import code_use
from autoencoders.architecture import architecture_figure, summary
from autoencoders.code_space import (
    ADVANTAGES,
    DISADVANTAGES,
    conclusion,
    fitted_samples,
    high_frequencies,
    midpoints,
    nearest_distance,
    perturbed,
)
from autoencoders.figures import curves_figure
from autoencoders.images import to_features, to_pixels
from autoencoders.training import squared_errors
from demos import settings
from demos.output import MEAN, SHOWN, Picture, Table, mean_and_error, save_figure, save_results, save_rows, value
from demos.trained import trained

JUDGED = 300
REAL = 4000  # training images among which the nearest one is sought
STEPS = (0, 0.25, 0.5, 1, 2)  # standard deviations by which codes are moved
SCAN = (-3, -2, -1, 0, 1, 2, 3)
BLUR = 2  # pixels


def main(argv=None):
    settings.start("python -m demos.vae_vs_vanilla", __doc__, argv, run, unused=["--element"])


def run(options, training_set, validation_set):
    vanilla, _ = trained("fcn", options, training_set, validation_set)
    vae, history = trained("vae", options, training_set, validation_set)
    rng = np.random.default_rng((options.seed, 2))
    x = to_features(validation_set[:JUDGED])  # (N, D)
    real = to_features(training_set[:REAL])  # (R, D)
    mu, logvar = vae.encode(x)  # (N, Z) each
    noise = rng.standard_normal(mu.shape, np.float32)  # (N, Z)
    sampled = vae.decode(vae.reparameterize(mu, logvar, noise))  # (N, D)
    spaces = {"vanilla": (vanilla.encoder(x), vanilla.decoder), "VAE": (mu, vae.decode)}

    reconstructions = {name: decode(codes) for name, (codes, decode) in spaces.items()}
    reconstructed = {name: squared_errors(pictures, x) for name, pictures in reconstructions.items()}
    reconstructed["VAE, sampled"] = squared_errors(sampled, x)
    moved = {
        name: [decode(perturbed(codes, k, np.random.default_rng((options.seed, 3)))) for k in STEPS]
        for name, (codes, decode) in spaces.items()
    }
    moved_errors = {name: [squared_errors(pictures, x) for pictures in each] for name, each in moved.items()}
    added = {name: each[STEPS.index(1)] - each[0] for name, each in moved_errors.items()}  # by noise of one std
    between = {name: decode(midpoints(codes)) for name, (codes, decode) in spaces.items()}
    prior = rng.standard_normal(mu.shape, np.float32)  # (N, Z)
    samples = {
        "vanilla, N(0, I)": vanilla.decoder(prior),
        "vanilla, fitted normal": vanilla.decoder(fitted_samples(spaces["vanilla"][0], len(x), rng)),
        "VAE, N(0, I)": vae.decode(prior),
    }
    baselines = {
        "another real image": x,
        "the same, blurred": _blurred(x),
        "the mean image": real.mean(axis=0, keepdims=True),
    }
    sets = {f"halfway, {name}": pictures for name, pictures in between.items()} | {"halfway, pixels": midpoints(x)}
    sets |= {f"sample, {name}": pictures for name, pictures in samples.items()} | baselines
    distance = {name: nearest_distance(pictures, real) for name, pictures in sets.items()}
    sharp = {name: high_frequencies(pictures) for name, pictures in sets.items()}
    of_real = sharp["another real image"].mean()
    use = code_use(vae, validation_set)

    claims = dict(zip(ADVANTAGES + DISADVANTAGES, (
        distance["halfway, vanilla"] - distance["halfway, VAE"],
        distance["sample, vanilla, N(0, I)"] - distance["sample, VAE, N(0, I)"],
        distance["sample, vanilla, fitted normal"] - distance["sample, VAE, N(0, I)"],
        added["vanilla"] - added["VAE"],
        reconstructed["VAE"] - reconstructed["vanilla"],
        reconstructed["VAE, sampled"] - reconstructed["vanilla"],
    )))  # fmt: skip
    said = [claim.say(differences) for claim, differences in claims.items()]
    advantages, disadvantages = said[: len(ADVANTAGES)], said[len(ADVANTAGES) :]
    results = {
        "summary": summary(vae),
        "images": len(x),
        "real images": len(real),
        "sigma2": history.sigma2[-1],
        "kl": use.kl.tolist(),
        "kl total": float(use.kl.sum()),
        "active": use.active,
        "elements": len(use.kl),
        "reconstruction": {name: mean_and_error(values) for name, values in reconstructed.items()},
        "moved by": list(STEPS),
        "error of moved codes": {name: list(map(mean_and_error, each)) for name, each in moved_errors.items()},
        "nearest real image": {name: mean_and_error(values) for name, values in distance.items()},
        "high frequencies": {name: mean_and_error(values / of_real) for name, values in sharp.items()},
        "advantages": advantages,
        "disadvantages": disadvantages,
        "conclusions": [conclusion("advantage", advantages), conclusion("disadvantage", disadvantages)],
    }

    save_figure(options, "vae_architecture.png", architecture_figure(vae))
    rows = {"original": x, **reconstructions, "VAE, sampled": sampled}
    save_rows(options, "vae_reconstruction.png", "Validation images and their reconstructions", rows)
    weights = np.linspace(0, 1, SHOWN)[:, None].astype(np.float32)
    rows = {name: decode(codes[:1] * (1 - weights) + codes[1:2] * weights) for name, (codes, decode) in spaces.items()}
    rows["pixels"] = x[:1] * (1 - weights) + x[1:2] * weights
    save_rows(options, "vae_interpolation.png", "From one validation image's code to another's", rows)
    rows = {f"{name}, k = {k}": pictures for name, each in moved.items() for k, pictures in zip(STEPS, each)}
    title = "Codes moved by noise of k standard deviations"
    save_rows(options, "vae_moved.png", title, rows)
    save_rows(options, "vae_samples.png", "Decoded samples of codes", samples)
    title = f"Two elements of a code, moved by {SCAN[0]} to {SCAN[-1]} standard deviations"
    save_rows(options, "vae_scan.png", title, _scans(spaces, use))
    label = "noise on the code, in standard deviations of each element"
    curves = curves_figure("Error of pictures of moved codes", label, STEPS, results["error of moved codes"])
    save_figure(options, "vae_error.png", curves)
    save_results(options, "vae_vs_vanilla", "VAE against vanilla autoencoder", results, parts(results).values())


def _scans(spaces, use):
    """{row: pictures} of the first code, with the two elements moved that say most: by KL, or by their spread."""
    rows = {}
    for name, (codes, decode) in spaces.items():
        spread = codes.std(axis=0)  # (Z,)
        for element in np.argsort(-(use.kl if name == "VAE" else spread))[:2]:
            code = codes[:1].repeat(len(SCAN), axis=0)  # (S, Z)
            code[:, element] += np.array(SCAN, np.float32) * spread[element]
            rows[f"{name}, element {element}"] = decode(code)
    return rows


def _blurred(x):
    blurred = [Image.fromarray(image).filter(ImageFilter.GaussianBlur(BLUR)) for image in to_pixels(x)]
    return to_features(np.stack(blurred))


def parts(results):
    """What vae_vs_vanilla.md and the report say."""
    of = functools.partial(value, "vae_vs_vanilla")
    steps = range(len(results["moved by"]))
    return {
        "architecture": Picture("vae_architecture.png", "The architecture, drawn from the trained model"),
        "measured": "Measured over the first ${/vae_vs_vanilla/images} validation images: mean squared errors and"
        " distances, pixels in [-1, 1], ± standard error; those to the nearest real image are to the nearest of the"
        " first ${/vae_vs_vanilla/real images|,} training images. Over all validation images the VAE uses"
        " ${/vae_vs_vanilla/active} of ${/vae_vs_vanilla/elements} elements of its code,"
        " ${/vae_vs_vanilla/kl total|.2f} nats in all; its variance of a pixel around the reconstruction, σ², is"
        " ${/vae_vs_vanilla/sigma2|.4f}.",
        "advantage": "As the source document, a student's report on such an autoencoder, claims it: the noise on the"
        " code makes the code space continuous, so that what lies between and around codes decodes to something like"
        " an image. Measured, in brackets the mean difference, positive where the claim holds:",
        "advantages": [of("advantages", k, "sentence") for k in range(len(results["advantages"]))],
        "advantage found": of("conclusions", 0),
        "between": Picture("vae_interpolation.png", "From one image's code to another's, and a blend of their pixels"),
        "samples": Picture(
            "vae_samples.png", "Decoded samples: of N(0, I), and of a normal fitted to the vanilla codes"
        ),
        "moved": Picture("vae_moved.png", "Codes moved by more and more noise, decoded by both models"),
        "errors of moved": Table(
            ["codes moved by", *(f"{of('moved by', k)} std" for k in steps)],
            [[name, *(of("error of moved codes", name, k, form=MEAN) for k in steps)] for name in ("vanilla", "VAE")],
        ),
        "curves": Picture("vae_error.png", "The error over the noise on the code; bars are standard errors"),
        "scan": Picture("vae_scan.png", "The two elements of a code that say most, moved, by both models"),
        "nearness": "Nearness alone is no measure, for blur may be near too: see the mean image. It says something only"
        " together with the energy in high frequencies (from eight cycles a picture on), where less than that of real"
        " images is blur, and more is noise.",
        "nearest": Table(
            ["pictures", "to the nearest real image", "high frequencies, of real images'"],
            [
                [name, of("nearest real image", name, form=MEAN), of("high frequencies", name, form=".0% ± .1%")]
                for name in results["nearest real image"]
            ],
        ),
        "disadvantage": "As the source document claims it: a code that is a distribution, not a value, reconstructs"
        " complex images worse. Measured:",
        "disadvantages": [of("disadvantages", k, "sentence") for k in range(len(results["disadvantages"]))],
        "disadvantage found": of("conclusions", 1),
        "errors": Table(
            ["reconstruction", "error"],
            [[name, of("reconstruction", name, form=MEAN)] for name in results["reconstruction"]],
        ),
        "reconstructions": Picture("vae_reconstruction.png", "Validation images and what each model makes of them"),
    }


if __name__ == "__main__":
    main()
