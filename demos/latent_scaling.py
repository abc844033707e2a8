"""Latent scaling: one image's code x with an element, or the whole code, multiplied and divided by 5; what that
changes, measured; and what the source document says of it, judged over many faces."""

import numpy as np

from autoencoders import make_faces, scale_code
from autoencoders.claims import conclusion, judge_claims
from autoencoders.edits import scan_elements
from autoencoders.faces import FACTORS
from autoencoders.figures import latent_scaling_figure, latent_sheet_figure
from autoencoders.images import to_features, to_pixels
from autoencoders.measurements import QUANTITIES, changes, scaled_differences, sentence
from autoencoders.probe import FactorProbe
from demos import settings
from demos.output import Heading, Picture, Table, Tiles, save_figure, save_results, save_sheet
from demos.trained import trained

SCALES = {"/5": 1 / 5, "/2": 1 / 2, "1": 1, "x2": 2, "x5": 5}
PROBE_FACES = 2500
JUDGED = 300
ENOUGH = 200
PROBE = """A linear probe reads the known factors of a face from its pixels. Below, its r² on faces that it was not
fitted on, and on their reconstructions. A factor with less than a half in either column cannot be read, and is in no
sentence or claim. The probe knows whole faces: the stranger an edited picture looks, the less its reading means."""
READING = """The mean is that of a score in the units above, positive where the claim is true; of "under a quarter", a
quarter of what the reconstruction has, less what the edit has. It is too small to say within two standard errors, and
below what a sentence would mention: four grey levels, one in sharpness, a fifth on a factor's scale. The elements of
a code have no fixed meaning, another seed gives others: the last column names the element for which the claim holds
most."""
SUPPOSED = """They measure fixed places, where a centred face has its eyes, nose, mouth and cheeks: of other pictures
they say what changed there."""


def main(argv=None):
    settings.start("python -m demos.latent_scaling", __doc__, argv, run, hidden=settings.OF_ANOMALY)


def run(options, training_set, validation_set):
    model, _ = trained("fcn", options, training_set, validation_set)
    original = to_features(validation_set[:1])  # (1, D)
    code = model.encoder(original)  # (1, Z)
    scan, moved = scan_elements(model.decoder, code, list(SCALES.values()))  # (Z, S, D), (Z,)
    second = 1 + int(np.argmax(moved[1:])) if options.element is None else options.element

    probe = None
    if options.data is None and options.validation is None:  # faces whose factors are known; other ones, to fit it
        images, factors = make_faces(PROBE_FACES, np.random.default_rng((options.seed, 1)))
        probe = FactorProbe(to_features(images), factors, model)

    plain = model.decoder(code)  # (1, D)
    length = float(np.linalg.norm(code))
    titles = ["original", f"reconstruction\nlength of x[0]: {length:.2f}"]
    pictures, codes = {"original": original, "reconstruction": plain}, {"original": [], "reconstruction": [length]}
    edits = {}
    for element in (0, second, None):
        for sign, factor in (("*", 5), ("/", 1 / 5)):
            edited = scale_code(code, factor, element)
            edit = f"x[0]{sign}5" if element is None else f"x[0][{element}]{sign}5"
            before, after = (float(np.linalg.norm(c) if element is None else c[0, element]) for c in (code, edited))
            titles.append(f"{edit}\n{'length: ' if element is None else ''}{before:.2f} → {after:.2f}")
            pictures[edit], codes[edit] = model.decoder(edited), [before, after]
            changed = {name: float(each[0]) for name, each in changes(pictures[edit], plain, original, probe).items()}
            edits[edit] = {"sentence": sentence(edit, changed), "changes": changed}
    shown = np.concatenate(list(pictures.values()))  # (P, D)
    differences, largest = scaled_differences(shown, plain[0])  # (P, D), (P,)
    sheet = [to_pixels(shown), to_pixels(differences)]
    save_figure(options, "latent_scaling.png", latent_scaling_figure(titles, *sheet, largest))
    save_sheet(options, "latent_pictures.png", sheet)
    save_figure(options, "latent_sheet.png", latent_sheet_figure(scan, list(SCALES), code[0], moved))

    originals = to_features(validation_set[:JUDGED])  # (N, D)
    claims = judge_claims(model, originals, probe)
    results = {
        "pictures": [{"name": n, "code": codes[n], "largest difference": float(d)} for n, d in zip(pictures, largest)],
        "edits": edits,
        "probe_r2": {} if probe is None else {name: [probe.r2[name], probe.decoded_r2[name]] for name in probe.r2},
        "faces": len(originals),
        "claims": claims,
        "conclusion": conclusion(claims),
    }
    save_results(options, "latent_scaling", "Parts of a code, scaled", results, parts(results))


def parts(results):
    edits, read, claims = results["edits"], results["probe_r2"], results["claims"]
    measured = next(iter(edits.values()))["changes"]
    known = [name for name in measured if name in read]
    said = [
        "x[0] is what the source document calls a code, here that of the first validation image, x[0][k] its element k;"
        " each is multiplied or divided by five. Each picture is compared with the plain reconstruction: of the"
        " difference, grey is no change, a channel is lighter where the picture has more of it (yellow is more red and"
        " green), and the largest difference, of pixels in [-1, 1], is white or black. Colours are measured in grey"
        f" levels, 0 to 255{', known factors on their own scale' if read else ''}.",
        Picture("latent_scaling.png", "An image, its reconstruction, and six edits of its code", in_report=False),
        Tiles(
            "latent_pictures.png",
            ["The picture", "Its difference to the reconstruction"],
            {picture["name"]: _caption(picture, edits) for picture in results["pictures"]},
        ),
        _changes("change, grey levels", edits, [name for name in measured if name not in known]),
        [f"{name}: {meaning}" for name, meaning in QUANTITIES.items()],
    ]
    if not read:
        said.append(SUPPOSED)
    if known:
        said.append(_changes("change, known factor", edits, known))
    if read:
        rows = [[name, f"{plain:.2f}", f"{decoded:.2f}"] for name, (plain, decoded) in read.items()]
        said += [FACTORS, PROBE, Table(["factor", "r², plain", "r², reconstructed"], rows)]
    said += [
        Picture("latent_sheet.png", "Each element of the code, scaled; what moves most comes first", in_report=False),
        Heading("What the source document says of such edits"),
        "The claims of the source document, a student's report on such an autoencoder, over"
        f" {results['faces']} validation images, each against its own reconstruction:",
        Table(["verdict", "claim", "edit", "mean ± std. error", "true for", "most for"], list(map(_verdict, claims))),
        results["conclusion"],
        READING,
    ]
    if results["faces"] < ENOUGH:
        said.append("With so few images, take the verdicts as a first look.")
    if any("mean" not in row for row in claims):
        said.append("Not measured is a smile that cannot be read from these pictures.")
    return said


def _caption(picture, edits):
    """What is said of a picture beside its name."""
    name, code, largest = picture["name"], picture["code"], picture["largest difference"]
    said = [edits[name]["sentence"].removeprefix(f"{name}: ")] if name in edits else []
    if code:
        of = "The element" if "][" in name else "Length of the code"
        said.append(f"{of}: {' → '.join(f'{value:.2f}' for value in code)}.")
    if largest:
        said.append(f"Largest difference to the reconstruction: {largest:.2f}.")
    return " ".join(said)


def _changes(head, edits, quantities):
    rows = [[name, *(f"{edit['changes'][name]:+.2f}" for edit in edits.values())] for name in quantities]
    return Table([head, *edits], rows)


def _verdict(row):
    cells = [row["verdict"], row["claim"], row["edit"], "", "", ""]
    if "mean" in row:
        cells[3:5] = f"{row['mean']:+.3g} ± {row['standard_error']:.3g}", f"{row['share_true']:.0%}"
    if "best_element" in row:
        cells[5] = f"x[0][{row['best_element']}], {row['best_mean']:+.2f}"
    return cells


if __name__ == "__main__":
    main()
