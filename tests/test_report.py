import base64
import html.parser
import io
import json
import re
import shutil
import subprocess
import threading

import numpy as np
import pytest
from PIL import Image

from autoencoders import FCNAutoencoder, load_images
from autoencoders.images import to_features, to_pixels
from demos import latent_scaling, report
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


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The folder of a tiny run that ends in a report."""
    folder = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latent_scaling, "PROBE_FACES", 100)
        report.main(["--images", "24", "--epochs", "1", "--out", str(folder)])
    return folder


@pytest.fixture(scope="module")
def results(out):
    return json.loads((out / "report.json").read_text())


@pytest.fixture(scope="module")
def page(out):
    return (out / "report.html").read_text()


class Page(html.parser.HTMLParser):
    """What a page shows: `marked`, [pointer, format, text] of each <data>, and `text`, all else that can be read."""

    def __init__(self, page):
        super().__init__()
        self.marked, self.text, self.tags, self.links = [], "", [], []
        self._open = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.links += [attributes[name] for name in ("src", "href", "srcset", "action", "data") if name in attributes]
        self.text += attributes.get("alt", "")
        if tag == "data":
            self.marked.append([attributes["value"], attributes["data-format"], ""])
        if tag not in ("meta", "img", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "data" in self._open:
            self.marked[-1][2] += data
        elif "style" not in self._open:
            self.text += re.sub(r"\s+", " ", data)


def at(results, pointer):
    """The value that a JSON pointer (RFC 6901) names."""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        results = results[int(step)] if isinstance(results, list) else results[step]
    return results


def faults(page, results):
    """What in a page is not as in the results: marked values that differ, and digits that are not marked."""
    page = Page(page)
    wrong = [(pointer, text) for pointer, form, text in page.marked if format(at(results, pointer), form) != text]
    text = page.text
    for constant in CONSTANTS:
        text = text.replace(constant, "")
    return wrong + re.findall(r".{,20}\d.{,20}", text)


def test_every_number_and_sentence_of_the_report_is_that_of_the_json(page, results):
    assert faults(page, results) == []
    marked = {pointer: text for pointer, _, text in Page(page).marked}
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


def test_a_number_that_is_wrong_or_not_marked_is_found(page, results):
    shown = f"{results['reconstruction']['error']:.4f}"
    for wrong in (
        page.replace(f">{shown}<", ">0.0001<", 1),
        page.replace("</section>", f"<p>{shown}</p></section>", 1),
        page.replace("</section>", "<p>2 of 3</p></section>", 1),
        page.replace(" (+", " (-", 1),
    ):
        assert wrong != page and len(faults(wrong, results)) == 1
    changed = json.loads(json.dumps(results))
    changed["reconstruction"]["error"] += 1
    assert ("/reconstruction/error", shown) in faults(page, changed)


def test_the_report_holds_what_the_demos_wrote(out, results):
    for name in ("reconstruction", "latent_scaling", "vae_vs_vanilla", "denoising", "posterior_collapse"):
        assert np.all(json.loads((out / f"{name}.json").read_text()) == results[name])
    assert results["settings"]["seed"] == 0 and results["settings"]["training images"] == 22
    assert results["command"] == f"python -m demos.report --images 24 --epochs 1 --out {out}"
    assert results["history"] == json.loads((out / "fcn.json").read_text())["history"]


def test_an_edit_is_shown_by_its_picture_and_by_its_difference_to_the_reconstruction(out, page, results):
    model = FCNAutoencoder(rng=np.random.default_rng(0))
    load_weights(out / "fcn.npz", model)
    rng, _ = np.random.default_rng(0).spawn(2)
    _, validation = load_images(count=24, rng=rng).split(rng)
    code = model.encoder(to_features(validation[:1]))
    plain, picture = model.decoder(code), model.decoder(code / 5)
    difference = (picture - plain) / np.abs(picture - plain).max()
    assert results["latent_scaling"]["pictures"][-1]["name"] == "x[0]/5"
    shown = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="(?:The picture|Its difference)', page)[-2:]
    for expected, png in zip((picture, difference), shown):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))), int)
        assert np.abs(pixels - to_pixels(expected)[0]).max() <= 1


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
