import numpy as np
import pytest

from autoencoders import gaussian_noise, masking_noise


def test_gaussian_noise_has_the_standard_deviation_asked_for(rng):
    x = np.full((50, 400), 0.25, np.float32)
    added = gaussian_noise(0.5)(x, rng) - x
    assert abs(added.mean()) < 0.02 and abs(added.std() - 0.5) < 0.02


def test_masking_noise_sets_the_share_asked_for_to_grey(rng):
    x = np.full((50, 400), 0.25, np.float32)
    masked = masking_noise(0.3)(x, rng)
    assert set(np.unique(masked)) == {0, np.float32(0.25)} and abs(np.mean(masked == 0) - 0.3) < 0.02


@pytest.mark.parametrize("corrupt", [gaussian_noise(0.5), masking_noise(0.5)], ids=["gaussian", "masking"])
def test_a_corruption_keeps_the_dtype_and_leaves_its_input_alone(corrupt, rng):
    x = np.full((3, 4), 0.25, np.float32)
    assert corrupt(x, rng).dtype == np.float32 and (x == 0.25).all()


@pytest.mark.parametrize(
    "make, value, message",
    [
        (gaussian_noise, -1, "std is -1, wanted at least 0"),
        (masking_noise, 1.5, "share is 1.5, wanted 0 to 1"),
        (masking_noise, float("nan"), "share is nan, wanted 0 to 1"),
    ],
)
def test_noise_that_cannot_be_is_refused(make, value, message):
    with pytest.raises(ValueError, match=message):
        make(value)
