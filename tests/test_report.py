import base64
import html.parser
import inspect
import io
import json
import os
import re
import shutil
import subprocess
import threading

import numba
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from autoencoders import FCNAutoencoder, load_images, scale_code, train
from autoencoders.images import to_features, to_pixels
from demos import latent_scaling, output, report
from nnlite import load_weights

CHROMIUM = shutil.which("chromium")
PAPER = "https://arxiv.org/abs/1312.6114"
CONSTANTS = (  # all that may hold a digit without being marked, the longer ones first
    "arXiv 1312.6114",
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


AROUND_A_HUNDREDTH = re.compile("error|_loss|pca|mean image|sigma2|nearest|vanilla/reconstruction|learning rate")


@pytest.fixture(scope="module")
def figures():
    """{file name: Figure} of the run, once `out` has made it."""
    return {}


@pytest.fixture(scope="module")
def out(tmp_path_factory, figures):
    """The folder of a tiny run that ends in a report."""
    folder = tmp_path_factory.mktemp("out")
    save_figure = output.save_figure

    def save_and_keep(options, name, figure):
        figures[name] = figure
        save_figure(options, name, figure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latent_scaling, "PROBE_FACES", 100)
        for module in (output, report, *report.DEMOS):
            patch.setattr(module, "save_figure", save_and_keep, raising=False)
        report.main(["--images", "24", "--epochs", "1", "--out", str(folder)])
    return folder


@pytest.fixture(scope="module")
def results(out):
    return json.loads((out / "report.json").read_text())


@pytest.fixture(scope="module")
def page(out):
    return (out / "report.html").read_text()


class Page(html.parser.HTMLParser):
    """What a page shows: `marked`, [pointer, text] of each <data>, and `text`, all else that can be read."""

    def __init__(self, page):
        super().__init__()
        self.marked, self.text, self.tags, self.links, self.rows = [], "", [], [], []
        self._open = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.links += [attributes[name] for name in ("src", "href", "srcset", "action", "data") if name in attributes]
        self.text += attributes.get("alt", "") + attributes.get("aria-label", "")
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append([])
        if tag == "data":
            self.marked.append([attributes["value"], ""])
            if "td" in self._open or "th" in self._open:
                self.rows[-1][-1].append(attributes["value"])
        if tag not in ("meta", "img", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "data" in self._open:
            self.marked[-1][1] += data
        elif "style" not in self._open:
            self.text += re.sub(r"\s+", " ", data)
            if "td" in self._open:
                self.rows[-1][-1].append(data)


def at(results, pointer):
    """The value that a JSON pointer (RFC 6901) names."""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        results = results[int(step)] if isinstance(results, list) else results[step]
    return results


def agrees(text, value, pointer):
    """Whether a text is a value of the results; a number: a count exactly, any other to 1 % or 0.005 of its unit."""
    if isinstance(value, str):
        return text == value
    try:
        shown = float(text.replace(",", "").removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return False
    if isinstance(value, int):
        return shown == value
    unit = 0.01 if AROUND_A_HUNDREDTH.search(pointer) else 1
    return abs(shown - value) <= max(0.01 * abs(value), 0.005 * unit)


def without_constants(text):
    for constant in CONSTANTS:
        text = text.replace(constant, "")
    return text


def faults(page, results):
    """What in a page is not as in the results: marked values that differ, and digits that are not marked."""
    page = Page(page)
    wrong = [(pointer, text) for pointer, text in page.marked if not agrees(text, at(results, pointer), pointer)]
    return wrong + re.findall(r".{,20}\d.{,20}", without_constants(page.text))


def misplaced(page):
    """Rows of tables that begin with another name than that of what they show; of claims, those of several."""
    wrong = []
    for row in Page(page).rows:
        if not row[0]:
            continue
        pointers, name = [each for cell in row for each in cell if each.startswith("/")], row[0][0]
        step = name.split("/")[3] if name.startswith("/") else name.replace("/", "~1")
        if not pointers or not all(step in pointer.split("/") for pointer in pointers):
            wrong.append(name)
    return wrong


def numbers(*texts):
    return {number for text in texts for number in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", without_constants(text))}


def numbers_in(figure):
    """Those of its texts, but for the ticks."""
    texts = list(figure.texts)
    for axis in figure.axes:
        texts += [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts]
        texts += axis.get_legend().get_texts() if axis.get_legend() else []
    return numbers(*(text.get_text() for text in texts))


def test_every_number_and_sentence_of_the_report_is_that_of_the_json(page, results):
    assert faults(page, results) == []
    marked = dict(Page(page).marked)
    for name, edit in results["latent_scaling"]["edits"].items():
        name = name.replace("/", "~1")
        assert marked[f"/latent_scaling/edits/{name}/sentence"] == edit["sentence"]
        assert all(f"/latent_scaling/edits/{name}/changes/{quantity}" in marked for quantity in edit["changes"])
    for place, claim in enumerate(results["latent_scaling"]["claims"]):
        assert all(f"/latent_scaling/claims/{place}/{key}" in marked for key in claim)
    for kind in ("advantages", "disadvantages"):
        for place, each in enumerate(results["vae_vs_vanilla"][kind]):
            assert marked[f"/vae_vs_vanilla/{kind}/{place}/sentence"] == each["sentence"]
    assert {f"/vae_vs_vanilla/conclusions/{place}" for place in range(2)} < set(marked)
    for part in ("settings", "versions"):
        assert {f"/{part}/{name}" for name in results[part]} < set(marked)
    assert {"/seconds", "/command", "/reconstruction/error", "/model/printed"} < set(marked)


def test_each_row_of_a_table_shows_what_it_is_named_after(page):
    assert misplaced(page) == [] and len(Page(page).rows) > 60
    assert misplaced(page.replace("<td>VAE</td>", "<td>vanilla</td>", 1)) == ["vanilla"]


def test_in_short_each_number_stands_behind_its_name(page, results):
    (said,) = re.findall(r"<li>(The autoencoder’s error.*?)</li>", page, re.S)
    plain = results["reconstruction"]
    assert " ".join(re.sub("<.*?>", "", said).split()) == (
        f"The autoencoder’s error on validation images is {plain['error']:.4f}; that of PCA with {plain['components']}"
        f" components {plain['pca']:.4f}, of the mean image {plain['mean image']:.4f}."
    )


def test_the_table_that_ends_a_run_shows_each_error_behind_its_name(results):
    plain, vae, noise = (results[name] for name in ("reconstruction", "vae_vs_vanilla", "denoising"))
    level = noise["noise"].index(noise["trained with"])
    expected = {
        "autoencoder": plain["error"],
        f"PCA, {plain['components']} components": plain["pca"],
        "mean image": plain["mean image"],
        "autoencoder, first 2 images": vae["reconstruction"]["vanilla"][0],
        "VAE, first 2 images": vae["reconstruction"]["VAE"][0],
        "VAE, sampled, first 2 images": vae["reconstruction"]["VAE, sampled"][0],
        "autoencoder, of images with noise of 0.5": noise["error"]["vanilla"][level][0],
        "denoising autoencoder, of images with noise of 0.5": noise["error"]["denoising"][level][0],
    }
    _, *rows = output.Markdown(results).cells(report._errors(results))
    assert {name: shown.split(" ± ")[0] for name, shown in rows} == {k: f"{v:.4f}" for k, v in expected.items()}


def test_a_number_that_is_wrong_or_not_marked_is_found(page, results):
    shown = f"{results['reconstruction']['error']:.4f}"
    for wrong in (
        page.replace(f">{shown}<", ">0.0001<", 1),
        page.replace("</section>", f"<p>{shown}</p></section>", 1),
        page.replace("</section>", "<p>2 of 3</p></section>", 1),
        page.replace(" (+", " (-", 1),
        page.replace(f'data-format=".4f">{shown}<', 'data-format=".0f">0<', 1),
    ):
        assert wrong != page and len(faults(wrong, results)) == 1
    changed = json.loads(json.dumps(results))
    changed["reconstruction"]["error"] += 1
    assert ("/reconstruction/error", shown) in faults(page, changed)


@pytest.mark.parametrize(
    "text, value, pointer, expected",
    [
        ("0.0047", 0.00466, "/reconstruction/error", True),
        ("0.005", 0.0047, "/reconstruction/error", False),
        ("0", 0.0047, "/reconstruction/error", False),
        ("+0.29", 0.2949, "/latent_scaling/edits/x[0]*5/changes/smile", True),
        ("+0", 0.2949, "/latent_scaling/edits/x[0]*5/changes/smile", False),
        ("-0.29", 0.2949, "/latent_scaling/edits/x[0]*5/changes/smile", False),
        ("61%", 0.6141, "/latent_scaling/claims/0/share_true", True),
        ("61", 0.6141, "/latent_scaling/claims/0/share_true", False),
        ("3,600", 3600, "/settings/training images", True),
        ("3,599", 3600, "/settings/training images", False),
        ("0.0047 or so", 0.0047, "/reconstruction/error", False),
    ],
)
def test_a_shown_number_is_judged_by_its_value_and_not_by_its_format(text, value, pointer, expected):
    assert agrees(text, value, pointer) == expected


def test_every_number_in_a_figure_of_the_report_is_that_of_the_json(out, page, figures, results):
    plain, vae, noise = (results[name] for name in ("reconstruction", "vae_vs_vanilla", "denoising"))
    level = f"{noise['trained with']}"
    errors = {f"{plain[name]:.4f}" for name in ("error", "pca", "mean image")}
    expected = {name: set() for name in ("vae_interpolation.png", "vae_samples.png", "vae_error.png")}
    expected |= {name: set() for name in ("vae_reconstruction.png", "denoising_error.png", "posterior_collapse.png")}
    expected |= {
        "learning_curve.png": errors | {f"{plain['components']}"},
        "reconstruction.png": {f"{error:.4f}" for error in plain["first errors"]},
        "vae_moved.png": {f"{k}" for k in vae["moved by"]},
        "denoising.png": {level},
    }
    summaries = {
        "fcn_architecture.png": numbers(results["model"]["summary"]),
        "denoising_architecture.png": numbers(results["model"]["summary"]) | {level},
        "vae_architecture.png": numbers(vae["summary"]),
    }
    assert {name: numbers_in(figures[name]) for name in expected} == expected
    assert all(numbers_in(figures[name]) <= summary for name, summary in summaries.items())
    shown = {name for name in figures if base64.b64encode((out / name).read_bytes()).decode() in page}
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


def test_the_report_holds_what_the_demos_wrote(out, results):
    for name in ("reconstruction", "latent_scaling", "vae_vs_vanilla", "denoising", "posterior_collapse"):
        assert json.loads((out / f"{name}.json").read_text()) == results[name]
    assert results["settings"]["seed"] == 0 and results["settings"]["training images"] == 22
    assert results["command"] == f"python -m demos.report --images 24 --epochs 1 --out {out}"
    assert results["history"] == json.loads((out / "fcn.json").read_text())["history"]


def test_the_report_says_what_the_run_was_trained_by_and_ran_on(results):
    assert results["settings"]["learning rate of the first epoch"] == inspect.signature(train).parameters["lr"].default
    assert results["settings"]["threads"] == numba.get_num_threads()
    assert f"{os.cpu_count()} cores" in results["settings"]["processor"]
    assert {"nnlite", "numpy", "pillow"} < set(results["versions"])


def test_thousands_of_images_are_set_apart_by_commas(out, results):
    many = results | {"settings": results["settings"] | {"training images": 3600}}
    assert report.page(many, out).count(">3,600<") == 2


def test_each_edit_is_shown_by_its_picture_and_by_its_difference_to_the_reconstruction(out, page, results):
    model = FCNAutoencoder(rng=np.random.default_rng(0))
    load_weights(out / "fcn.npz", model)
    rng, _ = np.random.default_rng(0).spawn(2)
    _, validation = load_images(count=24, rng=rng).split(rng)
    original = to_features(validation[:1])
    code = model.encoder(original)
    pictures = {"original": original, "reconstruction": model.decoder(code)}
    for name in results["latent_scaling"]["edits"]:
        element, factor = re.fullmatch(r"x\[0\](?:\[(\d+)\])?(.5)", name).groups()
        edited = scale_code(code, {"*5": 5, "/5": 1 / 5}[factor], element and int(element))
        pictures[name] = model.decoder(edited)
    shown = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="(?:The picture|Its difference)', page)
    assert [each["name"] for each in results["latent_scaling"]["pictures"]] == list(pictures)
    for name, *pngs in zip(pictures, shown[::2], shown[1::2]):
        difference = pictures[name] - pictures["reconstruction"]
        for expected, png in zip((pictures[name], difference / (np.abs(difference).max() or 1)), pngs):
            pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))), int)
            assert np.abs(pixels - to_pixels(expected)[0]).max() <= 1, name


def test_the_report_is_one_file_without_scripts(page):
    parsed = Page(page)
    assert "script" not in parsed.tags and "link" not in parsed.tags and "iframe" not in parsed.tags
    assert {link for link in parsed.links if not link.startswith(("data:image/png;base64,", "#"))} == {PAPER}
    assert not re.search(r"@import|url\(|\son\w+=", page)


def test_what_a_file_is_called_is_text_in_the_report(out, results):
    hostile = "<script>alert(1)</script>\"'&${seed}"
    named = results | {"settings": results["settings"] | {"trained on": hostile}, "command": hostile}
    written = report.page(named, out)
    assert faults(written, named) == [] and "script" not in Page(written).tags


class Browser:
    """Headless Chromium over its DevTools protocol: messages of JSON, each ended by a zero byte, over two pipes."""

    def __init__(self, profile):
        command = 'exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>&2'
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        ]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(["sh", "-c", command, CHROMIUM, *options], **pipes)
        self._watchdog = threading.Timer(120, self.process.kill)  # a browser that does not answer is an error, no wait
        self._watchdog.start()
        self.events, self._number, self._session = [], 0, {}
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")

    def do(self, method, **parameters):
        """The result of a command; events that come before it are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | self._session
        self.process.stdin.write(json.dumps(message).encode() + b"\0")
        self.process.stdin.flush()
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self):
        message = bytearray()
        while (byte := self.process.stdout.read(1)) != b"\0":
            assert byte, "chromium has ended"
            message += byte
        return json.loads(message)

    def open(self, path, width, scheme):
        """Open a page, and return what is wrong with it: what it logged, asked for, or drew beyond the window."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500)
        self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.do("Page.navigate", url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())
        wrong = []
        drawn = self.evaluate("document.documentElement.scrollWidth")
        complete = self.evaluate("[...document.images].every(image => image.complete && image.naturalWidth)")
        for event in self.events:
            url = event.get("params", {}).get("request", {}).get("url", "data:")
            if event["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
                wrong.append(event["method"])
            elif (
                event["method"] == "Network.requestWillBeSent" and not url.startswith("data:") and url != path.as_uri()
            ):
                wrong.append(url)
        if drawn > width:
            wrong.append(f"{drawn} pixels wide")
        if not complete:
            wrong.append("a picture is missing")
        return wrong

    def evaluate(self, expression):
        return self.do("Runtime.evaluate", expression=expression)["result"]["value"]

    def close(self):
        self._watchdog.cancel()
        self.do("Browser.close")
        self.process.communicate(timeout=30)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("wants chromium, Debian's package of that name")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_the_report_within_its_window_and_asks_nobody_for_anything(browser, out, width, scheme):
    assert browser.open(out / "report.html", width, scheme) == []
    bright = browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert bright == (scheme == "light")


def test_on_a_phone_the_verdicts_are_in_sight(browser, out):
    browser.open(out / "report.html", 360, "light")
    right = "[...document.querySelectorAll('[value$=\"/verdict\"]')].map(each => each.getBoundingClientRect().right)"
    assert browser.evaluate(f"{right}.length") == 10 and browser.evaluate(f"Math.max(...{right})") < 360


def test_on_a_desktop_nothing_needs_to_be_scrolled(browser, out):
    browser.open(out / "report.html", 1280, "light")
    cut = "[...document.querySelectorAll('.table, .mat')].filter(each => each.scrollWidth > each.clientWidth)"
    assert browser.evaluate(f"{cut}.length") == 0


def test_what_scrolls_is_a_named_region_that_the_keyboard_reaches(browser, out):
    browser.open(out / "report.html", 360, "light")
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


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_with_a_page_is_found(browser, tmp_path, fault):
    (tmp_path / "wrong.html").write_text(f"<!DOCTYPE html><body style='margin: 0'>{fault}")
    assert browser.open(tmp_path / "wrong.html", 1280, "light") == WRONG[fault]
