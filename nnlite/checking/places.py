"""Where else to check: at other inputs and parameters, for a 0, a 1 or a symmetric array hides mistakes."""

import contextlib
from typing import NamedTuple

import numpy as np

from nnlite.checking.behaviour import gradient_faults
from nnlite.checking.subject import Loss

WIDE = 6  # standard deviations of a row that is wide


class Place(NamedTuple):
    label: str
    candidates: list  # of (inputs, {name: values of a parameter}); the first that forward takes counts


def places(subject):
    """The Places to check beside the one where the subject stands."""
    inputs, values = subject.given
    ways = [_draw_inputs(subject, how) for how in ("long", "wide", "near", "alike")]
    moved = move_parameters(subject)
    with_other_parameters = [Place("with other parameters", [(inputs, moved)])] if subject.parameters else []
    drawn = [(each, parameters) for parameters in (moved, values) for each in ways]
    return [*with_other_parameters, Place("at another input", drawn)]


def gradients_at(subject, place):
    """Go to a Place and return what backward says there; or None, where forward or backward fails."""
    for inputs, values in place.candidates:
        with contextlib.suppress(Exception):  # a forward raises what it likes for what is beyond its domain
            subject.stand_at(inputs, values)
            gradients = subject.gradients()
            faults = (fault for n in subject.names for fault in gradient_faults(gradients.get(n), subject.array(n)))
            if subject.output.size and np.isfinite(subject.output).all() and not any(faults):
                return gradients
    return None


def usual_slopes(subject):
    """{name: |dL/da| for each entry}: the median of three at inputs of usual size, or 0 if forward takes none."""
    here, found = (subject.given, subject.output, subject.upstream), []
    for _ in range(3):
        gradients = gradients_at(subject, Place("", [(_draw_inputs(subject, "near"), {})]))
        found += [gradients] if gradients is not None else []
    subject.stand_at(*here[0])
    subject.output, subject.upstream = here[1:]
    nothing = {name: np.zeros(subject.array(name).shape) for name in subject.names}
    return {name: np.median([np.abs(each[name]) for each in found or [nothing]], axis=0) for name in subject.names}


def move_parameters(subject):
    """{name: p (1 + 0.3 n) + 0.3 n}, n from N(0, 1)."""

    def n(array):
        return 0.3 * subject.rng.standard_normal(array.shape)

    return {name: p * (1 + n(p)) + n(p) for name, p in subject.given[1].items()}


def rows_of(inputs, rows):
    """The inputs for a part of the batch: those rows of x, and of others that have as many."""
    N = inputs[0].shape[:1]
    return [each[rows] if isinstance(each, np.ndarray) and each.shape[:1] == N else each for each in inputs]


def _draw_inputs(subject, how):
    """Other inputs; those that have no gradient stay, except integers in the place of x."""
    drawn = [0, *subject.positions.values()]
    return [draw(each, subject, how) if at in drawn else each for at, each in enumerate(subject.given[0])]


def draw(array, subject, how):
    """Another array: "near" 0; "wide" but for row 0; "long", so with 3 rows for 1; "alike", in this one's range.

    What a loss gets between 0 and 1 are taken for probabilities. A symmetric matrix stays one, so do ascending rows and
    rows of length 1. Of integers, one stands twice.
    """
    rng, shape = subject.rng, array.shape
    if how == "long":
        shape = (*[3 if length == 1 else length for length in shape[:-1]], *shape[-1:])
    if array.dtype.kind != "f":
        drawn = rng.integers(int(array.min()), int(array.max()), shape, endpoint=True)
        drawn.flat[-1] = drawn.flat[0]
    elif how == "alike":
        low, high = np.min(array), np.max(array)
        if low == high:
            low, high = sorted((low / 2, 3 * low / 2)) if low else (-1, 1)
        drawn = rng.uniform(low, high, shape)
    elif isinstance(subject.layer, Loss) and (array >= 0).all() and (array <= 1).all() and (array % 1).any():
        drawn = rng.uniform(0, 1, shape)
        if array.ndim and np.allclose(array.sum(axis=-1), 1):
            drawn = drawn / drawn.sum(axis=-1, keepdims=True)
    else:
        drawn = np.array(rng.standard_normal(shape))
        if drawn.ndim and how != "near":
            drawn[1:] *= WIDE
        if array.ndim == 2 and np.array_equal(array, array.T):
            drawn = drawn + drawn.T
        elif array.ndim and (np.diff(array) > 0).all():
            drawn = np.sort(drawn)
        if array.ndim and array.shape[-1] > 1 and np.allclose(np.linalg.norm(array, axis=-1), 1):
            drawn = drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)
    return np.asarray(drawn, array.dtype)
