"""Damages valid files byte by byte for some seconds, and checks that the loaders take no harm from any of them.

    python tests/mutations.py --seconds 600

Of a damaged file a loader may raise what its docstring names, or read what the file was before or, of pixels, others.
Anything else ends this with the exception, and so do a changed file, a file left behind and memory without a bound.
"""

import argparse
import multiprocessing
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from autoencoders import Checkpoint, FCNAutoencoder, ImageSet, load_images, make_faces, train
from nnlite import load_weights, save_weights

MEBIBYTES = 500  # that a loader may need: a picture may have 89 million pixels
FACES = make_faces(8, np.random.default_rng(0))[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{'loader':12} {'files':>8} {'refused':>8} {'read':>8}  memory, MiB", flush=True)
    for name in LOADERS:  # each in a process of its own, for its memory
        arguments = name, options.seconds / len(LOADERS), options.seed
        process = multiprocessing.get_context("fork").Process(target=damage, args=arguments)
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(1)


def damage(name, seconds, seed):
    rng, ends, read, refused = np.random.default_rng(seed), time.monotonic() + seconds, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        paths, load = LOADERS[name](folder)
        valid = {path: path.read_bytes() for path in paths}
        load()
        files, before = set(folder.rglob("*")), peak()
        while read + refused < 20 or time.monotonic() < ends:
            path = paths[rng.integers(len(paths))]
            content = mutated(valid[path], rng)
            path.write_bytes(content)
            try:
                load()
                read += 1
            except (OSError, ValueError) as error:
                assert str(folder) in str(error), f"the file is not named: {error}"
                refused += 1
            if name != "cache":  # which is made anew
                assert path.read_bytes() == content
                assert {file for file in folder.rglob("*") if "cache" not in file.parts} <= files
            path.write_bytes(valid[path])
    needed = peak() - before
    assert needed < MEBIBYTES, f"{name}: {needed:.0f} MiB"
    print(f"{name:12} {read + refused:8} {refused:8} {read:8}  {needed:.0f}", flush=True)


def peak():
    """The largest resident memory that this process has had so far, in MiB."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def mutated(data, rng):
    """The bytes with one to four faults, half of them near an end, where headers and directories are."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        near = min(len(data), 300) if rng.random() < 0.5 else len(data)
        at = int(rng.integers(near)) if rng.random() < 0.5 else len(data) - 1 - int(rng.integers(near))
        length = int(rng.integers(1, 9))
        fault = rng.integers(7)
        if fault == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif fault == 1:
            data[at : at + length] = rng.bytes(length)
        elif fault == 2:
            data[at : at + length] = rng.choice([b"\x00", b"\xff", b"\x7f", b"9"]) * length
        elif fault == 3:
            data[at:at] = rng.bytes(length)
        elif fault == 4:
            del data[at : at + int(rng.integers(1, 200))]
        elif fault == 5:
            data[at:at] = data[at : at + int(rng.integers(1, 200))]
        else:
            del data[at:]
        if not data:
            return b""
    return bytes(data)


def weights(folder):
    model = small_model()
    save_weights(folder / "stored.npz", model)
    np.savez_compressed(folder / "deflated.npz", **model.state_dict())
    right = model.state_dict()

    def load():
        for path in (folder / "stored.npz", folder / "deflated.npz"):
            try:
                load_weights(path, model)
            finally:
                assert all(np.array_equal(array, right[name]) for name, array in model.state_dict().items())

    return [folder / "stored.npz", folder / "deflated.npz"], load


def checkpoint(folder):
    path = folder / "run.npz"
    images, validation = ImageSet(FACES, rows=np.arange(6)), ImageSet(FACES, rows=np.arange(6, 8))
    settings = {"epochs": 1, "batch_size": 2, "validation": validation}
    model = small_model()
    train(model, images, **settings, rng=np.random.default_rng(0), checkpoint=Checkpoint(path, every=0))

    def load():
        resumed = small_model()
        train(resumed, images, **settings, rng=np.random.default_rng(0), checkpoint=Checkpoint(path, resume=True))
        for parameter, wanted in zip(resumed.parameters(), model.parameters()):
            assert np.array_equal(parameter.data, wanted.data)

    return [path], load


def images(folder):
    np.save(folder / "images.npy", FACES)
    return [folder / "images.npy"], lambda: read_all(load_images(folder / "images.npy"))


def pictures(folder):
    (folder / "pictures").mkdir()
    paths = [folder / "pictures" / f"{name}" for name in ("a.jpg", "b.png", "c.webp", "d.bmp", "e.png")]
    for path, face in zip(paths, FACES):
        Image.fromarray(face).convert("P" if path.name == "e.png" else "RGB").save(path)
    return paths, lambda: read_all(load_images(folder / "pictures"))


def cache(folder):
    _, load = pictures(folder)
    load()
    return sorted((folder / "cache" / "nnlite").iterdir()), load


def read_all(images):
    assert all(batch.shape[1:] == (12288,) for batch in images.batches(3, np.random.default_rng(0)))


def small_model():
    return FCNAutoencoder(hidden_features=2, latent_features=2, rng=np.random.default_rng(0))


LOADERS = {each.__name__: each for each in (weights, checkpoint, images, pictures, cache)}

if __name__ == "__main__":
    main()
