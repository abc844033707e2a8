"""Edits of a code: an element of it, or all of it, is scaled and decoded.

Letters for shapes: N codes, Z code, S scales, D pixels.
"""

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


def scan_elements(decoder, code, scales):
    """Decode `code`, one code (1, Z), with each element times each of S scales.

    Returns (pictures, moved): pictures (Z, S, D); moved (Z,), for each element the root mean square, over
    scales and pixels, of the difference to the picture of the code as it is.
    """
    Z = code.shape[1]
    codes = np.concatenate([scale_code(code, scale, element) for element in range(Z) for scale in scales])
    pictures = decoder(codes).reshape(Z, len(scales), -1)  # (Z, S, D)
    moved = np.sqrt(np.mean((pictures - decoder(code)) ** 2, axis=(1, 2)))  # (Z,)
    return pictures, moved
