import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import autoencoders.images as images_module
from autoencoders import ImageSet, load_images
from autoencoders.images import SHAPE, read_picture, to_features, to_pixels, unreadable_files


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (25, 64, 64, 3), dtype=np.uint8)


def save(path, array):
    np.save(path, array)
    return path


def test_features_are_channel_first_and_scaled_as_the_homework_scales_them(images):
    expected = (2 * images.transpose(0, 3, 1, 2).astype(np.float64) / 255 - 1).reshape(25, 12288)
    assert to_features(images).dtype == np.float32
    assert np.allclose(to_features(images), expected, atol=6e-8)


def test_pixels_come_back_exactly(images):
    assert np.array_equal(to_pixels(to_features(images)), images)


def test_pixels_outside_the_range_are_clipped():
    assert np.array_equal(np.unique(to_pixels(np.linspace(-9, 9, 12288)[None])), np.arange(256))


def test_every_image_is_in_exactly_one_batch_in_a_new_order_each_time(images, rng):
    images[:, 0, 0, 0] = np.arange(25)
    numbers = [
        np.concatenate([to_pixels(batch)[:, 0, 0, 0] for batch in ImageSet(images).batches(4, rng)]) for _ in range(2)
    ]
    assert [sorted(order) for order in numbers] == [list(range(25))] * 2
    assert not np.array_equal(*numbers)


def test_without_a_generator_batches_are_in_order_and_the_last_is_shorter(images):
    batches = list(ImageSet(images).batches(10))
    assert [len(batch) for batch in batches] == [10, 10, 5]
    assert np.array_equal(to_pixels(np.concatenate(batches)), images)


def test_a_batch_of_no_images_is_refused(images):
    with pytest.raises(ValueError, match="batch_size is 0, wanted at least 1"):
        next(ImageSet(images).batches(0))


def test_a_split_gives_a_tenth_to_validation_and_every_image_to_one_part(images, rng):
    images[:, 0, 0, 0] = np.arange(25)
    training, validation = ImageSet(images[:20]).split(rng)
    assert (len(training), len(validation)) == (18, 2)
    assert sorted([*training[:][:, 0, 0, 0], *validation[:][:, 0, 0, 0]]) == list(range(20))


def test_a_seed_always_gives_the_same_split(images):
    one, other = (ImageSet(images).split(np.random.default_rng(5))[1] for _ in range(2))
    assert np.array_equal(one[:], other[:])


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_images_cannot_be_split(images, rng, count):
    with pytest.raises(ValueError, match=f"found only {count}, wanted at least 3 images"):
        ImageSet(images[:count]).split(rng)


def test_an_image_is_a_copy_that_may_be_written_to(images):
    image = ImageSet(images)[3]
    image[...] = 0
    assert ImageSet(images)[3].any()


def test_a_file_is_mapped_and_its_images_come_as_they_are(tmp_path, images):
    loaded = load_images(save(tmp_path / "images.npy", images))
    assert isinstance(loaded._array, np.memmap)
    assert len(loaded) == 25 and np.array_equal(loaded[4], images[4])


def test_count_takes_the_first_images_or_draws_them(tmp_path, images):
    path = save(tmp_path / "images.npy", images)
    assert np.array_equal(load_images(path, count=3)[:], images[:3])
    drawn = load_images(path, count=25, rng=np.random.default_rng(0))
    assert not np.array_equal(drawn[:], images) and len(np.unique(drawn.rows)) == 25


def test_without_a_path_there_are_embedded_faces():
    assert load_images(count=12)[:].shape == (12, 64, 64, 3)


@pytest.mark.parametrize(
    "content, found",
    [
        (np.zeros((3, 64, 64), np.uint8), r"uint8 \(3, 64, 64\)"),
        (np.zeros((3, 32, 32, 3), np.uint8), r"uint8 \(3, 32, 32, 3\)"),
        (np.zeros((3, 64, 64, 3), np.float32), r"float32 \(3, 64, 64, 3\)"),
        (np.zeros((0, 64, 64, 3), np.uint8), ""),
        (np.array([{}]), "found no complete array"),
    ],
    ids=["rank", "size", "dtype", "none", "objects"],
)
def test_an_array_that_is_no_images_is_named_with_what_was_found(tmp_path, content, found):
    np.save(tmp_path / "images.npy", content, allow_pickle=True)
    with pytest.raises(ValueError, match=rf"images.npy: .*{found}.*, wanted "):
        load_images(tmp_path / "images.npy")


@pytest.mark.parametrize("kept", [0, 5, 60, 1000])
def test_a_truncated_file_is_named(tmp_path, images, kept):
    path = save(tmp_path / "images.npy", images)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="images.npy: found no complete array of numbers"):
        load_images(path)


@pytest.mark.parametrize(
    "shape", ["(1000000000000, 64, 64, 3)", "(-5, 64, 64, 3)", "(2**62, 64, 64, 3)", f"({2**62}, 64, 64, 3)", "((" * 50]
)
def test_a_forged_shape_is_refused(tmp_path, shape):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    (tmp_path / "images.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + header.encode() + bytes(5 * 12288))
    with pytest.raises(ValueError, match="images.npy: found no complete array of numbers"):
        load_images(tmp_path / "images.npy")


def test_a_header_that_claims_4_gigabytes_is_not_read_to_its_end(tmp_path):
    with open(tmp_path / "images.npy", "wb") as file:
        file.write(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{")
        file.truncate(2**32)  # sparse: takes no space on disk
    with pytest.raises(ValueError, match="images.npy: found no complete array .* bytes got 9988"):
        load_images(tmp_path / "images.npy")


def test_fortran_order_is_read_right(tmp_path, images):
    path = save(tmp_path / "images.npy", np.asfortranarray(images))
    assert np.array_equal(load_images(path)[:], images)
    assert np.array_equal(next(load_images(path).batches(25)), to_features(images))


def test_a_pickle_named_npy_is_refused(tmp_path):
    (tmp_path / "images.npy").write_bytes(pickle.dumps({"images": 1}))
    with pytest.raises(ValueError, match="images.npy: found no complete array of numbers"):
        load_images(tmp_path / "images.npy")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="wants a pipe with a name")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "images.npy")
    with pytest.raises(OSError, match="images.npy: found a folder, pipe or device, wanted a file"):
        load_images(tmp_path / "images.npy")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing.npy: found no such file"):
        load_images(tmp_path / "missing.npy")


def test_more_images_than_there_are_is_an_error(tmp_path, images):
    with pytest.raises(ValueError, match="images.npy: found 25 images, wanted 26"):
        load_images(save(tmp_path / "images.npy", images), count=26)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


@pytest.fixture
def scene():
    """A smooth colour picture, 80 wide and 72 high, whose corners all differ."""
    y, x = np.mgrid[0:72, 0:80]
    return Image.fromarray(np.stack([x * 3, y * 3, 255 - x - 2 * y], axis=-1).astype(np.uint8))


def grey_levels_apart(path, reference):
    """The largest difference of the read picture from another, or from a grey level."""
    return np.abs(read_picture(path).astype(int) - reference).max()


def central(scene):
    """The scene's central square at 64 x 64."""
    return np.asarray(scene.crop((4, 0, 76, 72)).resize((64, 64), Image.Resampling.HAMMING)).astype(int)


@pytest.mark.parametrize("suffix, options", [(".png", {}), (".bmp", {}), (".webp", {"lossless": True})])
def test_a_picture_becomes_its_central_square(folder, scene, suffix, options):
    scene.save(folder / f"a{suffix}", **options)
    assert grey_levels_apart(folder / f"a{suffix}", central(scene)) == 0


def test_a_jpeg_is_read_within_3_grey_levels(folder, scene):
    scene.save(folder / "a.jpg", quality=98, subsampling=0)
    assert grey_levels_apart(folder / "a.jpg", central(scene)) <= 3


def test_a_cmyk_jpeg_agrees_with_its_rgb_original(folder, scene):
    scene.convert("CMYK").save(folder / "a.jpg", quality=98, subsampling=0)
    assert grey_levels_apart(folder / "a.jpg", central(scene)) <= 3


def test_a_tall_picture_becomes_its_central_square_too(folder, scene):
    tall = scene.transpose(Image.Transpose.TRANSPOSE)  # 72 wide, 80 high
    tall.save(folder / "a.png")
    square = tall.crop((0, 4, 72, 76)).resize((64, 64), Image.Resampling.HAMMING)
    assert grey_levels_apart(folder / "a.png", np.asarray(square)) == 0


PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "photos"


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
def test_a_large_picture_is_sampled_down_before_it_is_copied_and_looks_the_same(folder, scene, mode, monkeypatch):
    scene.resize((800, 720)).convert(mode, palette=Image.Palette.ADAPTIVE).save(folder / "a.png")
    whole = read_picture(folder / "a.png").astype(int)
    monkeypatch.setattr(images_module, "LARGE", 500_000)
    monkeypatch.setattr(images_module, "ENOUGH", 150_000)
    assert grey_levels_apart(folder / "a.png", whole) <= 4


@pytest.mark.skipif(not PHOTOS.exists(), reason="wants the development photographs")
def test_photographs_in_grey_in_cmyk_and_turned_agree_with_their_originals(folder):
    for path in sorted(PHOTOS.glob("*.jpg"))[::12]:
        original, photo = read_picture(path), Image.open(path)
        photo.convert("CMYK").save(folder / "cmyk.jpg", quality=98, subsampling=0)
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned right
        photo.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", quality=98, subsampling=0, exif=exif)
        photo.convert("L").save(folder / "grey.png")
        grey = np.asarray(Image.fromarray(original).convert("L").convert("RGB"))
        assert grey_levels_apart(folder / "cmyk.jpg", original) <= 3
        assert grey_levels_apart(folder / "turned.jpg", original) <= 3
        assert grey_levels_apart(folder / "grey.png", grey) <= 3


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_modes_agree_with_the_grey_original(folder, scene, mode):
    scene.convert("L").convert(mode).save(folder / "a.png")
    assert grey_levels_apart(folder / "a.png", central(scene.convert("L").convert(mode).convert("RGB"))) <= 3


def test_hard_edges_are_as_grey_as_their_colours_are(folder):
    stripes = Image.fromarray(np.tile(np.array([[0, 0, 0], [255, 0, 0], [255, 255, 255]], np.uint8), (72, 24, 1)))
    stripes.convert("L").save(folder / "a.png")
    stripes.save(folder / "b.png")
    grey = Image.fromarray(read_picture(folder / "b.png")).convert("L").convert("RGB")
    assert grey_levels_apart(folder / "a.png", np.asarray(grey)) <= 3


def test_one_bit_is_black_or_white(folder):
    Image.new("1", (80, 72), 1).save(folder / "a.png")
    assert grey_levels_apart(folder / "a.png", 255) == 0


def test_16_bits_of_grey_are_scaled_and_not_clipped(folder, scene):
    grey = np.asarray(scene.convert("L")).astype(np.uint16)
    Image.fromarray(grey * 257).save(folder / "a.png")
    assert grey_levels_apart(folder / "a.png", central(scene.convert("RGB").convert("L").convert("RGB"))) <= 3


def test_a_palette_is_looked_up(folder, scene):
    palette = scene.convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(folder / "a.png")
    assert grey_levels_apart(folder / "a.png", central(palette.convert("RGB"))) <= 3


@pytest.mark.parametrize("opacity", [0, 128, 255])
def test_what_is_transparent_lies_on_white(folder, opacity):
    Image.new("RGBA", (64, 64), (0, 0, 0, opacity)).save(folder / "a.png")
    assert grey_levels_apart(folder / "a.png", 255 - opacity) == 0


def test_a_transparent_palette_entry_lies_on_white(folder):
    Image.new("P", (64, 64), 0).save(folder / "a.png", transparency=0)
    assert grey_levels_apart(folder / "a.png", 255) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(folder, scene, orientation):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that a viewer of this orientation reverses
    stored = scene if orientation == 1 else scene.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(folder / "a.png", exif=exif)
    assert grey_levels_apart(folder / "a.png", central(scene)) == 0


def test_a_picture_of_one_pixel_becomes_one_colour(folder):
    Image.new("RGB", (1, 1), (10, 20, 30)).save(folder / "a.png")
    assert grey_levels_apart(folder / "a.png", np.array([10, 20, 30])) == 0


def test_a_folder_and_its_subfolders_become_images(folder):
    (folder / "b" / "c").mkdir(parents=True)
    for level, path in ((10, "a.PNG"), (20, "b/a.png"), (30, "b/c/a.png")):
        Image.new("RGB", (70, 70), (level, level, level)).save(folder / path)
    (folder / "notes.txt").write_text("no picture")
    images = load_images(folder)
    assert [int(image[0, 0, 0]) for image in images[:]] == [10, 20, 30]
    assert images.unreadable == []


def test_a_folder_is_decoded_once_until_it_changes(folder, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        images_module, "read_picture", lambda path: decoded.append(path.name) or np.zeros(SHAPE, np.uint8)
    )
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    for _ in range(2):
        load_images(folder)
    assert decoded == ["a.png", "b.png"]
    Image.new("RGB", (9, 9), "red").save(folder / "b.png")
    load_images(folder)
    assert decoded == ["a.png", "b.png"] * 2
    (folder / "a.png").unlink()
    assert len(load_images(folder)) == 1


def test_unreadable_files_are_counted_named_and_left_out(folder):
    Image.new("RGB", (8, 8), (7, 7, 7)).save(folder / "good.png")
    for name in ("a.png", "b.jpg", "c.bmp", "d.webp"):
        (folder / name).write_bytes(b"no picture")
    for images in (load_images(folder), load_images(folder)):  # decoded, and from the cache
        assert len(images) == 1 and (images[:] == 7).all()
        assert len(images.unreadable) == 4
    phrase = unreadable_files(images.unreadable)
    assert phrase.startswith("4 unreadable files: a.png (") and phrase.endswith("and 1 more")


def test_an_unreadable_file_in_a_subfolder_is_named_with_it(folder):
    (folder / "b").mkdir()
    (folder / "b" / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=f"folder: found 1 unreadable file: b{os.sep}a.png"):
        load_images(folder)


def test_a_picture_with_more_pixels_than_pillow_finds_safe_is_unreadable(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.new("RGB", (11, 11)).save(folder / "a.png")  # above the limit, below twice the limit: Pillow warns
    with pytest.raises(ValueError, match="1 unreadable file: a.png"):
        load_images(folder)


def test_a_link_to_nothing_is_passed_over(folder):
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    (folder / "b.png").symlink_to(folder / "missing.png")
    assert len(load_images(folder)) == 1


def test_two_folders_of_one_name_are_kept_apart(folder):
    for parent, level in (("one", 10), ("two", 20)):
        (folder / parent / "same").mkdir(parents=True)
        Image.new("RGB", (8, 8), (level, level, level)).save(folder / parent / "same" / "a.png")
    assert [int(load_images(folder / parent / "same")[0][0, 0, 0]) for parent in ("one", "two")] == [10, 20]


def test_a_file_of_the_same_size_and_time_but_other_content_is_noticed(folder):
    path = folder / "a.bmp"
    Image.new("RGB", (8, 8), (10, 10, 10)).save(path)
    state = path.stat()
    assert load_images(folder)[0][0, 0, 0] == 10
    Image.new("RGB", (8, 8), (20, 20, 20)).save(path)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert load_images(folder)[0][0, 0, 0] == 20


def test_only_the_latest_state_of_a_folder_is_kept(folder):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
        load_images(folder)
    assert sorted(path.suffix for path in (folder.parent / "cache" / "nnlite").iterdir()) == [".json", ".npy"]


def test_a_cache_of_another_version_is_not_used(folder, monkeypatch):
    Image.new("RGB", (8, 8), (10, 10, 10)).save(folder / "a.png")
    load_images(folder)
    monkeypatch.setattr(images_module, "CACHE_VERSION", 0)
    monkeypatch.setattr(images_module, "read_picture", lambda path: np.zeros(SHAPE, np.uint8))
    assert load_images(folder)[0][0, 0, 0] == 0


@pytest.mark.parametrize("shape", [None, (2, *SHAPE), (1, 64, 64)])
def test_a_damaged_cache_is_made_anew(folder, shape):
    Image.new("RGB", (8, 8), (7, 7, 7)).save(folder / "a.png")
    load_images(folder)
    (array,) = (folder.parent / "cache" / "nnlite").glob("*.npy")
    array.write_bytes(b"") if shape is None else np.save(array, np.zeros(shape, np.uint8))
    assert (load_images(folder)[0] == 7).all()


def test_a_cache_folder_that_cannot_be_made_is_named_with_a_way_out(folder, monkeypatch):
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    (folder / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "file"))
    with pytest.raises(OSError, match="nnlite: found Not a directory, wanted a cache folder; XDG_CACHE_HOME"):
        load_images(folder)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_not_called_empty(folder):
    folder.chmod(0)
    with pytest.raises(OSError, match="found Permission denied, wanted a folder that can be read"):
        load_images(folder)


def test_a_truncated_picture_and_another_format_are_unreadable(folder, scene):
    scene.save(folder / "truncated.png")
    data = (folder / "truncated.png").read_bytes()
    (folder / "truncated.png").write_bytes(data[: len(data) // 2])
    scene.save(folder / "gif.png", format="GIF")
    with pytest.raises(ValueError, match="found 2 unreadable files: gif.png .*truncated.png .*, wanted at least one"):
        load_images(folder)


def test_a_picture_of_20_000_x_20_000_pixels_is_refused_before_it_is_decoded(folder):
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    with pytest.raises(ValueError, match=r"huge.png \(Image size \(400000000 pixels\) exceeds limit"):
        load_images(folder)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_picture_that_may_not_be_read_is_left_out(folder):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    (folder / "a.png").chmod(0)
    assert load_images(folder).unreadable[0].startswith("a.png")


def test_decoding_that_is_interrupted_leaves_no_cache(folder, monkeypatch):
    def interrupted(path):
        raise KeyboardInterrupt

    Image.new("RGB", (8, 8), (7, 7, 7)).save(folder / "a.png")
    with monkeypatch.context() as patch:
        patch.setattr(images_module, "read_picture", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_images(folder)
    assert list((folder.parent / "cache" / "nnlite").iterdir()) == []
    assert (load_images(folder)[0] == 7).all()


@pytest.mark.parametrize(
    "content", ["[", "[" * 100_000, "{}", '{"faults": 5}', '{"faults": []}', '{"faults": [7]}'], ids=range(6)
)
def test_a_damaged_list_of_faults_is_made_anew(folder, content):
    Image.new("RGB", (8, 8), (7, 7, 7)).save(folder / "a.png")
    load_images(folder)
    (faults,) = (folder.parent / "cache" / "nnlite").glob("*.json")
    faults.write_text(content)
    assert (load_images(folder)[0] == 7).all() and faults.read_text() != content


def test_mislabelled_pictures_are_read_as_what_they_are(folder, scene):
    scene.save(folder / "a.jpg", format="PNG")
    assert grey_levels_apart(folder / "a.jpg", central(scene)) == 0


def test_two_processes_that_decode_one_folder_at_once_read_the_same(folder, scene):
    for number in range(40):
        scene.save(folder / f"{number}.png")
    program = "import sys; from autoencoders import load_images; print(load_images(sys.argv[1])[:].sum())"
    command = [sys.executable, "-c", program, folder]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert {reader.communicate()[0] for reader in readers} == {f"{40 * central(scene).sum()}\n"}
    assert sorted(path.suffix for path in (folder.parent / "cache" / "nnlite").iterdir()) == [".json", ".npy"]
