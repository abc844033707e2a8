import numpy as np
import pytest

from autoencoders import make_faces
from autoencoders.faces import RANGES
from autoencoders.images import to_features
from autoencoders.probe import FactorProbe


@pytest.fixture(scope="module")
def probe():
    images, factors = make_faces(1500, np.random.default_rng(3))
    return FactorProbe(to_features(images), factors, model=lambda x: x)


def test_the_probe_reads_the_factors_of_plain_faces(probe):
    for name in ("smile", "skin", "hair", "light", "background_red", "background_green", "background_blue"):
        assert probe.r2[name] > 0.8


def test_the_r2_of_the_probe_is_that_on_faces_it_has_not_seen(probe):
    images, factors = make_faces(300, np.random.default_rng(4))
    read = probe.read(to_features(images))
    for name, values in read.items():
        r2 = 1 - np.mean((values - factors[name]) ** 2) / factors[name].var()
        assert abs(r2 - probe.r2[name]) < 0.1


def test_what_is_read_stays_within_the_range_of_the_factor(probe):
    read = probe.read(10 * to_features(make_faces(20, np.random.default_rng(5))[0]))
    for name, values in read.items():
        assert RANGES[name][0] <= values.min() and values.max() <= RANGES[name][1]


def test_a_factor_that_is_read_badly_is_not_mentioned(rng):
    features, seen = rng.standard_normal((2, 200, 40)), rng.standard_normal(40)
    probe = FactorProbe(features[0], {"seen": features[0] @ seen, "unseen": rng.standard_normal(200)}, lambda x: x)
    assert probe.r2["unseen"] < 0.5 < probe.r2["seen"]
    assert list(probe.read(features[1])) == ["seen"]


def test_a_factor_that_the_decoder_leaves_out_is_not_mentioned(rng):
    features = rng.standard_normal((200, 2))
    probe = FactorProbe(features, {"kept": features[:, 0], "lost": features[:, 1]}, model=lambda x: x * [1, 0])
    assert probe.r2["lost"] > 0.5 > probe.decoded_r2["lost"]
    assert list(probe.read(features)) == ["kept"]
