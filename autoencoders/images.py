"""Images: a .npy file or a folder of pictures, mapped and not loaded, and mini-batches of it for a model.

Pictures are uint8 (N, 64, 64, 3). A model sees them channel-first, flattened to (N, 12288), and scaled to [-1, 1].
"""

import hashlib
import json
import math
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from PIL.Image import Resampling
from tqdm import tqdm

from autoencoders.faces import make_faces
from nnlite.backend import accelerated
from nnlite.serialization import delete_abandoned, is_temporary, open_file, read_header, replacing

SHAPE = (64, 64, 3)
EMBEDDED_COUNT = 4000
EMBEDDED_LIMIT = 100_000
VALIDATION_SHARE = 0.1

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP"}
LARGE = 2**24  # pixels above which a picture is sampled down to
ENOUGH = 2**22  # of them before it is converted
CACHE_VERSION = 3  # another number for another way to decode
NAMED = 3  # unreadable files that a message names

_LEVELS = (2 * np.arange(256) / 255 - 1).astype(np.float32)  # what each of the 256 grey levels becomes


def take_levels(images, rows, levels):
    """levels[images[rows]], channel-first: images uint8 (N, H, W, C), rows (n,), levels (256,) -> (n, C * H * W)."""
    return levels[np.moveaxis(images[rows], -1, 1)].reshape(len(rows), math.prod(images.shape[1:]))


take_levels = accelerated(take_levels)  # by nnlite/fused.py


def to_features(images):
    """uint8 (N, 64, 64, 3) -> float32 (N, 12288) in [-1, 1], channel-first: 2 * x / 255 - 1."""
    return take_levels(images, np.arange(len(images)), _LEVELS)


def to_pixels(features):
    """(N, 12288) in [-1, 1], channel-first -> uint8 (N, 64, 64, 3), rounded; what lies outside is clipped."""
    levels = np.rint((np.clip(features, -1, 1) + 1) * 127.5).astype(np.uint8)
    return np.moveaxis(levels.reshape(-1, 3, 64, 64), 1, -1)


class ImageSet:
    """Some rows of an array of images. The array may be a memory map: only the rows that are asked for are read."""

    def __init__(self, array, name="images", rows=None, unreadable=()):
        """array: uint8 (N, 64, 64, 3); name: what errors call it; rows: indices of the set's images, by default all;
        unreadable: a text for each file of a folder that could not be read."""
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1:] != SHAPE or len(array) == 0:
            raise ValueError(f"{name}: found {array.dtype} {array.shape}, wanted images: uint8 (N, 64, 64, 3), N not 0")
        self.name = name
        self.unreadable = unreadable
        self._array = array
        self.rows = np.arange(len(array)) if rows is None else rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        """uint8 (64, 64, 3), or (n, 64, 64, 3) if `i` is a slice or an array of indices; a copy."""
        return np.array(self._array[self.rows[i]])

    def batches(self, batch_size, rng=None):
        """Yield float32 (batch_size, 12288), the last one shorter: every image once, in an order that `rng` draws."""
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, wanted at least 1")
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        for start in range(0, len(self), batch_size):
            yield take_levels(self._array, self.rows[order[start : start + batch_size]], _LEVELS)

    def split(self, rng):
        """(training, validation): the last tenth of a permutation that `rng` draws, at least two images, validates."""
        if len(self) < 3:
            raise ValueError(
                f"{self.name}: found only {len(self)}, wanted at least 3 images: one to train on, two to validate on"
            )
        order = rng.permutation(len(self))
        validation = max(2, round(VALIDATION_SHARE * len(self)))
        return self.subset(order[:-validation]), self.subset(order[-validation:])

    def sample(self, count, rng=None):
        """The ImageSet of `count` images that `rng` draws, or of the first ones."""
        if count > len(self):
            raise ValueError(f"{self.name}: found {len(self)} images, wanted {count}")
        return self.subset(np.arange(count) if rng is None else rng.choice(len(self), count, replace=False))

    def subset(self, indices):
        """The ImageSet of the images `indices`, in that order."""
        return ImageSet(self._array, self.name, self.rows[indices], self.unreadable)


def load_images(path=None, *, count=None, rng=None, quiet=False):
    """Open a .npy file of images, uint8 (N, 64, 64, 3), or a folder of pictures, or paint embedded faces.

    path: the file or folder; None for embedded faces. count: use so many images, by default 4,000 embedded faces,
    else all. rng: the Generator that paints the faces (default_rng(0) by default) or draws the `count` images of
    `path` (the first ones by default). quiet: no bar on stderr, where a terminal sees how far a folder is decoded.

    A file is memory-mapped: none of it is read here, and nothing in it is ever unpickled. The pictures of a folder
    and its subfolders (JPEG, PNG, WebP, BMP), as read_picture() reads them, are kept in a .npy file in the user's cache
    folder until a file is added, removed or changed. `unreadable` of the result names what could not be read.

    Raises OSError if `path` cannot be opened, and ValueError, naming it, if it is not as described or none of a
    folder's pictures can be read.
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
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: found no such file, wanted a .npy file of images or a folder of pictures")
    images = _open_folder(path, quiet) if os.path.isdir(path) else ImageSet(_map_npy(path), path)
    return images if count is None else images.sample(count, rng)


def _map_npy(path):
    with open_file(path) as file:
        try:
            if read_header(file).file_size > os.fstat(file.fileno()).st_size:
                raise ValueError("less data than its header says")
            return np.lib.format.open_memmap(path, mode="r")
        except Exception as error:  # a damaged header raises almost anything: it is parsed as Python
            raise ValueError(
                f"{path}: found no complete array of numbers, wanted a .npy file of images ({error})"
            ) from None


def _open_folder(folder, quiet):
    """The ImageSet of the readable pictures, from the cache if the folder is as it was."""
    folder = Path(folder)
    paths, unreadable_folders = _find_pictures(folder)
    if not paths:
        hidden = f" and {unreadable_files(unreadable_folders)}" if unreadable_folders else ""
        raise ValueError(f"{folder}: found no pictures{hidden}, wanted files that end in {', '.join(FORMATS)}")
    array_path, faults_path = _cache_paths(folder, paths)
    try:
        array, faults = _map_npy(array_path), json.loads(faults_path.read_bytes())["faults"]
        is_whole = (array.dtype, array.shape, array.flags.c_contiguous) == (np.uint8, (len(paths), *SHAPE), True)
        is_whole &= len(faults) == len(paths) and all(fault is None or isinstance(fault, str) for fault in faults)
    except Exception:  # none yet, or damaged
        is_whole = False
    if not is_whole:
        faults = _decode(folder, paths, array_path, quiet)
        array = _map_npy(array_path)
        with replacing(faults_path) as file:
            file.write(json.dumps({"folder": str(folder), "faults": faults}, indent=2).encode())
    unreadable = unreadable_folders + [fault for fault in faults if fault is not None]
    rows = np.array([row for row, fault in enumerate(faults) if fault is None], np.intp)
    if len(rows) == 0:
        raise ValueError(f"{folder}: found {unreadable_files(unreadable)}, wanted at least one readable picture")
    return ImageSet(array, str(folder), rows, unreadable)


def _find_pictures(folder):
    """(paths of the pictures in it and its subfolders, a text for each subfolder that cannot be read)."""
    unreadable = []

    def note(error):
        if Path(error.filename) == folder:
            raise OSError(f"{folder}: found {error.strerror}, wanted a folder that can be read")
        unreadable.append(f"{Path(error.filename).relative_to(folder)} ({error.strerror})")

    paths = [Path(parent, name) for parent, _, names in os.walk(folder, onerror=note) for name in names]
    return sorted(path for path in paths if path.suffix.lower() in FORMATS and os.path.isfile(path)), unreadable


def unreadable_files(unreadable):
    """The count of unreadable files and the first few with the reason, as a phrase."""
    rest = f" and {len(unreadable) - NAMED} more" if len(unreadable) > NAMED else ""
    plural = "" if len(unreadable) == 1 else "s"
    return f"{len(unreadable)} unreadable file{plural}: {'; '.join(unreadable[:NAMED])}{rest}"


def _cache_paths(folder, paths):
    """(array, faults) in the user's cache folder; their names stand for the folder and for the state of its files.

    What was kept of an earlier state of the folder is deleted.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nnlite"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"{cache}: found {error.strerror}, wanted a cache folder; XDG_CACHE_HOME may name another"
        ) from None
    stats = [path.stat() for path in paths]
    states = [(os.fsencode(path), s.st_size, s.st_mtime_ns, s.st_ctime_ns) for path, s in zip(paths, stats)]
    folder_digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    name = f"{folder_digest}-{hashlib.sha256(repr((CACHE_VERSION, states)).encode()).hexdigest()[:16]}"
    delete_abandoned(cache / folder_digest)
    for path in cache.glob(f"{folder_digest}-*"):
        if path.stem != name and path.suffix != ".part":
            path.unlink(missing_ok=True)
    return cache / f"{name}.npy", cache / f"{name}.json"


def _decode(folder, paths, array_path, quiet):
    """Write every picture to `array_path`; one that cannot be read leaves a black row, which no one looks at.

    Returns for each picture None, or a text if it could not be read.
    """
    faults = []
    with replacing(array_path) as file:
        shape = (len(paths), *SHAPE)
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for path in tqdm(paths, desc="decoding", unit=" pictures", disable=quiet or None):
            try:
                image, fault = read_picture(path), None
            except Exception as error:  # damaged pictures raise almost anything in Pillow's decoders
                if is_temporary(error):
                    raise
                image, name = np.zeros(SHAPE, np.uint8), str(path.relative_to(folder))
                fault = f"{name} ({str(error).replace(str(path), name)})"
                if not fault.isprintable():  # a name may hold what moves a terminal's cursor
                    fault = ascii(fault)[1:-1]
            file.write(image.tobytes())
            faults.append(fault)
    return faults


def read_picture(path):
    """A picture as uint8 (64, 64, 3): upright, on white, its central square, resized by a Hamming filter.

    That filter averages, where sharper ones, such as Lanczos, overshoot at edges and would be clipped.

    Raises OSError or another exception of Pillow's if it cannot be read or has more than 89 million pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=sorted(set(FORMATS.values()))) as picture:
            if (pixels := picture.width * picture.height) > LARGE:  # every k-th, for what follows makes several copies
                k = math.ceil(math.sqrt(pixels / ENOUGH))
                picture = picture.resize((max(1, picture.width // k), max(1, picture.height // k)), Resampling.NEAREST)
            picture = _to_rgb(ImageOps.exif_transpose(picture))
    return np.asarray(ImageOps.fit(picture, SHAPE[:2], Resampling.HAMMING))


def _to_rgb(picture):
    if picture.mode.startswith("I"):  # 16 bits of grey, which convert() would clip instead of scaling
        return Image.fromarray(np.rint(np.asarray(picture) / 257).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")
