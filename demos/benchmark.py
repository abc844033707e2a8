"""Times a training step and a reconstruction of the autoencoder against naive NumPy, and PyTorch and JAX if installed.

Each contender has a process of its own. They take turns, so that what disturbs the machine disturbs all, with a pause
after each turn, in which its threads fall asleep. A ratio is the median of the ratios of one round.
"""

import importlib.util
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from autoencoders import make_faces
from autoencoders.figures import benchmark_figure
from demos import settings
from demos.contenders import CONTENDERS, NAIVE, OURS
from demos.environment import processor, versions
from demos.output import Table, save_figure, save_results
from demos.race import PRODUCTS, Race
from demos.settings import COUNT
from nnlite import use_backend
from nnlite.backend import current_backend

PACKAGES = ("numpy", "numba", "torch", "jax")
PEERS = {"PyTorch eager": "torch", "PyTorch fused": "torch", "PyTorch compiled": "torch", "JAX": "jax"}
NO_INFERENCE = ("nnlite, train()", "PyTorch fused")  # they differ from "nnlite" and "PyTorch eager" in training alone
STEPS = 3  # over which the losses of all contenders must agree
SAME = 1e-4  # relative difference of float32 losses that counts as none
INFERENCE_BATCHES = (1, 256)
FIRST_BATCH = 64  # of the step that is timed from the start of a process
FCN_SIZES = ((12288, 512), (512, 24), (24, 512), (512, 12288))  # (in, out) of the Linears


def main(argv=None):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    several = COUNT | {"nargs": "+", "default": [64, 128, 256, 512]}
    more = (
        ("--batch-sizes", several, "of the training step (default: 64 128 256 512)"),
        ("--rounds", COUNT | {"default": 7}, "turns of each contender at each batch size (default: %(default)s)"),
        ("--threads", COUNT | {"default": cores}, "of each contender (default: %(default)s, one a core)"),
    )
    options = settings.parse("python -m demos.benchmark", __doc__, argv, more)
    with use_backend("numba"):
        if current_backend() != "numba":
            settings.fail(options.prog, "found no Numba that compiles, wanted it for nnlite")
    settings.make_folder(options)
    with settings.one_line_of_errors(options.prog), tempfile.TemporaryDirectory() as folder:
        results = measure(options, Path(folder))
        save_figure(options, "benchmark.png", benchmark_figure(results["step"], results["bound"]))
        save_results(options, "benchmark", "Speed", results, parts(results))


def measure(options, folder):
    """All that is reported: {name of a measurement: {...}}, times in seconds."""
    images, count = folder / "images.npy", max(STEPS * max(options.batch_sizes), *INFERENCE_BATCHES, FIRST_BATCH)
    np.save(images, make_faces(count, np.random.default_rng(options.seed))[0])
    names = [name for name in CONTENDERS if name not in PEERS or importlib.util.find_spec(PEERS[name])]
    results = {"machine": processor(), "threads": options.threads, "versions": versions(PACKAGES)}
    with Race(options, images, names) as race:
        settings.say(options, f"contenders: {'; '.join(names)}")
        for batch in options.batch_sizes:
            losses = {name: race.ask(name, "begin", batch, STEPS) for name in names}
            for name, loss in losses.items():
                if not abs(loss / losses[OURS] - 1) < SAME:
                    found = f"{name} has the loss {loss}, wanted {losses[OURS]}"
                    settings.fail(options.prog, f"batch size {batch}: {found}")
        results["start"] = {kernels: _first_step(options, images, folder / "cache") for kernels in ("cold", "cached")}
        sizes = ", ".join(map(str, options.batch_sizes))
        settings.say(options, f"every contender computes the same losses at batch sizes {sizes}")
        results["limits"] = race.ask(OURS, "limits")
        results["bound"] = {batch: _bound(batch, **results["limits"]) for batch in options.batch_sizes}
        results["step"] = {batch: race.rounds("step", batch, names) for batch in options.batch_sizes}
        able = [name for name in names if name not in NO_INFERENCE]
        results["infer"] = {batch: race.rounds("infer", batch, able) for batch in INFERENCE_BATCHES}
        results["products"] = {batch: race.rounds("products", batch, (OURS, NAIVE)) for batch in options.batch_sizes}
    return results


def _first_step(options, images, cache):
    """Seconds from the start of a process to the end of its first step; its kernels are kept in the folder `cache`."""
    start = time.perf_counter()
    with Race(options, images, [OURS], NUMBA_CACHE_DIR=str(cache)) as race:
        race.ask(OURS, "begin", FIRST_BATCH, 1)
        return time.perf_counter() - start


def _bound(batch, flops, bandwidth):
    """Seconds that a step takes at least: all products, and then Adam, which reads p, g, m, v and writes p, m, v.

    The products are forward, dL/dW, and dL/dx but for the first layer; a multiply-add counts as 2.
    """
    weights = [i * o for i, o in FCN_SIZES]
    traffic = 7 * 4 * sum((i + 1) * o for i, o in FCN_SIZES)  # bytes
    return 2 * batch * (3 * sum(weights) - weights[0]) / flops + traffic / bandwidth


def parts(results):
    """What benchmark.md says."""
    step, infer, products = results["step"], results["infer"], results["products"]
    bound, limits, start = results["bound"], results["limits"], results["start"]
    names = list(next(iter(step.values())))
    base = "PyTorch eager" if "PyTorch eager" in names else NAIVE
    versioned = ", ".join(f"{name} {version}" for name, version in results["versions"].items())

    rows = _rows(step, base)
    ours = {batch: medians[OURS] for batch, medians in step.items()}
    if peers := [name for name in names if name in PEERS]:
        fastest = {batch: min(peers, key=lambda name: np.median(medians[name])) for batch, medians in step.items()}
        ratios = [f"{_ratio(step[b][fastest[b]], ours[b])} {fastest[b]}" for b in step]
        rows.append(["fastest peer / nnlite", *ratios])
    rows.append(["nnlite / its train()", *(_ratio(ours[b], step[b]["nnlite, train()"]) for b in step)])
    rows.append(["bound", *(f"{1e3 * bound[b]:.1f}" for b in step)])
    rows.append(["bound / nnlite", *(f"{bound[b] / np.median(ours[b]):.0%}" for b in step)])
    product_rows = zip((*PRODUCTS, "their sum"), *map(_product_ratios, products.values()))
    return [
        f"{results['machine']}, {results['threads']} in use; {versioned}.",
        f"A training step: milliseconds, and how many times as fast as {base}. A time is the median of the rounds, a "
        "ratio the median of the ratios of one round, with the lowest and the highest; the two need not agree.",
        Table(["", *(f"batch {batch}" for batch in step)], rows),
        "nnlite is its layers, called on float32 images; train() is the whole loop of autoencoders/training.py, on "
        "uint8 ones; naive NumPy is the same step written with `@`, without a library. In the last rows, a / b "
        "is the time of a over that of b: above 1, b is the faster. The bound is the time of all products at "
        f"{limits['flops'] / 1e9:.0f} billion multiplications and additions a second, measured on numbers that never "
        f"leave the registers, and then of what Adam reads and writes at {limits['bandwidth'] / 1e9:.0f} GB a second, "
        "measured in one pass over memory.",
        "The large matrix products of a step, x and h standing for the inputs of the first and the last layer, W and V "
        "for their weights: how many times as fast as OpenBLAS, by which NumPy multiplies:",
        Table(["", *(f"batch {batch}" for batch in products)], list(product_rows)),
        "A reconstruction:",
        Table(["", *(f"batch {batch}" for batch in infer)], _rows(infer, base)),
        f"The first training step ends {start['cold']:.1f} s after the start of the process if its kernels must be "
        f"compiled, {start['cached']:.1f} s if they are cached.",
    ]


def _ratio(times, faster):
    """How many times as fast: the median of the rounds (the lowest to the highest)."""
    ratios = np.divide(times, faster)
    return f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"


def _product_ratios(medians):
    """Those of naive NumPy's times to nnlite's: of the five products, and of their sum."""
    naive, ours = (np.array(medians[name]) for name in (NAIVE, OURS))  # (rounds, 5) each
    return [*map(_ratio, naive.T, ours.T), _ratio(naive.sum(axis=1), ours.sum(axis=1))]


def _rows(by_batch, base):
    """A row a contender: milliseconds, and how many times as fast as `base`."""

    def cell(medians, name):
        return f"{1e3 * np.median(medians[name]):.1f}" + (name != base) * f", {_ratio(medians[base], medians[name])}"

    return [[name, *(cell(medians, name) for medians in by_batch.values())] for name in next(iter(by_batch.values()))]


if __name__ == "__main__":
    main()
