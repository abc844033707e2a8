"""Times a training step and a reconstruction of the autoencoder against naive NumPy, and PyTorch and JAX if installed.

Each contender has a process of its own. They take turns, so that what disturbs the machine disturbs all, with a pause
after each turn, in which its threads fall asleep. A ratio is the median of the ratios of one round.
"""

import functools
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from autoencoders import make_faces
from autoencoders.figures import benchmark_figure
from demos import settings
from demos.contenders import CONTENDERS, FCN_SIZES, STEPS
from demos.environment import processor, versions
from demos.output import Table, save_figure, save_results
from nnlite import use_backend
from nnlite.backend import current_backend

OURS = "nnlite"
PACKAGES = ("numpy", "numba", "torch", "jax")
PEERS = {"PyTorch eager": "torch", "PyTorch fused": "torch", "PyTorch compiled": "torch", "JAX": "jax"}
NO_INFERENCE = ("nnlite, train()", "PyTorch fused")  # they differ from "nnlite" and "PyTorch eager" in training alone
PAUSE = 0.12  # seconds; OpenBLAS's threads wait awake for 107 ms, in which they would slow down the next contender
TURN = 0.3  # seconds of each turn that count, about
WARM_UP = 8  # runs of each turn that do not count: threads wake, and train() gets the memory of its new model
SAME = 1e-4  # relative difference of float32 losses that counts as none
INFERENCE_BATCHES = (1, 256)
# in the order of Nnlite.products
PRODUCTS = ("y = x W^T", "dL/dW = dL/dy^T x", "y = h V^T", "dL/dV = dL/dy^T h", "dL/dh = dL/dy V")


def main(argv=None):
    parser = settings.parser("python -m demos.benchmark", __doc__)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    add = functools.partial(parser.add_argument, metavar="N", type=settings.positive)
    add("--batch-sizes", nargs="+", default=[64, 128, 256, 512], help="of the training step (default: 64 128 256 512)")
    add("--rounds", default=7, help="turns of each contender at each batch size (default: %(default)s)")
    add("--threads", default=cores, help="of each contender (default: %(default)s, one a core)")
    options = settings.parse(parser, argv)
    with use_backend("numba"):
        if current_backend() != "numba":
            settings.fail(options.prog, "found no Numba that compiles, wanted it for nnlite")
    settings.make_folder(options)
    with settings.one_line_of_errors(options.prog), tempfile.TemporaryDirectory() as folder:
        images, count = Path(folder) / "images.npy", max(STEPS * max(options.batch_sizes), *INFERENCE_BATCHES)
        np.save(images, make_faces(count, np.random.default_rng(options.seed))[0])
        race = Race(options, images, folder)
        try:
            results = measure(race, options)
        except ContenderError as error:
            settings.fail(options.prog, error)
        finally:
            race.end()
        save_figure(options, "benchmark.png", benchmark_figure(results["step"], results["bound"]))
        save_results(options, "benchmark", "Speed", results, parts(results))


def measure(race, options):
    """All that is reported: {name of a measurement: {...}}, times in seconds."""
    settings.say(options, f"contenders: {'; '.join(race.names)}")
    results = {"machine": processor(), "threads": options.threads, "versions": versions(PACKAGES)}
    for batch in options.batch_sizes:
        race.check_losses(batch)
    results["start"] = {"cold": race.first_step(), "cached": race.first_step()}
    flops, limits = {batch: _flops_of_a_step(batch) for batch in options.batch_sizes}, race.ask(OURS, "limits")
    settings.say(options, f"every contender computes the same losses at batch sizes {', '.join(map(str, flops))}")
    traffic = 7 * 4 * sum((i + 1) * o for i, o in FCN_SIZES)  # Adam reads p, g, m, v and writes p, m, v
    results["limits"] = limits
    results["bound"] = {b: flops[b] / limits["flops"] + traffic / limits["bandwidth"] for b in flops}
    results["step"] = {b: race.rounds("step", b, options.rounds, race.names) for b in options.batch_sizes}
    able = [name for name in race.names if name not in NO_INFERENCE]
    results["infer"] = {b: race.rounds("infer", b, options.rounds, able) for b in INFERENCE_BATCHES}
    both = (OURS, "naive NumPy")
    results["products"] = {b: race.rounds("products", b, options.rounds, both) for b in options.batch_sizes}
    return results


class ContenderError(Exception):
    """A contender died or computed something else."""


class Race:
    """The processes of the contenders that are installed."""

    def __init__(self, options, images, folder):
        self.options, self.images, self.folder = options, images, folder
        variables = ("NUMBA", "OPENBLAS", "OMP", "MKL")
        self.environment = os.environ | {f"{name}_NUM_THREADS": str(options.threads) for name in variables}
        self.environment["NNLITE_BACKEND"] = "numba"
        self.names = [name for name in CONTENDERS if name not in PEERS or importlib.util.find_spec(PEERS[name])]
        self.processes = {name: self._start(name, self.environment) for name in self.names}

    def _start(self, name, environment):
        command = [sys.executable, "-m", "demos.contenders", name, str(self.images), str(self.options.threads)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=environment, **pipes)

    def ask(self, name, order, **details):
        return _answer(self.processes[name], name, order, **details)

    def first_step(self):
        """Seconds from the start of a process to the end of its first step; kernels come from a cache of its own."""
        start = time.perf_counter()
        process = self._start(OURS, self.environment | {"NUMBA_CACHE_DIR": str(Path(self.folder, "cache"))})
        _answer(process, OURS, "step", batch=64, times=1)
        seconds = time.perf_counter() - start
        process.communicate()
        return seconds

    def check_losses(self, batch):
        losses = {name: self.ask(name, "loss", batch=batch) for name in self.names}
        for name, loss in losses.items():
            if not abs(loss / losses[OURS] - 1) < SAME:
                raise ContenderError(f"batch size {batch}: {name} has the loss {loss}, wanted {losses[OURS]}")

    def rounds(self, order, batch, rounds, names):
        """{name: the median time of each round}; of the products, those of all five."""
        repeat = {}
        for name in names:
            last = np.sum(self.ask(name, order, batch=batch, times=WARM_UP)[-1])
            repeat[name] = int(np.clip(TURN / last, 3, 100))
        medians = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                time.sleep(PAUSE)
                times = self.ask(name, order, batch=batch, times=WARM_UP + repeat[name])[WARM_UP:]
                medians[name].append(np.median(times, axis=0).tolist())
        milliseconds = 1e3 * _time(medians[OURS])
        settings.say(self.options, f"{order:8} of {OURS} at batch size {batch}: {milliseconds:.1f} ms")
        return medians

    def end(self):
        for process in self.processes.values():
            process.communicate()  # ends stdin, and with it the process


def _answer(process, name, order, **details):
    try:
        process.stdin.write(json.dumps({"order": order} | details) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())
    except (BrokenPipeError, json.JSONDecodeError):
        raise ContenderError(f"{name}: found its process dead, wanted an answer to {order!r}") from None


def _flops_of_a_step(batch):
    """Of the products: forward, dL/dW, and dL/dx but for the first layer; a multiply-add counts as 2."""
    sizes = [i * o for i, o in FCN_SIZES]
    return 2 * batch * (3 * sum(sizes) - sizes[0])


def parts(results):
    """What benchmark.md says."""
    step, infer, products = results["step"], results["infer"], results["products"]
    bound, limits, start = results["bound"], results["limits"], results["start"]
    base = next(name for name in ("PyTorch eager", "naive NumPy") if name in step[min(step)])
    ours = {batch: medians[OURS] for batch, medians in step.items()}
    versioned = ", ".join(f"{name} {version}" for name, version in results["versions"].items())

    rows = _rows(step, base)
    peers = [name for name in step[min(step)] if name in PEERS]
    if peers:
        fastest = {batch: min(peers, key=lambda name: np.median(medians[name])) for batch, medians in step.items()}
        ratios = [f"{_ratio(step[b][fastest[b]], ours[b])} {fastest[b]}" for b in step]
        rows.append(["fastest peer / nnlite", *ratios])
    rows.append(["nnlite / its train()", *(_ratio(ours[b], step[b]["nnlite, train()"]) for b in step)])
    rows.append(["bound", *(f"{1e3 * bound[b]:.1f}" for b in step)])
    rows.append(["bound / nnlite", *(f"{bound[b] / np.median(ours[b]):.0%}" for b in step)])
    pairs = [[np.array(medians[who]) for who in ("naive NumPy", OURS)] for medians in products.values()]
    of_products = [[name, *(_ratio(blas[:, n], own[:, n]) for blas, own in pairs)] for n, name in enumerate(PRODUCTS)]
    of_products.append(["their sum", *(_ratio(blas.sum(axis=1), own.sum(axis=1)) for blas, own in pairs)])
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
        Table(["", *(f"batch {batch}" for batch in products)], of_products),
        "A reconstruction:",
        Table(["", *(f"batch {batch}" for batch in infer)], _rows(infer, base)),
        f"The first training step ends {start['cold']:.1f} s after the start of the process if its kernels must be "
        f"compiled, {start['cached']:.1f} s if they are cached.",
    ]


def _time(medians):
    return np.sum(np.median(medians, axis=0))


def _ratio(times, faster):
    """How many times as fast: the median of the rounds (the lowest to the highest)."""
    ratios = np.divide(times, faster)
    return f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"


def _rows(by_batch, base):
    """A row a contender: milliseconds, and how many times as fast as `base`."""

    def cell(medians, name):
        return f"{1e3 * np.median(medians[name]):.1f}" + (name != base) * f", {_ratio(medians[base], medians[name])}"

    return [[name, *(cell(medians, name) for medians in by_batch.values())] for name in by_batch[min(by_batch)]]


if __name__ == "__main__":
    main()
