"""What the demos leave in the output folder: figures, results as JSON, and texts that show them.

A demo declares once what it has to say, in parts: a part is a text, a list of texts, a Table of texts or a Picture.
Markdown here and Html in report.py write them. No text holds a number itself, but a place where one of the results is
to stand, such as value("error", "VAE", form=".2f"), which is "${/error/VAE|.2f}" and becomes 0.12.
"""

import json
import textwrap
from string import Template
from typing import NamedTuple

import numpy as np
from PIL import Image

from autoencoders.claims import standard_error
from autoencoders.figures import picture_rows_figure
from autoencoders.images import to_pixels
from demos.settings import say
from nnlite.serialization import replacing

SHOWN = 10  # pictures in a row
MEAN = ".4f ± .5f"  # the format of what mean_and_error() returns


class Table(NamedTuple):
    """A row may lack its last cells. Without rows a table is false, and not written, as is an empty text."""

    heads: list
    rows: list

    def __bool__(self):
        return bool(self.rows)


class Picture(NamedTuple):
    file: str
    caption: str


def value(*path, form=""):
    """The place in a text where a value of the results is to stand: ${/its/path|form}, a JSON pointer (RFC 6901)."""
    pointer = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return f"${{{pointer}|{form}}}"


def at(results, pointer):
    """The value that a JSON pointer names."""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        results = results[int(step)] if isinstance(results, list) else results[step]
    return results


class Markdown:
    """Writes parts as Markdown; the values in their places are those of `results`."""

    def __init__(self, results):
        self.results = results

    def write(self, part):
        kinds = {Table: self.table, Picture: self.picture, list: self.bullets, str: self.paragraph}
        return kinds[type(part)](part) if part else ""

    def paragraph(self, text):
        return textwrap.fill(self.fill(text), 118, break_long_words=False, break_on_hyphens=False)

    def bullets(self, items):
        return "\n".join(f"- {self.fill(item)}" for item in items)

    def table(self, table):
        """Its columns are aligned, so that it reads well in a terminal too."""
        heads, *rows = self.cells(table)
        widths = [max(map(len, column)) for column in zip(heads, *rows)]
        lines = [heads, ["-" * width for width in widths], *rows]
        padded = [[cell.ljust(width) for cell, width in zip(line, widths)] for line in lines]
        return "\n".join(f"| {' | '.join(line)} |" for line in padded)

    def picture(self, picture):
        return f"![{picture.caption}]({picture.file})"

    def cells(self, table):
        lines = [[self.fill(cell) for cell in line] for line in (table.heads, *table.rows)]
        return [line + [""] * (len(table.heads) - len(line)) for line in lines]

    def fill(self, text):
        return _Text(text).substitute(self)

    def __getitem__(self, place):
        """What goes into a place; "a ± b" is the format of [mean, standard error], of which the latter may be None."""
        pointer, _, form = place.partition("|")
        if " ± " not in form:
            return self.value(pointer, form)
        both = [(f"{pointer}/{k}", each) for k, each in enumerate(form.split(" ± "))]
        return " ± ".join(self.value(*each) for each in both if at(self.results, each[0]) is not None)

    def value(self, pointer, form):
        return format(at(self.results, pointer), form)


class _Text(Template):
    braceidpattern = r"[^}]+"


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


def save_results(options, name, heading, results, parts):
    """Write the results as NAME.json, and their parts as NAME.md under a heading; print those that are no pictures."""
    markdown = Markdown({name: results})
    print("\n\n".join(markdown.write(part) for part in parts if part and not isinstance(part, Picture)), end="\n\n")
    save_text(options, f"{name}.json", json.dumps(results, indent=2))
    text = "\n\n".join(markdown.write(part) for part in parts if part)
    save_text(options, f"{name}.md", f"# {heading}\n\n{text}\n")


def mean_and_error(values):
    """[mean, standard error] of independent values, (N,); the error of one value is None."""
    return [float(np.mean(values)), standard_error(values) if len(values) > 1 else None]
