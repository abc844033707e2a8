import numpy as np
import pytest

from autoencoders.faces import make_faces
from autoencoders.faults import FAULTS, FAULTS_OF_FACES, another_texture, noise, smooth_shapes, stripe, upside_down


@pytest.fixture
def faces(rng):
    return make_faces(20, rng)[0]


def difference(images, others):
    """The largest of each pixel's three channels: (N, 64, 64)."""
    return np.abs(images.astype(int) - others).max(axis=3)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_makes_new_images_and_leaves_those_that_are_given(faces, rng, name):
    before = faces.copy()
    faulty = FAULTS[name](faces, rng)
    assert faulty.dtype == np.uint8 and faulty.shape == faces.shape and np.array_equal(faces, before)
    assert (difference(faulty, faces).max(axis=(1, 2)) > 10).all() and not np.shares_memory(faulty, faces)


@pytest.mark.parametrize("name", [*FAULTS, *FAULTS_OF_FACES])
def test_the_same_seed_plants_the_same_fault(faces, name):
    given = faces if name in FAULTS else len(faces)
    one, two, other = ((FAULTS | FAULTS_OF_FACES)[name](given, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, two) and (name == "upside down" or not np.array_equal(one, other))


def test_upside_down_twice_is_upright(faces, rng):
    assert np.array_equal(upside_down(upside_down(faces, rng), rng), faces)


def test_ripples_are_in_the_middle_and_leave_its_mean_colour(rng):
    grey = np.full((20, 64, 64, 3), 128, np.uint8)
    rippled = another_texture(grey, rng)
    assert (difference(rippled, grey)[:, :10] == 0).all() and difference(rippled, grey)[:, 32, 20:44].max() <= 20
    assert np.abs(rippled[:, 16:48, 20:44].mean(axis=(1, 2)) - 128).max() < 4


def test_noise_has_a_standard_deviation_of_16_grey_levels(rng):
    grey = np.full((20, 64, 64, 3), 128, np.uint8)
    assert noise(grey, rng).std() == pytest.approx(16, rel=0.01)


def test_a_stripe_is_3_pixels_wide_and_as_high_as_the_picture(rng):
    grey = np.full((20, 64, 64, 3), 128, np.uint8)
    changed = difference(stripe(grey, rng), grey) > 0
    assert (changed.sum(axis=2) == 3).all() and (changed == changed[:, :1]).all()


def test_smooth_shapes_have_the_colours_of_the_image_and_no_edges(faces, rng):
    shapes = smooth_shapes(faces, rng).astype(int)
    assert np.abs(np.diff(shapes, axis=1)).max() < 40 < np.abs(np.diff(faces.astype(int), axis=1)).max()
    assert (shapes.max(axis=(1, 2)) <= faces.max(axis=(1, 2))).all()
    assert (shapes.min(axis=(1, 2)) >= faces.min(axis=(1, 2))).all()


@pytest.mark.parametrize("name, mouth_changes", [("no eyes", False), ("mouth and eyes exchanged", True)])
def test_a_fault_of_faces_changes_eyes_and_mouth_alone(name, mouth_changes):
    faulty = FAULTS_OF_FACES[name](20, np.random.default_rng(0))
    changed = difference(faulty, make_faces(20, np.random.default_rng(0))[0]).max(axis=0)  # (64, 64)
    at_eyes, at_mouth = changed[24:36, 16:48].max(), changed[42:54, 20:44].max()
    assert at_eyes > 100 and (at_mouth > 100) == mouth_changes
    assert changed[:18].max() == 0 and changed[:, :10].max() == 0
