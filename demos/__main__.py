"""Runs every demo: reconstruction, latent_scaling, vae_vs_vanilla, denoising, posterior_collapse, gradients, report."""

from demos import gradients, report, settings

DEMOS = (*report.DEMOS, gradients, report)

if __name__ == "__main__":
    settings.start("python -m demos", __doc__, None, *(demo.run for demo in DEMOS), hidden=())
