import numpy as np
import pytest

from autoencoders import FCNAutoencoder
from autoencoders.claims import CLAIMS, conclusion, judge, judge_claims
from autoencoders.images import to_features


@pytest.mark.parametrize(
    "mean, expected", [(1.0, "holds"), (-1.0, "does not hold"), (0.5, "too small to say"), (-0.5, "too small to say")]
)
def test_a_verdict_wants_two_standard_errors(mean, expected):
    assert judge([mean - 0.3, mean + 0.3])["verdict"] == expected  # the standard error is 0.3


def test_a_mean_that_is_not_worth_a_word_is_too_small():
    assert judge([0.49, 0.51], smallest=1.0)["verdict"] == "too small to say"
    assert judge([-1.99, -2.01], smallest=1.0)["verdict"] == "does not hold"


@pytest.mark.parametrize(
    "edit, text, quantity, change",
    [
        ("x[0][0]*5", "sharper features", "sharpness", +7),
        ("x[0][0]*5", "more smile", "smile", +7),
        ("x[0][0]/5", "blurrier nose", "nose sharpness", -7),
        ("x[0][0]/5", "sterner look", "smile", -7),
        ("x[0]/5", "brighter, whitish", "brightness", +7),
        ("x[0]/5", "background contrast nearly gone: under a quarter", "background contrast", -7),
        ("x[0]/5", "skin colour closer to the original's", "skin distance", -7),
        ("x[0]*5", "background details gone: under a quarter", "background detail", -7),
        ("x[0]*5", "darker", "brightness", -7),
        ("x[0]*5", "redder", "redness", +7),
    ],
)
def test_a_claim_is_true_of_one_change_and_false_of_the_opposite(edit, text, quantity, change):
    (claim,) = [claim for claim in CLAIMS if claim.text == text]
    assert (claim.whole, claim.factor) == ("[0][0]" not in edit, 5 if "*5" in edit else 1 / 5)
    plain = {quantity: np.array([8.0, 8.0])}
    assert (claim.scores({quantity: np.array([8.0 + change])}, plain) > 0).all()
    assert (claim.scores({quantity: np.array([8.0 - change])}, plain) < 0).all()


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


def test_the_mean_and_its_standard_error_are_those_of_the_paired_scores():
    class ByElement(Bright):
        def encoder(self, x):
            return x[:, :2]

    codes = np.array([0.1, 0.2, 0.4])
    originals = np.zeros((3, 12288))
    originals[:, 0] = codes
    (row,) = [row for row in judge_claims(ByElement(), originals) if row["claim"] == "darker"]
    scores = 127.5 * (np.tanh(codes) - np.tanh(5 * codes))
    assert np.isclose(row["mean"], scores.mean(), atol=1e-3)
    assert np.isclose(row["standard_error"], scores.std(ddof=1) / np.sqrt(3), atol=1e-3)
    assert row["share_true"] == 0


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


def test_a_conclusion_counts_the_verdicts():
    verdicts = ["holds"] * 3 + ["does not hold"] * 2 + ["too small to say"]
    said = "Of the source document's 6 claims on edits of a code, 3 were found true, 2 false, 1 too small to say."
    assert conclusion([{"verdict": verdict} for verdict in verdicts]) == said
    assert conclusion([{"verdict": "not measured"}]).endswith("0 too small to say, 1 not measured.")
