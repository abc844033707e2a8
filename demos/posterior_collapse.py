"""Posterior collapse: the loss of a course's sample code, under which the code of a VAE learns to say nothing.

The sample code adds a squared error that is averaged over every value to a KL that is summed over the batch, and puts
a ReLU on both heads. With N images of D values that is 1 / (N D) S + N KL, in the terms of VAE.loss, where S / N is
the mean of ||x - x_hat||^2: up to a constant, VAE.loss with sigma2 = D / 2 and beta = N.
"""

from autoencoders import VAE, code_use
from autoencoders.claims import mean_and_error
from autoencoders.images import to_features
from autoencoders.training import reconstruction_errors
from demos import settings
from demos.output import SHOWN, Picture, Table, plus_minus, save_results, save_rows
from demos.trained import trained
from nnlite import ReLU, Sequential

EPOCHS = 2  # enough: the code falls silent within the first
MEAN_OF = 4000  # training images


def main(argv=None):
    settings.start("python -m demos.posterior_collapse", __doc__, argv, run)


def run(options, training_set, validation_set):
    vae, _ = trained("vae", options, training_set, validation_set)
    mean = to_features(training_set[:MEAN_OF]).mean(axis=0)  # (D,)
    as_there = {"build": _vae_of_the_course, "epochs": EPOCHS, "sigma2": len(mean) / 2, "beta": options.batch_size}
    course, _ = trained("collapsed", options, training_set, validation_set, **as_there)
    models = {"VAE.loss": vae, "the sample code's loss": course}
    results = {
        "epochs": EPOCHS,
        "mean image": mean_and_error(reconstruction_errors(lambda x: mean, validation_set)),
        "models": {name: _measured(model, validation_set) for name, model in models.items()},
    }
    x = to_features(validation_set[:SHOWN])  # (N, D)
    rows = {"original": x} | {name: model(x) for name, model in models.items()}
    save_rows(options, "posterior_collapse.png", "Validation images, decoded from mu", rows)
    save_results(options, "posterior_collapse", "Posterior collapse", results, parts(results))


def _vae_of_the_course(rng):
    model = VAE(rng=rng)
    model.mu, model.logvar = Sequential(model.mu, ReLU()), Sequential(model.logvar, ReLU())
    return model


def _measured(model, validation_set):
    error = mean_and_error(reconstruction_errors(model, validation_set))
    return code_use(model, validation_set).results() | {"error": error}


def parts(results):
    rows = [
        [name, f"{of['kl total']:.2f}", f"{of['active']} of {of['elements']}", plus_minus(of["error"])]
        for name, of in results["models"].items()
    ]
    return [
        "A demonstration of a mistake: a course's sample code averages the squared error over every value and sums the"
        " KL over the batch, so that the KL outweighs the error; it also bounds mu and logvar below by a ReLU. An"
        " element is active if its mu differs between images. With none, every image has the same code, the posterior"
        " has collapsed, and the decoder can at best paint the mean image, whose error is"
        f" {plus_minus(results['mean image'])}. Epochs under this loss: {results['epochs']}.",
        Table(["trained by", "KL, nats", "active elements", "error from mu"], rows),
        Picture("posterior_collapse.png", "Validation images, decoded from mu by a VAE of each loss"),
    ]


if __name__ == "__main__":
    main()
