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
from autoencoders.checkpoint import checksum
from autoencoders.folders import list_folder
from autoencoders.sources import split_key
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
    NAME.checkpoint.npz holds the state of the training, from which --resume goes on.
    """
    if build is None:
        if extra:
            raise TypeError(f"trained: found {', '.join(extra)} for {name!r}, wanted a name of its own, with build=")
        build, extra = MODELS[name]
    _, rng = settings.generators(options)
    model = build(rng=rng)
    weights = options.out / f"{name}.npz"
    wanted = _settings(options, training_set, validation_set, model, extra) | {"epochs": epochs or options.epochs}
    state = weights.with_suffix(".checkpoint.npz")
    checkpoint = Checkpoint(state, every=options.checkpoint_every, resume=options.resume, settings=wanted)
    delete_abandoned(state)
    history, reason = _read(weights, model, wanted)
    if history is not None:
        say(options, f"weights   reused: {weights} was trained by the same settings; delete it to train again")
        return model, history
    said = f"training: {reason}"
    if state.exists() and options.resume:
        said = f"training goes on from {state}"
    elif state.exists():
        said = f"training anew: {reason}; this will overwrite {state}, with which --resume would go on"
    say(options, f"weights   {said}")
    start = time.perf_counter()
    try:
        history = train(
            model,
            training_set,
            epochs=wanted["epochs"],
            batch_size=options.batch_size,
            lr=LEARNING_RATE,
            rng=rng,
            validation=validation_set,
            checkpoint=checkpoint,
            quiet=options.quiet,
            **extra,
        )
    except CheckpointError as error:
        settings.fail(options.prog, f"{error}; without --resume, the training begins anew and overwrites it")
    save_weights(weights, model)
    record = {"settings": wanted, "history": history.curves()}
    record["checksum"] = checksum(json.dumps(record), model.state_dict())
    save_text(options, f"{name}.json", json.dumps(record, indent=2))
    checkpoint.delete()
    say(options, f"weights   trained in {time.perf_counter() - start:.0f} s, saved: {weights}")
    return model, history


def saved(name, options, training_set, validation_set):
    """The model that trained() left in the output folder; LookupError, which says why, if it would train one."""
    build, extra = MODELS[name]
    model = build(rng=np.random.default_rng(0))
    wanted = _settings(options, training_set, validation_set, model, extra)
    history, reason = _read(options.out / f"{name}.npz", model, wanted)
    if history is None:
        raise LookupError(reason)
    return model


def _read(weights, model, wanted):
    """(history, None) of a training by the settings `wanted`, its weights in `model`; or (None, why there is none)."""
    try:
        with open_file(weights.with_suffix(".json")) as file:
            record = json.loads(file.read(MAX_TEXT))
        if record["settings"] != wanted:
            return None, f"{weights} was trained by other settings"
        with open_npz(weights) as npz:
            arrays = npz.read(model.state_dict())
        if record.pop("checksum") != checksum(json.dumps(record), arrays):
            raise ValueError("they are not of one training")
        model.load_state_dict(arrays)
        return History(**record["history"]), None
    except FileNotFoundError:
        return None, f"no {weights} yet"
    except Exception as error:  # JSON may hold anything
        if is_temporary(error):
            raise
        return None, f"{weights} or its record is damaged ({error})"


def _settings(options, training_set, validation_set, model, extra):
    """All that decides the weights: the options, the files' state, the model, what train() is told, and the source."""
    return {
        "data": _state(options.data),
        "validation": _state(options.validation),
        "images": [len(training_set), len(validation_set)],
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "seed": options.seed,
        "backend": options.backend,
        "model": repr(model),
        "train": {name: repr(value) if callable(value) else value for name, value in extra.items()},
        "source": SOURCE,
    }


def _state(path):
    if path is None:
        return "embedded faces"
    file, _ = split_key(path)
    files = list_folder(file)[0] if os.path.isdir(file) else [file]
    states = [(each, os.stat(each).st_size, os.stat(each).st_mtime_ns) for each in files]
    return [os.path.realpath(path), hashlib.sha256(repr(states).encode()).hexdigest()]
