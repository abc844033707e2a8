"""Gradient checks: what backward says (analytic) against what is measured from forward alone (numeric).

    gradcheck(MyLayer(), x)                       # a Layer, or a model made of Layers
    gradcheck(my_loss, prediction, target)        # a loss, function(prediction, *others) -> (value, grad)

The loss is L = sum(y * u), where y is the layer's output and u a random array, so that dL/dy = u. An upstream
gradient of ones would not see a backward that forgets to multiply by it. dL/da is measured for one entry a of the input
or of a parameter at a time, and along random directions through each array, by one of the ways of slopes.py: by complex
step, exact to rounding, and where forward is not analytic, which central differences tell, by these.

Read docs/backprop.md first: it begins with a check of a dozen lines, of which this is what it grows into. Here is one
call, in its order, and its report. In nnlite/checking, subject.py is what is checked, slopes.py how it is measured,
verdict.py what a difference means, behaviour.py what else backward must keep to, places.py where else to look, held.py
where parameters are found, and hints.py what a mistake looks like.
"""

import contextlib
import copy
import functools
from typing import NamedTuple
from unittest import mock

import numpy as np

from nnlite.checking.behaviour import faults_of_experiments, gradient_faults, gradients_of_two, warnings_of_memory
from nnlite.checking.held import parameters_of, put_back, reachable
from nnlite.checking.hints import hint
from nnlite.checking.places import draw, gradients_at, places, rows_of
from nnlite.checking.slopes import NotAnalytic
from nnlite.checking.subject import Loss, Subject, copies_of, direction, entries
from nnlite.checking.verdict import COMPLEX_STEP, Measure, is_tied, verdicts
from nnlite.layers import Layer

TOLERANCE = {"complex": {"float64": 1e-12, "float32": 1e-3}, "central": {"float64": 1e-7, "float32": 1e-1}}
REMARKS = {
    "kink": "lie at a kink, where the gradient is between the slopes on both sides",
    "unresolved": "cannot be measured by central differences, and were not checked",
}


class GradcheckError(AssertionError):
    """A gradient is wrong, or a layer does not behave; the message says all that was found.

    report: the Report of gradients that are wrong, else None.
    """

    def __init__(self, message, report=None):
        super().__init__(message)
        self.report = report


class Row(NamedTuple):
    """One checked array: its relative error, and the entry where the two gradients differ most, or None if that is a
    direction; scale is what the error is relative to."""

    name: str
    relative_error: float
    index: tuple
    analytic: float
    numeric: float
    scale: float
    layer: str
    checked: str


class Report(NamedTuple):
    """A Row for each array, remarks on the check, and hints at what is wrong; printed, a table."""

    tolerance: float
    rows: list
    remarks: list
    hints: list

    def __str__(self):
        lines = [("layer", "array", "checked", "error", "relative to", "worst index", "analytic", "numeric", "")]
        for row in self.rows:
            index = "a direction" if row.index is None else str(row.index)
            error, gradients = (row.relative_error, row.scale), (row.analytic, row.numeric)
            numbers = (*(f"{number:.1e}" for number in error), index, *(f"{number:.8e}" for number in gradients))
            verdict = "" if row.relative_error <= self.tolerance else "WRONG"
            lines.append((row.layer, row.name, row.checked, *numbers, verdict))
        widths = [max(map(len, column)) for column in zip(*lines)]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
        return "\n".join(table + self.remarks + [f"hint: {line}" for line in self.hints])


def gradcheck(
    layer,
    x,
    *others,
    method=None,
    rng=None,
    tolerance=None,
    step=None,
    dtype=np.float64,
    here_only=False,
    expected=None,
):
    """Check every gradient that `layer.backward` computes at the input `x`, and return a Report.

        gradcheck(cross_entropy, scores, labels)    # integer labels have no gradient
        gradcheck(Product(), a, b)                  # backward returns (dL/da, dL/db), in the rows "input", "others[0]"

    layer: a Layer with float64 parameters, or a loss, function(prediction, *others) -> (value, grad).
    x: an array of finite numbers. Integers, as of an Embedding, have no gradient.
    others: what else forward takes, arrays rather than lists. Real arrays among them are checked too if backward
    returns a tuple of gradients, in the order of the inputs.
    method: "complex" or "central"; by default complex, and where forward is not analytic central.
    rng: a Generator or seed, by default 0. It stays as it is.
    tolerance: on each relative error, by default 1e-12 by complex step, 1e-7 by central differences.
    step: h, by default 1e-30 and eps^(1/3), relative to the entry, or to the others of its array if these are larger.
    dtype: of the parameters; x is cast to it. np.float32 shows how little single precision can prove: the default
    tolerances are then 1e-3 and 1e-1.
    here_only: check at this x and with these parameters alone. Else it is checked too with parameters p (1 + 0.3 n) +
    0.3 n, n from N(0, 1), at other inputs, with 3 rows where x has 1, and for a batch of 1: what is 0, 1 or symmetric
    at the start, or on one side of a kink, hides mistakes. Where forward fails there, nothing is concluded. True is for
    a layer that is right for some inputs alone, such as positive ones, and computes others without an error.
    Settings, such as a dilation or a weight of 1, are not moved, and kinks are judged where x lies at them.
    expected: {name: function}, for backwards that are meant to be the gradient of another forward, such as that of a
    straight-through estimator, {"input": lambda x: x}; None instead of a function leaves an array out.

    The relative error of an entry is |analytic - numeric| / sum|u * dy/da|: relative to its own share of the loss.
    Where the two differ by more than the tolerance, it is still no mistake if the difference is rounding, which changes
    when x and the parameters move in their last digits; or if a lies at a kink, and dL/da between the slopes on both
    sides. An array of more than 500 entries is checked at 5 of them, and along random directions through all.

    backward runs twice, and both times must say the same, and add it to `.grad`. Also checked: backward is linear in
    grad_output, and reads it in any memory order; forward repeats itself; nothing is written to x, grad_output and
    parameters; shapes and dtypes are kept; input_grad=False leaves the other gradients as they are.
    The layer, and all that it holds, is put back as it was.

    Raises GradcheckError if any of this fails, with the table; ValueError for parameters of another dtype; TypeError
    for what is no layer and no loss, and, by method="complex", for a forward that is not analytic.
    """
    dtype = np.dtype(dtype)
    if method not in (None, *TOLERANCE):
        raise ValueError(f"gradcheck: method is {method!r}, wanted one of {', '.join(TOLERANCE)}")
    if dtype.name not in TOLERANCE["complex"]:
        raise ValueError(f"gradcheck: dtype is {dtype}, wanted one of {', '.join(TOLERANCE['complex'])}")
    is_layer = isinstance(layer, Layer) and not isinstance(layer, type)
    if not is_layer and (not callable(layer) or isinstance(layer, type) or hasattr(layer, "backward")):
        raise TypeError(f"gradcheck: layer is {layer!r}, wanted an instance of a Layer, or a loss function")
    if not ((tolerance is None or tolerance > 0) and (step is None or step > 0)):
        raise ValueError(f"gradcheck: tolerance is {tolerance}, step {step}, wanted more than 0")
    if not isinstance(x, np.ndarray):
        x = np.array(x) if np.isscalar(x) or isinstance(x, list) else np.empty(0, object)
    if x.dtype.kind not in "fiub" or x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"gradcheck: x is {x.dtype} {x.shape}, wanted an array of real, finite numbers, at least one")
    inputs, rng = [_array_of(each, dtype) for each in (x, *others)], _own_generator(rng)
    with put_back(layer), np.errstate(all="ignore"):
        return _Check(layer, inputs, dtype, method, rng, tolerance, step, expected or {}).run(here_only)


class _Check:
    """One call of gradcheck: the subject, and how it is measured."""

    def __init__(self, layer, inputs, dtype, method, rng, tolerance, step, expected):
        self.root, self.method, self.tolerance, self.step = layer, method, tolerance, step
        self.by_complex_step, self.why, self.reacts = method != "central", None, set()
        self.is_loss = not isinstance(layer, Layer)
        held = parameters_of(layer)
        layer = Loss(layer, held.values()) if self.is_loss else layer
        self.subject = subject = Subject(layer, inputs, dtype, rng, expected)
        before = {name: parameter.data.copy() for name, parameter in held.items()}
        subject.inputs = [draw(inputs[0], subject, "alike"), *inputs[1:]]
        _runs(subject.forward)  # at another x first: it makes lazy Parameters, and hints know a layer that keeps this x
        subject.earlier = subject.inputs[0]
        now = parameters_of(self.root)
        subject.parameters, self.unlisted = _parameters(self.root, now, dtype)
        changed = [name for name, data in before.items() if name in now and not np.array_equal(now[name].data, data)]
        self._raise_for([f"forward writes to {name}, which is not its own" for name in changed])
        subject.stand_at(inputs, {})

    def measure(self, elsewhere=False):
        """How slopes are measured. What is wrong elsewhere alone is no mistake in the last digits."""
        method, dtype = "complex" if self.by_complex_step else "central", self.subject.dtype
        tolerance = self.tolerance or TOLERANCE[method][dtype.name]
        step = self.step or (COMPLEX_STEP if self.by_complex_step else self.subject.eps ** (1 / 3))
        return Measure(method, step, max(tolerance, 1e-9) if elsewhere else tolerance)

    def run(self, here_only):
        """The Report. Raises GradcheckError for what is wrong, in this order:

        two backwards that misbehave; slopes that differ from what they say, here; backwards of other upstream
        gradients; slopes at other places, and for a batch of 1. What is no mistake but should be known are remarks.
        """
        subject = self.subject
        first, mean, faults = gradients_of_two(subject)
        now = parameters_of(self.root).values()
        replaced = [name for name, parameter in subject.parameters.items() if parameter not in now]
        faults += [f"forward or backward replaces the Parameter {n}: write to its .data and .grad" for n in replaced]
        self._raise_for(faults)
        known = [*subject.positions, *subject.parameters]
        here = subject.given[0][0]
        if not known:
            raise ValueError(
                f"gradcheck: x is {here.dtype}, which has no gradient, and {subject.title} has no Parameters: nothing "
                "to check. Is x meant to be real: x.astype(float)?"
            )
        for name, function in subject.expected.items():
            if name not in known or subject.forward(name).shape != subject.output.shape:
                raise ValueError(
                    f"gradcheck: expected[{name!r}] is {function!r}, wanted the name of one of {', '.join(known)}, and "
                    f"a function of the inputs that returns an array of the shape of the output, {subject.output.shape}"
                )
        if not subject.names:
            raise ValueError(f"gradcheck: expected is {subject.expected}, which leaves nothing to check")
        found = self._verdicts(first, mean, whole=True)
        rows = self._rows(found, first, mean)
        self._raise_for(faults_of_experiments(subject, first))
        remarks = [f"warning: {line}" for line in warnings_of_memory(subject, first)]
        where = [] if here_only else self._look_elsewhere()
        return Report(self.measure().tolerance, rows, remarks + self._remarks(found, where), [])

    def _raise_for(self, faults, prefix=""):
        faults = list(faults)
        if faults:
            raise GradcheckError(f"{prefix}{self.subject.title}: " + "; ".join(faults))

    def _verdicts(self, first, mean, whole, elsewhere=False):
        """Verdicts on a direction of each array where the subject stands, and of the whole on its entries."""
        subject = self.subject
        moves = [direction(subject, name) for name in subject.names]
        directions = len(moves)
        if whole:
            tied = [name for name in subject.names if is_tied(subject, name)]
            moves += [direction(subject, name, even=True) for name in tied for _ in range(2)]
            moves += [move for name in subject.names for move in entries(subject, name)]
        try:
            found = verdicts(subject, self.measure(elsewhere), moves, [first, mean], directions)
        except NotAnalytic as reason:
            if self.method == "complex":
                raise TypeError(f"gradcheck: {subject.title}: forward {reason}: use method='central'") from reason
            self.by_complex_step, self.why = False, str(reason)
            found = verdicts(subject, self.measure(elsewhere), moves, [first, mean], directions)
        self.reacts |= {each.move.name for each in found if each.analytic or each.numeric}
        return found

    def _look_elsewhere(self):
        """Check at other places too, and return their labels. Raises GradcheckError for what is wrong there."""
        subject, here, where = self.subject, self.subject.given, []
        for place in places(subject):
            gradients = gradients_at(subject, place)
            if gradients is not None:
                self._look_along_directions(gradients, f"right for the x and the parameters given, but {place.label}: ")
                where.append(place.label)
        subject.stand_at(*here)
        rows = len(np.atleast_1d(here[0][0]))
        if here[0][0].ndim > 1 and rows > 1 and self._look_at_a_batch_of_1(rows):
            where.append("for a batch of 1")
        return where

    def _look_at_a_batch_of_1(self, rows):
        """Whether forward takes one, and another, for else x is no batch. Raises GradcheckError."""
        subject, here, dimensions = self.subject, self.subject.given, self.subject.output.ndim
        subject.inputs = rows_of(here[0], slice(rows - 1) if rows > 2 else [0, 1, 0, 1])
        if not _runs(subject.forward) or not _runs(lambda: subject.stand_at(rows_of(here[0], slice(1)), {})):
            return False
        prefix = f"right for a batch of {rows}, but for a batch of 1: "
        if subject.output.ndim != dimensions:
            self._raise_for([f"the output has shape {subject.output.shape}, wanted {dimensions} dimensions"], prefix)
        try:
            gradients = subject.gradients()
        except Exception:  # of something else, then, that it cannot do
            return False
        if not (subject.output.size and all(np.isfinite(each).all() for each in (subject.output, *gradients.values()))):
            return False
        for name in subject.names:
            faults = gradient_faults(gradients.get(name), subject.array(name))
            self._raise_for([f"the gradient of {name} {fault}" for fault in faults], prefix)
        self._look_along_directions(gradients, prefix)
        return True

    def _look_along_directions(self, gradients, prefix):
        """Raise GradcheckError if the gradients where the subject stands are wrong; only then look at all entries."""
        found = self._verdicts(gradients, gradients, whole=False, elsewhere=True)
        if any(each.relative_error > self.measure(elsewhere=True).tolerance for each in found):
            found = self._verdicts(gradients, gradients, whole=True, elsewhere=True)
            self._rows(found, gradients, gradients, prefix, elsewhere=True)

    def _rows(self, found, first, mean, prefix="", elsewhere=False):
        """The rows of a report on these Verdicts. Raises GradcheckError, with hints, if one is wrong."""
        subject, measure, rows = self.subject, self.measure(elsewhere), []
        for name in subject.names:
            of_array = [each for each in found if each.move.name == name]
            of_entries = [each for each in of_array if each.move.is_entry]
            if of_entries:
                rows.append(self._row(name, of_entries, of_array, measure.tolerance))
        wrong = [row for row in rows if not row.relative_error <= measure.tolerance]
        if not wrong:
            return rows
        known = {}  # {sentence: arrays that it fits}
        for row in wrong:
            moves = entries(subject, row.name)
            if row.index is not None:
                sentence = hint(subject, measure, moves, first, mean)
            elif len(moves) < subject.array(row.name).size:
                sentence = "an entry that was not checked is wrong: check a smaller layer, of which every entry is"
            else:
                sentence = "is wrong for entries together that are right alone: does each of a tie get it all?"
            known.setdefault(sentence, []).append(row.name)
        hints = [f"{', '.join(names)}: {sentence}" for sentence, names in known.items() if sentence]
        hints += self._find_wrong_layer()
        report = Report(measure.tolerance, rows, [], hints or ["this looks like no mistake known here"])
        what = "its gradient does not match its value" if self.is_loss else "backward does not match forward"
        raise GradcheckError(f"{prefix}{subject.title}: {what}\n{report}", report)

    def _row(self, name, of_entries, of_array, tolerance):
        shown = [each for each in of_entries if each.remark not in ("rounding", "not looked at again")] or of_entries
        worst, together = (max(each, key=lambda verdict: verdict.relative_error) for each in (shown, of_array))
        if worst.relative_error <= tolerance < together.relative_error:
            worst = together
        size, unit = self.subject.array(name).size, worst.move.delta if worst.move.is_entry else 1.0
        checked = f"{len(of_entries)} of {size}" + (" and all together" if len(of_entries) < size else "")
        owner = dict(self.subject.layer.named_layers()).get(name.rpartition(".")[0], self.subject.layer)
        numbers = worst.analytic / unit, worst.numeric / unit, worst.scale / unit
        index = worst.move.index if worst.move.is_entry else None
        kind = owner.title if self.is_loss else type(owner).__name__
        return Row(name, worst.relative_error, index, *numbers, kind, checked)

    def _find_wrong_layer(self):
        """Of a model, which layer is to blame: each is checked by itself, at the inputs that it gets in the model."""
        listed = {id(layer): name for name, layer in self.subject.layer.named_layers()}
        found = [(listed.get(id(each), name), each) for name, each in reachable(self.root) if isinstance(each, Layer)]
        layers, inputs = {name: layer for name, layer in found if layer is not self.subject.layer}, {}

        def recording(name, forward, /, *given):
            inputs[name] = copies_of(given)
            return forward(*given)

        with contextlib.ExitStack() as until_here:
            for name, layer in layers.items():
                forward = functools.partial(recording, name, layer.forward)
                until_here.enter_context(mock.patch.object(layer, "forward", forward))
            _runs(self.subject.forward)
        right = 0
        for name, given in reversed(inputs.items()):
            try:
                settings = self.subject.dtype, self.method, self.subject.rng, self.tolerance, self.step, {}
                _Check(layers[name], given, *settings).run(here_only=True)
                right += 1
            except GradcheckError as error:
                if error.report is not None:
                    return [f"{name} is wrong by itself, at the input that it gets here. {error}"]
            except Exception:  # it takes what a check does not give it: it cannot be checked alone
                continue
        return ["each layer is right by itself: look at how they are put together"] if 0 < right == len(inputs) else []

    def _remarks(self, found, where):
        """Lines for the report of what is right: what the reader should know of the check."""
        remarks = [] if self.why is None else [f"note: measured by central differences: forward {self.why}"]
        for name in self.subject.names:
            entries_of_it = [each for each in found if each.move.name == name and each.move.is_entry]
            for kind, text in REMARKS.items():
                number = sum(each.remark == kind for each in entries_of_it)
                remarks += [f"note: {name}: {number} entries {text}"] if number else []
            if entries_of_it and all(each.remark == "unresolved" for each in entries_of_it):
                remarks.append(f"warning: {name}: no entry could be measured: nothing was checked here")
            if entries_of_it and name not in self.reacts:
                remarks.append(f"warning: {name}: 0 everywhere, by forward and by backward: nothing was checked here")
        remarks += [f"warning: {line}" for line in self.subject.unchecked_inputs()]
        unlisted = "is a Parameter that named_parameters() does not list: no optimizer will train it"
        remarks += [f"warning: {name} {unlisted}" for name in self.unlisted]
        return remarks + (["note: checked also " + ", ".join(where)] if where else [])


def _parameters(root, found, dtype):
    """({name: Parameter}, those that no optimizer gets). Raises ValueError for what cannot be checked."""
    unlisted = []
    if isinstance(root, Layer):
        listed = [parameter for _, parameter in type(root).named_parameters(root)]
        unlisted = [name for name, parameter in found.items() if parameter not in listed]
    for name, parameter in found.items():
        if not parameter.data.flags.writeable:
            parameter.data = parameter.data.copy()  # until it is put back
        if parameter.data.dtype.kind != "f":
            raise ValueError(f"gradcheck: {name} is {parameter.data.dtype}, wanted real numbers in a Parameter")
        if parameter.data.dtype != dtype:
            raise ValueError(
                f"gradcheck: {name} is {parameter.data.dtype}, wanted {dtype}. Rounding in float32 is as large as a "
                "small mistake: build the layer in float64, or see for yourself with gradcheck(..., dtype=np.float32)"
            )
    return {"input (a Parameter)" if name == "input" else name: each for name, each in found.items()}, unlisted


def _array_of(array, dtype):
    """A copy of an array, real numbers in dtype; of what is no array, the same."""
    if not isinstance(array, np.ndarray):
        return array
    return np.array(array, dtype if array.dtype.kind == "f" else None)


def _own_generator(rng):
    """Another Generator: x may come from one of the same seed, and u = x would hide a backward that takes x for u."""
    rng = np.random.default_rng(0 if rng is None else getattr(rng, "_bit_generator", rng))
    return np.random.default_rng([*copy.deepcopy(rng).integers(2**32, size=4), 1])


def _runs(function):
    """Whether a function runs."""
    try:
        function()
    except Exception:
        return False
    return True
