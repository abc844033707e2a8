import re

import numpy as np
import pytest

from autoencoders import VAE, FCNAutoencoder
from autoencoders.architecture import architecture_figure, summary

SIZES = (30, 16, 5)


@pytest.fixture
def fcn(rng):
    return FCNAutoencoder(*SIZES, rng=rng)


@pytest.fixture
def vae(rng):
    return VAE(*SIZES, rng=rng)


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_summary_lists_layers_shapes_parameters_and_multiply_adds(fcn):
    rows = [line.split() for line in summary(fcn).splitlines()]
    assert rows[1] == ["encoder.0", "Linear", "(N,", "16)", str(30 * 16 + 16), str(30 * 16)]
    assert rows[2] == ["encoder.1", "ReLU", "(N,", "16)", "0", "0"]
    assert rows[-2] == ["decoder.3", "Tanh", "(N,", "30)", "0", "0"]
    multiply_adds = 2 * (30 * 16 + 16 * 5)
    assert rows[-1] == ["total", "FCNAutoencoder", f"{multiply_adds + 16 + 5 + 16 + 30:,}", f"{multiply_adds:,}"]


def test_a_summary_of_a_vae_has_both_heads(vae):
    names = [line.split()[0] for line in summary(vae).splitlines()]
    assert names[1:5] == ["encoder.0", "encoder.1", "mu", "logvar"]


@pytest.mark.parametrize("kind", [FCNAutoencoder, VAE])
def test_a_diagram_shows_every_layer_of_the_live_model(kind, rng):
    model = kind(*SIZES, rng=rng)
    shown = texts(architecture_figure(model))
    for name in [line.split()[0] for line in summary(model).splitlines()[1:-1]]:
        assert name in shown
    assert "Linear\n(N, 16)\n496\nparameters" in shown
    assert shown[-1] == f"{kind.__name__}: {sum(p.data.size for p in model.parameters()):,} parameters"


def test_the_diagram_of_a_vae_shows_the_noise_the_sampler_and_the_terms_of_the_loss(vae):
    shown = texts(architecture_figure(vae))
    assert {"noise", "sampler", "z"} < set(shown)
    assert any("KL of" in text for text in shown) and any("reconstruction + " in text for text in shown)


def test_a_denoising_autoencoder_is_compared_with_the_clean_image(fcn):
    shown = texts(architecture_figure(fcn, corrupt="noise of std 0.5"))
    assert "corrupt" in shown and "mean squared error, against the clean image" in shown
    assert "corrupt" not in texts(architecture_figure(fcn))


def test_no_two_blocks_overlap_and_every_text_lies_within_the_figure(vae):
    figure = architecture_figure(vae)
    figure.canvas.draw()
    boxes = [patch.get_window_extent() for patch in figure.axes[0].patches if re.search("Box", type(patch).__name__)]
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[place + 1 :])
    for text in figure.axes[0].texts:
        extent = text.get_window_extent()
        assert np.all(extent.min >= 0) and np.all(extent.max <= figure.bbox.max)
