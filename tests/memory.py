"""Trains the full-size autoencoder on 10,000 and on 140,000 images, and measures memory and the wait for data.

    python tests/memory.py

The files are of random bytes, 1.7 GB the larger one, in a temporary folder and, just written, in the page cache. The
memory is RssAnon of the training process, which the operating system reports, read every 5 ms: what is private to it,
without the pages of the mapped file, which the system may drop at any time.
"""

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from autoencoders import Checkpoint, FCNAutoencoder, ImageSet, load_images, train

COUNTS = (10_000, 140_000)


class Enough(Exception):
    pass


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10**9, help="stop after so many (default: an epoch)")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--every", type=float, default=20, help="seconds between checkpoints (default: %(default)s)")
    parser.add_argument("--sparse", action="store_true", help="black images, which take no space on the disk")
    parser.add_argument("--train", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train_an_epoch(Path(options.train), options)
        return
    peaks = []
    print(f"{'images':>7}  {'peak RssAnon':>12}  {'a step':>8}  waiting for data", flush=True)
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            write_images(Path(folder) / "images.npy", count, options.sparse)
            arguments = ["--steps", options.steps, "--batch-size", options.batch_size, "--every", options.every]
            command = [sys.executable, __file__, *map(str, arguments), "--train", str(Path(folder) / "images.npy")]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                peak = peak_mebibytes(process)
                said = process.stdout.read().strip()
            if process.returncode:
                sys.exit(process.returncode)
        print(f"{count:7}  {peak:8.0f} MiB  {said}", flush=True)
        peaks.append(peak)
    assert peaks[1] < min(700, 1.05 * peaks[0])


def write_images(path, count, sparse):
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (count, 64, 64, 3))
    rng = np.random.default_rng(0)
    for start in () if sparse else range(0, count, 1000):
        images[start : start + 1000] = rng.integers(0, 256, images[start : start + 1000].shape, np.uint8)
    images.flush()


def peak_mebibytes(process):
    peak = 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = max(peak, *map(int, re.findall(r"RssAnon:\s+(\d+) kB", status)), 0)
        time.sleep(0.005)
    return peak / 1024


def train_an_epoch(path, options):
    """Train, and print the time of a step and the share of it in which it waited for its images."""
    rng = np.random.default_rng(0)
    images, validation = load_images(path).split(rng)
    waits, ends, batches = [], [], ImageSet.batches

    def timed(self, *arguments):
        iterator = batches(self, *arguments)
        if self is validation:
            yield from iterator
            return
        while True:
            start = time.perf_counter()
            x = next(iterator, None)
            if x is None:
                return
            waits.append(time.perf_counter() - start)
            yield x
            ends.append(time.perf_counter())
            if len(ends) == options.steps:
                raise Enough

    ImageSet.batches = timed
    checkpoint = Checkpoint(path.with_name("run.npz"), every=options.every)
    model, settings = FCNAutoencoder(rng=np.random.default_rng(1)), {"epochs": 1, "batch_size": options.batch_size}
    with contextlib.suppress(Enough):
        train(model, images, validation=validation, rng=rng, checkpoint=checkpoint, **settings)
    step, wait = (ends[-1] - ends[0]) / (len(ends) - 1), np.mean(waits[1:])
    print(f"{1000 * step:5.1f} ms  {1000 * wait:.2f} ms, {wait / step:.1%} of it")


if __name__ == "__main__":
    main()
