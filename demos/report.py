"""The report: the source document's two questions, answered by the figures and numbers that the other demos left."""

import json

from autoencoders.architecture import architecture_figure, summary
from demos import denoising, latent_scaling, posterior_collapse, reconstruction, settings, vae_vs_vanilla
from demos.output import cell, save_figure, save_text, table
from demos.posterior_collapse import SAMPLE_CODE
from demos.trained import NOISE, trained

PAPER = "Kingma and Welling, Auto-Encoding Variational Bayes, [arXiv 1312.6114](https://arxiv.org/abs/1312.6114)"


def main(argv=None):
    demos = (reconstruction, latent_scaling, vae_vs_vanilla, denoising, posterior_collapse)
    settings.start("python -m demos.report", __doc__, argv, *(demo.run for demo in demos), run)


def run(options, training_set, validation_set):
    """Write report.md from what the other demos have written into the output folder."""
    fcn, history = trained("fcn", options, training_set, validation_set)
    save_figure(options, "fcn_architecture.png", architecture_figure(fcn))
    names = ("latent_scaling", "vae_vs_vanilla", "denoising", "posterior_collapse")
    scaling, vae, noise, collapse = (json.loads((options.out / f"{name}.json").read_text()) for name in names)
    lines = [
        "# Report",
        "",
        f"Trained on {training_set.name}: {len(training_set)} images, {len(validation_set)} others to validate on;",
        f"{options.epochs} epochs, batch size {options.batch_size}, seed {options.seed}. Errors are mean squared",
        "errors of pixels in [-1, 1], ± their standard error over the first 300 validation images, or fewer.",
        "",
        "## 1. A variation of the autoencoder, and what it is worth",
        "",
        "![The variational autoencoder, block by block](vae_architecture.png)",
        "",
        f"The variational autoencoder: {PAPER}. Its encoder gives a normal distribution over codes, the",
        "decoder a picture of a sample of that. It minimises the reconstruction error plus the KL divergence of the",
        "distribution from N(0, I), which makes the codes of different images share one space.",
        "",
        "The source document is a student's report on such an autoencoder. It asks for a variation, with an advantage",
        "and a disadvantage, and for edits of the code and what they change.",
        "",
        "The advantage, as it claims: the noise on the code makes the code space continuous, so that what lies between",
        "and around codes decodes to something like an image. Measured:",
        "",
        *(f"- {each['sentence']}" for each in vae["advantages"]),
        "",
        "In brackets: the mean difference, positive where the claim holds. Nearness alone rewards blur: the mean face",
        f"is {cell(vae['nearest real image']['the mean face'])} from the nearest real image, another real image",
        f"{cell(vae['nearest real image']['another real image'])}, pictures halfway by the VAE",
        f"{cell(vae['nearest real image']['halfway, VAE'])}, by the vanilla autoencoder",
        f"{cell(vae['nearest real image']['halfway, vanilla'])}, and by blending pixels",
        f"{cell(vae['nearest real image']['halfway, pixels'])}.",
        "",
        "![From one image's code to another's, by both models, and in pixels](vae_interpolation.png)",
        "![Codes moved by noise, decoded](vae_moved.png)",
        "![Samples of the prior](vae_samples.png)",
        "![Error over the noise on the code](vae_error.png)",
        "",
        "The disadvantage, as it claims: a code that is a distribution reconstructs complex images worse. Measured:",
        "",
        *(f"- {each['sentence']}" for each in vae["disadvantages"]),
        "",
        "![Reconstructions](vae_reconstruction.png)",
        "",
        *table(["reconstruction", "error"], [[name, cell(mean)] for name, mean in vae["reconstruction"].items()]),
        "",
        *vae["conclusions"],
        "",
        "All numbers: [vae_vs_vanilla.md](vae_vs_vanilla.md). With the loss of a course's sample code",
        f"{collapse[SAMPLE_CODE]['active']} elements of the code stay in use:",
        "[posterior_collapse.md](posterior_collapse.md). The other variation is the denoising autoencoder. At noise of",
        f"standard deviation {NOISE}: {noise['with noise']['sentence']} [denoising.md](denoising.md)",
        "",
        "## 2. The fully connected autoencoder, and edits of its code",
        "",
        "![The autoencoder, block by block](fcn_architecture.png)",
        "",
        "```",
        repr(fcn),
        "",
        summary(fcn),
        "```",
        "",
        f"After {options.epochs} epochs its validation error is {history.validation_loss[-1]:.4f}.",
        "",
        "![Validation images and their reconstructions](reconstruction.png)",
        "![The learning curve](learning_curve.png)",
        "![Scaled codes, decoded](latent_scaling.png)",
        "",
        *(f"- {edit['sentence']}" for edit in scaling["edits"].values()),
        "",
        "What the source document says of such edits, judged over many images: [latent_scaling.md](latent_scaling.md).",
        "",
    ]
    save_text(options, "report.md", "\n".join(lines))


if __name__ == "__main__":
    main()
