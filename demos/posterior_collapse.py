"""Posterior collapse: the loss of a course's sample code, under which the code of a VAE learns to say nothing.

The sample code adds a squared error that is averaged over every value to a KL that is summed over the batch, and puts
a ReLU on both heads. With N images of D values that is 1 / (N D) S + N KL, in the terms of VAE.loss, where S / N is
the mean of ||x - x_hat||^2: up to a constant, VAE.loss with sigma2 = D / 2 and beta = N.
"""

from autoencoders import VAE, code_use
from autoencoders.images import to_features
from autoencoders.training import reconstruction_errors
from demos import settings
from demos.output import SHOWN, cell, mean_and_error, save_results, save_rows, table
from demos.trained import trained, trained_as
from nnlite import ReLU, Sequential

EPOCHS = 2  # enough: the code falls silent within the first
MEAN_OF = 4000  # training images
SAMPLE_CODE = "the sample code's loss"


def main(argv=None):
    settings.start("python -m demos.posterior_collapse", __doc__, argv, run)


def run(options, training_set, validation_set):
    vae, _ = trained("vae", options, training_set, validation_set)
    _, rng = settings.generators(options)
    course = VAE(rng=rng)
    course.mu, course.logvar = Sequential(course.mu, ReLU()), Sequential(course.logvar, ReLU())
    D, N = course.encoder[0].weight.data.shape[1], options.batch_size
    course, _ = trained_as(
        "collapsed", course, rng, options, training_set, validation_set, epochs=EPOCHS, sigma2=D / 2, beta=N
    )
    models = {"VAE.loss": vae, SAMPLE_CODE: course}
    results = {}
    for name, model in models.items():
        use = code_use(model, validation_set)
        error = mean_and_error(reconstruction_errors(model, validation_set))
        results[name] = {
            "kl": use.kl.tolist(),
            "kl total": float(use.kl.sum()),
            "active": use.active,
            "error": error,
        }
    x = to_features(validation_set[:SHOWN])  # (N, D)
    rows = {"original": x} | {name: model(x) for name, model in models.items()}
    save_rows(options, "posterior_collapse.png", "Validation images, decoded from mu", rows)
    mean = to_features(training_set[:MEAN_OF]).mean(axis=0)  # (D,)
    mean_error = mean_and_error(reconstruction_errors(lambda x: mean, validation_set))
    save_results(options, "posterior_collapse", "# Posterior collapse", results, _report(results, mean_error))


def _report(results, mean_error):
    rows = [
        [name, f"{each['kl total']:.3f}", f"{max(each['kl']):.3f}", f"{each['active']} of {len(each['kl'])}"]
        + [cell(each["error"])]
        for name, each in results.items()
    ]
    active = results[SAMPLE_CODE]["active"]
    said = (
        f"{active} elements are active"
        if active
        else "the posterior has collapsed: no image's code differs from another's"
    )
    heads = ["trained by", "KL, nats", "largest of an element", "active elements", "error from mu"]
    return "\n".join(
        [
            "A demonstration of a mistake: a course's sample code averages the squared error over every value, sums",
            "the KL over the batch, and bounds mu and logvar below by a ReLU, so that the KL outweighs the error.",
            f"After {EPOCHS} epochs of it {said}. The mean image's error is {cell(mean_error)}.",
            "",
            *table(heads, rows),
            "",
        ]
    )


if __name__ == "__main__":
    main()
