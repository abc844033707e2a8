"""What is checked: a layer at its inputs, the loss L = sum(y * u), and each array that L depends on, by name."""

import contextlib
from typing import NamedTuple

import numpy as np

from nnlite.layers import Layer

WHOLE = 500  # arrays of at most so many entries are checked entry by entry,
SAMPLE = 5  # larger ones at so many entries, chosen at random, and along directions


class Move(NamedTuple):
    """A way to go: t adds t * delta to array[index], one entry; or to array[...], along a direction."""

    name: str
    index: object
    delta: object

    @property
    def is_entry(self):
        return self.index is not ...

    def slope_by(self, gradients):
        """dL/dt by {name: dL/darray}."""
        return np.sum(gradients[self.name][self.index] * self.delta)


class Subject:
    """A layer or loss at its inputs [x, *others], with an upstream gradient dL/dy = u.

    expected: {name: a function of the inputs to differentiate for that array in the place of forward, or None: none}.
    """

    def __init__(self, layer, inputs, dtype, rng, expected):
        self.layer, self.inputs, self.dtype, self.rng, self.expected = layer, inputs, dtype, rng, expected
        self.title, self.eps = getattr(layer, "title", type(layer).__name__), np.finfo(dtype).eps
        self.parameters, self.usual = {}, None  # usual: what places.usual_slopes finds, when verdict.py needs it
        self.earlier = None  # the x of a forward before all others, for hints
        self.positions = {"input": 0} if _is_real(inputs[0]) else {}  # of the inputs that have a gradient, by name

    def stand_at(self, inputs, values):
        """Go to other inputs and values of parameters, {name: array}, and draw an upstream gradient for them."""
        for name, value in values.items():
            self.parameters[name].data[...] = value
        self.given = inputs, {name: parameter.data.copy() for name, parameter in self.parameters.items()}
        self.inputs = copies_of(inputs)
        self.output = self.forward()
        self.upstream = np.asarray(self.rng.standard_normal(self.output.shape), self.dtype)
        if isinstance(self.layer, Loss):
            self.upstream = np.ones_like(self.upstream)  # of a loss, users expect the numbers that it returns

    @property
    def names(self):
        """The names of all arrays that are checked."""
        return [name for name in [*self.positions, *self.parameters] if self.expected.get(name, self) is not None]

    def array(self, name):
        """The array itself, for forward to see what is written into it."""
        return self.inputs[self.positions[name]] if name in self.positions else self.parameters[name].data

    def forward(self, name=None):
        """y, or what stands in its place for one array; of copies, for a forward may write to x, or keep it."""
        y = (self.expected.get(name) or self.layer.forward)(*copies_of(self.inputs))
        if not isinstance(y, (np.ndarray, np.generic, float, complex)):
            raise TypeError(f"gradcheck: {self.title}.forward returned a {type(y).__name__}, wanted one array")
        return np.array(y)

    def along(self, move):
        """y as a function of t."""
        before = np.copy(self.array(move.name)[move.index])

        def y(t):
            array = self.array(move.name)
            array[move.index] = t * move.delta
            array[move.index] += before  # in place, for a direction through a large array
            try:
                return self.forward(move.name)
            finally:
                array[move.index] = before

        return y

    def along_or_nan(self, move):
        """y as a function of t, and nan where forward cannot go: beyond the domain of a logarithm, to another shape."""
        along = self.along(move)

        def y(t):
            try:
                output = along(t)
            except Exception:
                return np.full(self.output.shape, np.nan)
            return output if output.shape == self.output.shape else np.full(self.output.shape, np.nan)

        return y

    @contextlib.contextmanager
    def complex_arrays(self):
        """For the duration of a block, all arrays that have a gradient are complex copies."""
        inputs, data = self.inputs, {name: parameter.data for name, parameter in self.parameters.items()}
        try:
            real = self.positions.values()
            self.inputs = [each.astype(complex) if at in real else each for at, each in enumerate(inputs)]
            for parameter in self.parameters.values():
                parameter.data = parameter.data.astype(complex)
            yield
        finally:
            self.inputs = inputs
            for name, parameter in self.parameters.items():
                parameter.data = data[name]

    def zero_grad(self):
        for parameter in self.parameters.values():
            parameter.zero_grad()

    def gradients(self, upstream=None, already=0.0):
        """What one backward says: {name: dL/darray}. upstream: another than this one. already: stands in each .grad."""
        self.zero_grad()
        self.forward()
        if already:
            for parameter in self.parameters.values():
                parameter.grad[...] = already
        return self.collect(self.layer.backward(self.upstream.copy() if upstream is None else upstream))

    def collect(self, returned):
        """Copies of what backward returned and of what it left in each parameter: {name: dL/darray}.

        Of several inputs, backward returns a tuple: of a gradient for each, or for each that is real. Raises ValueError
        for other tuples.
        """
        returned = returned if isinstance(returned, (tuple, list)) else [returned]
        real = [at for at, each in enumerate(self.inputs) if _is_real(each)]
        if len(returned) == len(self.inputs):
            of = dict(enumerate(returned))
        elif len(returned) in (1, len(real)):
            of = dict(zip(real, returned))
        else:
            wanted = f"wanted one for each of {len(real)} real inputs"
            raise ValueError(f"backward returned {len(returned)} gradients, {wanted}")
        self.returned = [at for at, each in enumerate(returned) if each is not None]
        of_inputs = {self._input_name(at): np.copy(of[at]) for at in real if of.get(at) is not None}
        self.positions |= {name: at for at in real for name in [self._input_name(at)] if name in of_inputs}
        return of_inputs | {name: np.copy(parameter.grad) for name, parameter in self.parameters.items()}

    def unchecked_inputs(self):
        """Yield what of the inputs a reader of the report may believe to be checked, and is not."""
        for at, each in enumerate(self.inputs):
            name, of_integers = self._input_name(at), isinstance(each, np.ndarray) and each.dtype.kind in "iu"
            if of_integers and at in self.returned:
                yield f"{name} is {each.dtype}, and its gradient was not checked: is it meant to be real?"
            if _is_real(each) and name not in self.positions and not isinstance(self.layer, Loss):
                yield f"{name} is an array of real numbers, of which backward returns no gradient: it was not checked"

    def _input_name(self, at):
        return f"others[{at - 1}]" if at else "input"

    def size(self, name):
        """What each entry of an array is moved in proportion to: itself, or the others if larger, or 1 if all are 0."""
        array = np.abs(self.array(name))
        return np.maximum(array, np.sqrt(np.mean(array * array)) if array.size else 0) + (not array.any())


def direction(subject, name, even=False):
    """A move of all entries of an array, in proportion to their size: at random; or nearly alike in a row, for ties."""
    shape = subject.array(name).shape
    n = subject.rng.uniform(-1, 1, shape)
    if even:
        of_rows = (*shape[:1], *[1 for _ in shape[1:]]) if len(shape) > 1 else ()
        n = (1 + 0.01 * n) * subject.rng.standard_normal(of_rows)
    return Move(name, ..., subject.size(name) * n)


def entries(subject, name):
    """A move of each entry of an array, or of some of a large one."""
    array, size = subject.array(name), subject.size(name)
    chosen = range(array.size) if array.size <= WHOLE else sorted(subject.rng.permutation(array.size)[:SAMPLE])
    indices = [tuple(map(int, np.unravel_index(flat, array.shape))) for flat in chosen]
    return [Move(name, index, size[index]) for index in indices]


def copies_of(inputs):
    return [each.copy(order="K") if isinstance(each, np.ndarray) else each for each in inputs]


def _is_real(array):
    return isinstance(array, np.ndarray) and array.dtype.kind == "f"


class Loss(Layer):
    """A loss, function(prediction, *others) -> (value, grad), as a layer. It may run layers, backward too."""

    def __init__(self, function, parameters):
        name = getattr(function, "__name__", type(function).__name__)
        self.function, self.trained, self.title = function, list(parameters), name if name.isidentifier() else "Loss"

    def forward(self, *inputs):
        before = [parameter.grad.copy() for parameter in self.trained]
        for parameter in self.trained:
            parameter.zero_grad()
        returned = self.function(*inputs)
        if not (isinstance(returned, tuple) and len(returned) == 2 and np.shape(returned[0]) == ()):
            found = [np.shape(each) for each in returned] if isinstance(returned, tuple) else type(returned).__name__
            raise TypeError(f"gradcheck: the loss returned {found}, wanted (value, grad), a number and an array")
        value, grad = returned
        grads = grad if isinstance(grad, tuple) else (grad,)
        if not isinstance(grads[0], (np.ndarray, np.generic)) and (grads[0] is not None or _is_real(inputs[0])):
            raise TypeError(f"gradcheck: the loss returned (value, {type(grad).__name__}), wanted (value, array)")
        self._cache = grads, [parameter.grad.copy() for parameter in self.trained]
        for parameter, earlier in zip(self.trained, before):
            parameter.grad = earlier
        real = inputs[0].dtype if _is_real(inputs[0]) else float
        return np.asarray(value, complex if np.iscomplexobj(value) else real)  # a sum of nothing is Python's 0

    def backward(self, grad_output, input_grad=True):
        grads, of_parameters = self._from_forward()
        for parameter, each in zip(self.trained, of_parameters):
            parameter.grad += grad_output * each
        return tuple(None if each is None else grad_output * each for each in grads)
