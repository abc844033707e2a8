import numpy as np
import pytest

from nnlite import gradcheck, kl_divergence, mse_loss


def test_mse_loss_worked_by_hand():
    loss, grad = mse_loss(np.array([[1.0, 2.0]]), np.array([[0.0, 5.0]]))
    assert loss == 5  # (1 + 9) / 2
    assert np.array_equal(grad, [[1, -3]])  # 2/2 * (1, -3)


def test_mse_loss_of_pictures_does_not_wrap_around():
    loss, grad = mse_loss(np.array([0, 10], np.uint8), np.array([255, 0], np.uint8))
    assert loss == (255**2 + 10**2) / 2 and np.array_equal(grad, [-255, 10])


def test_kl_divergence_worked_by_hand():
    mu, logvar = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.0, np.log(3)], [0.0, 0.0]])
    kl, grad_mu, grad_logvar = kl_divergence(mu, logvar)
    assert np.isclose(kl, (1 / 2 + (3 - 1 - np.log(3)) / 2) / 2, rtol=1e-15)
    assert np.array_equal(grad_mu, [[0.5, 0], [0, 0]])
    assert np.allclose(grad_logvar, [[0, 0.5], [0, 0]], rtol=1e-15)


@pytest.mark.parametrize("method", ["complex", "central"])
def test_the_gradient_of_each_loss_is_the_derivative_of_its_value(rng, method):
    a, b = rng.standard_normal((2, 4, 3))
    gradcheck(lambda prediction: mse_loss(prediction, b), a, method=method)
    gradcheck(lambda mu: kl_divergence(mu, b)[:2], a, method=method)
    gradcheck(lambda logvar: kl_divergence(b, logvar)[::2], a, method=method)


def test_the_gradients_of_float32_are_float32():
    a = np.ones((2, 3), np.float32)
    assert all(grad.dtype == np.float32 for grad in (mse_loss(a, a)[1], *kl_divergence(a, a)[1:]))


@pytest.mark.parametrize("loss", [mse_loss, kl_divergence])
@pytest.mark.parametrize("shapes", [((4, 3), (3,)), ((4, 3), (4, 1)), ((0, 3), (0, 3))])
def test_shapes_that_differ_or_are_empty_are_refused_not_broadcast(loss, shapes):
    messages = {
        mse_loss: "mse_loss: prediction {}, target {}, wanted one shape, not empty",
        kl_divergence: "kl_divergence: mu {}, logvar {}, wanted one shape (N, Z), not empty",
    }
    with pytest.raises(ValueError) as error:
        loss(*map(np.ones, shapes))
    assert str(error.value) == messages[loss].format(*shapes)
