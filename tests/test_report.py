import base64
import copy
import html.parser
import inspect
import io
import itertools
import os
import re

import numba
import numpy as np
import pytest
from conftest import SMALL
from matplotlib.figure import Figure
from PIL import Image

from autoencoders import FCNAutoencoder, load_images, scale_code, train
from autoencoders.images import to_features, to_pixels
from demos import output, report
from nnlite import load_weights
from nnlite.backend import current_backend

PAPER = "https://arxiv.org/abs/1312.6114"
CONSTANTS = (  # all that holds a digit and is no result, the longer ones first
    "arXiv 1312.6114",
    "(x - x_hat)^2",
    "64 × 64 pixels of 3 colours",
    "Problem 1",
    "Problem 2",
    "N(0, I)",
    "[-1, 1]",
    "0 to 255",
    "x[0]",
    "‖² / (2σ²) + D/2 log(2πσ²)",
    "elogvar/2",
    "− 1)",
)


@pytest.fixture(scope="module")
def results(small_run):
    return small_run.results("report")


@pytest.fixture(scope="module")
def page(small_run):
    return Page((small_run.folder / "report.html").read_text())


@pytest.fixture(scope="module")
def changed(results):
    """The results, but every number is another one, which is found nowhere else."""
    counter = itertools.count(1)

    def another(value):
        if isinstance(value, dict):
            return {name: another(each) for name, each in value.items()}
        if isinstance(value, list):
            return [another(each) for each in value]
        if isinstance(value, (int, float)):
            return 3000 + next(counter) if isinstance(value, int) else round(7.0003 + 0.0307 * next(counter), 4)
        return value

    changed = another(results)
    for edit in changed["latent_scaling"]["edits"].values():
        edit["changes"]["skin"] = another(0.5)  # a factor that can be read
    noise = changed["denoising"]
    noise["trained with"] = noise["noise"][results["denoising"]["noise"].index(results["denoising"]["trained with"])]
    return changed


@pytest.fixture(scope="module")
def changed_page(changed, small_run):
    return Page(report.page(changed, small_run.folder))


class Page(html.parser.HTMLParser):
    """What a page shows: its whole `text`, and the `rows` of its tables."""

    def __init__(self, page):
        super().__init__()
        self.source, self.text, self.tags, self.links, self.rows = page, "", [], [], []
        self._open = []
        self.feed(page)
        assert self._open == []
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.links += [attributes[name] for name in ("src", "href", "srcset", "action", "data") if name in attributes]
        self.text += "".join(f" {attributes[name]} " for name in ("alt", "aria-label") if name in attributes)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
        if tag not in ("meta", "img", "br"):
            self._open.append(tag)
        if tag in ("p", "li", "td", "th", "dd", "br"):
            self.text += " "

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" not in self._open:
            self.text += data
            if "td" in self._open or "th" in self._open:
                self.rows[-1][-1] += data


def leaves(results):
    """All values of the results, and all names."""
    if isinstance(results, dict):
        return [*results, *itertools.chain(*map(leaves, results.values()))]
    return list(itertools.chain(*map(leaves, results))) if isinstance(results, list) else [results]


def unexplained(text, results):
    """The numbers of a text that are none of the results, in no format."""
    values = leaves(results)
    texts = [" ".join(value.split()) for value in values if isinstance(value, str) and re.search(r"\d", value)]
    texts += [text.partition(": ")[2] for text in texts if text.startswith("x[0]")]  # a sentence without its edit
    for known in (*sorted(texts, key=len, reverse=True), *CONSTANTS):
        text = text.replace(known, "")
    forms = ("", ",", ".1f", ".2f", ".3f", ".4f", ".5f", ".3g", "+.3g", "+.2f", "+.3f", ".0%", ".1%")
    of_results = {f"{value:{form}}" for value in values if isinstance(value, (int, float)) for form in forms}
    return [number for number in re.findall(r"[+-]?\d[\d,.]*\d%?|\d%?", text) if number not in of_results]


def test_the_report_is_made_of_report_json_and_the_pictures_alone(results, page, small_run):
    assert report.page(results, small_run.folder) == page.source


def test_every_number_of_the_report_is_one_of_the_results(changed, changed_page):
    assert len(re.findall(r"\d", changed_page.text)) > 1000
    assert unexplained(changed_page.text, changed) == []


@pytest.mark.parametrize("number", ["2", "0.0047", "1,600", "61%", "x[1]"])
def test_a_number_that_is_none_of_the_results_is_found(changed, changed_page, number):
    assert len(unexplained(f"{changed_page.text} {number} of them", changed)) == 1


def plus_minus(pair, form=".4f", error_form=".5f"):
    mean, error = pair
    return format(mean, form) if error is None else f"{mean:{form}} ± {error:{error_form}}"


def rows(results):
    """The rows of all tables of the report."""
    plain, scaled, vae = (results[name] for name in ("reconstruction", "latent_scaling", "vae_vs_vanilla"))
    noise, models, edits = results["denoising"], results["posterior_collapse"]["models"], scaled["edits"]
    areas, by_kind = results["anomaly"]["auc"], results["anomaly"]["auc by kind"]
    scores = list(areas["VAE"])
    cells = {
        of: [plus_minus(model[s], ".3f", ".3f") if s in model else "" for s in scores] for of, model in areas.items()
    }
    cells |= {
        k: [plus_minus((of["VAE"] | of["autoencoder"])[s], ".3f", ".3f") for s in scores] for k, of in by_kind.items()
    }
    changes = [
        [name, *(f"{edit['changes'][name]:+.2f}" for edit in edits.values())] for name in edits["x[0]*5"]["changes"]
    ]
    return [
        ["codes moved by", *(f"{step} std" for step in vae["moved by"])],
        *([name, *map(plus_minus, pairs)] for name, pairs in vae["error of moved codes"].items()),
        ["pictures", "to the nearest real image", "high frequencies, of real images'"],
        *(
            [name, plus_minus(pair), plus_minus(vae["high frequencies"][name], ".0%", ".1%")]
            for name, pair in vae["nearest real image"].items()
        ),
        ["reconstruction", "error"],
        *([name, plus_minus(pair)] for name, pair in vae["reconstruction"].items()),
        ["noise", *(f"{level}" for level in noise["noise"])],
        *([name, *map(plus_minus, pairs)] for name, pairs in noise["error"].items()),
        ["trained by", "KL, nats", "active elements", "error from mu"],
        *(
            [name, f"{of['kl total']:.2f}", f"{of['active']} of {of['elements']}", plus_minus(of["error"])]
            for name, of in models.items()
        ),
        ["AUC", *scores],
        *([of, *cells[of]] for of in areas),
        ["AUC", *scores],
        *([kind, *cells[kind]] for kind in by_kind),
        ["mean squared error", "pixels in [-1, 1]"],
        ["autoencoder", f"{plain['error']:.4f}"],
        [f"PCA, {plain['components']} components", f"{plain['pca']:.4f}"],
        ["mean image", f"{plain['mean image']:.4f}"],
        ["change, grey levels", *edits],
        *(row for row in changes if row[0] not in scaled["probe_r2"]),
        ["change, known factor", *edits],
        *(row for row in changes if row[0] in scaled["probe_r2"]),
        ["factor", "r², plain", "r², reconstructed"],
        *([name, f"{r2:.2f}", f"{decoded:.2f}"] for name, (r2, decoded) in scaled["probe_r2"].items()),
        ["verdict", "claim", "edit", "mean ± std. error", "true for", "most for"],
        *(
            [
                *(row[name] for name in ("verdict", "claim", "edit")),
                f"{row['mean']:+.3g} ± {row['standard_error']:.3g}" if "mean" in row else "",
                f"{row['share_true']:.0%}" if "mean" in row else "",
                f"x[0][{row['best_element']}], {row['best_mean']:+.2f}" if "best_mean" in row else "",
            ]
            for row in scaled["claims"]
        ),
        ["settings", ""],
        *([name, f"{v:,}" if name.endswith("images") else str(v)] for name, v in results["settings"].items()),
        ["versions", ""],
        *([name, version] for name, version in results["versions"].items()),
    ]


def test_each_cell_of_a_table_shows_what_its_row_and_its_column_are_named_after(changed, changed_page):
    assert changed_page.rows == rows(changed)


def sentences(results):
    plain, scaled, vae = (results[name] for name in ("reconstruction", "latent_scaling", "vae_vs_vanilla"))
    noise, collapse, run = results["denoising"], results["posterior_collapse"], results["settings"]
    found = results["anomaly"]
    default, plain_error = (found["auc"]["autoencoder"][name] for name in ("weighted unexplained", "error"))
    high = found["auc of high contrast"]
    elements = {
        picture["name"]: f"{'The element' if '][' in picture['name'] else 'Length of the code'}:"
        f" {' → '.join(f'{value:.2f}' for value in picture['code'])}."
        for picture in scaled["pictures"]
    }
    largest = {
        each["name"]: f"Largest difference to the reconstruction: {each['largest difference']:.2f}."
        for each in scaled["pictures"]
    }
    return [
        f"Trained on {run['trained on']}: {run['training images']:,} images, {run['validation images']:,} others to"
        f" validate on; epochs: {run['epochs']}.",
        f"The autoencoder’s error on validation images is {plain['error']:.4f}; that of PCA with {plain['components']}"
        f" components {plain['pca']:.4f}, of the mean image {plain['mean image']:.4f}.",
        f"D {results['model']['pixels']:,}, the values of an image",
        f"of each of the {results['model']['code']} elements of its code; k counts",
        f"over the first {vae['images']} validation images",
        f"the first {vae['real images']:,} training images. Over all validation images the VAE uses {vae['active']} of"
        f" {vae['elements']} elements of its code, {vae['kl total']:.2f} nats in all; its variance of a pixel around"
        f" the reconstruction, σ², is {vae['sigma2']:.4f}.",
        f"against the clean image, {noise['images']} validation images, ± standard error; the denoising autoencoder was"
        f" trained with noise of standard deviation {noise['trained with']}:",
        f"With the noise of its training: {noise['with noise']['sentence']} Without noise:"
        f" {noise['without noise']['sentence']}",
        f"whose error is {plus_minus(collapse['mean image'])}. Epochs under this loss: {collapse['epochs']}.",
        f"Normal are {found['images']['normal']:,} validation images, strange are",
        *(f"{count:,} {kind}" for kind, count in found["images"].items() if kind != "normal"),
        f"measured on {found['usual']:,} training images; PCA has {found['components']} components.",
        f"AUC {plus_minus(default, '.3f', '.3f')} against {plus_minus(plain_error, '.3f', '.3f')}, a difference of"
        f" {plus_minus(found['gain'], '+.3f', '.3f')}.",
        *(f"In {area:.0%} of such pairs the" for of in high.values() for area, _ in of.values()),
        f"a default score above {found['threshold']:.3g}.",
        f"drawn from the trained model: {results['model']['parameters']:,} parameters.",
        f"After the first epoch the validation error is {results['history']['validation_loss'][0]:.4f}, after the last"
        f" {plain['error']:.4f}.",
        f"over {plain['images']} validation images; PCA is fitted on {plain['fitted']:,} training images:",
        f"over {scaled['faces']} validation images, each against its own reconstruction:",
        f"It took {results['seconds']:.1f} s.",
        f"original {largest['original']}",
        f"reconstruction {elements['reconstruction']}",
        *(
            f"{name} {edit['sentence'].removeprefix(f'{name}: ')} {elements[name]} {largest[name]}"
            for name, edit in scaled["edits"].items()
        ),
        *(
            " ".join([*(each["sentence"] for each in vae[kind]), f"Verdict: {conclusion}"])
            for kind, conclusion in zip(("advantages", "disadvantages"), vae["conclusions"])
        ),
        scaled["conclusion"],
        results["command"],
        *(" ".join(results["model"][name].split()) for name in ("printed", "summary")),
        " ".join(vae["summary"].split()),
    ]


def test_each_number_in_a_sentence_stands_where_the_sentence_says(changed, changed_page):
    assert [sentence for sentence in sentences(changed) if sentence not in changed_page.text] == []


def test_the_table_that_ends_a_run_shows_each_error_behind_its_name(changed, small_run, results):
    plain, vae, noise = (changed[name] for name in ("reconstruction", "vae_vs_vanilla", "denoising"))
    level = noise["noise"].index(noise["trained with"])
    with_noise = f"of images with noise of {noise['trained with']}"
    assert report.errors(changed).rows == [
        ["autoencoder", f"{plain['error']:.4f}"],
        [f"PCA, {plain['components']} components", f"{plain['pca']:.4f}"],
        ["mean image", f"{plain['mean image']:.4f}"],
        [f"autoencoder, first {vae['images']} images", plus_minus(vae["reconstruction"]["vanilla"])],
        [f"VAE, first {vae['images']} images", plus_minus(vae["reconstruction"]["VAE"])],
        [f"VAE, sampled, first {vae['images']} images", plus_minus(vae["reconstruction"]["VAE, sampled"])],
        [f"autoencoder, {with_noise}", plus_minus(noise["error"]["vanilla"][level])],
        [f"denoising autoencoder, {with_noise}", plus_minus(noise["error"]["denoising"][level])],
    ]
    assert output.markdown([report.errors(results)]) in small_run.out


@pytest.mark.parametrize("name", report.BY_NAME)
def test_terminal_and_markdown_say_what_the_report_says(small_run, page, name):
    heading, *said = (small_run.folder / f"{name}.md").read_text().strip().split("\n\n")
    printed = [block for block in said if not block.startswith("![")]
    assert heading.startswith("# ") and "\n\n".join(printed) in small_run.out
    blocks = [block for block in printed if not block.startswith("## ")]
    tables = [block.splitlines() for block in blocks if block.startswith("| ")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for head, _, *rest in tables for line in (head, *rest)]
    assert rows in [page.rows[start : start + len(rows)] for start in range(len(page.rows))]
    for block in blocks:
        for text in block.removeprefix("- ").split("\n- ") if block[:2] != "| " else ():
            text = " ".join(text.split())
            assert text in page.text or text.replace(": ", " ", 1) in page.text  # under a picture, its name is bold


def numbers(*texts):
    text = " ".join(texts)
    for constant in CONSTANTS:
        text = text.replace(constant, "")
    return set(re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text))


def numbers_in(figure):
    """Those of its texts, but for the ticks."""
    texts = list(figure.texts)
    for axis in figure.axes:
        texts += [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts]
        texts += axis.get_legend().get_texts() if axis.get_legend() else []
    return numbers(*(text.get_text() for text in texts))


def test_every_number_in_a_figure_of_the_report_is_that_of_the_json(small_run, page, results):
    plain, vae, noise = (results[name] for name in ("reconstruction", "vae_vs_vanilla", "denoising"))
    level = f"{noise['trained with']}"
    errors = {f"{plain[name]:.4f}" for name in ("error", "pca", "mean image")}
    expected = {name: set() for name in ("vae_interpolation.png", "vae_samples.png", "vae_error.png")}
    expected |= {name: set() for name in ("vae_reconstruction.png", "denoising_error.png", "posterior_collapse.png")}
    expected |= {name: set() for name in ("anomaly_histograms.png", "anomaly_roc.png")}
    found = results["anomaly"]
    expected |= {
        "learning_curve.png": errors | {f"{plain['components']}"},
        "reconstruction.png": {f"{error:.4f}" for error in plain["first errors"]},
        "vae_moved.png": {f"{k}" for k in vae["moved by"]},
        "denoising.png": {level},
        "anomaly_mistakes.png": {f"{each:.3g}" for each in found["strangest normal"] + found["most normal strange"]},
    }
    summaries = {
        "fcn_architecture.png": numbers(results["model"]["summary"]),
        "denoising_architecture.png": numbers(results["model"]["summary"]) | {level},
        "vae_architecture.png": numbers(vae["summary"]),
    }
    assert {name: numbers_in(small_run.figures[name]) for name in expected} == expected
    assert all(numbers_in(small_run.figures[name]) <= summary for name, summary in summaries.items())
    files = {name: base64.b64encode((small_run.folder / name).read_bytes()).decode() for name in small_run.figures}
    shown = {name for name, encoded in files.items() if f"data:image/png;base64,{encoded}" in page.links}
    assert shown == {*expected, *summaries}


def test_the_numbers_in_a_figure_are_those_of_every_text_but_the_ticks():
    figure = Figure()
    figure.text(0, 0, "1,600 images")
    axis = figure.subplots()
    axis.plot([70, 80], label="0.5")
    axis.legend()
    axis.text(0, 70, "N(0, I), 6")
    axis.set(title="2", xlabel="3", ylabel="4, pixels in [-1, 1]")
    assert numbers_in(figure) == {"1,600", "0.5", "6", "2", "3", "4"}


def test_report_json_holds_what_the_demos_wrote(small_run, results):
    for name in ("reconstruction", "latent_scaling", "vae_vs_vanilla", "denoising", "posterior_collapse"):
        assert small_run.results(name) == results[name]
    assert results["settings"]["seed"] == 0 and results["settings"]["training images"] == 180
    assert results["command"].endswith(f"python -m demos {' '.join(SMALL)} --out {small_run.folder}")
    assert results["history"] == small_run.results("fcn")["history"]


def test_the_report_says_what_the_run_was_trained_by_and_ran_on(results):
    assert results["settings"]["learning rate of the first epoch"] == inspect.signature(train).parameters["lr"].default
    threads = {"numba": numba.get_num_threads(), "numpy": "as many as NumPy's BLAS takes"}
    assert results["settings"]["threads"] == threads[current_backend()]
    assert f"{os.cpu_count()} cores" in results["settings"]["processor"]
    assert {"nnlite", "numpy", "pillow"} < set(results["versions"])


def test_each_edit_is_shown_by_its_picture_and_by_its_difference_to_the_reconstruction(small_run, page, results):
    model = FCNAutoencoder(rng=np.random.default_rng(0))
    load_weights(small_run.folder / "fcn.npz", model)
    rng, _ = np.random.default_rng(0).spawn(2)
    _, validation = load_images(count=200, rng=rng).split(rng)
    original = to_features(validation[:1])
    code = model.encoder(original)
    pictures = {"original": original, "reconstruction": model.decoder(code)}
    for name in results["latent_scaling"]["edits"]:
        element, factor = re.fullmatch(r"x\[0\](?:\[(\d+)\])?(.5)", name).groups()
        edited = scale_code(code, {"*5": 5, "/5": 1 / 5}[factor], element and int(element))
        pictures[name] = model.decoder(edited)
    tile = (
        '<figure><img src="data:image/png;base64,([^"]+)" alt="The picture"><img src="data:image/png;base64,([^"]+)"'
        ' alt="Its difference to the reconstruction"><figcaption><b>(.*?)</b>'
    )
    shown = re.findall(tile, page.source)
    assert [name for *_, name in shown] == list(pictures)
    for *pngs, name in shown:
        difference = pictures[name] - pictures["reconstruction"]
        for expected, png in zip((pictures[name], difference / (np.abs(difference).max() or 1)), pngs):
            pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))), int)
            assert np.abs(pixels - to_pixels(expected)[0]).max() <= 1, name


def test_the_report_is_one_file_without_scripts(page):
    assert "script" not in page.tags and "link" not in page.tags and "iframe" not in page.tags
    assert {link for link in page.links if not link.startswith(("data:image/png;base64,", "#"))} == {
        PAPER,
        "explore.html",
    }
    assert not re.search(r"@import|url\(|\son\w+=", page.source)


def test_what_a_file_is_called_is_text_in_the_report(small_run, results):
    hostile = "<script>alert(1)</script>\"'&${seed}"
    named = copy.deepcopy(results) | {"command": hostile}
    named["settings"]["trained on"] = hostile
    written = Page(report.page(named, small_run.folder))
    assert written.text.count(hostile) == 3 and "script" not in written.tags


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_the_report_within_its_window_and_asks_nobody_for_anything(browser, small_run, width, scheme):
    assert browser.open(small_run.folder / "report.html", width, scheme) == []
    bright = browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert bright == (scheme == "light")


@pytest.mark.slow
def test_on_a_phone_the_verdicts_are_in_sight(browser, small_run):
    browser.open(small_run.folder / "report.html", 360, "light")
    cells = "document.querySelectorAll('[aria-label=verdict] td:first-child')"
    right = f"[...{cells}].map(each => each.getBoundingClientRect().right)"
    assert browser.evaluate(f"{right}.length") == 10 and browser.evaluate(f"Math.max(...{right})") < 360


@pytest.mark.slow
def test_on_a_desktop_nothing_needs_to_be_scrolled(browser, small_run):
    browser.open(small_run.folder / "report.html", 1280, "light")
    cut = "[...document.querySelectorAll('.table, .mat')].filter(each => each.scrollWidth > each.clientWidth)"
    assert browser.evaluate(f"{cut}.length") == 0


@pytest.mark.slow
def test_what_scrolls_is_a_named_region_that_the_keyboard_reaches(browser, small_run):
    browser.open(small_run.folder / "report.html", 360, "light")
    wider = "[...document.querySelectorAll('body *')].filter(each => getComputedStyle(each).overflowX == 'auto')"
    reached = "each.tabIndex == 0 && each.role == 'region' && each.ariaLabel"
    assert browser.evaluate(f"{wider}.length") > 20 and browser.evaluate(f"{wider}.every(each => {reached})")


WRONG = {
    "<script>console.error('no')</script>": ["Runtime.consoleAPICalled"],
    "<script>throw new Error('no')</script>": ["Runtime.exceptionThrown"],
    "<link rel=stylesheet href='http://127.0.0.1:9/a.css'>": ["http://127.0.0.1:9/a.css", "Log.entryAdded"],
    "<div style='width: 2000px'>wide</div>": ["2000 pixels wide"],
    "<img src='data:image/png;base64,no'>": ["a picture is missing"],
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_with_a_page_is_found(browser, tmp_path, fault):
    (tmp_path / "wrong.html").write_text(f"<!DOCTYPE html><body style='margin: 0'>{fault}")
    assert browser.open(tmp_path / "wrong.html", 1280, "light") == WRONG[fault]
