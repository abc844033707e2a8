"""What is right, measured: by differences of the loss sum(y u) in higher precision, and by calls.

Nothing here is gradcheck's.
"""

from typing import NamedTuple

import numpy as np

from nnlite import Layer, Parameter

OWN = 1e-7  # the part of an entry's own size by which a right gradient may differ from what is measured
HALVINGS = 45  # of the step, at most
TINY = 1e-30  # an absolute error that is always allowed


def parameters(thing, name="", seen=None):
    """{name: Parameter}, wherever they are: attributes, lists, dictionaries, the class, what functions close over."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return {}
    seen.add(id(thing))
    if isinstance(thing, Parameter):
        return {name: thing}
    inner = {}
    if isinstance(thing, (list, tuple)):
        inner = dict(enumerate(thing))
    elif isinstance(thing, dict):
        inner = thing
    elif callable(thing):  # a function, or what has __call__, as Layers have
        closure = getattr(thing, "__closure__", None) or ()
        names = thing.__code__.co_freevars if closure else ()
        inner = dict(vars(type(thing))) | dict(vars(thing)) | {n: cell.cell_contents for n, cell in zip(names, closure)}
    found = {}
    for key, value in inner.items():
        if isinstance(value, (Parameter, Layer, list, tuple, dict)) or hasattr(value, "__closure__"):
            found |= parameters(value, f"{name}.{key}".lstrip("."), seen)
    return found


def forward(layer, inputs):
    return layer.forward(*inputs) if isinstance(layer, Layer) else layer(*inputs)[0]


def backward(layer, inputs, u, **named):
    """The gradients of the inputs, None for those without, from a new forward; those of Parameters are added to."""
    if isinstance(layer, Layer):
        layer.forward(*inputs)
        returned = layer.backward(u, **named)
    else:
        returned = layer(*inputs)[1] * u
    returned = returned if isinstance(returned, tuple) else (returned,)
    return list(returned) + [None] * (len(inputs) - len(returned))


def gradients(layer, inputs, u, **named):
    """{name: dL/da} of the inputs that have one, by position, and of the Parameters."""
    for parameter in parameters(layer).values():
        parameter.grad = np.zeros(parameter.data.shape)
    of_inputs = {n: g for n, g in enumerate(backward(layer, inputs, u, **named)) if g is not None}
    factor = 1 if isinstance(layer, Layer) else u  # which a loss does not get
    copies = of_inputs | {name: factor * parameter.grad for name, parameter in parameters(layer).items()}
    return {name: np.array(gradient) for name, gradient in copies.items()}


class Slope(NamedTuple):
    """Of the loss along a line: one number, low and high, but at a kink, where it is another on either side."""

    low: float
    high: float
    error: float

    def allows(self, value, rounding=0.0):
        allowed = OWN * max(abs(self.low), abs(self.high)) + 10 * self.error + rounding + TINY
        return self.low - allowed <= value <= self.high + allowed


def slope(y, u, blur):
    """The Slope of sum(y(t) u) at t = 0, where y(t) is (t as rounding leaves it, an array).

    blur: the size of that rounding of t.
    Ridders' extrapolation of the differences to t = 0 (Advances in Engineering Software 4 (1982) 75), central and on
    either side, each at the step where it changes least. Where y jumps, it has no slope, and all are allowed.
    """
    zero, tables = y(0.0)[1], {side: ([], 0.0, np.inf) for side in ("central", "right", "left")}
    largest = 0 * np.abs(zero)  # change of each number
    for h in 0.1 / 2.0 ** np.arange(HALVINGS):
        (right, above), (left, below) = y(h), y(-h)
        if not (np.isfinite(above).all() and np.isfinite(below).all()):
            continue
        differences = {
            "central": np.sum((above - below) * u) / (right - left),
            "right": np.sum((above - zero) * u) / right,
            "left": np.sum((below - zero) * u) / left,
        }
        change = np.abs(above - zero) + np.abs(below - zero)
        largest = np.maximum(largest, change)
        size = np.sum(np.abs(zero) + np.abs(above), where=largest > 0)
        noise = np.finfo(zero.dtype).eps * size / h + blur / h * abs(differences["central"])
        for side, difference in differences.items():
            before, best, error = tables[side]
            row = [difference]
            for order, earlier in enumerate(before, 1):
                factor = (4 if side == "central" else 2) ** order
                row.append((factor * row[-1] - earlier) / (factor - 1))
                doubt = max(abs(row[-1] - row[-2]), abs(row[-1] - earlier)) + noise
                if doubt < error:
                    best, error = row[-1], doubt
            tables[side] = row, best, error
        if all(len(row) > 4 and error <= 1e-9 * abs(best) for row, best, error in tables.values()):
            break
    else:
        if np.any(change > 1e-3 * largest, where=largest > 0):
            return Slope(-np.inf, np.inf, 0.0)
    (_, best, error), (_, to_right, r_error), (_, to_left, l_error) = tables.values()
    if abs(to_right - to_left) > 1e-3 * max(abs(to_right), abs(to_left)) + 10 * (r_error + l_error):
        return Slope(*sorted([to_right, to_left]), r_error + l_error)
    return Slope(best, best, error)


def faults(layer, inputs, rng, coarse=0.0):
    """Yield (array, where, analytic, Slope) for each gradient of an entry, or of several together, that is wrong.

    Together move those that are equal, so that ties stay ties, and, but for kinks, all in a random direction.
    """
    output = np.array(forward(layer, inputs))
    u = upstream(layer, output, rng)
    analytic = gradients(layer, inputs, u)
    precise = [x.astype(np.longdouble) if is_real(x) else x for x in inputs]
    try:
        more = np.asarray(forward(layer, precise)).dtype == np.longdouble
    except TypeError:  # NumPy knows no determinant in long double
        more = False
    if not more:
        precise = [x.copy() for x in inputs]
    for name, gradient in analytic.items():
        array = precise[name] if isinstance(name, int) else parameters(layer)[name].data
        if gradient.shape != array.shape:
            yield name, "shape", gradient.shape, array.shape
            continue
        rounding, smooth = coarse * max(np.max(np.abs(g), initial=0) for g in (u, gradient)), True
        for where, direction in _directions(array.copy(), rng):
            if where == "random" and not smooth:
                continue
            blur = np.finfo(array.dtype).eps * np.max(np.abs(array))
            found = slope(_along(layer, precise, array, direction), u, blur)
            smooth &= found.low == found.high
            value = np.sum(gradient * direction)
            if not found.allows(value, rounding):
                yield name, where, value, found


def _directions(array, rng):
    for index in np.ndindex(array.shape):
        one = np.zeros(array.shape)
        one[index] = 1
        yield index, one
    values, counts = np.unique(array, return_counts=True)
    for value in values[counts > 1]:
        yield f"all that are {value}", (array == value).astype(float)
    for _ in range(3 if array.size > 1 else 0):
        yield "random", rng.standard_normal(array.shape)


def _along(layer, inputs, array, direction):
    before, largest = array.copy(), np.unravel_index(np.argmax(np.abs(direction)), array.shape)

    def y(t):
        array[...] = before + t * direction
        t = (array[largest] - before[largest]) / direction[largest]
        with np.errstate(all="ignore"):
            output = np.array(forward(layer, inputs))
        array[...] = before
        return t, output

    return y


def is_real(x):
    return np.issubdtype(x.dtype, np.floating)


def upstream(layer, output, rng):
    """Random; for a single number, not of a random sign, and for a loss 1."""
    u = rng.standard_normal(np.shape(output))
    return (u if u.ndim else 0.5 + np.abs(u)) if isinstance(layer, Layer) else 1.0


def moved(layer, rng):
    """Move every Parameter p to p (1 + 0.3 n) + 0.3 n, in place."""
    for parameter in parameters(layer).values():
        data = parameter.data
        data[...] = data * (1 + 0.3 * rng.standard_normal(data.shape)) + 0.3 * rng.standard_normal(data.shape)


def elsewhere(inputs, rng):
    """Other inputs of the same shapes: normal numbers as large as the largest of each, or 1 if that is less."""
    return [max(np.max(np.abs(x)), 1.0) * rng.standard_normal(x.shape) if is_real(x) else x for x in inputs]


def wrong_at(place, layer, inputs, rng, coarse=0.0):
    """Whether a gradient is wrong at one of the places of a Case."""
    if place in ("again", "upstream", "order", "input_grad"):
        return isinstance(layer, Layer) and not _calls_agree(place, layer, inputs, rng)
    if place == "parameters":
        forward(layer, inputs)  # in which a Parameter may be made
        moved(layer, rng)
    elif place == "input":
        inputs = elsewhere(inputs, rng)
    elif place == "batch":
        inputs = [np.concatenate([x, other]) for x, other in zip(inputs, elsewhere(inputs, rng))]
    elif place == "one":
        inputs = [x[:1] for x in inputs]
    with np.errstate(all="ignore"):
        if not np.isfinite(forward(layer, inputs)).all():
            return False
    return any(faults(layer, inputs, rng, coarse))


def _calls_agree(place, layer, inputs, rng):
    """Whether backward, called in another way, says the same."""
    u = upstream(layer, forward(layer, inputs), rng)
    once = gradients(layer, inputs, u)
    if place == "again":
        gradients(layer, inputs, u)
        again = layer.backward(u)
        again = dict(enumerate(again if isinstance(again, tuple) else (again,))) | {
            name: parameter.grad / 2 for name, parameter in parameters(layer).items()
        }
        return _equal(once, {name: again[name] for name in once})
    if place == "input_grad":
        without = gradients(layer, inputs, u, input_grad=False)
        return _equal({name: once[name] for name in parameters(layer)}, without)
    if place == "upstream":
        return all(
            _equal({name: factor * g for name, g in once.items()}, gradients(layer, inputs, factor * u))
            for factor in (2.0**20, 2.0**-20, -1.0)
        )
    apart = np.repeat(u, 2, axis=-1)[..., ::2] if u.ndim else u
    return all(_equal(once, gradients(layer, inputs, other)) for other in (np.asfortranarray(u), apart))


def _equal(a, b):
    """Whether gradients are equal but for rounding."""
    return all(np.max(np.abs(a[name] - b[name]), initial=0) <= 1e-12 * np.max(np.abs(a[name]), initial=0) for name in a)
