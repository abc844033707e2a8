import base64
import json
import re
import shutil
import webbrowser

import numpy as np
import pytest
from conftest import CHROMIUM, SMALL
from PIL import Image

from autoencoders import VAE, FCNAutoencoder, make_faces, scale_code
from autoencoders.images import to_features, to_pixels
from autoencoders.measurements import changes, measure
from demos import explore
from nnlite import load_weights

MODELS = ["autoencoder", "VAE"]
WINDOWS = [(width, scheme) for width in (360, 800, 1600) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def out(small_run, tmp_path_factory):
    """A folder with the weights of `python -m demos`, and the page of these."""
    folder = tmp_path_factory.mktemp("explore")
    for name in ("fcn", "vae"):
        for kind in ("npz", "json"):
            shutil.copy(small_run.folder / f"{name}.{kind}", folder)
    explore.main([*SMALL, "--quiet", "--out", str(folder)])
    return folder


@pytest.fixture(scope="module")
def spaces(out):
    """{model: (encode, decode)}"""
    fcn, vae = FCNAutoencoder(rng=np.random.default_rng(0)), VAE(rng=np.random.default_rng(0))
    load_weights(out / "fcn.npz", fcn)
    load_weights(out / "vae.npz", vae)
    return {"autoencoder": (fcn.encoder, fcn.decoder), "VAE": (lambda x: vae.encode(x)[0], vae.decode)}


@pytest.fixture(scope="module")
def opened(browser, out):
    assert browser.open(out / "explore.html", 1280) == []
    return browser


@pytest.fixture
def page(opened):
    """The page as it is when it opens."""
    opened.evaluate('clearTimeout(writing); history.replaceState(null, "", "#"); readAddress(); show()')
    opened.events.clear()
    yield opened
    opened.evaluate("0")  # reads the events until here
    by_tests = "getImageData"  # which Chromium advises against, as often as these tests read pixels
    assert [event for event in opened.complaints() if by_tests not in str(event)] == []


def data_of(out):
    text = (out / "explore.html").read_text()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])


def shown(page, canvas="picture"):
    """The pixels of a canvas, (64, 64, 3)."""
    data = f'document.getElementById("{canvas}").getContext("2d").getImageData(0, 0, 64, 64).data'
    pixels = base64.b64decode(page.evaluate(f"btoa(String.fromCharCode(...{data}))"))
    return np.frombuffer(pixels, np.uint8).reshape(64, 64, 4)[:, :, :3].astype(int)


def code_of(page):
    return np.array(page.evaluate("[...state.code]"), np.float32)[None]


def move(page, slider, value):
    page.evaluate(f'{{ const it = $("{slider}"); it.value = {value}; it.dispatchEvent(new Event("input")); }}')


def click(page, button):
    page.evaluate(f'$("{button}").click()')


def assert_shows(page, spaces, code=None):
    """The picture is the decoder's of the code, within 2 grey levels, and so is that of the image's own code."""
    _, decode = spaces[page.evaluate("state.model")]
    assert code is None or np.allclose(code_of(page), code, rtol=1e-5, atol=1e-6)
    assert np.abs(shown(page) - to_pixels(decode(code_of(page)))[0]).max() <= 2


def codes(spaces, model):
    """50 codes (50, Z) of other faces than those in the page: plain, with an element times 5, all times 5, all by 5."""
    rng = np.random.default_rng(7)
    plain = spaces[model][0](to_features(make_faces(50, rng)[0]))
    plain[10:20] = [scale_code(code[None], 5, k)[0] for k, code in enumerate(plain[10:20])]
    plain[20:35], plain[35:] = 5 * plain[20:35], plain[35:] / 5
    return plain


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_the_page_paints_and_measures_what_python_does(page, spaces, model):
    decode = spaces[model][1]
    page.evaluate(f'state.model = "{model}"')
    plain = decode(np.array(page.evaluate("[...codeOf(0)]"), np.float32)[None])
    for code in codes(spaces, model):
        page.evaluate(f"state.code = Float32Array.from({code.tolist()}); show()")
        picture = decode(code[None])
        assert np.abs(shown(page) - to_pixels(picture)[0]).max() <= 2
        reconstruction = "decode(models[state.model], codeOf(0))"
        found = page.evaluate(f"measure(decode(models[state.model], state.code), {reconstruction})")
        wanted = measure(picture, plain) | {"distance": changes(picture, plain, plain)["distance"]}
        for name in explore.QUANTITIES:
            assert found[name] == pytest.approx(wanted[name][0], rel=0.01, abs=1e-3), name
            assert float(page.evaluate(f'$("{name}-after").textContent')) == pytest.approx(found[name], abs=0.051)


@pytest.mark.slow
def test_a_move_takes_less_than_33_ms(page):
    times = page.evaluate(
        "Array.from({ length: 30 }, (_, k) => { const start = performance.now();"
        ' const slider = $("slider-3"); slider.value = k / 10; slider.dispatchEvent(new Event("input"));'
        " return performance.now() - start; })"
    )
    assert np.median(times) < 33


@pytest.mark.slow
@pytest.mark.parametrize("width, scheme", WINDOWS)
def test_the_page_fits_its_window_and_asks_nobody_for_anything(browser, out, width, scheme):
    assert browser.open(out / "explore.html", width, scheme) == []
    bright = browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert bright == (scheme == "light")
    overlapping = """(() => {
        const names = "label, button, canvas, figcaption, table, .buttons > span, h1, p";
        const parts = [...document.querySelectorAll(names)];
        const boxes = parts.map((part) => part.getBoundingClientRect());
        return boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) => a.left < b.right - 1 && b.left < a.right - 1
            && a.top < b.bottom - 1 && b.top < a.bottom - 1).map((b) => parts[i].textContent)); })()"""
    assert browser.evaluate(overlapping) == []


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_sliders_and_buttons_edit_the_code(page, spaces, model):
    page.evaluate(f'document.querySelector("[value={model}]").click()')
    plain = code_of(page)
    assert_shows(page, spaces)
    move(page, "slider-7", 0.25)
    code = plain.copy()
    code[0, 7] = 0.25
    assert_shows(page, spaces, code)
    click(page, "element-times-5")
    code[0, 7] = 1.25
    assert_shows(page, spaces, code)
    for button, factor in (("code-times-5", 5), ("code-by-5", 1 / 5), ("code-by-5", 1 / 5)):
        click(page, button)
        code = code * factor
        assert_shows(page, spaces, code)
    click(page, "reset")
    assert_shows(page, spaces, plain)


@pytest.mark.slow
def test_images_and_the_way_between_them_are_chosen(page, spaces, out):
    images = np.frombuffer(base64.b64decode(data_of(out)["images"]), np.uint8).reshape(-1, 64, 64, 3)
    encode, decode = spaces["autoencoder"]
    move(page, "image", 3)
    move(page, "other", 5)
    assert np.array_equal(shown(page, "original"), images[3]) and np.array_equal(
        shown(page, "other-original"), images[5]
    )
    one, other = encode(to_features(images[[3, 5]]))[:, None]
    assert_shows(page, spaces, one)
    assert np.abs(shown(page, "reconstruction") - to_pixels(decode(one))[0]).max() <= 2
    difference = 127.5 + (to_pixels(decode(one))[0].astype(int) - images[3]) / 2
    assert np.abs(shown(page, "difference") - difference).max() <= 2
    move(page, "way", 0.25)
    assert_shows(page, spaces, 0.75 * one + 0.25 * other)


@pytest.mark.slow
def test_a_sample_is_one_of_the_vaes_prior(page, spaces):
    values = []
    for _ in range(40):
        click(page, "sample")
        values.append(code_of(page)[0])
    assert page.evaluate("state.model") == "VAE" and page.evaluate('document.querySelector("[value=VAE]").checked')
    assert_shows(page, spaces)
    assert np.mean(values) == pytest.approx(0, abs=0.13) and np.std(values) == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_keys_and_fingers_move_a_slider(page, spaces):
    page.evaluate('$("slider-2").focus()')
    before = code_of(page)
    page.do("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39)
    page.do("Input.dispatchKeyEvent", type="keyUp", key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39)
    after = code_of(page)
    assert after[0, 2] > before[0, 2] and np.array_equal(np.delete(after, 2), np.delete(before, 2))
    assert page.evaluate('$("element").textContent') == "x[0][2]"
    page.do("Input.dispatchKeyEvent", type="keyDown", key="*", text="*")
    assert code_of(page)[0, 2] == pytest.approx(5 * after[0, 2], rel=1e-5)
    page.do("Emulation.setTouchEmulationEnabled", enabled=True)
    x, y = page.evaluate(
        '(() => { const b = $("slider-4").getBoundingClientRect(); return [b.right - 12, b.y + b.height / 2]; })()'
    )
    page.do("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
    page.do("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    page.do("Emulation.setTouchEmulationEnabled", enabled=False)
    assert (
        page.evaluate(
            "(state.code[4] - models.autoencoder.low[4]) / (models.autoencoder.high[4] - models.autoencoder.low[4])"
        )
        > 0.9
    )
    assert_shows(page, spaces)


@pytest.mark.slow
def test_the_address_shows_the_same_face_again(opened, browser, out):
    page = opened
    page.evaluate('document.querySelector("[value=VAE]").click()')
    move(page, "image", 2)
    click(page, "code-times-5")
    page.evaluate("new Promise((done) => setTimeout(done, 500))")
    part, picture = page.evaluate("location.hash"), shown(page)
    assert part.startswith("#model=VAE&image=2&")
    assert page.open(out / "explore.html", 1280, part=part) == []
    assert np.array_equal(shown(page), picture) and page.evaluate("state.image") == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    ["#nonsense", "#model=toString&image=-1&other=1e9&element=99&way=x&code=1_2", "#code=" + "_".join(["9e9"] * 24)],
)
def test_an_address_that_is_none_of_this_page_shows_the_first_image(browser, out, spaces, part):
    assert browser.open(out / "explore.html", 1280, part=part) == []
    assert browser.evaluate("[state.model, state.image, state.element, state.way]") == ["autoencoder", 0, 0, 0]
    assert_shows(browser, spaces)


@pytest.mark.slow
def test_no_code_is_scaled_beyond_what_float32_can_decode(page):
    for _ in range(20):
        click(page, "code-times-5")
    assert np.abs(code_of(page)).max() == pytest.approx(1000, rel=1e-3) and shown(page).min() < shown(page).max()


def test_a_model_takes_at_most_9_mb_of_the_page(out):
    sizes = {name: len(json.dumps(packed)) for name, packed in data_of(out)["models"].items()}
    assert sizes.keys() == set(MODELS) and max(sizes.values()) < 9e6


def test_the_sliders_reach_the_codes_of_the_images(out, spaces):
    data = data_of(out)
    images = np.frombuffer(base64.b64decode(data["images"]), np.uint8).reshape(-1, 64, 64, 3)
    for name, packed in data["models"].items():
        codes = spaces[name][0](to_features(images))
        assert (np.array(packed["low"]) < codes).all() and (codes < np.array(packed["high"])).all()
        assert np.allclose(
            np.frombuffer(base64.b64decode(packed["codes"]), "<f4").reshape(codes.shape), codes, atol=1e-5
        )


def test_the_page_is_one_file_that_names_no_other(out):
    text = re.sub(r'(id="data">).*?<', r"\1<", (out / "explore.html").read_text())
    assert not re.search(r'(src|href)="(?!data:)|https?://|import |fetch|url\(', text)


def test_what_a_file_is_called_is_text_in_the_page(out, spaces):
    fcn, vae = FCNAutoencoder(rng=np.random.default_rng(0)), VAE(rng=np.random.default_rng(0))
    images = to_pixels(np.zeros((2, 12288)))

    class Few:
        def __getitem__(self, rows):
            return images[rows]

    text = explore.page(fcn, vae, Few(), np.random.default_rng(0), "<script>alert(1)</script>")
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text


@pytest.fixture
def empty_page(out, monkeypatch):
    """An explore.html that takes no time, for as long as a test."""
    before = (out / "explore.html").read_bytes()
    monkeypatch.setattr(explore, "page", lambda *given: "")
    yield
    (out / "explore.html").write_bytes(before)


def error(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        explore.main([*SMALL, "--quiet", *arguments])
    err = capsys.readouterr().err
    assert stopped.value.code == 2 and err.count("\n") == 1 and err.startswith("python -m demos.explore: error: ")
    return err.removeprefix("python -m demos.explore: error: ")


def test_without_weights_one_line_says_how_to_get_them(tmp_path, capsys):
    said = error(capsys, "--out", str(tmp_path))
    assert said.startswith(f"no {tmp_path}/fcn.npz yet, wanted weights of these settings")
    assert said.endswith(f"or run python -m demos {' '.join(SMALL)} --quiet --out {tmp_path} first\n")
    assert not any(tmp_path.iterdir())


def test_weights_of_other_settings_are_not_shown(out, capsys):
    said = error(capsys, "--out", str(out), "--seed", "1")
    assert said.startswith(f'{out}/fcn.npz was trained by other settings: "seed" was 0, is 1, ')


@pytest.mark.parametrize("screen, terminal", [(True, True), (True, False), (False, True)])
def test_a_browser_opens_where_somebody_sees_it(out, empty_page, monkeypatch, screen, terminal):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if screen:
        monkeypatch.setenv("DISPLAY", ":0")
    explore.main([*SMALL, "--quiet", "--out", str(out)])
    assert opened == [(out / "explore.html").as_uri()] * (screen and terminal)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="wants chromium")
def test_the_picture_is_of_the_page_after_times_5_of_the_element_that_changes_the_face_most(out, spaces, monkeypatch):
    addresses, photograph = [], explore._photograph
    monkeypatch.setattr(explore, "_photograph", lambda *given: (addresses.append(given[1]), photograph(*given)))
    explore.main([*SMALL, "--quiet", "--picture", "--out", str(out)])
    picture = np.asarray(Image.open(out / "explore.png").convert("RGB"), int)
    assert picture.shape == (900, 1280, 3) and len(np.unique(picture.reshape(-1, 3), axis=0)) > 1000
    encode, decode = spaces["autoencoder"]
    images = np.frombuffer(base64.b64decode(data_of(out)["images"]), np.uint8).reshape(-1, 64, 64, 3)
    code = encode(to_features(images[:1]))
    moved = [np.linalg.norm(decode(scale_code(code, 5, k)) - decode(code)) for k in range(24)]
    element, values = re.search(r"element=(\d+)&code=(.*)", addresses[0]).groups()
    assert int(element) == np.argmax(moved)
    assert np.allclose([*map(float, values.split("_"))], scale_code(code, 5, int(element))[0], rtol=1e-4)


def test_without_a_browser_the_picture_is_one_line(out, empty_page, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert error(capsys, "--picture", "--out", str(out)).startswith("--picture: found none of chromium, ")


def test_help_names_the_options_that_find_weights_and_none_of_training_alone(capsys):
    with pytest.raises(SystemExit):
        explore.main(["--help"])
    named = set(re.findall(r"^  (--\S+)", capsys.readouterr().out, re.MULTILINE))
    finding = {"--data", "--validation", "--images", "--epochs", "--batch-size", "--seed", "--quick", "--out"}
    assert named == finding | {"--picture", "--quiet"}


def test_the_command_that_trained_may_be_given_whole(out, empty_page):
    explore.main([*SMALL, "--resume", "--checkpoint-every", "9", "--element", "3", "--quiet", "--out", str(out)])
