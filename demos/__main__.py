"""Runs every demo: python -m demos"""

from demos import gradients, latent_scaling, reconstruction, settings

if __name__ == "__main__":
    options = settings.parse("python -m demos", "Runs every demo: reconstruction, latent_scaling, gradients.", None)
    images = settings.open_images(options)
    reconstruction.run(options, *images)
    latent_scaling.run(options, *images)
    gradients.run(options)
