"""Weights on disk: an .npz file of plain arrays under PyTorch's names, without pickle."""

import contextlib
import os

import numpy as np


@contextlib.contextmanager
def replacing(path):
    """Open a file for writing bytes that takes the place of `path` when the block ends without an exception."""
    part = f"{path}.{os.getpid()}.part"  # another process that writes the same file has a part of its own
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

    Raises OSError if `path` cannot be opened, and ValueError, with the model unchanged, if it is no .npz file of
    arrays or does not fit the model.
    """
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                state = {name: arrays[name] for name in arrays.files}
        except Exception as error:  # damaged bytes raise almost anything in zipfile, zlib and NumPy's header parser
            raise ValueError(f"{path}: found no weights, wanted an .npz file of arrays ({error})") from None
    try:
        model.load_state_dict(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
