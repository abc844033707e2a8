import numpy as np
import pytest

from autoencoders.code_space import (
    ADVANTAGES,
    DISADVANTAGES,
    conclusion,
    fitted_samples,
    high_frequencies,
    midpoints,
    nearest_distance,
    perturbed,
)


def test_codes_are_moved_by_k_standard_deviations_of_each_element(rng):
    codes = (rng.standard_normal((20_000, 2)) * [1, 10]).astype(np.float32)
    moved = perturbed(codes, 0.5, rng)
    assert moved.dtype == np.float32 and np.allclose((moved - codes).std(axis=0), [0.5, 5], rtol=0.05)


def test_a_midpoint_is_halfway_to_the_next_code():
    assert np.array_equal(midpoints(np.array([[0.0], [2.0], [6.0]])), [[1], [4], [3]])


def test_fitted_samples_have_the_mean_and_covariance_of_the_codes(rng):
    codes = rng.standard_normal((5000, 2)) @ [[1, 1], [0, 2]] + [3, -1]
    samples = fitted_samples(codes, 20_000, rng)
    assert np.allclose(samples.mean(axis=0), codes.mean(axis=0), atol=0.1)
    assert np.allclose(np.cov(samples.T), np.cov(codes.T), rtol=0.1)


def test_the_nearest_real_image_is_that_of_the_smallest_mean_squared_difference(rng):
    pictures, real = rng.uniform(-1, 1, (4, 30)), rng.uniform(-1, 1, (9, 30))
    expected = [min(np.mean((picture - image) ** 2) for image in real) for picture in pictures]
    assert np.allclose(nearest_distance(pictures, real), expected, rtol=1e-12)


@pytest.mark.parametrize("cycles, share", [(0, 0), (7, 0), (8, 1), (20, 1)])
def test_from_8_cycles_a_picture_on_a_frequency_is_high(cycles, share):
    wave = 0.5 * np.cos(2 * np.pi * cycles * np.arange(64) / 64)  # of the variance 1/8, unless it is constant
    picture = np.broadcast_to(wave, (3, 64, 64)).reshape(1, -1)
    assert np.isclose(high_frequencies(picture)[0], share / 8, atol=1e-12)


def test_a_conclusion_names_what_was_found_and_what_was_not():
    a, b = ({"name": name, "verdict": "holds"} for name in "ab")
    c, d = {"name": "c", "verdict": "does not hold"}, {"name": "d", "verdict": "too small to say"}
    assert conclusion("advantage", [a, b, c, d]) == "The VAE's advantage shows in a and b. It does not show in c or d."
    assert conclusion("advantage", [a]) == "The VAE's advantage shows in a."
    assert conclusion("advantage", [c]).endswith("shows in none of these measurements.")


@pytest.mark.parametrize(
    "name, holds, fails",
    [
        (
            "pictures between two codes",
            "Halfway between two codes the VAE's pictures are nearer",
            "claim does not hold: halfway",
        ),
        (
            "samples of N(0, I)",
            "nearer to real images from the VAE than",
            "nearer to real images from the vanilla autoencoder",
        ),
        (
            "a comparison with samples of a normal distribution fitted to the vanilla codes",
            "Decoded samples of N(0, I) from the VAE are nearer",
            "fitted to the vanilla autoencoder's codes are nearer still",
        ),
        ("pictures of disturbed codes", "adds less to the error in the VAE", "adds more to the error in the VAE"),
        (
            "reconstructions from the mean",
            "images worse, even from the mean",
            "claim does not hold: from the mean of its code the VAE",
        ),
        ("reconstructions from a sample", "held-out images worse", "Even from a sampled code the VAE reconstructs"),
    ],
)
def test_the_opposite_numbers_turn_a_sentence_round(name, holds, fails):
    (claim,) = [claim for claim in ADVANTAGES + DISADVANTAGES if claim.name == name]
    differences = np.array([0.2, 0.3, 0.4])
    assert holds in claim.say(differences)["sentence"] and "(+0.3000 ± 0.05774)" in claim.say(differences)["sentence"]
    assert fails in claim.say(-differences)["sentence"] and claim.say(-differences)["verdict"] == "does not hold"
    assert claim.say(differences - 0.3)["sentence"].startswith(claim.unclear)
