"""The trained models of the demos: each is trained once, and reused by every demo of the same settings."""

import hashlib
import json
import time
from pathlib import Path

import numpy as np

import nnlite
from autoencoders import (
    VAE,
    Checkpoint,
    CheckpointError,
    FCNAutoencoder,
    History,
    faces,
    fcn,
    gaussian_noise,
    images,
    noise,
    train,
    training,
    vae,
)
from autoencoders.checkpoint import checksum
from demos import settings
from demos.output import save_text
from demos.settings import say
from nnlite import save_weights
from nnlite.serialization import MAX_TEXT, delete_abandoned, is_temporary, open_file, open_npz

# A digest of the source that trains, so that whoever changes a backward sees what that does, not the weights of before.
_FILES = [
    *sorted(Path(nnlite.__file__).parent.glob("*.py")),
    *(module.__file__ for module in (faces, fcn, images, noise, training, vae, settings)),
    __file__,
]
SOURCE = hashlib.sha256(b"".join(Path(file).read_bytes() for file in _FILES)).hexdigest()

LEARNING_RATE = 1e-3  # of the first epoch
NOISE = 0.5  # standard deviation, pixels in [-1, 1]
MODELS = {  # the class, and what train() is told beside the options
    "fcn": (FCNAutoencoder, {}),
    "vae": (VAE, {}),
    "dae": (FCNAutoencoder, {"corrupt": gaussian_noise(NOISE)}),
}


def trained(name, options, training_set, validation_set):
    """(model, history) of one of MODELS, as trained_as() returns them."""
    _, rng = settings.generators(options)
    model_class, extra = MODELS[name]
    return trained_as(name, model_class(rng=rng), rng, options, training_set, validation_set, **extra)


def trained_as(name, model, rng, options, training_set, validation_set, *, epochs=None, **extra):
    """(model, history): read from the output folder if it was trained by the same settings, else trained and saved.

    NAME.npz will hold the weights, NAME.json the settings and the history without its best_weights. Until then,
    NAME.checkpoint.npz holds the state of the training, from which --resume goes on.
    """
    weights, record = options.out / f"{name}.npz", options.out / f"{name}.json"
    wanted = _settings(options, training_set, validation_set, model, **extra) | {"epochs": epochs or options.epochs}
    checkpoint = Checkpoint(
        options.out / f"{name}.checkpoint.npz",
        every=options.checkpoint_every,
        resume=options.resume,
        settings=wanted,
    )
    delete_abandoned(checkpoint.path)
    try:
        history = _read(name, model, options, wanted)
        say(options, f"weights   reused: {weights} was trained by the same settings; delete it to train again")
        return model, history
    except LookupError as error:
        reason = error
    say(options, f"weights   {_beginning(checkpoint, reason)}")
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
    saved = {"settings": wanted, "history": history.curves()}
    save_text(options, record.name, json.dumps(saved | {"checksum": _checksum(saved, model.state_dict())}, indent=2))
    checkpoint.delete()
    say(options, f"weights   trained in {time.perf_counter() - start:.0f} s, saved: {weights}")
    return model, history


def saved(name, options, training_set, validation_set):
    """The model that trained() left in the output folder; LookupError, which says why, if it would train one."""
    model_class, extra = MODELS[name]
    model = model_class(rng=np.random.default_rng(0))
    _read(name, model, options, _settings(options, training_set, validation_set, model, **extra))
    return model


def _read(name, model, options, wanted):
    """The History of the settings `wanted`, and into `model` its weights; LookupError if there are none to use."""
    weights, record = options.out / f"{name}.npz", options.out / f"{name}.json"
    try:
        with open_file(record) as file:
            saved = json.loads(file.read(MAX_TEXT))
        if saved["settings"] == wanted:
            return _load(saved, weights, model)
        reason = f"{weights} was trained by other settings"
    except FileNotFoundError:
        reason = f"no {weights} yet"
    except Exception as error:  # JSON may hold anything
        if is_temporary(error):
            raise
        reason = f"{weights} or its record is damaged ({error})"
    raise LookupError(reason)


def _load(saved, weights, model):
    """The History of a record, and into `model` the weights that it is of. Raises an exception if they do not fit."""
    with open_npz(weights) as npz:
        arrays = npz.read(model.state_dict())
    if saved.pop("checksum") != _checksum(saved, arrays):
        raise ValueError("they are not of one training")
    model.load_state_dict(arrays)
    return History(**saved["history"])


def _checksum(saved, arrays):
    return checksum(json.dumps(saved), arrays)


def _beginning(checkpoint, reason):
    if not checkpoint.path.exists():
        return f"training: {reason}"
    if checkpoint.resume:
        return f"training goes on from {checkpoint.path}"
    return f"training anew: {reason}; this will overwrite {checkpoint.path}, with which --resume would go on"


def _settings(options, training_set, validation_set, model, **extra):
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
        "train": {name: value for name, value in extra.items() if not callable(value)},  # SOURCE tells of others
        "source": SOURCE,
    }


def _state(path):
    if path is None:
        return "embedded faces"
    path = Path(path)
    files = [
        (str(file), file.stat().st_size, file.stat().st_mtime_ns)
        for file in (path, *sorted(path.rglob("*")))
        if file.exists()
    ]
    return [str(path.resolve()), hashlib.sha256(repr(files).encode()).hexdigest()]
