"""Hints: what common mistakes in a backward look like, recognised by experiments on it."""

import contextlib
from unittest import mock

import numpy as np

from nnlite.checking.places import draw

NEAR = 1e-5  # a relative difference less than that of any mistake


def hint(subject, measure, moves, first, mean):
    """A sentence about the gradient of one array that is wrong, or None if it looks like no mistake known here.

    moves: of entries of that array; first, mean: what one backward says, and the mean of two, {array: gradient}.
    """
    return next(_sentences_that_fit(subject, measure, moves, first, mean), None)


def _sentences_that_fit(subject, measure, moves, first, mean):
    """Yield what fits, the surest first."""
    name, unit = moves[0].name, np.array([move.delta for move in moves])
    numeric, shares = (np.array(numbers) / unit for numbers in zip(*measure.slopes(subject, moves)))
    rounding = 10 * measure.tolerance * shares

    def entries(gradient):
        return np.array([gradient[move.index] for move in moves])

    def backward(**experiment):
        return _result_or_nan(lambda: entries(subject.gradients(**experiment)[name]))

    def slope():
        return _result_or_nan(lambda: np.array([each.value for each in measure.slopes(subject, moves)]) / unit)

    def elsewhere(x, experiment):
        inputs, subject.inputs = subject.inputs, [x.copy(), *subject.inputs[1:]]
        try:
            return experiment()
        finally:
            subject.inputs = inputs

    def are_near(a, b):
        """For each entry of two arrays, one of which is measured, whether they differ by less than any mistake does."""
        return np.abs(a - b) <= NEAR * np.abs(b) + rounding

    def alike(a, b):
        return np.all(are_near(a, b))

    def same(a, b):
        """Whether two arrays that differ by a mistake or not at all do not."""
        return np.all(np.abs(a - b) <= NEAR * np.abs(b))

    found, mean = entries(first[name]), entries(mean[name])
    again = np.array([each.value for each in measure._replace(step=2 * measure.step).slopes(subject, moves)]) / unit
    if not np.all(np.abs(again - numeric) <= 0.1 * np.abs(found - numeric) + rounding):
        return  # of what is measured so roughly
    x, upstream, output = subject.inputs[0], subject.upstream, subject.output
    other = draw(x, subject, "near")
    if found.any() and not numeric.any():
        yield "is not 0, but forward does not react: if a straight-through estimator is meant, say expected={...}"
    if not found.any():
        question = ": is it computed, and added with +=?" if not elsewhere(other, backward).any() else ""
        yield f"is 0 everywhere{question}"
    if alike(found, numeric):
        if alike(mean, numeric):
            yield "agrees in 5 digits: does anything compute in float32, or is a small term wrong?"
        if name in subject.parameters and same(backward(already=1.0), found):
            yield "is overwritten: write += instead of =, for gradients add up"
        yield "is right at first, but not in a second backward, which must find what forward kept as it was"
    without = backward(upstream=np.zeros_like(upstream))
    if same(without, found):
        yield "does not depend on grad_output: multiply by it"
    if np.any(without) and np.isfinite(without).all():
        yield "has a term without grad_output: multiply by it, do not add"
    if not same(backward(upstream=-upstream), -found):
        yield "does not turn round with grad_output: take masks and slopes from what forward kept"
    factor = np.sum(found * numeric) / np.sum(numeric * numeric)
    cause = _cause_of_factor(factor, x)
    if alike(found, factor * numeric) and (found.size > 1 or cause) and 1e-6 < abs(factor) < 1e6:
        yield f"is {factor:.6g} times the right one{cause}"
    if _is_square(first[name]) and alike(entries(first[name].T), numeric):
        yield "is transposed"
    if name in subject.parameters and output.ndim and 1 < len(output) == len(np.atleast_1d(x)):
        without_last_row = upstream.copy()
        without_last_row[-1] = 0
        subject.upstream = without_last_row
        right = slope()
        subject.upstream = upstream
        if same(backward(upstream=without_last_row), found) and not alike(right, numeric):
            yield "does not depend on the last row of grad_output: sum over the whole batch"
    for label, parameter in subject.parameters.items():
        if _is_square(parameter.data):
            with _transposed_between_forward_and_backward(subject, parameter):
                transposed = backward()
            if alike(transposed, numeric):
                yield f"would be right with {label} transposed"
    if name == "input" and output.shape == x.shape:
        if alike(numeric - found, entries(upstream)):
            yield "lacks grad_output itself: x also reaches the output unchanged, and gradients of two ways add up"
        if same(found, elsewhere(output, slope)):
            yield "is the derivative at the output of forward: take it at x"
        if alike(elsewhere(output, backward), numeric):
            yield "would be right if x were the output: the formula wants y = forward(x), not x"
    is_stale = same(found, elsewhere(subject.earlier, slope)) and same(elsewhere(other, backward), found)
    if is_stale and not np.isin(np.abs(found), [0, *np.abs(upstream).flat]).all():  # as many layers hand on
        yield "is the derivative at the input of an earlier forward: keep what the latest one got"
    constant = np.mean(found - numeric)
    if found.size > 1 and alike(found - constant, numeric):
        yield f"is off by the constant {constant:.4g}: a constant term is missing, or too much"
    is_wrong, worst = ~are_near(found, numeric), np.argmax(np.abs(found - numeric))
    number = np.sum(is_wrong)
    if 0 < 2 * number < found.size:
        where = ", ".join(str(move.index) for move, wrong in zip(moves, is_wrong) if wrong)
        yield f"is wrong at {number} of {found.size} entries alone: look at what is special about {where}"
    if name == "input" and output.shape == x.shape and not subject.parameters:
        is_elementwise = all(np.sum(subject.along_or_nan(move)(1e-3) != output) <= 1 for move in moves)
        index = moves[worst].index
        one = np.zeros_like(upstream)
        one[index] = upstream[index]
        if is_elementwise and np.count_nonzero(_result_or_nan(lambda: subject.gradients(upstream=one)[name])) == 1:
            if same(found, entries(upstream)):
                yield "is grad_output itself: multiply by the slope"
            slopes = found[worst] / one[index] + 0.0, numeric[worst] / one[index] + 0.0  # no -0
            yield f"at {index}, x = {x[index]:.6g}, has the slope {slopes[0]:.6g}, wanted {slopes[1]:.6g}"


@contextlib.contextmanager
def _transposed_between_forward_and_backward(subject, parameter):
    """For the duration of a block, backward finds a parameter transposed."""
    backward = subject.layer.backward

    def with_transposed(*arguments):
        parameter.data = parameter.data.T
        try:
            return backward(*arguments)
        finally:
            parameter.data = parameter.data.T

    with mock.patch.object(subject.layer, "backward", with_transposed):
        yield


def _result_or_nan(experiment):
    """The outcome, or nan, which is like nothing, of an experiment that forward or backward cannot do."""
    try:
        return experiment()
    except Exception:
        return np.array(np.nan)


def _cause_of_factor(factor, x):
    """Where a constant factor may come from."""
    if np.isclose(factor, -1):
        return ": the sign"
    rows = np.atleast_1d(x)
    known = {"the 2 of a square's derivative": 2, "the batch size": len(rows)}
    known |= {"the size of x": x.size, "the size of a row of x": rows[0].size}
    reasons = [reason for reason, n in known.items() if np.isclose(factor, n)]
    reasons += [f"1 / {reason}" for reason, n in known.items() if np.isclose(factor, 1 / n)]
    return ": perhaps " + " or ".join(reasons) if reasons else ""


def _is_square(array):
    return array.ndim == 2 and array.shape[0] == array.shape[1]
