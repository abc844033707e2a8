"""Images that do not belong, made from images that do: a fault is a function, images and rng -> faulty images.

Images are uint8 (N, 64, 64, 3); those that are given stay as they are.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from autoencoders.faces import EYE_LEVEL, MOUTH_LEVEL, SIZE, make_faces

SHAPES = 5  # in a picture of smooth shapes
BLUR = 3  # pixels
OUTSIDE = 2.0  # half pictures below the centre


def upside_down(images, rng):
    return images[:, ::-1].copy()


def another_texture(images, rng):
    """Ripples over an oval in the middle: a wave of 3 to 8 pixels in any direction."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2  # (64, 64) each, from the centre
    angle, length = rng.uniform(0, np.pi, (len(images), 1, 1)), rng.uniform(3, 8, (len(images), 1, 1))
    wave = np.sin(2 * np.pi / length * (x * np.cos(angle) + y * np.sin(angle)))  # (N, 64, 64)
    return _added(images, (20 * wave * (np.hypot(x / 16, y / 21) < 1))[..., None])


def noise(images, rng):
    """Normal noise with a standard deviation of 16 grey levels."""
    return _added(images, rng.normal(0, 16, images.shape))


def stripe(images, rng):
    """A stripe of any colour, 3 pixels wide, from the top to the bottom."""
    striped = images.copy()
    for image, left in zip(striped, rng.integers(0, SIZE - 3, len(images))):
        image[:, left : left + 3] = rng.integers(0, 256, 3)
    return striped


def smooth_shapes(images, rng):
    """Blurred ellipses in place of the image, of colours that are in it, faded by any share."""
    pictures = []
    for image in images:
        colours = rng.permutation(image.reshape(-1, 3))[: SHAPES + 1].tolist()
        picture = Image.new("RGB", (SIZE, SIZE), tuple(colours[0]))
        for colour in colours[1:]:
            (left, top), (width, height) = rng.uniform(-8, 48, 2), rng.uniform(16, 48, 2)
            ImageDraw.Draw(picture).ellipse((left, top, left + width, top + height), tuple(colour))
        blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(BLUR)), np.float64)  # (64, 64, 3)
        mean = blurred.mean(axis=(0, 1))  # (3,)
        pictures.append(mean + rng.uniform() * (blurred - mean))
    return np.rint(pictures).astype(np.uint8)


def _added(images, change):
    return np.clip(np.rint(images + change), 0, 255).astype(np.uint8)


FAULTS = {
    "upside down": upside_down,
    "another texture": another_texture,
    "noise": noise,
    "stripe": stripe,
    "smooth shapes": smooth_shapes,
}
FAULTS_OF_FACES = {
    "no eyes": lambda count, rng: make_faces(count, rng, eyes=OUTSIDE)[0],
    "mouth and eyes exchanged": lambda count, rng: make_faces(count, rng, eyes=MOUTH_LEVEL, mouth=EYE_LEVEL)[0],
}
