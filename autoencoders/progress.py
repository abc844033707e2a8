"""The progress bar: tqdm's for notebooks in a notebook, else on stderr, if that is a terminal."""

import sys

from tqdm.auto import tqdm


def progress_bar(quiet, **settings):
    """tqdm(**settings), which shows nothing where there is neither a notebook nor a terminal, or if `quiet`."""
    # tqdm.auto has chosen the class for notebooks, or that for terminals
    is_in_notebook = any(kind.__module__ == "tqdm.notebook" for kind in tqdm.__mro__)
    is_on_terminal = hasattr(sys.stderr, "isatty") and sys.stderr.isatty()
    return tqdm(disable=quiet or not (is_in_notebook or is_on_terminal), **settings)
