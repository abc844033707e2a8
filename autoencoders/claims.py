"""What the source document, a student's report on such an autoencoder, says of its edits, judged over many faces.

An edit is compared with the plain reconstruction of the same face. Each claim becomes a score, which is positive
for a face of which it is true, and its mean over the faces is held against its standard error.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np

from autoencoders.edits import scale_code
from autoencoders.measurements import PHRASES, measure


class Claim(NamedTuple):
    """`quantity` rises (sign 1) or falls (sign -1) below or above `share` of what it is in the plain reconstruction."""

    text: str
    whole: bool  # about the whole code, or about one element of it
    factor: float
    quantity: str
    sign: int
    share: float = 1.0

    def scores(self, edited, plain):
        """(N,), positive where the claim is true; edited, plain: {quantity: (N,)}."""
        return self.sign * (edited[self.quantity] - self.share * plain[self.quantity])


CLAIMS = (
    Claim("sharper features", False, 5, "sharpness", 1),
    Claim("more smile", False, 5, "smile", 1),
    Claim("blurrier nose", False, 1 / 5, "nose sharpness", -1),
    Claim("sterner look", False, 1 / 5, "smile", -1),
    Claim("brighter, whitish", True, 1 / 5, "brightness", 1),
    Claim("background contrast nearly gone: under a quarter", True, 1 / 5, "background contrast", -1, 1 / 4),
    Claim("skin colour closer to the original's", True, 1 / 5, "skin distance", -1),
    Claim("background details gone: under a quarter", True, 5, "background detail", -1, 1 / 4),
    Claim("darker", True, 5, "brightness", -1),
    Claim("redder", True, 5, "redness", 1),
)


def mean_and_error(values):
    """[mean, standard error] of independent values, (N,); the error of one value is None."""
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return [float(np.mean(values)), error]


def judge(scores, smallest=0.0):
    """{"mean", "standard_error", "verdict"} of the scores (N,) of independent faces, positive where a claim is true.

    N > 1. The verdict is "holds" or "does not hold", or "too small to say" of a mean that is within two standard errors
    of 0, or smaller than `smallest`.
    """
    mean, error = mean_and_error(scores)
    verdict = "holds" if mean > 0 else "does not hold"
    if not abs(mean) > 2 * error or abs(mean) < smallest:
        verdict = "too small to say"
    return {"mean": mean, "standard_error": error, "verdict": verdict}


def judge_claims(model, originals, probe=None):
    """Judge every claim over the faces `originals`, (N, D): a list of rows, dicts of plain values.

    The claims about one element speak of element 0. Elements have no fixed meaning, so a row of theirs also names the
    element for which the claim holds most, and its mean. probe: a FactorProbe; without one, or if it reads no smile in
    decoded pictures, the rows about a smile say "not measured".
    """
    codes = model.encoder(originals)  # (N, Z)
    elements = range(codes.shape[1])
    plain = measure(model.decoder(codes), originals, probe)
    edited = {
        (factor, which): measure(model.decoder(scale_code(codes, factor, which)), originals, probe)
        for factor in (5, 1 / 5)
        for which in (None, *elements)
    }
    rows = []
    for claim in CLAIMS:
        which, edit = (None, "x[0]") if claim.whole else (0, "x[0][0]")
        edit += "*5" if claim.factor == 5 else "/5"
        row = {"edit": edit, "claim": claim.text, "verdict": "not measured"}
        if claim.quantity in plain and len(originals) > 1:  # one face has no standard error
            scores = claim.scores(edited[claim.factor, which], plain)
            smallest = PHRASES[claim.quantity][2] if claim.share == 1 else 0.0  # what a sentence would mention
            row |= judge(scores, smallest) | {"share_true": float(np.mean(scores > 0))}
            if not claim.whole:
                means = [float(claim.scores(edited[claim.factor, k], plain).mean()) for k in elements]
                row |= {"best_element": int(np.argmax(means)), "best_mean": max(means)}
        rows.append(row)
    return rows


def conclusion(rows):
    """One sentence: how many of the judged claims were found true, false, and neither."""
    found = Counter(row["verdict"] for row in rows)
    unmeasured = f", {found['not measured']} not measured" if found["not measured"] else ""
    return (
        f"Of the source document's {len(rows)} claims on edits of a code, {found['holds']} were found true,"
        f" {found['does not hold']} false, {found['too small to say']} too small to say{unmeasured}."
    )
