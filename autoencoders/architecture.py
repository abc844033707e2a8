"""The architecture of a live model: a block diagram, and a table of its layers."""

import math

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from autoencoders.vae import VAE
from nnlite import Layer, Linear, Sequential

BLUE, ORANGE, GREY, GREEN = "#d6e6f5", "#fbe3c8", "#eeeeee", "#dcefd8"
STEP = 1.72  # from one block's middle to the next one's
WIDTH = 1.42  # of a block


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
        code = _sampler(diagram, parts, last)
    else:
        code = diagram.follow(last, diagram.block("code", [f"(N, {encoder[-1][2]})"], encoder[-1][2], GREY))
    last = code
    for layer in decoder:
        last = diagram.follow(last, diagram.layer(layer, BLUE))
    reconstruction = diagram.follow(last, diagram.block("x_hat", ["reconstruction", f"(N, {D})"], D, GREY))
    if isinstance(model, VAE):
        error = r"reconstruction:  $\|x - \hat{x}\|^2 / (2 \sigma^2) + \frac{D}{2} \log (2 \pi \sigma^2)$"
        total = r"loss = reconstruction + $\beta$ KL, mean over the batch; $\sigma^2$: of the pixels"
        diagram.loss(image, reconstruction, error, total)
    else:
        clean = "the clean image" if corrupt is not None else "the image"
        diagram.loss(image, reconstruction, r"loss = mean of $(\hat{x} - x)^2$", f"mean squared error, against {clean}")
    name = type(model).__name__ if corrupt is None else f"{type(model).__name__}, trained to denoise"
    return diagram.figure(f"{name}: {_parameters(model):,} parameters")


def _sampler(diagram, parts, trunk):
    """The two heads, the noise and the sampler; returns the code."""
    ((mu,), (logvar,)) = parts["mu"], parts["logvar"]
    Z = mu[2]
    heads = diagram.layer(mu, GREEN, y=1.25), diagram.layer(logvar, GREEN, y=-1.25, same_column=True)
    sampler = diagram.block("sampler", [r"$z = \mu + e^{logvar/2} \, \epsilon$"], Z, ORANGE)
    noise = diagram.block("noise", [r"$\epsilon \sim N(0, I)$", f"(N, {Z})"], Z, ORANGE, y=2.1, same_column=True)
    for head in heads:
        diagram.follow(trunk, head)
        diagram.follow(head, sampler)
    diagram.arrow((noise[0], noise[1] - noise[2] / 2), (sampler[0], sampler[1] + sampler[2] / 2))
    diagram.note(heads[1], r"KL of $N(\mu, e^{logvar})$ from $N(0, I)$, of both heads")
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
    """Blocks side by side, each (x, y, height), in inches; arrows between them."""

    def __init__(self):
        self._patches, self._texts = [], []
        self._column, self._top = -1, 0.0

    def block(self, head, lines, numbers, colour, y=0.0, same_column=False):
        self._column += not same_column
        x, height = self._column * STEP, 0.75 + 0.45 * math.log10(numbers)
        if y:
            height = 1.15
        self._top = max(self._top, y + height / 2)
        corner = (x - WIDTH / 2, y - height / 2)
        style = {"boxstyle": "round,pad=0,rounding_size=0.08", "facecolor": colour, "edgecolor": "#555555"}
        self._patches.append(FancyBboxPatch(corner, WIDTH, height, **style))
        self._texts.append((x, y + 0.1 * len(lines), head, {"weight": "bold", "va": "center"}))
        self._texts.append((x, y + 0.1 * len(lines) - 0.14, "\n".join(lines), {"va": "top"}))
        return x, y, height

    def layer(self, row, colour, **place):
        name, layer, width = row
        count = _parameters(layer)
        lines = [type(layer).__name__, f"(N, {width})"] + ([f"{count:,}\nparameters"] if count else [])
        return self.block(name, lines, width, colour, **place)

    def follow(self, before, after):
        self.arrow((before[0] + WIDTH / 2, before[1]), (after[0] - WIDTH / 2, after[1]))
        return after

    def arrow(self, start, end):
        self._patches.append(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color="#333333"))

    def note(self, block, text):
        bottom = block[1] - block[2] / 2
        self._texts.append((block[0], bottom - 0.12, text, {"va": "top"}))
        self.arrow((block[0] + 0.9, bottom - 0.35), (block[0] + 1.7, -2.31))

    def loss(self, image, reconstruction, text, total):
        """A line from under the image to under the reconstruction, and the loss that compares them."""
        y, middle = -2.75, (image[0] + reconstruction[0]) / 2
        for block in (image, reconstruction):
            bottom = block[1] - block[2] / 2
            self._patches.append(FancyArrowPatch((block[0], bottom), (block[0], y), arrowstyle="-", color="#333333"))
            reach = 3.1 if block is image else -3.1
            self.arrow((block[0], y), (middle - reach, y))
        style = {"boxstyle": "round,pad=0,rounding_size=0.08", "facecolor": "#f7d9d9", "edgecolor": "#555555"}
        self._patches.append(FancyBboxPatch((middle - 3.1, y - 0.42), 6.2, 0.84, **style))
        self._texts.append((middle, y + 0.15, text, {"va": "center"}))
        self._texts.append((middle, y - 0.2, total, {"va": "center"}))

    def figure(self, title):
        width, low = (self._column + 1) * STEP + 0.2, -3.35
        high = self._top + 0.55
        figure = Figure(figsize=(width, high - low), dpi=100)
        axis = figure.add_axes((0, 0, 1, 1))
        axis.set(xlim=(-STEP / 2 - 0.1, width - STEP / 2 - 0.1), ylim=(low, high))
        axis.set_axis_off()
        for patch in self._patches:
            axis.add_patch(patch)
        for x, y, text, style in self._texts:
            axis.text(x, y, text, ha="center", fontsize=9, linespacing=1.3, **style)
        axis.text(width / 2 - STEP / 2 - 0.1, high - 0.2, title, ha="center", va="center", fontsize=12)
        return figure
