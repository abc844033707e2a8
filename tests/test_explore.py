import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time

import matplotlib
import numpy as np
import pytest
from conftest import SMALL
from matplotlib import pyplot as plt
from matplotlib.backend_bases import KeyEvent, MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color, to_rgb
from matplotlib.figure import Figure
from PIL import Image, ImageGrab, features

from autoencoders import scale_code
from autoencoders.images import to_features, to_pixels
from autoencoders.measurements import changes, sentence
from demos import explore, settings
from demos.window import CHOSEN, DPI, HEIGHT, SIZE, WIDTH, Window
from nnlite.backend import current_backend

MODELS = ["autoencoder", "VAE"]


@pytest.fixture(scope="module")
def out(small_run):
    return small_run.folder


@pytest.fixture(scope="module")
def explored(out):
    """The Explorer that `python -m demos.explore` opens on the weights of `python -m demos`."""
    windows = []

    def build(*given):
        windows.append(explore.build(Figure(SIZE, dpi=DPI), *given))

    settings.start("python -m demos.explore", "", [*SMALL, "--quiet", "--out", str(out)], build)
    return windows[0].explorer


@pytest.fixture(scope="module")
def opened(explored):
    """A Window, drawn once."""
    figure = Figure(SIZE, dpi=DPI)
    FigureCanvasAgg(figure)
    window = Window(figure, explore.Explorer(explored.spaces, explored.images, np.random.default_rng(0)))
    figure.canvas.draw()
    return window


@pytest.fixture
def window(opened, explored):
    """The Window as it is when it opens."""
    opened.explorer.__init__(explored.spaces, explored.images, np.random.default_rng(0))
    opened.update()
    return opened


def mouse(window, name, axes, x, y=0.5):
    """A mouse event at (x, y) in parts of the axes."""
    canvas = window.figure.canvas
    canvas.callbacks.process(name, MouseEvent(name, canvas, *axes.transAxes.transform((x, y)), button=1))


def click(window, name):
    axes = window.buttons[name].ax
    for event in ("motion_notify_event", "button_press_event", "button_release_event"):
        mouse(window, event, axes, 0.5)


def drag(window, slider, start, *stops):
    mouse(window, "button_press_event", slider.ax, start)
    for stop in stops:
        mouse(window, "motion_notify_event", slider.ax, stop)
    mouse(window, "button_release_event", slider.ax, (start, *stops)[-1])


def on_screen(window):
    return np.array(window.figure.canvas.buffer_rgba())[..., :3]


def said(window):
    return window.texts["said"].get_text().replace("\n", " ")


def assert_shows(window, code):
    """The code is the one that is edited, and the picture, in the widget and on the canvas, the decoder's of it."""
    e = window.explorer
    assert np.array_equal(e.code, code) and e.code.dtype == np.float32
    expected = to_pixels(e.space.decode(code))[0]
    assert np.array_equal(window.pictures["edited"].get_array()[..., :3], expected)
    x, y = 14, 34
    assert np.array_equal(on_screen(window)[y + 3 : y + 448 : 7, x + 3 : x + 448 : 7], expected)
    for k, slider in enumerate(window.elements):
        assert slider.val == pytest.approx(np.clip(code[0, k], e.space.low[k], e.space.high[k]), abs=1e-6)
        assert slider.valtext.get_text() == f"{code[0, k]:+.2f}"
    mouse(window, "motion_notify_event", window.pictures["edited"].axes, 0.5)  # a button under the mouse is lighter
    drawn = on_screen(window)
    window.figure.canvas.draw()
    assert np.array_equal(drawn, on_screen(window))  # drawn in parts as drawn at once


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("k", [0, 12, 23])
def test_moving_a_slider_shows_the_decoders_picture_of_that_code(window, model, k):
    click(window, model)
    e, expected = window.explorer, window.explorer.plain_code.copy()
    drag(window, window.elements[k], 0.3, 0.5, 0.9)
    expected[0, k] = e.space.low[k] + 0.9 * (e.space.high[k] - e.space.low[k])
    assert np.allclose(e.code, expected, atol=1e-5)
    assert np.array_equal(np.delete(e.code, k), np.delete(expected, k))
    assert e.element == k and window.texts["element"].get_text() == f"element x[0][{k}]"
    assert_shows(window, e.code)


@pytest.mark.parametrize("model", MODELS)
def test_sliders_reach_the_codes_of_all_images(window, model):
    click(window, model)
    space = window.explorer.space
    codes = space.encode(to_features(window.explorer.images[:]))
    assert (space.low < codes).all() and (codes < space.high).all()
    for slider, low, high in zip(window.elements, space.low, space.high):
        assert (slider.valmin, slider.valmax) == (low, high) == slider.ax.get_xlim()


def test_the_documents_edits(window):
    e = window.explorer
    code = e.code.copy()
    e.element = 7
    for name, factor in (("element*5", 5), ("element*5", 5), ("element/5", 1 / 5)):
        click(window, name)
        code[0, 7] *= factor
        assert_shows(window, code)
    for name, factor in (("code/5", 1 / 5), ("code*5", 5), ("code*5", 5)):
        click(window, name)
        code = code * factor
        assert_shows(window, code)
    assert (np.abs(code) > 3 * e.space.high).any()  # beyond sliders
    click(window, "reset")
    assert_shows(window, e.plain_code)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scaled", [slice(None), slice(7, 8)], ids=["code", "element"])
def test_clicks_on_times_5_lead_to_1000_and_no_further(window, scaled):
    e, expected = window.explorer, window.explorer.code.copy()
    e.element = 7
    for _ in range(12):
        click(window, "code*5" if scaled == slice(None) else "element*5")
    expected[0, scaled] *= 1000 / np.abs(expected[0, scaled]).max()
    assert np.allclose(e.code, expected, rtol=1e-5) and np.isfinite(e.picture).all()
    assert_shows(window, e.code)


def test_of_a_code_that_is_not_edited_no_difference_is_told(window):
    assert said(window) == "The code of image 0, not edited: move a slider, or click * 5."
    click(window, "code*5")
    click(window, "reset")
    assert said(window) == "The code of image 0, not edited: move a slider, or click * 5."


def test_an_edit_is_measured_against_the_reconstruction(window):
    click(window, "code*5")
    e = window.explorer
    plain = e.space.decode(e.space.encode(e.original))
    changed = {name: float(change[0]) for name, change in changes(e.picture, plain, e.original).items()}
    distance = f"Root mean square of the difference: {changed['distance']:.1f} grey levels."
    assert said(window) == f"{sentence('Against the reconstruction', changed)} {distance}"


def test_a_sample_is_called_one_and_compared_with_nothing(window):
    click(window, "sample")
    assert said(window) == "A sample of the VAE's prior, N(0, I)."
    click(window, "code*5")
    assert said(window) == "A sample of the VAE's prior, N(0, I), then edited."


def test_an_interpolation_says_how_far_it_is_between_which_images(window):
    click(window, "next")
    click(window, "next other")
    drag(window, window.sliders["weight"], 0.1, 0.4)
    assert said(window) == "40% of the way from the code of image 1 to that of image 2."
    click(window, "code/5")
    assert said(window) == "40% of the way from the code of image 1 to that of image 2, then edited."


@pytest.mark.parametrize("model", MODELS)
def test_a_dark_line_marks_the_code_of_the_chosen_image(window, model):
    click(window, model)
    for edit in ("next", "code*5", "next"):
        click(window, edit)
        marks = [slider.vline.get_xdata()[0] for slider in window.elements]
        assert np.array_equal([marks], window.explorer.space.encode(window.explorer.original))


@pytest.mark.parametrize("clicked, model", [("autoencoder", "autoencoder"), ("VAE", "VAE"), ("sample", "VAE")])
def test_the_button_of_the_chosen_model_is_shaded(window, clicked, model):
    click(window, clicked)
    mouse(window, "motion_notify_event", window.pictures["edited"].axes, 0.5)  # a button under the mouse is lighter
    shaded = [name for name, button in window.buttons.items() if same_color(button.ax.get_facecolor(), CHOSEN)]
    assert shaded == [model]
    button = window.buttons[model].ax.transAxes.transform((0.02, 0.5)).astype(int)
    assert np.allclose(on_screen(window)[HEIGHT - button[1], button[0]] / 255, to_rgb(CHOSEN), atol=0.01)


def test_a_click_on_the_name_of_an_element_chooses_it_and_changes_nothing(window):
    mouse(window, "button_press_event", window.elements[5].ax, -0.25)
    assert window.explorer.element == 5 and window.elements[5].label.get_weight() == "bold"
    assert window.elements[0].label.get_weight() == "normal"
    assert_shows(window, window.explorer.plain_code)


def test_images_are_chosen(window):
    e = window.explorer
    count = len(e.images)
    for name, number in (("next", 1), ("next", 2), ("previous", 1), ("previous", 0), ("previous", count - 1)):
        drag(window, window.elements[3], 0.1)
        click(window, name)
        assert e.number == number and window.sliders["image"].valtext.get_text() == str(number)
        original = to_features(e.images[[number]])
        assert np.array_equal(window.pictures["original"].get_array()[..., :3], e.images[number])
        plain = to_pixels(e.space.decode(e.space.encode(original)))[0]
        assert np.array_equal(window.pictures["plain"].get_array()[..., :3], plain)
        assert_shows(window, e.space.encode(original))
    drag(window, window.sliders["image"], 0.01, 0.4)
    assert e.number == round(0.4 * (count - 1))


@pytest.mark.parametrize("model", MODELS)
def test_interpolation_goes_from_the_code_of_one_image_to_that_of_another(window, model):
    e = window.explorer
    click(window, model)
    click(window, "next other")
    click(window, "next other")
    assert np.array_equal(window.pictures["other"].get_array()[..., :3], e.images[3])
    first, other = (e.space.encode(to_features(e.images[[number]])) for number in (0, 3))
    drag(window, window.sliders["weight"], 0.2, 1.0)
    assert_shows(window, other)
    drag(window, window.sliders["weight"], 0.5)
    assert_shows(window, (1 - e.weight) * first + e.weight * other)
    assert e.weight == pytest.approx(0.5)
    click(window, "previous other")
    assert_shows(window, (1 - e.weight) * first + e.weight * e.space.encode(to_features(e.images[[2]])))
    drag(window, window.sliders["weight"], 0.2, 0.0)
    assert_shows(window, first)


def test_a_sample_comes_from_the_prior_and_through_the_vae(window):
    e = window.explorer
    expected = np.random.default_rng(0).standard_normal((2, 24), np.float32)  # the window's generator, begun anew
    for code in expected:
        click(window, "sample")
        assert e.model == "VAE"
        assert_shows(window, code[None])
    click(window, "autoencoder")
    assert e.model == "autoencoder"
    assert_shows(window, e.space.encode(e.original))


@pytest.fixture
def resized(window):
    window.figure.set_size_inches(15, 10)
    window.figure.canvas.draw()
    yield window
    window.figure.set_size_inches(SIZE)
    window.figure.canvas.draw()


@pytest.mark.skipif(matplotlib.__version_info__ < (3, 11), reason="matplotlib rounds what it draws anew otherwise")
def test_a_resized_window_is_drawn_anew(resized):
    click(resized, "VAE")
    click(resized, "code*5")
    drag(resized, resized.elements[12], 0.1, 0.7)
    mouse(resized, "motion_notify_event", resized.pictures["edited"].axes, 0.5)
    drawn = on_screen(resized)
    resized.figure.canvas.draw()
    assert drawn.shape == (1000, 1500, 3) and np.array_equal(drawn, on_screen(resized))


@pytest.mark.skipif(current_backend() == "numpy", reason="the limit is that of the Numba backend")
def test_the_picture_follows_within_33_milliseconds(window):
    def median():
        times = []
        mouse(window, "button_press_event", window.elements[2].ax, 0.1)
        for place in np.linspace(0.1, 0.9, 31)[1:]:
            start = time.perf_counter()
            mouse(window, "motion_notify_event", window.elements[2].ax, place)
            times.append(time.perf_counter() - start)
            assert np.array_equal(window.pictures["edited"].get_array()[..., :3], to_pixels(window.explorer.picture)[0])
        mouse(window, "button_release_event", window.elements[2].ax, 0.9)
        return np.median(times)

    least = min(median() for _ in range(3))
    if least >= 0.033 and os.getloadavg()[0] > os.cpu_count():
        pytest.skip(f"wants a machine that has time: {1000 * least:.0f} ms at a load of {os.getloadavg()[0]:.1f}")
    assert least < 0.033


def test_one_image_and_equal_ones_have_sliders_too(explored):
    low, high = explore._limits(np.ones((1, 24), np.float32))
    assert (low < 1).all() and (high > 1).all()
    images = explored.images.sample(1)
    window = Window(Figure(SIZE, dpi=DPI), explore.Explorer(explored.spaces, images, np.random.default_rng(0)))
    window.explorer.choose(1)
    window.update()
    assert window.explorer.number == window.explorer.other_number == 0


def error(capsys, *arguments):
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        explore.main([*SMALL, *arguments])
    *told, said = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 2 and not any("rror" in line for line in told)
    return said.removeprefix("python -m demos.explore: error: ")


def test_without_weights_of_the_same_settings_one_line_names_the_command(explored, out, tmp_path, capsys):
    prefix = "NNLITE_BACKEND=numpy " if current_backend() == "numpy" else ""
    command = f"{prefix}python -m demos {' '.join(SMALL)} --out"
    wanted = f"wanted weights of these settings and the {current_backend()} backend"
    give = "give the options of the run that saved them, or run"
    said = error(capsys, "--picture", "--out", str(tmp_path))
    assert said == f"no {tmp_path}/fcn.npz yet, {wanted}: {give} {command} {tmp_path} first"
    assert not any(tmp_path.iterdir())
    said = error(capsys, "--out", str(out), "--seed", "1", "--picture")
    assert (
        said.startswith(f'{out}/fcn.npz was trained by other settings: "seed" was 0, is 1, ')
        and f"{command} {out} --seed 1 f" in said
    )
    (tmp_path / "damaged").mkdir()
    for name in ("fcn.npz", "fcn.json", "vae.json"):
        shutil.copy(out / name, tmp_path / "damaged")
    (tmp_path / "damaged" / "vae.npz").write_bytes(b"PK")
    assert "vae.npz or its record is damaged" in error(capsys, "--picture", "--out", str(tmp_path / "damaged"))


def test_without_a_display_one_line_says_what_to_do(explored, out, capsys, monkeypatch):
    plt.switch_backend("agg")
    said = error(capsys, "--out", str(out))
    assert "matplotlib's backend agg, wanted a display" in said and "python -m demos.latent_scaling" in said

    def no_figure(*_, **__):
        raise ImportError("Cannot load backend 'TkAgg'\nas 'headless' is currently running")

    monkeypatch.setattr(plt, "figure", no_figure)
    assert error(capsys, "--out", str(out)).startswith("found Cannot load backend 'TkAgg' as 'headless' is")


def test_the_picture_is_that_of_the_window_after_times_5_of_the_element_that_changes_the_face_most(window, out):
    e = window.explorer
    moved = [np.linalg.norm(e.space.decode(scale_code(e.code, 5, k)) - e.plain) for k in range(24)]
    mouse(window, "button_press_event", window.elements[np.argmax(moved)].ax, -0.25)
    click(window, "element*5")
    mouse(window, "motion_notify_event", window.pictures["edited"].axes, 0.5)
    explore.main([*SMALL, "--picture", "--out", str(out)])
    saved = np.array(Image.open(out / "explore.png").convert("RGB"))
    assert np.array_equal(saved, on_screen(window))


def test_help_names_the_options_that_find_weights_and_none_of_training_alone(capsys):
    with pytest.raises(SystemExit):
        explore.main(["--help"])
    named = set(re.findall(r"^  (--\S+)", capsys.readouterr().out, re.MULTILINE))
    finding = {"--data", "--validation", "--images", "--epochs", "--batch-size", "--seed", "--quick", "--out"}
    assert named == finding | {"--picture", "--quiet"}


def test_the_command_that_trained_may_be_given_whole(explored, out):
    explore.main([*SMALL, "--resume", "--checkpoint-every", "9", "--element", "3", "--picture", "--out", str(out)])


def test_no_key_deforms_the_window(window):
    figure = plt.figure(figsize=SIZE)
    axes = Window(figure, window.explorer).elements[3].ax
    x, y = axes.transAxes.transform((0.5, 0.5))
    for key in "klg":  # which in other windows of matplotlib change scales and grid
        figure.canvas.callbacks.process("key_press_event", KeyEvent("key_press_event", figure.canvas, key, x, y))
        grid = axes.xaxis.get_gridlines()[0].get_visible()
        assert (axes.get_xscale(), axes.get_yscale(), grid) == ("linear", "linear", False)
    plt.close(figure)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="wants Xvfb")
@pytest.mark.skipif(not features.check("xcb"), reason="wants a Pillow that takes screenshots of X")
@pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in ("_tkinter", "PyQt6", "PySide6")), reason="wants Tk or Qt"
)
def test_the_window_opens_on_a_display(window, out):
    expected = to_pixels(window.explorer.picture)[0]
    environment = {name: value for name, value in os.environ.items() if name not in ("MPLBACKEND", "WAYLAND_DISPLAY")}
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1400x900x24", "-noreset"]  # between two screenshots
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        environment["DISPLAY"] = f":{int(server.stdout.readline())}"
        command = [sys.executable, "-m", "demos.explore", *SMALL, "--quiet", "--out", str(out)]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                deadline = time.monotonic() + 60
                while not np.array_equal(_picture_in(_screen(environment["DISPLAY"])), expected):
                    assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
                    time.sleep(0.2)
            finally:
                process.terminate()
            assert process.stderr.read() == ""
    finally:
        server.terminate()
        server.wait()


def _screen(display):
    return np.array(ImageGrab.grab(xdisplay=display).convert("RGB"))


def _picture_in(screen):
    """The pixels of the edited picture, where the window is all that is not black; it may be scaled for its screen."""
    rows, columns = screen.any(axis=(1, 2)).nonzero()[0], screen.any(axis=(0, 2)).nonzero()[0]
    if len(rows) == 0:
        return None
    height, width = len(rows) / HEIGHT, len(columns) / WIDTH
    middles = 7 * np.arange(64) + 3.5
    y, x = rows[0] + (34 + middles) * height, columns[0] + (14 + middles) * width
    return screen[np.ix_(y.astype(int), x.astype(int))]
