import numpy as np
import pytest

from autoencoders.faces import RANGES, _paint
from autoencoders.images import to_features
from autoencoders.measurements import (
    BACKGROUND,
    FACE,
    PHRASES,
    QUANTITIES,
    changes,
    measure,
    scaled_differences,
    sentence,
)


def flat(red, green, blue):
    """A picture (1, D) of one colour, in grey levels."""
    return np.repeat(np.array([red, green, blue]) / 127.5 - 1, 64 * 64)[None]


def with_contrast(picture, where, amplitude):
    """Stripes of four columns, lighter and darker by `amplitude` grey levels in turn."""
    stripes = np.where(np.arange(64) // 4 % 2, amplitude, -amplitude) / 127.5
    picture = picture.reshape(1, 3, 64, 64).copy()
    picture[..., where] += np.broadcast_to(stripes, (64, 64))[where]
    return picture.reshape(1, -1)


def test_every_quantity_has_a_meaning(rng):
    pictures = rng.uniform(-1, 1, (2, 12288))
    assert list(QUANTITIES) == list(changes(pictures, pictures, pictures))


def test_colours_are_measured_in_grey_levels():
    measured = measure(flat(100, 50, 20), flat(100, 50, 30))
    assert np.isclose(measured["brightness"], 0.299 * 100 + 0.587 * 50 + 0.114 * 20)
    assert np.allclose([measured[name] for name in ("redness", "greenness", "blueness")], [[65], [-10], [-55]])
    assert np.isclose(measured["saturation"], 80)
    assert np.isclose(measured["skin distance"], 10)
    for name in ("background contrast", "background detail", "background to face", "sharpness", "nose sharpness"):
        assert np.isclose(measured[name], 0, atol=1e-9)


def test_contrast_and_detail_of_the_background_are_measured_there():
    grey = flat(128, 128, 128)
    measured = measure(with_contrast(grey, BACKGROUND, 10), grey)
    assert 7 < measured["background contrast"] <= 10 and measured["background detail"] > 2
    assert np.isclose(measured["sharpness"], 0, atol=1e-9)


def test_sharpness_is_measured_in_the_face():
    grey, where = flat(128, 128, 128), np.zeros((64, 64), bool)
    where[FACE] = True
    measured = measure(with_contrast(grey, where, 10), grey)
    assert measured["sharpness"] > 2 and measured["nose sharpness"] > 2
    assert np.isclose(measured["background contrast"], 0, atol=1e-9)


def test_the_noise_of_single_pixels_is_no_sharpness(rng):
    noise = rng.choice([-10, 10], (1, 3 * 64 * 64)) / 127.5
    stripes = with_contrast(flat(128, 128, 128), np.ones((64, 64), bool), 10)
    measured = measure(np.concatenate([flat(128, 128, 128) + noise, stripes]), np.zeros((2, 12288)))
    for name in ("sharpness", "nose sharpness", "background detail", "background contrast"):
        assert measured[name][0] < measured[name][1] / 2


def test_changes_are_differences_and_the_distance_is_their_root_mean_square():
    plain, edited = flat(100, 100, 100), flat(110, 110, 110)
    changed = changes(edited, plain, plain)
    assert np.isclose(changed["brightness"], 10) and np.isclose(changed["distance"], 10)


def test_swapping_the_pictures_of_two_edits_swaps_their_sentences():
    original, plain = flat(100, 90, 80), flat(90, 90, 80)
    edited = {"a": flat(60, 60, 50), "b": flat(190, 190, 180)}

    def said(edit, picture):
        changed = changes(picture, plain, original)
        return sentence(edit, {name: float(change[0]) for name, change in changed.items()})

    dark = "darker (-30.0), skin farther from the original's colour (+48.3)."
    pale = "brighter (+100.0), skin farther from the original's colour (+157.6)."
    assert (said("a", edited["a"]), said("b", edited["b"])) == (f"a: {dark}", f"b: {pale}")
    assert (said("a", edited["b"]), said("b", edited["a"])) == (f"a: {pale}", f"b: {dark}")


@pytest.mark.parametrize(
    "name, risen, fallen",
    [
        ("brightness", "brighter", "darker"),
        ("redness", "redder on the whole", "less red on the whole"),
        ("face redness", "a redder face", "a less red face"),
        ("greenness", "greener on the whole", "less green on the whole"),
        ("blueness", "bluer on the whole", "less blue on the whole"),
        ("saturation", "more saturated", "paler"),
        ("background contrast", "more contrast within the background", "less contrast within the background"),
        ("background to face", "face and background farther apart", "face and background closer together"),
        ("sharpness", "sharper eyes, nose and mouth", "blurrier eyes, nose and mouth"),
        ("nose sharpness", "a sharper nose", "a blurrier nose"),
        ("skin distance", "skin farther from the original's colour", "skin closer to the original's colour"),
        ("skin", "lighter skin", "darker skin"),
        ("hair", "lighter hair", "darker hair"),
        ("hair_length", "longer hair", "shorter hair"),
        ("smile", "more of a smile", "a sterner mouth"),
        ("mouth_opening", "a wider open mouth", "a more closed mouth"),
        ("eye_size", "larger eyes", "smaller eyes"),
        ("head_turn", "head turned to the right", "head turned to the left"),
        ("clothes", "lighter clothes", "darker clothes"),
        ("light", "light more from the right", "light more from the left"),
    ],
)
def test_the_opposite_sign_turns_a_sentence_round(name, risen, fallen):
    assert sentence("x[0]*5", {name: 9.0}).startswith(f"x[0]*5: {risen} (+9.0")
    assert sentence("x[0]*5", {name: -9.0}).startswith(f"x[0]*5: {fallen} (-9.0")
    assert name in PHRASES and len(PHRASES) == 20


@pytest.mark.parametrize(
    "quantity, moved_by, not_by",
    [
        ("skin distance", "skin", "hair"),
        ("face redness", "skin", "background_red"),
        ("redness", "background_red", "smile"),
        ("background to face", "background_red", "clothes"),
        ("sharpness", "mouth_opening", "clothes"),
        ("nose sharpness", "skin", "clothes"),
    ],
)
def test_a_quantity_is_measured_in_its_own_part_of_a_face(quantity, moved_by, not_by):
    middle = {name: np.full((1, 1, 1), np.mean(limits)) for name, limits in RANGES.items()}

    def change(factor):
        low, high = (to_features(_paint(middle | {factor: np.full((1, 1, 1), end)})) for end in RANGES[factor])
        return abs(measure(high, low)[quantity] - measure(low, low)[quantity])

    assert change(moved_by) > 5 * change(not_by)


def test_a_small_change_is_not_mentioned():
    assert sentence("x[0]/5", {"brightness": 1.0}) == "x[0]/5: no change worth a word."


def test_differences_are_divided_by_their_largest_and_none_stays_none():
    differences, largest = scaled_differences(np.array([[1.0, 2.0], [3.0, -2.0], [1.0, 1.5]]), np.array([1.0, 2.0]))
    assert np.array_equal(differences, [[0, 0], [0.5, -1], [0, -1]]) and np.array_equal(largest, [0, 4, 0.5])
