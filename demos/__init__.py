"""Demonstrations: a module each; `python -m demos` runs them all.

A demo with results, such as denoising.py, has run(), which measures, draws and makes a dict of them, and parts(), which
says in reading order what they mean, to the terminal, denoising.md and the report. In DEMOS of report.py, and as a
place in report.html, it is in the report.
"""

import os
import sys

try:
    import matplotlib  # noqa: F401
except ValueError:  # MPLBACKEND names a backend that is not here, as a notebook's does, handed on to what it starts
    os.environ.pop("MPLBACKEND", None)
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        del sys.modules[name]  # which are there in part
