import copy
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from autoencoders import VAE, FCNAutoencoder, ImageSet, load_images, train, training
from autoencoders.training import reconstruction_errors
from nnlite import Adam, use_backend


@pytest.fixture(scope="module")
def faces():
    return load_images(count=40)


def small_model():
    return FCNAutoencoder(hidden_features=8, latent_features=4, rng=np.random.default_rng(1))


def test_training_lowers_the_error_on_both_sets():
    model = FCNAutoencoder(hidden_features=64, rng=np.random.default_rng(1))
    history = train(model, load_images(count=100), epochs=24, batch_size=16, rng=np.random.default_rng(0))
    assert len(history.train_loss) == len(history.validation_loss) == 24
    assert history.train_loss[-1] < 0.7 * history.train_loss[0]
    assert history.validation_loss[-1] < 0.7 * history.validation_loss[0]


def test_every_epoch_trains_on_every_image_once_in_another_order_and_never_on_validation_images(faces, rng):
    training_set, validation_set = faces.split(rng)
    batches = []
    note = {"corrupt": lambda x, rng: batches.append(x) or x}
    train(small_model(), training_set, epochs=2, batch_size=16, rng=rng, validation=validation_set, **note)
    first, second = (np.concatenate(epoch).sum(axis=1) for epoch in (batches[:3], batches[3:]))
    expected = np.sort(next(training_set.batches(36)).sum(axis=1))
    assert np.array_equal(np.sort(first), expected) and np.array_equal(np.sort(second), expected)
    assert not np.array_equal(first, second)


def test_without_a_validation_set_a_tenth_is_set_apart(faces, monkeypatch, rng):
    used, batches = {}, ImageSet.batches
    monkeypatch.setattr(
        ImageSet, "batches", lambda self, size: used.update({size: set(self.rows)}) or batches(self, size)
    )
    train(small_model(), faces, epochs=1, batch_size=16, rng=rng)
    assert {size: len(rows) for size, rows in used.items()} == {16: 36, training.EVALUATION_BATCH: 4}
    assert set.union(*used.values()) == set(range(40))


def test_a_terminal_shows_the_epoch_the_loss_images_a_second_and_the_time_left(faces, monkeypatch, rng):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    train(small_model(), faces, epochs=2, batch_size=8, rng=rng)
    assert re.search(
        r"epoch 2/2: 100%.* 72/72 \[\d\d:\d\d<\d\d:\d\d, .* images/s, loss=0\.\d{4}\]", sys.stderr.getvalue()
    )


def test_the_same_seed_gives_the_same_weights_and_history(faces):
    models = [small_model(), small_model()]
    histories = [train(model, faces, epochs=2, batch_size=8, rng=np.random.default_rng(3)) for model in models]
    assert histories[0] == histories[1]
    assert all(np.array_equal(a.data, b.data) for a, b in zip(*(model.parameters() for model in models)))


def test_the_learning_rate_falls_on_half_a_cosine(faces, monkeypatch):
    rates = []

    class RecordingAdam(training.Adam):
        def step(self):
            rates.append(self.lr)

    monkeypatch.setattr(training, "Adam", RecordingAdam)
    train(small_model(), faces, epochs=4, batch_size=64, lr=0.01, rng=np.random.default_rng(0))
    assert np.allclose(rates, [0.01, 0.01 * (2 + 2**0.5) / 4, 0.005, 0.01 * (2 - 2**0.5) / 4])


def test_a_training_goes_on_after_the_epochs_of_a_history_at_the_rates_of_the_longer_one(faces, rng, monkeypatch):
    model, rates = small_model(), []
    two = train(model, faces, epochs=2, batch_size=16, rng=rng, lr=0.1)
    kept = copy.deepcopy(two)
    monkeypatch.setattr(Adam, "step", lambda adam, step=Adam.step: (rates.append(adam.lr), step(adam)))
    four = train(model, faces, epochs=4, batch_size=16, rng=rng, lr=0.1, history=two)
    assert np.allclose(rates, 3 * [0.05] + 3 * [0.05 * (1 - np.sqrt(0.5))])
    assert four.train_loss[:2] == two.train_loss and len(four.train_loss) == len(four.validation_loss) == 4
    assert two == kept and all(np.array_equal(two.best_weights[n], w) for n, w in kept.best_weights.items())


def test_the_best_weights_are_those_of_the_history_until_an_epoch_is_better(faces, rng, monkeypatch):
    model = small_model()
    one = train(model, faces, epochs=1, rng=rng)
    one.validation_loss[0] = 0.0  # no epoch is better
    two = train(model, faces, epochs=2, rng=rng, history=one)
    assert all(np.array_equal(two.best_weights[name], array) for name, array in one.best_weights.items())


def test_a_history_of_as_many_epochs_is_refused(faces, rng):
    model = small_model()
    history = train(model, faces, epochs=2, rng=rng)
    with pytest.raises(ValueError, match="^train: epochs is 2, wanted more than the 2 of history$"):
        train(model, faces, epochs=2, rng=rng, history=history)


def test_the_training_loss_is_the_mean_over_images_not_over_batches(faces, monkeypatch):
    monkeypatch.setattr(training.Adam, "step", lambda self: None)
    model, (training_set, validation_set) = small_model(), faces.split(np.random.default_rng(0))
    history = train(
        model, training_set, epochs=1, batch_size=35, rng=np.random.default_rng(0), validation=validation_set
    )
    assert np.isclose(history.train_loss[0], reconstruction_errors(model, training_set).mean(), rtol=1e-5)


def test_reconstruction_errors_are_those_of_each_image(faces):
    model, x = small_model(), next(faces.batches(40))
    expected = [np.mean((model(row[None]) - row) ** 2) for row in x]
    assert np.allclose(reconstruction_errors(model, faces), expected, rtol=1e-5)


def test_a_denoising_autoencoder_is_shown_noise_and_judged_by_the_clean_image(faces, monkeypatch):
    monkeypatch.setattr(training.Adam, "step", lambda self: None)
    model, (training_set, validation_set) = small_model(), faces.split(np.random.default_rng(0))
    history = train(
        model,
        training_set,
        epochs=1,
        rng=np.random.default_rng(0),
        validation=validation_set,
        corrupt=lambda x, rng: -x,
    )
    x = next(training_set.batches(36))
    assert np.isclose(history.train_loss[0], np.mean((model(-x) - x) ** 2), rtol=1e-5)
    assert np.isclose(history.validation_loss[0], reconstruction_errors(model, validation_set).mean(), rtol=1e-5)


def small_vae():
    return VAE(hidden_features=8, latent_features=4, rng=np.random.default_rng(1))


def train_vae(faces, model=None, **settings):
    """The settings of every VAE.loss of a training, and its History."""
    model, losses = model or small_vae(), []
    original = model.loss

    def loss(x, noise, **arguments):
        losses.append(arguments)
        return original(x, noise, **arguments)

    model.loss = loss
    history = train(model, faces, epochs=4, batch_size=64, rng=np.random.default_rng(0), **settings)
    return losses, history


def test_sigma2_is_the_error_of_the_epoch_before(faces):
    losses, history = train_vae(faces)
    assert [each["sigma2"] for each in losses] == history.sigma2 == [1.0, *history.train_loss[:-1]]


def test_the_train_loss_of_a_vae_is_the_error_of_its_samples(faces, monkeypatch):
    monkeypatch.setattr(training.Adam, "step", lambda self: None)
    model, noise = small_vae(), []
    monkeypatch.setattr(model, "reparameterize", lambda mu, logvar, n: noise.append(n) or mu + np.exp(logvar / 2) * n)
    _, history = train_vae(faces, model, sigma2=0.07)
    assert abs(noise[0].mean()) < 0.4 and 0.7 < noise[0].std() < 1.3 and not np.array_equal(noise[0], noise[1])
    assert np.isclose(history.train_loss[0], history.validation_loss[0], rtol=0.1)
    assert history.sigma2 == [0.07] * 4


def test_beta_rises_over_its_warm_up(faces):
    losses, _ = train_vae(faces, beta=2.0, beta_warmup=3)
    assert np.allclose([each["beta"] for each in losses], [2 / 3, 4 / 3, 2, 2])


def test_beta_is_used(faces):
    kls = [train_vae(faces, sigma2=0.01, beta=beta)[1].kl[-1] for beta in (0.1, 1000)]
    assert kls[1] < kls[0]


def test_the_scale_of_a_vaes_gradients_does_not_change_with_sigma2(faces, monkeypatch):
    gradients = []
    monkeypatch.setattr(training.Adam, "step", lambda self: gradients.append(self.parameters[-1].grad.copy()))
    train(small_vae(), faces, epochs=1, batch_size=64, rng=np.random.default_rng(0), sigma2=0.01)
    train(small_vae(), faces, epochs=1, batch_size=64, rng=np.random.default_rng(0), sigma2=1.0)
    assert np.allclose(gradients[0], gradients[1], rtol=1e-4)  # of the decoder, which the KL does not reach


def test_what_is_for_a_vae_is_refused_for_another_model(faces, rng):
    with pytest.raises(ValueError, match="sigma2, beta and beta_warmup are for a VAE, but the model is FCNAutoencoder"):
        train(small_model(), faces, epochs=1, rng=rng, beta=0.5)


@pytest.mark.parametrize("name", ["images", "validation"])
def test_arrays_are_refused_and_what_is_wanted_named(faces, name, rng):
    sets = {"images": faces, "validation": faces, name: np.zeros((4, 12288))}
    with pytest.raises(TypeError, match=f"train: {name} is of type ndarray, wanted an ImageSet"):
        train(FCNAutoencoder(rng=rng), **sets, epochs=1, rng=rng)


@pytest.mark.parametrize("name", ["encoder.0.weight", "logvar.bias", "decoder.2.weight"])
def test_a_loss_that_is_not_finite_stops_the_training_with_the_array_named(faces, name, rng):
    model = small_vae()
    dict(model.named_parameters())[name].data.flat[0] = np.nan
    with pytest.raises(FloatingPointError, match=f"epoch 1, step 1: the loss is not finite, because of {name}"):
        train(model, faces, epochs=1, rng=rng)


def test_an_encoder_whose_logvar_is_beyond_all_bounds_can_be_trained(faces, rng):
    model = small_vae()
    model.logvar.bias.data[0] = 100  # exp(100) is beyond float32
    assert np.isfinite(train(model, faces, epochs=1, rng=rng).kl).all()


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_a_sum_that_overflows_is_named(faces, rng):
    model = small_vae()
    model.mu.bias.data[...] = 1e30
    with pytest.raises(FloatingPointError, match="epoch 1, step 1: .* because of a sum that overflows"):
        train(model, faces, epochs=1, rng=rng)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_a_layer_whose_output_overflows_is_named_by_the_next_ones_input(faces, rng):
    model = small_model()
    model.encoder[0].weight.data[...] = 1e38
    with pytest.raises(FloatingPointError, match="epoch 1, step 1: the loss .* because of the input of encoder.2"):
        train(model, faces, epochs=1, rng=rng)


@pytest.mark.parametrize("argument", ["epochs", "batch_size"])
def test_no_epochs_or_images_a_batch_are_refused(faces, argument, rng):
    with pytest.raises(ValueError, match=f"train: {argument} is 0, wanted at least 1"):
        train(small_model(), faces, **{"epochs": 1, "rng": rng, argument: 0})


PHOTOGRAPHS = Path(__file__).parents[2] / "shared" / "data" / "trainingset.npy"


@pytest.mark.parametrize(
    "path",
    [
        None,
        pytest.param(
            PHOTOGRAPHS,
            marks=pytest.mark.skipif(not PHOTOGRAPHS.exists(), reason="wants the development photographs"),
        ),
    ],
    ids=["embedded faces", "photographs"],
)
def test_both_backends_train_alike_for_three_epochs(path):
    images = load_images(path, count=128)

    def losses(name):
        model = FCNAutoencoder(hidden_features=64, rng=np.random.default_rng(1))
        with use_backend(name):
            history = train(model, images, epochs=3, batch_size=32, rng=np.random.default_rng(0))
        return history.train_loss + history.validation_loss

    assert np.allclose(losses("numba"), losses("numpy"), rtol=1e-5)  # float32 rounds by 6e-8
