"""Kills the training of full-size models at random moments, and checks that each ends as if it had not been killed.

    python tests/kills.py --kills 20

Every second kill is aimed at the writing of a checkpoint. A killed run is started again, and must end with the weights,
the best weights and the history of one that nothing disturbed, to the bit.
"""

import argparse
import json
import multiprocessing
import signal
import tempfile
import time
from pathlib import Path

import numpy as np

from autoencoders import VAE, Checkpoint, FCNAutoencoder, gaussian_noise, load_images, train
from nnlite.serialization import save_arrays

KINDS = {"fcn": (FCNAutoencoder, {}), "denoising": (FCNAutoencoder, {"corrupt": gaussian_noise(0.5)}), "vae": (VAE, {})}
IMAGES, EPOCHS = 600, 3


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hidden", type=int, default=512, help="size of the hidden layers (default: %(default)s)")
    parser.add_argument("--every", type=float, default=0.3, help="seconds between checkpoints (default: %(default)s)")
    options = parser.parse_args()
    options.images = load_images(count=IMAGES)
    rng, undisturbed, inside = np.random.default_rng(options.seed), {}, 0
    for number in range(options.kills):
        kind = list(KINDS)[number % len(KINDS)]
        if kind not in undisturbed:
            with tempfile.TemporaryDirectory() as folder:
                start = time.monotonic()
                run(kind, folder, options).join()
                size = (Path(folder) / "run.npz").stat().st_size
                undisturbed[kind] = result(folder), time.monotonic() - start, size
        wanted, seconds, size = undisturbed[kind]
        aimed = number % 2 == 0  # at a writing, until one is hit
        with tempfile.TemporaryDirectory() as folder:
            while (
                found := kill(run(kind, folder, options), Path(folder), rng, seconds, size if aimed else None)
            ) is None or (aimed and "inside" not in found):
                for path in Path(folder).iterdir():
                    path.unlink()
            inside += "inside" in found
            resumed = run(kind, folder, options)
            resumed.join()
            assert resumed.exitcode == 0
            assert same(result(folder), wanted), "another result than that of the undisturbed run"
        again = "resumed" if "after a checkpoint" in found else "begun anew"
        print(f"{number + 1:3} {kind:10} killed {found}: {again}, the same bits", flush=True)
    assert inside >= max(1, options.kills // 4)
    print(f"{options.kills} kills, {inside} of them inside the writing of a checkpoint; all ended bit-identical")


def run(kind, folder, options):
    """A process that trains: a fork of this one, which trains nothing and so has no state to hand on."""
    process = multiprocessing.get_context("fork").Process(target=train_and_save, args=(kind, Path(folder), options))
    process.start()
    return process


def kill(process, folder, rng, seconds, size):
    """Kill it when a checkpoint of `size` bytes is written in part or, without one, at a moment of its `seconds`.

    Returns when that was, in words, or None if it ended before.
    """
    start = time.monotonic()
    if size is None:
        time.sleep(rng.uniform(0, 0.9 * seconds))
    else:
        size = rng.uniform(0, size)
        for _ in range(rng.integers(1, 5)):
            wait_until(lambda: written(folder) is None, process)
            wait_until(lambda: (written(folder) or 0) >= size, process)
    process.kill()
    process.join()
    if process.exitcode != -signal.SIGKILL:
        return None
    saved = "after a checkpoint" if (folder / "run.npz").exists() else "before the first checkpoint"
    inside = "" if written(folder) is None else f", inside the writing of one, at {written(folder):,} bytes"
    return f"at {time.monotonic() - start:.1f} s, {saved}{inside}"


def wait_until(condition, process):
    while process.is_alive() and not condition():
        time.sleep(0.001)


def written(folder):
    """The size of the file that a checkpoint is being written to, or None if there is no such file."""
    try:
        return next((part.stat().st_size for part in folder.glob("run.npz.*.part")), None)
    except FileNotFoundError:  # it was complete a moment later
        return None


def result(folder):
    """{name: array} of the trained weights, the best ones, and the history."""
    with np.load(Path(folder) / "result.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def same(found, wanted):
    return found.keys() == wanted.keys() and all(found[name].tobytes() == wanted[name].tobytes() for name in wanted)


def train_and_save(kind, folder, options):
    model_class, extra = KINDS[kind]
    begun = (folder / "run.npz").exists()  # then other weights: what goes on must be what was saved
    model = model_class(hidden_features=options.hidden, rng=np.random.default_rng(2 if begun else 1))
    history = train(
        model,
        options.images,
        epochs=EPOCHS,
        batch_size=64,
        rng=np.random.default_rng(0),
        checkpoint=Checkpoint(folder / "run.npz", every=options.every, resume=True),
        **extra,
    )
    best = {f"best.{name}": array for name, array in history.best_weights.items()}
    curves = np.frombuffer(json.dumps(history.curves()).encode(), np.uint8)
    save_arrays(folder / "result.npz", model.state_dict() | best | {"history": curves})


if __name__ == "__main__":
    main()
