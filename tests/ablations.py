"""What each trick of nnlite/matmul.py is worth: python tests/ablations.py > docs/products.md

The module is compiled anew with one thing changed, and its large products are timed in turns with those of the module
as it is.
"""

import argparse
import time
import types
from pathlib import Path
from unittest import mock

import numpy as np
from numba.core.caching import NullCache

import nnlite.matmul
from demos.environment import processor
from demos.output import Table, markdown
from demos.race import PRODUCTS, operands
from demos.roofline import peak_flops

SOURCE = Path(nnlite.matmul.__file__).read_text()
ROUNDS, SECONDS = 5, 0.15  # of each variant and product: turns, and seconds of a turn

TRICKS = {  # what is changed: (a text of the module, another in its place), ...
    "as it is": [],
    "vectors of 32 bytes": [("= vector_registers()", "= 16, 32, True")],
    "a tile of 6 x 2 vectors": [("VECTORS = 4 if REGISTERS == 32 else 2", "VECTORS = 2"), ("VECTORS == 4 and", "")],
    "nothing read as it lies": [("VECTORS == 4 and", "False and")],
    "W and V turned instead of x and h": [("EMPTY = 5, 20", "EMPTY = 5, -1")],
    "nothing asked for ahead": [("            prefetch(D, d + r * d_row)", "            pass")],
    "K not cut": [("if K > max(M, N) else 1", "if K < 0 else 1")],
    "a job a thread": [("JOBS, JOB = 4", "JOBS, JOB = 1")],
    "16 jobs a thread": [("JOBS, JOB = 4, 3_000_000", "JOBS, JOB = 16, 500_000")],
    "blocks of 256 KB": [("SIDE, BLOCK = 512, 2**13", "SIDE, BLOCK = 512, 2**12")],
    "blocks of 256 rows": [("deep, wide = min(K, SIDE)", "deep, wide = min(K, SIDE // 2)")],
}


TITLE = """# The matrix products: what each trick is worth

`python tests/ablations.py > docs/products.md`

[nnlite/matmul.py](../nnlite/matmul.py) with one thing changed, its five large products timed in turns with those of the
module as it is: the fastest of each, and by how much their sum is longer."""

REMARK = """\
Four jobs a thread instead of one gain nothing on two cores that do nothing else; they are for cores of which one is
held up. "vectors of 32 bytes" is what a processor without AVX-512 would run, but on one that has it.

No change of a line can take away that pointers are handed from function to function instead of arrays: Numba counts who
holds an array, and threads waited for one another to do so, for each tile."""


def changed(changes):
    """The function matmul of the module with those changes."""
    source = SOURCE
    for text, other in changes:
        assert text in source, f"nnlite/matmul.py has no {text!r}"
        source = source.replace(text, other)
    variant = types.ModuleType("variant")
    with mock.patch("nnlite.compiling._Cache", lambda function: NullCache()):
        exec(compile(source, "variant", "exec"), vars(variant))
    return variant.matmul


def race(functions, arguments):
    """The fastest seconds of each function, which take turns."""
    fastest = dict.fromkeys(functions, np.inf)
    for _ in range(ROUNDS):
        for name, function in functions.items():
            function(*arguments)
            end = time.perf_counter() + SECONDS
            while (start := time.perf_counter()) < end:
                function(*arguments)
                fastest[name] = min(fastest[name], time.perf_counter() - start)
    return fastest


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[64, 512])
    functions = {name: changed(changes) for name, changes in TRICKS.items()}
    parts = [f"{processor()}; {peak_flops() / 1e9:.0f} billion float32 operations a second at most."]
    for batch in parser.parse_args().batch_sizes:
        times = [race(functions, (a, b, a @ b)) for a, b in operands(batch)]
        rows = []
        for name in functions:
            own = [each[name] for each in times]
            longer = sum(own) / sum(each["as it is"] for each in times) - 1
            rows.append([name, *(f"{1e3 * seconds:.1f}" for seconds in own), f"{1e3 * sum(own):.1f}", f"{longer:+.0%}"])
        parts += [f"Batch {batch}, milliseconds:", Table(["", *PRODUCTS, "their sum", ""], rows)]
    print(TITLE, markdown(parts), REMARK, sep="\n\n")


if __name__ == "__main__":
    main()
