"""The figures: each function returns a matplotlib Figure, and neither shows nor saves it.

Pictures are uint8 (N, 64, 64, 3), and drawn at a whole multiple of their size, so that every pixel is a square of one
colour.
"""

import io

import matplotlib.figure
import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from autoencoders.images import to_pixels

DPI = 100
IMAGE = 64  # the width and height of an image, in its own pixels
LINE = 18  # the height of a line of text, in the figure's pixels
MARGIN = 12
GAP = 6  # between pictures
TITLE_WIDTH = 560


class Figure(matplotlib.figure.Figure):
    def _repr_png_(self):  # by which a notebook shows it
        self.savefig(png := io.BytesIO(), format="png")
        return png.getvalue()


def reconstruction_figure(originals, reconstructions, errors):
    """Originals above their reconstructions, and under each its mean squared error; errors: (N,)."""
    title = "Validation images and their reconstructions;\nunder each the mean squared error, pixels in [-1, 1]"
    rows = [("original", originals), ("reconstruction", reconstructions)]
    axes = _picture_grid(title, rows, zoom=2, left=120, foot=LINE)
    for axis, error in zip(axes[1], errors):
        axis.set_xlabel(f"{error:.4f}", fontsize=9, labelpad=2)
    return axes[0, 0].figure


def reconstruction_sheet_figure(originals, reconstructions, columns=8):
    """Many originals to the left, and in the same places to the right their reconstructions."""
    title = f"{len(originals)} validation images, and to the right\nwhat the decoder makes of their codes"
    rows = []
    for start in range(0, len(originals), columns):
        row = np.s_[start : start + columns]
        free = [None] * (columns - len(originals[row]))
        rows.append(("", [*originals[row], *free, None, *reconstructions[row], *free]))
    axes = _picture_grid(title, rows, zoom=1, left=MARGIN)
    for axis in axes.flat:
        axis.set_axis_off()  # no frames
    return axes[0, 0].figure


def contact_sheet_figure(title, images, captions, columns=8):
    """Images, and under each its caption, a text of at most three lines."""
    rows = [("", images[start : start + columns]) for start in range(0, len(images), columns)]
    axes = _picture_grid(title, rows, zoom=2, left=MARGIN, foot=3 * LINE)
    for axis, caption in zip(axes.flat, captions):
        axis.set_xlabel(caption, fontsize=7, labelpad=2, parse_math=False)  # a file's name may hold two $
    return axes[0, 0].figure


def learning_curve_figure(history, baselines):
    """The errors of each epoch of a History, over the level of each of the baselines, {name: mean squared error}."""
    axis = _curves(9, 5.5)
    epochs = np.arange(1, len(history.train_loss) + 1)
    axis.plot(epochs, history.train_loss, "o-", markersize=4, label="training images, mean during the epoch")
    label = f"validation images, after it; at the end {history.validation_loss[-1]:.4f}"
    axis.plot(epochs, history.validation_loss, "o-", markersize=4, label=label)
    for (name, error), style in zip(baselines.items(), ("--", ":", "-.")):
        axis.axhline(error, color="black", linestyle=style, linewidth=1, label=f"{name}, {error:.4f}")
    axis.set(title="Learning curve", xlabel="epoch", ylabel="mean squared error, pixels in [-1, 1] (log scale)")
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axis.yaxis.set_minor_locator(LogLocator(subs=range(2, 10)))
    axis.yaxis.set_major_formatter("{x:.3g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(alpha=0.3, which="both")
    axis.legend()
    return axis.figure


def picture_rows_figure(title, rows, captions=()):
    """Rows {name: pictures} under one another, each named to its left; N may differ.

    captions: {name: a text of at most three lines for each picture} of some of the rows.
    """
    axes = _picture_grid(title, rows.items(), zoom=2, left=190, foot=3 * LINE if captions else 0)
    for name, axes_of_row in zip(rows, axes):
        for axis, text in zip(axes_of_row, captions[name] if name in captions else ()):
            axis.set_xlabel(text, fontsize=7, labelpad=2)
    return axes[0, 0].figure


def curves_figure(title, label, values, curves):
    """Mean squared errors over a quantity, a line a model with its standard errors.

    label: what `values` are; curves: {name: [[mean, standard error], ...]}, one for each value.
    """
    axis = _curves(8, 5)
    for (name, points), marker in zip(curves.items(), "os^"):
        means, errors = zip(*points)
        axis.errorbar(values, means, [error or 0 for error in errors], marker=marker, capsize=3, label=name)
    axis.set(title=title, xlabel=label, ylabel="mean squared error, pixels in [-1, 1]", ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend()
    return axis.figure


def histograms_figure(panels):
    """Each score of normal and of strange images, {name: (normal (N,), strange (S,))}, three panels in a row.

    The axis ends where 95% of the normal images are in a third of it, so that these can be seen.
    """
    rows = -(-len(panels) // 3)
    figure = _figure(12, 3.4 * rows)
    for axis, (name, sets) in zip(figure.subplots(rows, 3).flat, panels.items()):
        finite = [each[np.isfinite(each)] for each in map(np.asarray, sets)]
        low = min(map(np.min, filter(len, finite)), default=0.0)
        usual = np.quantile(finite[0], 0.95) if len(finite[0]) else low
        bins = np.linspace(low, low + (3 * (usual - low) or 1), 31)
        for label, scores in zip(("normal", "strange"), sets):
            shares = np.full(len(scores), 1 / len(scores))
            axis.hist(np.minimum(scores, bins[-1]), bins, weights=shares, alpha=0.6, label=label)
        axis.set(title=name, xlabel="score; the last bar: all above", ylabel="share of the images")
        axis.xaxis.set_major_locator(MaxNLocator(5))
    figure.axes[0].legend()
    return figure


def roc_figure(panels):
    """Panels of ROC curves, {title: {name: (false positive rates, true positive rates)}}, side by side."""
    figure = _figure(6 * len(panels), 6)
    for axis, (title, curves) in zip(figure.subplots(1, len(panels)), panels.items()):
        axis.plot((0, 1), (0, 1), color="black", linestyle=":", linewidth=1)
        for name, rates in curves.items():
            axis.plot(*rates, label=name)
        axis.set(title=title, xlabel="share of normal images called strange", ylabel="share of strange images found")
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right")
    return figure


def benchmark_figure(steps, bound):
    """Images a second in training over the batch size, a line a contender, under the bound.

    steps: {batch size: {contender: seconds}}; bound: {batch size: seconds}.
    """
    axis = _curves(9, 5.5)
    sizes = list(steps)
    axis.plot(sizes, [size / bound[size] for size in sizes], color="black", label="bound")
    axis.set_prop_cycle(color=["tab:blue", "tab:green", "tab:orange", "tab:purple", "tab:brown"])
    dashes = iter(("-", "--", "-.", ":"))
    for name in steps[sizes[0]]:
        speeds = [size / steps[size][name] for size in sizes]
        ours = {"color": "tab:red", "linestyle": next(dashes), "linewidth": 2} if name.startswith("nnlite") else {}
        axis.plot(sizes, speeds, marker="o", label=name, **ours)
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, sizes)
    axis.set(title="Training the autoencoder", xlabel="batch size", ylim=(0, None))
    axis.set_ylabel("images a second, by the fastest step")
    axis.grid(alpha=0.3)
    axis.figure.legend(loc="outside right upper")
    return axis.figure


def step_size_figure(curves):
    """Why the error over the step h is a V; curves: {way of measuring a derivative: (steps, relative errors)}."""
    axis = _curves(9, 5.5)
    for (name, (steps, errors)), marker in zip(curves.items(), "v^."):
        axis.plot(steps, np.maximum(errors, 1e-17), marker=marker, markersize=4, label=name)  # 0 has no logarithm
    for eps in (2.0**-52, 2.0**-23):
        axis.plot([eps, 1e-2], [1, eps / 1e-2], color="black", linestyle=":", linewidth=1)
        axis.axvline(eps ** (1 / 3), color="black", linewidth=1, alpha=0.4)
    for text, place, side in (
        ("rounding: eps / h", (1e-13, 3e-5), "right"),
        ("complex: h^2", (2e-7, 1e-11), "right"),
        ("central: h^4", (1.5e-2, 1e-9), "left"),
        ("vertical: the check's h, eps^(1/3), below the best, so that kinks are rare", (4e-6, 3e-17), "right"),
    ):
        axis.annotate(text, place, fontsize=9, ha=side)
    axis.set_title(
        "Central differences: to the right the formula is too coarse, to the left the difference of two nearly\n"
        "equal numbers is mostly rounding. The complex step subtracts nothing: h can be as small as one likes.",
        fontsize=10,
    )
    axis.set(xscale="log", yscale="log", ylim=(1e-17, 30))
    axis.set(xlabel="step h", ylabel="relative error of the worst gradient")
    axis.grid(alpha=0.3)
    axis.legend(loc="upper left")
    return axis.figure


def latent_scaling_figure(titles, pictures, differences, largest):
    """Pictures side by side, and under each its difference to the reconstruction.

    titles: N texts of at most two lines; largest: (N,), the largest change, which is white or black. Grey is no change,
    and a channel is lighter where the picture has more of it.
    """
    title = "What the decoder makes of a code x[0], scaled as a whole\nor in its element k, x[0][k]; length: Euclidean"
    shown = [image if change else None for image, change in zip(differences, largest)]
    name = "difference to the\nreconstruction,\neach on its own\nscale (grey: none)"
    rows = [("picture", pictures), (name, shown)]
    axes = _picture_grid(title, rows, zoom=3, left=145, heads=[2 * LINE, 0], foot=LINE)
    for axis, text in zip(axes[0], titles):
        axis.set_title(text, fontsize=9, pad=4)
    for axis, change in zip(axes[1], largest):
        if change == 0:
            axis.text(0.5, 0.5, "none", ha="center", va="center", fontsize=9)
        else:
            axis.set_xlabel(f"white +{change:.2f}, black -{change:.2f}", fontsize=9, labelpad=2)
    return axes[0, 0].figure


def latent_sheet_figure(pictures, scales, values, moved, columns=12):
    """Every element of one code, times each of S scales: a column of pictures an element, in the order of `moved`.

    pictures: (Z, S, 12288) in [-1, 1]; scales: S texts; values: (Z,) the elements; moved: (Z,) the root mean square
    change of the picture over the scales. A band of the sheet holds `columns` elements.
    """
    title = "Each element of a code, scaled; sorted by how far that\nmoves the picture: rms over factors, pixels -1..1"
    Z, S = pictures.shape[:2]
    bands = np.split(np.argsort(-moved), range(columns, Z, columns))  # the elements of each
    rows = [(scale, to_pixels(pictures[band, k])) for band in bands for k, scale in enumerate(scales)]
    axes = _picture_grid(title, rows, zoom=2, left=50, heads=([3 * LINE] + [0] * (S - 1)) * len(bands))
    for row, band in zip(axes[::S], bands):
        for axis, element in zip(row, band):
            text = f"x[0][{element}]\n= {values[element]:.2f}\nrms {moved[element]:.3f}"
            axis.set_title(text, fontsize=9, pad=4)
    return axes[0, 0].figure


def _picture_grid(title, rows, *, zoom, left, heads=None, foot=0):
    """The axes, (rows, columns), of a figure of pictures: each is `zoom` times a picture wide and high, to the pixel.

    title: at most two lines; rows: (name, images), each image uint8 (64, 64, 3), or None, which leaves its place free.
    left: the room for the names; heads: the room for text above each row; foot: the room under each row.
    """
    columns, heads = max(len(images) for _, images in rows), heads or [0] * len(rows)
    side = zoom * IMAGE
    width = max(left + columns * (side + GAP) + MARGIN, TITLE_WIDTH)
    bottoms = MARGIN + 3 * LINE + np.cumsum([head + side + foot + GAP for head in heads]) - foot - GAP
    height = bottoms[-1] + foot + MARGIN
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    figure.text(0.5, 1 - MARGIN / height, title, ha="center", va="top", fontsize=11, parse_math=False)
    axes = np.empty((len(heads), columns), object)
    for row, (name, images) in enumerate(rows):
        for column, image in enumerate([*images, *[None] * (columns - len(images))]):
            x, y = left + column * (side + GAP), height - bottoms[row]
            axis = figure.add_axes((x / width, y / height, side / width, side / height), xticks=[], yticks=[])
            axis.patch.set_visible(False)
            if image is None:
                axis.set_axis_off()
            else:
                figure.figimage(image.repeat(zoom, axis=0).repeat(zoom, axis=1), x, y, zorder=-1)  # not resampled
            axes[row, column] = axis
        axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10, labelpad=8)
    return axes


def _curves(width, height):
    """The axes of a figure of curves, so many inches wide and high."""
    return _figure(width, height).subplots()


def _figure(width, height):
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")
