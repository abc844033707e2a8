"""Kills the training of full-size models at random moments, and checks that each ends as if it had not been killed.

    python tests/kills.py --kills 20

Every second kill is aimed at the writing of a checkpoint. A killed run is started again, and must end with the weights,
the best weights and the history of one that nothing disturbed, to the bit.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from autoencoders import VAE, Checkpoint, FCNAutoencoder, gaussian_noise, load_images, train
from nnlite.serialization import save_arrays

KINDS = {"fcn": (FCNAutoencoder, {}), "denoising": (FCNAutoencoder, {"corrupt": gaussian_noise(0.5)}), "vae": (VAE, {})}
IMAGES, EPOCHS, EVERY = 600, 3, 0.3  # seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", metavar=("KIND", "FOLDER"), nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train_and_save(options.train[0], Path(options.train[1]))
        return
    rng, undisturbed, inside = np.random.default_rng(options.seed), {}, 0
    for number in range(options.kills):
        kind = list(KINDS)[number % len(KINDS)]
        if kind not in undisturbed:
            with tempfile.TemporaryDirectory() as folder:
                start = time.monotonic()
                run(kind, folder).wait()
                undisturbed[kind] = result(folder), time.monotonic() - start
        wanted, seconds = undisturbed[kind]
        aimed = number % 2 == 0  # at a writing, until one is hit
        with tempfile.TemporaryDirectory() as folder:
            while (found := kill(run(kind, folder), Path(folder), seconds, rng, aimed)) is None or (
                aimed and "inside" not in found
            ):
                for path in Path(folder).iterdir():
                    path.unlink()
            inside += "inside" in found
            assert run(kind, folder).wait() == 0
            assert same(result(folder), wanted), "another result than that of the undisturbed run"
        again = "resumed" if "after a checkpoint" in found else "begun anew"
        print(f"{number + 1:3} {kind:10} killed {found}: {again}, the same bits", flush=True)
    assert inside >= max(1, options.kills // 4)
    print(f"{options.kills} kills, {inside} of them inside the writing of a checkpoint; all ended bit-identical")


def run(kind, folder):
    return subprocess.Popen([sys.executable, __file__, "--train", kind, folder])


def kill(process, folder, seconds, rng, aimed):
    """Kill it in a random writing of a checkpoint, or at a random moment of the `seconds` that a run takes.

    Returns when that was, in words, or None if it ended before.
    """
    start = time.monotonic()
    if aimed:
        for _ in range(rng.integers(1, 5)):
            wait_until(lambda: part(folder) is None, process)
            wait_until(lambda: part(folder) is not None, process)
        time.sleep(rng.uniform(0, 0.2))
    else:
        time.sleep(rng.uniform(0, 0.9 * seconds))
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        return None
    saved = "after a checkpoint" if (folder / "run.npz").exists() else "before the first checkpoint"
    inside = "" if part(folder) is None else f", inside the writing of one, at {part(folder).stat().st_size:,} bytes"
    return f"at {time.monotonic() - start:.1f} s, {saved}{inside}"


def wait_until(condition, process):
    while process.poll() is None and not condition():
        time.sleep(0.001)


def part(folder):
    """The file that a checkpoint is being written to, if there is one."""
    return next(folder.glob("run.npz.*.part"), None)


def result(folder):
    """{name: array} of the trained weights, the best ones, and the history."""
    with np.load(Path(folder) / "result.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def same(found, wanted):
    return found.keys() == wanted.keys() and all(found[name].tobytes() == wanted[name].tobytes() for name in wanted)


def train_and_save(kind, folder):
    model_class, extra = KINDS[kind]
    begun = (folder / "run.npz").exists()  # then other weights: what goes on must be what was saved
    model = model_class(rng=np.random.default_rng(2 if begun else 1))
    history = train(
        model,
        load_images(count=IMAGES),
        epochs=EPOCHS,
        batch_size=64,
        rng=np.random.default_rng(0),
        checkpoint=Checkpoint(folder / "run.npz", every=EVERY, resume=True),
        **extra,
    )
    best = {f"best.{name}": array for name, array in history.best_weights.items()}
    curves = np.frombuffer(json.dumps(history.curves()).encode(), np.uint8)
    save_arrays(folder / "result.npz", model.state_dict() | best | {"history": curves})


if __name__ == "__main__":
    main()
