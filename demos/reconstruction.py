"""Reconstruction: validation images above what the autoencoder makes of them, the learning curve, and baselines."""

import numpy as np

from autoencoders.figures import learning_curve_figure, reconstruction_figure
from autoencoders.images import to_features, to_pixels
from autoencoders.training import reconstruction_errors
from demos import settings
from demos.trained import trained_autoencoder

SHOWN = 10
PCA_IMAGES = 4000


def main(argv=None):
    options = settings.parse("python -m demos.reconstruction", __doc__, argv)
    run(options, *settings.open_images(options))


def run(options, training, validation):
    model, history = trained_autoencoder(options, training, validation)
    print(f"{model}\n{sum(parameter.data.size for parameter in model.parameters()):,} parameters\n")
    errors = reconstruction_errors(model, validation)
    fitted = to_features(training[:PCA_IMAGES])  # (N, D)
    components = min(model.encoder[2].weight.data.shape[0], len(fitted) - 1)
    mean_error, pca_error = _pca_errors(fitted, validation, components)
    print(f"mean squared error of {len(validation)} validation images, pixels in [-1, 1]")
    print(f"  autoencoder         {errors.mean():.4f}")
    print(f"  PCA, {components:2} components  {pca_error:.4f}  (fitted on {len(fitted)} training images)")
    print(f"  mean image          {mean_error:.4f}\n")

    originals = validation[:SHOWN]
    reconstructions = to_pixels(model(to_features(originals)))
    baselines = {f"PCA, {components} components": pca_error, "mean image": mean_error}
    for name, figure in (
        ("reconstruction.png", reconstruction_figure(originals, reconstructions, errors[:SHOWN])),
        ("learning_curve.png", learning_curve_figure(history, baselines)),
    ):
        figure.savefig(options.out / name)
        print(f"figure    {options.out / name}", flush=True)


def _pca_errors(fitted, validation, components):
    """(error of the mean image, error of its projection on the principal components) on the validation images.

    The components are the leading eigenvectors of X^T X; those of the smaller X X^T are found, and mapped by X^T.
    """
    mean = fitted.mean(axis=0)  # (D,)
    centred = fitted - mean  # (N, D)
    variances, directions = np.linalg.eigh(centred @ centred.T)  # ascending: (N,), (N, N)
    basis = centred.T @ (directions[:, -components:] / np.sqrt(variances[-components:]))  # (D, Z), orthonormal
    mean_total = pca_total = 0.0
    for x in validation.batches(256):
        difference = x - mean
        mean_total += np.sum(difference**2)
        pca_total += np.sum((difference - difference @ basis @ basis.T) ** 2)
    values = len(validation) * fitted.shape[1]
    return mean_total / values, pca_total / values


if __name__ == "__main__":
    main()
