import numpy as np
import pytest

from autoencoders import make_faces
from autoencoders.faces import CHUNK


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


@pytest.mark.parametrize("factor", ["background_red", "background_green", "background_blue"])
def test_the_corner_shows_the_background(rng, factor):
    images, factors = make_faces(20, rng)
    channel = ["background_red", "background_green", "background_blue"].index(factor)
    assert np.allclose(images[:, 0, 0, channel] / 255, factors[factor], atol=1 / 255)


def test_the_forehead_is_brighter_where_the_skin_is_lighter(rng):
    images, factors = make_faces(50, rng)
    forehead = images[:, 20, 28:36].mean(axis=(1, 2))
    assert np.corrcoef(forehead, factors["skin"])[0, 1] > 0.99
