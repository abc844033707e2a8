"""A window with a slider for each element of an image's code, and what the decoder makes of it."""

import shlex
import textwrap
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox, TransformedBbox
from matplotlib.widgets import Button, Slider

from autoencoders import scale_code
from autoencoders.images import to_features, to_pixels
from autoencoders.latent import changes, sentence
from demos import settings
from demos.output import save_figure
from demos.trained import saved

WIDTH, HEIGHT, DPI = 1200, 750, 100  # pixels at first; all places are in these, from the top left
RANGED = 1000  # images whose codes the sliders reach
ROWS = 12  # of sliders
PICTURE = ("--picture", "do not open the window: save a picture of it in the folder of --out, as explore.png")


def main(argv=None):
    settings.start("python -m demos.explore", __doc__, argv, run, flags=[PICTURE])


def run(options, training_set, validation_set):
    figure = Figure((WIDTH / DPI, HEIGHT / DPI), dpi=DPI) if options.picture else _open_figure(options)
    if options.picture:
        FigureCanvasAgg(figure)
    window = build(figure, options, training_set, validation_set)  # kept: figures hold their widgets weakly
    if options.picture:
        save_figure(options, "explore.png", window.figure)
    else:
        plt.show()


def _open_figure(options):
    try:
        with plt.rc_context({"toolbar": "None"}):
            figure = plt.figure("Explore", (WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
    except Exception as error:  # every toolkit has its own
        found = " ".join(str(error).split())
    else:
        if figure.canvas.required_interactive_framework and figure.canvas.supports_blit:
            return figure
        found = f"matplotlib's backend {plt.get_backend()}"
    settings.fail(
        options.prog,
        f"found {found}, wanted a display and a toolkit for windows (pip install PyQt6); without, --picture saves"
        " the window as a picture, and python -m demos.latent_scaling draws edits of a code",
    )


def build(figure, options, training_set, validation_set):
    """The Window, in `figure`, on the validation images and the saved autoencoder and VAE of the same settings."""
    try:
        vanilla, vae = (saved(name, options, training_set, validation_set) for name in ("fcn", "vae"))
    except LookupError as error:
        command = ["python", "-m", "demos", *(word for word in shlex.split(options.command)[3:] if word != PICTURE[0])]
        settings.fail(options.prog, f"{error}, wanted weights of these settings: run {shlex.join(command)} first")
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
    """The state of the window: a code, (1, Z), and what is compared with it. `picture` is always that of `code`.

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
        self.weight = float(weight)  # a NumPy float64 would make the code one
        self._edit((1 - self.weight) * self.plain_code + self.weight * self.space.encode(self.other))

    def set_element(self, element, value):
        code = self.code.copy()
        code[0, element] = value
        self.element = element
        self._edit(code)

    def scale(self, factor, element=None):
        self._edit(scale_code(self.code, factor, element))

    def sample(self):
        """A code from the VAE's prior, N(0, I)."""
        self.switch("VAE")
        self._edit(self._rng.standard_normal(self.code.shape, self.code.dtype))

    def _edit(self, code):
        self.code = code
        self.picture = self.space.decode(code)  # (1, D)
        measured = changes(self.picture, self.plain, self.original)
        self.changed = {name: float(change[0]) for name, change in measured.items()}

    def said(self):
        return sentence("Against the reconstruction", self.changed)


class Part:
    """What is drawn by itself when it changes: `artists`, over what is behind them in the rectangle `box`.

    state: () -> what is to be shown; show(state) makes the artists show it.
    """

    def __init__(self, artists, box, state, show):
        self.artists, self.box, self.state, self.show = artists, box, state, show
        self.shown = self.background = None
        for artist in artists:
            artist.set_animated(True)  # a full draw leaves it out

    def draw(self, canvas):
        canvas.restore_region(self.background)
        for artist in self.artists:
            artist.axes.draw_artist(artist)
        canvas.blit(self.box)


class Window:
    """An Explorer in a figure: its widgets call the Explorer, then update() draws the parts that changed.

    A full draw takes a tenth of a second, a part some milliseconds.
    """

    def __init__(self, figure, explorer):
        self.figure, self.explorer, self.parts = figure, explorer, []
        e = explorer
        self.pictures = {
            "edited": self._picture("picture of the code", 14, 34, 448, lambda: e.picture),
            "original": self._picture("original", 476, 34, 128, lambda: e.original),
            "plain": self._picture("its reconstruction", 476, 194, 128, lambda: e.plain),
            "other": self._picture("other image", 476, 354, 128, lambda: e.other),
        }
        self.elements = [self._element(k) for k in range(e.code.shape[1])]
        self.texts = {
            "element": self._text(
                628, 500, 250, 28, lambda: f"element x[0][{e.element}] = {e.code[0, e.element]:+.2f}"
            ),
            "length": self._text(628, 540, 250, 28, lambda: f"whole code x[0], length {np.linalg.norm(e.code):.2f}"),
            "model": self._text(628, 580, 250, 28, lambda: f"model: {e.model}"),
            "said": self._text(14, 494, 590, 130, lambda: textwrap.fill(e.said(), 80)),
        }
        self.sliders = {
            "image": self._chooser("image", 632, e.choose, lambda: e.number),
            "other": self._chooser("other image", 668, e.choose_other, lambda: e.other_number),
            "weight": self._slider(
                "image to other", 130, 704, 300, e.interpolate, lambda: (e.weight, 0, 1, 0, f"{e.weight:.2f}")
            ),
        }
        self.buttons = {
            "previous": self._button("<", 516, 630, 40, lambda: e.choose(e.number - 1)),
            "next": self._button(">", 564, 630, 40, lambda: e.choose(e.number + 1)),
            "previous other": self._button("<", 516, 666, 40, lambda: e.choose_other(e.other_number - 1)),
            "next other": self._button(">", 564, 666, 40, lambda: e.choose_other(e.other_number + 1)),
            "element*5": self._button("* 5", 890, 500, 90, lambda: e.scale(5, e.element)),
            "element/5": self._button("/ 5", 990, 500, 90, lambda: e.scale(1 / 5, e.element)),
            "code*5": self._button("* 5", 890, 540, 90, lambda: e.scale(5)),
            "code/5": self._button("/ 5", 990, 540, 90, lambda: e.scale(1 / 5)),
            "reset": self._button("reset", 1096, 500, 90, e.reset),
            "sample": self._button("sample of the VAE's prior", 890, 620, 296, e.sample),
        }
        for place, name in enumerate(e.spaces):
            self.buttons[name] = self._button(name, 890 + 152 * place, 580, 144, lambda name=name: e.switch(name))
        help_text = (
            "A click on the name of an element chooses it and leaves it as it is.\n"
            "A dark line marks the value of the image's own code. Where a\n"
            "value is beyond the end of its slider, the number is right."
        )
        figure.text(628 / WIDTH, 1 - 670 / HEIGHT, help_text, va="top", fontsize=9, color="dimgrey")
        figure.canvas.mpl_connect("draw_event", self._on_draw)
        figure.canvas.mpl_connect("button_press_event", self._on_press)
        self.update()

    def update(self):
        """Show the state, and draw the parts that showed another one."""
        for part in self.parts:
            state = part.state()
            if state != part.shown:
                part.shown = state
                part.show(state)
                if part.background is not None:
                    part.draw(self.figure.canvas)

    def _on_draw(self, event):
        canvas = self.figure.canvas
        if canvas.is_saving():  # to a file, with the parts
            return
        for part in self.parts:
            part.background = canvas.copy_from_bbox(part.box)
        for part in self.parts:
            part.draw(canvas)

    def _on_press(self, event):
        for element, slider in enumerate(self.elements):
            if slider.label.contains(event)[0]:
                self.explorer.element = element
                self.update()

    def _picture(self, title, x, y, side, features):
        axes = self._axes(x, y, side, side)
        axes.set_title(title, fontsize=10, pad=5)
        axes.set_axis_off()
        image = axes.imshow(to_pixels(features())[0], interpolation="nearest")

        def show(pixels):
            image.set_data(np.frombuffer(pixels, np.uint8).reshape(64, 64, 3))

        self._part([image], (x, y, side, side), lambda: to_pixels(features()).tobytes(), show)
        return image

    def _text(self, x, y, width, height, text):
        axes = self._axes(x, y, width, height)
        axes.set_axis_off()
        artist = axes.text(0, 1, "", va="top", fontsize=10, linespacing=1.3)
        self._part([artist], (x, y, width, height), text, artist.set_text)
        return artist

    def _element(self, k):
        e, x, y = self.explorer, 690 + k // ROWS * 290, 34 + k % ROWS * 38

        def state():
            value, mark = e.code[0, k], e.plain_code[0, k]
            return value, e.space.low[k], e.space.high[k], mark, f"{value:+.2f}"

        def mark_chosen(chosen):
            slider.label.set(weight="bold" if chosen else "normal", color="tab:red" if chosen else "black")

        slider = self._slider(f"x[0][{k}]", x, y, 150, lambda value: e.set_element(k, value), state)
        self._part([slider.label], (x - 72, y, 64, 24), lambda: k == e.element, mark_chosen)
        return slider

    def _chooser(self, name, y, choose, number):
        count = len(self.explorer.images)
        return self._slider(
            name, 130, y, 300, choose, lambda: (number(), 0, max(count - 1, 1), number(), str(number())), valstep=1
        )

    def _slider(self, name, x, y, width, changed, state, **kwargs):
        """A Slider that shows state(): (value, low, high, value that the dark line marks, text)."""
        axes = self._axes(x, y, width, 24)
        style = {"size": 11, "facecolor": "tab:blue", "edgecolor": "white"}
        slider = Slider(axes, name, *state()[1:3], initcolor="black", handle_style=style, **kwargs)
        slider.drawon = False
        slider.poly.set_visible(False)  # a bar from the left end says nothing of a number that may be negative
        slider.label.set(x=-10 / width, fontsize=10)  # clear of the handle
        slider.valtext.set(x=1 + 10 / width, fontsize=10)

        def show(shown):
            value, slider.valmin, slider.valmax, mark, text = shown
            axes.set_xlim(slider.valmin, slider.valmax)
            slider.eventson = False
            slider.set_val(np.clip(value, slider.valmin, slider.valmax))
            slider.eventson = True
            slider.vline.set_xdata([mark, mark])
            slider.valtext.set_text(text)

        part = self._part([*axes.lines, slider.valtext], (x - 7, y, width + 65, 24), state, show)

        def on_changed(value):
            part.shown = None  # the slider has moved by itself
            changed(value)
            self.update()

        slider.on_changed(on_changed)
        return slider

    def _button(self, name, x, y, width, clicked):
        button = Button(self._axes(x, y, width, 28), name)
        button.label.set_fontsize(10)

        def on_clicked(event):
            clicked()
            self.update()

        button.on_clicked(on_clicked)
        return button

    def _axes(self, x, y, width, height):
        return self.figure.add_axes(_place(x, y, width, height).bounds)

    def _part(self, artists, place, state, show):
        box = TransformedBbox(_place(*place), self.figure.transFigure)
        self.parts.append(Part(artists, box, state, show))
        return self.parts[-1]


def _place(x, y, width, height):
    """Pixels from the top left as a rectangle in parts of the figure."""
    return Bbox.from_bounds(x / WIDTH, 1 - (y + height) / HEIGHT, width / WIDTH, height / HEIGHT)


if __name__ == "__main__":
    main()
