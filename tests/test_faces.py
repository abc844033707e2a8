import time

import numpy as np
import pytest

from autoencoders import make_faces
from autoencoders.faces import CHUNK, RANGES, _paint
from autoencoders.images import to_features


def test_images_are_uint8_and_every_factor_has_one_value_an_image(rng):
    images, factors = make_faces(5, rng)
    assert images.shape == (5, 64, 64, 3) and images.dtype == np.uint8
    assert all(values.shape == (5,) for values in factors.values())


def test_the_same_seed_paints_the_same_faces():
    first, second = (make_faces(3, np.random.default_rng(7))[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_faces_differ(rng):
    images, _ = make_faces(CHUNK + 2, rng)
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == CHUNK + 2


def one_factor(name, value):
    """An image with every factor in the middle of its range but one."""
    middle = {factor: np.full((1, 1, 1), sum(limits) / 2) for factor, limits in RANGES.items()}
    return _paint(middle | {name: np.full((1, 1, 1), value)})[0].astype(int)


def test_every_factor_lies_in_its_range_and_fills_it(rng):
    _, factors = make_faces(200, rng)
    for name, (lowest, highest) in RANGES.items():
        span = highest - lowest
        assert (
            lowest <= factors[name].min() < lowest + span / 20 and highest - span / 20 < factors[name].max() <= highest
        )


@pytest.mark.parametrize("name", RANGES)
def test_every_factor_shows(name):
    low, high = (one_factor(name, value) for value in RANGES[name])
    assert (np.abs(low - high).max(axis=2) > 20).sum() >= 10  # at least 10 pixels


@pytest.mark.parametrize("channel, name", list(enumerate(["background_red", "background_green", "background_blue"])))
def test_the_corner_shows_the_background(channel, name):
    low, high = (one_factor(name, value)[0, 0] for value in (0, 1))
    assert np.array_equal(np.nonzero(high - low)[0], [channel]) and high[channel] > low[channel]


def test_the_light_falls_on_the_side_that_the_factor_names():
    for value in (-1, 1):
        face = one_factor("light", value).sum(axis=2)
        assert np.sign(face[38, 42] - face[38, 21]) == value


def test_a_smiling_mouth_hangs_lower_in_its_middle_than_at_its_ends_and_a_sad_one_higher():
    def height(image, columns):  # of the lips, which are redder than skin
        redness = image[40:56, columns, 0] - image[40:56, columns, 1]  # (16, 2)
        return np.average(np.arange(40, 56), weights=np.clip(redness.sum(axis=1) - 100, 0, None))

    for value in (-1, 1):
        face = one_factor("smile", value)
        assert (height(face, [31, 32]) - height(face, [24, 39])) * value > 2


def test_pca_with_24_components_leaves_a_visible_error(rng):
    features = to_features(make_faces(400, rng)[0])
    centred = features - features[:350].mean(axis=0)
    components = np.linalg.svd(centred[:350], full_matrices=False)[2][:24]
    held_out = centred[350:]
    assert np.mean((held_out - held_out @ components.T @ components) ** 2) > (2 * 8 / 255) ** 2  # 8 grey levels


def test_500_faces_take_at_most_a_few_seconds(rng):
    start = time.process_time()
    make_faces(500, rng)
    assert time.process_time() - start < 4  # a machine four times slower than one that paints 500 a second
