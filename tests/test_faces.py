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


@pytest.mark.parametrize(
    "name, rows, columns",
    [
        ("skin", slice(36, 40), slice(20, 26)),
        ("hair", slice(8, 14), slice(26, 38)),
        ("clothes", slice(60, 64), slice(26, 38)),
        ("eye_size", slice(28, 36), slice(22, 30)),
    ],
)
def test_more_of_a_factor_is_lighter_where_it_shows(name, rows, columns):
    low, high = (one_factor(name, value)[rows, columns].mean() for value in (0, 1))
    assert high > low + 3


def test_longer_hair_hides_more_of_the_background():
    corner = [one_factor("hair_length", value)[50:56, 12:20] for value in (0, 1)]
    background = one_factor("hair_length", 0)[50, 2]
    assert np.abs(corner[0] - background).mean() < 10 < np.abs(corner[1] - background).mean()


def test_an_open_mouth_is_higher_than_a_closed_one():
    red = [one_factor("mouth_opening", value)[42:58, 31] @ [1, -1, 0] for value in (0, 1)]
    reach = [np.ptp(np.nonzero(column > 70)[0]) for column in red]
    assert reach[1] > reach[0] + 2


def test_the_eyes_move_to_the_side_that_the_head_turns_to():
    pupils = [one_factor("head_turn", value)[30:34].max(axis=2) < 30 for value in (-1, 1)]
    assert np.nonzero(pupils[1])[1].mean() > np.nonzero(pupils[0])[1].mean() + 4


def test_faces_are_the_same_on_every_platform():
    image = make_faces(1, np.random.default_rng(0))[0][0].astype(int)
    stored = [[109, 179, 158], [84, 68, 45], [0, 0, 0], [176, 139, 120], [156, 95, 86], [182, 175, 184]]
    assert np.abs(image[[4, 12, 32, 38, 48, 62], [4, 32, 26, 22, 32, 32]] - stored).max() <= 1


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
    fitted, held_out = np.split(features - features[:350].mean(axis=0), [350])
    eigenvectors = np.linalg.eigh(fitted @ fitted.T)[1][:, -24:]  # X^T maps them to those of X^T X
    components, _ = np.linalg.qr(fitted.T @ eigenvectors)  # (D, 24)
    assert np.mean((held_out - held_out @ components @ components.T) ** 2) > (2 * 8 / 255) ** 2  # 8 grey levels


def test_500_faces_take_at_most_a_few_seconds(rng):
    start = time.process_time()
    make_faces(500, rng)
    assert time.process_time() - start < 4  # a machine four times slower than one that paints 500 a second
