import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from autoencoders import History, figures
from autoencoders.images import to_features, to_pixels
from autoencoders.measurements import scaled_differences


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


def drawn(figure):
    """The figure's pixels, without the frames, which would tint those next to them."""
    for axis in figure.axes:
        axis.spines[:].set_visible(False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def pixels_of(axis, canvas):
    x0, y0, x1, y1 = np.rint(axis.bbox.extents).astype(int)
    return canvas[len(canvas) - y1 : len(canvas) - y0, x0:x1]


def texts(figure):
    labels = [label for axis in figure.axes for label in (axis.title, axis.xaxis.label, axis.yaxis.label)]
    return [text.get_text() for text in [*figure.texts, *labels] if text.get_text()]


FIGURES = {
    "reconstruction": lambda images: figures.reconstruction_figure(images, images, np.arange(4) / 8),
    "reconstruction sheet": lambda images: figures.reconstruction_sheet_figure(images[:3], images[:3], columns=2),
    "contact sheet": lambda images: figures.contact_sheet_figure(
        "title", images, ["a.png\nPNG\n0..255"] * 4, columns=2
    ),
    "rows": lambda images: figures.picture_rows_figure("title", {"three images": images[:3], "one image": images[:1]}),
    "latent scaling": lambda images: figures.latent_scaling_figure(
        ["one", "two", "three", "four\n1 → 5"], images, images, largest=[1, 0, 0.5, 2]
    ),
    "latent sheet": lambda images: figures.latent_sheet_figure(
        to_features(images)[:3, None].repeat(2, axis=1),
        ["/5", "x5"],
        values=np.arange(3),
        moved=np.array([0.1, 0.3, 0.2]),
        columns=2,
    ),
    "learning curve": lambda images: figures.learning_curve_figure(
        History([0.3, 0.1], [0.2, 0.15]), {"PCA": 0.12, "mean": 0.4}
    ),
    "curves": lambda images: figures.curves_figure("title", "noise", [0, 1], {"model": [[0.1, 0.01], [0.2, None]]}),
    "histograms": lambda images: figures.histograms_figure(
        {"a": ([0, 1, 2], [1, 5, np.inf]), "b": ([np.inf] * 2, [np.inf]), "c": ([np.inf], [2, 3]), "d": ([1, 1], [1])}
    ),
    "ROC": lambda images: figures.roc_figure({"one": {"a": ([0, 0.5, 1], [0, 1, 1])}, "two": {"b": ([0, 1], [0, 1])}}),
    "benchmark": lambda images: figures.benchmark_figure({64: {"nnlite": 0.1, "JAX": 0.2}}, {64: 0.05}),
    "step size": lambda images: figures.step_size_figure({"central": ([1e-6, 1e-3], [0, 1e-9])}),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_no_text_is_cut_off(images, draw):
    figure = draw(images)
    drawn(figure)
    tight = figure.get_tightbbox()  # inches
    width, height = figure.get_size_inches()
    assert tight.x0 >= 0 and tight.y0 >= 0 and tight.x1 <= width and tight.y1 <= height


@pytest.mark.parametrize(
    "name, zoom",
    {
        "reconstruction": 2,
        "reconstruction sheet": 1,
        "contact sheet": 2,
        "rows": 2,
        "latent scaling": 3,
        "latent sheet": 2,
    }.items(),
)
def test_every_pixel_of_an_image_is_a_square_of_its_colour(images, name, zoom):
    figure = FIGURES[name](images)
    shown = images[1] if name == "latent sheet" else images[0]  # the sheet begins with the largest change
    assert np.array_equal(pixels_of(figure.axes[0], drawn(figure)), shown.repeat(zoom, axis=0).repeat(zoom, axis=1))


def test_a_place_without_a_picture_stays_free(images):
    figure = FIGURES["rows"](images)
    assert (pixels_of(figure.axes[4], drawn(figure)) == 255).all()  # the second one of the row with one image


def test_the_error_stands_under_its_reconstruction(images):
    figure = FIGURES["reconstruction"](images)
    assert [axis.get_xlabel() for axis in figure.axes[4:]] == ["0.0000", "0.1250", "0.2500", "0.3750"]


def test_the_learning_curve_shows_both_errors_and_the_baselines(images):
    (axis,) = FIGURES["learning curve"](images).axes
    assert [list(line.get_ydata()) for line in axis.lines] == [[0.3, 0.1], [0.2, 0.15], [0.12, 0.12], [0.4, 0.4]]


def test_the_bars_of_a_histogram_hold_all_images_of_either_set(images):
    for axis in FIGURES["histograms"](images).axes[:4]:
        heights = np.array([bar.get_height() for bar in axis.patches]).reshape(2, -1)  # of normal and strange images
        assert np.allclose(heights.sum(axis=1), 1)


def test_a_difference_is_grey_where_nothing_changed_and_lighter_where_the_picture_has_more():
    pictures = np.zeros((2, 12288), np.float32)
    pictures[1, :2] = 0.5, -0.25  # red of the first two pixels
    differences, largest = scaled_differences(pictures, pictures[0])
    shown = to_pixels(pictures), to_pixels(differences)
    figure = figures.latent_scaling_figure(["reference", "edited"], *shown, largest)
    difference = pixels_of(figure.axes[3], drawn(figure))[1::3, 1::3]  # the middle of each 3 x 3 square
    assert difference[0, 1, 0] == 64 and difference[1, 1, 0] == 128 and difference[1, 0, 1] == 128
    assert "white +0.50, black -0.50" in texts(figure)


def test_the_sheet_is_sorted_by_change(images):
    heads = [text.split("\n")[0] for text in texts(FIGURES["latent sheet"](images)) if text.startswith("x[0]")]
    assert heads == ["x[0][1]", "x[0][2]", "x[0][0]"]
