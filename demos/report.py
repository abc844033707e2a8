"""The report: the source document's two problems, answered in one HTML file from what the other demos measured."""

import base64
import html
import io
import json
import platform
import time
from importlib import metadata
from pathlib import Path
from string import Template

from PIL import Image

from autoencoders.architecture import architecture_figure, summary
from autoencoders.figures import IMAGE
from demos import denoising, latent_scaling, posterior_collapse, reconstruction, settings, vae_vs_vanilla
from demos.output import cell, save_figure, save_text, table
from demos.trained import NOISE, trained

DEMOS = (reconstruction, latent_scaling, vae_vs_vanilla, denoising, posterior_collapse)
FEW = "<p>With so few images, take the verdicts as a first look.</p>"
PROBE = """<p>A linear probe reads the known factors of a face from its pixels. Below, its r² on faces that it was not
fitted on, and on their reconstructions. A factor with less than a half in either column cannot be read, and is in no
sentence or claim. The probe knows whole faces: the stranger an edited picture looks, the less its reading means.</p>
"""
PACKAGES = ("numpy", "numba", "matplotlib", "pillow")


def main(argv=None):
    settings.start("python -m demos.report", __doc__, argv, *(demo.run for demo in DEMOS), run)


def run(options, training_set, validation_set):
    """Write report.json, what the other demos have measured, and report.html, that and their figures to read."""
    fcn, history = trained("fcn", options, training_set, validation_set)
    save_figure(options, "fcn_architecture.png", architecture_figure(fcn))
    names = [demo.__name__.removeprefix("demos.") for demo in DEMOS]
    results = {name: json.loads((options.out / f"{name}.json").read_text()) for name in names}
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
        "seed": options.seed,
        "backend": options.backend,
    }
    results["versions"] = {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}
    results["command"] = ("NNLITE_BACKEND=numpy " if options.backend == "numpy" else "") + options.command
    results["seconds"] = time.monotonic() - options.started
    save_text(options, "report.json", json.dumps(results, indent=2))
    save_text(options, "report.html", page(results, options.out))
    print("\n".join(["", *_errors(results), "", f"report    {options.out / 'report.html'}"]))


def _errors(results):
    """The table that ends a run: what each model leaves of the validation images, mean squared error."""
    plain, vae, noise = (results[name] for name in ("reconstruction", "vae_vs_vanilla", "denoising"))
    at = noise["noise"].index(NOISE)
    rows = [
        ["autoencoder", f"{plain['error']:.4f}"],
        [f"PCA, {plain['components']} components", f"{plain['pca']:.4f}"],
        ["mean image", f"{plain['mean image']:.4f}"],
        *([f"{_full(name)}, first {vae['images']} images", cell(mean)] for name, mean in vae["reconstruction"].items()),
        *(
            [f"{_full(name)}, of images with noise of {NOISE}", cell(means[at])]
            for name, means in noise["error"].items()
        ),
    ]
    return table(["mean squared error of validation images", "pixels in [-1, 1]"], rows)


def _full(name):
    return {"vanilla": "autoencoder", "denoising": "denoising autoencoder"}.get(name, name)


def page(results, folder):
    """The HTML of the report: report.html beside this file, filled with `results` and the figures in `folder`."""
    return _Page(Path(__file__).with_suffix(".html").read_text(encoding="utf-8")).substitute(_Filling(results, folder))


class _Page(Template):
    """A page with places for ${picture.png}, ${part} and ${/pointer/into/the/results|format}."""

    braceidpattern = r"[^}]+"


class _Filling(dict):
    """What goes into the places of a page: {part: HTML}, made here, or else a picture or a value, made when asked for.

    A value is <data value="/pointer/into/the/results" data-format="its format">, so that a reader, or a test, can
    compare it with report.json; the pointers are those of RFC 6901.
    """

    def __init__(self, results, folder):
        self._results, self._folder = results, folder
        scaling, vae, noise = (results[name] for name in ("latent_scaling", "vae_vs_vanilla", "denoising"))
        self["advantages"], self["disadvantages"] = (
            _list(self._value("vae_vs_vanilla", kind, place, "sentence") for place in range(len(vae[kind])))
            for kind in ("advantages", "disadvantages")
        )
        rows = [[name, self._mean("vae_vs_vanilla", "reconstruction", name)] for name in vae["reconstruction"]]
        self["reconstructions"] = _table(["reconstruction", "error"], rows)
        rows = [
            [
                name,
                self._mean("vae_vs_vanilla", "nearest real image", name),
                self._mean("vae_vs_vanilla", "high frequencies", name, form=".0% ± .1%"),
            ]
            for name in vae["nearest real image"]
        ]
        self["nearest"] = _table(["pictures", "to the nearest real image", "high frequencies, of real images’"], rows)
        levels = range(len(noise["noise"]))
        rows = [[name, *(self._mean("denoising", "error", name, k) for k in levels)] for name in noise["error"]]
        self["denoising"] = _table(["noise", *(self._value("denoising", "noise", k) for k in levels)], rows)
        self["collapse"] = self._collapse()
        self["edits"] = self._edits(scaling)
        self["changes"] = self._changes(scaling)
        unmeasured = any("mean" not in row for row in scaling["claims"])
        self["unmeasured"] = " Not measured is what cannot be read from these pictures." if unmeasured else ""
        self["few"] = FEW if scaling["faces"] < latent_scaling.ENOUGH else ""
        self["probe"] = self._probe(scaling) if scaling["probe_r2"] else ""
        rows = [self._claim(place, row) for place, row in enumerate(scaling["claims"])]
        self["claims"] = _table(["edit", "claim", "verdict", "mean ± std. error", "true for", "most for"], rows)
        for part in ("settings", "versions"):
            self[part] = _table(["", ""], [[name, self._value(part, name)] for name in results[part]])

    def __missing__(self, place):
        if place.endswith(".png"):
            return _data_uri((self._folder / place).read_bytes())
        pointer, _, form = place.partition("|")
        return (self._mean if "±" in form else self._value)(*pointer.split("/")[1:], form=form)

    def _at(self, *steps):
        value = self._results
        for step in steps:
            value = value[int(step)] if isinstance(value, list) else value[step]
        return value

    def _value(self, *steps, form=""):
        pointer = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)
        text = html.escape(format(self._at(*steps), form))
        return f'<data value="{html.escape(pointer)}" data-format="{form}">{text}</data>'

    def _mean(self, *steps, form=".4f ± .5f"):
        """A mean with its standard error, if it has one; form: of both."""
        forms = form.split(" ± ")
        known = range(len(forms) if self._at(*steps, 1) is not None else 1)
        return " ± ".join(self._value(*steps, place, form=forms[place]) for place in known)

    def _collapse(self):
        rows = [
            [
                name,
                self._value("posterior_collapse", name, "kl total", form=".3f"),
                f"{self._value('posterior_collapse', name, 'active')} of {self._value('model', 'code')}",
                self._mean("posterior_collapse", name, "error"),
            ]
            for name in self._results["posterior_collapse"]
        ]
        return _table(["trained by", "KL, nats", "active elements", "error from mu"], rows)

    def _edits(self, scaling):
        """A figure each for the original, the reconstruction and the edits: picture, difference, and what is said."""
        with Image.open(self._folder / "latent_pictures.png") as sheet:
            return "\n".join(self._edit(scaling, place, sheet) for place in range(len(scaling["pictures"])))

    def _edit(self, scaling, place, sheet):
        at = ("latent_scaling", "pictures", place)
        name, code = scaling["pictures"][place]["name"], scaling["pictures"][place]["code"]
        said = [f"<b>{self._value(*at, 'name')}</b>"]
        if code:
            values = " → ".join(self._value(*at, "code", k, form=".2f") for k in range(len(code)))
            said.append(f"{'the element' if '][' in name else 'length of the code'}: {values}")
        if scaling["pictures"][place]["largest difference"]:
            said.append(f"largest difference: {self._value(*at, 'largest difference', form='.2f')}")
        text = f"<p>{'<br>'.join(said)}</p>"
        if name in scaling["edits"]:
            text += f"<p>{self._value('latent_scaling', 'edits', name, 'sentence')}</p>"
        alts = ("The picture", "Its difference to the reconstruction")
        pictures = "".join(f'<img src="{_tile(sheet, place, row)}" alt="{alt}">' for row, alt in enumerate(alts))
        return f'<figure class="edit">{pictures}<figcaption>{text}</figcaption></figure>'

    def _changes(self, scaling):
        """The tables of what each edit changed: in grey levels, and on the scales of the factors that can be read."""
        edits, read = scaling["edits"], scaling["probe_r2"]
        heads = [self._value("latent_scaling", "pictures", 2 + place, "name") for place in range(len(edits))]
        quantities = next(iter(edits.values()))["changes"]
        tables = []
        for head, known in (("change, grey levels", False), ("change, known factor", True)):
            rows = [
                [name, *(self._value("latent_scaling", "edits", edit, "changes", name, form="+.2f") for edit in edits)]
                for name in quantities
                if (name in read) == known
            ]
            tables += [_table([head, *heads], rows)] if rows else []
        return "\n".join(tables)

    def _probe(self, scaling):
        rows = [
            [name, *(self._value("latent_scaling", "probe_r2", name, k, form=".2f") for k in range(2))]
            for name in scaling["probe_r2"]
        ]
        return PROBE + _table(["factor", "r², plain", "r², reconstructed"], rows)

    def _claim(self, place, row):
        def value(name, form=""):
            return self._value("latent_scaling", "claims", place, name, form=form)

        cells = [value("edit"), value("claim"), value("verdict")]
        if "mean" in row:
            cells += [f"{value('mean', '+.3g')} ± {value('standard_error', '.2g')}", value("share_true", ".0%")]
        if "best_element" in row:
            cells.append(f"x[0][{value('best_element')}], {value('best_mean', '+.2f')}")
        return cells


def _list(items):
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _table(heads, rows):
    """A table that scrolls within itself; heads and cells are HTML, and a row may lack its last cells."""
    lines = [
        f"<tr>{''.join(f'<td>{cell}</td>' for cell in [*row, *[''] * (len(heads) - len(row))])}</tr>" for row in rows
    ]
    head = f"<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>" if any(heads) else ""
    return f'<div class="scroll"><table>{head}{"".join(lines)}</table></div>'


def _tile(sheet, column, row):
    """One picture of the sheet of latent_pictures.png."""
    left, top = column * IMAGE, row * IMAGE
    file = io.BytesIO()
    sheet.crop((left, top, left + IMAGE, top + IMAGE)).save(file, format="png")
    return _data_uri(file.getvalue())


def _data_uri(png):
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # numba may be missing
        return "not installed"


if __name__ == "__main__":
    main()
