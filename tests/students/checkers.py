"""What the two checkers say, with their defaults, against a case: this library's and PyTorch's."""

import numpy as np

from nnlite import GradcheckError, gradcheck
from students.measurement import forward, gradients, parameters


def nnlite_complaint(case, seed):
    """What gradcheck says against it, or None; that it refuses to check is a complaint too."""
    rng = np.random.default_rng(seed)
    layer, *inputs = case.build(rng)
    try:
        gradcheck(layer, *inputs, rng=rng)
    except (GradcheckError, ValueError) as error:
        return str(error)


def torch_complaint(case, seed):
    """What torch.autograd.gradcheck says against it, as a Function of its inputs and all its Parameters, or None."""
    import torch

    layer, *inputs = case.build(np.random.default_rng(seed))
    output = np.array(forward(layer, inputs))
    names = list(gradients(layer, inputs, np.ones(output.shape)))

    def arrays():
        return [inputs[name] if isinstance(name, int) else parameters(layer)[name].data for name in names]

    def fill(tensors):
        for array, tensor in zip(arrays(), tensors):
            array[...] = tensor.detach().numpy()

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            ctx.save_for_backward(*tensors)
            fill(tensors)
            return torch.from_numpy(np.array(forward(layer, inputs)))

        @staticmethod
        def backward(ctx, grad_output):
            fill(ctx.saved_tensors)
            found = gradients(layer, inputs, grad_output.numpy())
            return tuple(torch.from_numpy(found[name]) for name in names)

    tensors = [torch.tensor(array, requires_grad=True) for array in arrays()]
    try:
        torch.autograd.gradcheck(Function.apply, tensors)
    except RuntimeError as error:  # a GradcheckError is one
        return str(error)
