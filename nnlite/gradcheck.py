"""Gradient checks: what backward says (analytic) against what is measured from forward alone (numeric).

    gradcheck(MyLayer(), x)                                # a Layer, or a model made of Layers
    gradcheck(lambda p: my_loss(p, target), prediction)    # a loss, function(prediction) -> (value, grad)

The loss is L = sum(y * u), where y is the layer's output and u a random array, so that dL/dy = u. An upstream
gradient of ones would not see a backward that forgets to multiply by it. dL/da is measured for an entry a of the
input or of a parameter, one at a time, in one of two ways:

complex   Im L(a + ih) / h. Taylor: L(a + ih) = L(a) + ih L'(a) - h^2/2 L''(a) - ..., so the imaginary part is
          h L'(a) up to h^3. Nothing is subtracted, so h can be 1e-30, and the result is exact to rounding.
          It wants a forward that is analytic near a: no abs, no conjugate, no float(), and a kink such as
          ReLU's decided by a.real.
          Squire and Trapp, SIAM Review 40 (1998) 110-112.
central   D(h) = (L(a + h) - L(a - h)) / 2h. Its error is that of the formula, about h^2 L'''(a) / 6, and that of
          the subtraction, about eps / h; h = eps^(1/3), 6e-6, balances the two at about 1e-10. Where L curves
          strongly, h^2 is still too much, so (4 D(h/2) - D(h)) / 3 is used, in which it cancels; h stays that
          small, so that a + h is seldom beyond a kink. It takes any forward without a kink near a.

If a gradient is wrong, the error shows a table of all of them, and what hints.py recognises in them.
"""

import copy
import functools
import inspect
from typing import NamedTuple

import numpy as np

from nnlite.hints import hint
from nnlite.layers import Layer, Parameter

TOLERANCE = {"complex": {"float64": 1e-12, "float32": 1e-3}, "central": {"float64": 1e-7, "float32": 1e-1}}
COMPLEX_STEP = 1e-30
SMALL = 1e-2  # an array whose gradient is below this part of the loss that it moves is measured against that
KINK = 10  # tolerances by which the slopes to the right and to the left may differ
WHOLE = 500  # arrays of at most so many entries are checked entry by entry,
SAMPLE = 25  # larger ones at so many entries, chosen at random,
ALL = "(all at once)"  # and then all arrays along one random direction
DRAWS = 10  # inputs to try until none lies at a kink


class GradcheckError(AssertionError):
    """A gradient is wrong, or a layer does not behave; the message says all that was found.

    report: the Report of gradients that are wrong, else None.
    """

    def __init__(self, message, report=None):
        super().__init__(message)
        self.report = report


class Row(NamedTuple):
    """One checked array: its relative error, and the entry where the two gradients differ most; scale is what the
    error is relative to, max|numeric| or more."""

    name: str
    relative_error: float
    index: tuple
    analytic: float
    numeric: float
    scale: float
    layer: str
    checked: str


class Report(NamedTuple):
    """A Row for the input and for each parameter, and hints at what is wrong; printed, a table."""

    tolerance: float
    rows: list
    hints: list

    def __str__(self):
        lines = [("layer", "array", "checked", "error", "relative to", "worst index", "analytic", "numeric", "")]
        for row in self.rows:
            error = (f"{row.relative_error:.1e}", f"{row.scale:.1e}")
            found = (*error, str(row.index), f"{row.analytic:.8e}", f"{row.numeric:.8e}")
            verdict = "" if row.relative_error <= self.tolerance else "WRONG"
            lines.append((row.layer, row.name, row.checked, *found, verdict))
        widths = [max(map(len, column)) for column in zip(*lines)]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
        return "\n".join(table + [f"hint: {line}" for line in self.hints])


def gradcheck(layer, x, *, method="complex", rng=None, tolerance=None, step=None, dtype=np.float64):
    """Check every gradient that `layer.backward` computes at the input `x`, and return a Report.

    layer: a Layer with float64 parameters, or a loss, function(prediction) -> (value, grad).
    x: a real, finite array, the batch first. The check works on copies: x and the layer stay as they are (but not
    a layer that a loss function calls).
    method: "complex" or "central". rng: a Generator or seed, by default 0, whose spawn draws all random numbers.
    tolerance: on each relative error, by default 1e-12 and 1e-7. step: h, by default 1e-30 and eps^(1/3); central
    differences multiply it by max(1, |a|).
    dtype: of the parameters; x is cast to it. np.float32 shows how little single precision can prove: the default
    tolerances are then 1e-3 and 1e-1.

    The relative error of an array is max|analytic - numeric| / max|numeric|. Where the gradient is 0, that would
    divide rounding by rounding: max|numeric| counts as at least 0.01 (sum|y * u| over the y that moved + the norm of
    y * u over all y). The table says what each error is relative to.
    An array of more than 500 entries is checked at 25 of them, and then all arrays along one random direction.
    If a gradient is wrong and x lies at a kink, where the slopes to the right and to the left, of two step sizes each,
    disagree, a new input is drawn from the range of x.

    backward runs twice and the gradients are halved: one that overwrites `.grad` comes out at half its value. Also
    checked: forward repeats itself, nothing is written to x, grad_output and parameters, shapes and dtypes are kept,
    input_grad=False leaves the other gradients as they are, and a batch of 1 is right too, if the layer takes
    batches of several sizes.

    Raises GradcheckError if any of this fails, with the table; ValueError for parameters of another dtype, or that
    named_parameters() does not list (a weight that is no Parameter passes unseen); TypeError for what is no layer and
    no loss, and, by complex step, for a forward that does not take complex numbers.
    """
    dtype = np.dtype(dtype)
    if method not in TOLERANCE:
        raise ValueError(f"gradcheck: method is {method!r}, wanted one of {', '.join(TOLERANCE)}")
    if dtype.name not in TOLERANCE[method]:
        raise ValueError(f"gradcheck: dtype is {dtype}, wanted one of {', '.join(TOLERANCE[method])}")
    x = np.asarray(x)
    if not np.can_cast(x.dtype, np.float64) or x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"gradcheck: x is {x.dtype} {x.shape}, wanted real, finite numbers, at least one")
    if isinstance(layer, type) or not (isinstance(layer, Layer) or callable(layer)):
        raise TypeError(f"gradcheck: layer is {layer!r}, wanted an instance of a Layer, or a loss function")
    copies = {}
    layer = copy.deepcopy(layer, copies) if isinstance(layer, Layer) else Loss(layer)
    listed = layer.parameters()
    if any(isinstance(each, Parameter) and each not in listed for each in copies.values()):
        raise ValueError(
            f"gradcheck: {type(layer).__name__} holds Parameters that named_parameters() does not list, wanted each, "
            "and each layer, as an attribute or in a Sequential"
        )
    for name, parameter in layer.named_parameters():
        if parameter.data.dtype != dtype:
            raise ValueError(
                f"gradcheck: {name} is {parameter.data.dtype}, wanted {dtype}. Rounding in float32 is as large as a "
                "small mistake: build the layer in float64, or see for yourself with gradcheck(..., dtype=np.float32)"
            )
    rng = np.random.default_rng(0 if rng is None else rng)
    rng = rng.spawn(1)[0]  # x may come from an rng of the same seed, and u = x would hide a backward that takes x for u
    tolerance = TOLERANCE[method][dtype.name] if tolerance is None else tolerance
    if step is None:
        step = COMPLEX_STEP if method == "complex" else _central_step(dtype)
    if not (tolerance > 0 and step > 0):
        raise ValueError(f"gradcheck: tolerance is {tolerance}, step {step}, wanted more than 0")
    x = np.array(x, dtype)
    report = _check(layer, x, method, rng, tolerance, step)
    if x.ndim > 1 and len(x) > 1 and _accepts(layer, x[:-1] if len(x) > 2 else np.concatenate([x, x])):
        try:
            _check(layer, x[:1], method, rng, tolerance, step)
        except Exception as error:
            raise GradcheckError(f"right for a batch of {len(x)}, but for a batch of 1: {error}") from error
    return report


def _check(layer, x, method, rng, tolerance, step):
    """The Report for x, or for another input if x lies at a kink."""
    hints = []
    for _ in range(DRAWS):
        subject = _Subject(layer, x, rng, method, step)
        first, mean = _backward_twice(subject)
        slopes = subject.slopes(subject.moves)
        rows = [_compare(subject, name, mean, slope) for name, slope in slopes.items()]
        wrong = [row.name for row in rows if not row.relative_error <= tolerance]
        if not wrong:
            return Report(tolerance, rows, hints)
        allowed = KINK * max(tolerance, TOLERANCE["central"][x.dtype.name])
        suspects = subject.slopes(wrong, central=True)
        kinks = [name for name, slope in suspects.items() if np.max(slope.jump) > allowed * _error_scale(slope)]
        if not kinks:
            break
        hints = ["x lies at a kink, where there is no one slope: this is of another input from its range"]
        x = _draw_like(x, rng)
    else:
        raise GradcheckError(
            f"{subject.title}: the slopes to the right and to the left of {', '.join(kinks)} disagree at {DRAWS} inputs"
            f": forward has a kink there, whatever x is, or computes in less than {x.dtype}"
        )
    known = {}  # {sentence: arrays that it fits}
    for name in wrong:
        if name != ALL:
            known.setdefault(hint(subject, name, first, mean, slopes[name].value), []).append(name)
    hints += [f"{', '.join(names)}: {sentence}" for sentence, names in known.items() if sentence]
    if wrong == [ALL]:
        hints.append("an entry that was not checked is wrong: check a smaller layer, of which every entry is")
    hints += _find_wrong_layer(subject, method, rng, tolerance, step)
    report = Report(tolerance, rows, hints or ["this looks like no mistake known here"])
    raise GradcheckError(f"{subject.title}: backward does not match forward\n{report}", report)


def _find_wrong_layer(subject, method, rng, tolerance, step):
    """Of a model, which layer is to blame: each is checked by itself, at the input that it gets in the model."""
    inputs, layers = {}, {}

    def recording(name, forward, /, x, *others, **named):
        inputs[name] = np.copy(x)
        return forward(x, *others, **named)

    for name, each in subject.layer.named_layers():
        if each is not subject.layer and each not in layers.values():
            layers[name] = each
            each.forward = functools.partial(recording, name, each.forward)
    subject.layer(subject.x.copy())
    for each in layers.values():
        del each.forward
    right = 0
    for name, x in reversed(inputs.items()):
        try:
            _check(layers[name], x, method, rng, tolerance, step)
            right += 1
        except GradcheckError as error:
            if error.report is not None:
                return [f"{name} is wrong by itself, at the input that it gets here. {error}"]
        except Exception:  # it takes more than x, or other x than float64: it cannot be checked alone
            continue
    return ["each layer is right by itself: look at how they are put together"] if 0 < right == len(inputs) else []


def _accepts(layer, x):
    """Whether forward takes x: a layer that holds noise or a target of its batch's size takes no other."""
    try:
        layer(x)
    except Exception:
        return False
    return True


class _Subject:
    """A layer at an input, the loss L = sum(output * upstream), and for each row of the table its moves.

    A move is a list of (array, index, delta): a step t adds t * delta to array[index]. Most move one entry, as
    [("weight", (0, 1), 1.0)] does.
    """

    def __init__(self, layer, x, rng, method, step):
        self.layer, self.x, self.method, self.step = layer, x, method, step
        self.title = type(layer).__name__
        self.parameters = {}  # by name; one that several layers share, by its first
        for name, parameter in layer.named_parameters():
            if parameter not in self.parameters.values():
                self.parameters[name] = parameter
        arrays = self.arrays(x)
        self.before = {name: array.copy() for name, array in arrays.items()}
        self.earlier = _draw_like(x, rng)
        _accepts(layer, self.earlier)  # to find out a layer that keeps what an earlier forward got
        self.output = np.array(layer(x.copy()))
        self.upstream = rng.standard_normal(self.output.shape).astype(x.dtype)
        self.moves = {name: _moves_of_entries(name, array, rng) for name, array in arrays.items()}
        if any(len(self.moves[name]) < array.size for name, array in arrays.items()):
            normal = {name: rng.standard_normal(array.shape) for name, array in arrays.items()}
            self.moves[ALL] = [[(name, (), d / np.linalg.norm(d)) for name, d in normal.items()]]

    def arrays(self, x):
        return {"input": x} | {name: parameter.data for name, parameter in self.parameters.items()}

    def gradients(self, x=None, upstream=None, transposed=None):
        """What one backward says: {array: dL/darray}.

        For hints: at another x, for another upstream, or with one parameter transposed between forward and backward.
        """
        self.layer.zero_grad()
        self.layer((self.x if x is None else x).copy())
        if transposed is not None:
            transposed.data = transposed.data.T
        try:
            grad_input = self.layer.backward((self.upstream if upstream is None else upstream).copy())
        finally:
            if transposed is not None:
                transposed.data = transposed.data.T
        return self.copy_gradients(grad_input)

    def copy_gradients(self, grad_input):
        """What backward returned, and what it left in each parameter: {array: dL/darray}, copied."""
        return {"input": np.copy(grad_input)} | {name: np.copy(p.grad) for name, p in self.parameters.items()}

    def slopes_from(self, gradients, row):
        """dL/dt for each move of a row, by gradients."""
        return np.array(
            [sum(np.sum(gradients[name][index] * delta) for name, index, delta in move) for move in self.moves[row]]
        )

    def slopes(self, rows, x=None, central=False):
        """dL/dt for each move of some rows, by forward: {row: _Slopes}. For hints: at another x, by central steps."""
        x, step = self.x if x is None else x, _central_step(self.x.dtype) if central else self.step
        complex_step = self.method == "complex" and not central
        kind = np.complex128 if complex_step else x.dtype
        data = {parameter: parameter.data for parameter in self.parameters.values()}
        try:
            for parameter in data:
                parameter.data = parameter.data.astype(kind)
            arrays = self.arrays(x.astype(kind))
            try:
                output = np.copy(self.layer(arrays["input"]))
            except TypeError as error:
                if not complex_step:
                    raise
                raise TypeError(f"{self.title}: forward does not take complex numbers: use method='central'") from error

            def of_row(row):
                return [self._slope(arrays, output, move, complex_step, step) for move in self.moves[row]]

            return {row: _Slopes(*np.transpose(of_row(row))) for row in rows}
        finally:
            for parameter, array in data.items():
                parameter.data = array

    def _slope(self, arrays, output, move, complex_step, step):
        """dL/dt, its jump and its size, as in _Slopes, for one move."""
        before = [np.copy(arrays[name][index]) for name, index, _ in move]

        def moved(t):
            for (name, index, delta), value in zip(move, before):
                arrays[name][index] = value + t * delta
            y = np.copy(self.layer(arrays["input"]))  # y may be x itself
            for (name, index, _), value in zip(move, before):
                arrays[name][index] = value
            return y

        if complex_step:
            dy, jump = _complex_difference(moved, step)
        else:
            dy, jump = _central_difference(moved, step * max(1.0, *(np.max(np.abs(value)) for value in before)), output)
        loss = np.abs(output * self.upstream)
        return (
            np.sum(dy * self.upstream),
            abs(np.sum(jump * self.upstream)),
            np.sum(loss[dy != 0]) + np.linalg.norm(loss),
        )


def _complex_difference(y, h):
    """dy/dt at t = 0, and its jump there, of which nothing shows: 0."""
    return np.imag(y(1j * h)) / h, 0.0


def _central_difference(y, h, y0):
    """dy/dt at t = 0, where y is y0, and its jump there: what the slope on the right has over that on the left.

    The slope on the right is (y(h) - y0) / h or (y(h/2) - y0) / (h/2), each a little off by the curvature of y; twice
    the second less the first is off by much less. With -h, so is that on the left, and for a smooth y the two agree.
    """
    (right, near_right), (left, near_left) = ([y(t) - y0, y(t / 2) - y0] for t in (h, -h))
    slope_right, slope_left = (4 * near_right - right) / h, (left - 4 * near_left) / h
    far, near = (right - left) / (2 * h), (near_right - near_left) / h
    return (4 * near - far) / 3, slope_right - slope_left


class _Slopes(NamedTuple):
    """dL/dt for each move of a row."""

    value: np.ndarray
    jump: np.ndarray  # |dL/dt on one side of t = 0 less that on the other|: 0 but at a kink
    size: np.ndarray  # sum|y * u| over the outputs that the move changes, and sqrt(sum (y * u)^2) over all


class Loss(Layer):
    """A loss, function(prediction) -> (value, grad), as a layer."""

    def __init__(self, function):
        self.function = function

    def forward(self, x):
        returned = self.function(x)
        if not (isinstance(returned, tuple) and len(returned) == 2 and np.ndim(returned[0]) == 0):
            raise TypeError(
                f"gradcheck: the loss returned a {type(returned).__name__}, wanted (value, grad), a number and an array"
            )
        value, self._cache = returned
        return np.asarray(value)

    def backward(self, grad_output):
        return grad_output * self._from_forward()


def _backward_twice(subject):
    """(first, mean): what one backward says, and the mean of that and of a second. Raises for misbehaviour."""
    layer, x, upstream = subject.layer, subject.x.copy(), subject.upstream.copy()
    faults = []

    def look_for_writes(who):
        for name, array in subject.arrays(x).items():
            if not np.array_equal(array, subject.before[name]):
                faults.append(f"{who} writes to {'x' if name == 'input' else name}, which is not its own")

    layer.zero_grad()
    output = np.copy(layer(x))
    look_for_writes("forward")
    if output.dtype != x.dtype:
        faults.append(f"forward turns {x.dtype} into {output.dtype}")
    elif not np.isfinite(output).all():
        faults.append(f"forward gives {output[~np.isfinite(output)][0]} for this x")
    elif not np.array_equal(output, subject.output):
        faults.append("forward gives two outputs for one x: it draws random numbers, or changes its own state")
    if not faults:
        try:
            grad_input = layer.backward(upstream)
            first = subject.copy_gradients(grad_input)
        except Exception as error:
            raise GradcheckError(f"{subject.title}: backward raised {error!r}") from error
        look_for_writes("backward")
        if not np.array_equal(upstream, subject.upstream):
            faults.append("backward writes to grad_output, which is not its own")
        for name, array in subject.arrays(x).items():
            label = "the gradient of the input" if name == "input" else f"{name}.grad"
            faults += [f"{label} {fault}" for fault in _gradient_faults(first[name], array)]
    if faults:
        raise GradcheckError(f"{subject.title}: " + "; ".join(faults))
    try:
        again = layer.backward(upstream)
        mean = {"input": (first["input"] + again) / 2} | {name: p.grad / 2 for name, p in subject.parameters.items()}
    except Exception as error:
        raise GradcheckError(f"{subject.title}: a second backward raised {error!r}") from error
    if "input_grad" in inspect.signature(layer.backward).parameters:
        layer.zero_grad()
        layer(x)
        try:
            layer.backward(upstream, input_grad=False)
        except Exception as error:
            raise GradcheckError(f"{subject.title}: backward raised {error!r} with input_grad=False") from error
        for name, parameter in subject.parameters.items():
            if not np.array_equal(parameter.grad, first[name]):
                raise GradcheckError(f"{subject.title}: {name}.grad is another with input_grad=False, wanted the same")
    return first, mean


def _gradient_faults(gradient, array):
    """Yield what keeps a gradient from being one of this array."""
    if gradient.shape != array.shape:
        advice = ": sum it over the batch" if gradient.shape[1:] == array.shape else ""
        advice = ": is it transposed?" if gradient.shape == array.shape[::-1] else advice
        yield f"has shape {gradient.shape}, wanted {array.shape}{advice}"
    elif gradient.dtype != array.dtype:
        yield f"is {gradient.dtype}, wanted {array.dtype}"
    elif not np.isfinite(gradient).all():
        yield f"holds {gradient[~np.isfinite(gradient)][0]}"


def _compare(subject, name, gradients, slope):
    """The Row of one array: its gradients against its _Slopes."""
    analytic = subject.slopes_from(gradients, name)
    difference = np.abs(analytic - slope.value)
    worst = np.argmax(difference)
    sizes = {array: data.size for array, data in subject.before.items()}
    checked = f"{len(difference)} of {sizes.get(name, sum(sizes.values()))}"
    found = (subject.moves[name][worst][0][1], analytic[worst], slope.value[worst])
    scale = _error_scale(slope)
    owner = dict(subject.layer.named_layers())[name.rpartition(".")[0]]  # of the input, the whole: its name is ""
    return Row(name, difference[worst] / scale, *found, scale, type(owner).__name__, checked)


def _error_scale(slope):
    """What an error is relative to."""
    return max(np.max(np.abs(slope.value)), SMALL * np.max(slope.size)) or 1.0


def _moves_of_entries(name, array, rng):
    """A move for every entry, or for some of a large array."""
    chosen = range(array.size) if array.size <= WHOLE else sorted(rng.permutation(array.size)[:SAMPLE])
    return [[(name, tuple(map(int, np.unravel_index(flat, array.shape))), 1.0)] for flat in chosen]


def _draw_like(x, rng):
    """An input of the shape and the range of x."""
    low, high = np.min(x), np.max(x)
    if low == high:
        low, high = sorted((low / 2, 3 * low / 2)) if low else (-1, 1)
    return rng.uniform(low, high, x.shape).astype(x.dtype)


def _central_step(dtype):
    return np.finfo(dtype).eps ** (1 / 3)
