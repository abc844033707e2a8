"""Runs every demo: reconstruction, latent_scaling, gradients."""

from demos import gradients, latent_scaling, reconstruction, settings

if __name__ == "__main__":
    settings.start("python -m demos", __doc__, None, reconstruction.run, latent_scaling.run, gradients.run)
