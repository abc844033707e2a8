"""Edits of a code: scaling one element of it, or all, and how far that moves the picture."""

import numpy as np


def scale_code(code, factor, element=None):
    """A new code in which `element` of every row, or the whole code if it is None, is multiplied by `factor`.

    code: (N, Z). Raises ValueError if `element` is not in 0 .. Z - 1.
    """
    if element is None:
        return code * factor
    if not 0 <= element < code.shape[1]:
        raise ValueError(f"scale_code: element is {element}, wanted 0 to {code.shape[1] - 1}")
    scaled = code.copy()
    scaled[:, element] *= factor
    return scaled


def scan_elements(decoder, code, factors):
    """Decode `code`, one code (1, Z), with each element scaled by each of F factors.

    Returns (pictures, changes): pictures (Z, F, D); changes (Z,), for each element the root mean square, over
    factors and pixels, of the difference to the picture of the code as it is.
    """
    Z = code.shape[1]
    codes = np.concatenate([scale_code(code, factor, element) for element in range(Z) for factor in factors])
    pictures = decoder(codes).reshape(Z, len(factors), -1)  # (Z, F, D)
    changes = np.sqrt(np.mean((pictures - decoder(code)) ** 2, axis=(1, 2)))  # (Z,)
    return pictures, changes
