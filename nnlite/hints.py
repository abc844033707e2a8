"""Hints: what common mistakes in a backward look like, recognised by experiments on it."""

import numpy as np


def hint(subject, name, first, mean, numeric):
    """A sentence about the gradient of one array, or None if it looks like no mistake known here.

    subject: gradcheck's, for further experiments; first, mean: what one backward says, and the mean of two,
    {array: gradient}; numeric: what is right, for the entries that were checked.
    """
    with np.errstate(all="ignore"):
        try:
            return next((f"{name} {sentence}" for sentence in _recognised(subject, name, first, mean, numeric)), None)
        except Exception:
            return None  # an experiment that forward or backward cannot do says nothing


def _recognised(subject, name, first, mean, numeric):
    """Yield what fits, the surest first."""

    def backward(**experiment):
        return subject.along(subject.gradients(**experiment), name)

    def forward(**experiment):
        return subject.slopes([name], **experiment)[name].value

    found, both, output = subject.along(first, name), subject.along(mean, name), subject.output
    if not found.any():
        yield "is 0: backward does not compute it"
    if _alike(both, numeric):
        yield "is right in its first digits: does anything compute in float32?"
    if _alike(found, numeric):
        if _alike(2 * both, found):
            yield "is overwritten: write += instead of =, for gradients add up"
        yield "is right at first, but not in a second backward, which must find what forward kept as it was"
    if subject.method == "complex" and _alike(found, forward(method="central")):
        yield "agrees with central differences: forward is not analytic (abs, .real, float()); use method='central'"
    yield from _factors(found, numeric, subject.x)
    if _is_square(first[name]) and _alike(subject.along({name: first[name].T}, name), numeric):
        yield "is transposed"
    if _alike(backward(upstream=2 * subject.upstream), found):
        yield "does not change when grad_output doubles: multiply by grad_output"
    if not _alike(backward(upstream=-subject.upstream), -found):
        yield "does not turn round with grad_output: take masks and slopes from what forward kept, not from grad_output"
    if output.ndim > 0 and len(output) > 1:
        of_first_row = subject.upstream.copy()
        of_first_row[1:] = 0
        if _alike(backward(upstream=of_first_row), found):
            yield "depends on the first row of grad_output alone: sum over the batch"
    for label, parameter in subject.parameters.items():
        if _is_square(parameter.data) and _alike(backward(transposed=parameter), numeric):
            yield f"would be right with {label} transposed"
    if output.shape == subject.x.shape:
        if name == "input" and _alike(numeric - found, subject.along({"input": subject.upstream}, name)):
            yield "lacks grad_output itself: x also reaches the output unchanged, and gradients of two ways add up"
        if _alike(found, forward(x=output)):
            yield "is the derivative at the output of forward: take it at x"
        if _alike(backward(x=output), numeric):
            yield "would be right if x were the output: the formula wants y = forward(x), not x"
    if _alike(found, forward(x=subject.earlier)):
        yield "is the derivative at the input of an earlier forward: keep what the latest one got"
    if found.size > 1 and _alike(found - numeric, np.full(found.shape, np.mean(found - numeric))):
        yield f"is off by the constant {np.mean(found - numeric):.4g}: a constant term is missing, or too much"


def _factors(found, numeric, x):
    """Yield what a constant factor may come from."""
    factor = np.sum(found * numeric) / np.sum(numeric * numeric)
    if not _alike(found, factor * numeric):
        return
    if np.isclose(factor, -1):
        yield "has the wrong sign"
    rows = len(x) if x.ndim else 1
    known = {"2": 2, f"{rows}, the batch size": rows, f"{x.size}, the size of x": x.size}
    known[f"{x.size // rows}, the size of a row of x"] = x.size // rows
    reasons = [label for label, n in known.items() if n > 1 and np.isclose(factor, n)]
    reasons += [f"1 / {label}" for label, n in known.items() if n > 1 and np.isclose(factor, 1 / n)]
    if reasons:
        yield f"is {factor:.4g} times the right one: a factor {', or '.join(reasons)}"
    elif found.size > 1:
        yield f"is {factor:.4g} times the right one"


def _is_square(array):
    return array.ndim == 2 and array.shape[0] == array.shape[1]


def _alike(a, b):
    """Whether two arrays are the same but for what no mistake is as small as."""
    return np.max(np.abs(a - b)) <= 1e-5 * np.max(np.abs(b)) and np.any(b)
