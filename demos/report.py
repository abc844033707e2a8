"""The report: the source document's two problems, answered in one HTML file from what the other demos measured."""

import base64
import io
import json
import time
from html import escape
from pathlib import Path
from string import Template

from PIL import Image

from autoencoders.architecture import architecture_figure, summary
from autoencoders.figures import IMAGE
from demos import (
    anomaly,
    denoising,
    explore,
    latent_scaling,
    posterior_collapse,
    reconstruction,
    settings,
    vae_vs_vanilla,
)
from demos.environment import processor, threads, versions
from demos.output import Heading, Picture, Table, Tiles, markdown, plus_minus, save_figure, save_text
from demos.trained import LEARNING_RATE, trained

DEMOS = (reconstruction, latent_scaling, vae_vs_vanilla, denoising, posterior_collapse, anomaly)
BY_NAME = {demo.__name__.removeprefix("demos."): demo for demo in DEMOS}
PACKAGES = ("nnlite", "numpy", "numba", "matplotlib", "pillow")
SHORT = 20  # characters of a cell that is not broken into lines


def main(argv=None):
    settings.start("python -m demos.report", __doc__, argv, *(demo.run for demo in (*DEMOS, explore)), run, hidden=())


def run(options, training_set, validation_set):
    """Write report.json, what the other demos have measured, and report.html, that and their figures to read."""
    fcn, history = trained("fcn", options, training_set, validation_set)
    save_figure(options, "fcn_architecture.png", architecture_figure(fcn))
    results = {name: json.loads((options.out / f"{name}.json").read_text()) for name in BY_NAME}
    results["model"] = {
        "printed": repr(fcn),
        "summary": summary(fcn),
        "parameters": sum(parameter.data.size for parameter in fcn.parameters()),
        "pixels": fcn.encoder[0].weight.data.shape[1],
        "code": fcn.encoder[2].weight.data.shape[0],
    }
    results["history"] = history.curves()
    results["settings"] = {
        "trained on": training_set.name,
        "training images": len(training_set),
        "validated on": validation_set.name,
        "validation images": len(validation_set),
        "epochs": options.epochs,
        "batch size": options.batch_size,
        "learning rate of the first epoch": LEARNING_RATE,
        "seed": options.seed,
        "backend": options.backend,
        "threads": threads(options.backend),
        "processor": processor(),
    }
    results["versions"] = versions(PACKAGES)
    results["command"] = options.command
    results["seconds"] = time.monotonic() - options.started
    save_text(options, "report.json", json.dumps(results, indent=2))
    save_text(options, "report.html", page(results, options.out))
    print(f"\n{markdown([errors(results)])}\n\nreport    {options.out / 'report.html'}")


def errors(results):
    """The table that ends a run: what each model leaves of the validation images, mean squared error."""
    vae, noise = results["vae_vs_vanilla"], results["denoising"]
    full = {"vanilla": "autoencoder", "denoising": "denoising autoencoder"}
    level = noise["noise"].index(noise["trained with"])
    rows = reconstruction.errors(results["reconstruction"])
    for name, error in vae["reconstruction"].items():
        rows.append([f"{full.get(name, name)}, first {vae['images']} images", plus_minus(error)])
    for name, by_level in noise["error"].items():
        rows.append([f"{full[name]}, of images with noise of {noise['trained with']}", plus_minus(by_level[level])])
    return Table(["mean squared error of validation images", "pixels in [-1, 1]"], rows)


def page(results, folder):
    """The HTML of the report: report.html beside this file, filled with `results` and the figures in `folder`."""
    plain, vae, model, run = (results[name] for name in ("reconstruction", "vae_vs_vanilla", "model", "settings"))
    in_short = [
        *vae["conclusions"],
        results["latent_scaling"]["conclusion"],
        f"The autoencoder’s error on validation images is {plain['error']:.4f}; that of PCA with {plain['components']}"
        f" components {plain['pca']:.4f}, of the mean image {plain['mean image']:.4f}.",
    ]
    first, last = f"{results['history']['validation_loss'][0]:.4f}", f"{plain['error']:.4f}"
    architecture = f"The architecture, drawn from the trained model: {model['parameters']:,} parameters"
    counted = [[name, f"{value:,}" if "images" in name else str(value)] for name, value in run.items()]
    parts = {name: demo.parts(results[name]) for name, demo in BY_NAME.items()} | {
        "in_short": [in_short],
        "fcn_architecture": [Picture("fcn_architecture.png", architecture)],
        "training": [f"After the first epoch the validation error is {first}, after the last {last}."],
        "settings": [Table(["settings", ""], counted)],
        "versions": [Table(["versions", ""], list(map(list, results["versions"].items())))],
    }
    texts = {
        "trained_on": run["trained on"],
        "training_images": f"{run['training images']:,}",
        "validation_images": f"{run['validation images']:,}",
        "epochs": f"{run['epochs']}",
        "vae_layers": vae["summary"],
        "pixels": f"{model['pixels']:,}",
        "code": f"{model['code']}",
        "fcn_layers": f"{model['printed']}\n\n{model['summary']}",
        "command": results["command"],
        "seconds": f"{results['seconds']:.1f}",
    }
    places = {name: "\n".join(_html(part, folder) for part in each) for name, each in parts.items()}
    places |= {name: escape(text) for name, text in texts.items()}
    return Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8")).substitute(places)


def _html(part, folder):
    """A part, of those in output.py, as HTML, with its pictures, which are in `folder`, in it."""
    match part:
        case str():
            return f"<p>{escape(part)}</p>"
        case list():
            return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in part)}</ul>"
        case Heading(text):
            return f"<h3>{escape(text)}</h3>"
        case Table(heads, rows):
            lines = [_row("th", heads), *(_row("td", row) for row in rows)]
            return _scrolling("table", heads[0], f"<table>{''.join(lines)}</table>")
        case Picture(in_report=False):
            return ""
        case Picture(file, caption):
            image = _image((folder / file).read_bytes(), caption)
            return f"<figure>{_scrolling('mat', caption, image)}<figcaption>{escape(caption)}.</figcaption></figure>"
        case Tiles(sheet, rows, captions):
            figures = [
                f"<figure>{_column(folder / sheet, place, rows)}"
                f"<figcaption><b>{escape(name)}</b><br>{escape(text)}</figcaption></figure>"
                for place, (name, text) in enumerate(captions.items())
            ]
            return f'<div class="tiles">{"".join(figures)}</div>'


def _row(tag, cells):
    short = [' class="short"' if len(cell) <= SHORT else "" for cell in cells]
    return f"<tr>{''.join(f'<{tag}{kind}>{escape(cell)}</{tag}>' for kind, cell in zip(short, cells))}</tr>\n"


def _scrolling(kind, label, content):
    """What may be wider than a phone scrolls within itself, by the keyboard too."""
    return f'<div class="{kind}" tabindex="0" role="region" aria-label="{escape(label)}">{content}</div>'


def _column(sheet, place, rows):
    """The pictures of a column of a sheet, one for each name of a row."""
    images = ""
    with Image.open(sheet) as pictures:
        for row, name in enumerate(rows):
            tile = io.BytesIO()
            left, top = place * IMAGE, row * IMAGE
            pictures.crop((left, top, left + IMAGE, top + IMAGE)).save(tile, format="png")
            images += _image(tile.getvalue(), name)
    return images


def _image(png, alt):
    return f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="{escape(alt)}">'


if __name__ == "__main__":
    main()
