"""The trained models of the demos: each is trained once, and reused by every demo of the same settings."""

import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np

import autoencoders
import nnlite
from autoencoders import VAE, Checkpoint, CheckpointError, FCNAutoencoder, History, gaussian_noise, train
from autoencoders.checkpoint import checksum, differences, identity
from demos import settings
from demos.output import save_text
from demos.settings import say
from nnlite import save_weights
from nnlite.serialization import MAX_TEXT, delete_abandoned, is_temporary, open_file, open_npz

# A digest of the source that trains, so that whoever changes a backward sees what that does, not the weights of before.
_SOURCE = [Path(__file__), Path(settings.__file__)]
for _package in (nnlite, autoencoders):
    _SOURCE += sorted(Path(_package.__file__).parent.glob("*.py"))
SOURCE = hashlib.sha256(b"".join(file.read_bytes() for file in _SOURCE)).hexdigest()

LEARNING_RATE = 1e-3  # of the first epoch
NOISE = 0.5  # standard deviation, pixels in [-1, 1]
MODELS = {  # the class, and what train() is told beside the options
    "fcn": (FCNAutoencoder, {}),
    "vae": (VAE, {}),
    "dae": (FCNAutoencoder, {"corrupt": gaussian_noise(NOISE)}),
}


def trained(name, options, training_set, validation_set, *, build=None, epochs=None, **extra):
    """(model, history): read from the output folder if it was trained by the same settings, else trained and saved.

    name: one of MODELS, or another one with build, rng -> model, and `extra`, what train() is told beside the options.
    NAME.npz will hold the weights, NAME.json the settings and the history without its best_weights. Until then,
    NAME.checkpoint.npz holds the state of the training, from which --resume goes on; with more --epochs, it goes on
    from the weights. Those of other settings, and what is damaged, end the run: nothing is overwritten unasked.
    """
    if build is None:
        if extra:
            raise TypeError(f"trained: found {', '.join(extra)} for {name!r}, wanted a name of its own, with build=")
        build, extra = MODELS[name]
    _, rng = settings.generators(options)
    model = build(rng=rng)
    weights, state = options.out / f"{name}.npz", options.out / f"{name}.checkpoint.npz"
    wanted = _settings(options, training_set, validation_set, model, extra) | {"epochs": epochs or options.epochs}
    checkpoint = Checkpoint(state, every=options.checkpoint_every, resume=options.resume, settings=wanted)
    delete_abandoned(state)
    start, written = time.perf_counter(), identity(weights)
    try:
        before = _read(weights, model, wanted, options.resume)
        history, said = None, f"training: no {weights} yet"
        if before:
            history, rng.bit_generator.state = History(**before["history"]), before["generator"]
            done, all_epochs = before["settings"]["epochs"], wanted["epochs"]
            if done == all_epochs:
                say(options, f"weights   reused: {weights} was trained by the same settings; delete it to train again")
                return model, history
            schedule = f"at the learning rates of a training of {all_epochs} epochs"
            said = f"training goes on from {weights} with epoch {done + 1}, {schedule}"
        if state.exists():
            if not options.resume:
                raise CheckpointError(f"{state} holds a training that was interrupted; --resume goes on with it")
            said = f"training goes on from {state}"
        say(options, f"weights   {said}")
        history = train(
            model,
            training_set,
            epochs=wanted["epochs"],
            batch_size=options.batch_size,
            lr=LEARNING_RATE,
            rng=rng,
            validation=validation_set,
            checkpoint=checkpoint,
            history=history,
            quiet=options.quiet,
            **extra,
        )
    except CheckpointError as error:
        settings.fail(options.prog, f"{error}; give it its options, or another --out, or delete it")
    if identity(weights) not in (None, written):  # another run has ended meanwhile
        weights = weights.with_stem(f"{name}-{os.getpid()}")
    record = {"settings": wanted, "history": history.curves(), "generator": rng.bit_generator.state, "before": before}
    record["checksum"] = _checksum(record, model.state_dict())
    save_text(
        options, f"{weights.stem}.json", json.dumps(record, indent=2)
    )  # first: it also tells of the weights of before
    save_weights(weights, model)
    checkpoint.delete()
    say(options, f"weights   trained in {time.perf_counter() - start:.0f} s, saved: {weights}")
    return model, history


def saved(name, options, training_set, validation_set):
    """The model that trained() left in the output folder; CheckpointError, which says why, if it would train one."""
    build, extra = MODELS[name]
    model, weights = build(rng=np.random.default_rng(0)), options.out / f"{name}.npz"
    wanted = _settings(options, training_set, validation_set, model, extra) | {"epochs": options.epochs}
    if _read(weights, model, wanted) is None:
        raise CheckpointError(f"no {weights} yet")
    return model


def _read(weights, model, wanted, resume=False):
    """The record of the training that left `weights`, which `model` then holds; None if there are none.

    Raises CheckpointError, which says why, if they are damaged or of other settings; to resume, fewer epochs will do.
    """
    if not weights.exists():
        return None
    found = []
    try:
        with open_file(weights.with_suffix(".json")) as file:
            record = json.loads(file.read(MAX_TEXT))
        while record:
            different = differences(record["settings"], wanted)
            is_begun = different.keys() == {"epochs"} and record["settings"]["epochs"] < wanted["epochs"]
            if not different or (resume and is_begun):
                with open_npz(weights) as npz:
                    arrays = npz.read(model.state_dict())
                if _checksum(record, arrays) == record["checksum"]:
                    model.load_state_dict(arrays)
                    return record
            found = found or [*different.values(), *["--resume trains it on"] * is_begun]
            record = record.get("before")  # a run may die when it has written its record and not yet its weights
        if not found:
            raise ValueError("they are not of one training")
    except Exception as error:  # JSON may hold anything
        if is_temporary(error):
            raise
        raise CheckpointError(f"{weights} or its record is damaged ({error})") from None
    raise CheckpointError(f"{weights} was trained by other settings: {'; '.join(found)}")


def _checksum(record, arrays):
    return checksum(json.dumps(record | {"checksum": None}), arrays)


def _settings(options, training_set, validation_set, model, extra):
    """All that decides the weights, but for the epochs: the options, the images, the model, the source."""
    return {
        "data": _images(options.data, training_set, "embedded faces"),
        "validation": _images(options.validation, validation_set, "a tenth of the data"),
        "images": [len(training_set), len(validation_set)],
        "batch_size": options.batch_size,
        "seed": options.seed,
        "backend": options.backend,
        "model": repr(model),
        "train": {name: repr(value) if callable(value) else value for name, value in extra.items()},
        "source code": {"name": "nnlite, autoencoders, demos/trained.py, demos/settings.py", "digest": SOURCE},
    }


def _images(path, images, otherwise):
    """A setting that is compared by its digest: the same pixels may have another name, or be written anew."""
    return {"name": path or otherwise, "digest": images.digest if path else otherwise}
