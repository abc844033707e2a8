"""The window of demos.explore: pictures, sliders and buttons in a matplotlib figure, redrawn in parts."""

import math
import textwrap
import time

import numpy as np
from matplotlib.transforms import Bbox, TransformedBbox
from matplotlib.widgets import Button, Slider

from autoencoders.images import to_pixels

WIDTH, HEIGHT, DPI = 1200, 750, 100  # pixels of a new window; all places are in these, from the top left
SIZE = (WIDTH / DPI, HEIGHT / DPI)  # inches
ROWS = 12  # of sliders
PAUSE = 0.2  # seconds between two drawings of a text while a slider moves: letters take longer than the picture
PLAIN, CHOSEN = "0.85", "lightskyblue"  # colours of buttons


class Part:
    """What is drawn by itself when it changes: `artists`, over what is behind them in the rectangle `box`.

    state: () -> what is to be shown; show(state) makes the artists show it; is_text: whether that may wait.
    """

    def __init__(self, artists, box, state, show, is_text=False):
        self.artists, self.box, self.state, self.show, self.is_text = artists, box, state, show, is_text
        self.shown = self.background = None
        self.drawn = 0.0  # time.monotonic()
        for artist in artists:
            artist.set(animated=True, clip_on=True, clip_box=box)  # animated: a full draw leaves it out

    def draw(self, canvas):
        canvas.restore_region(self.background)
        for artist in self.artists:
            artist.axes.draw_artist(artist)
        canvas.blit(self.box)
        self.drawn = time.monotonic()


class Window:
    """An Explorer in a figure: its widgets call the Explorer, then update() draws the parts that changed.

    A full draw takes a tenth of a second, a part at most some milliseconds.
    """

    def __init__(self, figure, explorer):
        self.figure, self.explorer, self.parts = figure, explorer, []
        e = explorer
        self.pictures = {
            "edited": self._picture("what the decoder makes of the code", 14, 34, 448, lambda: e.picture),
            "original": self._picture("original image", 476, 34, 128, lambda: e.original),
            "plain": self._picture("its reconstruction", 476, 194, 128, lambda: e.plain),
            "other": self._picture("other image", 476, 354, 128, lambda: e.other),
        }
        self.elements = [self._element(k) for k in range(e.code.shape[1])]
        self.texts = {
            "element": self._text(628, 505, 250, 23, lambda: f"element x[0][{e.element}]"),
            "length": self._text(628, 545, 250, 23, lambda: f"whole code x[0], length {np.linalg.norm(e.code):.2f}"),
            "said": self._text(14, 494, 590, 130, lambda: textwrap.fill(e.said(), 80)),
        }
        self.texts["element"].set(color="tab:red", weight="bold")  # as its slider's name
        self.sliders = {
            "image": self._chooser("image", 632, e.choose, lambda: e.number),
            "other": self._chooser("other image", 668, e.choose_other, lambda: e.other_number),
            "weight": self._slider(
                "image → other", 130, 704, 300, e.interpolate, lambda: (e.weight, 0, 1, math.nan, f"{e.weight:.0%}")
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
            "reset": self._button("reset", 1096, 540, 90, e.reset),
            "sample": self._button("sample of the VAE's prior", 890, 620, 296, e.sample),
        }
        for place, name in enumerate(e.spaces):
            x, clicked, chosen = 890 + 152 * place, lambda name=name: e.switch(name), lambda name=name: name == e.model
            self.buttons[name] = self._button(name, x, 580, 144, clicked, chosen)
        help_text = (
            "Click an element's name to select it for * 5 and / 5. Each slider spans the codes\n"
            "of the images; a dark line marks this image's own value. * 5 may lead beyond the\n"
            "end of a slider, up to 1000: the number beside it is exact."
        )
        for y, text in ((27, "elements of the code x[0]"), (599, "model"), (639, "random code")):
            figure.text(628 / WIDTH, 1 - y / HEIGHT, text, fontsize=10)
        figure.text(628 / WIDTH, 1 - 720 / HEIGHT, help_text, fontsize=9, color="dimgrey")
        if figure.canvas.manager is not None:  # whose keys change the scales of axes
            figure.canvas.mpl_disconnect(figure.canvas.manager.key_press_handler_id)
        figure.canvas.mpl_connect("draw_event", self._on_draw)
        figure.canvas.mpl_connect("button_press_event", self._on_press)
        figure.canvas.mpl_connect("button_release_event", lambda event: self.update())
        self.update()

    def update(self, moving=False):
        """Show the state, and draw the parts that showed another one; if a slider is `moving`, texts now and then."""
        for part in self.parts:
            if moving and part.is_text and time.monotonic() - part.drawn < PAUSE:
                continue
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
        image = axes.imshow(_rgba(to_pixels(features())), interpolation="nearest")

        def show(pixels):
            image.set_data(_rgba(np.frombuffer(pixels, np.uint8)))

        self._part([image], (x, y, side, side), lambda: to_pixels(features()).tobytes(), show)
        return image

    def _text(self, x, y, width, height, text):
        axes = self._axes(x, y, width, height)
        axes.set_axis_off()
        artist = axes.text(0, 1, "", va="top", fontsize=10, linespacing=1.3)
        self._part([artist], (x, y, width, height), text, artist.set_text, is_text=True)
        return artist

    def _element(self, k):
        e, x, y = self.explorer, 684 + k // ROWS * 292, 42 + k % ROWS * 38

        def state():
            value = e.code[0, k]
            return value, e.space.low[k], e.space.high[k], e.plain_code[0, k], f"{value:+.2f}"

        def mark_chosen(chosen):
            slider.label.set(weight="bold" if chosen else "normal", color="tab:red" if chosen else "black")

        slider = self._slider(f"x[0][{k}]", x, y, 138, lambda value: e.set_element(k, value), state)
        self._part([slider.label], (x - 77, y, 67, 24), lambda: k == e.element, mark_chosen)
        return slider

    def _chooser(self, name, y, choose, number):
        last = max(len(self.explorer.images) - 1, 1)
        return self._slider(name, 130, y, 300, choose, lambda: (number(), 0, last, math.nan, str(number())), valstep=1)

    def _slider(self, name, x, y, width, changed, state, **kwargs):
        """A Slider that shows state(): (value, low, high, where a dark line is or nan, text)."""
        axes = self._axes(x, y, width, 24)
        style = {"size": 11, "facecolor": "tab:blue", "edgecolor": "white"}
        slider = Slider(axes, name, *state()[1:3], initcolor="black", handle_style=style, **kwargs)
        slider.drawon = False
        slider.poly.set_visible(False)  # a bar from the left end says nothing of a number that may be negative
        slider.label.set(x=-12 / width, fontsize=10)  # clear of the handle
        slider.valtext.set(x=1 + 12 / width, fontsize=10)

        def show(shown):
            value, slider.valmin, slider.valmax, mark, text = shown
            axes.set_xlim(slider.valmin, slider.valmax)
            slider.eventson = False
            slider.set_val(np.clip(value, slider.valmin, slider.valmax))
            slider.eventson = True
            slider.vline.set_xdata([mark, mark])
            slider.valtext.set_text(text)

        part = self._part([*axes.lines, slider.valtext], (x - 9, y, width + 9 + 76, 24), state, show)

        def on_changed(value):
            part.shown = None  # the slider has moved by itself
            changed(value)
            self.update(moving=True)

        slider.on_changed(on_changed)
        return slider

    def _button(self, name, x, y, width, clicked, chosen=lambda: False):
        button = Button(self._axes(x, y, width, 28), name)
        button.ax.spines[:].set_visible(False)  # their edges would darken each time that the mouse comes and goes
        button.label.set_fontsize(10)

        def on_clicked(event):
            clicked()
            self.update()

        def shade(is_chosen):
            button.color = CHOSEN if is_chosen else PLAIN
            button.ax.set_facecolor(button.color)

        button.on_clicked(on_clicked)
        self._part([button.ax], (x, y, width, 28), chosen, shade)
        button.ax.set_animated(False)  # it is opaque, and a full draw draws no axes that are
        return button

    def _axes(self, x, y, width, height):
        return self.figure.add_axes(_place(x, y, width, height).bounds)

    def _part(self, artists, place, state, show, is_text=False):
        box = TransformedBbox(_place(*place), self.figure.transFigure)
        self.parts.append(Part(artists, box, state, show, is_text))
        return self.parts[-1]


def _place(x, y, width, height):
    """Pixels from the top left as a rectangle in parts of the figure."""
    return Bbox.from_bounds(x / WIDTH, 1 - (y + height) / HEIGHT, width / WIDTH, height / HEIGHT)


def _rgba(pixels):
    """The values of one picture as uint8 (64, 64, 4), which matplotlib draws in half the time of (64, 64, 3)."""
    return np.pad(pixels.reshape(64, 64, 3), ((0, 0), (0, 0), (0, 1)), constant_values=255)
