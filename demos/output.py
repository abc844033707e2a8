"""What a demo leaves behind: figures, its results as JSON, and what it says of them, on the terminal and as Markdown.

What a demo says is a list of parts, in the order in which they are read: a text is a paragraph, a list of texts are
bullets, and the others are declared here. report.py writes the same parts as HTML.
"""

import json
import textwrap
from typing import NamedTuple

import numpy as np
from PIL import Image

from autoencoders.figures import picture_rows_figure
from autoencoders.images import to_pixels
from demos.settings import say
from nnlite.serialization import replacing

SHOWN = 10  # pictures in a row


class Heading(NamedTuple):
    text: str


class Table(NamedTuple):
    heads: list
    rows: list


class Picture(NamedTuple):
    file: str
    caption: str
    in_report: bool = True


class Tiles(NamedTuple):
    """The columns of a `sheet` of pictures, each with a caption, {name: text}; `rows` say what is in the rows."""

    sheet: str
    rows: list
    captions: dict


def markdown(parts):
    return "\n\n".join(map(_markdown, parts))


def _markdown(part):
    match part:
        case str():
            return textwrap.fill(part, 118, break_long_words=False, break_on_hyphens=False)
        case list():
            return "\n".join(f"- {item}" for item in part)
        case Heading(text):
            return f"## {text}"
        case Table(heads, rows):
            return _aligned(heads, rows)
        case Picture(file, caption):
            return f"![{caption}]({file})"
        case Tiles(captions=captions):  # the pictures are for the report alone
            return _markdown([f"{name}: {text}" for name, text in captions.items()])


def _aligned(heads, rows):
    """A table that reads well in a terminal too."""
    widths = [max(map(len, column)) for column in zip(heads, *rows)]
    lines = [heads, ["-" * width for width in widths], *rows]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths)] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def plus_minus(measured, form=".4f", error_form=".5f"):
    """The text of what mean_and_error() returns: "0.0046 ± 0.00009"."""
    mean, error = measured
    return f"{mean:{form}}" if error is None else f"{mean:{form}} ± {error:{error_form}}"


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


def save_rows(options, name, title, rows):
    """Save a figure of the first pictures of each row, {name: features (N, D)}."""
    rows = {row: to_pixels(pictures[:SHOWN]) for row, pictures in rows.items()}
    save_figure(options, name, picture_rows_figure(title, rows))


def save_text(options, name, text):
    """Write a text file into the output folder, whole or not at all, and say so."""
    with replacing(options.out / name) as file:
        file.write(text.encode(errors="backslashreplace"))  # a file's name may hold bytes that are no text
    say(options, f"file      {options.out / name}")


def save_results(options, name, heading, results, parts):
    """Print the parts that are no pictures, and write all as NAME.md under a heading, and the results as NAME.json."""
    print(markdown(part for part in parts if not isinstance(part, Picture)), end="\n\n")
    save_text(options, f"{name}.json", json.dumps(results, indent=2))
    save_text(options, f"{name}.md", f"# {heading}\n\n{markdown(parts)}\n")
