"""Hints: what common mistakes in a backward look like, recognised by experiments on it."""

import numpy as np

NEAR = 1e-5  # a relative difference less than that of any mistake


def hint(subject, name, first, mean, numeric):
    """A sentence about the gradient of one array that is wrong, or None if it looks like no mistake known here.

    subject: gradcheck's, for further experiments; first, mean: what one backward says, and the mean of two,
    {array: gradient}; numeric: what is right, for the entries that were checked.
    """
    with np.errstate(all="ignore"):
        return next(_sentences_that_fit(subject, name, first[name], subject.slopes_from(mean, name), numeric), None)


def _sentences_that_fit(subject, name, first, mean, numeric):
    """Yield what fits, the surest first."""

    def backward(**experiment):
        return _result_or_nan(lambda: subject.slopes_from(subject.gradients(**experiment), name))

    def forward(**experiment):
        return _result_or_nan(lambda: subject.slopes([name], **experiment)[name].value)

    found = subject.slopes_from({name: first}, name)
    x, upstream, output = subject.x, subject.upstream, subject.output
    if not found.any():
        yield "is 0: backward does not compute it"
    if _nearly_equal(mean, numeric):
        yield "agrees in 5 digits: does anything compute in float32, or is a small term wrong?"
    if _nearly_equal(found, numeric):
        if _nearly_equal(2 * mean, found):  # the mean of it and 0
            yield "is overwritten: write += instead of =, for gradients add up"
        yield "is right at first, but not in a second backward, which must find what forward kept as it was"
    if subject.method == "complex" and _nearly_equal(found, forward(central=True)):
        yield "agrees with central differences: forward is not analytic (abs, .real, astype); try method='central'"
    factor = np.sum(found * numeric) / np.sum(numeric * numeric)
    cause = _cause_of_factor(factor, x)
    if _nearly_equal(found, factor * numeric) and (found.size > 1 or cause):
        yield f"is {factor:.6g} times the right one{cause}"
    if _is_square(first) and _nearly_equal(subject.slopes_from({name: first.T}, name), numeric):
        yield "is transposed"
    without = backward(upstream=np.zeros_like(upstream))
    if _nearly_equal(without, found):
        yield "does not depend on grad_output: multiply by it"
    if np.any(without):
        yield "has a term without grad_output: multiply by it, do not add"
    if not _nearly_equal(backward(upstream=-upstream), -found):
        yield "does not turn round with grad_output: take masks and slopes from what forward kept"
    if output.ndim:
        without_last_row = upstream.copy()
        without_last_row[-1] = 0
        subject.upstream = without_last_row
        right = forward()
        subject.upstream = upstream
        if _nearly_equal(backward(upstream=without_last_row), found) and not _nearly_equal(right, numeric):
            yield "does not depend on the last row of grad_output: sum over the whole batch"
    for label, parameter in subject.parameters.items():
        if _is_square(parameter.data) and _nearly_equal(backward(transposed=parameter), numeric):
            yield f"would be right with {label} transposed"
    if name == "input" and output.shape == x.shape:
        if _nearly_equal(first, upstream):
            yield "is grad_output itself: multiply by the slope"
        if _nearly_equal(numeric - found, subject.slopes_from({name: upstream}, name)):
            yield "lacks grad_output itself: x also reaches the output unchanged, and gradients of two ways add up"
        if _nearly_equal(found, forward(x=output)):
            yield "is the derivative at the output of forward: take it at x"
        if _nearly_equal(backward(x=output), numeric):
            yield "would be right if x were the output: the formula wants y = forward(x), not x"
    if _nearly_equal(found, forward(x=subject.earlier)):
        yield "is the derivative at the input of an earlier forward: keep what the latest one got"
    constant = np.mean(found - numeric)
    if found.size > 1 and _nearly_equal(found - constant, numeric):
        yield f"is off by the constant {constant:.4g}: a constant term is missing, or too much"
    difference = np.abs(found - numeric)
    wrong, worst = np.sum(difference > NEAR * np.max(np.abs(numeric))), np.argmax(difference)
    if 2 * wrong < found.size:
        yield f"is wrong at {wrong} of {found.size} entries alone: look at what is special about them"
    if name == "input" and output.shape == x.shape and not subject.parameters:
        index = subject.moves[name][worst][0][1]
        one = np.zeros_like(upstream)
        one[index] = upstream[index]
        if np.sum(np.abs(_result_or_nan(lambda: subject.gradients(upstream=one)[name])) > 0) == 1:  # element-wise
            slopes = found[worst] / one[index], numeric[worst] / one[index]
            yield f"at {index}, x = {x[index]:.4g}, has the slope {slopes[0]:.4g}, wanted {slopes[1]:.4g}"


def _result_or_nan(experiment):
    """The outcome, or nan, which is like nothing, of an experiment that forward or backward cannot do."""
    try:
        return experiment()
    except Exception:
        return np.nan


def _cause_of_factor(factor, x):
    """Where a constant factor may come from."""
    if np.isclose(factor, -1):
        return ": the sign"
    rows = np.atleast_1d(x)
    known = {"the 2 of a square's derivative": 2, "the batch size": len(rows)}
    known |= {"the size of x": x.size, "the size of a row of x": rows[0].size}
    reasons = [reason for reason, n in known.items() if np.isclose(factor, n)]
    reasons += [f"1 / {reason}" for reason, n in known.items() if np.isclose(factor, 1 / n)]
    return ": " + " or ".join(reasons) if reasons else ""


def _is_square(array):
    return array.ndim == 2 and array.shape[0] == array.shape[1]


def _nearly_equal(a, b):
    """Whether two arrays differ by less than any mistake does."""
    return np.max(np.abs(a - b)) <= NEAR * np.max(np.abs(b))
