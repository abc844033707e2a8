"""Weights on disk: an .npz file of plain arrays under PyTorch's names, without pickle."""

import contextlib
import os
import zipfile

import numpy as np


@contextlib.contextmanager
def replacing(path):
    """Open a file for writing bytes that takes the place of `path` when the block ends without an exception."""
    part = f"{path}.part"
    try:
        with open(part, "wb") as file:
            yield file
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise


def save_weights(path, model):
    """Write the model's state_dict() to `path`. An earlier file there stays as it is until the new one is complete."""
    with replacing(path) as file:
        np.savez(file, **model.state_dict())


def load_weights(path, model):
    """Read what save_weights wrote into `model`.

    Raises OSError if `path` cannot be read, and ValueError, with the model unchanged, if it is no .npz file of
    arrays or does not fit the model.
    """
    try:
        with open(path, "rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as arrays:
            state = {name: arrays[name] for name in arrays.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: no weights could be read, wanted an .npz file of arrays ({error})") from None
    model.load_state_dict(state)
