import numpy as np
import pytest

from autoencoders.pca import PCA


@pytest.mark.parametrize("N, D, Z", [(60, 40, 5), (30, 200, 24), (10, 50, 9)])
def test_it_leaves_hardly_more_than_the_best_plane(rng, N, D, Z):
    x = rng.standard_normal((N, D)) * np.geomspace(1, 0.01, D) + 3
    singular = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    assert np.sum((PCA(x, Z)(x) - x) ** 2) <= 1.0001 * np.sum(singular[Z:] ** 2) + 1e-12


def test_the_elements_of_its_code_are_the_principal_components(rng):
    x = rng.standard_normal((500, 3)) @ np.diag([3, 2, 1]) @ np.linalg.qr(rng.standard_normal((3, 3)))[0]
    covariance = np.cov(PCA(x, 3).encoder(x).T)
    assert np.allclose(covariance, np.diag(np.linalg.eigvalsh(np.cov(x.T))[::-1]), atol=1e-10)


def test_it_decodes_the_codes_of_a_plane_to_what_they_are_of(rng):
    x = (rng.standard_normal((50, 2)) @ rng.standard_normal((2, 20)) + 1).astype(np.float32)
    pca = PCA(x, 2)
    assert pca.encoder(x).shape == (50, 2) and pca(x).dtype == np.float32
    assert np.allclose(pca.decoder(pca.encoder(x)), x, atol=1e-5)


def test_of_few_distinct_images_it_is_no_worse_than_their_mean(rng):
    few, others = rng.uniform(-1, 1, (2, 3, 300)).astype(np.float32)
    for fitted, components in ((few.repeat(20, axis=0), 24), (few[:1], 0)):
        error = np.mean((PCA(fitted, components)(others) - others) ** 2)
        assert error <= np.mean((fitted.mean(axis=0) - others) ** 2) * (1 + 1e-6)


def test_more_components_than_images_can_have_are_refused(rng):
    with pytest.raises(ValueError, match="PCA: found 5 images, wanted more than the 5 components"):
        PCA(rng.standard_normal((5, 30)), 5)
