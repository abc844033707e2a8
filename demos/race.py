"""The race of demos.benchmark: a process for each contender, which measures itself whenever it is asked.

`python -m demos.race NAME IMAGES THREADS` is such a process, which keeps to so many cores. From stdin it reads orders,
one a line: a method of Worker and its arguments, such as ["step", 64, 5]. It answers each with one line, here of five
times in seconds.
"""

import contextlib
import functools
import json
import os
import subprocess
import sys
import time
import timeit
from pathlib import Path

import numpy as np

from autoencoders import FCNAutoencoder, load_images, train
from demos import settings
from demos.contenders import CONTENDERS, LR, NAIVE, OURS
from nnlite.layers import matmul

PAUSE = 0.12  # seconds; OpenBLAS's threads wait awake for 107 ms, in which they would slow down the next contender
TURN = 0.3  # seconds of each turn that count, about
WARM_UP = 8  # runs of each turn that do not count: threads wake, and train() gets the memory of its new model
PRODUCTS = ("y = x W^T", "dL/dW = dL/dy^T x", "y = h V^T", "dL/dV = dL/dy^T h", "dL/dh = dL/dy V")


def operands(batch):
    """The factors of PRODUCTS: x and h are the inputs of the first and the last layer, W and V their weights."""
    rng = np.random.default_rng(0)
    shapes = (batch, 12288), (batch, 12288), (512, 12288), (12288, 512), (batch, 512)
    x, grad_y, W, V, h = (rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes)
    return (x, W.T), (h.T, x), (h, V.T), (grad_y.T, h), (grad_y, V)


class Race:
    """The processes of some contenders, for a `with`, which ends them."""

    def __init__(self, options, images, names, **environment):
        """images: the path of a .npy file; environment: variables of the processes beside those of this one."""
        self.options = options
        threads = {f"{name}_NUM_THREADS": str(options.threads) for name in ("NUMBA", "OPENBLAS", "OMP", "MKL")}
        environment = os.environ | threads | {"NNLITE_BACKEND": "numba"} | environment
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.processes = {}
        for name in names:
            command = [_python(Path(images).parent), "-m", "demos.race", name, str(images), str(options.threads)]
            self.processes[name] = subprocess.Popen(command, env=environment, **pipes)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for process in self.processes.values():
            process.communicate()  # ends stdin, and with it the process

    def ask(self, name, *order):
        """The answer of a contender; one that is dead ends the program."""
        process = self.processes[name]
        try:
            print(json.dumps(order), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            settings.fail(self.options.prog, f"{name}: found its process dead, wanted an answer to {order[0]!r}")

    def rounds(self, what, batch, names):
        """{name: {"median": of each round, "fastest": of each round}}, in seconds; of "products", of all five."""
        repeat = {}
        for name in names:
            last = np.sum(self.ask(name, what, batch, WARM_UP)[-1])
            repeat[name] = int(np.clip(TURN / last, 3, 100))
        times = {name: {"median": [], "fastest": []} for name in names}
        for _ in range(self.options.rounds):
            for name in names:
                time.sleep(PAUSE)
                found = self.ask(name, what, batch, WARM_UP + repeat[name])[WARM_UP:]
                times[name]["median"].append(np.median(found, axis=0).tolist())
                times[name]["fastest"].append(np.min(found, axis=0).tolist())
        milliseconds = 1e3 * np.sum(np.min(times[OURS]["fastest"], axis=0))
        settings.say(self.options, f"{what:8} of {OURS} at batch size {batch}: {milliseconds:.1f} ms")
        return times


def _python(folder):
    """Python by a path without spaces, at which the linker stops that torch.compile calls; `folder` may get a link."""
    if " " not in sys.prefix:
        return sys.executable
    link = folder / "venv"
    if not link.exists():
        link.symlink_to(sys.prefix)
    return str(link / Path(sys.executable).relative_to(sys.prefix))


@contextlib.contextmanager
def a_process_that_streams():
    """For a `with`: another process copies 1 GB again and again, with one thread."""
    copying = "import numpy as np; a = np.ones(2**27); b = a.copy()\nwhile True: np.copyto(b, a)"
    process = subprocess.Popen([sys.executable, "-c", copying])
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Worker:
    """Obeys the orders for one contender. Each public method is an order; times are in seconds, one a run."""

    def __init__(self, name, images):
        self._name, self._images = name, images

    def begin(self, batch, steps):
        """Train anew, and return the mean loss of so many steps."""
        self._step, self._reconstruct = CONTENDERS[self._name]()
        return float(np.mean([float(self._step(x)) for x in self._batches(batch, steps)]))

    def step(self, batch, times):
        [x] = self._batches(batch, 1)
        return timeit.repeat(lambda: self._step(x), number=1, repeat=times)

    def infer(self, batch, times):
        [x] = self._batches(batch, 1)
        return timeit.repeat(lambda: self._reconstruct(x), number=1, repeat=times)

    def products(self, batch, times):
        """`times` lists of the times of PRODUCTS; the gradients of weights are written where they were before."""
        multiply, found = np.matmul if self._name == NAIVE else matmul, []
        for name, (a, b) in zip(PRODUCTS, operands(batch)):
            out = multiply(a, b) if name.startswith(("dL/dW", "dL/dV")) else None
            found.append(timeit.repeat(functools.partial(multiply, a, b, out=out), number=1, repeat=times))
        return np.transpose(found).tolist()

    def limits(self):
        from demos import roofline

        return {"flops": roofline.peak_flops(), "bandwidth": roofline.bandwidth()}

    def _batches(self, batch, count):
        images = self._images.sample(count * batch)
        return list(images.batches(batch, np.random.default_rng(batch)))


class TrainWorker(Worker):
    """Obeys those for train(): with everything that its loop does between two batches."""

    def begin(self, batch, steps):
        return self._train(batch, steps).train_loss[0]

    def step(self, batch, times):
        clock = []

        def note_the_time(x, rng):
            clock.append(time.perf_counter())
            return x

        self._train(batch, times + 1, note_the_time)
        return np.diff(clock).tolist()

    def _train(self, batch, steps, corrupt=None):
        model, rng = FCNAutoencoder(rng=np.random.default_rng(0)), np.random.default_rng(batch)
        images = self._images.subset(np.resize(np.arange(len(self._images)), steps * batch))
        arguments = {"epochs": 1, "batch_size": batch, "lr": LR, "validation": images.sample(1)}
        return train(model, images, rng=rng, corrupt=corrupt, **arguments)


def main():
    name, images, threads = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):  # Linux; JAX takes no other limit
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    worker = (TrainWorker if CONTENDERS[name] is train else Worker)(name, load_images(images))
    for line in sys.stdin:
        order, *given = json.loads(line)
        print(json.dumps(getattr(worker, order)(*given)), flush=True)


if __name__ == "__main__":
    main()
