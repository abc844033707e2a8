"""What can be seen in a picture, measured, and what an edit of its code changed, in numbers and in a sentence.

Letters for shapes: N pictures, D = 12288 values in [-1, 1]. A measurement is one number a picture; colours are measured
in grey levels, 0 to 255.
"""

import numpy as np

# Where things are in a face that is centred, as those of the embedded faces and of aligned photographs are.
BACKGROUND = np.zeros((64, 64), bool)
BACKGROUND[:40, :8] = BACKGROUND[:40, -8:] = True
FACE = np.s_[..., 26:52, 18:46]  # eyes, nose and mouth
NOSE = np.s_[..., 33:42, 26:38]
CHEEKS = np.s_[..., 36:43, [20, 21, 22, 23, 24, 25, 38, 39, 40, 41, 42, 43]]

QUANTITIES = {
    "brightness": "the mean luma: red, green and blue, weighted by how bright they look",
    "redness": "mean red above the mean of green and blue",
    "greenness": "mean green above the mean of red and blue",
    "blueness": "mean blue above the mean of red and green",
    "face redness": "the redness of the part with eyes, nose and mouth",
    "saturation": "a pixel's largest channel above its smallest, on the mean",
    "background contrast": "the standard deviation of luma in the background, to the left and right of the hair",
    "background detail": "the mean slope of luma there, in grey levels a pixel",
    "background to face": "the length of the difference between the mean colours of background and face",
    "sharpness": "the mean slope of luma in the part with eyes, nose and mouth, in grey levels a pixel",
    "nose sharpness": "the mean slope of luma in the nose, in grey levels a pixel",
    "skin distance": "the length of the difference between the mean colours of the cheeks here and in the original",
    "distance": "no change of a quantity, but the root mean square difference of the two pictures",
}

# For each quantity: how a sentence says that it rose, that it fell, and from which change on it says so at all.
PHRASES = {
    "brightness": ("brighter", "darker", 4.0),
    "redness": ("redder on the whole", "less red on the whole", 4.0),
    "face redness": ("a redder face", "a less red face", 4.0),
    "greenness": ("greener on the whole", "less green on the whole", 4.0),
    "blueness": ("bluer on the whole", "less blue on the whole", 4.0),
    "saturation": ("more saturated", "paler", 4.0),
    "background contrast": ("more contrast within the background", "less contrast within the background", 4.0),
    "background to face": ("face and background farther apart", "face and background closer together", 4.0),
    "sharpness": ("sharper eyes, nose and mouth", "blurrier eyes, nose and mouth", 1.0),
    "nose sharpness": ("a sharper nose", "a blurrier nose", 1.0),
    "skin distance": ("skin farther from the original's colour", "skin closer to the original's colour", 4.0),
    "skin": ("lighter skin", "darker skin", 0.2),
    "hair": ("lighter hair", "darker hair", 0.2),
    "hair_length": ("longer hair", "shorter hair", 0.2),
    "smile": ("more of a smile", "a sterner mouth", 0.2),
    "mouth_opening": ("a wider open mouth", "a more closed mouth", 0.2),
    "eye_size": ("larger eyes", "smaller eyes", 0.2),
    "head_turn": ("head turned to the right", "head turned to the left", 0.2),
    "clothes": ("lighter clothes", "darker clothes", 0.2),
    "light": ("light more from the right", "light more from the left", 0.2),
}


def measure(pictures, originals, probe=None):
    """What can be seen in each picture: {quantity: (N,)}.

    pictures, originals: (N, D); the originals are needed for the distance of the skin's colour alone. Contrast and
    slope are those of each pixel's mean with its neighbours, where the noise that a decoder leaves counts for little.
    probe: a FactorProbe, whose factors are added. QUANTITIES says what each of the others is.
    """
    levels = (pictures.reshape(-1, 3, 64, 64) + 1) * 127.5  # (N, 3, 64, 64)
    red, green, blue = levels.mean(axis=(2, 3)).T  # (N,) each
    luma = np.einsum("nchw,c->nhw", levels, [0.299, 0.587, 0.114])  # (N, 64, 64), that of ITU-R BT.601
    padded = np.pad(luma, ((0, 0), (1, 1), (1, 1)), mode="edge")  # (N, 66, 66)
    smooth = sum(padded[:, y : y + 64, x : x + 64] for y in range(3) for x in range(3)) / 9  # (N, 64, 64)
    slope = np.hypot(*np.gradient(smooth, axis=(1, 2)))  # (N, 64, 64)
    background, face = levels[:, :, BACKGROUND].mean(axis=2), levels[FACE].mean(axis=(2, 3))  # (N, 3) each
    original_levels = (originals.reshape(-1, 3, 64, 64) + 1) * 127.5
    skin, original_skin = (array[CHEEKS].mean(axis=(2, 3)) for array in (levels, original_levels))  # (N, 3)
    measured = {
        "brightness": luma.mean(axis=(1, 2)),
        "redness": red - (green + blue) / 2,
        "greenness": green - (red + blue) / 2,
        "blueness": blue - (red + green) / 2,
        "face redness": face[:, 0] - (face[:, 1] + face[:, 2]) / 2,
        "saturation": np.ptp(levels, axis=1).mean(axis=(1, 2)),
        "background contrast": smooth[:, BACKGROUND].std(axis=1),
        "background detail": slope[:, BACKGROUND].mean(axis=1),
        "background to face": np.linalg.norm(background - face, axis=1),
        "sharpness": slope[FACE].mean(axis=(1, 2)),
        "nose sharpness": slope[NOSE].mean(axis=(1, 2)),
        "skin distance": np.linalg.norm(skin - original_skin, axis=1),
    }
    return measured if probe is None else measured | probe.read(pictures)


def changes(edited, plain, originals, probe=None):
    """What an edit changed: measure(edited) - measure(plain), and "distance", the root mean square in grey levels.

    edited: pictures of edited codes, plain: of the codes as they are, originals: (N, D) each. Returns {name: (N,)}.
    """
    after, before = measure(edited, originals, probe), measure(plain, originals, probe)
    distance = 127.5 * np.sqrt(np.mean((edited - plain) ** 2, axis=1))
    return {name: after[name] - before[name] for name in after} | {"distance": distance}


def sentence(edit, changed):
    """One English sentence on an edit: `edit`, its name; `changed`, {quantity: change}, numbers."""
    said = []
    for name, (risen, fallen, smallest) in PHRASES.items():
        change = changed.get(name, 0.0)
        if abs(change) >= smallest:
            said.append(f"{risen if change > 0 else fallen} ({change:+.{1 if smallest >= 1 else 2}f})")
    return f"{edit}: {', '.join(said)}." if said else f"{edit}: no change worth a word."


def scaled_differences(pictures, reference):
    """(differences (N, D), largest (N,)) of pictures (N, D) to one (D,), each divided by its largest absolute value.

    A picture that does not differ has 0 as its largest, and a difference of zeros.
    """
    differences = pictures - reference  # (N, D)
    largest = np.abs(differences).max(axis=1)  # (N,)
    return differences / np.where(largest == 0, 1, largest)[:, None], largest
