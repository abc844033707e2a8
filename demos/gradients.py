"""Gradients: checks every backward by both methods and prints the table. Run it after changing one.

Alone, it uses no images: of the options only --seed matters.
"""

import numpy as np

from autoencoders import VAE, FCNAutoencoder
from demos import settings
from nnlite import GradcheckError, Layer, Linear, ReLU, Sequential, Tanh, gradcheck, kl_divergence, mse_loss


def main(argv=None):
    run(settings.parse("python -m demos.gradients", __doc__, argv))


def run(options, training_set=None, validation_set=None):
    rng = np.random.default_rng(options.seed)
    print(
        f"checks    seed {options.seed}; complex step in NumPy, central differences on the {options.backend} backend\n"
    )
    print("relative error of every gradient in float64, by complex step (wanted: 1e-12) and central differences (1e-7)")
    print(f"\n{'':16}  {'gradient of':20}  complex  central")
    failures = []
    for name, layer, x in _subjects(rng):
        try:
            reports = [gradcheck(layer, x, method=method, rng=rng) for method in ("complex", "central")]
        except GradcheckError as error:
            print(f"{name:16}  WRONG")
            failures.append(f"\n{name}: {error}")
            continue
        for by_complex, by_central in zip(*(report.rows for report in reports)):
            print(f"{name:16}  {by_complex.name:20}  {by_complex.relative_error:.1e}  {by_central.relative_error:.1e}")
            name = ""
    print("\n".join(failures) or "\nevery gradient is right", flush=True)
    if failures:
        raise SystemExit(1)


class VAELoss(Layer):
    """The total of VAE.loss as a layer, with everything but x held fast."""

    def __init__(self, vae, noise, **settings):
        self.vae, self.noise, self.settings = vae, noise, settings

    def forward(self, x):
        return np.asarray(self.vae.loss(x, self.noise, **self.settings)[0])

    def backward(self, grad_output, input_grad=True):
        return self.vae.backward(grad_output, input_grad)


def _subjects(rng):
    """(name, layer or loss, input): small ones, for every entry of every array is checked."""
    f64 = {"rng": rng, "dtype": np.float64}
    x, target = rng.standard_normal((2, 4, 6))  # (N, I) each

    def kl_by_mu(mu):
        kl, grad_mu, _ = kl_divergence(mu, target)
        return kl, grad_mu

    def kl_by_logvar(logvar):
        kl, _, grad_logvar = kl_divergence(target, logvar)
        return kl, grad_logvar

    return [
        ("Linear", Linear(6, 5, **f64), x),
        ("ReLU", ReLU(), x),
        ("Tanh", Tanh(), x),
        ("Sequential", Sequential(Linear(6, 5, **f64), Tanh(), Linear(5, 3, **f64)), x),
        ("mse_loss", lambda prediction: mse_loss(prediction, target), x),
        ("KL, by mu", kl_by_mu, x),
        ("KL, by logvar", kl_by_logvar, x),
        ("FCNAutoencoder", FCNAutoencoder(6, 8, 3, **f64), x),
        ("VAE.loss", VAELoss(VAE(6, 8, 3, **f64), rng.standard_normal((4, 3)), sigma2=0.07, beta=0.5), x),
    ]


if __name__ == "__main__":
    main()
