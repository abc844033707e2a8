import numpy as np
import pytest

from autoencoders import FCNAutoencoder
from autoencoders.claims import CLAIMS, judge_claims, verdict
from autoencoders.images import to_features


@pytest.mark.parametrize(
    "mean, expected", [(1.0, "holds"), (-1.0, "does not hold"), (0.5, "too small to say"), (-0.5, "too small to say")]
)
def test_a_verdict_wants_two_standard_errors(mean, expected):
    assert verdict(mean, standard_error=0.3) == expected


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.text)
def test_the_opposite_change_turns_a_claim_round(claim):
    plain = {claim.quantity: np.array([8.0, 8.0])}
    true = {claim.quantity: np.array([8.0 + 7 * claim.sign])}
    false = {claim.quantity: np.array([8.0 - 7 * claim.sign])}
    assert (claim.scores(true, plain) > 0).all() and (claim.scores(false, plain) < 0).all()


def test_nearly_gone_means_under_a_quarter():
    (claim,) = [claim for claim in CLAIMS if "contrast nearly gone" in claim.text]
    plain = {"background contrast": np.array([40.0, 40.0])}
    assert np.array_equal(np.sign(claim.scores({"background contrast": np.array([9.0, 11.0])}, plain)), [1, -1])


class Bright:
    """A model whose picture is as bright, everywhere, as element 0 of the code says."""

    def encoder(self, x):
        return np.full((len(x), 2), [0.5, 0.0])

    def decoder(self, code):
        return np.repeat(np.tanh(code[:, :1]), 12288, axis=1)


def test_claims_are_judged_by_what_the_decoder_does(rng):
    rows = judge_claims(Bright(), rng.uniform(-1, 1, (5, 12288)))
    found = {(row["edit"], row["claim"]): row["verdict"] for row in rows}
    assert found["x[0]/5", "brighter, whitish"] == "does not hold"  # a positive code divided by 5 is darker
    assert found["x[0]*5", "darker"] == "does not hold"
    assert found["x[0]*5", "redder"] == "too small to say"  # grey stays grey
    assert found["x[0][0]*5", "more smile"] == "not measured"  # without a probe


def test_the_element_for_which_a_claim_holds_most_is_named(rng):
    model = FCNAutoencoder(hidden_features=8, latent_features=3, rng=rng)
    model.decoder[0].weight.data[:, :2] = 0  # only element 2 moves the picture
    model.decoder[0].weight.data[:, 2] *= 50
    images = to_features(rng.integers(0, 256, (6, 64, 64, 3), dtype=np.uint8))
    row = judge_claims(model, images)[0]
    assert row["claim"] == "sharper features" and row["mean"] == 0 and row["verdict"] == "too small to say"
    assert row["best_mean"] >= 0 and (row["best_element"] == 2) == (row["best_mean"] > 0)


def test_one_face_is_not_enough(rng):
    assert {row["verdict"] for row in judge_claims(Bright(), rng.uniform(-1, 1, (1, 12288)))} == {"not measured"}
