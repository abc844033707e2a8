"""Images: a file of uint8 pictures, mapped and not loaded, and mini-batches of it for a model.

Pictures are uint8 (N, 64, 64, 3). A model sees them channel-first,
flattened to (N, 12288), and scaled to [-1, 1].
"""

import os

import numpy as np

from autoencoders.faces import make_faces

SHAPE = (64, 64, 3)
EMBEDDED_COUNT = 4000
EMBEDDED_LIMIT = 100_000
VALIDATION_SHARE = 0.1

_LEVELS = (2 * np.arange(256) / 255 - 1).astype(np.float32)  # what each of the 256 grey levels becomes


def to_features(images):
    """uint8 (N, 64, 64, 3) -> float32 (N, 12288) in [-1, 1], channel-first: 2 * x / 255 - 1."""
    return _LEVELS[np.moveaxis(images, -1, 1)].reshape(len(images), -1)


def to_pixels(features):
    """(N, 12288) in [-1, 1], channel-first -> uint8 (N, 64, 64, 3), rounded; what lies outside is clipped."""
    levels = np.rint((np.clip(features, -1, 1) + 1) * 127.5).astype(np.uint8)
    return np.moveaxis(levels.reshape(-1, 3, 64, 64), 1, -1)


class ImageSet:
    """Some rows of an array of images. The array may be a memory map: only the rows that are asked for are read."""

    def __init__(self, array, name="images", rows=None):
        """array: uint8 (N, 64, 64, 3); name: what errors call it; rows: indices of the set's images, by default all."""
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1:] != SHAPE or len(array) == 0:
            raise ValueError(f"{name}: found {array.dtype} {array.shape}, wanted images: uint8 (N, 64, 64, 3), N not 0")
        self.name = name
        self._array = array
        self._rows = np.arange(len(array)) if rows is None else rows

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, i):
        """uint8 (64, 64, 3), or (n, 64, 64, 3) if `i` is a slice or an array of indices; a copy."""
        return np.array(self._array[self._rows[i]])

    def batches(self, batch_size, rng=None):
        """Yield float32 (batch_size, 12288), the last one shorter: every image once, in an order that `rng` draws."""
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, wanted at least 1")
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        for start in range(0, len(self), batch_size):
            yield to_features(self[order[start : start + batch_size]])

    def split(self, rng):
        """(training, validation): the last tenth of a permutation that `rng` draws, at least one image, validates."""
        if len(self) < 2:
            raise ValueError(f"{self.name}: found 1 image, wanted at least 2: one to train on, one to validate on")
        rows = rng.permutation(self._rows)
        validation = max(1, round(VALIDATION_SHARE * len(rows)))
        return self._take(rows[:-validation]), self._take(rows[-validation:])

    def sample(self, count, rng=None):
        """The ImageSet of `count` images that `rng` draws, or of the first ones."""
        if count > len(self):
            raise ValueError(f"{self.name}: found {len(self)} images, wanted {count}")
        return self._take(self._rows[:count] if rng is None else rng.choice(self._rows, count, replace=False))

    def _take(self, rows):
        return ImageSet(self._array, self.name, rows)


def load_images(path=None, *, count=None, rng=None):
    """Open a .npy file of images, uint8 (N, 64, 64, 3), or paint embedded faces if `path` is None.

    count: use so many images, by default 4,000 embedded faces or the whole file. rng: the Generator that paints
    the faces (default_rng(0) by default) or draws the `count` images of a file (the first ones by default).
    The file is memory-mapped: none of it is read here. Nothing in it is ever unpickled.

    Raises OSError if the file cannot be opened, and ValueError, naming the file, if it is not as described.
    """
    if count is not None and count < 1:
        raise ValueError(f"count is {count}, wanted at least 1 image")
    if path is None:
        if count is not None and count > EMBEDDED_LIMIT:
            raise ValueError(
                f"count is {count}, wanted at most {EMBEDDED_LIMIT} embedded faces, which are held in memory"
            )
        rng = np.random.default_rng(0) if rng is None else rng
        return ImageSet(make_faces(EMBEDDED_COUNT if count is None else count, rng)[0], "embedded faces")
    images = ImageSet(_map_npy(path), path)
    return images if count is None else images.sample(count, rng)


def _map_npy(path):
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path}: found a folder, wanted a .npy file of images")
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: found no such file, wanted a .npy file of images")
    try:
        return np.lib.format.open_memmap(path, mode="r")  # unlike np.load, it takes .npy alone, and never unpickles
    except OSError:
        raise
    except Exception as error:  # a damaged header raises almost anything: it is parsed as Python
        raise ValueError(
            f"{path}: found no complete array of numbers, wanted a .npy file of images ({error})"
        ) from None
