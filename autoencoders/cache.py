"""What images are decoded to, uint8 (N, 64, 64, 3), kept in the user's cache folder: each source is decoded once."""

import contextlib
import functools
import hashlib
import json
import math
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from autoencoders.pictures import SHAPE, Decoded, formats, limited_by_memory
from autoencoders.progress import progress_bar
from nnlite.serialization import delete_abandoned, is_temporary, map_npy, replacing

CACHE_VERSION = 4  # another number for another way to decode
BATCH = 16  # entries that a thread reads, at most, before it hands them on: the threads seldom wait for one another
WINDOW = 1024  # entries that may be read before an earlier one is
# The digest of an image is the sum of its bytes, as 1,536 numbers of 64 bits, times these odd ones, modulo 2^64.
DIGEST_WEIGHTS = np.random.default_rng(0).integers(2**64, size=math.prod(SHAPE) // 8, dtype=np.uint64) | np.uint64(1)
NAMED, KINDS = 3, 8  # unreadable files that a note names, kinds of other files
DARK = 32  # an image whose values are all below that, of 255, was likely of another range


class Entry(NamedTuple):
    """A file or a row of an array that is to be an image."""

    name: str
    read: Callable  # () -> Decoded; raises OtherKind, or anything if it cannot be read


class OtherKind(Exception):
    """A file is no picture. Its argument says what it is; without one, no one would miss it."""


class Origin(NamedTuple):
    """What the images of an array were before, and what came of the rest; of an array that was not decoded, nothing."""

    pictures: tuple | list = ()  # for each image, what it was called and what it was
    digests: np.ndarray | None = None  # uint64 (N,), of each image: equal ones have equal digests
    unreadable: tuple | list = ()  # a text for each file that could not be read
    notes: tuple | list = ()  # what a person should know of it, a line each


UNKNOWN = Origin()


def load_or_decode(source, paths, open_entries, quiet):
    """(array, Origin) of the images of a source: from the cache while its files stay as they are, else read and kept.

    source: its name for errors and in the cache; paths: of its files; open_entries: a context manager that gives a
    list of Entry, and notes. Raises ValueError, naming the source, if no entry can be read.
    """
    array_path, origin_path = _cached_files(source, paths)
    with contextlib.suppress(Exception):  # none yet, or damaged
        array, origin = map_npy(array_path), _load_origin(origin_path)
        if array.dtype == np.uint8 and array.shape == (len(origin.pictures), *SHAPE):
            return array, origin
    with open_entries() as (entries, notes), replacing(array_path) as file:
        origin = _decode(source, entries, notes, file, quiet)
    _save_origin(origin_path, origin)
    return map_npy(array_path), origin


def digests_of(images):
    """uint64 (N,), of images, uint8: equal ones have equal digests."""
    return np.ascontiguousarray(images).reshape(-1, math.prod(SHAPE)).view(np.uint64) @ DIGEST_WEIGHTS


def cache_folder():
    """The folder of decoded images, made if there is none."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nnlite"
        cache.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # the latter without HOME for a user whom the system does not know
        found = f"{error.filename}: found {error.strerror}" if isinstance(error, OSError) else "~: found no home folder"
        raise OSError(f"{found}, wanted a cache folder; XDG_CACHE_HOME may name another") from None
    return cache


def _cached_files(source, paths):
    """The paths of (array, origin) of a source with its files as they are now; what was kept before is deleted."""
    cache = cache_folder()
    stats = [os.stat(path) for path in paths]
    states = [(os.fsencode(path), s.st_size, s.st_mtime_ns, s.st_ctime_ns) for path, s in zip(paths, stats)]
    prefix = _digest(os.path.abspath(source))[:16]
    name = f"{prefix}-{_digest(repr((CACHE_VERSION, formats(), states)))[:16]}"
    delete_abandoned(cache / prefix)
    for path in cache.glob(f"{prefix}-*"):
        if path.stem != name and path.suffix != ".part":
            path.unlink(missing_ok=True)
    return cache / f"{name}.npy", cache / f"{name}.json"


def _save_origin(path, origin):
    text = json.dumps(origin._replace(digests=origin.digests.tolist())._asdict())
    with replacing(path) as file:
        file.write(f"{_digest(text)}\n{text}".encode())


def _load_origin(path):
    digest, text = path.read_text().split("\n", 1)
    if digest != _digest(text):
        raise ValueError("damaged")
    origin = Origin(**json.loads(text))
    return origin._replace(digests=np.array(origin.digests, np.uint64))


def _digest(text):
    return hashlib.sha256(os.fsencode(text)).hexdigest()


def _decode(source, entries, notes, file, quiet):
    """Write to `file`, as .npy, every image that can be read. Returns the Origin."""
    pictures, digests, unreadable, others, dark = [], [], [], Counter(), 0
    _write_header(file, len(entries))
    for batch in _read_all(entries, quiet):
        images = [outcome.image.ravel() for _, outcome in batch if isinstance(outcome, Decoded)]
        images = np.stack(images) if images else np.empty((0, math.prod(SHAPE)), np.uint8)
        file.write(images)
        digests.append(digests_of(images))
        dark += np.count_nonzero(images.max(axis=1) < DARK)
        for entry, outcome in batch:
            match outcome:
                case Decoded(_, was):
                    pictures.append([printable(entry.name), was])
                case OtherKind():
                    others.update(outcome.args)
                case _:
                    reason = getattr(outcome, "strerror", None) or str(outcome) or type(outcome).__name__
                    unreadable.append(printable(f"{entry.name} ({reason})"))
    digests = np.concatenate([np.empty(0, np.uint64), *digests])
    left_out = [_unreadable_files(unreadable)] if unreadable else []
    if others:
        kinds = [f"{count} {printable(kind)}" for kind, count in others.most_common(KINDS)]
        if len(others) > KINDS:
            kinds.append(f"{len(others) - KINDS} more kinds")
        left_out.append(f"files of other kinds: {', '.join(kinds)}")
    if not pictures:
        found, wanted = "; ".join(left_out) or "no pictures", ", ".join(formats())
        raise ValueError(f"{source}: found {found}; wanted at least one picture that can be read: {wanted}")
    file.seek(0)
    _write_header(file, len(pictures))  # NumPy leaves room for longer numbers, so that it takes as many bytes
    notes = [*notes, *(f"without {text}" for text in left_out)]
    if copies := len(digests) - len(np.unique(digests)):
        notes.append(f"copies of other images: {copies}; each is trained on, or validated on, with its original")
    if dark:
        notes.append(f"nearly black images: {dark}, no value above {DARK - 1} of 255; were they of another range?")
    return Origin(pictures, digests, unreadable, notes)


def _write_header(file, count):
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *SHAPE)}
    np.lib.format.write_array_header_1_0(file, header)


def _read_all(entries, quiet):
    """Yield all entries in order, in batches of (entry, its Decoded or the exception it raises), read on all cores."""
    threads = 1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    size = max(1, min(BATCH, len(entries) // (4 * threads)))
    bar = progress_bar(quiet, total=len(entries), desc="decoding", unit=" pictures")
    stopped = threading.Event()
    with limited_by_memory(), ThreadPoolExecutor(threads) as pool, bar, contextlib.ExitStack() as stack:
        stack.callback(stopped.set)  # where Ctrl-C or an error ends this, before the pool waits for its threads
        for start in range(0, len(entries), WINDOW):
            window = entries[start : start + WINDOW]
            batches = [window[k : k + size] for k in range(0, len(window), size)]
            for batch in pool.map(functools.partial(_read_batch, stopped), batches):
                yield batch
                bar.update(len(batch))


def _read_batch(stopped, entries):
    batch = []
    for entry in entries:
        if stopped.is_set():
            break
        try:
            batch.append((entry, entry.read()))
        except Exception as error:  # damaged pictures raise almost anything in Pillow's decoders
            if is_temporary(error):
                raise
            batch.append((entry, error))
    return batch


def _unreadable_files(unreadable):
    """The count of unreadable files and the first few with the reason."""
    rest = f"; and {len(unreadable) - NAMED} more" if len(unreadable) > NAMED else ""
    plural = "" if len(unreadable) == 1 else "s"
    return f"{len(unreadable)} unreadable file{plural}: {'; '.join(unreadable[:NAMED])}{rest}"


def printable(name):
    """A file's name as it is, unless it holds what moves a terminal's cursor."""
    return name if name.isprintable() else ascii(name)[1:-1]
