import numpy as np
import pytest
from conftest import Rows

from autoencoders import VAE, code_use, train
from autoencoders.vae import MAX_LOGVAR, CodeUse, VAELoss
from nnlite import Linear, Sequential, gradcheck, kl_divergence

SIZES = (12, 8, 3)  # in_features, hidden_features, latent_features

PRINTED = """\
VAE(
  (encoder): Sequential(
    (0): Linear(in_features=12288, out_features=512, bias=True)
    (1): ReLU()
  )
  (mu): Linear(in_features=512, out_features=24, bias=True)
  (logvar): Linear(in_features=512, out_features=24, bias=True)
  (decoder): Sequential(
    (0): Linear(in_features=24, out_features=512, bias=True)
    (1): ReLU()
    (2): Linear(in_features=512, out_features=12288, bias=True)
    (3): Tanh()
  )
)"""


@pytest.fixture
def vae(rng):
    return VAE(*SIZES, rng=rng, dtype=np.float64)


@pytest.fixture
def x(rng):
    return rng.uniform(-1, 1, (5, 12))


@pytest.fixture
def noise(rng):
    return rng.standard_normal((5, 3))


def test_it_prints_its_layers_and_their_sizes(rng):
    assert repr(VAE(rng=rng)) == PRINTED


def test_it_is_float32_unless_told_otherwise(rng):
    model = VAE(*SIZES, rng=rng)
    assert {parameter.data.dtype for parameter in model.parameters()} == {np.dtype(np.float32)}


def monte_carlo_kl(vae, mu, logvar, rng, samples=200_000):
    """(mean, standard error) of log N(z; mu, sigma^2) - log N(z; 0, 1) over the model's own samples z."""
    z = vae.reparameterize(*(np.broadcast_to(a, (samples, 3)) for a in (mu, logvar)), rng.standard_normal((samples, 3)))
    difference = ((z**2 - (z - mu) ** 2 / np.exp(logvar) - logvar) / 2).sum(axis=1)
    return difference.mean(), difference.std() / np.sqrt(samples)


def test_a_sample_worked_by_hand(vae):
    mu, logvar, noise = np.array([[1.0]]), np.array([[np.log(4)]]), np.array([[3.0]])
    assert np.isclose(vae.reparameterize(mu, logvar, noise), 1 + 2 * 3, rtol=1e-15)


def test_the_closed_form_kl_is_that_of_the_samples(vae, rng):
    mu, logvar = np.array([[0.5, -1.0, 0.2]]), np.array([[-1.0, 0.5, -2.0]])
    mean, standard_error = monte_carlo_kl(vae, mu, logvar, rng)
    assert abs(mean - kl_divergence(mu, logvar)[0]) < 4 * standard_error


def test_sampling_with_the_variance_for_sigma_is_noticed(vae, rng, monkeypatch):
    monkeypatch.setattr(vae, "reparameterize", lambda mu, logvar, noise: mu + np.exp(logvar) * noise)
    mu, logvar = np.array([[0.5, -1.0, 0.2]]), np.array([[-1.0, 0.5, -2.0]])
    mean, standard_error = monte_carlo_kl(vae, mu, logvar, rng)
    assert abs(mean - kl_divergence(mu, logvar)[0]) > 40 * standard_error


@pytest.mark.parametrize("method", ["complex", "central"])
@pytest.mark.parametrize("settings", [{}, {"sigma2": 0.07, "beta": 0.3}], ids=["defaults", "sigma2 and beta"])
@pytest.mark.parametrize("denoising", [False, True])
def test_every_gradient_is_right(vae, x, noise, method, settings, denoising, rng):
    if denoising:
        settings = settings | {"target": rng.uniform(-1, 1, x.shape)}
    gradcheck(VAELoss(vae, noise, **settings), x, method=method)


def test_beta_and_sigma2_change_the_loss_as_the_formula_says(vae, x, noise):
    mu, logvar = vae.encode(x)
    squares = np.sum((vae.decode(vae.reparameterize(mu, logvar, noise)) - x) ** 2) / len(x)
    for sigma2, beta in ((1.0, 1.0), (0.07, 1.0), (1.0, 4.0), (0.5, 0.0)):
        total, reconstruction, kl = vae.loss(x, noise, sigma2=sigma2, beta=beta)
        assert np.isclose(reconstruction, squares / (2 * sigma2) + 12 / 2 * np.log(2 * np.pi * sigma2), rtol=1e-12)
        assert np.isclose(kl, kl_divergence(mu, logvar)[0], rtol=1e-12)
        assert np.isclose(total, reconstruction + beta * kl, rtol=1e-12)


def test_the_best_sigma2_is_the_mean_squared_error_of_the_sampled_reconstruction(vae, x, noise):
    best = np.mean((vae.decode(vae.reparameterize(*vae.encode(x), noise)) - x) ** 2)
    losses = [vae.loss(x, noise, sigma2=factor * best)[0] for factor in (0.99, 1, 1.01)]
    assert losses[1] < min(losses[0], losses[2])


def test_sigma2_and_beta_are_1_unless_told_otherwise(vae, x, noise):
    assert vae.loss(x, noise) == vae.loss(x, noise, sigma2=1.0, beta=1.0)


def test_backward_starts_from_1_unless_the_loss_is_part_of_more(vae, x, noise):
    vae.loss(x, noise)
    assert np.array_equal(vae.backward(), vae.backward(1.0, input_grad=True))


@pytest.mark.parametrize("target_is_x", [True, False])
def test_without_input_grad_backward_returns_none(vae, x, noise, target_is_x):
    vae.loss(x, noise, target=None if target_is_x else -x)
    assert vae.backward(input_grad=False) is None


def test_the_trunk_receives_the_sum_of_both_heads_gradients(vae, x, noise):
    def trunk_gradient(*cut):
        vae.loss(x, noise)
        vae.zero_grad()
        kept = [head.weight.data.copy() for head in (vae.mu, vae.logvar)]
        for head in cut:
            head.weight.data[...] = 0  # after the loss: nothing flows back through this head
        vae.backward()
        vae.mu.weight.data[...], vae.logvar.weight.data[...] = kept
        return vae.encoder[0].weight.grad.copy()

    by_mu, by_logvar = trunk_gradient(vae.logvar), trunk_gradient(vae.mu)
    assert np.abs(by_mu).max() > 0 and np.abs(by_logvar).max() > 0
    assert np.allclose(trunk_gradient(), by_mu + by_logvar, rtol=1e-12)


def test_without_noise_a_reconstruction_is_that_of_mu(vae, x):
    assert np.array_equal(vae(x), vae.decode(vae.encode(x)[0]))


def test_the_target_is_x_unless_another_is_given(vae, x, noise):
    assert vae.loss(x, noise) == vae.loss(x, noise, target=x) != vae.loss(x, noise, target=-x)


@pytest.mark.parametrize(
    "call",
    [lambda vae, x: None, lambda vae, x: vae(x), lambda vae, x: vae.encode(x), lambda vae, x: vae.decode(x[:, :3])],
)
def test_backward_wants_a_loss_right_before_it(vae, x, noise, call):
    if call(vae, x) is not None:
        vae.loss(x, noise)
        call(vae, x)
    message = "^VAE.backward was called before loss, or after another forward: call loss first$"
    with pytest.raises(RuntimeError, match=message):
        vae.backward()


@pytest.mark.parametrize("sigma2", [0, -1, float("nan")])
def test_a_variance_that_is_none_is_an_error(vae, x, noise, sigma2):
    with pytest.raises(ValueError, match=f"^VAE.loss: sigma2 is {sigma2}, wanted more than 0$"):
        vae.loss(x, noise, sigma2=sigma2)


def test_noise_of_another_shape_is_an_error(vae, x):
    with pytest.raises(ValueError, match=r"^VAE: noise has shape \(3,\), wanted that of mu, \(5, 3\)$"):
        vae.loss(x, np.zeros(3))


def test_the_parameters_have_pytorchs_names(vae):
    names = [name for name, _ in vae.named_parameters()]
    heads = ["mu.weight", "mu.bias", "logvar.weight", "logvar.bias"]
    assert names[:2] == ["encoder.0.weight", "encoder.0.bias"] and names[2:6] == heads
    assert names[6:] == [f"decoder.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")]


def test_a_logvar_above_the_bound_is_the_bound_and_has_no_gradient(rng):
    vae = VAE(6, 5, 3, rng=rng, dtype=np.float64)
    vae.logvar.bias.data[...] = [0, MAX_LOGVAR + 1, 60]
    x, noise = rng.uniform(-1, 1, (4, 6)), rng.standard_normal((4, 3))
    _, logvar = vae.encode(x)
    assert np.array_equal(logvar[:, 1:], np.full((4, 2), MAX_LOGVAR)) and (logvar[:, 0] < 1).all()
    gradcheck(VAELoss(vae, noise), x)
    vae.zero_grad()
    vae.loss(x, noise)
    vae.backward()
    assert vae.logvar.bias.grad[0] != 0 and np.array_equal(vae.logvar.bias.grad[1:], [0, 0])


def test_a_logvar_that_is_nan_is_not_hidden_by_the_bound(rng):
    vae = VAE(6, 5, 3, rng=rng)
    vae.logvar.weight.data[0, 0] = np.nan
    assert np.isnan(vae.loss(np.ones((2, 6)), np.zeros((2, 3)))[0])


def test_an_element_is_active_from_a_variance_of_a_hundredth_on():
    assert CodeUse(kl=np.array([1.0, 1.0]), variance=np.array([0.009, 0.011])).active == 1


def test_an_element_that_says_nothing_is_not_active(rng):
    vae = VAE(4, 4, 2, rng=rng, dtype=np.float64)
    vae.encoder = Sequential()  # h = x
    vae.mu.weight.data[...] = [[1, 0, 0, 0], [0, 0, 0, 0]]
    vae.logvar.weight.data[...] = 0
    for bias in (vae.mu.bias, vae.logvar.bias):
        bias.data[...] = 0
    x = rng.standard_normal((500, 4))
    use = code_use(vae, Rows(x))
    assert use.active == 1 and np.allclose(use.variance, [x[:, 0].var(), 0])
    assert np.allclose(use.kl, [np.mean(x[:, 0] ** 2) / 2, 0])


@pytest.mark.slow
@pytest.mark.no_cover  # 6,000 steps of the same lines
def test_a_linear_vae_with_estimated_sigma2_is_as_likely_as_probabilistic_pca(rng):
    D, Z = 8, 2
    x = rng.standard_normal((1000, Z)) @ rng.standard_normal((Z, D)) + 0.3 * rng.standard_normal((1000, D)) + 0.5
    # Tipping and Bishop 1999, equation 8: the leading eigenvalues of the covariance, and for the rest their mean
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    fitted = np.concatenate([eigenvalues[:Z], np.full(D - Z, eigenvalues[Z:].mean())])
    best = -np.sum(np.log(2 * np.pi * fitted) + 1) / 2

    vae = VAE(D, D, Z, rng=rng, dtype=np.float64)
    vae.encoder, vae.decoder = Sequential(), Sequential(Linear(Z, D, rng=rng, dtype=np.float64))
    history = train(vae, Rows(x), epochs=300, batch_size=50, lr=0.01, rng=rng, validation=Rows(x))
    noise = rng.standard_normal((50, 1000, Z))
    elbo = -np.mean([vae.loss(x, each, sigma2=history.train_loss[-1])[0] for each in noise])
    assert abs(elbo - best) / D < 0.01


def test_vae_loss_is_the_total_of_its_settings(vae, x, noise):
    settings = {"target": -x, "sigma2": 0.07, "beta": 0.3}
    assert VAELoss(vae, noise, **settings)(x) == vae.loss(x, noise, **settings)[0]
    assert VAELoss(vae, noise)(x) == vae.loss(x, noise)[0]


def test_vae_loss_takes_the_first_rows_of_noise_and_target_for_a_smaller_batch(vae, x, noise):
    assert VAELoss(vae, noise, target=-x)(x[:2]) == vae.loss(x[:2], noise[:2], target=-x[:2])[0]


def test_vae_loss_passes_input_grad_on(vae, x, noise):
    loss = VAELoss(vae, noise)
    loss(x)
    assert loss.backward(1.0, input_grad=False) is None
