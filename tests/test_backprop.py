"""docs/backprop.md: the library gives its numbers, its quoted lines stand in the files, its programs run."""

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import PROGRAM

from autoencoders import VAE
from nnlite import Adam, GradcheckError, Linear, Parameter, ReLU, Sequential, Tanh, kl_divergence, mse_loss

PAGE = Path(__file__).parents[1] / "docs" / "backprop.md"
SECTIONS = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)
DERIVATIONS = [section for section in SECTIONS if section.startswith("[")]
DOZEN_LINES = next(section for section in SECTIONS if section.startswith("A gradient check in a dozen lines"))
YOUR_OWN_LAYER = next(section for section in SECTIONS if section.startswith("Write your own layer"))
BLOCKS = PROGRAM.findall(YOUR_OWN_LAYER)
WALK = next(section for section in SECTIONS if section.startswith("The whole autoencoder"))


def linear(weight, bias):
    layer = Linear(len(weight[0]), len(weight), rng=np.random.default_rng(0), dtype=np.float64)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def near(a, b):
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-14, atol=1e-14)


@pytest.fixture
def check():
    """The check in a dozen lines, after the program of the page, which finds no fault."""
    names = {}
    exec(PROGRAM.search(DOZEN_LINES).group(1), names)
    return names["check"]


def test_every_gradient_of_the_walk_through_the_autoencoder_is_the_measured_one(capsys):
    exec(PROGRAM.search(WALK).group(1), {})
    assert capsys.readouterr().out.count("error ") == 15


@pytest.mark.parametrize("change", ["h3", "a1"])
def test_the_walk_notices_a_gradient_that_is_wrong(change):
    program = PROGRAM.search(WALK).group(1)
    wrong = re.sub(rf'^(g\["{change}"\] = )', r"\g<1>2 * ", program, flags=re.M)
    with pytest.raises(AssertionError):
        exec(wrong, {})


@pytest.mark.parametrize("array", ["x", "weight", "bias"])
def test_the_check_in_a_dozen_lines_sees_a_wrong_gradient(check, rng, array):
    class Wrong(Linear):
        def backward(self, grad_output):
            grad_input = super().backward(grad_output)
            gradient = grad_input if array == "x" else getattr(self, array).grad
            gradient.flat[-1] *= -1
            return grad_input

    with pytest.raises(AssertionError, match="backward says"):
        check(Wrong(3, 2, rng=rng, dtype=np.float64), rng.standard_normal((4, 3)))


def test_the_check_in_a_dozen_lines_sees_a_forgotten_upstream_gradient(check, rng):
    class Wrong(Tanh):
        def backward(self, grad_output):
            return self._from_forward()

    with pytest.raises(AssertionError, match="backward says"):
        check(Wrong(), rng.standard_normal((4, 3)))


def test_the_check_in_a_dozen_lines_leaves_the_layer_as_it_was(check, rng):
    layer = Linear(3, 2, rng=rng, dtype=np.float64)
    weight = layer.weight.data
    check(layer, rng.standard_normal((4, 3)))
    assert layer.weight.data is weight


def test_a_weight_used_twice_gets_the_gradients_of_both_uses():
    first, second = linear([[5.0]], [0.0]), linear([[5.0]], [0.0])
    second.weight = first.weight
    assert second(first([[3]])) == 75
    assert second.backward([[1]]) == 5 and first.weight.grad == 15
    first.backward([[5]])
    assert first.weight.grad == 30


@pytest.fixture
def linear_after_backward():
    layer = linear([[2.0, -1.0], [1.0, 3.0]], [1.0, -2.0])
    y = layer([[3, 1], [2, 4]])
    return layer, y, layer.backward([[1, 2], [10, -1]])


def test_the_output_of_linear(linear_after_backward):
    assert np.array_equal(linear_after_backward[1], [[6, 4], [1, 12]])


def test_the_gradient_of_linears_weight_is_summed_over_the_batch(linear_after_backward):
    assert np.array_equal(linear_after_backward[0].weight.grad, [[23, 41], [4, -2]])


def test_the_gradient_of_linears_bias_is_summed_over_the_batch(linear_after_backward):
    assert np.array_equal(linear_after_backward[0].bias.grad, [11, 1])


def test_the_gradient_of_linears_input_is_summed_over_the_outputs(linear_after_backward):
    assert np.array_equal(linear_after_backward[2], [[4, 5], [19, -13]])


def test_relu_passes_the_gradient_where_x_is_positive():
    layer = ReLU()
    assert np.array_equal(layer([-2, 0, 3]), [0, 0, 3])
    assert np.array_equal(layer.backward([5, 7, 4]), [0, 0, 4])


def test_tanh_multiplies_the_gradient_by_its_slope():
    layer = Tanh()
    assert near(layer([0, np.log(3) / 2, -np.log(2)]), [0, 1 / 2, -3 / 5])
    assert near(layer.backward([7, 4, 25]), [7, 3, 16])


def test_sequential_hands_the_gradient_of_tanh_to_linear():
    layer = Sequential(linear([[np.log(2) / 2]], [0.0]), Tanh())
    assert near(layer([[2]]), [[3 / 5]])
    assert near(layer.backward([[25]]), [[8 * np.log(2)]])
    assert near(layer[0].weight.grad, [[32]]) and near(layer[0].bias.grad, [16])


def test_mse_loss_is_a_mean_over_all_entries_and_so_is_its_gradient():
    loss, grad = mse_loss([[1, 2], [4, 3]], [[0, 5], [4, 1]])
    assert loss == 3.5
    assert np.array_equal(grad, [[0.5, -1.5], [0, 1]])


def test_kl_divergence_is_summed_over_the_code_and_averaged_over_the_batch():
    kl, grad_mu, grad_logvar = kl_divergence([[2, 1], [0, -1]], [[np.log(4), 0], [0, np.log(4)]])
    assert near(kl, 3 - np.log(2)) and round(kl, 6) == 2.306853
    assert near(grad_mu, [[1, 0.5], [0, -0.5]])
    assert near(grad_logvar, [[0.75, 0], [0, 0.75]])


@pytest.fixture
def vae():
    model = VAE(1, 1, 1, rng=np.random.default_rng(0), dtype=np.float64)
    model.encoder, model.decoder = Sequential(), Sequential()
    model.mu, model.logvar = linear([[1.0]], [-1.0]), linear([[2.0]], [np.log(4) - 4])
    return model


def bias_gradients(vae):
    """dL/dmu and dL/dlogvar: for a batch of one image they are the gradients of the heads' biases."""
    return vae.mu.bias.grad[0], vae.logvar.bias.grad[0]


def test_the_reparameterization_scales_the_noise_by_sigma(vae):
    assert near(vae.reparameterize(np.array([[1]]), np.array([[np.log(4)]]), np.array([[3]])), [[7]])


def test_the_reparameterization_passes_the_gradient_to_mu_and_logvar(vae):
    vae.loss(np.array([[2.0]]), np.array([[3.0]]), sigma2=0.5, beta=0)
    vae.backward()
    assert near(bias_gradients(vae), (10, 30))


def test_the_gradients_by_z_and_by_the_kl_add_up(vae):
    vae.loss(np.array([[2.0]]), np.array([[3.0]]), sigma2=0.5, beta=2)
    vae.backward()
    assert near(bias_gradients(vae), (12, 33))
    assert near(vae.mu.weight.grad, [[24]]) and near(vae.logvar.weight.grad, [[66]])


def test_the_gradients_of_both_heads_add_up_and_x_as_the_target_counts(vae):
    x, noise = np.array([[2.0]]), np.array([[3.0]])
    vae.loss(x, noise, target=x.copy(), sigma2=0.5, beta=2)
    assert near(vae.backward(), [[78]])
    vae.loss(x, noise, sigma2=0.5, beta=2)
    assert near(vae.backward(), [[68]])


def test_adam_divides_by_the_sum_of_the_weights():
    p = Parameter(np.array([1.0]))
    optimizer = Adam([p], lr=0.1, betas=(2 / 3, 3 / 4), eps=0)
    for grad, expected in ((6, 0.9), (1, 0.825)):
        p.grad[...] = grad
        optimizer.step()
        assert near(p.data, [expected])


@pytest.mark.parametrize("derivation", DERIVATIONS, ids=lambda text: text[1 : text.index("]")])
def test_every_quoted_line_stands_in_the_linked_file(derivation):
    link = re.match(r"\[.*?\]\((.*?)\)\n", derivation).group(1)
    there = {line.strip() for line in (PAGE.parent / link).read_text(encoding="utf-8").splitlines()}
    quoted = [line.strip() for block in PROGRAM.findall(derivation) for line in block.splitlines()]
    assert quoted and [line for line in quoted if line not in there] == []


@pytest.fixture
def your_own_layer():
    """The names that the blocks of "Write your own layer and check it" define, run in order."""
    names = {}
    for block in BLOCKS:
        if "# raises GradcheckError" in block:
            with pytest.raises(GradcheckError) as raised:
                exec(block, names)
            names["failure"] = str(raised.value)
        else:
            exec(block, names)
    return names


def test_the_sigmoid_of_the_page_multiplies_the_gradient_by_y_times_1_minus_y(your_own_layer):
    layer = your_own_layer["Sigmoid"]()
    assert near(layer(np.array([0, np.log(3), -np.log(3)])), [1 / 2, 3 / 4, 1 / 4])
    assert near(layer.backward([8, 16, 32]), [2, 3, 6])


@pytest.mark.parametrize("name", re.findall(r"^def (test_\w+)", "".join(BLOCKS), re.M))
def test_the_tests_of_the_page_pass(your_own_layer, name):
    your_own_layer[name]()


def test_the_wrong_backward_of_the_page_fails_with_the_text_of_the_page(your_own_layer):
    assert f"```text\n{your_own_layer['failure']}\n```" in YOUR_OWN_LAYER


def test_the_wrong_backward_of_the_page_is_right_for_an_upstream_gradient_of_ones(your_own_layer):
    wrong, right = your_own_layer["DroppedUpstream"](), your_own_layer["Sigmoid"]()
    x = your_own_layer["x"]
    ones = np.ones(wrong(x).shape)
    right(x)
    assert np.array_equal(wrong.backward(ones), right.backward(ones))
