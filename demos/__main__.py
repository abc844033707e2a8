"""Runs every demo: reconstruction, latent_scaling, vae_vs_vanilla, denoising, posterior_collapse, gradients, report."""

from demos import (
    denoising,
    gradients,
    latent_scaling,
    posterior_collapse,
    reconstruction,
    report,
    settings,
    vae_vs_vanilla,
)

DEMOS = (reconstruction, latent_scaling, vae_vs_vanilla, denoising, posterior_collapse, gradients, report)

if __name__ == "__main__":
    settings.start("python -m demos", __doc__, None, *(demo.run for demo in DEMOS))
