"""Explore: a page, explore.html, in which a code is changed by hand and its picture follows. The images are those to
validate on, the models those that python -m demos saved: give the options of that run."""

import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import webbrowser
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from autoencoders import CheckpointError, scale_code
from autoencoders.edits import scan_elements
from autoencoders.images import to_features
from autoencoders.quantization import quantize
from demos import settings
from demos.output import save_text
from demos.settings import FLAG, say
from demos.trained import saved
from nnlite.serialization import replacing

CHOICE = 32  # images
RANGED = 1000  # images whose codes the sliders reach
SCALES = (1, 5, 1 / 5)  # by which codes are scaled in the page
QUANTITIES = ("brightness", "redness", "saturation", "sharpness", "distance")
PICTURE = (
    "--picture",
    FLAG,
    "open no browser: save a picture of the page, one element of a code times 5, as explore.png",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
UNUSED = ("--element", "--checkpoint-every", "--resume", *settings.OF_ANOMALY)


def main(argv=None):
    settings.start("python -m demos.explore", __doc__, argv, write_and_show, more=[PICTURE], hidden=UNUSED)


def write_and_show(options, training_set, validation_set):
    vanilla = run(options, training_set, validation_set)
    address = (options.out / "explore.html").resolve().as_uri()
    if options.picture:
        code = vanilla.encoder(to_features(validation_set[:1]))  # (1, Z)
        element = int(scan_elements(vanilla.decoder, code, [5])[1].argmax())
        values = "_".join(f"{value:.6g}" for value in scale_code(code, 5, element)[0])
        _photograph(options, f"{address}#model=autoencoder&element={element}&code={values}")
    elif _is_watched():
        webbrowser.open(address)


def run(options, training_set, validation_set):
    """Write explore.html; returns the autoencoder."""
    try:
        vanilla, vae = (saved(name, options, training_set, validation_set) for name in ("fcn", "vae"))
    except CheckpointError as error:
        words = shlex.split(options.command.replace("demos.explore", "demos", 1))
        words = [word for word in words if word != PICTURE[0]]
        settings.fail(
            options.prog,
            f"{error}, wanted weights of these settings and the {options.backend} backend: give the options of the run "
            f"that saved them, or run {shlex.join(words)} first",
        )
    rng = np.random.default_rng((options.seed, 4))
    told = f"Trained on {training_set.name}, {len(training_set):,} images, epochs: {options.epochs}."
    save_text(options, "explore.html", page(vanilla, vae, validation_set, rng, told))
    return vanilla


def page(vanilla, vae, images, rng, told):
    """The text of explore.html: the template beside this file, filled with both decoders and the first images.

    rng: draws codes from the VAE's posteriors, which its sliders reach; told: a sentence on the models.
    """
    x = to_features(images[:RANGED])  # (N, D)
    mu, logvar = vae.encode(x)  # (N, Z) each
    sampled = vae.reparameterize(mu, logvar, rng.standard_normal(mu.shape, mu.dtype))  # (N, Z)
    codes = vanilla.encoder(x)  # (N, Z)
    data = {
        "images": _base64(images[:CHOICE]),
        "models": {
            "autoencoder": _packed(vanilla.decoder, codes, codes),
            "VAE": _packed(vae.decoder, mu, np.concatenate([mu, sampled])),
        },
    }
    rows = [
        f'<tr><th scope="row">{name}</th><td id="{name}-before"></td><td id="{name}-after"></td></tr>'
        for name in QUANTITIES
    ]
    here = Path(__file__)
    template = Template(here.with_suffix(".html").read_text(encoding="utf-8"))
    script = here.with_suffix(".js").read_text(encoding="utf-8")
    texts = {"elements": codes.shape[1], "told": escape(told), "quantities": "\n".join(rows)}
    return template.substitute(texts, data=json.dumps(data), script=script)


def _packed(decoder, codes, reached):
    """What explore.js wants of a model: its decoder, the codes of the images, and how far the sliders reach.

    The last weight, 12288 x 512, is most of it; it is rounded to 8 bits for the hidden values that scaled codes have.
    """
    first, last = decoder[0], decoder[2]
    one_scaled = np.where(np.eye(codes.shape[1], dtype=bool)[np.arange(len(codes)) % codes.shape[1]], 5 * codes, codes)
    hidden = decoder[1](first(np.concatenate([*(scale * codes for scale in SCALES), one_scaled])))  # (4 N, H)
    weight2, scale2 = quantize(last.weight.data, hidden)
    low, high = reached.min(axis=0), reached.max(axis=0)  # (Z,) each
    margin = np.maximum((high - low) / 20, 1e-3)  # the codes of one image, or of equal ones, have no range
    arrays = {"weight0": first.weight.data, "bias0": first.bias.data, "scale2": scale2, "bias2": last.bias.data}
    arrays |= {"codes": codes[:CHOICE]}
    packed = {name: _base64(array.astype("<f4")) for name, array in arrays.items()}
    return packed | {"weight2": _base64(weight2), "low": (low - margin).tolist(), "high": (high + margin).tolist()}


def _base64(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _is_watched():
    """Whether somebody sits before a screen: where there is none, webbrowser may open a browser in the terminal."""
    has_screen = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(has_screen and sys.stdout is not None and sys.stdout.isatty())


def _photograph(options, address):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        settings.fail(options.prog, f"--picture: found none of {', '.join(BROWSERS)}, wanted one to show the page")
    with tempfile.TemporaryDirectory() as folder:
        png = Path(folder) / "explore.png"
        how = ["--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1280,900", f"--screenshot={png}"]
        status = subprocess.run([browser, *how, address], capture_output=True).returncode
        if not png.exists():
            settings.fail(options.prog, f"--picture: {browser} ended with {status}, wanted it to save a picture")
        with replacing(options.out / "explore.png") as file:
            file.write(png.read_bytes())
    say(options, f"figure    {options.out / 'explore.png'}")


if __name__ == "__main__":
    main()
