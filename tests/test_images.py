import os
import subprocess
import sys
import timeit

import numpy as np
import pytest
from PIL import Image

from autoencoders import ImageSet, load_images
from autoencoders.images import read_picture, to_features, to_pixels


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


def test_features_are_made_of_a_list_of_pictures_and_of_an_image_set_too(images):
    assert np.array_equal(to_features(list(images)), to_features(images))
    assert np.array_equal(to_features(ImageSet(images)), to_features(images))


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
    with pytest.raises(ValueError, match=f"found only {count}, wanted at least 3 different images"):
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


@pytest.mark.parametrize("kept", [6, 60, 1000])
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


def test_a_picture_is_read_by_its_path(tmp_path, images):
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    assert np.array_equal(read_picture(tmp_path / "a.png"), images[0])


def test_what_two_sets_share_is_known_of_one_file_and_of_what_was_decoded(tmp_path, images, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    mapped = load_images(save(tmp_path / "images.npy", images))
    one, other = (load_images(save(tmp_path / name, images[:, :32])) for name in ("one.npy", "other.npy"))
    assert mapped.subset(np.arange(9)).shared_with(mapped.subset(np.arange(5, 25))) == 4
    assert one.shared_with(other.subset(np.arange(3))) == 3
    assert mapped.shared_with(one) == 0


MAPPED = """
import os, sys
import numpy as np
from autoencoders import FCNAutoencoder
from demos import settings, trained

def demo(options, training, validation):
    def cut_short(x, rng):
        os.truncate(options.data, 100_000)
        return x

    trained.trained("mine", options, training, validation, build=FCNAutoencoder, corrupt=cut_short)

settings.start("demo", "", sys.argv[1:], demo)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not let a mapped file be cut short")
def test_a_file_that_is_cut_short_while_it_is_mapped_is_one_line_and_exit_status_2(tmp_path):
    data = tmp_path / "images.npy"
    np.save(data, np.zeros((200, 64, 64, 3), np.uint8))
    command = [sys.executable, "-c", MAPPED, "--quiet", "--data", str(data), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"demo: error: {data}: found it cut short while it was in use"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not let a mapped file be cut short")
@pytest.mark.parametrize("read", [lambda images: images[:], lambda images: images.digest], ids=["images", "digest"])
def test_images_of_a_file_that_was_cut_short_are_not_read(tmp_path, read):
    np.save(tmp_path / "images.npy", np.zeros((20, 64, 64, 3), np.uint8))
    images = load_images(tmp_path / "images.npy")
    os.truncate(tmp_path / "images.npy", 100_000)
    with pytest.raises(OSError, match="found it cut short while it was in use"):
        read(images)


def test_the_digest_is_that_of_the_pixels_and_their_order_wherever_they_are_kept(tmp_path, rng):
    pixels = rng.integers(0, 256, (50, 64, 64, 3), np.uint8)
    np.save(tmp_path / "rows.npy", pixels)
    np.save(tmp_path / "columns.npy", np.asfortranarray(pixels))
    digests = {load_images(tmp_path / name).digest for name in ("rows.npy", "columns.npy")}
    assert digests == {ImageSet(pixels).digest}
    changed = pixels.copy()
    changed[49, 63, 63, 2] ^= 1
    assert ImageSet(changed).digest not in digests and ImageSet(pixels[::-1]).digest not in digests


def test_a_digest_of_140_000_images_takes_less_than_a_second(tmp_path):
    array = np.lib.format.open_memmap(tmp_path / "many.npy", "w+", np.uint8, (140_000, 64, 64, 3))  # a file of holes
    seconds = min(timeit.repeat(lambda: ImageSet(array).digest, number=1, repeat=3))
    assert seconds < 1
