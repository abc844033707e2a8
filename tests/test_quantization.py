import numpy as np
import pytest

from autoencoders.quantization import quantize


@pytest.fixture
def weight(rng):
    return rng.standard_normal((40, 30)).astype(np.float32)


@pytest.fixture
def inputs(rng):
    """They vary in a few directions, as the hidden values of codes do."""
    return np.maximum(rng.standard_normal((500, 4)) @ rng.standard_normal((4, 30)), 0).astype(np.float32)


def test_the_largest_weight_of_a_row_is_127_of_its_scale(weight, inputs):
    q, scale = quantize(weight, inputs)
    assert q.dtype == np.int8 and q.shape == weight.shape and np.abs(q).max() == 127
    assert np.allclose(scale, np.abs(weight).max(axis=1) / 127, rtol=1e-6)


def test_products_with_the_inputs_change_less_than_by_rounding_each_weight_alone(weight, inputs):
    q, scale = quantize(weight, inputs)
    alone = np.rint(weight / scale[:, None])
    changed, changed_alone = (inputs @ (scale[:, None] * each - weight).T for each in (q, alone))
    assert np.std(changed) < 0.5 * np.std(changed_alone)


def test_for_inputs_that_have_nothing_in_common_each_weight_is_rounded_alone(weight):
    q, scale = quantize(weight, np.eye(30, dtype=np.float32))
    assert np.array_equal(q, np.rint(weight / scale[:, None]))


def test_weights_that_are_8_bit_numbers_stay_what_they_are(rng, inputs):
    q = rng.integers(-127, 128, (40, 30))
    q[:, 0] = 127
    found, scale = quantize((0.5 * q).astype(np.float32), inputs)
    assert np.array_equal(found, q) and np.allclose(scale, 0.5)


def test_rows_and_inputs_of_zeros_are_no_obstacle(weight, inputs):
    weight[3], inputs[:, 5] = 0, 0
    q, scale = quantize(weight, inputs)
    assert np.array_equal(q[3], np.zeros(30)) and np.isfinite(scale).all()
