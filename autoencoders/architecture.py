"""The architecture of a live model: a block diagram, and a table of its layers."""

import math

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from autoencoders.vae import VAE
from nnlite import Layer, Linear, Sequential

BLUE, ORANGE, GREY, GREEN = "#d6e6f5", "#fbe3c8", "#eeeeee", "#dcefd8"
STEP = 1.42  # from one block's middle to the next one's
WIDTH = 1.2  # of a block
LOSS, BOTTOM = -2.2, -4.1  # heights of the loss and of the decoder's row, under the encoder's


def summary(model):
    """A text table of the layers: name, layer, output shape for N images, parameters, multiply-adds for one image."""
    rows = [("name", "layer", "output", "parameters", "multiply-adds")]
    totals = [0, 0]
    for part in _parts(model).values():
        for name, layer, width in part:
            counts = _parameters(layer), layer.weight.data.size if isinstance(layer, Linear) else 0
            totals = [total + count for total, count in zip(totals, counts)]
            rows.append((name, type(layer).__name__, f"(N, {width})", *(f"{count:,}" for count in counts)))
    rows.append(("total", type(model).__name__, "", *(f"{total:,}" for total in totals)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(cell.rjust(width) if column > 2 else cell.ljust(width) for column, (cell, width) in enumerate(cells))
        for cells in (zip(row, widths) for row in rows)
    )


def architecture_figure(model, corrupt=None):
    """The block diagram of an FCNAutoencoder or a VAE, from its layers as they are; a Figure.

    A block names a layer, its output for N images and its parameters; it is the taller, the more numbers it puts
    out, on a logarithmic scale. corrupt: a text for what a denoising autoencoder's input goes through, such as
    "noise of std 0.5".
    """
    parts = _parts(model)
    encoder, decoder = parts["encoder"], parts["decoder"]
    D = encoder[0][1].weight.data.shape[1]
    diagram = _Diagram()
    image = diagram.block("x", ["image", f"(N, {D})"], D, GREY)
    last = image
    if corrupt is not None:
        last = diagram.follow(last, diagram.block("corrupt", [corrupt, f"(N, {D})"], D, ORANGE))
    for layer in encoder:
        last = diagram.follow(last, diagram.layer(layer, BLUE))
    if isinstance(model, VAE):
        last = _sampler(diagram, parts, last)
    else:
        last = diagram.follow(last, diagram.block("code", [f"(N, {encoder[-1][2]})"], encoder[-1][2], GREY))
    diagram.turn()
    for layer in decoder:
        last = diagram.follow(last, diagram.layer(layer, BLUE))
    reconstruction = diagram.follow(last, diagram.block("x_hat", ["reconstruction", f"(N, {D})"], D, GREY))
    if isinstance(model, VAE):
        lines = [
            r"loss = reconstruction + $\beta$ KL, mean over the batch",
            r"reconstruction: $\|x - \hat{x}\|^2 / (2 \sigma^2) + D/2 \, \log (2 \pi \sigma^2)$",
            r"$\sigma^2$: the variance of a pixel around its reconstruction",
            r"KL of $N(\mu, e^{logvar})$ from $N(0, I)$",
        ]
    else:
        clean = "the clean image" if corrupt is not None else "the image"
        lines = [r"loss = mean of $(\hat{x} - x)^2$", f"mean squared error, against {clean}"]
    diagram.loss(image, reconstruction, lines)
    name = type(model).__name__ if corrupt is None else f"{type(model).__name__}, trained to denoise"
    return diagram.figure(f"{name}: {_parameters(model):,} parameters")


def _sampler(diagram, parts, trunk):
    """The two heads, the noise and the sampler; returns the code."""
    ((mu,), (logvar,)) = parts["mu"], parts["logvar"]
    Z = mu[2]
    heads = diagram.layer(mu, GREEN, y=0.65), diagram.layer(logvar, GREEN, y=-0.65, same_column=True)
    diagram.frame(heads)
    sampler = diagram.block("sampler", [r"$z = \mu + e^{logvar/2} \, \epsilon$"], Z, ORANGE)
    noise = diagram.block("noise", [r"$\epsilon \sim N(0, I)$", f"(N, {Z})"], Z, ORANGE, y=1.5, same_column=True)
    for head in heads:
        diagram.follow(trunk, head)
        diagram.follow(head, sampler)
    diagram.arrow((noise[0], noise[1] - noise[2] / 2), (sampler[0], sampler[1] + sampler[2] / 2))
    return diagram.follow(sampler, diagram.block("z", ["code", f"(N, {Z})"], Z, GREY))


def _parts(model):
    """{attribute: [(name, layer, how many numbers it puts out), ...]} in the order of the model."""
    parts = {}
    for name, part in vars(model).items():
        if not isinstance(part, Layer):
            continue
        width, rows = None, []
        layers = enumerate(part) if isinstance(part, Sequential) else [(None, part)]
        for position, layer in layers:
            width = layer.weight.data.shape[0] if isinstance(layer, Linear) else width
            rows.append((name if position is None else f"{name}.{position}", layer, width))
        parts[name] = rows
    return parts


def _parameters(layer):
    return sum(parameter.data.size for parameter in layer.parameters())


class _Diagram:
    """Blocks, each (x, y, height), in inches; arrows between them. A row from left to right, turn(), a row back."""

    def __init__(self):
        self._patches, self._texts, self._compared = [], [], []
        self._column, self._direction, self._row, self._right, self._top = -1, 1, 0.0, 0.0, 0.0

    def turn(self):
        """The next block stands under the last one, and those that follow to the left of it."""
        self._column, self._direction, self._row = self._column + 1, -1, BOTTOM

    def block(self, head, lines, numbers, colour, y=0.0, same_column=False):
        self._column += 0 if same_column else self._direction
        x, y, height = self._column * STEP, self._row + y, 0.7 + 0.3 * math.log10(numbers)
        self._right, self._top = max(self._right, x + WIDTH / 2), max(self._top, y + height / 2)
        self._box(x, y, WIDTH, height, colour)
        self._texts.append((x, y + 0.1 * len(lines), head, {"weight": "bold", "va": "center"}))
        self._texts.append((x, y + 0.1 * len(lines) - 0.14, "\n".join(lines), {"va": "top"}))
        return x, y, height

    def layer(self, row, colour, **place):
        name, layer, width = row
        count = _parameters(layer)
        lines = [type(layer).__name__, f"(N, {width})"] + ([f"{count:,}\nparameters"] if count else [])
        return self.block(name, lines, width, colour, **place)

    def follow(self, before, after):
        if before[0] == after[0]:
            self.arrow((before[0], before[1] - before[2] / 2), (after[0], after[1] + after[2] / 2))
        else:
            side = self._direction * WIDTH / 2
            self.arrow((before[0] + side, before[1]), (after[0] - side, after[1]))
        return after

    def arrow(self, start, end):
        self._patches.append(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color="#333333"))

    def frame(self, blocks):
        """A frame around blocks of one column, and an arrow from it to the loss."""
        x, gap = blocks[0][0], 0.06
        low, high = min(y - h / 2 for _, y, h in blocks) - gap, max(y + h / 2 for _, y, h in blocks) + gap
        style = {"fill": False, "linestyle": "--", "edgecolor": "#555555"}
        self._patches.append(Rectangle((x - WIDTH / 2 - gap, low), WIDTH + 2 * gap, high - low, **style))
        self._compared.append((x, low))

    def loss(self, image, reconstruction, lines):
        """The loss between the two rows, and arrows to it from what it compares."""
        half = 0.12 + 0.11 * len(lines)
        self._box(1.5 * STEP, LOSS, 3 * STEP + WIDTH, 2 * half, "#f7d9d9")
        for place, line in enumerate(lines):
            self._texts.append((1.5 * STEP, LOSS + half - 0.23 - 0.22 * place, line, {"va": "center"}))
        for x, y in [*self._compared, (image[0], image[1] - image[2] / 2)]:
            self.arrow((x, y), (x, LOSS + half))
        self.arrow((reconstruction[0], reconstruction[1] + reconstruction[2] / 2), (reconstruction[0], LOSS - half))

    def _box(self, x, y, width, height, colour):
        style = {"boxstyle": "round,pad=0,rounding_size=0.08", "facecolor": colour, "edgecolor": "#555555"}
        self._patches.append(FancyBboxPatch((x - width / 2, y - height / 2), width, height, **style))

    def figure(self, title):
        left, right, low, high = -WIDTH / 2 - 0.1, self._right + 0.1, BOTTOM - 1.1, self._top + 0.5
        figure = Figure(figsize=(right - left, high - low), dpi=100)
        axis = figure.add_axes((0, 0, 1, 1))
        axis.set(xlim=(left, right), ylim=(low, high))
        axis.set_axis_off()
        for patch in self._patches:
            axis.add_patch(patch)
        for x, y, text, style in self._texts:
            axis.text(x, y, text, ha="center", fontsize=9, linespacing=1.3, **style)
        axis.text((left + right) / 2, high - 0.2, title, ha="center", va="center", fontsize=12)
        return figure
