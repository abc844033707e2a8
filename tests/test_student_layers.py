"""The checker on layers and losses as students write them: none that is right is rejected, none that is wrong accepted."""

from collections import Counter

import numpy as np
import pytest
from students import KINDS, cases
from students.measurement import wrong_at

from nnlite import GradcheckError, gradcheck

RIGHT, WRONG = cases()
SEEDS = range(20)

EVERYWHERE = ["here", "parameters", "input", "again", "upstream", "order", "input_grad"]
each_right = pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
each_wrong = pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name)
for_20_seeds = pytest.mark.parametrize("seed", SEEDS)


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


@pytest.mark.slow
@pytest.mark.no_cover
@for_20_seeds
def test_all_are_what_they_are_said_to_be_for_other_numbers(seed):
    right = [fault for case in RIGHT for fault in faults_of_right(case, seed)]
    assert right + [fault for case in WRONG for fault in faults_of_wrong(case, seed)] == []


def test_the_table_is_large():
    assert min(len(RIGHT), len(WRONG)) >= 60
    for table in (RIGHT, WRONG):
        assert min(Counter(case.kind for case in table)[kind] for kind in KINDS) >= 3
    places = Counter(case.place for case in WRONG)
    assert min(places[place] for place in ("parameters", "input", "batch", "one", "again", "upstream", "order")) >= 3


def complaint(case, seed):
    """What the checker says against it, or None."""
    rng = np.random.default_rng(seed)
    layer, *inputs = case.build(rng)
    try:
        with np.errstate(all="ignore"):
            gradcheck(layer, *inputs, rng=rng)
    except GradcheckError as error:
        return str(error)
    except ValueError as error:
        if case.kind == "parameters" and case.place:  # one that cannot be found is an answer too
            return str(error)
        raise


@each_right
def test_a_right_one_is_accepted(case):
    assert complaint(case, 0) is None


@each_wrong
def test_a_wrong_one_is_rejected(case):
    assert complaint(case, 0) is not None
