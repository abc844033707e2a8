"""Weights as 8-bit numbers, so that a decoder fits into a page.

Letters for shapes: N inputs, I numbers in an input, O in an output.
"""

import numpy as np

LEVELS = 127  # to either side of 0
DAMPING = 1e-4  # of the mean square of the inputs, added to each: no direction is empty


def quantize(weight, inputs):
    """(q int8 (O, I), scale (O,)): inputs @ (scale[:, None] * q).T is near to inputs @ weight.T.

    weight: (O, I); inputs: (N, I), such as the weight will meet. The largest weight of a row is 127 of its scale. The
    columns are rounded one after the other, those of the largest inputs first; what the rounding of one changes in the
    products is made good, as far as they can, by the columns that are still to come. With H = X^T X / N of the inputs X
    and H^-1 = U^T U, U upper triangular, they do so best by the error of column k, over U[k, k], times row k of U:
    Frantar et al., "GPTQ", arXiv 2210.17323, algorithm 1.
    """
    order = np.argsort(-np.mean(inputs**2, axis=0))  # (I,)
    X = inputs[:, order].astype(np.float64)
    H = X.T @ X / len(X)  # (I, I)
    H += DAMPING * (np.trace(H) / len(H) or 1) * np.eye(len(H))
    U = np.linalg.cholesky(np.linalg.inv(H)).T.astype(weight.dtype)  # (I, I)
    scale = np.maximum(np.abs(weight).max(axis=1), np.finfo(weight.dtype).tiny) / LEVELS  # (O,)
    left = (weight / scale[:, None]).T[order]  # (I, O), in units of the scale
    for k in range(len(U)):
        rounded = np.clip(np.rint(left[k]), -LEVELS, LEVELS)  # (O,)
        left[k + 1 :] -= np.outer(U[k, k + 1 :], (left[k] - rounded) / U[k, k])
        left[k] = rounded
    return left[np.argsort(order)].T.astype(np.int8), scale
