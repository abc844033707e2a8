"""Layers and losses as students write them, in plain NumPy, and the mistakes that people make in them.

Each stands here as it is right. A comment beneath a line is a wrong line, which a mistake has in its place:

    return grad_output * (x > 0)
    # WRONG mask of the upstream: return grad_output * (grad_output > 0)

Before the colon may stand, in brackets, for which input it is a mistake, and, in parentheses, where it shows, if it is
right at the given parameters and input:

    (parameters)  with other parameters, p (1 + 0.3 n) + 0.3 n, n from N(0, 1)
    (input)       at another input, normal numbers as large as the largest of this one, or 1 if that is less
    (batch)       with more rows, as many again of those
    (one)         with the first row alone
    (again)       in a second backward, whose gradients add up
    (upstream)    with an upstream gradient 2^20 times as large, or as small, or of the other sign
    (order)       with an upstream gradient whose memory is not in C order, or not contiguous
    (input_grad)  with input_grad=False
"""

import importlib
import inspect
import re
import sys
from typing import NamedTuple

KINDS = ["activations", "normalisation", "losses", "convolutions", "sequences", "scales", "kinks", "parameters", "rows"]
MISTAKE = re.compile(r" *# WRONG (?:\[(.+?)\] )?(.+?)(?: \((\w+)\))?: (.*)")
_written = []  # (the class or function, what is special about its input, build)


class Case(NamedTuple):
    name: str
    kind: str  # the module in which it stands
    place: str  # where it is wrong, "here" or one of the above; "" if it is right
    make: object  # the class or function
    of: object  # of(make, rng) -> layer, x, *others
    coarse: float  # the part of the largest entry, or of the upstream's, that rounding may leave where all else cancels

    def build(self, rng):
        """(layer, x, *others), of other parameters and inputs for each state of rng."""
        return self.of(self.make, rng)


def student(build, input="", coarse=0.0):
    """Decorates a class or function that is right: build(it, rng) -> layer, x, *others; coarse as in Case."""

    def note(written):
        _written.append((written, input, build, coarse))
        return written

    return note


def normal(rng, *shape):
    return rng.standard_normal(shape)


def cases():
    """(right, wrong): two lists of Cases."""
    for kind in KINDS:
        importlib.import_module(f"{__name__}.{kind}")
    right, wrong = [], []
    for written, input, build, coarse in _written:
        kind = written.__module__.rpartition(".")[2]
        right.append(Case(", ".join(filter(None, [written.__name__, input])), kind, "", written, build, coarse))
        lines = inspect.getsource(written).splitlines()
        while not lines[0].startswith(("class ", "def ")):  # but a decorator
            del lines[0]
        for number, line in enumerate(lines):
            mistake = MISTAKE.fullmatch(line)
            if mistake and (mistake[1] or "") == input:
                _, name, place, code = mistake.groups()
                above = max(n for n in range(number) if not MISTAKE.fullmatch(lines[n]))
                code = lines[above][: -len(lines[above].lstrip())] + code
                twin = _compiled([*lines[:above], code, *lines[above + 1 :]], written)
                wrong.append(Case(f"{right[-1].name}: {name}", kind, place or "here", twin, build, coarse))
    return right, wrong


def _compiled(lines, written):
    """The class or function that these lines define, in the place of another."""
    namespace = dict(vars(sys.modules[written.__module__]))
    exec(compile("\n".join(lines), f"{written.__name__} with a mistake", "exec"), namespace)
    return namespace[written.__name__]
