"""The architecture of a live model: a block diagram, and a table of its layers."""

import math

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from autoencoders.vae import VAE
from nnlite import Linear, Sequential

BLUE, ORANGE, GREY, GREEN = "#d6e6f5", "#fbe3c8", "#eeeeee", "#dcefd8"
STEP = 1.42  # from one block's middle to the next one's
WIDTH = 1.2  # of a block
LOSS, BOTTOM = -2.2, -4.1  # heights of the loss and of the decoder's row, under the encoder's


def summary(model):
    """A text table of the layers: name, layer, output shape for N images, parameters, multiply-adds for one image."""
    rows = [("name", "layer", "output", "parameters", "multiply-adds")]
    totals = [0, 0]
    for name, layer, width in _layers(model).values():
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
    layers = _layers(model)
    encoder, decoder = ([layers[name] for name in layers if name.startswith(part)] for part in ("encoder", "decoder"))
    D = decoder[-1][2]
    diagram = _Diagram()
    last = image = diagram.block("x", ["image", f"(N, {D})"], D, GREY)
    if corrupt is not None:
        last = diagram.follow(last, diagram.block("corrupt", [corrupt, f"(N, {D})"], D, ORANGE))
    for layer in encoder:
        last = diagram.follow(last, diagram.layer(layer, BLUE))
    if isinstance(model, VAE):
        last = _sampler(diagram, layers["mu"], layers["logvar"], last)
        loss = [
            r"loss = reconstruction + $\beta$ KL, mean over the batch",
            r"reconstruction: $\|x - \hat{x}\|^2 / (2 \sigma^2) + D/2 \, \log (2 \pi \sigma^2)$",
            r"$\sigma^2$: the variance of a pixel around its reconstruction",
            r"KL of $N(\mu, e^{logvar})$ from $N(0, I)$",
        ]
    else:
        Z = encoder[-1][2]
        last = diagram.follow(last, diagram.block("code", [f"(N, {Z})"], Z, GREY))
        clean = "the clean image" if corrupt is not None else "the image"
        loss = [r"loss = mean of $(\hat{x} - x)^2$", f"mean squared error, against {clean}"]
    diagram.turn()
    for layer in decoder:
        last = diagram.follow(last, diagram.layer(layer, BLUE))
    reconstruction = diagram.follow(last, diagram.block("x_hat", ["reconstruction", f"(N, {D})"], D, GREY))
    diagram.loss(loss, image, reconstruction)
    name = type(model).__name__ if corrupt is None else f"{type(model).__name__}, trained to denoise"
    return diagram.figure(f"{name}: {_parameters(model):,} parameters")


def _sampler(diagram, mu, logvar, trunk):
    """The two heads, the noise and the sampler; returns the code."""
    _, _, Z = mu
    heads = diagram.layer(mu, GREEN, y=0.65), diagram.layer(logvar, GREEN, y=-0.65, same_column=True)
    diagram.frame(heads)
    sampler = diagram.block("sampler", [r"$z = \mu + e^{logvar/2} \, \epsilon$"], Z, ORANGE)
    noise = diagram.block("noise", [r"$\epsilon \sim N(0, I)$", f"(N, {Z})"], Z, ORANGE, y=1.5, same_column=True)
    for head in heads:
        diagram.follow(trunk, head)
        diagram.follow(head, sampler)
    diagram.follow(noise, sampler)
    return diagram.follow(sampler, diagram.block("z", ["code", f"(N, {Z})"], Z, GREY))


def _layers(model):
    """{name: (name, layer, how many numbers it puts out)} of the layers that are not made of others."""
    layers, width = {}, None
    for name, layer in model.named_layers():
        if layer is not model and not isinstance(layer, Sequential):
            width = layer.weight.data.shape[0] if isinstance(layer, Linear) else width
            layers[name] = name, layer, width
    return layers


def _parameters(layer):
    return sum(parameter.data.size for parameter in layer.parameters())


class _Diagram:
    """Blocks, each (x, y, height), in inches; arrows between them. A row from left to right, turn(), a row back."""

    def __init__(self):
        self._axis, self._compared = Figure(dpi=100).add_axes((0, 0, 1, 1)), []
        self._column, self._direction, self._row, self._right, self._top = -1, 1, 0.0, 0.0, 0.0

    def turn(self):
        """The next block stands under the last one, and those that follow to the left of it."""
        self._column, self._direction, self._row = self._column + 1, -1, BOTTOM

    def block(self, head, lines, numbers, colour, y=0.0, same_column=False):
        self._column += 0 if same_column else self._direction
        x, y, height = self._column * STEP, self._row + y, 0.7 + 0.3 * math.log10(numbers)
        self._right, self._top = max(self._right, x + WIDTH / 2), max(self._top, y + height / 2)
        self._box(x, y, WIDTH, height, colour)
        self._text(x, y + 0.1 * len(lines), head, weight="bold")
        self._text(x, y + 0.1 * len(lines) - 0.14, "\n".join(lines), va="top")
        return x, y, height

    def layer(self, row, colour, **place):
        name, layer, width = row
        count = _parameters(layer)
        lines = [type(layer).__name__, f"(N, {width})"] + ([f"{count:,}\nparameters"] if count else [])
        return self.block(name, lines, width, colour, **place)

    def follow(self, before, after):
        """An arrow from a block to another one, which is returned."""
        (x, y, height), (next_x, next_y, next_height) = before, after
        if x == next_x:
            self._arrow((x, y - height / 2), (x, next_y + next_height / 2))
        else:
            side = self._direction * WIDTH / 2
            self._arrow((x + side, y), (next_x - side, next_y))
        return after

    def frame(self, blocks):
        """A frame around blocks of one column, and an arrow from it to the loss."""
        x, gap = blocks[0][0], 0.06
        low, high = min(y - h / 2 for _, y, h in blocks) - gap, max(y + h / 2 for _, y, h in blocks) + gap
        style = {"fill": False, "linestyle": "--", "edgecolor": "#555555"}
        self._axis.add_patch(Rectangle((x - WIDTH / 2 - gap, low), WIDTH + 2 * gap, high - low, **style))
        self._compared.append((x, low))

    def loss(self, lines, image, reconstruction):
        """The loss between the two rows, and arrows to it from what it compares."""
        (image_x, image_y, image_height), (x, y, height) = image, reconstruction
        half = 0.12 + 0.11 * len(lines)
        self._box(1.5 * STEP, LOSS, 3 * STEP + WIDTH, 2 * half, "#f7d9d9")
        for place, line in enumerate(lines):
            self._text(1.5 * STEP, LOSS + half - 0.23 - 0.22 * place, line)
        self._arrow((x, y + height / 2), (x, LOSS - half))
        for x, bottom in [*self._compared, (image_x, image_y - image_height / 2)]:
            self._arrow((x, bottom), (x, LOSS + half))

    def figure(self, title):
        left, right, low, high = -WIDTH / 2 - 0.1, self._right + 0.1, BOTTOM - 1.1, self._top + 0.5
        self._axis.text((left + right) / 2, high - 0.2, title, ha="center", va="center", fontsize=12)
        self._axis.set(xlim=(left, right), ylim=(low, high))
        self._axis.set_axis_off()
        self._axis.figure.set_size_inches(right - left, high - low)
        return self._axis.figure

    def _arrow(self, start, end):
        self._axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color="#333333"))

    def _box(self, x, y, width, height, colour):
        style = {"boxstyle": "round,pad=0,rounding_size=0.08", "facecolor": colour, "edgecolor": "#555555"}
        self._axis.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, **style))

    def _text(self, x, y, text, va="center", **style):
        self._axis.text(x, y, text, ha="center", va=va, fontsize=9, linespacing=1.3, **style)
