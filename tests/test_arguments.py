"""Arguments that are no numbers, out of range or no generators are refused by name, before anything is changed."""

import math

import numpy as np
import pytest

from autoencoders import VAE, FCNAutoencoder, ImageSet, gaussian_noise, load_images, make_faces, masking_noise, train
from nnlite import SGD, Adam, Linear, Parameter, Sequential, Tanh, gradcheck


@pytest.fixture(scope="module")
def faces():
    return load_images(count=20)


def small(kind, rng):
    return kind(hidden_features=4, latent_features=2, rng=rng)


USES = {
    "Linear": lambda rng, faces: Linear(2, 3, rng=rng),
    "make_faces": lambda rng, faces: make_faces(2, rng),
    "ImageSet.split": lambda rng, faces: faces.split(rng),
    "ImageSet.sample": lambda rng, faces: faces.sample(2, rng),
    "ImageSet.batches": lambda rng, faces: next(faces.batches(2, rng)),
    "load_images": lambda rng, faces: load_images(count=2, rng=rng),
    "gaussian_noise": lambda rng, faces: gaussian_noise(0.5)(np.zeros((2, 3), np.float32), rng),
    "masking_noise": lambda rng, faces: masking_noise(0.5)(np.zeros((2, 3), np.float32), rng),
    "train": lambda rng, faces: train(small(FCNAutoencoder, np.random.default_rng(0)), faces, epochs=1, rng=rng),
}


@pytest.mark.parametrize("rng", [0, "a seed", np.random.RandomState(0), np.random, [1]], ids=str)
@pytest.mark.parametrize("where", USES)
def test_what_is_no_generator_is_refused(faces, where, rng):
    with pytest.raises(
        TypeError, match=rf"^{where}: rng is .*, wanted a numpy Generator, such as np.random.default_rng"
    ):
        USES[where](rng, faces)


@pytest.mark.parametrize(
    "where", ["Linear", "make_faces", "ImageSet.split", "gaussian_noise", "masking_noise", "train"]
)
def test_randomness_without_a_generator_is_refused(faces, where):
    with pytest.raises(TypeError, match=f"^{where}: rng is None, wanted a numpy Generator"):
        USES[where](None, faces)


NO_NUMBERS = [-1, math.nan, math.inf, "x", None, np.ones(2)]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=str)
@pytest.mark.parametrize(
    "make",
    [
        lambda p, value: SGD([p], value),
        lambda p, value: SGD([p], 0.1, momentum=value),
        lambda p, value: Adam([p], value),
        lambda p, value: Adam([p], betas=(value, 0.9)),
        lambda p, value: Adam([p], betas=(0.9, value)),
        lambda p, value: Adam([p], eps=value),
    ],
    ids=["SGD lr", "momentum", "Adam lr", "beta1", "beta2", "eps"],
)
def test_an_optimizer_takes_numbers_in_their_range(make, value):
    with pytest.raises(
        ValueError, match="^(SGD|Adam): (lr|momentum|beta1|beta2|eps) is .*, wanted (at least 0|a finite number)"
    ):
        make(Parameter(np.ones(2)), value)


@pytest.mark.parametrize("betas", [0.9, (0.9,), None, (0.1, 0.2, 0.3)], ids=str)
def test_betas_are_two(betas):
    with pytest.raises(ValueError, match="^Adam: betas is .*, wanted two numbers$"):
        Adam([Parameter(np.ones(2))], betas=betas)


@pytest.mark.parametrize("count", [-1, 1.5, None])
def test_a_count_of_faces_is_one(count, rng):
    with pytest.raises(ValueError, match="^make_faces: count is .*, wanted (at least 0|a whole number)$"):
        make_faces(count, rng)


def test_betas_are_below_1():
    with pytest.raises(ValueError, match="^Adam: beta2 is 1.0, wanted at least 0 and below 1$"):
        Adam([Parameter(np.ones(2))], betas=(0.9, 1.0))


@pytest.mark.parametrize("value", NO_NUMBERS, ids=str)
@pytest.mark.parametrize("name", ["lr", "beta", "beta_warmup", "epochs", "batch_size"])
def test_train_takes_numbers_in_their_range(faces, rng, name, value):
    model = small(VAE, rng)
    before = model.state_dict()
    with pytest.raises(ValueError, match=f"{name} is .*, wanted (at least|a finite number|a whole number)"):
        train(model, faces, **{"epochs": 1, "rng": rng, name: value})
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())


@pytest.mark.parametrize("sigma2", [0, -1, math.nan, math.inf, "x"])
def test_train_takes_a_variance_above_0(faces, rng, sigma2):
    with pytest.raises(ValueError, match="sigma2 is .*, wanted (at least 0|more than 0|a finite number)"):
        train(small(VAE, rng), faces, epochs=1, rng=rng, sigma2=sigma2)


def test_half_an_epoch_is_refused(faces, rng):
    with pytest.raises(ValueError, match="^train: epochs is 1.5, wanted a whole number$"):
        train(small(VAE, rng), faces, epochs=1.5, rng=rng)


@pytest.mark.parametrize("beta", [-1, math.nan])
def test_the_loss_of_a_vae_takes_a_beta_that_is_one(rng, beta):
    model = VAE(8, 4, 2, rng=rng)
    with pytest.raises(ValueError, match="^VAE.loss: beta is .*, wanted (at least 0|a finite number)"):
        model.loss(np.ones((2, 8)), np.ones((2, 2)), beta=beta)


class Nan(Tanh):
    def forward(self, x):
        return super().forward(x) * np.float32(np.nan)


def test_a_loss_of_a_plain_sequential_that_is_not_finite_is_told_with_the_layer(faces, rng):
    model = Sequential(Linear(12288, 4, rng=rng), Nan(), Linear(4, 12288, rng=rng))
    with pytest.raises(
        FloatingPointError, match="^epoch 1, step 1: the loss is not finite, because of the input of 2$"
    ):
        train(model, faces, epochs=1, rng=rng)


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_a_gradient_of_none_counts_as_zeros(optimizer):
    parameter = Parameter(np.ones((2, 3)))
    parameter.grad += 5
    parameter.grad = None
    optimizer([parameter], lr=0.1).step()
    assert np.array_equal(parameter.data, np.ones((2, 3))) and not parameter.grad.any()


def test_of_no_layers_a_sequential_is_the_identity(rng):
    empty, x = Sequential(), rng.standard_normal((2, 3))
    assert np.array_equal(empty(x), x) and np.array_equal(empty.backward(x), x)
    assert empty.backward(x, input_grad=False) is None and empty.parameters() == [] and gradcheck(empty, x)


def test_training_of_a_model_without_parameters_is_refused(faces, rng):
    with pytest.raises(ValueError, match="Adam: parameters is empty, wanted at least one Parameter"):
        train(Sequential(), faces, epochs=1, rng=rng)


@pytest.mark.parametrize("kind", [FCNAutoencoder, VAE])
def test_images_that_are_equal_are_trained_on(rng, kind):
    images = ImageSet(np.full((20, 64, 64, 3), 7, np.uint8))
    history = train(small(kind, rng), images, epochs=2, rng=rng)
    assert np.isfinite(history.validation_loss).all()
