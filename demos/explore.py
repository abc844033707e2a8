"""A window with a slider for each element of an image's code, and what the decoder makes of it. The images are those
to validate on, the models those that python -m demos saved: give the options of that run."""

import shlex
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from autoencoders import CheckpointError, scale_code
from autoencoders.edits import scan_elements
from autoencoders.images import to_features
from autoencoders.measurements import changes, sentence
from demos import settings
from demos.output import save_figure
from demos.settings import FLAG
from demos.trained import saved
from demos.window import DPI, SIZE, Window

RANGED = 1000  # images whose codes the sliders reach
LARGEST = 1000  # no element is scaled further: the decoder's tanh is saturated by then, and float32 far from its end
PICTURE = ("--picture", FLAG, "open no window: save a picture of it, one element of the code times 5, as explore.png")
UNUSED = ("--element", "--checkpoint-every", "--resume", *settings.OF_ANOMALY)


def main(argv=None):
    settings.start("python -m demos.explore", __doc__, argv, run, more=[PICTURE], hidden=UNUSED)


def run(options, training_set, validation_set):
    figure = Figure(SIZE, dpi=DPI) if options.picture else _open_figure(options)
    window = build(figure, options, training_set, validation_set)  # a name, for a figure holds its widgets weakly
    if options.picture:
        e = window.explorer
        e.element = int(scan_elements(e.space.decode, e.code, [5])[1].argmax())
        e.scale(5, e.element)
        window.update()
        save_figure(options, "explore.png", window.figure)
    else:
        plt.show()


def _open_figure(options):
    try:
        plt.rcParams["toolbar"] = "None"  # it would zoom into sliders
        figure = plt.figure("demos.explore", SIZE, dpi=DPI)
    except Exception as error:  # every toolkit has its own
        found = " ".join(str(error).split())
    else:
        if figure.canvas.required_interactive_framework and figure.canvas.supports_blit:
            return figure
        found = f"matplotlib's backend {plt.get_backend()}"
    settings.fail(
        options.prog,
        f"found {found}, wanted a display and a toolkit for windows (pip install PyQt6); without them, --picture"
        " saves a picture of the window, and python -m demos.latent_scaling draws edits of a code",
    )


def build(figure, options, training_set, validation_set):
    """The Window, in `figure`, on the validation images and the saved autoencoder and VAE of the same settings."""
    try:
        vanilla, vae = (saved(name, options, training_set, validation_set) for name in ("fcn", "vae"))
    except CheckpointError as error:
        words = [word for word in shlex.split(options.command) if word != PICTURE[0]]
        words[words.index("demos.explore")] = "demos"
        settings.fail(
            options.prog,
            f"{error}, wanted weights of these settings and the {options.backend} backend: give the options of the run "
            f"that saved them, or run {shlex.join(words)} first",
        )
    rng = np.random.default_rng((options.seed, 4))
    x = to_features(validation_set[:RANGED])  # (N, D)
    mu, logvar = vae.encode(x)  # (N, Z) each
    sampled = vae.reparameterize(mu, logvar, rng.standard_normal(mu.shape, np.float32))  # (N, Z)
    spaces = {
        "autoencoder": Space(vanilla.encoder, vanilla.decoder, *_limits(vanilla.encoder(x))),
        "VAE": Space(lambda x: vae.encode(x)[0], vae.decode, *_limits(np.concatenate([mu, sampled]))),
    }
    return Window(figure, Explorer(spaces, validation_set, rng))


def _limits(codes):
    low, high = codes.min(axis=0), codes.max(axis=0)  # (Z,) each
    margin = np.maximum((high - low) / 20, 1e-3)  # the codes of one image, or of equal ones, have no range
    return low - margin, high + margin


class Space(NamedTuple):
    """A model's way from images (N, D) to codes (N, Z) and back, and the limits of its codes' elements, (Z,) each."""

    encode: Callable
    decode: Callable
    low: np.ndarray
    high: np.ndarray


class Explorer:
    """The state of the window: `code`, (1, Z), `picture`, always that of the code, and `start`, the code before edits.

    spaces: {name: Space}, the VAE's is "VAE"; images: an ImageSet; rng: draws samples.
    """

    def __init__(self, spaces, images, rng):
        self.spaces, self.images, self._rng = spaces, images, rng
        self.model, self.element, self.weight = next(iter(spaces)), 0, 0.0
        self.choose_other(1)
        self.choose(0)

    @property
    def space(self):
        return self.spaces[self.model]

    def choose(self, number):
        """The image `number`, its code unedited; after the last one comes the first."""
        self.number = int(number) % len(self.images)
        self.original = to_features(self.images[[self.number]])  # (1, D)
        self.switch(self.model)

    def switch(self, model):
        """The image's code in the space of another model."""
        self.model = model
        self.plain_code = self.space.encode(self.original)  # (1, Z)
        self.plain = self.space.decode(self.plain_code)  # (1, D)
        self.reset()

    def reset(self):
        self.interpolate(0.0)

    def choose_other(self, number):
        """The image to which interpolation goes."""
        self.other_number = int(number) % len(self.images)
        self.other = to_features(self.images[[self.other_number]])  # (1, D)
        if self.weight > 0:
            self.interpolate(self.weight)

    def interpolate(self, weight):
        """The code `weight` of the way from the image's to that of the other one."""
        weight = float(weight)  # a NumPy float64 would make the code one
        way = f"{weight:.0%} of the way from the code of image {self.number} to that of image {self.other_number}"
        code = (1 - weight) * self.plain_code + weight * self.space.encode(self.other)
        self._begin(code, way if weight > 0 else None)
        self.weight = weight

    def set_element(self, element, value):
        self.element = element
        code = self.code.copy()
        code[0, element] = value
        self._edit(code)

    def scale(self, factor, element=None):
        """The element, or the whole code, times `factor`, or less, so that no element is beyond LARGEST."""
        reach = np.abs(self.code if element is None else self.code[0, element]).max()
        self._edit(scale_code(self.code, min(factor, LARGEST / max(reach, 1)), element))

    def sample(self):
        """A code from the VAE's prior, N(0, I)."""
        self.switch("VAE")
        self._begin(self._rng.standard_normal(self.code.shape, self.code.dtype), "A sample of the VAE's prior, N(0, I)")

    def _begin(self, code, source):
        """A code to edit. source: a text, what it is; None: it is that of the image."""
        self.start, self.source = code, source
        self._edit(code)

    def _edit(self, code):
        self.code, self.weight = code, 0.0
        self.picture = self.space.decode(code)  # (1, D)

    def said(self):
        """What the picture is: of the image's own code, what the edits changed."""
        edited = not np.array_equal(self.code, self.start)
        if self.source is not None:
            return f"{self.source}{', then edited' if edited else ''}."
        if not edited:
            return f"The code of image {self.number}, not edited: move a slider, or click * 5."
        measured = changes(self.picture, self.plain, self.original)
        changed = {name: float(change[0]) for name, change in measured.items()}
        distance = f"Root mean square of the difference: {changed['distance']:.1f} grey levels."
        return f"{sentence('Against the reconstruction', changed)} {distance}"


if __name__ == "__main__":
    main()
