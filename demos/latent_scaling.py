"""Latent scaling: one image's code x with an element, or the whole code, multiplied and divided by 5; what that
changes, measured; and what the source document says of it, judged over many faces."""

import numpy as np

from autoencoders import make_faces, scale_code
from autoencoders.claims import judge_claims
from autoencoders.figures import latent_scaling_figure, latent_sheet_figure
from autoencoders.images import to_features, to_pixels
from autoencoders.latent import FactorProbe, changes, scaled_differences, scan_elements, sentence
from demos import settings
from demos.output import save_figure, save_results, save_sheet, table
from demos.trained import trained

SCALES = {"/5": 1 / 5, "/2": 1 / 2, "1": 1, "x2": 2, "x5": 5}
PROBE_FACES = 2500
JUDGED = 300
ENOUGH = 200
FIGURE_TEXT = "An image, its reconstruction, and six edits of its code, with their differences to the reconstruction"


def main(argv=None):
    settings.start("python -m demos.latent_scaling", __doc__, argv, run)


def run(options, training_set, validation_set):
    model, _ = trained("fcn", options, training_set, validation_set)
    original = to_features(validation_set[:1])  # (1, D)
    code = model.encoder(original)  # (1, Z)
    scan, moved = scan_elements(model.decoder, code, list(SCALES.values()))  # (Z, F, D), (Z,)
    second = 1 + int(np.argmax(moved[1:])) if options.element is None else options.element

    plain = model.decoder(code)  # (1, D)
    length = float(np.linalg.norm(code))
    titles = ["original", f"reconstruction\nlength of x[0]: {length:.2f}"]
    pictures, codes = {"original": original, "reconstruction": plain}, {"original": [], "reconstruction": [length]}
    for element in (0, second, None):
        for sign, factor in (("*", 5), ("/", 1 / 5)):
            edited = scale_code(code, factor, element)
            edit = f"x[0]{sign}5" if element is None else f"x[0][{element}]{sign}5"
            before, after = (float(np.linalg.norm(c) if element is None else c[0, element]) for c in (code, edited))
            titles.append(f"{edit}\n{'length: ' if element is None else ''}{before:.2f} → {after:.2f}")
            pictures[edit], codes[edit] = model.decoder(edited), [before, after]
    shown = np.concatenate(list(pictures.values()))  # (P, D)
    save_figure(options, "latent_scaling.png", latent_scaling_figure(titles, shown, reference=1))
    differences, largest = scaled_differences(shown, plain[0])  # (P, D), (P,)
    save_sheet(options, "latent_pictures.png", [to_pixels(shown), to_pixels(differences)])
    save_figure(options, "latent_sheet.png", latent_sheet_figure(scan, list(SCALES), code[0], moved))

    probe = None
    if options.data is None and options.validation is None:  # faces whose factors are known
        probe = FactorProbe(*_probe_faces(options), model)
    measured = {
        edit: {name: float(change[0]) for name, change in changes(picture, plain, original, probe).items()}
        for edit, picture in pictures.items()
        if edit not in ("original", "reconstruction")
    }
    originals = to_features(validation_set[:JUDGED])  # (N, D)
    results = {
        "pictures": [
            {"name": name, "code": codes[name], "largest difference": float(difference)}
            for name, difference in zip(pictures, largest)
        ],
        "edits": {
            edit: {"sentence": sentence(edit, changed), "changes": changed} for edit, changed in measured.items()
        },
        "probe_r2": {} if probe is None else {name: [probe.r2[name], probe.decoded_r2[name]] for name in probe.r2},
        "faces": len(originals),
        "claims": judge_claims(model, originals, probe=probe),
    }
    heading = f"# Parts of a code, scaled\n\n![{FIGURE_TEXT}](latent_scaling.png)"
    save_results(options, "latent_scaling", heading, results, _report(results))


def _probe_faces(options):
    """(features, factors) of faces that are in neither set, for another generator paints them."""
    images, factors = make_faces(PROBE_FACES, np.random.default_rng((options.seed, 1)))
    return to_features(images), factors


def _report(results):
    """The sentences, the changes, the probe's r^2 and the claims, as Markdown that also reads well in a terminal."""
    edits, read = results["edits"], results["probe_r2"]
    quantities = next(iter(edits.values()))["changes"]
    lines = [
        "x[0] is the code of the first validation image, x[0][k] its element k. Each edit, against the plain",
        "reconstruction; colours in grey levels, 0 to 255, known factors on their own scale:",
        "",
        *(f"- {edit['sentence']}" for edit in edits.values()),
    ]
    for heading, rows in (
        ("change, grey levels", [name for name in quantities if name not in read]),
        ("change, known factor", [name for name in quantities if name in read]),
    ):
        if rows:
            cells = [[name, *(f"{edit['changes'][name]:+.2f}" for edit in edits.values())] for name in rows]
            lines += ["", *table([heading, *edits], cells)]
    if read:
        rows = [[name, f"{plain:.2f}", f"{decoded:.2f}"] for name, (plain, decoded) in read.items()]
        lines += [
            "",
            "A linear probe reads the known factors of a face from its pixels. Its r^2 on faces that it was not fitted",
            "on, and on their reconstructions:",
            "",
            *table(["factor", "r^2, plain", "r^2, reconstructed"], rows),
            "",
            "Factors with an r^2 below 0.5 in either column cannot be read, and are in no sentence or claim. The probe",
            "knows whole faces: the stranger an edited picture looks, the less its reading means.",
        ]
    claims = results["claims"]
    lines += [
        "",
        f"The source document's claims, over {results['faces']} validation images, each against its reconstruction:",
        "",
        *table(["edit", "claim", "verdict", "mean ± std. error", "true for", "most for"], map(_claim_row, claims)),
        "",
        "The mean is that of a score in the units above (details, sharpness: grey levels a pixel), positive where the",
        "claim is true; within two standard errors, or where no sentence would mention it, it is too small to say.",
        "The elements of a code have no fixed meaning, another seed gives others: the last column names the element",
        "for which the claim holds most.",
    ]
    if results["faces"] < ENOUGH:
        lines += [f"With fewer than {ENOUGH} images, take the verdicts as a first look."]
    if any("mean" not in row for row in claims):
        reason = (
            "one image has no standard error" if results["faces"] == 1 else "no smile can be read from these pictures"
        )
        lines += [f"Not measured: {reason}."]
    return "\n".join([*lines, ""])


def _claim_row(row):
    if "mean" not in row:
        return [row["edit"], row["claim"], row["verdict"], "", "", ""]
    best = f"x[0][{row['best_element']}], {row['best_mean']:+.2f}" if "best_element" in row else ""
    score = f"{row['mean']:+.3g} ± {row['standard_error']:.2g}"
    return [row["edit"], row["claim"], row["verdict"], score, f"{row['share_true']:.0%}", best]


if __name__ == "__main__":
    main()
