"""The slope dL/dt of a loss L = sum(y * u) along a move, measured from forward alone, in three ways.

complex    Im y(ih) / h. Taylor: y(ih) = y(0) + ih y' - h^2/2 y'' - ..., so the imaginary part is h y' up to h^3.
           Nothing is subtracted, so h can be 1e-30, and the result is exact to rounding. It wants a forward that is
           analytic: an abs, a conjugate or a real array inside, and the step is lost or changed (docs/complex_step.md).
           Squire and Trapp, SIAM Review 40 (1998) 110-112.
central    D(h) = (y(h) - y(-h)) / 2h. Its error is that of the formula, about h^2 y''' / 6, and that of the
           subtraction, about eps / h; h = eps^(1/3) balances the two. In (4 D(h/2) - D(h)) / 3 the first cancels.
carefully  central differences, and those to the right and to the left alone, of steps from 1/4 down to eps^(3/4),
           each a quarter of the one before. What changes least from one step to the next is taken, and by how much it
           changes is its error. Ridders, Advances in Engineering Software 4 (1982) 75-76.
"""

import warnings
from typing import NamedTuple

import numpy as np

SHRINK = 4  # by which the next step is smaller
FLAT = 5  # steps, below which a stair is flat
REACH = 8  # a step that shows which outputs can change at all: near 0 those of a saturated softmax, for one, do not


class Slope(NamedTuple):
    value: float  # dL/dt = sum(dy/dt * u)
    share: float  # sum|dy/dt * u|: what L has of this move, without cancellation


class CarefulSlope(NamedTuple):
    value: float
    error: float
    share: float
    sides: tuple  # (lowest, highest) of the slopes to the left and to the right, and of their error
    is_kink: bool  # whether these two differ by more than their error
    others: list  # (value, error) of larger steps, if they measure another: where forward rounds within


class NotAnalytic(Exception):
    """A complex step does not measure the slope of this forward; the text says why."""


def by_complex_step(subject, moves, step):
    """The Slope along each move. Raises NotAnalytic where forward does not carry the step."""
    slopes = []
    with subject.complex_arrays(), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        for move in moves:
            try:
                y = subject.along(move)(1j * step)
            except Exception as error:
                raise NotAnalytic(f"does not take complex numbers ({type(error).__name__}: {error})") from error
            if not np.iscomplexobj(y):
                raise NotAnalytic("returns real numbers for complex ones")
            if not np.isfinite(y).all():
                raise NotAnalytic(f"gives {y[~np.isfinite(y)][0]} for complex numbers")
            slopes.append(_slope(np.imag(y) / step, subject))
    return slopes


def by_central_differences(subject, moves, step):
    """The Slope along each move."""
    slopes = []
    for move in moves:
        y = subject.along_or_nan(move)
        far, near = [(y(h) - y(-h)) / (2 * h) for h in (step, step / 2)]
        slopes.append(_slope((4 * near - far) / 3, subject))
    return slopes


def _slope(dy, subject):
    parts = dy * subject.upstream
    return Slope(np.sum(parts), np.sum(np.abs(parts)))


def carefully(subject, move):
    """The CarefulSlope along a move."""
    y, y0, u = subject.along_or_nan(move), subject.forward(move.name), subject.upstream
    here, unit = (subject.array(move.name)[move.index], move.delta) if move.is_entry else (0.0, 1.0)
    own = abs(here / unit) or 1.0 if move.is_entry else 1.0  # an entry may be smaller than the others of its array
    largest, smallest = max(1.0, 1 / np.max(np.abs(move.delta))) / SHRINK, subject.eps ** (3 / 4) * own
    wanted = largest * SHRINK ** -np.arange(np.ceil(np.log(largest / smallest) / np.log(SHRINK)) + 1.0)
    sums, changes = [], []
    for sign in (1, -1):
        steps = ((here + sign * wanted * unit) - here) / unit  # what is added indeed, rounded
        changes.append([(y(t) - y0) * u for t in steps])
        sums.append(np.array([np.sum(each) for each in changes[-1]]) / steps)
    moved = np.any([y(t) != y0 for t in (-REACH, REACH)] + [each != 0 for each in changes[0]], axis=0)
    size = np.sum(np.abs(y0 * u)[moved if moved.any() else ...])
    rounding = 4 * subject.eps * size / wanted[1:]
    share = np.array([np.sum(np.abs(a - b)) for a, b in zip(*changes)]) / (2 * wanted)
    if _is_flat(np.array([[np.sum(np.abs(each)) for each in side] for side in changes]), size):
        return CarefulSlope(0.0, 4 * subject.eps * size / wanted[-FLAT], 0.0, (0.0, 0.0), False, [])
    one_sided = [_plateaus((SHRINK * each[1:] - each[:-1]) / (SHRINK - 1), rounding, share)[0] for each in sums]
    sides = np.array([(value, error) for value, error, _ in one_sided if np.isfinite(value)])
    room = np.sum([10 * error + 64 * subject.eps**0.5 * abs(value) for value, error in sides])
    if any(_jumps(each * wanted, subject.eps * size) for each in sums) or not len(sides):
        lowest, highest = -np.inf, np.inf
    else:
        lowest, highest = np.min(sides[:, 0]), np.max(sides[:, 0])
    both = np.sum(sums, axis=0) / 2
    (value, error, at), *others = _plateaus((SHRINK**2 * both[1:] - both[:-1]) / (SHRINK**2 - 1), rounding, share)
    is_kink = len(sides) < 2 or highest - lowest > room  # where forward ends, there is one side alone
    between = lowest - room, highest + room
    return CarefulSlope(value, error, share[at], between, is_kink, [each[:2] for each in others])


def _is_flat(changes, size):
    """Whether the smallest steps change nothing, and the first that does jumps by more than rounding within could."""
    seen = changes[changes > 0]
    return not changes[:, -FLAT:].any() and seen.size and np.min(seen) > max(1e-12, 1e-8 * size)


def _jumps(changes, rounding):
    """Whether what changes in the smallest steps stays as large as it is."""
    last = np.abs(changes[-3:])
    return np.ptp(changes[-3:]) < 0.1 * np.max(last) and np.max(last) > 64 * rounding


def _plateaus(estimates, rounding, share):
    """(value, error, at) of the estimates that agree over several steps, those of the smallest steps first.

    value is what differs least from its neighbours. Where the share grows as steps shrink, what is seen is a jump,
    rounding or, in steps of many periods of a sine, noise; where it is 0, or as small as the error, nothing is seen.
    """
    changes = np.abs(np.diff(estimates))
    errors = np.max([changes[:-2], changes[1:-1], changes[2:]], axis=0) + rounding[1:-2]
    errors[~np.isfinite(errors) | ((share[2:-2] == 0) & share.any())] = np.inf
    is_settled = (share[1:-3] >= 0.5 * share[2:-2]) & (errors < 1e-2 * share[2:-2])
    plateaus = [[]]
    for at in reversed(np.flatnonzero(is_settled)):
        near = (abs(estimates[at + 1] - estimates[k + 1]) <= 2 * (errors[at] + errors[k]) for k in plateaus[-1])
        if not all(near):
            plateaus.append([])
        plateaus[-1].append(at)
    found = [plateau for plateau in plateaus if len(plateau) >= 3] or [plateaus[-1] or [np.argmin(errors)]]
    best = [min(plateau, key=errors.__getitem__) for plateau in found]
    return [(estimates[at + 1] if np.isfinite(errors[at]) else np.nan, errors[at], at + 1) for at in best]
