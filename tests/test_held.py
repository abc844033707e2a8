"""What a layer holds is found wherever it is, and put back as it was."""

import collections
import functools
import threading
import types

import numpy as np
import pytest
from small_layers import Curve, Scale, linear

from nnlite import GradcheckError, Layer, Linear, Parameter, Sequential, Tanh, gradcheck
from nnlite.checking.held import parameters_of, put_back

OF_THE_MODULE = Parameter(np.arange(1.0, 5.0))
IN_A_DICT = {"w": Parameter(np.arange(1.0, 5.0))}


def by_the_module(x):
    return OF_THE_MODULE.data * x


@pytest.fixture
def w():
    return Parameter(np.arange(1.0, 5.0))


class Slotted:
    __slots__ = ("w", "unset")

    def __init__(self, w):
        self.w = w


class OfTheClass:
    w = OF_THE_MODULE


class Property:
    def __init__(self, w):
        self.hidden = lambda: w

    @property
    def w(self):
        return self.hidden()


def closure(w):
    later = lambda: unset  # noqa: E731
    result = lambda x: (w, later, x)  # noqa: E731
    if x := None:
        unset = x
    return result


def held(**attributes):
    return types.SimpleNamespace(**attributes)


PLACES = {
    "attribute": lambda w: (held(w=w), "w"),
    "object of an object": lambda w: (held(a=held(w=w)), "a.w"),
    "list": lambda w: ([1, w], "[1]"),
    "tuple": lambda w: (held(ws=(w,)), "ws[0]"),
    "set": lambda w: (held(ws={w}), "ws[0]"),
    "frozenset": lambda w: (held(ws=frozenset([w])), "ws[0]"),
    "deque": lambda w: (held(ws=collections.deque([w])), "ws[0]"),
    "dict": lambda w: (held(ws={"a": w}), "ws['a']"),
    "mapping": lambda w: (held(ws=types.MappingProxyType({"a": w})), "ws['a']"),
    "array of objects": lambda w: (held(ws=np.array([None, w])), "ws[1]"),
    "closure": lambda w: (held(f=closure(w)), "f[w]"),
    "default": lambda w: (held(f=lambda x, w=w: x), "f[0]"),
    "default by name": lambda w: (held(f=lambda x, *, w=w: x), "f[w]"),
    "partial": lambda w: (held(f=functools.partial(max, w)), "f[0]"),
    "partial by name": lambda w: (held(f=functools.partial(max, key=w)), "f['key']"),
    "partial of a function": lambda w: (held(f=functools.partial(closure(w), 1)), "f[w]"),
    "method": lambda w: (held(f=types.MethodType(lambda self: 1, held(w=w))), "f.w"),
    "function of a method": lambda w: (held(f=types.MethodType(closure(w), 1)), "f[w]"),
    "slot": lambda w: (Slotted(w), "w"),
    "property": lambda w: (Property(w), "hidden[w]"),
}


@pytest.mark.parametrize("where", PLACES)
def test_a_parameter_is_found_in(where, w):
    root, name = PLACES[where](w)
    assert {name.replace("f[w]", "f.w").replace("[w]", ".w"): w}.items() <= {
        found.replace("[w]", ".w"): each for found, each in parameters_of(root).items()
    }.items()
