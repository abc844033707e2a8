"""Gradient checks: backward against derivatives that are measured from forward alone.

The loss is L = sum(y * u), where y is the layer's output and u a random array, so that dL/dy = u. An upstream
gradient of ones would not see a backward that forgets to multiply by it. dL/da is measured for every entry a of
the input and of every parameter, one at a time, in one of two ways:

complex   Im L(a + ih) / h. Taylor: L(a + ih) = L(a) + ih L'(a) - h^2/2 L''(a) - ..., so the imaginary part is
          h L'(a) up to h^3. Nothing is subtracted, so h can be 1e-30, and the result is exact to rounding.
          It wants a forward that is analytic near a: no abs, no conjugate, no float(), and a kink such as
          ReLU's decided by a.real.
          Squire and Trapp, SIAM Review 40 (1998) 110-112.
central   (L(a + h) - L(a - h)) / 2h. The error of the formula grows as h^2 and that of the subtraction as eps / h;
          h = eps^(1/3), about 6e-6, balances the two at about 1e-10. It takes any forward without a kink near a.
"""

import copy
from typing import NamedTuple

import numpy as np

from nnlite.layers import Layer

COMPLEX_STEP = 1e-30
CENTRAL_STEP = np.finfo(np.float64).eps ** (1 / 3)
TOLERANCE = {"complex": 1e-12, "central": 1e-7}


class GradcheckError(AssertionError):
    """A gradient is wrong; the message is the report's table."""


class Row(NamedTuple):
    """One checked array: max|analytic - numeric| / max|numeric|, and the entry where the two differ most."""

    name: str
    relative_error: float
    index: tuple
    analytic: float
    numeric: float


class Report(NamedTuple):
    """A Row for the input and for each parameter; printed, a table."""

    method: str
    tolerance: float
    rows: list

    def __str__(self):
        width = max(len(row.name) for row in self.rows)
        lines = [f"{'array':{width}}  relative error  worst index         analytic          numeric"]
        for row in self.rows:
            verdict = "" if row.relative_error <= self.tolerance else "  WRONG"
            lines.append(
                f"{row.name:{width}}  {row.relative_error:14.1e}  {str(row.index):11}"
                f"  {row.analytic:15.8e}  {row.numeric:15.8e}{verdict}"
            )
        return "\n".join(lines)


class _LossLayer(Layer):
    """A loss, function(prediction) -> (value, grad), as a layer."""

    def __init__(self, function):
        self.function = function

    def forward(self, x):
        value, self._cache = self.function(x)
        return np.asarray(value)

    def backward(self, grad_output, input_grad=True):
        return grad_output * self._from_forward()


def gradcheck(layer, x, *, method="complex", rng=None, tolerance=None):
    """Check every gradient that `layer.backward` computes at the input `x`, and return a Report.

    layer: a Layer with float64 parameters, or a loss, function(prediction) -> (value, grad).
    x: a real array, not empty. The check works on copies: x and the layer stay as they are, whatever happens.
    method: "complex" or "central"; tolerance: on each relative error, by default 1e-12 and 1e-7.
    rng: the Generator, default_rng(0) by default, of whose spawn the upstream gradient is drawn.

    backward runs twice and the gradients are halved: one that overwrites `.grad` comes out at half its value.

    Raises GradcheckError, with the report's table, if an error exceeds the tolerance; also if backward raises,
    writes to its argument, or leaves a gradient of the wrong shape. Raises ValueError for parameters that are not
    float64: in float32, rounding alone is as large as a small mistake.
    """
    if method not in TOLERANCE:
        raise ValueError(f"gradcheck: method is {method!r}, wanted one of {', '.join(TOLERANCE)}")
    if np.iscomplexobj(x) or np.size(x) == 0:
        raise ValueError(f"gradcheck: x is {np.asarray(x).dtype} {np.shape(x)}, wanted real numbers, at least one")
    layer = copy.deepcopy(layer) if isinstance(layer, Layer) else _LossLayer(layer)
    for name, parameter in layer.named_parameters():
        if parameter.data.dtype != np.float64:
            raise ValueError(
                f"gradcheck: {name} is {parameter.data.dtype}, wanted float64: rounding must stay below the tolerance"
            )
    rng = np.random.default_rng(0) if rng is None else rng
    rng = rng.spawn(1)[0]  # x may come from an rng of the same seed, and u = x would hide a backward that takes x for u
    x = np.array(x, np.float64)
    upstream = rng.standard_normal(np.shape(layer(x)))
    analytic = _analytic(layer, x, upstream)
    numeric = _numeric(layer, x, upstream, method)
    rows = [_row(name, analytic[name], numeric[name]) for name in numeric]
    report = Report(method, TOLERANCE[method] if tolerance is None else tolerance, rows)
    if not all(row.relative_error <= report.tolerance for row in rows):
        raise GradcheckError(f"{type(layer).__name__}: backward does not match forward\n{report}")
    return report


def _analytic(layer, x, upstream):
    """What backward says: {"input": dL/dx, parameter name: dL/dp}."""
    layer.zero_grad()
    given = upstream.copy()
    try:
        grad_input = (layer.backward(given), layer.backward(given))
    except Exception as error:
        raise GradcheckError(f"{type(layer).__name__}: backward raised {error!r}") from error
    if not np.array_equal(given, upstream):
        raise GradcheckError(f"{type(layer).__name__}: backward writes to grad_output, which is the caller's")
    shapes = [("the gradient of the input", np.shape(grad_input[0]), x.shape)]
    shapes += [(f"{name}.grad", np.shape(p.grad), p.data.shape) for name, p in layer.named_parameters()]
    for name, found, wanted in shapes:
        if found != wanted:
            raise GradcheckError(f"{type(layer).__name__}: {name} has shape {found}, wanted {wanted}")
    return {"input": sum(grad_input) / 2} | {name: p.grad / 2 for name, p in layer.named_parameters()}


def _numeric(layer, x, upstream, method):
    """What forward says: the same derivatives, measured entry by entry."""
    if method == "complex":
        x = x.astype(np.complex128)
        for parameter in layer.parameters():
            parameter.data = parameter.data.astype(np.complex128)

    def loss(array, index, step):
        value = array[index]
        array[index] = value + step
        result = np.sum(layer(x) * upstream)
        array[index] = value
        return result

    def derivative(array, index):
        if method == "complex":
            return loss(array, index, 1j * COMPLEX_STEP).imag / COMPLEX_STEP
        h = CENTRAL_STEP * max(1.0, abs(array[index]))
        return (loss(array, index, h) - loss(array, index, -h)) / (2 * h)

    arrays = {"input": x} | {name: parameter.data for name, parameter in layer.named_parameters()}
    return {
        name: np.array([derivative(array, index) for index in np.ndindex(array.shape)]).reshape(array.shape)
        for name, array in arrays.items()
    }


def _row(name, analytic, numeric):
    difference = np.abs(analytic - numeric)
    index = np.unravel_index(np.argmax(difference), difference.shape)  # the first nan, if there is one
    scale = np.max(np.abs(numeric)) or 1.0  # a gradient that is 0 everywhere has no relative error
    return Row(name, difference[index] / scale, tuple(map(int, index)), analytic[index], numeric[index])
