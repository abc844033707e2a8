"""Autoencoders of 64x64 colour images, built on nnlite."""

from autoencoders.anomaly import Detector, VAEDetector, auc, auc_error, roc_curve
from autoencoders.checkpoint import Checkpoint, CheckpointError, Interrupted
from autoencoders.edits import scale_code
from autoencoders.faces import make_faces
from autoencoders.fcn import FCNAutoencoder
from autoencoders.images import ImageSet, load_images
from autoencoders.noise import gaussian_noise, masking_noise
from autoencoders.training import History, train
from autoencoders.vae import VAE, code_use

__all__ = [
    "VAE",
    "Checkpoint",
    "CheckpointError",
    "Detector",
    "FCNAutoencoder",
    "History",
    "ImageSet",
    "Interrupted",
    "VAEDetector",
    "auc",
    "auc_error",
    "code_use",
    "gaussian_noise",
    "load_images",
    "make_faces",
    "masking_noise",
    "roc_curve",
    "scale_code",
    "train",
]
