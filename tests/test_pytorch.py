"""Step for step equal to PyTorch: the same weights and batches give the same gradients, losses and trained weights."""

import numpy as np
import pytest

from autoencoders import VAE, FCNAutoencoder
from nnlite import SGD, Adam, kl_divergence, load_weights, mse_loss, save_weights, use_backend

torch = pytest.importorskip("torch")

SMALL, FULL = (30, 16, 5), (12288, 512, 24)  # in_features, hidden_features, latent_features
TOLERANCE = {np.float32: 2e-3, np.float64: 1e-10}


class TorchAutoencoder(torch.nn.Module):
    def __init__(self, in_features, hidden_features, latent_features):
        super().__init__()
        self.encoder = torch.nn.Sequential(
            torch.nn.Linear(in_features, hidden_features),
            torch.nn.ReLU(),
            torch.nn.Linear(hidden_features, latent_features),
        )
        self.decoder = torch.nn.Sequential(
            torch.nn.Linear(latent_features, hidden_features),
            torch.nn.ReLU(),
            torch.nn.Linear(hidden_features, in_features),
            torch.nn.Tanh(),
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))


def relative_error(ours, theirs):
    theirs = theirs.detach().numpy()
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def twins(sizes, dtype):
    """(ours, theirs): the same autoencoder with the same weights, through the state dict."""
    ours = FCNAutoencoder(*sizes, rng=np.random.default_rng(0), dtype=dtype)
    theirs = TorchAutoencoder(*sizes).to(torch.from_numpy(np.empty(0, dtype)).dtype)
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in ours.state_dict().items()})
    return ours, theirs


@pytest.mark.parametrize("name", ["autoencoder", "VAE"])
def test_weights_go_to_pytorch_and_back_through_files(name, tmp_path, rng):
    ours, theirs = {
        "autoencoder": (FCNAutoencoder(*SMALL, rng=rng), TorchAutoencoder(*SMALL)),
        "VAE": (VAE(*SMALL, rng=rng), TorchVAE(*SMALL)),
    }[name]
    save_weights(tmp_path / "ours.npz", ours)
    with np.load(tmp_path / "ours.npz", allow_pickle=False) as state:
        theirs.load_state_dict({key: torch.from_numpy(array) for key, array in state.items()})
    assert all(np.array_equal(a.data, b.detach()) for a, b in zip(ours.parameters(), theirs.parameters()))
    torch.manual_seed(0)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    np.savez(tmp_path / "theirs.npz", **{key: tensor.numpy() for key, tensor in theirs.state_dict().items()})
    load_weights(tmp_path / "theirs.npz", ours)
    assert all(np.array_equal(a.data, b.detach()) for a, b in zip(ours.parameters(), theirs.parameters()))


def step(ours, theirs, x):
    """Both losses of the batch x; both models' gradients are left in place."""
    loss, grad = mse_loss(ours(x), x)
    ours.backward(grad)
    batch = torch.from_numpy(x)
    their_loss = torch.nn.functional.mse_loss(theirs(batch), batch)
    their_loss.backward()
    return loss, their_loss


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("sizes", [SMALL, FULL], ids=["small", "full size"])
class TestAutoencoder:
    def test_every_gradient_of_a_step_is_pytorchs(self, sizes, dtype, rng):
        ours, theirs = twins(sizes, dtype)
        x = rng.uniform(-1, 1, (16, sizes[0])).astype(dtype)
        batch = torch.from_numpy(x).requires_grad_()
        upstream = rng.standard_normal(x.shape).astype(dtype)
        ours(x)
        grad_input = ours.backward(upstream)
        theirs(batch).backward(torch.from_numpy(upstream))
        assert relative_error(grad_input, batch.grad) < TOLERANCE[dtype]
        for (name, our), (their_name, their) in zip(ours.named_parameters(), theirs.named_parameters()):
            assert name == their_name
            assert relative_error(our.grad, their.grad) < TOLERANCE[dtype]

    def test_20_adam_steps_give_pytorchs_losses_and_weights(self, sizes, dtype, rng):
        ours, theirs = twins(sizes, dtype)
        our_adam, their_adam = Adam(ours.parameters(), lr=1e-3), torch.optim.Adam(theirs.parameters(), lr=1e-3)
        for _ in range(20):
            our_adam.zero_grad()
            their_adam.zero_grad()
            loss, their_loss = step(ours, theirs, rng.uniform(-1, 1, (16, sizes[0])).astype(dtype))
            assert relative_error(loss, their_loss) < TOLERANCE[dtype]
            our_adam.step()
            their_adam.step()
        for our, their in zip(ours.parameters(), theirs.parameters()):
            assert relative_error(our.data, their) < TOLERANCE[dtype]


class TorchVAE(torch.nn.Module):
    def __init__(self, in_features, hidden_features, latent_features):
        super().__init__()
        self.encoder = torch.nn.Sequential(torch.nn.Linear(in_features, hidden_features), torch.nn.ReLU())
        self.mu = torch.nn.Linear(hidden_features, latent_features)
        self.logvar = torch.nn.Linear(hidden_features, latent_features)
        self.decoder = TorchAutoencoder(in_features, hidden_features, latent_features).decoder

    def loss(self, x, noise, sigma2, beta):
        h = self.encoder(x)
        q = torch.distributions.Normal(self.mu(h), torch.exp(self.logvar(h) / 2))
        pixels = torch.distributions.Normal(self.decoder(q.loc + q.scale * noise), sigma2**0.5)
        kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0))
        return (beta * kl.sum() - pixels.log_prob(x).sum()) / len(x)


@pytest.mark.parametrize("sizes", [SMALL, FULL], ids=["small", "full size"])
def test_20_adam_steps_of_a_vae_give_pytorchs_losses_and_weights(sizes, rng):
    ours, theirs = VAE(*sizes, rng=rng, dtype=np.float64), TorchVAE(*sizes).double()
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in ours.state_dict().items()})
    our_adam, their_adam = Adam(ours.parameters()), torch.optim.Adam(theirs.parameters())
    for _ in range(20):
        x = rng.uniform(-1, 1, (16, sizes[0]))
        noise = rng.standard_normal((16, sizes[2]))
        our_adam.zero_grad()
        their_adam.zero_grad()
        loss, _, _ = ours.loss(x, noise, sigma2=0.5, beta=0.7)
        ours.backward()
        their_loss = theirs.loss(torch.from_numpy(x), torch.from_numpy(noise), 0.5, 0.7)
        their_loss.backward()
        assert relative_error(loss, their_loss) < 1e-10
        our_adam.step()
        their_adam.step()
    for our, their in zip(ours.parameters(), theirs.parameters()):
        assert relative_error(our.data, their) < 1e-10


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_sgd_with_momentum_is_pytorchs_on_both_backends(backend, rng):
    ours, theirs = twins(SMALL, np.float64)
    our_sgd = SGD(ours.parameters(), lr=0.1, momentum=0.9)
    their_sgd = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    with use_backend(backend):
        for _ in range(20):
            our_sgd.zero_grad()
            their_sgd.zero_grad()
            step(ours, theirs, rng.uniform(-1, 1, (16, SMALL[0])))
            our_sgd.step()
            their_sgd.step()
    assert all(relative_error(a.data, b) < 1e-10 for a, b in zip(ours.parameters(), theirs.parameters()))


def test_kl_divergence_is_that_of_torch_distributions(rng):
    mu, logvar = rng.standard_normal((2, 6, 4))
    their_mu, their_logvar = (torch.from_numpy(array).requires_grad_() for array in (mu, logvar))
    normal = torch.distributions.Normal
    kl = torch.distributions.kl_divergence(normal(their_mu, torch.exp(their_logvar / 2)), normal(0.0, 1.0)).sum() / 6
    kl.backward()
    for ours, theirs in zip(kl_divergence(mu, logvar), (kl, their_mu.grad, their_logvar.grad)):
        assert relative_error(ours, theirs) < 1e-14


def test_the_model_prints_as_pytorchs_does_but_for_its_name():
    ours, theirs = twins(SMALL, np.float32)
    assert repr(ours).split("\n")[1:] == repr(theirs).split("\n")[1:]


def test_weights_are_drawn_from_pytorchs_range():
    torch.manual_seed(0)
    theirs = TorchAutoencoder(*FULL)
    for our, their in zip(FCNAutoencoder(rng=np.random.default_rng(0)).parameters(), theirs.parameters()):
        if our.data.size > 10_000:  # so many that the largest is close to the bound
            assert np.isclose(np.abs(our.data).max(), their.detach().abs().max(), rtol=1e-3)


def loaded_by_the_line(error, model, **names):
    """Load what the line in an error makes, and whether the model then holds it."""
    renamed = eval(str(error.value).partition("load ")[2], names)
    model.load_state_dict(renamed)
    return all(np.array_equal(array, renamed[name]) for name, array in model.state_dict().items())


@pytest.mark.parametrize("wrap", [torch.nn.DataParallel, torch.compile, torch.optim.swa_utils.AveragedModel])
def test_the_state_of_a_wrapped_model_is_loaded_by_the_line_that_the_error_gives(rng, wrap):
    ours = FCNAutoencoder(*SMALL, rng=rng)
    state = wrap(TorchAutoencoder(*SMALL)).state_dict()
    with pytest.raises(ValueError, match="the names wanted stand behind '(module|_orig_mod).' .*; load") as error:
        ours.load_state_dict(state)
    assert loaded_by_the_line(error, ours, state=state)


@pytest.mark.parametrize("change", [lambda p: p.bfloat16(), lambda p: p.requires_grad_()], ids=["bfloat16", "gradient"])
def test_tensors_that_numpy_cannot_read_are_loaded_by_the_line_that_the_error_gives(rng, change):
    ours = FCNAutoencoder(*SMALL, rng=rng)
    state = {name: change(tensor) for name, tensor in TorchAutoencoder(*SMALL).state_dict().items()}
    with pytest.raises(ValueError, match="encoder.0.weight is no array .*; of PyTorch's tensors load") as error:
        ours.load_state_dict(state)
    assert loaded_by_the_line(error, ours, state=state)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_file_of_torch_save_is_made_an_npz_file_by_the_line_that_the_error_gives(rng, tmp_path, zipped):
    ours, theirs = FCNAutoencoder(*SMALL, rng=rng), TorchAutoencoder(*SMALL)
    torch.save(theirs.state_dict(), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"a pickle as of torch.save: (.*) makes one of it") as error:
        load_weights(tmp_path / "w.pt", ours)
    line = str(error.value).partition("torch.save: ")[2].partition(" makes one of it")[0]
    eval(line, {"numpy": np, "torch": torch, "NEW": tmp_path / "w.npz", "FILE": tmp_path / "w.pt"})
    load_weights(tmp_path / "w.npz", ours)
    state = theirs.state_dict()
    assert all(np.array_equal(array, state[name].numpy()) for name, array in ours.state_dict().items())
