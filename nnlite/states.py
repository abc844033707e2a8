"""States, {name: array}: what one must be to fit a model, and what is said of one that does not, with a way out."""

import numpy as np

TO_ARRAYS = "{name: tensor.detach().float().cpu().numpy() for name, tensor in state.items()}"


class Mismatch(ValueError):
    """An intact state or file holds something other than what is wanted."""


def as_arrays(state):
    """Arrays of what may be lists or tensors. Raises Mismatch for what holds none, and tells how to load tensors."""
    if not hasattr(state, "items"):
        raise Mismatch(f"found {type(state).__name__}, wanted {{name: array}}, as of state_dict()")
    if dicts := [name for name, value in state.items() if isinstance(value, dict)]:
        raise Mismatch(
            f"found dicts, {', '.join(map(repr, dicts))}; is one of them the state, as state[{dicts[-1]!r}]?"
        )
    arrays = {}
    for name, value in state.items():
        try:
            arrays[str(name)] = np.asarray(value)
        except Exception as error:  # PyTorch's of a tensor that is bfloat16, on a GPU or wants a gradient
            raise Mismatch(f"{name} is no array ({error}); of PyTorch's tensors load {TO_ARRAYS}") from None
    return arrays


def mismatches(found, wanted):
    """A text for each name that is missing or unexpected and each array of another shape or kind of number.

    found, wanted: by name, arrays or whatever has a shape and a dtype.
    """
    last = next(reversed(wanted), "")
    prefixes = sorted({name.removesuffix(last) for name in found if last and name.endswith(f".{last}")})
    prefixes = [prefix for prefix in prefixes if all(prefix + name in found for name in wanted)]
    if len(prefixes) == 1 and not wanted.keys() <= found.keys():  # such as that of torch.compile or DataParallel
        prefix = repr(prefixes[0])
        taken_off = (
            f"{{name.removeprefix({prefix}): array for name, array in state.items() if name.startswith({prefix})}}"
        )
        return [f"the names wanted stand behind {prefix} (of a file, state = numpy.load(FILE)); load {taken_off}"]
    faults = [f"missing {name}" for name in wanted if name not in found]
    faults += [f"unexpected {name}" for name in found if name not in wanted]
    both = [(name, found[name], array) for name, array in wanted.items() if name in found]
    for name, a, b in both:
        if a.shape != b.shape:
            faults.append(f"{name} has shape {a.shape}, wanted {b.shape}")
        if a.dtype.itemsize == 1:
            faults.append(f"{name} is {a.dtype}, wanted {b.dtype}: if quantized, array.astype('f4') * scale")
        elif a.dtype == "V2":
            faults.append(f"{name} is {a.dtype}, wanted {b.dtype}: if bfloat16, save tensor.float().numpy()")
        elif not np.can_cast(a.dtype, b.dtype, "same_kind"):
            faults.append(f"{name} is {a.dtype}, wanted {b.dtype}")
    return faults


def cast(array_of, wanted):
    """{name: array_of(name)} in the dtypes of the arrays wanted. Raises Mismatch, which names all with nan or inf."""
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf
        arrays = {name: array_of(name).astype(array.dtype, copy=False) for name, array in wanted.items()}
    require(not_finite(arrays))
    return arrays


def require(faults):
    """Raise Mismatch, which names them all, if there are any."""
    if faults:
        raise Mismatch("; ".join(faults))


def not_finite(arrays):
    return [f"{name} holds nan or inf" for name, array in arrays.items() if not np.isfinite(array).all()]
