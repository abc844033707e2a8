"""The report: the source document's two problems, answered in one HTML file from what the other demos measured."""

import base64
import functools
import html
import io
import json
import time
from pathlib import Path

from PIL import Image

from autoencoders.architecture import architecture_figure, summary
from autoencoders.figures import IMAGE
from demos import denoising, latent_scaling, posterior_collapse, reconstruction, settings, vae_vs_vanilla
from demos.environment import processor, threads, versions
from demos.output import MEAN, Markdown, Table, at, save_figure, save_text, value
from demos.trained import LEARNING_RATE, trained

WITH_PARTS = {
    demo.__name__.removeprefix("demos."): demo
    for demo in (latent_scaling, vae_vs_vanilla, denoising, posterior_collapse)
}
DEMOS = (reconstruction, *WITH_PARTS.values())
PACKAGES = ("nnlite", "numpy", "numba", "matplotlib", "pillow")


def main(argv=None):
    settings.start("python -m demos.report", __doc__, argv, *(demo.run for demo in DEMOS), run)


def run(options, training_set, validation_set):
    """Write report.json, what the other demos have measured, and report.html, that and their figures to read."""
    fcn, history = trained("fcn", options, training_set, validation_set)
    save_figure(options, "fcn_architecture.png", architecture_figure(fcn))
    results = {name: json.loads((options.out / f"{name}.json").read_text()) for name in ("reconstruction", *WITH_PARTS)}
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
    print(f"\n{Markdown(results).write(_errors(results))}\n\nreport    {options.out / 'report.html'}")


def _errors(results):
    """The table that ends a run: what each model leaves of the validation images, mean squared error."""
    full = {"vanilla": "autoencoder", "denoising": "denoising autoencoder"}
    plain = {"autoencoder": "error", "PCA, ${/reconstruction/components} components": "pca", "mean image": "mean image"}
    rows = [[head, value("reconstruction", name, form=".4f")] for head, name in plain.items()]
    for name in results["vae_vs_vanilla"]["reconstruction"]:
        head = full.get(name, name) + ", first ${/vae_vs_vanilla/images} images"
        rows.append([head, value("vae_vs_vanilla", "reconstruction", name, form=MEAN)])
    for name in results["denoising"]["error"]:
        head = full[name] + ", of images with noise of ${/denoising/trained with}"
        level = results["denoising"]["noise"].index(results["denoising"]["trained with"])
        rows.append([head, value("denoising", "error", name, level, form=MEAN)])
    return Table(["mean squared error of validation images", "pixels in [-1, 1]"], rows)


def page(results, folder):
    """The HTML of the report: report.html beside this file, filled with `results` and the figures in `folder`."""
    return Html(results, folder).page(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))


class Html(Markdown):
    """Writes parts as HTML. A page also has places: ${demo.part of it}, ${picture.png} for a data URI; $$ is a $.

    A value is <data value="/pointer/into/the/results" data-format="its format">, so that a reader, or a test, can
    compare it with report.json.
    """

    def __init__(self, results, folder):
        super().__init__(results)
        self.folder = folder
        self.parts = {
            f"{name}.{part}": content
            for name, demo in WITH_PARTS.items()
            for part, content in demo.parts(results[name]).items()
        }
        for part in ("settings", "versions"):
            rows = [[name, value(part, name, form="," if "images" in name else "")] for name in results[part]]
            self.parts[part] = Table([part, ""], rows)

    def page(self, page):
        return super().fill(page)

    def fill(self, text):
        return super().fill(html.escape(text, quote=False))

    def __getitem__(self, place):
        if place.startswith("/"):
            return super().__getitem__(place)
        if place.endswith(".png"):
            return _data_uri((self.folder / place).read_bytes())
        return self._edits() if place == "edits" else self.write(self.parts[place])

    def value(self, pointer, form):
        text = html.escape(format(at(self.results, pointer), form))
        return f'<data value="{html.escape(pointer)}" data-format="{form}">{text}</data>'

    def paragraph(self, text):
        return f"<p>{self.fill(text)}</p>"

    def bullets(self, items):
        return f"<ul>{''.join(f'<li>{self.fill(item)}</li>' for item in items)}</ul>"

    def table(self, table):
        heads, *rows = self.cells(table)
        head = "".join(f"<th>{cell}</th>" for cell in heads)
        lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
        return _scrolling("table", table.heads[0], f"<table><tr>{head}</tr>\n{lines}</table>")

    def picture(self, picture):
        image = f'<img src="{self[picture.file]}" alt="{picture.caption}">'
        caption = f"<figcaption>{picture.caption}.</figcaption>"
        return f"<figure>{_scrolling('mat', picture.caption, image)}\n{caption}</figure>"

    def _edits(self):
        """A figure each for the original, the reconstruction and the edits: picture, difference, and what is said."""
        with Image.open(self.folder / "latent_pictures.png") as sheet:
            pictures = enumerate(self.results["latent_scaling"]["pictures"])
            return "\n".join(self._edit(sheet, place, picture) for place, picture in pictures)

    def _edit(self, sheet, place, picture):
        of = functools.partial(value, "latent_scaling", "pictures", place)
        said = [of("name")]
        if picture["code"]:
            values = " → ".join(of("code", k, form=".2f") for k in range(len(picture["code"])))
            said.append(f"{'the element' if '][' in picture['name'] else 'length of the code'}: {values}")
        if picture["largest difference"]:
            said.append(f"largest difference: {of('largest difference', form='.2f')}")
        text = f"<p>{'<br>'.join(map(self.fill, said))}</p>"
        if picture["name"] in self.results["latent_scaling"]["edits"]:
            text += self.paragraph(value("latent_scaling", "edits", picture["name"], "sentence"))
        alts = ("The picture", "Its difference to the reconstruction")
        pair = "".join(f'<img src="{_tile(sheet, place, row)}" alt="{alt}">' for row, alt in enumerate(alts))
        return f'<figure class="edit">{pair}<figcaption>{text}</figcaption></figure>'


def _scrolling(kind, label, content):
    """What may be wider than a phone scrolls within itself, by the keyboard too."""
    return f'<div class="{kind}" tabindex="0" role="region" aria-label="{label}">{content}</div>'


def _tile(sheet, column, row):
    """One picture of the sheet of latent_pictures.png."""
    left, top = column * IMAGE, row * IMAGE
    file = io.BytesIO()
    sheet.crop((left, top, left + IMAGE, top + IMAGE)).save(file, format="png")
    return _data_uri(file.getvalue())


def _data_uri(png):
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


if __name__ == "__main__":
    main()
