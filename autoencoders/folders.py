"""The pictures in a folder or a .zip, each as an Entry: whatever is one by its content, not by its name.

Nothing is written there, and no name in an archive becomes a path.
"""

import functools
import io
import os
import re
import threading
import zipfile
from pathlib import Path

from PIL import UnidentifiedImageError

from autoencoders.cache import Entry, OtherKind, printable
from autoencoders.pictures import FORMATS, decode_picture, formats
from nnlite.serialization import is_temporary

READ_AT_ONCE = 2**20  # bytes of a file below which it is: each read lets another thread have the interpreter
LARGEST_MEMBER = 2**28  # bytes of a picture in an archive, which are all read before it is decoded
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those that zipfile expands in bounded pieces

PASSED_OVER = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}  # by systems, which show it to no one
PASSED_OVER |= {"@eadir", "@recycle", "#recycle", "__macosx", "thumbnails", "thumbs", "$recycle.bin"}
PASSED_OVER |= {"system volume information"}
DRAWINGS = {".svg", ".eps", ".ps", ".ai", ".pdf", ".xpm", ".xbm", ".pam", ".hdr", ".fits"}  # begin as texts do
CONTROLS = set(range(32)) - set(b"\t\n\f\r\x1b")  # bytes that are in no text
WAYS_OUT = {"HEIF": "pip install pillow-heif", "AVIF": "wants Pillow 11.3", None: "to be named itself"}


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
        kept = [name for name in folders if not _is_passed_over(name)]
        folders[:] = sorted(kept, key=lambda name: (os.path.islink(os.path.join(parent, name)), name))  # links last
        paths += [os.path.join(parent, name) for name in names if not _is_passed_over(name)]
    notes = [
        *_note("without hidden and system folders", passed_over),
        *_note("without links to folders that are read already", twice),
        *_note("without folders that cannot be read", closed),
    ]
    return sorted(filter(os.path.isfile, paths), key=lambda path: path.split(os.sep)), notes


def _is_passed_over(name):
    return (name.startswith(".") and name != "..") or name.lower() in PASSED_OVER


def _note(text, names):
    return [f"{text}: {', '.join(map(printable, sorted(names)))}"] if names else []


def folder_entries(folder, paths):
    """An Entry for each of the paths of list_folder()."""
    start = len(os.path.join(folder, ""))
    return [Entry(path[start:], functools.partial(_read_path, path)) for path in paths]


def _read_path(path):
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size < READ_AT_ONCE:
            file = io.BytesIO(file.read())
        return _read_any(file, path)


def zip_entries(archive):
    """(an Entry for each file in an open ZipFile, which is read in place; notes on what is left out)."""
    members = sorted(archive.infolist(), key=lambda member: member.filename)
    members = [member for member in members if not member.filename.endswith(("/", "\\"))]  # those are folders
    parts = [re.split(r"[/\\]", member.filename) for member in members]
    shared = len(os.path.commonprefix([each[:-1] for each in parts]))  # a folder that holds all counts as named itself
    passed_over, lock, entries = set(), threading.Lock(), []
    for member, each in zip(members, parts):
        passed_over.update(filter(_is_passed_over, each[shared:-1]))
        if not any(map(_is_passed_over, each[shared:])):
            entries.append(Entry(member.filename, functools.partial(_read_member, archive, member, lock)))
    return entries, _note("without hidden and system folders", passed_over)


def _read_member(archive, member, lock):
    if member.flag_bits & 1:
        raise ValueError("encrypted")
    if member.file_size > LARGEST_MEMBER:  # what a member says of itself; zipfile expands no more
        raise ValueError(f"{member.file_size:,} bytes, wanted at most {LARGEST_MEMBER:,}")
    if member.compress_type not in COMPRESSIONS:
        raise ValueError(f"compression {member.compress_type}, wanted none or deflate")
    with lock:  # all threads read from one file
        data = archive.read(member)
    if data.startswith(b"PK\x03\x04"):
        raise ValueError("an archive in an archive")
    return _read_any(io.BytesIO(data), member.filename)


def _read_any(file, name):
    """The Decoded of an open file that is a picture. Raises OtherKind, or what is wrong with one by its name."""
    try:
        return decode_picture(file)
    except Exception as error:  # damaged pictures raise almost anything in Pillow's decoders
        if is_temporary(error):
            raise
        suffix = os.path.splitext(name.lower())[1]
        format = next((format for format, suffixes in FORMATS.items() if suffix in suffixes), None)
        is_unknown = isinstance(error, UnidentifiedImageError)
        if format in formats():  # by its name it is a picture
            raise ValueError("not read by Pillow") if is_unknown else error from None
        file.seek(0)
        start = file.read(1024)
        is_text = CONTROLS.isdisjoint(start) or start.startswith((b"\xff\xfe", b"\xfe\xff"))  # or UTF-16
        if is_text and suffix not in DRAWINGS:  # even if it begins as some picture does, such as with "BM"
            raise OtherKind from None
        if is_unknown:
            has_way_out = format is not None or suffix in (".npy", ".npz", ".zip")
            way_out = f" ({WAYS_OUT[format]})" if has_way_out else ""
            raise OtherKind(f"{suffix or 'without a suffix'}{way_out}") from None
        raise
