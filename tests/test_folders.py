"""A folder or a .zip of pictures: what is read, what is left out and told, and what is kept in the cache."""

import os
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from autoencoders import cache, folders, load_images

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def paint(path, level, format=None):
    """A picture of one grey level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (level, level, level)).save(path, format)
    return path


def levels(images):
    return images[:][:, 0, 0, 0].tolist()


def cached(folder):
    return sorted((folder.parent / "cache" / "nnlite").iterdir())


def zipped(folder):
    """A .zip of the folder's files beside it."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


BOTH = pytest.mark.parametrize("source", [lambda folder: folder, zipped], ids=["folder", "zip"])


@BOTH
def test_a_folder_and_its_subfolders_are_read_in_order(folder, source):
    for level, path in ((110, "a.PNG"), (120, "b/a.png"), (130, "b/c/a.png")):
        paint(folder / path, level)
    images = load_images(source(folder))
    assert levels(images) == [110, 120, 130] and images.origin.notes == []
    assert images.origin.pictures[1] == [os.path.join("b", "a.png"), "PNG RGB 8 x 8"]


@BOTH
def test_what_is_a_picture_is_read_whatever_its_name(folder, source):
    paint(folder / "subject01.centerlight", 110, "GIF")
    paint(folder / "without", 120, "TIFF")
    paint(folder / "x.jpg", 130, "PNG")
    paint(folder / "y.txt", 140, "PPM")
    assert levels(load_images(source(folder))) == [110, 120, 130, 140]


@BOTH
def test_what_no_one_takes_for_a_picture_is_passed_over_without_a_word(folder, source):
    paint(folder / "a.png", 110)
    (folder / "notes.txt").write_text("no picture")
    (folder / "P5 and BM").write_text("BM, as a bitmap begins")
    (folder / "utf-16.csv").write_text("a;b", encoding="utf-16")
    (folder / "empty").touch()
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._a.png"):
        (folder / name).write_bytes(b"\0\1\2")
    images = load_images(source(folder))
    assert len(images) == 1 and images.origin.notes == []


@BOTH
def test_other_kinds_are_told_by_kind_and_count(folder, source):
    paint(folder / "a.png", 110)
    (folder / "a.svg").write_text("<svg/>")
    (folder / "b.svg").write_text("<svg/>")
    (folder / "c.PSD").write_bytes(b"8BPS\0\1")
    (folder / "d").write_bytes(b"\0\1")
    assert load_images(source(folder)).origin.notes == [
        "without files of other kinds: 2 .svg, 1 .psd, 1 without a suffix"
    ]


def test_many_other_kinds_are_told_in_one_short_line(folder):
    paint(folder / "a.png", 110)
    for number in range(30):
        (folder / f"a.{number:03}").write_bytes(b"\0")
    (note,) = load_images(folder).origin.notes
    assert note.startswith("without files of other kinds: 1 .0") and note.endswith(", 22 more kinds")


@BOTH
def test_a_format_that_is_not_here_is_told_with_a_way_out(folder, source, monkeypatch):
    paint(folder / "a.png", 110)
    for name in ("a.heic", "b.heic"):
        (folder / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    monkeypatch.setattr(folders, "formats", lambda: ["PNG"])
    monkeypatch.setattr("autoencoders.pictures.formats", lambda: ["PNG"])
    note = "without files of other kinds: 2 .heic (pip install pillow-heif)"
    assert load_images(source(folder)).origin.notes == [note]


@BOTH
def test_unreadable_files_are_counted_named_and_left_out(folder, source):
    paint(folder / "good.png", 107)
    for name in ("a.png", "b.jpg", "c.bmp", "d.webp"):
        (folder / name).write_bytes(b"no picture")
    for images in (load_images(source(folder)), load_images(source(folder))):  # decoded, and from the cache
        assert levels(images) == [107] and len(images.origin.unreadable) == 4
        (note,) = images.origin.notes
        assert note.startswith("without 4 unreadable files: a.png (not read by Pillow); b.jpg (") and note.endswith(
            "and 1 more"
        )


@BOTH
def test_a_truncated_picture_is_unreadable(folder, source):
    paint(folder / "good.png", 107)
    paint(folder / "truncated.png", 108).write_bytes((folder / "truncated.png").read_bytes()[:50])
    assert load_images(source(folder)).origin.unreadable[0].startswith("truncated.png (")


@BOTH
def test_where_nothing_can_be_read_all_that_was_found_is_told(folder, source):
    (folder / "a.png").write_bytes(b"no picture")
    (folder / "a.svg").write_text("<svg/>")
    found = r"found 1 unreadable file: a.png \(not read by Pillow\); files of other kinds: 1 .svg; wanted .* JPEG, PNG"
    with pytest.raises(ValueError, match=found):
        load_images(source(folder))
    assert cached(folder) == []


def test_an_empty_folder_and_an_empty_zip_are_told(folder):
    for source in (folder, zipped(folder)):
        with pytest.raises(ValueError, match=f"{source.name}: found no pictures; wanted at least one"):
            load_images(source)


@BOTH
def test_hidden_and_system_folders_are_passed_over(folder, source):
    for path in ("a.png", ".ipynb_checkpoints/a.png", "@eaDir/a.png", "__MACOSX/a.png", "b/.thumbnails/a.png"):
        paint(folder / path, 110)
    assert len(load_images(source(folder))) == 1


def test_hidden_and_system_folders_are_told(folder):
    for path in ("a.png", ".ipynb_checkpoints/a.png", "@eaDir/a.png"):
        paint(folder / path, 110)
    assert load_images(folder).origin.notes == ["without hidden and system folders: .ipynb_checkpoints, @eaDir"]


def test_a_folder_that_is_named_itself_may_be_hidden(folder):
    paint(folder / ".faces" / "a.png", 110)
    assert levels(load_images(folder / ".faces")) == [110]


def test_linked_folders_are_read_once(folder):
    paint(folder.parent / "elsewhere" / "a.png", 110)
    (folder / "link").symlink_to(folder.parent / "elsewhere")
    (folder / "round").symlink_to(folder)
    images = load_images(folder)
    assert levels(images) == [110]
    assert images.origin.notes == ["without links to folders that are read already: round"]


def test_a_link_to_nothing_is_passed_over(folder):
    paint(folder / "a.png", 110)
    (folder / "b.png").symlink_to(folder / "missing.png")
    assert len(load_images(folder)) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="wants a pipe with a name")
def test_a_pipe_is_passed_over(folder):
    paint(folder / "a.png", 110)
    os.mkfifo(folder / "b.png")
    assert len(load_images(folder)) == 1


@BOTH
def test_copies_are_told_and_never_in_both_parts_of_a_split(folder, source):
    for number in range(10):
        paint(folder / f"{number}.png", 100 + number // 2)
    images = load_images(source(folder))
    assert images.origin.notes == ["copies of other images: 5; each is trained on, or validated on, with its original"]
    for seed in range(20):
        training, validation = map(levels, images.split(np.random.default_rng(seed)))
        assert len(training) + len(validation) == 10 and not set(training) & set(validation)


def test_three_different_images_are_wanted_for_a_split(folder, rng):
    for number in range(6):
        paint(folder / f"{number}.png", 10 * (number % 2))
    with pytest.raises(ValueError, match="found only 2, wanted at least 3 different images"):
        load_images(folder).split(rng)


@pytest.mark.skipif(AS_ROOT, reason="root may read everything")
def test_what_may_not_be_read_is_told(folder):
    for name in ("a.png", "b.png", "closed/c.png"):
        paint(folder / name, 110)
    (folder / "b.png").chmod(0)
    (folder / "closed").chmod(0)
    folder_note, file_note = load_images(folder).origin.notes
    assert folder_note == "without folders that cannot be read: closed (Permission denied)"
    assert file_note == "without 1 unreadable file: b.png (Permission denied)"


@pytest.mark.skipif(AS_ROOT, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_not_called_empty(folder):
    folder.chmod(0)
    with pytest.raises(OSError, match="found Permission denied, wanted a folder that can be read"):
        load_images(folder)


def test_a_name_that_moves_the_cursor_is_shown_as_its_codes(folder):
    paint(folder / "a.png", 110)
    (folder / "b\x1b[2J.png").write_bytes(b"no picture")
    assert load_images(folder).origin.unreadable == [r"b\x1b[2J.png (not read by Pillow)"]


# ---- archives


def test_a_folder_that_holds_all_of_a_zip_may_have_any_name(folder):
    for name in ("a.png", "b.png"):
        paint(folder / "thumbnails" / name, 110)
    assert len(load_images(zipped(folder))) == 2


def test_names_that_windows_wrote_are_taken(folder):
    paint(folder / "a.png", 110)
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for name in ("faces\\a.png", "faces\\.cache\\a.png", "faces\\Thumbs.db", "b\\a.png"):
            archive.write(folder / "a.png", name)
    images = load_images(folder / "a.zip")
    assert [name for name, _ in images.origin.pictures] == ["b\\a.png", "faces\\a.png"]
    assert images.origin.notes[0] == "without hidden and system folders: .cache"


def test_a_name_that_is_none_is_taken(folder):
    paint(folder / "a.png", 110)
    with zipfile.ZipFile(zipped(folder)) as archive:
        archive.infolist()[0].filename = ""
        assert [entry.name for entry in folders.zip_entries(archive)[0]] == [""]


def test_names_in_a_zip_never_become_paths(folder):
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(paint(folder / "a.png", 110), "../../a.png")
        archive.write(folder / "a.png", "/b.png")
    assert len(load_images(path)) == 2
    assert sorted(file.name for file in folder.parent.rglob("*.png")) == ["a.png"]


def test_encrypted_nested_and_oversized_members_are_unreadable(folder, monkeypatch):
    monkeypatch.setattr(folders, "LARGEST_MEMBER", 1000)
    paint(folder / "a.png", 110)
    (folder / "large.png").write_bytes(bytes(1001))
    (folder / "nested.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    paint(folder / "secret.png", 120)
    path = zipped(folder)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1  # secret.png is the last in the directory
    path.write_bytes(data)
    images = load_images(path)
    assert levels(images) == [110]
    large, nested, secret = images.origin.unreadable
    assert large == "large.png (1,001 bytes, wanted at most 1,000)"
    assert nested == "nested.zip (an archive in an archive)" and secret == "secret.png (encrypted)"


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_compressions_that_expand_without_a_bound_are_refused(folder, compression):
    paint(folder / "a.bmp", 110)
    with zipfile.ZipFile(folder / "a.zip", "w", compression) as archive:
        archive.write(folder / "a.bmp", "a.bmp")
    if compression == zipfile.ZIP_DEFLATED:
        assert levels(load_images(folder / "a.zip")) == [110]
    else:
        with pytest.raises(ValueError, match=r"a.bmp \(compression 12, wanted none or deflate\)"):
            load_images(folder / "a.zip")


def test_a_member_whose_bytes_are_damaged_is_unreadable(folder):
    paint(folder / "a.bmp", 110)
    paint(folder / "b.bmp", 120)
    path = zipped(folder)
    data = bytearray(path.read_bytes())
    data[100] ^= 255  # of a.bmp
    path.write_bytes(data)
    images = load_images(path)
    assert levels(images) == [120] and images.origin.unreadable == ["a.bmp (Bad CRC-32 for file 'a.bmp')"]


@pytest.mark.parametrize("kept", [10, 100])
def test_a_truncated_zip_is_named(folder, kept):
    paint(folder / "a.png", 110)
    path = zipped(folder)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="folder.zip: found no intact .zip or .npz file"):
        load_images(path)


# ---- the cache


@BOTH
def test_what_is_read_is_kept_until_a_file_changes(folder, source, monkeypatch):
    read, decode_picture = [], folders.decode_picture
    monkeypatch.setattr(folders, "decode_picture", lambda file: read.append(1) or decode_picture(file))
    for name in ("a.png", "b.png"):
        paint(folder / name, 110)
    path = source(folder)
    first, second = load_images(path), load_images(path)
    assert len(read) == 2 and np.array_equal(first[:], second[:])
    assert (first.origin.pictures, first.origin.notes) == (second.origin.pictures, second.origin.notes)
    assert np.array_equal(first.origin.digests, second.origin.digests)
    paint(folder / "b.png", 120)
    assert levels(load_images(source(folder))) == [110, 120] and len(read) == 4
    (folder / "a.png").unlink()
    assert levels(load_images(source(folder))) == [120]


def test_a_file_of_the_same_size_and_time_but_other_content_is_noticed(folder):
    path = paint(folder / "a.bmp", 110)
    state = path.stat()
    assert levels(load_images(folder)) == [110]
    paint(path, 120)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert levels(load_images(folder)) == [120]


def test_two_folders_of_one_name_are_kept_apart(folder):
    for parent, level in (("one", 110), ("two", 120)):
        paint(folder / parent / "same" / "a.png", level)
    assert [levels(load_images(folder / parent / "same")) for parent in ("one", "two")] == [[110], [120]]


def test_only_the_latest_state_of_a_folder_is_kept(folder):
    for name in ("a.png", "b.png"):
        paint(folder / name, 110)
        load_images(folder)
    assert [path.suffix for path in cached(folder)] == [".json", ".npy"]


def test_a_cache_of_another_version_is_not_used(folder, monkeypatch):
    paint(folder / "a.png", 110)
    load_images(folder)
    before = cached(folder)
    monkeypatch.setattr(cache, "CACHE_VERSION", 0)
    load_images(folder)
    assert not set(before) & set(cached(folder))


@pytest.mark.parametrize("array", [None, np.zeros((2, 64, 64, 3), np.uint8), np.zeros((1, 64, 64), np.uint8)])
def test_a_damaged_array_is_made_anew(folder, array):
    paint(folder / "a.png", 110)
    load_images(folder)
    _, path = cached(folder)
    path.write_bytes(b"") if array is None else np.save(path, array)
    assert levels(load_images(folder)) == [110]


@pytest.mark.parametrize(
    "damage", [lambda text: "", lambda text: text[:-1], lambda text: text.replace("8 x 8", "9 x 9")]
)
def test_a_damaged_record_is_made_anew(folder, damage):
    paint(folder / "a.png", 110)
    load_images(folder)
    path, _ = cached(folder)
    right = path.read_text()
    path.write_text(damage(right))
    assert levels(load_images(folder)) == [110] and path.read_text() == right


def test_a_cache_folder_that_cannot_be_made_is_named_with_a_way_out(folder, monkeypatch):
    paint(folder / "a.png", 110)
    (folder / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "file"))
    with pytest.raises(OSError, match="nnlite: found Not a directory, wanted a cache folder; XDG_CACHE_HOME"):
        load_images(folder)


def test_decoding_that_is_interrupted_leaves_no_cache(folder, monkeypatch):
    def interrupted(file):
        raise KeyboardInterrupt

    paint(folder / "a.png", 110)
    with monkeypatch.context() as patch:
        patch.setattr(folders, "decode_picture", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_images(folder)
    assert cached(folder) == []
    assert levels(load_images(folder)) == [110]


def test_what_is_interrupted_is_not_read_to_the_end_of_its_batch(folder, monkeypatch):
    def interrupted_or_slow(file, read=[]):  # noqa: B006
        read.append(file)
        if len(read) == 1:
            raise KeyboardInterrupt
        time.sleep(0.5)

    for number in range(4 * cache.BATCH):
        paint(folder / f"{number}.png", 110)
    monkeypatch.setattr(folders, "decode_picture", interrupted_or_slow)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        load_images(folder)
    assert time.monotonic() - start < 3


def test_an_error_of_the_machine_is_no_fault_of_a_picture(folder, monkeypatch):
    def full(file):
        raise MemoryError

    paint(folder / "a.png", 110)
    monkeypatch.setattr(folders, "decode_picture", full)
    with pytest.raises(MemoryError):
        load_images(folder)
    assert cached(folder) == []


def test_pillow_s_settings_are_as_before_when_pictures_have_been_read(folder, recwarn):
    paint(folder / "a.png", 110)
    before = Image.MAX_IMAGE_PIXELS
    load_images(folder)
    assert before == Image.MAX_IMAGE_PIXELS and not recwarn.list


def test_thousands_of_pictures_are_in_order(folder):
    for number in range(2500):
        paint(folder / f"{number:04}.bmp", number % 251)
    assert levels(load_images(folder)) == [number % 251 for number in range(2500)]


def test_two_processes_that_decode_one_folder_at_once_read_the_same(folder):
    for number in range(40):
        paint(folder / f"{number:02}.png", number)
    program = "import sys; from autoencoders import load_images; print(load_images(sys.argv[1])[:].sum())"
    command = [sys.executable, "-c", program, folder]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert {reader.communicate()[0] for reader in readers} == {f"{sum(range(40)) * 64 * 64 * 3}\n"}
    assert [path.suffix for path in cached(folder)] == [".json", ".npy"]


def test_nothing_is_written_beside_the_pictures(folder):
    paint(folder / "a.png", 110)
    before = {path: path.read_bytes() for path in folder.rglob("*")}
    load_images(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*")} == before
