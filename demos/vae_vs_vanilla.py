"""VAE against vanilla autoencoder: the same decoder, trained as long on the same images; what each is worth."""

import numpy as np
from PIL import Image, ImageFilter

from autoencoders import code_space, code_use
from autoencoders.architecture import architecture_figure, summary
from autoencoders.claims import mean_and_error
from autoencoders.code_space import ADVANTAGES, DISADVANTAGES, conclusion
from autoencoders.figures import curves_figure
from autoencoders.images import to_features, to_pixels
from autoencoders.training import squared_errors
from demos import settings
from demos.output import SHOWN, Heading, Picture, Table, plus_minus, save_figure, save_results, save_rows
from demos.trained import trained

JUDGED = 300
REAL = 4000  # training images among which the nearest one is sought
STEPS = (0, 0.25, 0.5, 1, 2)  # standard deviations by which codes are moved
SCAN = (-3, -2, -1, 0, 1, 2, 3)
BLUR = 2  # pixels


def main(argv=None):
    settings.start("python -m demos.vae_vs_vanilla", __doc__, argv, run)


def run(options, training_set, validation_set):
    vanilla, _ = trained("fcn", options, training_set, validation_set)
    vae, history = trained("vae", options, training_set, validation_set)
    rng = np.random.default_rng((options.seed, 2))
    x = to_features(validation_set[:JUDGED])  # (N, D)
    real = to_features(training_set[:REAL])  # (R, D)
    codes = vanilla.encoder(x)  # (N, Z)
    mu, logvar = vae.encode(x)  # (N, Z) each
    spaces = {"vanilla": (codes, vanilla.decoder), "VAE": (mu, vae.decode)}

    reconstructions = {name: decode(codes) for name, (codes, decode) in spaces.items()}
    noise = rng.standard_normal(mu.shape, np.float32)  # (N, Z)
    reconstructions["VAE, sampled"] = vae.decode(vae.reparameterize(mu, logvar, noise))
    error = {name: squared_errors(pictures, x) for name, pictures in reconstructions.items()}  # (N,) each
    moved = {
        name: [decode(code_space.perturbed(codes, k, np.random.default_rng((options.seed, 3)))) for k in STEPS]
        for name, (codes, decode) in spaces.items()
    }
    moved_error = {name: [squared_errors(pictures, x) for pictures in each] for name, each in moved.items()}
    added = {name: each[STEPS.index(1)] - each[0] for name, each in moved_error.items()}  # by noise of one std
    prior = rng.standard_normal(mu.shape, np.float32)  # (N, Z)
    samples = {
        "vanilla, N(0, I)": vanilla.decoder(prior),
        "vanilla, fitted normal": vanilla.decoder(code_space.fitted_samples(codes, len(x), rng)),
        "VAE, N(0, I)": vae.decode(prior),
    }
    between = spaces | {"pixels": (x, lambda pixels: pixels)}  # a blend of pixels, to compare with
    sets = {f"halfway, {name}": decode(code_space.midpoints(codes)) for name, (codes, decode) in between.items()}
    sets |= {f"sample, {name}": pictures for name, pictures in samples.items()}
    sets |= {"another real image": x, "the same, blurred": _blurred(x), "the mean image": real.mean(axis=0)[None]}
    distance = {name: code_space.nearest_distance(pictures, real) for name, pictures in sets.items()}  # (N,) each
    sharp = {name: code_space.high_frequencies(pictures) for name, pictures in sets.items()}  # (N,) each
    of_real = sharp["another real image"].mean()
    use = code_use(vae, validation_set)

    for_advantages = (
        distance["halfway, vanilla"] - distance["halfway, VAE"],
        distance["sample, vanilla, N(0, I)"] - distance["sample, VAE, N(0, I)"],
        distance["sample, vanilla, fitted normal"] - distance["sample, VAE, N(0, I)"],
        added["vanilla"] - added["VAE"],
    )
    for_disadvantages = (error["VAE"] - error["vanilla"], error["VAE, sampled"] - error["vanilla"])
    advantages = [claim.say(differences) for claim, differences in zip(ADVANTAGES, for_advantages)]
    disadvantages = [claim.say(differences) for claim, differences in zip(DISADVANTAGES, for_disadvantages)]
    results = {
        "summary": summary(vae),
        "images": len(x),
        "real images": len(real),
        "sigma2": history.sigma2[-1],
        **use.results(),
        "reconstruction": {name: mean_and_error(values) for name, values in error.items()},
        "moved by": list(STEPS),
        "error of moved codes": {name: list(map(mean_and_error, each)) for name, each in moved_error.items()},
        "nearest real image": {name: mean_and_error(values) for name, values in distance.items()},
        "high frequencies": {name: mean_and_error(values / of_real) for name, values in sharp.items()},
        "advantages": advantages,
        "disadvantages": disadvantages,
        "conclusions": [conclusion("advantage", advantages), conclusion("disadvantage", disadvantages)],
    }

    save_figure(options, "vae_architecture.png", architecture_figure(vae))
    title = "Validation images and their reconstructions"
    save_rows(options, "vae_reconstruction.png", title, {"original": x, **reconstructions})
    weights = np.linspace(0, 1, SHOWN)[:, None].astype(np.float32)
    rows = {name: decode(codes[:1] * (1 - weights) + codes[1:2] * weights) for name, (codes, decode) in between.items()}
    save_rows(options, "vae_interpolation.png", "From one validation image's code to another's", rows)
    rows = {f"{name}, k = {k}": pictures for name, each in moved.items() for k, pictures in zip(STEPS, each)}
    save_rows(options, "vae_moved.png", "Codes moved by noise of k standard deviations", rows)
    save_rows(options, "vae_samples.png", "Decoded samples of codes", samples)
    title = f"Two elements of a code, moved by {SCAN[0]} to {SCAN[-1]} standard deviations"
    save_rows(options, "vae_scan.png", title, _scans(spaces, use))
    label = "noise on the code, in standard deviations of each element"
    curves = curves_figure("Error of pictures of moved codes", label, STEPS, results["error of moved codes"])
    save_figure(options, "vae_error.png", curves)
    save_results(options, "vae_vs_vanilla", "VAE against vanilla autoencoder", results, parts(results))


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
    moved = [[name, *map(plus_minus, errors)] for name, errors in results["error of moved codes"].items()]
    sharp = results["high frequencies"]
    distances = results["nearest real image"]
    nearest = [[name, plus_minus(distances[name]), plus_minus(sharp[name], ".0%", ".1%")] for name in distances]
    reconstructed = [[name, plus_minus(error)] for name, error in results["reconstruction"].items()]
    advantage, disadvantage = results["conclusions"]
    return [
        Picture("vae_architecture.png", "The architecture, drawn from the trained model"),
        f"Measured over the first {results['images']} validation images: mean squared errors and distances, pixels in"
        " [-1, 1], ± standard error; those to the nearest real image are to the nearest of the first"
        f" {results['real images']:,} training images. Over all validation images the VAE uses {results['active']} of"
        f" {results['elements']} elements of its code, {results['kl total']:.2f} nats in all; its variance of a pixel"
        f" around the reconstruction, σ², is {results['sigma2']:.4f}.",
        Heading("The advantage"),
        "As the source document, a student's report on such an autoencoder, claims it: the noise on the code makes the"
        " code space continuous, so that what lies between and around codes decodes to something like an image."
        " Measured, in brackets the mean difference, positive where the claim holds:",
        [each["sentence"] for each in results["advantages"]],
        f"Verdict: {advantage}",
        Picture("vae_interpolation.png", "From one image's code to another's, and a blend of their pixels"),
        Picture("vae_samples.png", "Decoded samples: of N(0, I), and of a normal fitted to the vanilla codes"),
        Picture("vae_moved.png", "Codes moved by more and more noise, decoded by both models"),
        Table(["codes moved by", *(f"{step} std" for step in results["moved by"])], moved),
        Picture("vae_error.png", "The error over the noise on the code; bars are standard errors"),
        Picture("vae_scan.png", "The two elements of a code that say most, moved, by both models", in_report=False),
        "Nearness alone is no measure, for blur may be near too: see the mean image. It says something only together"
        " with the energy in high frequencies (from eight cycles a picture on), where less than that of real images is"
        " blur, and more is noise.",
        Table(["pictures", "to the nearest real image", "high frequencies, of real images'"], nearest),
        Heading("The disadvantage"),
        "As the source document claims it: a code that is a distribution, not a value, reconstructs complex images"
        " worse. Measured:",
        [each["sentence"] for each in results["disadvantages"]],
        f"Verdict: {disadvantage}",
        Table(["reconstruction", "error"], reconstructed),
        Picture("vae_reconstruction.png", "Validation images and what each model makes of them"),
    ]


if __name__ == "__main__":
    main()
