"""The checker on layers and losses as students write them: what is right is accepted, what is wrong is not."""

import functools
import re
from collections import Counter
from fnmatch import fnmatchcase

import numpy as np
import pytest
from students import KINDS, cases
from students.checkers import nnlite_complaint, torch_complaint
from students.measurement import wrong_at

pytestmark = [  # of their own: overflow, nan at an input that they are not made for, imaginary parts that are dropped
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning"),
]
RIGHT, WRONG = cases()
complaint = functools.cache(nnlite_complaint)  # more than one test asks for it
each_right = pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
each_wrong = pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name)


def for_other_seeds(test):
    """Runs the lines that seed 0 has run; pytest tests/test_student_layers.py --seeds 20 takes some minutes."""
    return pytest.mark.slow(pytest.mark.no_cover(test))


EVERYWHERE = ["here", "parameters", "input", "again", "upstream", "order", "input_grad"]
TRUE = {  # what may be said: of which mistakes, "name (place)"
    r"this looks like no mistake known here$": ["*"],
    r"is wrong at [1-9]\d* of \d+ entries alone": ["*"],
    r"is -1 times the right one": ["*: *sign*", "hinge: y forgotten *"],
    r"is -?[\d.]+ times the right one(: perhaps .*)?$": [
        "*: half*",
        "*twice*",
        "*: three times *",
        "*: not divided *",
        "*: sum for mean *",
        "*: mean for sum *",
        "* over the batch *",
        "*: mean *",
        "*'s mean *",
        "*: scale forgotten *",
        "*: factor 2 *",
        "*: cache of twice x *",
        "*: N for N - 1 *",
        "*: divided by T + 1 *",
        "WeightNorm: ?* forgotten *",
        "WeightNorm: v for *",
        "Head: slope for one row *",
        "OneHotEmbedding: b ten times *",
        "bce_with_logits: mean over rows *",
        "weighted_cross_entropy: number for *",
        "length: of the square *",
        "CalledInput: x seven times *",
        "Centres: sign and factor *",
    ],
    r"at .*, x = .*, has the slope (\S+), wanted (?!\1$)": [
        "*ReLU*: *",
        "ELU: *",
        "*Tanh: *",
        "*GELU: *",
        "SiLU: *",
        "S*ish: *",
        "*Sigmoid: *",
        "Soft[ps]*: *",
        "Square: *",
        "Exp: *",
        "Log: *",
        "Sqrt: *",
        "Sine: *",
        "Cube*: *",
        "Huge: *",
        "Dropout: *",
    ],
    r"is 0 everywhere: is it computed": ["*: not written yet *", "*: not added for one row *"],
    r"is 0 everywhere$": ["*"],
    r"is wrong for entries together that are right alone": ["MaxPool2d, ties: all of a tie *"],
    r"is not 0, but forward does not react": ["Unused: unused gets a gradient *", "Tanh: earlier forward *"],
    r"agrees in \d+ digits": ["*float32 *", "LayerScale: *", "GroupNorm: eps *", "Head: slope for one row *"],
    r"does not depend on grad_output": ["*upstream forgotten *", "*: x for the upstream *"],
    r"does not turn round with grad_output": ["*: mask of the upstream *", "*: sign of the upstream lost *"],
    r"has a term without grad_output": ["*: plus for times *", "*: penalty without the upstream *"],
    r"is grad_output itself": ["*: sum for product *", "*: not clipped *"],
    r"lacks grad_output itself": ["*: skip forgotten *"],
    r"does not depend on the last row of grad_output": [
        "*: first row*",
        "*: first image alone *",
        "*from the first row *",
    ],
    r"is overwritten": ["*overwritten *"],
    r"is right at first, but not in a second backward": ["*then 0 *"],
    r"is transposed$": ["*transposed *"],
    r"would be right with \w+ transposed": ["*transposed *"],
    r"is the derivative at the input of an earlier forward": ["*: earlier forward *"],
    r"is off by the constant": ["*: 0.1 too much *", "*: quantiles swapped *", "*: unused gets a gradient *"],
    r"each layer is right by itself": ["loss_with_a_head: *"],
    r"backward is not linear in grad_output": ["* (upstream)"],
    r"is another .*grad_output.*(contiguous|Fortran|memory)": ["* (order)"],
    r"with input_grad=False": ["* (input_grad)"],
    r"for a batch of 1\b": ["* (one)"],
    r"replaces the Parameter": ["Replacing: *"],
    r"has shape .*: sum it over the batch$": ["*: not summed *"],
}


def misleading(text, case):
    """The hints, or what is said without one, that are not true of a mistake."""
    said = [line for line in text.splitlines() if "hint: " in line] or text.splitlines()[:1]
    return [line for line in said if not _may_be_said(line, f"{case.name} ({case.place})")]


def _may_be_said(text, mistake):
    return any(
        re.search(sentence, text) and any(fnmatchcase(mistake, pattern) for pattern in mistakes)
        for sentence, mistakes in TRUE.items()
    )


def measured_wrong_at(case, place, seed):
    rng = np.random.default_rng(seed)
    layer, *inputs = case.build(rng)
    return wrong_at(place, layer, inputs, rng, case.coarse)


def faults_of_right(case, seed):
    return [f"{case.name}: {place}" for place in EVERYWHERE if measured_wrong_at(case, place, seed)]


def faults_of_wrong(case, seed):
    """It has to be wrong where the table says, and right at its input if that is elsewhere."""
    faults = [] if measured_wrong_at(case, case.place, seed) else [f"{case.name}: right"]
    if case.place != "here" and measured_wrong_at(case, "here", seed):
        faults.append(f"{case.name}: wrong at its input too")
    return faults


@each_right
def test_a_right_one_is_right_by_measurement(case):
    assert faults_of_right(case, 0) == []


@each_wrong
def test_a_wrong_one_is_wrong_by_measurement(case):
    assert faults_of_wrong(case, 0) == []


@for_other_seeds
def test_each_is_what_it_is_said_to_be_for_other_numbers(other_seed):
    right = [fault for case in RIGHT for fault in faults_of_right(case, other_seed)]
    assert right + [fault for case in WRONG for fault in faults_of_wrong(case, other_seed)] == []


def test_every_kind_and_every_place_has_its_members():
    assert min(len(RIGHT), len(WRONG)) >= 60
    kinds = [Counter(case.kind for case in table) for table in (RIGHT, WRONG)]
    places = Counter(case.place for case in WRONG)
    assert min(count[kind] for count in kinds for kind in KINDS) >= 3
    assert min(places[place] for place in places if place != "input_grad") >= 3


@each_right
def test_a_right_one_is_accepted(case):
    assert complaint(case, 0) is None


@each_wrong
def test_a_wrong_one_is_rejected(case):
    assert complaint(case, 0) is not None


@each_wrong
def test_no_hint_misleads(case):
    assert misleading(complaint(case, 0) or "", case) == []


@for_other_seeds
def test_none_that_is_right_is_rejected(other_seed):
    assert [case.name for case in RIGHT if nnlite_complaint(case, other_seed)] == []


@for_other_seeds
def test_none_that_is_wrong_is_accepted_or_misjudged(other_seed):
    complaints = [(case, nnlite_complaint(case, other_seed)) for case in WRONG]
    assert [case.name for case, text in complaints if text is None] == []
    assert [(case.name, hints) for case, text in complaints if (hints := misleading(text, case))] == []


@pytest.mark.parametrize(
    "name, accepted",
    [("LayerNorm", True), ("LayerNorm: variance as a constant", False), ("LayerNorm: gamma forgotten", True)],
)
def test_pytorch_judges_a_case_by_its_input_alone(name, accepted):
    pytest.importorskip("torch")
    (case,) = [case for case in RIGHT + WRONG if case.name == name]
    assert (torch_complaint(case, 0) is None) == accepted
