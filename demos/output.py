"""What the demos leave: figures and texts in the output folder, tables in Markdown."""

import json

import numpy as np
from PIL import Image

from autoencoders.claims import standard_error
from autoencoders.figures import picture_rows_figure
from autoencoders.images import to_pixels
from demos.settings import say
from nnlite.serialization import replacing

SHOWN = 10  # pictures in a row


def save_figure(options, name, figure):
    """Save a figure as PNG in the output folder, and say so."""
    with replacing(options.out / name) as file:
        figure.savefig(file, format="png")
    say(options, f"figure    {options.out / name}")


def save_sheet(options, name, rows):
    """Save rows of as many pictures each, uint8 (N, 64, 64, 3), side by side without a gap, as PNG."""
    with replacing(options.out / name) as file:
        Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in rows])).save(file, format="png")
    say(options, f"figure    {options.out / name}")


def save_text(options, name, text):
    """Write a text file into the output folder, whole or not at all, and say so."""
    with replacing(options.out / name) as file:
        file.write(text.encode(errors="backslashreplace"))  # a file's name may hold bytes that are no text
    say(options, f"file      {options.out / name}")


def save_rows(options, name, title, rows):
    """Save a figure of the first pictures of each row, {name: features (N, D)}."""
    rows = {row: to_pixels(pictures[:SHOWN]) for row, pictures in rows.items()}
    save_figure(options, name, picture_rows_figure(title, rows))


def save_results(options, name, heading, results, text):
    """Print a text, and write it under its heading as NAME.md, and the results as NAME.json."""
    print(text)
    save_text(options, f"{name}.json", json.dumps(results, indent=2))
    save_text(options, f"{name}.md", f"{heading}\n\n{text}")


def table(heads, rows):
    """The lines of a Markdown table whose columns are aligned, so that it reads well in a terminal too."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(heads, *rows)]
    lines = [heads, ["-" * width for width in widths], *rows]
    return ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]


def mean_and_error(values):
    """[mean, standard error] of independent values, (N,); the error of one value is None."""
    return [float(np.mean(values)), standard_error(values) if len(values) > 1 else None]


def cell(mean_and_error):
    """What mean_and_error returned, for a table."""
    mean, error = mean_and_error
    return f"{mean:.4f}" if error is None else f"{mean:.4f} ± {error:.5f}"
