"""The embedded data set: procedural colour faces whose factors are known.

A face is a stack of antialiased ellipses, painted from back to front for all images at once.
"""

import numpy as np

SIZE = 64
CHUNK = 256  # images painted at a time, which bounds the memory to about 40 MB

SKIN = np.array([[92, 58, 44], [246, 212, 188]]) / 255  # darkest, lightest
HAIR = np.array([[30, 22, 18], [214, 176, 104]]) / 255
LIPS = np.array([0.66, 0.28, 0.28])
EYE_WHITE = np.array([0.95, 0.95, 0.93])
IRIS = np.array([0.16, 0.12, 0.12])


def make_faces(count, rng):
    """Paint `count` faces from the Generator `rng`.

    Returns (images, factors): images (count, 64, 64, 3) uint8; factors a dict of (count,) float arrays, each
    drawn evenly from its range: skin and hair (0 dark to 1 light), smile (-1 sad to 1 merry), mouth_opening
    and eye_size (0 to 1), head_turn (-1 left to 1 right), background_red, _green and _blue (0 to 1).
    """
    factors = {
        "skin": rng.uniform(0, 1, count),
        "hair": rng.uniform(0, 1, count),
        "smile": rng.uniform(-1, 1, count),
        "mouth_opening": rng.uniform(0, 1, count),
        "eye_size": rng.uniform(0, 1, count),
        "head_turn": rng.uniform(-1, 1, count),
        "background_red": rng.uniform(0, 1, count),
        "background_green": rng.uniform(0, 1, count),
        "background_blue": rng.uniform(0, 1, count),
    }
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    for start in range(0, count, CHUNK):
        chunk = slice(start, start + CHUNK)
        images[chunk] = _paint(**{name: values[chunk, None, None] for name, values in factors.items()})
    return images, factors


def _paint(
    skin,
    hair,
    smile,
    mouth_opening,
    eye_size,
    head_turn,
    background_red,
    background_green,
    background_blue,
):
    """The images, uint8 (N, 64, 64, 3), of factors (N, 1, 1)."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / (SIZE / 2) - 1  # pixel centres in [-1, 1]; (64, 64) each
    skin_colour = SKIN[0] + skin[..., None] * (SKIN[1] - SKIN[0])  # (N, 1, 1, 3)
    hair_colour = HAIR[0] + hair[..., None] * (HAIR[1] - HAIR[0])
    background = np.stack([background_red, background_green, background_blue], axis=-1)
    shift = 0.14 * head_turn  # the features of a face that turns move farther than its outline

    picture = np.broadcast_to(background, (len(skin), SIZE, SIZE, 3)).copy()

    def paint(coverage, colour):
        picture[...] += coverage[..., None] * (colour - picture)

    paint(_ellipse(x, y, 0, -0.12, 0.66, 0.74), hair_colour)
    shade = 1 - 0.25 * np.clip((x**2 + y**2) / 0.7, 0, 1)
    paint(_ellipse(x, y, shift / 3, 0.1, 0.52, 0.68), skin_colour * shade[..., None])
    for side in (-1, 1):
        eye = shift + 0.22 * side
        paint(_ellipse(x, y, eye, -0.02, 0.12, 0.045 + 0.05 * eye_size), EYE_WHITE)
        paint(_ellipse(x, y, eye + 0.2 * shift, -0.02, 0.05, 0.045 + 0.04 * eye_size), IRIS)
        paint(_ellipse(x, y, eye, -0.2, 0.14, 0.03), hair_colour * 0.7)
    paint(_ellipse(x, y, 1.3 * shift, 0.2, 0.06, 0.12), skin_colour * 0.8)
    curve = 0.46 + 0.12 * smile * (1 - ((x - shift) / 0.24) ** 2)
    paint(_ellipse(x, y, shift, curve, 0.24, 0.04 + 0.06 * mouth_opening), LIPS)
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _ellipse(x, y, centre_x, centre_y, radius_x, radius_y):
    """How much of each pixel the ellipse covers, 0 to 1: its edge is a ramp about one pixel wide."""
    distance = np.sqrt(((x - centre_x) / radius_x) ** 2 + ((y - centre_y) / radius_y) ** 2)
    edge = SIZE / 2 * np.minimum(radius_x, radius_y)  # pixels for a change of 1 in `distance`
    return np.clip(0.5 + (1 - distance) * edge, 0, 1)
