"""Images in .npy and .npz files: of which layouts, sizes and ranges, and what is said of each."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from autoencoders import cache, load_images

y, x = np.mgrid[0:64, 0:64]
RAMP = (4 * x + y // 16).astype(np.uint8)
GREY = np.stack([RAMP, RAMP[::-1], RAMP.T, 255 - RAMP])  # (N, H, W)
COLOUR = np.stack([GREY, GREY[:, ::-1], GREY[:, :, ::-1]], axis=-1)  # (N, H, W, 3)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "images.npy"


def load(path, array):
    np.save(path, array)
    return load_images(path)


def note(images):
    (note,) = images.origin.notes
    return note


UNIT = COLOUR / 255


@pytest.mark.parametrize(
    "array, said",
    [
        (UNIT, "float64 in 0..1, colour, 64 x 64: scaled to 0..255"),
        (UNIT.astype(np.float32), "float32 in 0..1, colour, 64 x 64: scaled to 0..255"),
        (UNIT.astype(">f4"), ">f4 in 0..1, colour, 64 x 64: scaled to 0..255"),
        (UNIT.astype(np.float16), "float16 in 0..1, colour, 64 x 64: scaled to 0..255"),
        (2 * UNIT - 1, "float64 in -1..1, colour, 64 x 64: scaled to 0..255"),
        (255 * UNIT, "float64 in 0..255, colour, 64 x 64: rounded"),
        (COLOUR.astype(np.int64), "int64 in 0..255, colour, 64 x 64: as they are"),
        (COLOUR.astype(np.uint16) * 257, "uint16 in 0..65535, colour, 64 x 64: scaled to 0..255"),
        (COLOUR.transpose(0, 3, 1, 2), "uint8 in 0..255, colour, channel-first, 64 x 64: as they are"),
        (np.asfortranarray(UNIT), "float64 in 0..1, colour, 64 x 64: scaled to 0..255"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_are_scaled_by_their_range_and_said_to_be(path, array, said):
    images = load(path, array)
    assert note(images) == said
    assert np.array_equal(images[:], COLOUR)


@pytest.mark.parametrize("shape", [(4, 64, 64), (4, 64, 64, 1), (4, 1, 64, 64)])
def test_grey_becomes_three_equal_channels(path, shape):
    assert np.array_equal(load(path, GREY.reshape(shape))[:], np.stack([GREY] * 3, axis=-1))


def test_other_sizes_are_cropped_and_resized_as_pictures_are(path, rng):
    array = rng.integers(0, 256, (2, 112, 92), dtype=np.uint8)
    images = load(path, array)
    square = Image.fromarray(array[1, 10:102]).resize((64, 64), Image.Resampling.HAMMING)
    assert np.array_equal(images[1][2:-2, :, 0], np.asarray(square)[2:-2])  # at its edges it averages over them
    assert note(images) == "uint8 in 0..255, grey, 112 x 92: cropped, resized"
    assert images.origin.pictures[1] == ["image 1", f"uint8 92 x 112, {array[1].min()}..{array[1].max()}"]


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (250, 250), (8, 400)])
def test_any_size_from_8_on_is_taken(path, size):
    assert load(path, np.full((3, *size), 0.2))[:].tolist() == np.full((3, 64, 64, 3), 51).tolist()


def test_rounding_a_little_beyond_a_range_is_clipped(path):
    assert np.array_equal(load(path, UNIT * 1.001 - 0.0005)[:], COLOUR)


@pytest.mark.parametrize(
    "values",
    [
        UNIT * 1.4,
        UNIT - 0.2,
        UNIT * 5 - 2.5,
        UNIT * 300,
        UNIT * 20,
        COLOUR.astype(np.int16) - 5,
        COLOUR.astype(np.int64) * 16,
        COLOUR.astype(np.int64) // 255,
    ],
    ids=range(8),
)
def test_values_of_no_range_or_of_several_are_refused_with_what_was_found(path, values):
    lowest, highest = (f"{number:.5g}".replace("+", r"\+") for number in (values.min(), values.max()))
    found = f"images.npy: found {values.dtype} from {lowest} to {highest}, wanted numbers that fill one of"
    with pytest.raises(ValueError, match=found):
        load(path, values)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_are_refused(path, value):
    with pytest.raises(ValueError, match="images.npy: found nan or inf among float64, wanted finite numbers"):
        load(path, np.where(UNIT == 1, value, UNIT))


def test_images_that_are_nearly_black_are_told(path):
    said = "nearly black images: 4, no value above 31 of 255; were they of another range?"
    assert load(path, COLOUR[..., 0] // 255).origin.notes == ["uint8 in 0..255, grey, 64 x 64: as they are", said]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 64, 64, 4)),
        np.zeros((3, 7, 64)),
        np.zeros((1, 1, 2049), np.uint8).repeat(2048, axis=1),
        np.zeros((3, 64, 64, 3, 1)),
        np.zeros((64, 64)),
        np.zeros((0, 64, 64, 3), np.uint8),
        np.zeros((3, 64, 64), bool),
        np.zeros((3, 64, 64), complex),
        np.zeros((3, 64, 64), [("a", "u1")]),
        np.array(["text"]),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_an_array_of_something_else_is_named_with_its_dtype_and_shape(path, array):
    with pytest.raises(ValueError, match=r"images.npy: found .* \(.*\), wanted images: numbers, \(N, H, W\)"):
        load(path, array)


def test_it_is_converted_once_until_the_file_changes(path, monkeypatch):
    first = load(path, UNIT)[:]
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_decode", None)  # is not called
        assert np.array_equal(load_images(path)[:], first)
    assert np.array_equal(load(path, 1 - UNIT)[:], 255 - first)


def test_equal_images_of_an_array_are_in_one_part_of_a_split(path, rng):
    images = load(path, np.repeat(UNIT, 3, axis=0))
    training, validation = images.split(rng)
    assert len(training) + len(validation) == 12
    assert not {image.tobytes() for image in training[:]} & {image.tobytes() for image in validation[:]}


# ---- .npz


def test_the_one_array_of_images_in_an_npz_is_taken(path):
    np.savez(path.with_suffix(".npz"), target=np.arange(4), images=UNIT, names=np.array(["a", "b"]))
    assert np.array_equal(load_images(path.with_suffix(".npz"))[:], COLOUR)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_of_several_one_is_chosen_by_its_name(path, save):
    save(path.with_suffix(".npz"), train=UNIT, test=np.asfortranarray(UNIT[:2]))
    assert len(load_images(f"{path.with_suffix('.npz')}:train")) == 4
    assert np.array_equal(load_images(f"{path.with_suffix('.npz')}:test")[:], COLOUR[:2])
    found = r"found train float64 \(4, 64, 64, 3\), test .*; wanted one of them, as in .*images.npz:train"
    with pytest.raises(ValueError, match=found):
        load_images(path.with_suffix(".npz"))


def test_a_name_that_there_is_not_is_refused_with_those_there_are(path):
    np.savez(path.with_suffix(".npz"), objects=np.array([{}]), images=UNIT)
    found = r"images.npz:image: found no array of this name, wanted one of: objects object \(1,\), images float64 \(4"
    with pytest.raises(ValueError, match=found):
        load_images(f"{path.with_suffix('.npz')}:image")


@pytest.mark.parametrize("name", ["objects", "target"])
def test_a_name_of_no_images_is_refused(path, name):
    np.savez(path.with_suffix(".npz"), objects=np.array([{}]), target=np.arange(4), images=UNIT)
    with pytest.raises(ValueError, match=rf"images.npz:{name}: found {name} \S+ \(.,\); wanted images: numbers"):
        load_images(f"{path.with_suffix('.npz')}:{name}")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_an_array_that_expands_beyond_its_header_is_none(path, compression):
    content = io.BytesIO()
    np.save(content, UNIT)
    with zipfile.ZipFile(path.with_suffix(".npz"), "w", compression) as archive:
        archive.writestr("images.npy", content.getvalue() + bytes(10**7))
    with pytest.raises(ValueError, match="images.npz: found none; wanted images"):
        load_images(path.with_suffix(".npz"))


def test_arrays_in_a_zip_are_chosen_by_name_too(path):
    np.savez(path.with_suffix(".npz"), a=UNIT, b=UNIT)
    path.with_suffix(".npz").rename(path.with_suffix(".ZIP"))
    assert len(load_images(f"{path.with_suffix('.ZIP')}:a")) == 4


def test_an_npz_without_arrays_is_told(path):
    np.savez(path.with_suffix(".npz"))
    with pytest.raises(ValueError, match="images.npz: found no"):
        load_images(path.with_suffix(".npz"))


def test_a_damaged_array_in_an_npz_is_told_and_leaves_nothing(path):
    path = path.with_suffix(".npz")
    np.savez(path, images=UNIT)
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"images.npz: found no complete array of numbers \(Bad CRC-32"):
        load_images(path)
    assert list((path.parent / "cache" / "nnlite").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\x93NUM", b"JFIF", pickle.dumps({"images": 1})], ids=range(4))
def test_a_file_of_another_kind_is_refused_with_what_is_wanted(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match="images.npy: found no .npy, .npz or .zip file, wanted a folder"):
        load_images(path)
