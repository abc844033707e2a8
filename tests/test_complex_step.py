"""docs/complex_step.md: its programs behave as it says, its slopes are right, and so is what to write instead."""

import re
from pathlib import Path

import numpy as np
import pytest
from complex_step import CARRIES, ROWS, VERSIONS, measure, point, run, slopes

PAGE = (Path(__file__).parents[1] / "docs" / "complex_step.md").read_text(encoding="utf-8")
WRITTEN_WITH = dict(re.findall(r"(NumPy|SciPy|Numba) ([\d.]+)", PAGE.partition("Written by")[0]))
KINDS = {
    row: section.splitlines()[0]
    for section in re.split(r"^## ", PAGE, flags=re.M)[1:]
    for row in re.findall(r"^\| `(.*?)` \| (\S+) \|", section, re.M)
}

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of an exp that overflows


@pytest.fixture(params=["NumPy", "SciPy", pytest.param("Numba", marks=pytest.mark.slow)])
def rows(request):
    """The rows of one library. An older one than the page's may lack a function, or treat it otherwise."""
    library, version = request.param, VERSIONS.get(request.param)
    if version is None or release(version) < release(WRITTEN_WITH[library]):
        pytest.skip(f"the page is of {library} {WRITTEN_WITH[library]}, here is {version}")
    return [row for row in ROWS if row.library == library]


def release(version):
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def of_real(program, x):
    return np.asarray(run(program, x=x, njit=lambda function: function))  # without compiling it


def one_sided_slope(row, h):
    """On the side of x to which h points, off by h^2."""
    x, d = point(row)
    y, near, far = (of_real(row.program, x + t * d) for t in (0, h / 2, h))
    return (4 * near - far - 3 * y) / h


def test_the_page_has_every_program_and_what_to_write_instead():
    assert set(KINDS) == {(row.program, row.at) for row in ROWS} and len(KINDS) == len(ROWS)
    assert [row.instead for row in ROWS if row.instead and f"| `{row.instead}` |" not in PAGE] == []


def test_what_becomes_of_a_complex_step_is_what_the_page_says(rows):
    here = {(row.program, row.at): measure(row, row.program).kind for row in rows}
    assert [f"{row}: {KINDS[row]}; here: {kind}" for row, kind in here.items() if kind != KINDS[row]] == []


def test_what_to_write_instead_carries_the_step(rows):
    assert [row for row in rows if row.instead and measure(row, row.instead).kind != CARRIES] == []


def test_what_to_write_instead_gives_the_same_for_a_real_x(rows):
    for row in (row for row in rows if row.instead):
        x, _ = point(row)
        assert np.allclose(of_real(row.instead, x), of_real(row.program, x), rtol=1e-12, atol=1e-15), row


def test_the_slopes_are_those_of_differences(rows):
    for row in rows:
        largest = np.max(np.abs(of_real(row.program, point(row)[0])))
        for h, slope in zip((-1e-5, 1e-5), slopes(row)):
            tolerance = 1e-6 * max(largest, np.max(np.abs(slope)))
            assert np.max(np.abs(one_sided_slope(row, h) - slope)) <= tolerance, row
