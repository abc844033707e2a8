import numpy as np
import pytest

from autoencoders import scale_code
from autoencoders.edits import scan_elements


def test_one_element_of_every_row_is_scaled():
    assert np.array_equal(scale_code(np.ones((2, 3)), 5, element=1), [[1, 5, 1], [1, 5, 1]])


def test_the_whole_code_is_scaled():
    assert np.array_equal(scale_code(np.array([[1.0, 2.0]]), 5), [[5, 10]])


@pytest.mark.parametrize("element", [None, 0])
def test_the_code_itself_is_left_as_it_is(element):
    code = np.ones((1, 3))
    scale_code(code, 5, element)[...] = 9
    assert np.array_equal(code, np.ones((1, 3)))


@pytest.mark.parametrize("element", [-1, 3])
def test_an_element_that_does_not_exist_is_named(element):
    with pytest.raises(ValueError, match=f"element is {element}, wanted 0 to 2"):
        scale_code(np.ones((1, 3)), 5, element)


def test_a_scan_decodes_every_element_times_every_scale_and_measures_the_change():
    def decoder(codes):  # two pixels: the first element, and nothing
        return codes * [1, 0]

    pictures, changes = scan_elements(decoder, np.array([[2.0, 3.0]]), scales=[1, 3])
    assert np.array_equal(pictures, [[[2, 0], [6, 0]], [[2, 0], [2, 0]]])
    assert np.allclose(changes, [np.sqrt((6 - 2) ** 2 / 4), 0])
