"""Lets gradcheck and torch.autograd.gradcheck judge the same layers and losses, and writes docs/gradcheck_compared.md.

    python tests/compare_gradchecks.py

Each with its defaults, for 20 seeds. The cases are those of tests/students, where mistakes stand beneath the right lines.
"""

import argparse
import warnings
from collections import Counter
from pathlib import Path

import students
from demos.environment import versions
from demos.output import Heading, Table, markdown
from students.checkers import nnlite_complaint, torch_complaint

CHECKERS = {"nnlite": nnlite_complaint, "PyTorch": torch_complaint}
PLACES = {
    "here": "at the given input and parameters",
    "parameters": "with other parameters alone",
    "input": "at another input alone",
    "batch": "with more rows alone",
    "one": "with one row alone",
    "upstream": "for an upstream gradient that is large, small or negative",
    "order": "for an upstream gradient that is not contiguous",
    "again": "in a second backward, whose gradients add up",
    "input_grad": "with input_grad=False",
}
NO_SUCH_CALL = ("again", "input_grad")  # in PyTorch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "gradcheck_compared.md")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of overflow, and of imaginary parts that are dropped
    right, wrong = students.cases()
    fooled = {}  # {(case, checker): for how many seeds}
    for case in right + wrong:
        for checker, complaint in CHECKERS.items():
            said = [complaint(case, seed) for seed in range(options.seeds)]
            fooled[case, checker] = sum((text is None) == bool(case.place) for text in said)
        print(f"{case.name:70}", *(fooled[case, checker] for checker in CHECKERS), flush=True)
    options.out.write_text(markdown(parts(right, wrong, fooled, options.seeds)) + "\n")


def parts(right, wrong, fooled, seeds):
    """The page: totals, then each case by which a checker is fooled."""

    def cells(cases):
        return [f"{sum(fooled[case, checker] > 0 for case in cases)}" for checker in CHECKERS]

    def count(case, checker):
        if checker == "PyTorch" and case.place in NO_SUCH_CALL:
            return "no such call"
        return str(fooled[case, checker] or "")

    def rows(cases):
        found = [case for case in cases if any(fooled[case, checker] for checker in CHECKERS)]
        return [[case.name, case.kind, case.place, *(count(case, checker) for checker in CHECKERS)] for case in found]

    places = Counter(case.place for case in wrong)
    totals = [[f"wrong {PLACES[place]}", str(n), *cells(c for c in wrong if c.place == place)] for place, n in places.items()]
    for row, place in zip(totals, places):
        row[-1] = "no such call" if place in NO_SUCH_CALL else row[-1]
    installed = ", ".join(f"{name} {version}" for name, version in versions(["numpy", "torch"]).items())
    return [
        "# Two gradient checkers, compared",
        f"The {len(right)} right and {len(wrong)} wrong layers and losses of tests/students, checked by nnlite.gradcheck "
        f"and by torch.autograd.gradcheck ({installed}), each with its defaults, for {seeds} seeds: other parameters and "
        "inputs each time. For PyTorch a layer is a torch.autograd.Function that calls its NumPy forward and backward, "
        "of its inputs and of every Parameter, in float64.",
        "    python tests/compare_gradchecks.py",
        "How many are judged wrongly, by one of the seeds at least:",
        Table(
            ["", "cases", *(f"fooled: {checker}" for checker in CHECKERS)],
            [["right, and rejected", str(len(right)), *cells(right)], *totals],
        ),
        "PyTorch checks at the given point, and its user chooses that: what is wrong elsewhere alone it is not made to "
        "see. It adds up gradients itself, so that there is no second backward and no input_grad; and it sums a gradient "
        "of a larger shape over its first axis.",
        Heading("Wrong, and accepted"),
        f"For how many of {seeds} seeds; nothing is none.",
        Table(["case", "kind", "where it is wrong", *CHECKERS], rows(wrong)),
        Heading("Right, and rejected"),
        f"For how many of {seeds} seeds.",
        Table(["case", "kind", "", *CHECKERS], rows(right)),
    ]


if __name__ == "__main__":
    main()
