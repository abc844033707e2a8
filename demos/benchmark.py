"""Times a training step and a reconstruction of the autoencoder against naive NumPy, and PyTorch and JAX if installed.

Each contender has a process of its own. They take turns, so that what disturbs the machine disturbs all, with a pause
after each turn, in which its threads fall asleep. What others do on the machine makes steps slower, never faster: the
fastest of all rounds says most, the medians how much it varies.
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
from demos.race import PRODUCTS, Race, a_process_that_streams
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
        ("--streams", {"action": "store_true"}, "time the step also while another process streams through memory"),
        ("--threads", COUNT | {"default": cores}, "of each contender (default: %(default)s, one a core)"),
    )
    options = settings.parse("python -m demos.benchmark", __doc__, argv, more)
    with use_backend("numba"):
        if current_backend() != "numba":
            settings.fail(options.prog, "found no Numba that compiles, wanted it for nnlite")
    settings.make_folder(options)
    with settings.one_line_of_errors(options.prog), tempfile.TemporaryDirectory() as folder:
        results = measure(options, Path(folder))
        save_figure(options, "benchmark.png", benchmark_figure(_fastest(results["step"]), results["bound"]))
        save_results(options, "benchmark", "Speed", results, parts(results))


def measure(options, folder):
    """All that is reported: {name of a measurement: {...}}, times in seconds."""
    from demos.roofline import traffic  # which wants Numba

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
        results["traffic"] = {batch: traffic(batch, options.threads) for batch in options.batch_sizes}
        results["bound"] = {batch: _bound(batch, **results["limits"]) for batch in options.batch_sizes}
        results["step"] = {batch: race.rounds("step", batch, names) for batch in options.batch_sizes}
        if options.streams:
            with a_process_that_streams():
                racing = [name for name in names if name == OURS or name in PEERS]
                results["streams"] = {batch: race.rounds("step", batch, racing) for batch in options.batch_sizes}
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
    step, products, limits, start = (results[name] for name in ("step", "products", "limits", "start"))
    names = list(next(iter(step.values())))
    base = "PyTorch eager" if "PyTorch eager" in names else NAIVE
    versioned = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    heads = ["", *(f"batch {batch}" for batch in step)]

    fastest = _fastest(step)
    rows = [[name, *(f"{1e3 * t[name]:.1f}, {t[base] / t[name]:.2f}" for t in fastest.values())] for name in names]
    if peers := [name for name in names if name in PEERS]:
        best = {batch: min(peers, key=t.get) for batch, t in fastest.items()}
        rows.append(["fastest peer / nnlite", *(f"{t[best[b]] / t[OURS]:.2f} {best[b]}" for b, t in fastest.items())])
    rows.append(["bound", *(f"{1e3 * bound:.1f}" for bound in results["bound"].values())])
    rows.append(["bound / nnlite", *(f"{results['bound'][b] / t[OURS]:.0%}" for b, t in fastest.items())])
    trained = [_ratio(times[OURS]["median"], times["nnlite, train()"]["median"]) for times in step.values()]
    said = [
        f"{results['machine']}, {results['threads']} in use; {versioned}.",
        f"A training step, the fastest of all rounds: milliseconds, and how many times as fast as {base}.",
        Table(heads, rows),
        "nnlite is its layers, called on float32 images; train() is the whole loop of autoencoders/training.py, on "
        "uint8 ones; nnlite, np.matmul has the products of NumPy and all else of nnlite; naive NumPy is the same step "
        "written with `@`, without a library. The bound is the time of all products at "
        f"{limits['flops'] / 1e9:.0f} billion multiplications and additions a second, measured on numbers that stay "
        "in registers and the first-level cache, and then of what Adam reads and writes at "
        f"{limits['bandwidth'] / 1e9:.0f} GB a second, measured in one pass over memory.",
        f"The same, the median of all rounds, and how many times as fast as {base} in a round: the median, the lowest "
        "and the highest; the two need not agree. In the last row, above 1, train() is the faster.",
        Table(heads, [*_rows(step, base), ["nnlite / its train()", *trained]]),
        "The large matrix products of a step, x and h standing for the inputs of the first and the last layer, W and V "
        "for their weights, the fastest of all rounds: milliseconds, the share of those multiplications and additions "
        "a second, and how many times as fast as OpenBLAS, by which NumPy multiplies:",
        Table(heads, _named(_products(times, batch, limits["flops"]) for batch, times in products.items())),
        "How many times as fast as OpenBLAS by the medians of a round: the median, the lowest and the highest:",
        Table(heads, _named(map(_medians, products.values()))),
        "Megabytes that pass the second-level cache in a product, counted from the loops of nnlite/matmul.py, / that "
        "must, each operand coming once and the result coming and going once:",
        Table(heads, _traffic_rows(results["traffic"])),
    ]
    if "streams" in results:
        said += [
            "A training step while another process copies 1 GB again and again with one thread, the fastest of all "
            "rounds: milliseconds, and how many times as long as without:",
            Table(heads, _slower(step, results["streams"])),
        ]
    return said + [
        "A reconstruction, the fastest of all rounds, and the medians as above:",
        Table(["", *(f"batch {batch}" for batch in results["infer"])], _rows(results["infer"], base, fastest=True)),
        f"The first training step ends {start['cold']:.1f} s after the start of the process if its kernels must be "
        f"compiled, {start['cached']:.1f} s if they are cached.",
    ]


def _fastest(by_batch):
    """{batch: {contender: seconds}}, of all rounds."""
    return {batch: {name: min(t["fastest"]) for name, t in times.items()} for batch, times in by_batch.items()}


def _ratio(times, faster):
    """How many times as fast: the median of the rounds (the lowest to the highest)."""
    ratios = np.divide(times, faster)
    return f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"


def _named(columns):
    """Rows of a table of the products and their sum."""
    return list(zip((*PRODUCTS, "their sum"), *columns))


def _products(times, batch, flops):
    """A cell for each of the five products, and for their sum."""
    least = 2 * batch * np.prod(FCN_SIZES[0]) / flops * np.array([1, 1, 1, 1, 1, 5])  # seconds
    ours, naive = (_with_sum(times[name]["fastest"]).min(axis=1) for name in (OURS, NAIVE))
    return [f"{1e3 * t:.1f}, {bound / t:.0%}, {n / t:.2f}" for t, bound, n in zip(ours, least, naive)]


def _medians(times):
    naive, ours = (_with_sum(times[name]["median"]) for name in (NAIVE, OURS))
    return list(map(_ratio, naive, ours))


def _with_sum(times):
    """(rounds, 5) -> (6, rounds)"""
    return np.column_stack([times, np.sum(times, axis=1)]).T


def _traffic_rows(traffic):
    table = np.array(list(traffic.values())) / 1e6  # (batches, 5, 2)
    table = np.concatenate([table, table.sum(axis=1, keepdims=True)], axis=1)
    return _named([f"{does:.0f} / {must:.0f}" for must, does in products] for products in table)


def _slower(step, streams):
    """A row a contender: milliseconds while another process streams, and how many times as long as without."""
    pairs = list(zip(_fastest(step).values(), _fastest(streams).values()))
    names = next(iter(streams.values()))
    return [[name, *(f"{1e3 * b[name]:.1f}, {b[name] / q[name]:.2f}" for q, b in pairs)] for name in names]


def _rows(by_batch, base, fastest=False):
    """A row a contender: milliseconds, and how many times as fast as `base`; the fastest before, if asked for."""

    def cell(times, name):
        best = f"{1e3 * min(times[name]['fastest']):.1f}; " if fastest else ""
        ratio = f", {_ratio(times[base]['median'], times[name]['median'])}" if name != base else ""
        return best + f"{1e3 * np.median(times[name]['median']):.1f}{ratio}"

    return [[name, *(cell(times, name) for times in by_batch.values())] for name in next(iter(by_batch.values()))]


if __name__ == "__main__":
    main()
