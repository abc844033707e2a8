"""The pictures in a folder or a .zip, each as an entry to be read: whatever is one by its content, not by its name.

Nothing is written there, and no name in an archive becomes a path.
"""

import contextlib
import functools
import io
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import UnidentifiedImageError

from autoencoders.pictures import FORMATS, formats, read_picture
from nnlite.serialization import is_temporary

LARGEST_MEMBER = 2**28  # bytes of a picture in an archive, which are all read before it is decoded

_PASSED_OVER = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
_PASSED_OVER |= {"@eadir", "__macosx", "thumbnails", "thumbs", "$recycle.bin", "system volume information"}
_TEXTS_THAT_DRAW = {".svg", ".eps", ".ps"}
_MISSING = {"HEIF": "pip install pillow-heif", "AVIF": "since Pillow 11.3"}  # what makes a format known
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those that zipfile expands in bounded pieces


class Entry(NamedTuple):
    name: str
    read: Callable  # () -> Picture; raises OtherKind or what read_picture does


class OtherKind(Exception):
    """A file is no picture. Its argument says what it is, or is "" where no one would miss a picture."""


def list_folder(folder):
    """(paths of the files in a folder and its subfolders, sorted; notes on what is left out).

    Passed over are names that begin with a dot, and folders of thumbnails and of systems. A folder that is linked to
    is read like others, but once.
    """
    paths, seen, passed_over, twice, closed = [], set(), set(), [], []

    def cannot_read(error):
        if Path(error.filename) == Path(folder):
            raise OSError(f"{folder}: found {error.strerror}, wanted a folder that can be read")
        closed.append(f"{os.path.relpath(error.filename, folder)} ({error.strerror})")

    for parent, folders, names in os.walk(folder, onerror=cannot_read, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            twice.append(os.path.relpath(parent, folder))
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        passed_over.update(filter(_is_passed_over, folders))
        folders[:] = [name for name in folders if not _is_passed_over(name)]
        paths += [os.path.join(parent, name) for name in names if not _is_passed_over(name)]
    notes = [
        f"{text}: {', '.join(map(printable, sorted(which)))}"
        for text, which in (
            ("without hidden and system folders", passed_over),
            ("without links to folders that are read already", twice),
            ("without folders that cannot be read", closed),
        )
        if which
    ]
    return sorted(filter(os.path.isfile, paths), key=lambda path: path.split(os.sep)), notes


def _is_passed_over(name):
    return (name.startswith(".") and name != "..") or name.lower() in _PASSED_OVER


def printable(name):
    """A file's name as it is, unless it holds what moves a terminal's cursor."""
    return name if name.isprintable() else ascii(name)[1:-1]


@contextlib.contextmanager
def folder_entries(folder, paths, notes):
    """Of the paths and notes of list_folder()."""
    yield [Entry(os.path.relpath(path, folder), functools.partial(_read_path, path)) for path in paths], notes


def _read_path(path):
    with open(path, "rb") as file:
        return _read(file, path)


def zip_entries(archive):
    """The files in an open ZipFile, each of which is read in place, and no notes."""
    one_at_a_time = threading.Lock()
    entries = [
        Entry(member.filename, functools.partial(_read_member, archive, member, one_at_a_time))
        for member in sorted(archive.infolist(), key=lambda member: member.filename)
        if not member.is_dir() and not any(map(_is_passed_over, PurePosixPath(member.filename).parts))
    ]
    return entries, []


def _read_member(archive, member, one_at_a_time):
    if member.flag_bits & 1:
        raise ValueError("encrypted")
    if member.file_size > LARGEST_MEMBER:  # of which zipfile expands no more
        raise ValueError(f"{member.file_size:,} bytes, wanted at most {LARGEST_MEMBER:,}")
    if member.compress_type not in _COMPRESSIONS:
        raise ValueError(f"compression {member.compress_type}, wanted none or deflate")
    with one_at_a_time:
        data = archive.read(member)
    if data.startswith(b"PK\x03\x04"):
        raise ValueError("an archive in an archive")
    return _read(io.BytesIO(data), member.filename)


def _read(file, name):
    """The Picture in an open file, whatever its name; the name and the first bytes say what a file without one is."""
    try:
        return read_picture(file)
    except Exception as error:  # damaged pictures raise almost anything in Pillow's decoders
        if is_temporary(error):
            raise
        _, suffix = os.path.splitext(name.lower())
        format = next((format for format, suffixes in FORMATS.items() if suffix in suffixes), None)
        if format is None or format not in formats():
            file.seek(0)
            start = file.read(1024)
            is_text = b"\0" not in start or start.startswith((b"\xff\xfe", b"\xfe\xff"))
            if is_text and suffix not in _TEXTS_THAT_DRAW:
                raise OtherKind("") from None
            if isinstance(error, UnidentifiedImageError):
                way_out = f" ({_MISSING[format]})" if format else ""
                raise OtherKind(f"{suffix or 'without a suffix'}{way_out}") from None
        if isinstance(error, UnidentifiedImageError):
            raise ValueError("no picture") from None
        raise
