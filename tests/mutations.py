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
import warnings
import zipfile
from pathlib import Path

import numpy as np
from by_hand import bmp_with_alpha, icc_profile
from PIL import Image

from autoencoders import Checkpoint, FCNAutoencoder, ImageSet, load_images, make_faces, train
from autoencoders.pictures import MEMORY, formats
from nnlite import load_weights, save_weights

MEBIBYTES = MEMORY / 2**20 + 100  # that a loader may need
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
    warnings.simplefilter("error")
    rng, ends, read, refused = np.random.default_rng(seed), time.monotonic() + seconds, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        paths, load = LOADERS[name](folder)
        valid = {path: path.read_bytes() for path in paths}
        for path in paths:
            load(path)
        files, before = set(folder.rglob("*")), peak()
        while read + refused < 20 or time.monotonic() < ends:
            path = paths[rng.integers(len(paths))]
            content = mutated(valid[path], rng)
            path.write_bytes(content)
            try:
                load(path)
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

    def load(path):
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

    def load(path):
        resumed = small_model()
        train(resumed, images, **settings, rng=np.random.default_rng(0), checkpoint=Checkpoint(path, resume=True))
        for parameter, wanted in zip(resumed.parameters(), model.parameters()):
            assert np.array_equal(parameter.data, wanted.data)

    return [path], load


def arrays(folder):
    floats = np.linspace(-1, 1, 8 * 20 * 30, dtype=np.float32).reshape(8, 1, 20, 30)
    np.save(folder / "images.npy", FACES)
    np.save(folder / "floats.npy", floats)
    np.savez(folder / "stored.npz", images=floats)
    np.savez_compressed(folder / "deflated.npz", images=floats)
    return sorted(folder.iterdir()), read_all


def pictures(folder):
    """Each alone in a folder, so that it is refused if it is damaged."""
    face, grey, profile = Image.fromarray(FACES[0]), Image.fromarray(FACES[0, ..., 0]), icc_profile(np.eye(3) / 2, 1.8)
    deep, turned = Image.fromarray(FACES[0, ..., 0] * np.uint16(257)), Image.Exif()
    turned[0x0112] = 6
    files = [
        ("a.jpg", face, {"icc_profile": profile}),
        ("b.jpg", face, {"progressive": True, "exif": turned}),
        ("a.png", face, {"icc_profile": profile, "exif": turned}),
        ("b.png", face.convert("P"), {}),
        ("c.png", deep, {"transparency": 257}),
        ("a.webp", face, {"exif": turned}),
        ("b.webp", face, {"lossless": True}),
        ("a.bmp", face, {}),
        ("a.gif", face, {"save_all": True, "append_images": [grey]}),
        ("a.tif", face, {"icc_profile": profile}),
        ("b.tif", deep, {"compression": "tiff_lzw"}),
        ("c.tif", grey.convert("F"), {}),
        ("a.pgm", grey, {}),
        ("b.pgm", deep, {}),
        ("a.jp2", face, {}),
        *[(name, face, {}) for name, format in (("a.avif", "AVIF"), ("a.heic", "HEIF")) if format in formats()],
    ]
    paths = [folder / "pictures" / name / name for name in (*[name for name, *_ in files], "c.pgm", "b.bmp")]
    for path in paths:
        path.parent.mkdir(parents=True)
    for path, (_, picture, options) in zip(paths, files):
        picture.save(path, **options)
    paths[-2].write_text(f"P2 64 64 255 {' '.join(map(str, FACES[0, ..., 0].flat))}")
    paths[-1].write_bytes(bmp_with_alpha(64, 64, face.convert("RGBA").tobytes()))
    return paths, lambda path: read_all(path.parent)


def archives(folder):
    few = pictures(folder)[0][::5]
    paths = [folder / "stored.zip", folder / "deflated.zip"]
    for path, compression in zip(paths, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(path, "w", compression) as archive:
            for picture in few:
                archive.write(picture, f"in/{picture.name}")
    return paths, read_all


def cache(folder):
    pictures(folder)
    read_all(folder / "pictures")
    return sorted((folder / "cache" / "nnlite").iterdir()), lambda path: read_all(folder / "pictures")


def read_all(path):
    images = load_images(path, quiet=True)
    assert all(batch.shape[1:] == (12288,) for batch in images.batches(3, np.random.default_rng(0)))


def small_model():
    return FCNAutoencoder(hidden_features=2, latent_features=2, rng=np.random.default_rng(0))


LOADERS = {each.__name__: each for each in (weights, checkpoint, arrays, pictures, archives, cache)}

if __name__ == "__main__":
    main()
