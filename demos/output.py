"""What the demos leave: figures and texts in the output folder, tables in Markdown."""

import numpy as np

from nnlite.serialization import replacing


def save_figure(options, name, figure):
    """Save a figure as PNG in the output folder, and say so."""
    with replacing(options.out / name) as file:
        figure.savefig(file, format="png")
    print(f"figure    {options.out / name}", flush=True)


def save_text(options, name, text):
    """Write a text file into the output folder, whole or not at all."""
    with replacing(options.out / name) as file:
        file.write(text.encode())
    print(f"file      {options.out / name}", flush=True)


def table(heads, rows):
    """The lines of a Markdown table whose columns are aligned, so that it reads well in a terminal too."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(heads, *rows)]
    lines = [heads, ["-" * width for width in widths], *rows]
    return ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]


def mean_and_error(values):
    """[mean, standard error] of independent values, (N,); the error of one value is None."""
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return [float(np.mean(values)), error]


def cell(mean_and_error):
    """What mean_and_error returned, for a table."""
    mean, error = mean_and_error
    return f"{mean:.4f}" if error is None else f"{mean:.4f} ± {error:.5f}"
