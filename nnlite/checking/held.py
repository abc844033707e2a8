"""What a layer or a loss holds: all that can be reached from it, to find its Parameters and to put it back."""

import collections
import contextlib
import dis
import functools
import types
from collections.abc import Mapping

import numpy as np

from nnlite.layers import Layer, Parameter

LEAVES = (str, bytes, int, float, complex, np.generic, np.ndarray, np.random.Generator, type, types.ModuleType)
LIBRARIES = ("builtins", "numpy", "numba")  # nothing within an object of theirs is a layer's own


def reachable(root):
    """Yield (name, object) for root and all that it holds, each once.

    Held are attributes, of the class too, items of lists, tuples and dicts, and what a function closes over, has as a
    default or, of Layers, Parameters and functions of its module, finds among the globals.
    """
    seen, waiting = {}, [("", root)]
    for name, each in waiting:
        if id(each) not in seen:
            seen[id(each)] = each  # so that it lives on, and no other gets its id
            yield name, each
            waiting += _inside(name, each)


def _inside(name, each):
    """(name, object) for all that one object holds."""
    if isinstance(each, np.ndarray) and each.dtype == object:
        each = each.tolist()
    if isinstance(each, LEAVES):
        return []
    if isinstance(each, Mapping):
        return [(f"{name}[{key!r}]", value) for key, value in each.items()]
    if isinstance(each, property):
        return [(name, each.fget)]
    if isinstance(each, (list, tuple, set, frozenset, collections.deque)):
        return [(f"{name}[{position}]", value) for position, value in enumerate(each)]
    if isinstance(each, functools.partial):
        return [(name, each.func), (name, each.args), (name, each.keywords)]
    if isinstance(each, types.MethodType):
        return [(name, each.__self__), (name, each.__func__)]
    if isinstance(each, types.FunctionType):
        return _inside_function(each)
    if type(each).__module__.partition(".")[0] in LIBRARIES:
        return []
    held = {}
    for kind in reversed(type(each).__mro__):
        if kind not in (Layer, Parameter, object):
            held |= {key: value for key, value in vars(kind).items() if key == "__call__" or not key.startswith("__")}
            slots = [key for key in getattr(kind, "__slots__", ()) if hasattr(each, key)]
            held |= {key: getattr(each, key) for key in slots}
    held |= getattr(each, "__dict__", {})
    return [(f"{name}.{key}".lstrip("."), value) for key, value in held.items()]


def _inside_function(function):
    held = [(str(at), value) for at, value in enumerate(function.__defaults__ or ())]
    held += (function.__kwdefaults__ or {}).items()
    for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        with contextlib.suppress(ValueError):  # a variable that has no value yet
            held.append((variable, cell.cell_contents))
    loads = (each.argval for each in dis.get_instructions(function) if each.opname == "LOAD_GLOBAL")
    for variable in dict.fromkeys(loads):
        value = function.__globals__.get(variable)
        is_of_its_module = isinstance(value, types.FunctionType) and value.__module__ == function.__module__
        if isinstance(value, (Layer, Parameter)) or is_of_its_module:
            held.append((variable, value))
    return held


def parameters_of(root):
    """{name: Parameter}, each once: first those that named_parameters() lists, then whatever else can be reached."""
    listed = type(root).named_parameters(root) if isinstance(root, Layer) else ()
    found = {}
    for name, each in [*listed, *reachable(root)]:
        if isinstance(each, Parameter) and each not in found.values():
            found[f"another {name}" if name in found else name] = each
    return found


@contextlib.contextmanager
def put_back(root):
    """After the block, all that root holds is as it was before: attributes, items, and the numbers in arrays."""
    undo = []
    for _, each in reachable(root):
        if isinstance(each, np.ndarray) and each.flags.writeable and not isinstance(each, np.memmap):
            undo.append(functools.partial(each.__setitem__, ..., each.copy()))
        elif isinstance(each, np.random.Generator):
            undo.append(functools.partial(setattr, each.bit_generator, "state", each.bit_generator.state))
        elif isinstance(each, np.random.RandomState):
            undo.append(functools.partial(each.set_state, each.get_state()))
        elif isinstance(each, (list, collections.deque)):
            undo.append(functools.partial(_refill, each, each.extend, each.copy()))
        elif isinstance(each, (dict, set)):
            undo.append(functools.partial(_refill, each, each.update, each.copy()))
        elif not isinstance(each, LEAVES) and hasattr(each, "__dict__"):
            undo.append(functools.partial(_refill, vars(each), vars(each).update, vars(each).copy()))
    try:
        yield
    finally:
        for step in undo:
            step()


def _refill(collection, add, content):
    collection.clear()
    add(content)
