"""The figures: each function returns a matplotlib Figure, and neither shows nor saves it.

Pictures are drawn at a whole multiple of their size, so that every pixel of an image is a square of one colour.
"""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from autoencoders.edits import scaled_differences
from autoencoders.images import to_pixels

DPI = 100
IMAGE = 64  # the width and height of an image, in its own pixels
LINE = 18  # the height of a line of text, in the figure's pixels
MARGIN = 12
GAP = 6  # between pictures
TITLE_WIDTH = 560


def reconstruction_figure(originals, reconstructions, errors):
    """Originals above their reconstructions, and under each the error.

    originals, reconstructions: uint8 (N, 64, 64, 3); errors: (N,) mean squared errors.
    """
    title = "Validation images and their reconstructions;\nunder each the mean squared error, pixels in [-1, 1]"
    figure, axes = _picture_grid([0, 0], len(originals), zoom=2, left=120, foot=LINE, title=title)
    for column, error in enumerate(errors):
        _show(axes[0, column], originals[column])
        _show(axes[1, column], reconstructions[column], below=f"{error:.4f}")
    _name_row(axes[0, 0], "original")
    _name_row(axes[1, 0], "reconstruction")
    return figure


def contact_sheet_figure(originals, reconstructions, columns=8):
    """Many images to the left, and in the same places to the right their reconstructions.

    originals, reconstructions: uint8 (N, 64, 64, 3).
    """
    rows = -(-len(originals) // columns)
    title = f"{len(originals)} validation images, and to the right\nwhat the decoder makes of their codes"
    figure, axes = _picture_grid([0] * rows, 2 * columns + 1, zoom=1, left=MARGIN, title=title)
    for axis in axes.flat:
        axis.set_axis_off()
    for place, pair in enumerate(zip(originals, reconstructions)):
        row, column = divmod(place, columns)
        for axis, image in zip((axes[row, column], axes[row, columns + 1 + column]), pair):
            _show(axis, image)
    return figure


def learning_curve_figure(history, baselines):
    """The training and the validation error of each epoch, over the level of each baseline.

    history: a History; baselines: {name: mean squared error}.
    """
    figure = Figure(figsize=(9, 5.5), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    epochs = np.arange(1, len(history.train_loss) + 1)
    axis.plot(
        epochs, history.train_loss, "o-", color="tab:blue", markersize=4, label="training images, mean during the epoch"
    )
    label = f"validation images, after it; at the end {history.validation_loss[-1]:.4f}"
    axis.plot(epochs, history.validation_loss, "o-", color="tab:orange", markersize=4, label=label)
    for (name, error), style in zip(baselines.items(), ("--", ":", "-.")):
        axis.axhline(error, color="black", linestyle=style, linewidth=1, label=f"{name}, {error:.4f}")
    axis.set_yscale("log")
    for ticks, digits in (
        (axis.yaxis.set_major_locator, (1, 1.5, 2, 3, 5, 7)),
        (axis.yaxis.set_minor_locator, range(2, 10)),
    ):
        ticks(LogLocator(subs=digits))
    axis.yaxis.set_major_formatter("{x:.3g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("epoch")
    axis.set_ylabel("mean squared error, pixels in [-1, 1] (log scale)")
    axis.set_title("Learning curve")
    axis.grid(alpha=0.3, which="both")
    axis.legend()
    return figure


def picture_rows_figure(title, rows):
    """Rows of pictures under one another, each named to its left.

    rows: {name: uint8 (N, 64, 64, 3)}; N may differ.
    """
    figure, axes = _picture_grid([0] * len(rows), max(map(len, rows.values())), zoom=2, left=190, title=title)
    for (name, pictures), row in zip(rows.items(), axes):
        for axis in row[len(pictures) :]:
            axis.set_axis_off()
        for axis, picture in zip(row, pictures):
            _show(axis, picture)
        _name_row(row[0], name)
    return figure


def curves_figure(title, label, values, curves):
    """Mean squared errors over a quantity, a line a model with its standard errors.

    label: what `values` are; curves: {name: [[mean, standard error], ...]}, one for each value.
    """
    figure = Figure(figsize=(8, 5), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    for (name, points), marker in zip(curves.items(), "os^"):
        means, errors = zip(*points)
        axis.errorbar(values, means, [error or 0 for error in errors], marker=marker, capsize=3, label=name)
    axis.set(title=title, xlabel=label, ylabel="mean squared error, pixels in [-1, 1]", ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend()
    return figure


def benchmark_figure(steps, bound):
    """Images a second in training over the batch size, a line a contender, under the bound.

    steps: {batch size: {contender: [seconds, ...]}}; bound: {batch size: seconds}.
    """
    figure = Figure(figsize=(9, 5.5), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    sizes = list(steps)
    axis.plot(sizes, [size / bound[size] for size in sizes], color="black", label="bound")
    axis.set_prop_cycle(color=["tab:blue", "tab:green", "tab:orange", "tab:purple", "tab:brown"])
    dashes = iter(("-", "--", ":"))
    for name in steps[sizes[0]]:
        speeds = [size / np.median(steps[size][name]) for size in sizes]
        ours = {"color": "tab:red", "linestyle": next(dashes), "linewidth": 2} if name.startswith("nnlite") else {}
        axis.plot(sizes, speeds, marker="o", label=name, **ours)
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, sizes)
    axis.set(title="Training the autoencoder", xlabel="batch size", ylabel="images a second", ylim=(0, None))
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    return figure


def step_size_figure(curves):
    """The relative error of a measured derivative against the step h, and why it is a V.

    curves: {way of measuring: (steps, relative errors)}.
    """
    figure = Figure(figsize=(9, 5.5), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    for (name, (steps, errors)), marker in zip(curves.items(), "v^."):
        axis.plot(steps, np.maximum(errors, 1e-17), marker=marker, markersize=4, label=name)  # 0 has no logarithm
    for eps in (2.0**-52, 2.0**-23):
        axis.plot([eps, 1e-2], [1, eps / 1e-2], color="black", linestyle=":", linewidth=1)
        axis.axvline(eps ** (1 / 3), color="black", linewidth=1, alpha=0.4)
    axis.annotate("rounding: eps / h", (1e-13, 3e-5), fontsize=9, ha="right")
    axis.annotate("complex: h^2", (2e-7, 1e-11), fontsize=9, ha="right")
    axis.annotate("central: h^4", (1.5e-2, 1e-9), fontsize=9)
    axis.set_title(
        "Central differences: to the right the formula is too coarse, to the left the difference of two nearly\n"
        "equal numbers is mostly rounding. The complex step subtracts nothing: h can be as small as one likes.",
        fontsize=10,
    )
    axis.annotate(
        "vertical: the check's h, eps^(1/3), below the best, so that kinks are rare",
        (4e-6, 3e-17),
        fontsize=9,
        ha="right",
    )
    axis.set(
        xscale="log", yscale="log", xlabel="step h", ylabel="relative error of the worst gradient", ylim=(1e-17, 30)
    )
    axis.grid(alpha=0.3)
    axis.legend(loc="upper left")
    return figure


def latent_scaling_figure(titles, pictures, reference):
    """Pictures side by side, and under each its signed difference to pictures[reference].

    titles: N texts of at most two lines; pictures: (N, 12288) in [-1, 1]. In a difference, grey is no change, and a
    channel is lighter where the picture has more of it; the largest change, which the text under it gives, is
    drawn as white or black.
    """
    title = "What the decoder makes of a code x[0], scaled as a whole\nor in its element k, x[0][k]; length: Euclidean"
    figure, axes = _picture_grid([2 * LINE, 0], len(pictures), zoom=3, left=145, foot=LINE, title=title)
    drawn = zip(titles, pictures, *scaled_differences(pictures, pictures[reference]))
    for column, (title, picture, difference, largest) in enumerate(drawn):
        _show(axes[0, column], _to_image(picture), above=title)
        if largest == 0:
            axes[1, column].set_axis_off()
            axes[1, column].text(0.5, 0.5, "none", ha="center", va="center", fontsize=9)
            continue
        _show(axes[1, column], _to_image(difference), below=f"white +{largest:.2f}, black -{largest:.2f}")
    _name_row(axes[0, 0], "picture")
    _name_row(axes[1, 0], "difference to the\nreconstruction,\neach on its own\nscale (grey: none)")
    return figure


def latent_sheet_figure(pictures, factors, values, changes, columns=12):
    """Every element of one code, times each factor: a column of pictures an element, in the order of `changes`.

    pictures: (Z, F, 12288) in [-1, 1]; factors: F texts; values: (Z,) the elements; changes: (Z,) the root mean
    square change of the picture over the factors. A band of the sheet holds `columns` elements.
    """
    Z, F = pictures.shape[:2]
    title = (
        "Each element of a code, scaled; sorted by how far that\nmoves the picture: rms over factors, pixels in [-1, 1]"
    )
    heads = ([3 * LINE] + [0] * (F - 1)) * -(-Z // columns)
    figure, axes = _picture_grid(heads, columns, zoom=2, left=50, title=title)
    for axis in axes.flat:
        axis.set_axis_off()  # for the places that the last band leaves free
    for place, element in enumerate(np.argsort(-changes)):
        band, column = divmod(place, columns)
        head = f"x[0][{element}]\n= {values[element]:.2f}\nrms {changes[element]:.3f}"
        for row, factor in enumerate(factors):
            axis = axes[band * F + row, column]
            axis.set_axis_on()
            _show(axis, _to_image(pictures[element, row]), above=head if row == 0 else "")
            if column == 0:
                _name_row(axis, factor)
    return figure


def _picture_grid(heads, columns, *, zoom, left, title, foot=0):
    """(figure, axes (rows, columns)): each axis is zoom * IMAGE pixels wide and high, to the pixel.

    heads: for each row, the room above it for text; left: the room for the rows' names; foot: the room under each
    row. title: at most two lines.
    """
    side = zoom * IMAGE
    top = MARGIN + 3 * LINE
    bottoms = top + np.cumsum([head + side + foot + GAP for head in heads]) - foot - GAP
    width = max(left + columns * (side + GAP) + MARGIN, TITLE_WIDTH)
    height = bottoms[-1] + foot + MARGIN
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    figure.text(0.5, 1 - MARGIN / height, title, ha="center", va="top", fontsize=11)
    axes = np.empty((len(heads), columns), object)
    for row, column in np.ndindex(axes.shape):
        corner = ((left + column * (side + GAP)) / width, 1 - bottoms[row] / height)
        axes[row, column] = figure.add_axes((*corner, side / width, side / height), xticks=[], yticks=[])
    return figure, axes


def _show(axis, image, above="", below=""):
    zoom = round(axis.bbox.width / IMAGE)
    x, y = np.rint(axis.bbox.p0)
    axis.patch.set_visible(False)
    axis.figure.figimage(image.repeat(zoom, axis=0).repeat(zoom, axis=1), x, y, zorder=-1)  # drawn without resampling
    axis.set_title(above, fontsize=9, pad=4)
    axis.set_xlabel(below, fontsize=9, labelpad=2)


def _name_row(axis, name):
    axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10, labelpad=8)


def _to_image(features):
    return to_pixels(features[None])[0]
