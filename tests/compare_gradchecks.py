"""Lets gradcheck and torch.autograd.gradcheck judge the same layers and losses, and writes docs/gradcheck_compared.md.

    python tests/compare_gradchecks.py

Each with its defaults, for 20 seeds. The cases are those of tests/students, where mistakes stand beneath right lines.
"""

import argparse
import warnings
from pathlib import Path

import students
from students.checkers import nnlite_complaint, torch_complaint

from demos.environment import versions
from demos.output import Heading, Table, markdown

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
OF_OURS = ["again", "input_grad"]
NO_SUCH_CALL = "no such call"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "gradcheck_compared.md")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of overflow, and of imaginary parts that are dropped
    right, wrong = students.cases()
    fooled = {}  # {case: for how many seeds, by each checker}
    for case in right + wrong:
        said = [[complaint(case, seed) for seed in range(options.seeds)] for complaint in CHECKERS.values()]
        fooled[case] = [sum((text is None) == bool(case.place) for text in texts) for texts in said]
        print(f"{case.name:70}", *fooled[case], flush=True)
    options.out.write_text(markdown(parts(right, wrong, fooled, options.seeds)) + "\n")


def parts(right, wrong, fooled, seeds):
    """The page: totals, then each case by which a checker is fooled."""

    def totals(text, cases):
        ours, theirs = (str(sum(count > 0 for count in counts)) for counts in zip(*(fooled[case] for case in cases)))
        return [text, str(len(cases)), ours, NO_SUCH_CALL if cases[0].place in OF_OURS else theirs]

    def rows(cases):
        for case in cases:
            ours, theirs = (str(count or "") for count in fooled[case])
            if ours or theirs and case.place not in OF_OURS:
                yield [case.name, case.place, ours, NO_SUCH_CALL if case.place in OF_OURS else theirs]

    by_place = [
        totals(f"wrong {text} ({place})", [c for c in wrong if c.place == place]) for place, text in PLACES.items()
    ]
    installed = ", ".join(f"{name} {version}" for name, version in versions(["numpy", "torch"]).items())
    return [
        "# Two gradient checkers, compared",
        f"The {len(right)} right and {len(wrong)} wrong layers and losses of tests/students, by nnlite.gradcheck and"
        f" by torch.autograd.gradcheck ({installed}), each with its defaults, for {seeds} seeds: other parameters "
        "and inputs each time. For PyTorch a layer is a torch.autograd.Function that calls its NumPy forward and "
        "backward, of its inputs and of every Parameter, in float64.",
        f"    pip install torch==2.13.0 && python tests/compare_gradchecks.py --seeds {seeds}",
        "How many fool a checker for one of the seeds at least, the right ones by being rejected:",
        Table(["", "cases", *CHECKERS], [totals("right", right), *by_place]),
        "PyTorch checks at the point that its user gives, and is not made to see what is wrong elsewhere alone. It "
        "adds up gradients itself, so that its functions have no second backward and no input_grad, and sums a "
        "gradient that has a batch's axis too many.",
        Heading("Wrong, and accepted"),
        f"For how many of {seeds} seeds:",
        Table(["case", "wrong", *CHECKERS], list(rows(wrong))),
        Heading("Right, and rejected"),
        f"For how many of {seeds} seeds:",
        Table(["case", *CHECKERS], [[name, *counts] for name, _, *counts in rows(right)]),
    ]


if __name__ == "__main__":
    main()
