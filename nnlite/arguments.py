"""Arguments: what is no number, out of range or no generator is refused by name, before it spoils anything."""

import math
import numbers

import numpy as np


def require_numbers(where, least, below=math.inf, whole=False, **values):
    """Raise ValueError unless the values are numbers, whole ones if asked for, each from `least` to below `below`."""
    kind, wanted = (numbers.Integral, "a whole number") if whole else (numbers.Real, "a number")
    for name, value in values.items():
        if not (isinstance(value, kind) and least <= value < below):
            limits = f"at least {least}" + (f" and below {below}" if below < math.inf else "")
            raise ValueError(f"{where}: {name} is {value!r}, wanted {limits}, {wanted}")


def generator(where, rng):
    """`rng`. Raises TypeError if that is no numpy Generator; of a seed, say, all layers would draw the same numbers."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"{where}: rng is {rng!r}, wanted a numpy Generator, such as np.random.default_rng(0)")
    return rng
