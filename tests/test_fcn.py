import numpy as np
import pytest
from conftest import Rows

from autoencoders import FCNAutoencoder, train
from nnlite import Linear, Sequential, gradcheck

PRINTED = """\
FCNAutoencoder(
  (encoder): Sequential(
    (0): Linear(in_features=12288, out_features=512, bias=True)
    (1): ReLU()
    (2): Linear(in_features=512, out_features=24, bias=True)
  )
  (decoder): Sequential(
    (0): Linear(in_features=24, out_features=512, bias=True)
    (1): ReLU()
    (2): Linear(in_features=512, out_features=12288, bias=True)
    (3): Tanh()
  )
)"""


@pytest.fixture(scope="module")
def full_size():
    return FCNAutoencoder(rng=np.random.default_rng(0))


def test_it_prints_as_pytorch_prints_it(full_size):
    assert repr(full_size) == PRINTED


def test_it_has_12_620_824_parameters(full_size):
    assert sum(parameter.data.size for parameter in full_size.parameters()) == 12_620_824


def test_it_is_float32_unless_told_otherwise(rng):
    model = FCNAutoencoder(7, 6, 3, rng=rng)
    assert {parameter.data.dtype for parameter in model.parameters()} == {np.dtype(np.float32)}


def test_the_snippet_of_the_source_document_runs_verbatim(full_size, rng):
    model, img = full_size, rng.uniform(-1, 1, (1, 3, 64, 64)).astype(np.float32)
    # fmt: off
    img = img.reshape(img.shape[0], -1)
    x = model.encoder(img)
    x[0] = x[0]*5
    output = model.decoder(x)
    output = output.reshape(3,64,64)
    # fmt: on
    assert output.shape == (3, 64, 64) and output.dtype == np.float32
    assert np.array_equal(output.ravel(), model.decoder(5 * model.encoder(img))[0])


@pytest.mark.parametrize("method", ["complex", "central"])
def test_its_gradients_are_right(rng, method):
    model = FCNAutoencoder(7, 6, 3, rng=rng, dtype=np.float64)
    gradcheck(model, rng.uniform(-1, 1, (4, 7)), method=method)


def test_without_input_grad_backward_returns_none(rng):
    model = FCNAutoencoder(7, 6, 3, rng=rng)
    model(np.ones((4, 7)))
    assert model.backward(np.ones((4, 7)), input_grad=False) is None


def test_its_state_has_pytorchs_names_and_shapes(full_size):
    assert {name: parameter.data.shape for name, parameter in full_size.named_parameters()} == {
        "encoder.0.weight": (512, 12288),
        "encoder.0.bias": (512,),
        "encoder.2.weight": (24, 512),
        "encoder.2.bias": (24,),
        "decoder.0.weight": (512, 24),
        "decoder.0.bias": (512,),
        "decoder.2.weight": (12288, 512),
        "decoder.2.bias": (12288,),
    }


def test_a_linear_autoencoder_finds_the_principal_subspace(rng):
    x = (
        rng.standard_normal((500, 10))
        * [5, 4, 3, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5]
        @ np.linalg.qr(rng.standard_normal((10, 10)))[0]
    )
    model = FCNAutoencoder(10, 1, 3, rng=rng)
    model.encoder = Sequential(Linear(10, 3, rng=rng, dtype=np.float64))
    model.decoder = Sequential(Linear(3, 10, rng=rng, dtype=np.float64))
    train(model, Rows(x), epochs=200, batch_size=50, lr=0.01, rng=rng, validation=Rows(x))
    learned = np.linalg.qr(model.decoder[0].weight.data)[0]  # (10, 3)
    principal = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][:3].T  # (10, 3)
    cosines = np.linalg.svd(principal.T @ learned)[1]
    assert np.degrees(np.arccos(np.clip(cosines.min(), -1, 1))) < 1
