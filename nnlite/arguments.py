"""Checks of arguments: an error names the argument, what was found and what is wanted."""

import math
import numbers

import numpy as np


def require_numbers(where, least, below=math.inf, whole=False, **values):
    """Raise ValueError unless the values are finite numbers, or whole ones, each from `least` to below `below`."""
    kind, wanted = (numbers.Integral, "a whole number") if whole else (numbers.Real, "a finite number")
    limits = f"at least {least}" + (f" and below {below}" if below < math.inf else "")
    for name, value in values.items():
        is_one = isinstance(value, kind) and math.isfinite(value)
        if not (is_one and least <= value < below):
            raise ValueError(f"{where}: {name} is {value!r}, wanted {limits if is_one else wanted}")


def generator(where, rng):
    """`rng`. Raises TypeError if that is no numpy Generator; of a seed, say, all layers would draw the same numbers."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"{where}: rng is {rng!r}, wanted a numpy Generator, such as np.random.default_rng(0)")
    return rng
