"""Reconstruction: validation images above what the autoencoder makes of them, the learning curve, and baselines."""

from autoencoders.figures import learning_curve_figure, reconstruction_figure, reconstruction_sheet_figure
from autoencoders.images import to_features, to_pixels
from autoencoders.pca import PCA
from autoencoders.training import reconstruction_errors
from demos import settings
from demos.output import SHOWN, Picture, Table, save_figure, save_results
from demos.trained import trained

SHEET = 64
PCA_IMAGES = 4000  # fitted on at most so many: the error hardly falls further


def main(argv=None):
    settings.start("python -m demos.reconstruction", __doc__, argv, run)


def run(options, training_set, validation_set):
    model, history = trained("fcn", options, training_set, validation_set)
    print(f"{model}\n{sum(parameter.data.size for parameter in model.parameters()):,} parameters\n")
    errors = reconstruction_errors(model, validation_set)  # (N,)
    fitted = to_features(training_set[:PCA_IMAGES])  # (N, D)
    components = min(model.encoder[2].weight.data.shape[0], len(fitted) - 1)
    pca = PCA(fitted, components)
    pca_error = reconstruction_errors(pca, validation_set).mean()
    mean_error = reconstruction_errors(lambda x: pca.mean, validation_set).mean()
    results = {
        "images": len(errors),
        "error": float(errors.mean()),
        "first errors": errors[:SHOWN].tolist(),
        "components": components,
        "fitted": len(fitted),
        "pca": float(pca_error),
        "mean image": float(mean_error),
    }
    originals = validation_set[:SHEET]
    reconstructions = to_pixels(model(to_features(originals)))
    baselines = {f"PCA, {components} components": pca_error, "mean image": mean_error}
    first = reconstruction_figure(originals[:SHOWN], reconstructions[:SHOWN], errors[:SHOWN])
    save_figure(options, "reconstruction.png", first)
    save_figure(options, "reconstruction_sheet.png", reconstruction_sheet_figure(originals, reconstructions))
    save_figure(options, "learning_curve.png", learning_curve_figure(history, baselines))
    save_results(options, "reconstruction", "Reconstruction", results, parts(results))


def parts(results):
    return [
        f"Measured over {results['images']} validation images; PCA is fitted on {results['fitted']:,} training images:",
        Table(["mean squared error", "pixels in [-1, 1]"], errors(results)),
        Picture("learning_curve.png", "The learning curve, over the levels of PCA and of the mean image"),
        Picture("reconstruction.png", "Validation images above their reconstructions"),
    ]


def errors(results):
    """Rows of a table."""
    return [
        ["autoencoder", f"{results['error']:.4f}"],
        [f"PCA, {results['components']} components", f"{results['pca']:.4f}"],
        ["mean image", f"{results['mean image']:.4f}"],
    ]


if __name__ == "__main__":
    main()
