"""Layers: each computes forward, and from the gradient of its output, by hand, the gradients of its inputs.

Every derivation is the chain rule for one scalar loss L. `grad_output` stands for dL/dy, with the shape of y;
backward returns dL/dx, with the shape of x, and adds dL/dp to the `.grad` of each parameter p.

Letters at the end of a line give the shape that it computes: N batch, I in, O out. ReLU and Tanh take any shape.
"""

import numpy as np

from nnlite.arguments import generator, require_numbers
from nnlite.backend import accelerated
from nnlite.states import as_arrays, cast, mismatches, require


def matmul(a, b, out=None, add=False):
    """The matrix product a @ b; in the array `out` if that is given, and added to what is there if `add`.

    a: (M, K), b: (K, N), result: (M, N). Raises ValueError if `out` is of another shape or dtype.
    """
    if out is None:
        return a @ b
    shape, dtype = (a.shape[0], b.shape[1]), np.result_type(a, b)
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"matmul: out is {out.dtype} {out.shape}, wanted {dtype} {shape}")
    if add:
        out += a @ b
    else:
        np.matmul(a, b, out=out)
    return out


matmul = accelerated(matmul)  # by nnlite/matmul.py


class Parameter:
    """A trained array `data` and its gradient `grad`, of the same shape and dtype.

    zero_grad() only notes that zeros are due. To read `.grad` writes them; or a product comes first and takes the place
    of the old numbers, which saves two passes over the memory. So read `.grad` anew after zero_grad().
    """

    def __init__(self, data):
        self.data = np.asarray(data, order="C")
        self._grad, self._zeros_due = np.empty_like(self.data), True

    @property
    def grad(self):
        if self._zeros_due:
            self._grad[...] = 0
            self._zeros_due = False
        return self._grad

    @grad.setter
    def grad(self, array):  # also called by grad += array; None stands for zeros, as in PyTorch
        self._zeros_due = array is None
        self._grad = np.asarray(np.empty_like(self.data) if array is None else array)  # NumPy's sum of 0-d is a number

    def zero_grad(self):
        self._zeros_due = True

    def add_matmul_to_grad(self, a, b):
        """grad += a @ b"""
        matmul(a, b, out=self._grad, add=not self._zeros_due)
        self._zeros_due = False


class Layer:
    """What every layer and model is: forward, backward, and named parameters.

    A subclass sets Parameters and Layers as attributes in __init__, and writes

        forward(x) -> y
        backward(grad_output, input_grad=True) -> grad_input, or None if input_grad is False

    `forward` keeps in `self._cache` what `backward` needs. The cache may be x itself, not a copy: do not change x
    before backward has run. It is that of the latest forward: a layer cannot stand twice in a model, though two
    layers may share a Parameter. What forward and backward return belongs to the caller, who may write to it.

    `backward` adds to every `.grad`, so that the gradients of several batches sum up; call zero_grad() before a
    new step. input_grad=False skips dL/dx where nobody needs it, as for the first layer of a model in training.
    """

    _cache = None

    def __call__(self, *inputs):
        return self.forward(*inputs)

    def _from_forward(self):
        if self._cache is None:
            raise RuntimeError(f"{self}.backward was called before forward, which keeps what backward needs")
        return self._cache

    def _check_grad_output(self, grad_output, shape):
        if np.shape(grad_output) != shape:
            found = f"grad_output has shape {np.shape(grad_output)}"
            raise ValueError(f"{self}.backward: {found}, wanted that of the output, {shape}")

    def _children(self):
        """(name, Parameter or Layer) pairs in the order in which they were set."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, (Parameter, Layer))]

    def named_layers(self, name=""):
        """Yield (name, Layer) for this layer, by the name "", and for all within it, such as "encoder.0"."""
        yield name, self
        for child_name, child in self._children():
            if isinstance(child, Layer):
                yield from child.named_layers(f"{name}.{child_name}".lstrip("."))

    def named_parameters(self):
        """Yield (name, Parameter) pairs; names are PyTorch's, such as "encoder.0.weight"."""
        for name, layer in self.named_layers():
            for child_name, child in layer._children():
                if isinstance(child, Parameter):
                    yield f"{name}.{child_name}".lstrip("."), child

    def parameters(self):
        """The list of Parameters; one that several layers share is listed once."""
        return list(dict.fromkeys(parameter for _, parameter in self.named_parameters()))

    def zero_grad(self):
        for parameter in self.parameters():
            parameter.zero_grad()

    def state_dict(self):
        """A copy of every parameter's array, by name."""
        return {name: parameter.data.copy() for name, parameter in self.named_parameters()}

    def load_state_dict(self, state):
        """Copy the arrays of `state` into the parameters, in the dtype that these have.

        Raises ValueError, having changed nothing, that names every missing, unexpected and mismatched array, and each
        that holds nan or inf; of what PyTorch names or holds otherwise it tells how to load it.
        """
        own = {name: parameter.data for name, parameter in self.named_parameters()}
        try:
            state = as_arrays(state)
            require(mismatches(state, own))
            state = cast(state.get, own)
        except ValueError as error:
            raise ValueError(f"state_dict does not fit {type(self).__name__}: {error}") from None
        for name, array in own.items():
            array[...] = state[name]

    def __repr__(self):
        layers = [(name, child) for name, child in self._children() if isinstance(child, Layer)]
        lines = [f"\n  ({name}): " + repr(layer).replace("\n", "\n  ") for name, layer in layers]
        return f"{type(self).__name__}({''.join(lines)}" + ("\n)" if lines else ")")


class Linear(Layer):
    """y = x W^T + b, with W and b drawn from U(-1/sqrt(I), 1/sqrt(I)), as torch.nn.Linear draws them.

    rng: the numpy Generator to draw from. weight: (out_features, in_features), bias: (out_features,).
    Real input is cast to `dtype`; complex input is kept: gradcheck.py may measure dy/dx as Im y(x + ih) / h.
    """

    def __init__(self, in_features, out_features, *, rng, dtype=np.float32):
        require_numbers("Linear", 1, whole=True, in_features=in_features, out_features=out_features)
        rng, bound = generator("Linear", rng), 1 / np.sqrt(in_features)
        self.weight = Parameter(rng.uniform(-bound, bound, (out_features, in_features)).astype(dtype))  # (O, I)
        self.bias = Parameter(rng.uniform(-bound, bound, out_features).astype(dtype))  # (O,)

    def forward(self, x):
        """y[n, o] = sum_i x[n, i] W[o, i] + b[o].  x: (N, I) -> y: (N, O)"""
        W, b = self.weight.data, self.bias.data  # (O, I), (O,)
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != W.shape[1]:
            raise ValueError(f"{self}: x has shape {x.shape}, wanted (N, {W.shape[1]})")
        if not np.iscomplexobj(x):
            x = np.asarray(x, W.dtype)
        self._cache = x
        y = matmul(x, W.T)  # (N, O)
        y += b
        return y

    def backward(self, grad_output, input_grad=True):
        """L depends on an entry through every y that contains it, and the contributions add up.

        W[o, i] stands in y[n, o] for every n, with the factor x[n, i]; b[o] too, with the factor 1;
        x[n, i] stands in y[n, o] for every o, with the factor W[o, i]. Hence

        dL/dW[o, i] = sum_n dL/dy[n, o] x[n, i]        dL/dW = dL/dy^T x    (O, N) (N, I) = (O, I)
        dL/db[o]    = sum_n dL/dy[n, o]                dL/db = sum over n                 = (O,)
        dL/dx[n, i] = sum_o dL/dy[n, o] W[o, i]        dL/dx = dL/dy W      (N, O) (O, I) = (N, I)
        """
        x, W = self._from_forward(), self.weight.data  # (N, I), (O, I)
        self._check_grad_output(grad_output, (x.shape[0], W.shape[0]))
        grad_output = np.asarray(grad_output, W.dtype)  # (N, O)
        self.weight.add_matmul_to_grad(grad_output.T, x)  # (O, I)
        self.bias.grad += grad_output.sum(axis=0)  # (O,)
        return matmul(grad_output, W) if input_grad else None  # (N, I)

    def __repr__(self):
        out_features, in_features = self.weight.data.shape
        return f"Linear(in_features={in_features}, out_features={out_features}, bias=True)"


def zero_where(off, x):
    """0 where `off`, else x.  Both of one shape, any."""
    return np.where(off, 0, x)


zero_where = accelerated(zero_where)  # by nnlite/fused.py


class ReLU(Layer):
    """y = max(x, 0), element by element."""

    def forward(self, x):
        """y = 0 where x <= 0, else x.  Any shape."""
        x = np.asarray(x)
        # x.real, so that a complex step x + ih is judged by x; <=, so that nan stays nan instead of turning into 0
        off = x.real <= 0
        self._cache = off
        return zero_where(off, x)

    def backward(self, grad_output, input_grad=True):
        """dy/dx is 0 where x <= 0, and 1 elsewhere. At the kink, x = 0, it is 0, as in PyTorch.

        dL/dx = 0 where x <= 0, else dL/dy
        """
        off = self._from_forward()
        self._check_grad_output(grad_output, off.shape)
        return zero_where(off, grad_output) if input_grad else None


def tanh_and_slope(x):
    """(tanh(x), its derivative), by the quotient rule for sinh(x) / cosh(x).  Any shape."""
    y = np.tanh(x)
    return y, 1 - y * y


tanh_and_slope = accelerated(tanh_and_slope)  # by nnlite/fused.py


class Tanh(Layer):
    """y = tanh(x), element by element."""

    def forward(self, x):
        """y = tanh(x).  Any shape."""
        y, slope = tanh_and_slope(np.asarray(x))
        self._cache = slope  # rather than y, for y is the caller's and may be written to
        return y

    def backward(self, grad_output, input_grad=True):
        """dy/dx = 1 - tanh(x)^2 = 1 - y^2.

        dL/dx = dL/dy (1 - y^2)
        """
        slope = self._from_forward()
        self._check_grad_output(grad_output, slope.shape)
        return np.asarray(grad_output, slope.dtype) * slope if input_grad else None


class Sequential(Layer):
    """The layers one after another: y = layer_k(... layer_1(layer_0(x))). Raises ValueError if one stands twice."""

    def __init__(self, *layers):
        if len(set(layers)) < len(layers):
            raise ValueError("Sequential: a layer stands twice, wanted each once: it keeps only its latest forward")
        self.layers = layers

    def _children(self):
        return [(str(position), layer) for position, layer in enumerate(self.layers)]

    def __getitem__(self, position):
        return self.layers[position]

    def __len__(self):
        return len(self.layers)

    def forward(self, x):
        """x: what the first layer takes -> y: what the last one returns."""
        for layer in self.layers:
            x = layer(x)
        return x

    def backward(self, grad_output, input_grad=True):
        """The chain rule, from the last layer to the first: dL/dx of a layer is dL/dy of the one before it."""
        for position, layer in reversed(list(enumerate(self.layers))):
            grad_output = layer.backward(grad_output, input_grad or position > 0)
        return grad_output if input_grad else None
