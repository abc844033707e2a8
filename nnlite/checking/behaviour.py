"""What backward must keep to whatever the numbers are: write nowhere, add up, be linear in its upstream gradient."""

import contextlib
import inspect
import os
import traceback

import numpy as np

from nnlite.checking.held import LIBRARIES
from nnlite.checking.subject import copies_of

ALIKE, ROUNDING = 2**22, 512  # roundings by which gradients may differ, of an entry, and of the largest
SCALES = -(2.0**40), 2.0**-40  # which are exact, and beyond any threshold at which gradients are clipped or dropped


def gradients_of_two(subject):
    """(first, mean, faults): what one backward says, the mean of it and a second, and what is amiss before that."""
    faults, upstream, (inputs, parameters) = [], subject.upstream.copy(), subject.given

    def look_for_writes(who):
        for at, (array, earlier) in enumerate(zip(subject.inputs, inputs)):
            if isinstance(array, np.ndarray) and not np.array_equal(array, earlier, equal_nan=array.dtype.kind == "f"):
                faults.append(f"{who} writes to {f'others[{at - 1}]' if at else 'x'}, which is not its own")
        for name, data in parameters.items():
            if not np.array_equal(subject.parameters[name].data, data):
                faults.append(f"{who} writes to {name}, which is not its own")

    subject.zero_grad()
    output = np.array(subject.layer.forward(*subject.inputs))
    look_for_writes("forward")
    if output.dtype != subject.dtype:
        faults.append(f"forward turns {subject.dtype} into {output.dtype}")
    elif not np.isfinite(output).all():
        faults.append(f"forward gives {output[~np.isfinite(output)][0]} for this x")
    elif not np.array_equal(output, subject.output):
        faults.append("forward gives two outputs for one x: it draws random numbers, or changes its own state")
    if faults:
        return None, None, faults
    try:
        first = subject.collect(subject.layer.backward(upstream))
    except Exception as error:
        return None, None, [f"backward raised {_with_line(error)}"]
    look_for_writes("backward")
    if not np.array_equal(upstream, subject.upstream):
        faults.append("backward writes to grad_output, which is not its own")
    for name in [*subject.positions, *subject.parameters]:
        label = f"the gradient of the {name}" if name in subject.positions else f"{name}.grad"
        faults += [f"{label} {fault}" for fault in gradient_faults(first.get(name), subject.array(name))]
    if faults:
        return None, None, faults
    try:
        second = subject.collect(subject.layer.backward(upstream))
    except Exception as error:
        return None, None, [f"a second backward raised {_with_line(error)}"]
    subject.forward()
    faults = [
        f"forward changes {name}.grad, to which backward adds"
        for name, parameter in subject.parameters.items()
        if not np.array_equal(parameter.grad, second[name])
    ]
    for name, gradient in second.items():
        second[name] = (first[name] + gradient) / 2 if name in subject.positions else gradient / 2
    return first, second, faults


def _with_line(error):
    """An exception, and the last line outside of libraries that led to it."""
    said = repr(error)
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").partition(".")[0] not in (*LIBRARIES, "nnlite"):
            said = f"{error!r} in line {line} of {os.path.basename(frame.f_code.co_filename)}"
    return said


def gradient_faults(gradient, array):
    """Yield what keeps a gradient from being one of this array."""
    if gradient is None or gradient.dtype == object:
        yield "is None, wanted an array"
    elif gradient.shape != array.shape:
        is_of_each = gradient.ndim == array.ndim + 1 and gradient.shape[1:] == array.shape
        advice = ": sum it over the batch" if is_of_each else ""
        advice = ": is it transposed?" if gradient.ndim > 1 and gradient.shape == array.shape[::-1] else advice
        yield f"has shape {gradient.shape}, wanted {array.shape}{advice}"
    elif gradient.dtype != array.dtype:
        yield f"is {gradient.dtype}, wanted {array.dtype}"
    elif not np.isfinite(gradient).all():
        yield f"holds {gradient[~np.isfinite(gradient)][0]}"


def faults_of_experiments(subject, first):
    """Yield what is amiss in backwards of other upstream gradients, and without input_grad."""
    upstream, shape = subject.upstream, subject.upstream.shape
    for scale in SCALES:
        if np.isfinite(scale * upstream).all() and np.isfinite(scale * subject.output).all():
            found = {name: gradient / scale for name, gradient in subject.gradients(scale * upstream).items()}
            names = _names_of_others(subject, found, first, ROUNDING)
            if names and all(np.isfinite(gradient).all() for gradient in found.values()):  # else it overflowed
                yield (
                    f"backward is not linear in grad_output: for {scale:.0e} times grad_output, the gradient of "
                    f"{names} is not {scale:.0e} times as large: is it clipped or dropped, or is |grad_output| taken?"
                )
    for some in {shape, (*shape[:1], *[1 for _ in shape[1:]])}:  # entries, and rows, of very different sizes
        other = upstream * (2.0 ** subject.rng.integers(-20, 20, some)).astype(subject.dtype)
        together, alone = subject.gradients(upstream + other), subject.gradients(other)
        names = _names_of_others(subject, together, {name: first[name] + alone[name] for name in first}, ALIKE)
        if names:
            yield (
                f"backward is not linear in grad_output: of a sum of two, the gradient of {names} is not the sum of "
                "its gradients: is something clipped or dropped in comparison to the rest?"
            )
            break
    scattered = np.empty((2, *shape[::-1]), subject.dtype).T[..., 0]  # in no order of memory
    scattered[...] = upstream
    with contextlib.suppress(Exception):  # a backward that does not take it says so itself
        names = _names_of_others(subject, subject.gradients(scattered), first, ROUNDING)
        if names:
            yield f"the gradient of {names} is another if grad_output is not contiguous: is its memory read?"
    if "input_grad" in inspect.signature(subject.layer.backward).parameters:
        subject.zero_grad()
        subject.forward()
        try:
            subject.layer.backward(subject.upstream.copy(), input_grad=False)
        except Exception as error:
            yield f"backward raised {_with_line(error)} with input_grad=False"
            return
        found = {name: parameter.grad for name, parameter in subject.parameters.items()}
        names = _names_of_others(subject, found, first, ROUNDING)
        if names:
            yield f"the gradient of {names} is another with input_grad=False, wanted the same"


def _names_of_others(subject, found, wanted, roundings):
    """The names of gradients that differ by more than rounding, of each entry, of the largest, and of the loss."""
    names, loss = [], np.sum(np.abs(subject.output * subject.upstream))
    for name, gradient in found.items():
        right = wanted[name]
        if gradient.shape != right.shape:
            names.append(name)
            continue
        difference, least = np.abs(gradient - right), subject.eps * roundings * np.max(np.abs(right), initial=0)
        if not np.max(difference, initial=0) <= least:  # else alike, and no need to look at each entry
            allowed = subject.eps * (ALIKE * np.abs(right) + roundings * loss / subject.size(name))
            if not np.all(difference <= least + allowed + np.finfo(subject.dtype).tiny):
                names.append(name)
    return ", ".join(names)


def warnings_of_memory(subject, first):
    """Yield what would change another array, if the caller writes to an output or a gradient, which are his."""

    def run():
        """(output, what backward returned, grad_output), the arrays themselves."""
        upstream, inputs = subject.upstream.copy(), copies_of(subject.inputs)
        subject.zero_grad()
        output = subject.layer.forward(*inputs)
        returned = subject.layer.backward(upstream)
        return output, returned if isinstance(returned, (tuple, list)) else [returned], upstream

    def is_read_by_backward(arrays):
        """Whether a second backward says something else if nan is written to these in between."""
        for each in arrays:
            if isinstance(each, np.ndarray) and each.flags.writeable:
                each[...] = np.nan
        subject.zero_grad()
        found = subject.collect(subject.layer.backward(subject.upstream.copy()))
        return bool(_names_of_others(subject, found, first, ROUNDING))

    output, returned, upstream = run()
    if any(np.may_share_memory(each, upstream) for each in returned if each is not None):
        yield "backward returns memory of grad_output: return a copy of it, grad_output.copy()"
    for name, parameter in subject.parameters.items():
        if any(np.may_share_memory(parameter.grad, each) for each in [*returned, upstream] if each is not None):
            yield f"{name}.grad is not its own memory, but that of a gradient: write {name}.grad += for {name}.grad ="
    if is_read_by_backward([output]):
        yield "backward reads the output, which is the caller's: let forward return a copy, y.copy()"
    _, returned, _ = run()
    if is_read_by_backward(returned):
        yield "backward returns memory that it reads again: let it return a copy"
