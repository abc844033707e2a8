"""Images: an ImageSet of what a person has them in, mapped and not loaded, and mini-batches of it for a model.

An image is uint8 (64, 64, 3). A model sees it channel-first, flattened to (12288,), and scaled to [-1, 1].
"""

import functools
import hashlib
import math
import os

import numpy as np

from autoencoders.cache import UNKNOWN, digests_of
from autoencoders.faces import make_faces
from autoencoders.pictures import SHAPE, decode_picture
from autoencoders.sources import open_source
from nnlite.arguments import generator, require_numbers
from nnlite.backend import accelerated
from nnlite.serialization import whole

EMBEDDED_COUNT = 4000
EMBEDDED_LIMIT = 100_000
VALIDATION_SHARE = 0.1
DIGESTED = 1024  # images at a time

_LEVELS = (2 * np.arange(256) / 255 - 1).astype(np.float32)  # what each of the 256 grey levels becomes


def take_levels(images, rows, levels):
    """levels[images[rows]], channel-first: images uint8 (N, H, W, C), rows (n,), levels (256,) -> (n, C * H * W)."""
    return levels[np.moveaxis(images[rows], -1, 1)].reshape(len(rows), math.prod(images.shape[1:]))


take_levels = accelerated(take_levels)  # by nnlite/fused.py


def to_features(images):
    """uint8 (N, 64, 64, 3) -> float32 (N, 12288) in [-1, 1], channel-first: 2 * x / 255 - 1."""
    images = np.asarray(images)  # of a list of pictures, or of an ImageSet
    return take_levels(images, np.arange(len(images)), _LEVELS)


def to_pixels(features):
    """(N, 12288) in [-1, 1], channel-first -> uint8 (N, 64, 64, 3), rounded; what lies outside is clipped."""
    levels = np.rint((np.clip(features, -1, 1) + 1) * 127.5).astype(np.uint8)
    return np.moveaxis(levels.reshape(-1, 3, 64, 64), 1, -1)


class ImageSet:
    """Some rows of an array of images. The array may be a memory map: only the rows that are asked for are read."""

    def __init__(self, array, name="images", rows=None, origin=UNKNOWN):
        """array: uint8 (N, 64, 64, 3); name: what errors call it; rows: indices of the set's images, by default all;
        origin: what the images were before they were decoded."""
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1:] != SHAPE or len(array) == 0:
            raise ValueError(f"{name}: found {array.dtype} {array.shape}, wanted images: uint8 (N, 64, 64, 3), N not 0")
        self.name = name
        self.origin = origin
        self._array = array
        self.rows = np.arange(len(array)) if rows is None else rows

    @functools.cached_property
    def digest(self):
        """A text that is another one if a pixel of the array is, or the order of its images."""
        blocks = range(0, len(self._array), DIGESTED)
        return hashlib.sha256(b"".join(digests_of(whole(self._array)[k : k + DIGESTED]) for k in blocks)).hexdigest()

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        """uint8 (64, 64, 3), or (n, 64, 64, 3) if `i` is a slice or an array of indices; a copy."""
        return np.array(whole(self._array)[self.rows[i]])

    def batches(self, batch_size, rng=None):
        """Yield float32 (batch_size, 12288), the last one shorter: every image once, in an order that `rng` draws."""
        require_numbers("ImageSet.batches", 1, whole=True, batch_size=batch_size)
        order = np.arange(len(self)) if rng is None else generator("ImageSet.batches", rng).permutation(len(self))
        for start in range(0, len(self), batch_size):
            yield take_levels(whole(self._array), self.rows[order[start : start + batch_size]], _LEVELS)

    def split(self, rng):
        """(training, validation): the last tenth of a permutation that `rng` draws, at least two images, validates.

        Equal images of a source that was decoded count as one.
        """
        identities = self.rows if self.origin.digests is None else self.origin.digests[self.rows]
        _, first, which = np.unique(identities, return_index=True, return_inverse=True)
        if len(first) < 3:
            wanted = "at least 3 different images: one to train on, two to validate on"
            raise ValueError(f"{self.name}: found only {len(first)}, wanted {wanted}")
        which = np.argsort(np.argsort(first))[which]  # (N,): images numbered as they first appear, equal ones alike
        shuffled = generator("ImageSet.split", rng).permutation(len(first))
        places = np.argsort(shuffled)[which]  # (N,): where the permutation puts each
        order = np.argsort(places, kind="stable")
        training = np.count_nonzero(places < len(first) - max(2, round(VALIDATION_SHARE * len(first))))
        return self.subset(order[:training]), self.subset(order[training:])

    def sample(self, count, rng=None):
        """The ImageSet of `count` images that `rng` draws, or of the first ones."""
        if count > len(self):
            raise ValueError(f"{self.name}: found {len(self)} images, wanted {count}")
        if rng is None:
            return self.subset(np.arange(count))
        return self.subset(generator("ImageSet.sample", rng).choice(len(self), count, replace=False))

    def shared_with(self, other):
        """How many of these images are in another set too; of files that are mapped as they are, by their names."""
        if self.name == other.name:
            return len(np.intersect1d(self.rows, other.rows))
        if self.origin.digests is None or other.origin.digests is None:
            return 0
        return int(np.isin(self.origin.digests[self.rows], other.origin.digests[other.rows]).sum())

    def describe(self, i):
        """(what image i was called, what it was before)."""
        row = self.rows[i]
        return self.origin.pictures[row] if self.origin.pictures else (f"image {row}", "uint8 64 x 64")

    def subset(self, indices):
        """The ImageSet of the images `indices`, in that order."""
        return ImageSet(self._array, self.name, self.rows[indices], self.origin)


def require_images(where, name, given):
    """Raise TypeError, naming both, unless `given` is like an ImageSet."""
    if not (hasattr(given, "batches") and hasattr(given, "subset")):
        raise TypeError(f"{where}: {name} is of type {type(given).__name__}, wanted an ImageSet, as of load_images()")


def read_picture(path):
    """The picture in a file as uint8 (64, 64, 3), as load_images reads those of a folder; raises what Pillow does."""
    with open(path, "rb") as file:
        return decode_picture(file).image


def load_images(path=None, *, count=None, rng=None, quiet=False):
    """Open a folder or .zip of pictures, or a .npy or .npz file of images, or paint embedded faces.

    path: the folder or file, or FILE.npz:NAME for one of its arrays; None for embedded faces. count: use so many
    images, by default 4,000 embedded faces, else all. rng: the Generator that paints the faces (default_rng(0) by
    default) or draws the `count` images of `path` (the first ones by default). quiet: no bar on stderr, where a
    terminal sees how far the images are decoded.

    A .npy file of uint8 (N, 64, 64, 3) is memory-mapped: none of it is read here. Everything else, see
    docs/pictures.md, is decoded to such a file in the user's cache folder, once until a file in it is added, removed
    or changed; `origin` of the result then tells what the images were, what was left out, and why. No pickle is
    opened and nothing is written beside the images.

    Raises OSError if `path` cannot be opened, and ValueError, naming it, if it is not as described or no image in it
    can be read.
    """
    require_numbers("load_images", 1, whole=True, count=1 if count is None else count)
    rng = None if rng is None else generator("load_images", rng)
    if path is None:
        if count is not None and count > EMBEDDED_LIMIT:
            raise ValueError(f"count is {count}, wanted at most {EMBEDDED_LIMIT} embedded faces, held in memory")
        rng = np.random.default_rng(0) if rng is None else rng
        return ImageSet(make_faces(EMBEDDED_COUNT if count is None else count, rng)[0], "embedded faces")
    array, origin = open_source(path, quiet)
    images = ImageSet(array, os.fspath(path), origin=origin)
    return images if count is None else images.sample(count, rng)
