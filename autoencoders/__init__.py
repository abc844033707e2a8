"""Autoencoders of 64x64 colour images, built on nnlite."""

from autoencoders.faces import make_faces
from autoencoders.fcn import FCNAutoencoder
from autoencoders.images import ImageSet, load_images
from autoencoders.latent import scale_code
from autoencoders.training import History, train

__all__ = ["FCNAutoencoder", "History", "ImageSet", "load_images", "make_faces", "scale_code", "train"]
