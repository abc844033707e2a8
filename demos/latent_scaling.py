"""Latent scaling: one image's code x with an element, or the whole code, multiplied and divided by 5."""

import numpy as np

from autoencoders import scale_code
from autoencoders.figures import latent_scaling_figure, latent_sheet_figure
from autoencoders.images import to_features
from autoencoders.latent import scan_elements
from demos import settings
from demos.trained import trained_autoencoder

SCALES = {"/5": 1 / 5, "/2": 1 / 2, "1": 1, "x2": 2, "x5": 5}


def main(argv=None):
    settings.start("python -m demos.latent_scaling", __doc__, argv, run)


def run(options, training_set, validation_set):
    model, _ = trained_autoencoder(options, training_set, validation_set)
    original = to_features(validation_set[:1])  # (1, D)
    code = model.encoder(original)  # (1, Z)
    scan, changes = scan_elements(model.decoder, code, list(SCALES.values()))  # (Z, F, D), (Z,)
    second = 1 + int(np.argmax(changes[1:])) if options.element is None else options.element

    titles = ["original", f"reconstruction\nlength of x[0]: {np.linalg.norm(code):.2f}"]
    pictures = [original[0], model.decoder(code)[0]]
    for element in (0, second, None):
        for sign, factor in (("*", 5), ("/", 1 / 5)):
            edited = scale_code(code, factor, element)
            pictures.append(model.decoder(edited)[0])
            if element is None:
                titles.append(f"x[0]{sign}5\nlength: {np.linalg.norm(code):.2f} → {np.linalg.norm(edited):.2f}")
            else:
                titles.append(f"x[0][{element}]{sign}5\n{code[0, element]:.2f} → {edited[0, element]:.2f}")

    print(f"scaled    x[0][0], x[0][{second}], and the whole code x[0] of the first validation image")
    print(f"          the picture changes most by x[0][{np.argmax(changes)}], least by x[0][{np.argmin(changes)}]\n")
    for name, figure in (
        ("latent_scaling.png", latent_scaling_figure(titles, np.array(pictures), reference=1)),
        ("latent_sheet.png", latent_sheet_figure(scan, list(SCALES), code[0], changes)),
    ):
        figure.savefig(options.out / name)
        print(f"figure    {options.out / name}", flush=True)


if __name__ == "__main__":
    main()
