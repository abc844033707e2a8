import numpy as np
import pytest

from autoencoders import VAE, FCNAutoencoder, ImageSet, anomaly
from autoencoders.anomaly import (
    CODE_DISTANCE,
    DEFAULT,
    NEGATIVE_ELBO,
    Detector,
    VAEDetector,
    auc,
    auc_error,
    contrast,
    error,
    flat,
    mahalanobis,
    negative_elbo,
    roc_curve,
    unexplained,
)
from autoencoders.images import to_features
from nnlite import use_backend

D = 3 * 64 * 64


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (70, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def detectors(images):
    rng = np.random.default_rng(1)
    fcn, vae = (model(hidden_features=8, latent_features=4, rng=rng) for model in (FCNAutoencoder, VAE))
    noise = rng.standard_normal((3, 4), np.float32)
    training = ImageSet(images[:65])
    return Detector(fcn.encoder, fcn.decoder, training), VAEDetector(vae, training, 0.1, noise)


def test_the_error_of_an_image_is_the_mean_of_its_squares(rng):
    x, x_hat = rng.uniform(-1, 1, (2, 4, D))
    assert np.allclose(error(x, x_hat), [np.mean((a - b) ** 2) for a, b in zip(x, x_hat)], rtol=1e-12)


def test_a_value_that_usually_varies_twice_as_much_counts_for_half():
    x, x_hat = np.array([[1.0, 0.0], [0.0, 1.0]]), np.zeros((2, 2))
    assert np.allclose(error(x, x_hat, np.array([1.0, 2.0])), [1 / 2, 1 / 4])


def test_a_flat_picture_keeps_the_mean_of_each_channel(rng):
    x = rng.uniform(-1, 1, (2, D))
    means = x.reshape(2, 3, -1).mean(axis=2)
    assert np.allclose(flat(x).reshape(2, 3, -1), means[:, :, None]) and np.allclose(contrast(flat(x)), 0, atol=1e-12)


def test_what_is_explained_of_an_image_is_its_r2(rng):
    x = rng.uniform(-1, 1, (1, D))
    x_hat = 0.75 * x + 0.25 * flat(x)  # a quarter of each deviation is missing
    assert unexplained(x, x_hat) == pytest.approx(1 / 16) and unexplained(x, flat(x)) == pytest.approx(1)


def test_the_share_that_is_unexplained_does_not_depend_on_the_contrast(rng):
    x, x_hat = rng.uniform(-1, 1, (2, 1, D))
    assert np.allclose(unexplained(0.1 * x, 0.1 * x_hat), unexplained(x, x_hat))
    assert np.allclose(error(0.1 * x, 0.1 * x_hat), 0.01 * error(x, x_hat))


@pytest.mark.parametrize("level", [0, 77, 255])
def test_an_image_without_contrast_is_as_strange_as_can_be_unless_it_is_met_exactly(level):
    x = to_features(np.full((1, 64, 64, 3), level, np.uint8))
    assert np.array_equal(unexplained(np.repeat(x, 2, axis=0), np.concatenate([x, x + 0.1])), [0, np.inf])


def test_what_usually_varies_more_counts_for_less_in_both_errors_of_the_share(rng):
    x, x_hat, usual = rng.uniform(-1, 1, D), rng.uniform(-1, 1, D), rng.uniform(0.1, 1, D)
    wanted = np.sum((x - x_hat) ** 2 / usual) / np.sum((x - flat(x[None])[0]) ** 2 / usual)
    assert unexplained(x[None], x_hat[None], usual) == pytest.approx(wanted, rel=1e-12)


def test_contrast_is_a_standard_deviation():
    x = np.tile([1.0, -1.0], D // 2)[None]
    assert contrast(x) == pytest.approx(1) and contrast(0.5 * x) == pytest.approx(0.5)


def test_the_distance_of_codes_is_counted_in_standard_deviations():
    z, precision = np.array([[1.0, 2.0], [3.0, 2.0], [1.0, 7.0]]), np.diag([1 / 4, 1 / 25])
    assert np.allclose(mahalanobis(z, np.array([1.0, 2.0]), precision), [0, 1, 1])


def test_the_mean_distance_of_the_codes_that_were_measured_is_their_number_of_elements(images, detectors):
    distances = detectors[0].scores(ImageSet(images[:65]))[CODE_DISTANCE]
    assert np.mean(distances**2) == pytest.approx(4, rel=1e-4)


def test_the_negative_elbo_is_the_loss_of_each_image_averaged_over_samples(rng):
    vae = VAE(12, 6, 2, rng=rng, dtype=np.float64)
    x, noise = rng.uniform(-1, 1, (3, 12)), rng.standard_normal((5, 2))
    expected = [np.mean([vae.loss(x[[i]], one[None], sigma2=0.3)[0] for one in noise]) for i in range(3)]
    assert np.allclose(negative_elbo(vae, x, 0.3, noise), expected, rtol=1e-12)


def test_each_score_of_a_detector_is_that_of_its_name(images, detectors):
    detector, x, training = detectors[0], to_features(images[65:]), to_features(images[:65])
    z, x_hat = detector.encode(x), detector.decode(detector.encode(x))
    codes = detector.encode(training).astype(np.float64)
    usual = np.mean((training - detector.decode(detector.encode(training))) ** 2, axis=0) + (2 / 255) ** 2 / 12
    from_mean = z - codes.mean(axis=0)
    wanted = {
        "error": np.mean((x - x_hat) ** 2, axis=1),
        "weighted error": np.mean((x - x_hat) ** 2 / usual, axis=1),
        "unexplained": np.sum((x - x_hat) ** 2, axis=1) / np.sum((x - flat(x)) ** 2, axis=1),
        "weighted unexplained": np.sum((x - x_hat) ** 2 / usual, axis=1) / np.sum((x - flat(x)) ** 2 / usual, axis=1),
        "code distance": np.sqrt([each @ np.linalg.inv(np.cov(codes.T, bias=True)) @ each for each in from_mean]),
    }
    scores = detector.scores(ImageSet(images[65:]))
    assert scores.keys() == wanted.keys()
    for name, each in wanted.items():
        assert np.allclose(scores[name], each, rtol=1e-4), name
        others = [other for other in wanted if other != name]
        assert all(not np.allclose(each, wanted[other], rtol=1e-3) for other in others)  # or they could be confused


def test_the_weights_of_a_detector_are_the_mean_squares_of_residuals(images):
    training = ImageSet(images[:65])
    detector = Detector(lambda x: x[:, :0], lambda z: np.zeros((len(z), D), np.float32), training)
    assert np.allclose(detector.usual, np.mean(to_features(images[:65]) ** 2, axis=0) + anomaly.ROUNDING, rtol=1e-6)
    assert CODE_DISTANCE not in detector.scores(training)


def test_the_scores_of_a_vae_are_those_of_its_mean_code_and_the_negative_elbo(images, detectors):
    detector, some = detectors[1], ImageSet(images[65:])
    x = to_features(images[65:])
    scores = detector.scores(some)
    assert np.allclose(scores["error"], error(x, detector.vae(x)), rtol=1e-5)
    assert np.allclose(scores[NEGATIVE_ELBO], negative_elbo(detector.vae, x, 0.1, detector.noise), rtol=1e-5)


@pytest.mark.parametrize("order", [[69], [69, 3], list(range(70))[::-1], [69] * 66])  # more than a batch
def test_a_score_is_that_of_the_image_alone(images, detectors, order):
    for detector in detectors:
        alone, among = detector.scores(ImageSet(images[69:])), detector.scores(ImageSet(images[order]))
        for name, scores in among.items():
            assert np.allclose(scores[np.array(order) == 69], alone[name], rtol=1e-5), name


def test_with_numba_a_score_is_that_of_the_image_alone_to_the_bit(images, detectors):
    with use_backend("numba"):
        for detector in detectors:
            scores, reversed_ = detector.scores(ImageSet(images)), detector.scores(ImageSet(images[::-1]))
            for i in (0, 30, 63, 69):
                alone = detector.scores(ImageSet(images[[i]]))
                assert all(alone[name] == each[i] == reversed_[name][::-1][i] for name, each in scores.items())


def test_of_equal_images_whatever_is_different_is_strange(images):
    model = FCNAutoencoder(hidden_features=8, latent_features=4, rng=np.random.default_rng(0))
    detector = Detector(model.encoder, model.decoder, ImageSet(images[[0, 0, 0]]))
    scores = detector.scores(ImageSet(images[:2]))
    assert all(np.isfinite(each).all() for each in scores.values()) and scores["weighted error"][0] < 1.01
    single = Detector(model.encoder, model.decoder, ImageSet(images[:1])).scores(ImageSet(images[:2]))
    assert np.allclose(single[DEFAULT], scores[DEFAULT], rtol=1e-5) and (single[CODE_DISTANCE] == 0).all()


@pytest.mark.parametrize("count", [2, 64, 65, 130])
def test_codes_that_do_not_vary_have_no_distance(images, count):
    model = FCNAutoencoder(hidden_features=8, latent_features=4, rng=np.random.default_rng(0))
    detector = Detector(model.encoder, model.decoder, ImageSet(images[[0] * count]))
    assert (detector.scores(ImageSet(images[:2]))[CODE_DISTANCE] == 0).all()


def test_an_image_that_holds_a_nan_scores_nan_and_the_others_their_own(images, detectors):
    x = to_features(images[:3])
    x[1, 5] = np.nan
    for detector in detectors:
        whole, scores = detector.score_features(to_features(images[:3])), detector.score_features(x)
        for name, each in scores.items():
            assert np.isnan(each[1]) and np.allclose(each[[0, 2]], whole[name][[0, 2]], rtol=1e-6), name


def sets_of_scores():
    """Labels and scores, with ties among and between the kinds, infinities, and single images."""
    rng = np.random.default_rng(0)
    for number in range(200):
        labels = np.append([0, 1], rng.integers(0, 2, number % 30))
        yield labels, rng.choice([rng.standard_normal(len(labels)), rng.integers(0, 4, len(labels)) / 7])
    yield np.array([0, 0, 1, 1]), np.array([1.0, np.inf, np.inf, -np.inf])


def test_the_auc_is_the_share_of_pairs_in_which_the_strange_image_scores_higher():
    for labels, scores in sets_of_scores():
        pairs = [(one > two) + (one == two) / 2 for one in scores[labels == 1] for two in scores[labels == 0]]
        assert auc(labels, scores) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_the_auc_is_the_area_under_the_roc_curve():
    for labels, scores in sets_of_scores():
        false, true, _ = roc_curve(labels, scores)
        assert np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2) == pytest.approx(auc(labels, scores), abs=1e-12)


def test_at_each_threshold_of_the_curve_so_many_images_score_as_high():
    for labels, scores in sets_of_scores():
        false, true, thresholds = roc_curve(labels, scores)
        assert (false[0], true[0], thresholds[0]) == (0, 0, np.inf) and (false[-1], true[-1]) == (1, 1)
        for one, two, threshold in list(zip(false, true, thresholds))[1:]:
            assert one == np.mean(scores[labels == 0] >= threshold) and two == np.mean(scores[labels == 1] >= threshold)


def test_curve_and_area_are_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    for labels, scores in sets_of_scores():
        if np.isfinite(scores).all():  # it takes no others
            for ours, theirs in zip(roc_curve(labels, scores), metrics.roc_curve(labels, scores), strict=True):
                assert ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=0, atol=1e-14)
            assert auc(labels, scores) == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)


def test_the_standard_error_is_how_far_the_auc_scatters(rng):
    labels = np.repeat([0, 1], [80, 40])
    one = rng.standard_normal((2000, 120)) + 1.2 * labels
    other = one + rng.standard_normal((2000, 120))
    areas = np.array([[auc(labels, a), auc(labels, b)] for a, b in zip(one, other)])
    errors = np.mean([[auc_error(labels, a) ** 2, auc_error(labels, a, b) ** 2] for a, b in zip(one, other)], axis=0)
    assert np.allclose(np.sqrt(errors), [areas[:, 0].std(), (areas[:, 0] - areas[:, 1]).std()], rtol=0.06)


def test_the_standard_error_is_delongs():
    for labels, scores in sets_of_scores():
        pairs = np.array(
            [[(one > two) + (one == two) / 2 for two in scores[labels == 0]] for one in scores[labels == 1]]
        )
        if min(pairs.shape) > 1:
            square = sum(pairs.mean(axis=axis).var(ddof=1) / pairs.shape[1 - axis] for axis in (0, 1))
            assert auc_error(labels, scores) == pytest.approx(np.sqrt(square), abs=1e-12)


def test_of_one_image_of_a_kind_there_is_no_standard_error():
    assert auc([0, 0, 1], [1, 3, 2]) == 0.5 and auc_error([0, 0, 1], [1, 3, 2]) is None


def test_an_array_in_place_of_images_is_refused(images, detectors):
    with pytest.raises(TypeError, match="Detector: images is of type ndarray, wanted an ImageSet"):
        Detector(detectors[0].encode, detectors[0].decode, images)
    with pytest.raises(TypeError, match="Detector.scores: images is of type ndarray, wanted an ImageSet"):
        detectors[0].scores(images)


@pytest.mark.parametrize("function", [roc_curve, auc, auc_error])
@pytest.mark.parametrize(
    "labels, scores, said",
    [
        ([0, 1], [1, 2, 3], r"found labels \(2,\) and scores \(3,\)"),
        ([[0, 1]], [[1, 2]], r"found labels \(1, 2\)"),
        ([0, 2], [1, 2], "found labels .0 2., wanted 1 for strange images"),
        ([1, -1], [1, 2], "found labels .-1 +1., wanted 1 for strange images"),
        ([0, 1], [1, np.nan], "found 1 of 2 scores nan"),
        ([0, 1], ["1", "2"], "found scores of dtype <U1, wanted real numbers"),
        ([0, 1], [1j, 2], "found scores of dtype complex128"),
        ([0, 0], [1, 2], "found 2 normal and 0 strange images, wanted both"),
        ([], [], "found 0 normal and 0 strange"),
    ],
)
def test_labels_and_scores_that_make_no_curve_are_refused(function, labels, scores, said):
    with pytest.raises(ValueError, match=f"{function.__name__}: {said}"):
        function(labels, scores)
