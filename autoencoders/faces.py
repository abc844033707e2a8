"""The embedded data set: procedural colour faces whose factors are known.

A face is a stack of soft-edged shapes, painted from back to front for many images at once. The head is lit as a
ball would be: a point is the brighter, the more its surface faces the light.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nnlite.arguments import generator, require_numbers

SIZE = 64
MIDDLE = np.s_[:, 18:58, 8:56]  # where eyes, nose and mouth can be
EYE_LEVEL, MOUTH_LEVEL = 0.0, 0.47  # below the centre, in half pictures
CHUNK = 32  # images painted at a time: few enough for the processor's cache

SKIN = np.array([[112, 74, 56], [250, 214, 188]], np.float32) / 255  # darkest, lightest
HAIR = np.array([[26, 19, 16], [226, 188, 116]], np.float32) / 255
LIPS = np.array([0.62, 0.10, 0.14], np.float32)
MOUTH = np.array([0.20, 0.05, 0.06], np.float32)
TEETH = np.array([0.93, 0.91, 0.88], np.float32)
EYE_WHITE = np.array([0.94, 0.94, 0.92], np.float32)
IRIS = np.array([0.25, 0.17, 0.12], np.float32)
BLACK = np.zeros(3, np.float32)

RANGES = {
    "skin": (0, 1),
    "hair": (0, 1),
    "hair_length": (0, 1),
    "smile": (-1, 1),
    "mouth_opening": (0, 1),
    "eye_size": (0, 1),
    "head_turn": (-1, 1),
    "light": (-1, 1),
    "background_red": (0, 1),
    "background_green": (0, 1),
    "background_blue": (0, 1),
    "background_slope": (-1, 1),
    "clothes": (0, 1),
}
FACTORS = """skin, hair and clothes go from dark to light, hair_length from the ears to the shoulders, mouth_opening,
eye_size and the background's three colours from little to much, over a range of one each; over a range of two, smile,
the curvature of the mouth, goes from sad to merry, head_turn and light, the side it falls from, from the picture's left
to its right, background_slope from brighter below to brighter above."""


def make_faces(count, rng, *, eyes=EYE_LEVEL, mouth=MOUTH_LEVEL):
    """Paint `count` faces from the Generator `rng`.

    eyes, mouth: how far below the centre they are painted, in half pictures; 2 is outside of it. Brows go with eyes.
    Returns (images, factors): images (count, 64, 64, 3) uint8; factors a dict of (count,) float arrays, each drawn
    evenly from its range in RANGES. FACTORS says what they are.
    """
    require_numbers("make_faces", 0, whole=True, count=count)
    generator("make_faces", rng)
    factors = {name: rng.uniform(*limits, count) for name, limits in RANGES.items()}
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)

    def paint(start):
        chunk = slice(start, start + CHUNK)
        images[chunk] = _paint({name: values[chunk, None, None] for name, values in factors.items()}, eyes, mouth)

    with ThreadPoolExecutor() as threads:  # NumPy lets others run while it computes
        list(threads.map(paint, range(0, count, CHUNK)))
    return images, factors


def _paint(factors, eyes=EYE_LEVEL, mouth=MOUTH_LEVEL):
    """The images, uint8 (N, 64, 64, 3), of factors (N, 1, 1)."""
    f = {name: values.astype(np.float32) for name, values in factors.items()}
    skin = SKIN[0] + f["skin"][..., None] * (SKIN[1] - SKIN[0])  # (N, 1, 1, 3)
    hair = HAIR[0] + f["hair"][..., None] * (HAIR[1] - HAIR[0])
    clothes = np.stack([0.12 + 0.6 * f["clothes"], 0.18 + 0.5 * f["clothes"], 0.3 + 0.4 * f["clothes"]], axis=-1)

    # Coordinates from the centre, in half pictures, y downward. In a face that turns, features move more than its edge.
    centres = (np.arange(SIZE, dtype=np.float32) + 0.5) / (SIZE / 2) - 1  # of pixels, in [-1, 1]
    y, x = np.meshgrid(centres, centres, indexing="ij")  # (64, 64) each
    y, x = y[None], x[None]  # (1, 64, 64)
    background = np.stack([0.15 + 0.7 * f[f"background_{name}"] for name in ("red", "green", "blue")], axis=-1)
    picture = background - (0.12 * f["background_slope"] * y)[..., None]  # (N, 64, 64, 3)
    turn = 0.11 * f["head_turn"]
    side = 0.6 * f["light"]
    light = side, -0.35, np.sqrt(1 - side**2 - 0.35**2)  # the unit vector to it: right, down, towards the viewer
    head = _brightness(light, (x - turn / 4) / 0.56, (y - 0.02) / 0.8)  # (N, 64, 64, 1)
    shoulders = _brightness(light, x / 0.9, (y - 1.1) / 0.6)

    # Behind the face: hair that falls to its length, neck, clothes.
    length = 0.4 + 0.45 * f["hair_length"]
    _lay(picture, _ellipse(x, y, 0, length - 0.5, 0.62, length + 0.28), hair * head * 0.8)
    _lay(picture, _ellipse(x, y, 0, 0.7, 0.2, 0.4), skin * head * 0.75)
    _lay(picture, _ellipse(x, y, 0, 1.15, 0.85, 0.4), clothes * shoulders)

    # The face, its shadows, and the hair over the forehead.
    _lay(picture, _ellipse(x, y, turn / 4, 0.08, 0.49, 0.64), skin * head)
    hairline = -0.3 - 0.5 * (x - turn) ** 2 + 0.25 * np.abs(x)
    above = np.clip(0.5 + (hairline - y) * (SIZE / 4), 0, 1)  # over a ramp of two pixels
    _lay(picture, _ellipse(x, y, 0, -0.2, 0.6, 0.58) * above, hair * head)

    # All that follows lies in the middle of the picture: a view of that alone halves the work.
    middle, x, y, head = picture[MIDDLE], x[MIDDLE], y[MIDDLE], head[MIDDLE]
    down = y - eyes  # from the height of the eyes
    for sign in (-1, 1):
        eye = turn + 0.2 * sign
        open_ = 0.05 + 0.075 * f["eye_size"]
        _lay(middle, 0.35 * _ellipse(x, down, eye, -0.02, 0.15, 0.1 + open_, 3), skin * head * 0.6)
        white = _ellipse(x, down, eye, 0, 0.115, open_)
        _lay(middle, white, EYE_WHITE * head)
        _lay(middle, white * _ellipse(x, down, eye + 0.3 * turn, 0, 0.062, 0.085), IRIS * head)
        _lay(middle, white * _ellipse(x, down, eye + 0.3 * turn, 0, 0.03, 0.04), BLACK)
        lid = _band(down, -open_ + 4 * (x - eye) ** 2, 0.022) * _band(x, eye, 0.13)
        _lay(middle, 0.8 * lid, skin * head * 0.3)
        brow = _band(down, -0.17 - 0.03 * f["eye_size"] + 1.6 * (x - eye) ** 2, 0.026) * _band(x, eye, 0.15)
        _lay(middle, 0.85 * brow, hair * head * 0.6)

        _lay(middle, 0.25 * _ellipse(x, y, turn + 0.27 * sign, 0.28, 0.13, 0.11, 4), (skin + 0.3 * LIPS) * head)

    # The nose: a ridge that is bright on the side of the light and casts its shadow to the other.
    nose = turn * 1.35
    _lay(middle, 0.5 * _ellipse(x, y, nose - 0.07 * f["light"], 0.13, 0.05, 0.2, 3), skin * head * 0.62)
    _lay(middle, 0.35 * _ellipse(x, y, nose + 0.03 * f["light"], 0.12, 0.035, 0.18, 3), np.minimum(skin * 1.25, 1))
    _lay(middle, 0.7 * _ellipse(x, y, nose, 0.28, 0.085, 0.035, 2), skin * head * 0.55)

    # The mouth: a curve y(x) whose ends rise with the smile, opened to teeth and dark, lips above and below.
    across = (x - turn) / 0.27
    curve = mouth + 0.11 * f["smile"] * (1 - 2 * across**2)
    gap = 0.005 + 0.1 * f["mouth_opening"] * np.maximum(1 - across**2, 0)
    ends = _band(x, turn, 0.27 + 0.03 * f["smile"])
    taper = np.sqrt(np.maximum(1.05 - across**2, 0))
    _lay(middle, ends * _band(y, curve, gap + 0.06 * taper), LIPS * head)
    _lay(middle, ends * _band(y, curve, gap), MOUTH)
    _lay(middle, ends * _band(y, curve - 0.6 * gap, 0.35 * gap), TEETH * head)
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _lay(picture, coverage, colour):
    """Lay a colour over the picture, in place, as far as it covers each pixel."""
    picture += coverage[..., None] * (colour - picture)


def _brightness(light, u, v):
    """That of a ball at (u, v) from its centre, in radii: its surface there faces (u, v, depth)."""
    depth = np.sqrt(np.maximum(1 - u**2 - v**2, 0))
    facing = u * light[0] + v * light[1] + depth * light[2]  # the cosine of the angle between surface and light
    return (0.55 + 0.6 * np.maximum(facing, 0))[..., None]


def _ellipse(x, y, centre_x, centre_y, radius_x, radius_y, softness=1):
    """How much of each pixel the ellipse covers, 0 to 1: its edge is a ramp about `softness` pixels wide."""
    distance = np.sqrt(((x - centre_x) / radius_x) ** 2 + ((y - centre_y) / radius_y) ** 2)
    edge = SIZE / 2 / softness * np.minimum(radius_x, radius_y)  # ramp widths for a change of 1 in `distance`
    return np.clip(0.5 + (1 - distance) * edge, 0, 1)


def _band(y, centre, half_width):
    """How much of each pixel lies within `half_width` of `centre`: 0 to 1."""
    return np.clip(0.5 + (half_width - np.abs(y - centre)) * (SIZE / 2), 0, 1)
