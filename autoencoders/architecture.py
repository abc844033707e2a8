"""The architecture of a live model: a block diagram, and a table of its layers."""

import math
from itertools import pairwise, product
from typing import NamedTuple

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from autoencoders.figures import Figure
from autoencoders.vae import VAE
from nnlite import Linear, Sequential

BLUE, ORANGE, GREY, GREEN = "#d6e6f5", "#fbe3c8", "#eeeeee", "#dcefd8"
STEP = 1.42  # from one block's middle to the next one's
WIDTH = 1.2  # of a block
OFFSETS = {"mu": 0.65, "logvar": -0.65, "noise": 1.5}  # heights of the blocks that are not in the middle of the row
LOSS, BOTTOM = -2.2, -4.1  # heights of the loss and of the decoder's row, under the encoder's


def summary(model):
    """A text table of the layers: name, layer, output shape for N images, parameters, multiply-adds for one image."""
    rows = [("name", "layer", "output", "parameters", "multiply-adds")]
    totals = [0, 0]
    for name, layer, width in _layers(model):
        counts = _parameters(layer), layer.weight.data.size if isinstance(layer, Linear) else 0
        totals = [total + count for total, count in zip(totals, counts)]
        rows.append((name, type(layer).__name__, f"(N, {width})", *(f"{count:,}" for count in counts)))
    rows.append(("total", type(model).__name__, "", *(f"{total:,}" for total in totals)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    line = "  ".join(f"{{:{side}{width}}}" for side, width in zip("<<<>>", widths))
    return "\n".join(line.format(*row) for row in rows)


def architecture_figure(model, corrupt=None):
    """The block diagram of an FCNAutoencoder or a VAE, from its layers as they are; a Figure.

    A block names a layer, its output for N images and its parameters; it is the taller, the more numbers it puts
    out, on a logarithmic scale. corrupt: a text for what a denoising autoencoder's input goes through, such as
    "noise of std 0.5".
    """
    blocks = {name: _layer_block(name, layer, width) for name, layer, width in _layers(model)}
    encoder, decoder = ([[blocks[name]] for name in blocks if name.startswith(part)] for part in ("encoder", "decoder"))
    D, Z = decoder[-1][0].numbers, model.decoder[0].weight.data.shape[1]
    there = [[_Block("x", ["image", f"(N, {D})"], D, GREY)]]
    if corrupt is not None:
        there.append([_Block("corrupt", [corrupt, f"(N, {D})"], D, ORANGE)])
    there += encoder
    noise = None
    if isinstance(model, VAE):
        noise = _Block("noise", [r"$\epsilon \sim N(0, I)$", f"(N, {Z})"], Z, ORANGE)
        there.append([blocks["mu"], blocks["logvar"]])
        there.append([_Block("sampler", [r"$z = \mu + e^{logvar/2} \, \epsilon$"], Z, ORANGE)])
        there.append([_Block("z", ["code", f"(N, {Z})"], Z, GREY)])
        loss = [
            r"loss = reconstruction + $\beta$ KL, mean over the batch",
            r"reconstruction: $\|x - \hat{x}\|^2 / (2 \sigma^2) + D/2 \, \log (2 \pi \sigma^2)$",
            r"$\sigma^2$: the variance of a pixel around its reconstruction",
            r"KL of $N(\mu, e^{logvar})$ from $N(0, I)$",
        ]
    else:
        there.append([_Block("code", [f"(N, {Z})"], Z, GREY)])
        clean = "the clean image" if corrupt is not None else "the image"
        loss = [r"loss = mean of $(\hat{x} - x)^2$", f"mean squared error, against {clean}"]
    back = [*decoder, [_Block("x_hat", ["reconstruction", f"(N, {D})"], D, GREY)]]
    name = type(model).__name__ if corrupt is None else f"{type(model).__name__}, trained to denoise"
    return _draw(there, back, noise, loss, f"{name}: {_parameters(model):,} parameters")


def _layers(model):
    """Yield (name, layer, how many numbers it puts out) of the layers that are not made of others."""
    for name, layer in model.named_layers():
        if isinstance(layer, Linear):
            width = layer.weight.data.shape[0]
        if layer is not model and not isinstance(layer, Sequential):
            yield name, layer, width


def _parameters(layer):
    return sum(parameter.data.size for parameter in layer.parameters())


class _Block(NamedTuple):
    name: str
    lines: list  # of text under the name
    numbers: int  # that it puts out
    colour: str


def _layer_block(name, layer, width):
    count = _parameters(layer)
    lines = [type(layer).__name__, f"(N, {width})"] + ([f"{count:,}\nparameters"] if count else [])
    return _Block(name, lines, width, GREEN if name in ("mu", "logvar") else BLUE)


def _draw(there, back, noise, loss, title):
    """The Figure of columns of blocks: those `there` from left to right, those `back` under them from right to left."""
    axis, places = Figure(dpi=100).add_axes((0, 0, 1, 1)), {}  # x and y of each block's middle, and its height, inches
    for number, column in enumerate(there):
        for block in column:
            places[block.name] = _draw_block(axis, block, number * STEP, OFFSETS.get(block.name, 0.0))
    for number, (block,) in enumerate(back):
        places[block.name] = _draw_block(axis, block, (len(there) - 1 - number) * STEP, BOTTOM)
    compared = [places["x"], places["x_hat"]]
    if noise is not None:
        places["noise"] = _draw_block(axis, noise, places["sampler"][0], OFFSETS["noise"])
        _draw_arrow(axis, places["noise"], places["sampler"])
        compared.append(_draw_frame(axis, places["mu"], places["logvar"]))
    for column, next_column in pairwise([*there, *back]):
        for before, after in product(column, next_column):
            _draw_arrow(axis, places[before.name], places[after.name])
    _draw_loss(axis, loss, compared)

    left, right = -WIDTH / 2 - 0.1, max(x + WIDTH / 2 for x, _, _ in places.values()) + 0.1
    low, high = BOTTOM - 1.1, max(y + height / 2 for _, y, height in places.values()) + 0.5
    axis.text((left + right) / 2, high - 0.2, title, ha="center", va="center", fontsize=12)
    axis.set(xlim=(left, right), ylim=(low, high))
    axis.set_axis_off()
    axis.figure.set_size_inches(right - left, high - low)
    return axis.figure


def _draw_block(axis, block, x, y):
    height = 0.7 + 0.3 * math.log10(block.numbers)
    _draw_box(axis, (x, y, height), WIDTH, block.colour)
    line = y + 0.1 * len(block.lines)
    _write(axis, x, line, block.name, weight="bold")
    _write(axis, x, line - 0.14, "\n".join(block.lines), va="top")
    return x, y, height


def _draw_box(axis, place, width, colour):
    x, y, height = place
    style = {"boxstyle": "round,pad=0,rounding_size=0.08", "facecolor": colour, "edgecolor": "#555555"}
    axis.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, **style))


def _draw_arrow(axis, before, after):
    """From one place to another: straight up or down, or from side to side."""
    (x, y, height), (next_x, next_y, next_height) = before, after
    if x == next_x:
        up = math.copysign(1, next_y - y)
        start, end = (x, y + up * height / 2), (x, next_y - up * next_height / 2)
    else:
        right = math.copysign(WIDTH / 2, next_x - x)
        start, end = (x + right, y), (next_x - right, next_y)
    axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color="#333333"))


def _draw_frame(axis, upper, lower):
    """A frame around two places of one column; returns the place of its lower edge."""
    (x, high, high_height), (_, low, low_height), gap = upper, lower, 0.06
    low, high = low - low_height / 2 - gap, high + high_height / 2 + gap
    style = {"fill": False, "linestyle": "--", "edgecolor": "#555555"}
    axis.add_patch(Rectangle((x - WIDTH / 2 - gap, low), WIDTH + 2 * gap, high - low, **style))
    return x, low, 0.0


def _draw_loss(axis, lines, compared):
    """The loss between the two rows, and arrows to it from what it compares."""
    x, height = 1.5 * STEP, 2 * (0.12 + 0.11 * len(lines))
    _draw_box(axis, (x, LOSS, height), 3 * STEP + WIDTH, "#f7d9d9")
    for number, line in enumerate(lines):
        _write(axis, x, LOSS + height / 2 - 0.23 - 0.22 * number, line)
    for place in compared:
        _draw_arrow(axis, place, (place[0], LOSS, height))


def _write(axis, x, y, text, va="center", **style):
    axis.text(x, y, text, ha="center", va=va, fontsize=9, linespacing=1.3, **style)
