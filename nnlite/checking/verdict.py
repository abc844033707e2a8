"""The verdict on one slope: whether backward and measurement differ by a mistake, by rounding, or at a kink."""

import contextlib
from typing import NamedTuple

import numpy as np

from nnlite.checking.places import usual_slopes
from nnlite.checking.slopes import NotAnalytic, by_central_differences, by_complex_step, carefully
from nnlite.checking.subject import Move

# set so that of tests/students, right and wrong, none is misjudged: pytest tests/test_student_layers.py --seeds 20
SAFETY = 30  # errors by which a slope that is measured carefully may be off
FEW = 3  # entries of an array that are found wrong; of the others nobody needs to know
STAYS = 0.3  # the part by which a difference that is no rounding may change when all numbers move in their last digits
ABSORBED = 10_000  # roundings of a usual slope: a difference as small may be a 1 - y^2 where y is nearly 1
LEFT = 16  # roundings of terms that cancel
COMPLEX_STEP = 1e-30
NOT_ANALYTIC = "is not analytic in {} here, as with np.var, np.abs, np.linalg.norm"
LARGE = 100_000  # entries of an array in which nobody looks for ties
NUDGE = 1e-5  # in units of an entry's size, to leave a kink


class Measure(NamedTuple):
    """How slopes are measured, and what relative error is allowed."""

    method: str
    step: float
    tolerance: float

    def slopes(self, subject, moves):
        by_this = by_complex_step if self.method == "complex" else by_central_differences
        return by_this(subject, moves, self.step)


class Verdict(NamedTuple):
    """What backward says of a move, what is measured, and what the difference is relative to."""

    move: Move
    analytic: float
    numeric: float
    scale: float
    remark: str = ""

    @property
    def relative_error(self):
        difference = abs(self.analytic - self.numeric)
        return difference / (self.scale or abs(self.analytic)) if difference != 0 else 0.0


def verdicts(subject, measure, moves, gradients, directions):
    """A Verdict on each move, of the one of several gradients, {name: array}, that is farther off.

    Of the first moves, as many as directions says, a complex step is compared with central differences.

    Raises NotAnalytic where a complex step measures something else than the slope.
    """
    found = []
    slopes = measure.slopes(subject, moves)
    if measure.method == "complex":
        certain = slopes if measure.step == COMPLEX_STEP else by_complex_step(subject, moves[:directions], COMPLEX_STEP)
        _look_whether_analytic(subject, moves[:directions], certain, 1e5 * measure.tolerance)
    for move, slope in zip(moves, slopes):
        analytic = max(map(move.slope_by, gradients), key=lambda value: abs(value - slope.value))
        found.append(Verdict(move, analytic, slope.value, slope.share))
    wrong, uncertain = [], []
    for at, each in enumerate(found):
        if each.relative_error <= measure.tolerance:
            continue
        if each.move.is_entry and wrong.count(each.move.name) >= FEW:
            found[at] = each._replace(remark="not looked at again")
        else:
            found[at], is_certain = _look_again(subject, measure, each)
            if not is_certain:
                uncertain.append(at)
            elif each.move.is_entry and not found[at].relative_error <= measure.tolerance:
                wrong.append(each.move.name)
    if uncertain:
        for at, is_rounding in zip(uncertain, _are_roundings(subject, measure, [found[at] for at in uncertain])):
            if is_rounding:
                found[at] = _excused(found[at], measure)
    return found


def _look_whether_analytic(subject, moves, slopes, precision):
    """Raise NotAnalytic if along one of the moves a complex step measured another slope than central differences do."""
    loss, step = np.abs(subject.output * subject.upstream), subject.eps ** (1 / 3)
    for move, slope in zip(moves, slopes):
        room = precision * slope.share + min(subject.eps * np.linalg.norm(loss) / step, 1e-3 * slope.share)
        y = subject.along_or_nan(move)
        roughly = np.sum((y(step) - y(-step)) * subject.upstream) / (2 * step)
        if abs(slope.value - roughly) <= room:
            continue
        [central] = by_central_differences(subject, [move], step)
        if not abs(slope.value - central.value) <= room:
            careful = carefully(subject, move)
            room = _room(subject, careful, _absorbed(subject, move))
            if careful.is_kink:  # of many, a slope is as far from those on both sides as these are from each other
                room = 3 * (careful.sides[1] - careful.sides[0])
            if abs(slope.value - careful.value) > room:
                raise NotAnalytic(NOT_ANALYTIC.format(move.name))


def _room(subject, careful, absorbed):
    """By how much a slope that is measured carefully may be off."""
    return SAFETY * careful.error + subject.eps**0.5 * careful.share + absorbed


def _absorbed(subject, move):
    """What rounding may leave of a slope: of one like 1 - y^2 near 0, a part of what it is at usual inputs; of one
    that is 0, as for a bias before the mean is subtracted, a part of the terms that cancel, no larger than y or a.
    """
    if subject.usual is None:
        subject.usual = usual_slopes(subject)
    usual = subject.usual[move.name]
    usual = usual[move.index] if usual.shape == subject.array(move.name).shape else np.median(usual)
    upstream, output = np.abs(subject.upstream), np.abs(subject.output)
    terms = min(np.sum(upstream) * np.linalg.norm(move.delta), np.sum(output * upstream))
    return subject.eps * (ABSORBED * np.linalg.norm(usual * move.delta) + LEFT * terms)


def _look_again(subject, measure, each):
    """(the Verdict in the light of careful central differences, whether it is certain).

    At a kink, what lies between the slopes on both sides is right; else it is compared with the nearer one. A complex
    step that careful differences contradict was none of an analytic forward; if they cannot tell it from what backward
    says, the verdict is uncertain. Where central differences measure, careful ones take their place. What is wrong then
    may still lie at a kink of which a single entry shows nothing.
    """
    careful, move = carefully(subject, each.move), each.move
    of_analytic, of_numeric = abs(each.analytic - careful.value), abs(each.numeric - careful.value)
    absorbed = _absorbed(subject, move)
    room = _room(subject, careful, absorbed)
    if careful.is_kink:
        lowest, highest = careful.sides
        if lowest <= each.analytic <= highest:
            remark = "kink" if highest - lowest < np.inf else "unresolved"
            return each._replace(numeric=each.analytic, remark=remark), True
        each = each._replace(numeric=np.clip(each.analytic, lowest, highest))
    elif measure.method == "complex":
        if of_numeric > room or of_numeric > max(4 * of_analytic, 2 * careful.error + absorbed):
            raise NotAnalytic(NOT_ANALYTIC.format(move.name))
        if of_analytic <= room:
            is_small = abs(each.analytic - each.numeric) <= min(absorbed, 1e-2 * each.scale)
            return _excused(each, measure) if is_small else each, is_small
    else:
        each = each._replace(numeric=careful.value, scale=careful.share)
        for value, error in [(careful.value, careful.error), *careful.others]:
            if abs(each.analytic - value) <= max(SAFETY * error, absorbed):
                is_blind = SAFETY * error > 0.1 * max(abs(each.analytic), abs(value))
                excused = _excused(each._replace(numeric=value), measure)
                return excused._replace(remark="unresolved") if is_blind else excused, True
    may_be_kink = careful.is_kink or is_tied(subject, move.name, move.index)
    if may_be_kink and _is_between_slopes_nearby(subject, each):
        return each._replace(numeric=each.analytic, remark="kink"), True
    return each, True


def _excused(each, measure):
    """The Verdict with a scale in comparison to which the difference is as small as is allowed."""
    scale = max(each.scale, 1.001 * abs(each.analytic - each.numeric) / measure.tolerance)
    return each._replace(scale=scale, remark="rounding")


def _are_roundings(subject, measure, uncertain):
    """Whether each difference is rounding: it changes when all numbers move in their last digits; a mistake stays.

    What rounding absorbs, such as 1 - y^2 where y is nearly 1, stays, too. So a difference as small is none either;
    unless what backward says of one entry is a number with digits to spare: a step twice as long makes twice as much.
    """
    moves, upstream = [each.move for each in uncertain], subject.upstream
    before = np.array([(each.analytic, each.analytic - each.numeric) for each in uncertain]).T
    stays = np.ones(len(moves), bool)

    def after(by, step):
        with _moved(subject, by):
            gradients, slopes = subject.gradients(), measure._replace(step=step).slopes(subject, moves)
        said = np.array([move.slope_by(gradients) for move in moves])
        return np.array([said, said - [slope.value for slope in slopes]])

    for k in (1, 2, 3, *9 * [4]):  # what the last digits do not move, as of 1 - x^2 near 1, a few more do
        if not stays.any():
            break
        size = 64**k * subject.eps
        subject.upstream = upstream * (1 + size * subject.rng.standard_normal(upstream.shape))
        by = {name: size * subject.array(name) * n for name, n in _noise(subject).items()}
        stays &= np.abs(after(by, measure.step / 2**k)[1] - before[1]) <= STAYS * np.abs(before[1])
    subject.upstream = upstream
    is_absorbed = np.abs(before[1]) <= [_absorbed(subject, move) for move in moves]
    if (stays & is_absorbed).any():
        by = {name: 1e-7 * subject.size(name) * n for name, n in _noise(subject).items()}
        once = after(by, measure.step) - before
        twice = after({name: 2 * each for name, each in by.items()}, measure.step) - before
        is_number = np.all((once != 0) & (np.abs(twice - 2 * once) <= 0.1 * np.abs(once)), axis=0)
        measured, faster = before[0] - before[1], once[0] - once[1]  # which moves as fast as they do
        is_number &= np.all(np.abs(once * measured) >= 0.3 * np.abs(faster * before), axis=0)
        is_absorbed &= ~(is_number & [move.is_entry for move in moves])
    return ~stays | is_absorbed


def _noise(subject):
    """n from N(0, 1) for each entry of each array."""
    return {name: subject.rng.standard_normal(subject.array(name).shape) for name in subject.names}


@contextlib.contextmanager
def _moved(subject, by):
    """For the duration of a block, arrays are moved: by is {name: what is added}."""
    before = {name: subject.array(name).copy() for name in by}
    for name, each in by.items():
        subject.array(name)[...] += each
    try:
        yield
    finally:
        for name, array in before.items():
            subject.array(name)[...] = array


def is_tied(subject, name, index=...):
    """Whether an entry, or any, equals another of its array: a kink of their maximum shows along directions alone."""
    array = subject.array(name)
    if index is ...:
        return array.size <= LARGE and len(np.unique(array)) < array.size
    return np.sum(array == array[index]) > 1


def _is_between_slopes_nearby(subject, each):
    """Whether slopes near here, with the arrays moved a little up, down, at random, differ, with analytic among them.

    Along a direction, which passes many kinks, among them or not much farther than they are from each other.
    """
    up = {name: np.ones(subject.array(name).shape) for name in subject.names}
    down = {name: -ones for name, ones in up.items()}
    ways = [{name: way[name]} for name in subject.names for way in (up, down)]
    ways += [up, down, *(_noise(subject) for _ in range(24))]
    slopes = []
    for way in ways:
        by = {name: NUDGE * subject.size(name) * n for name, n in way.items()}
        changes = []
        for length in (1, 0.1):
            with _moved(subject, {name: length * array for name, array in by.items()}):
                changes.append(np.sum(np.abs((subject.forward(each.move.name) - subject.output) * subject.upstream)))
        if changes[1] <= 0.5 * changes[0]:  # else it jumps to another branch of forward, which does not meet this one
            with _moved(subject, by):
                slopes.append(by_central_differences(subject, [each.move], NUDGE / 1000)[0].value)
    lowest, highest = np.min(slopes, initial=np.inf), np.max(slopes, initial=-np.inf)
    largest, is_entry = np.max(np.abs([lowest, highest])), each.move.is_entry
    room = 1e-4 * largest + (0 if is_entry else 3 * (highest - lowest))
    is_kink = highest - lowest > 1e-2 * largest or not is_entry
    return is_kink and lowest - room <= each.analytic <= highest + room
