"""What pictures and arrays become, uint8 (N, 64, 64, 3) in the user's cache folder: each is decoded once."""

import contextlib
import hashlib
import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from autoencoders.folders import OtherKind, printable
from autoencoders.pictures import SHAPE, formats, limited_by_memory
from nnlite.serialization import delete_abandoned, is_temporary, map_npy, replacing

CACHE_VERSION = 4  # another number for another way to decode
BATCH, WINDOW = 16, 1024  # entries that a thread reads before it is asked again; that are read ahead, at most
NAMED = 3  # unreadable files that a message names


class Origin(NamedTuple):
    """What the images of an array were before, and what came of the rest; of an array that was not decoded, nothing."""

    pictures: list = ()  # for each image, what it was called and what it was
    digests: np.ndarray = None  # uint64 (N,), of each image: equal ones have equal digests
    unreadable: list = ()  # a text for each file that could not be read
    notes: list = ()  # what a person should know of it, a line each


UNKNOWN = Origin()


def cache_folder():
    """The folder of decoded images, made if there is none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nnlite"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"{cache}: found {error.strerror}, wanted a cache folder; XDG_CACHE_HOME may name another"
        ) from None
    return cache


def decoded(name, paths, open_entries, quiet):
    """(array, Origin) of the images of a source: from the cache while its files stay as they are, else read and kept.

    name: what errors call the source; paths: of its files; open_entries: opens it and gives (a list of Entry, notes).
    Raises ValueError, naming it, if none of the entries can be read.
    """
    array_path, origin_path = _cache_paths(name, paths)
    with contextlib.suppress(Exception):  # none yet, or damaged
        array, origin = map_npy(array_path), _load_origin(origin_path)
        if array.dtype == np.uint8 and array.shape == (len(origin.pictures), *SHAPE):
            return array, origin
    with open_entries() as (entries, notes), replacing(array_path) as file:
        origin = _decode(name, entries, notes, file, quiet)
    text = json.dumps(origin._replace(digests=origin.digests.tolist())._asdict(), indent=1)
    with replacing(origin_path) as file:
        file.write(f"{_digest(text)}\n{text}".encode())
    return map_npy(array_path), origin


def _cache_paths(name, paths):
    """(array, origin) in the cache folder; their names stand for the source and for the state of its files.

    What was kept of an earlier state of it is deleted.
    """
    cache = cache_folder()
    stats = [os.stat(path) for path in paths]
    states = [(os.fsencode(path), s.st_size, s.st_mtime_ns, s.st_ctime_ns) for path, s in zip(paths, stats)]
    source = _digest(os.path.abspath(name))[:16]
    state = f"{source}-{_digest(repr((CACHE_VERSION, formats(), states)))[:16]}"
    delete_abandoned(cache / source)
    for path in cache.glob(f"{source}-*"):
        if path.stem != state and path.suffix != ".part":
            path.unlink(missing_ok=True)
    return cache / f"{state}.npy", cache / f"{state}.json"


def _load_origin(path):
    digest, text = path.read_text().split("\n", 1)
    if digest != _digest(text):
        raise ValueError("damaged")
    origin = Origin(**json.loads(text))
    return origin._replace(digests=np.array(origin.digests, np.uint64))


def _digest(text):
    return hashlib.sha256(os.fsencode(text)).hexdigest()


def _decode(name, entries, notes, file, quiet):
    """Write to `file` every image that can be read, as .npy. Returns the Origin."""
    pictures, digests, unreadable, others = [], [], [], Counter()
    _write_header(file, len(entries))
    for entry, outcome in zip(entries, _read_all(entries, quiet)):
        match outcome:
            case OtherKind():
                others[str(outcome)] += 1
            case Exception():
                reason = getattr(outcome, "strerror", None) or str(outcome) or type(outcome).__name__
                unreadable.append(printable(f"{entry.name} ({reason})"))
            case image, was:
                data = image.tobytes()
                file.write(data)
                pictures.append([printable(entry.name), was])
                digests.append(int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big"))
    del others[""]
    left_out = [unreadable_files(unreadable)] if unreadable else []
    if others:
        kinds = ", ".join(f"{count} {printable(kind)}" for kind, count in others.most_common())
        left_out.append(f"files of other kinds: {kinds}")
    if not pictures:
        raise ValueError(
            f"{name}: found {' and '.join(left_out) or 'no pictures'}, wanted at least one picture that can be read: "
            f"{', '.join(formats())}"
        )
    file.seek(0)
    _write_header(file, len(pictures))  # of the same length
    notes = [*notes, *(f"without {text}" for text in left_out)]
    if copies := len(pictures) - len(set(digests)):
        notes.append(f"copies of other images: {copies}; each is trained on, or validated on, with its original")
    return Origin(pictures, np.array(digests, np.uint64), unreadable, notes)


def _write_header(file, count):
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *SHAPE)}
    np.lib.format.write_array_header_1_0(file, header)


def _read_all(entries, quiet):
    """Yield for each entry, in order, its Picture or the exception that it raises; they are read on all cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    bar = tqdm(total=len(entries), desc="decoding", unit=" pictures", disable=quiet or None)
    with limited_by_memory(), ThreadPoolExecutor(cores) as pool, bar:
        for start in range(0, len(entries), WINDOW):
            window = entries[start : start + WINDOW]
            batches = [window[k : k + BATCH] for k in range(0, len(window), BATCH)]
            for outcomes in pool.map(_read_batch, batches):
                yield from outcomes
                bar.update(len(outcomes))


def _read_batch(entries):
    return [_outcome(entry) for entry in entries]


def _outcome(entry):
    try:
        return entry.read()
    except Exception as error:  # damaged pictures raise almost anything in Pillow's decoders
        if is_temporary(error):
            raise
        return error


def unreadable_files(unreadable):
    """The count of unreadable files and the first few with the reason, as a phrase."""
    rest = f" and {len(unreadable) - NAMED} more" if len(unreadable) > NAMED else ""
    plural = "" if len(unreadable) == 1 else "s"
    return f"{len(unreadable)} unreadable file{plural}: {'; '.join(unreadable[:NAMED])}{rest}"
