import argparse
import functools
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import SMALL
from matplotlib.figure import Figure
from PIL import Image

import demos.trained
from autoencoders import VAE, Detector, FCNAutoencoder, ImageSet, gaussian_noise, load_images, training
from autoencoders.images import to_features
from demos import (
    anomaly,
    benchmark,
    contact_sheet,
    denoising,
    explore,
    gradients,
    latent_scaling,
    race,
    reconstruction,
    settings,
)
from demos.output import markdown
from demos.trained import MODELS, trained
from nnlite import Tanh, load_weights
from nnlite.backend import current_backend

FEW = ("--images", "24", "--epochs", "1")
small_fcn = functools.partial(FCNAutoencoder, hidden_features=4)


@pytest.fixture
def images(tmp_path):
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (12, 64, 64, 3), dtype=np.uint8))
    return tmp_path / "images.npy"


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder of 12 pictures, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "folder").mkdir()
    for number in range(12):
        Image.new("RGB", (64, 64), (20 * number, 0, 0)).save(tmp_path / "folder" / f"{number}.png")
    return tmp_path / "folder"


@pytest.fixture
def train(monkeypatch, tmp_path):
    """train(*arguments, name="out"): a demo that does no more than train a small autoencoder into tmp_path / name."""
    monkeypatch.setitem(MODELS, "fcn", (small_fcn, {}))

    def train(*arguments, name="out", demo=lambda *given: trained("fcn", *given)):
        settings.start("demo", "", [*FEW, "--out", str(tmp_path / name), *arguments], demo)

    return train


def stopped_with(demo, *arguments):
    """The exit status of a demo that is to end itself."""
    with pytest.raises(SystemExit) as stopped:
        demo(*arguments)
    return stopped.value.code


def test_all_demos_run_one_after_the_other_and_share_the_weights(small_run):
    assert small_run.err.startswith("images    embedded faces: 180 to train on")
    assert (small_run.err.count("trained in"), small_run.err.count("reused")) == (4, 8)
    assert re.findall(r"\[(\d)/9\]", small_run.err) == list("123456789")
    assert "every gradient is right" in small_run.out
    assert {
        "reconstruction_sheet.png",
        "reconstruction.png",
        "learning_curve.png",
        "latent_scaling.png",
        "latent_pictures.png",
        "latent_sheet.png",
        "vae_architecture.png",
        "vae_interpolation.png",
        "vae_samples.png",
        "vae_scan.png",
        "denoising.png",
        "posterior_collapse.png",
        "anomaly_histograms.png",
        "anomaly_roc.png",
        "anomaly_mistakes.png",
        "step_size.png",
        "fcn_architecture.png",
        "report.json",
        "report.html",
        "explore.html",
    } < {path.name for path in small_run.folder.iterdir()}
    assert small_run.out.endswith(f"report    {small_run.folder}/report.html\n")


def test_the_sentences_on_the_vae_follow_from_the_numbers_beside_them(small_run):
    found = small_run.results("vae_vs_vanilla")
    nearest, error, moved = found["nearest real image"], found["reconstruction"], found["error of moved codes"]
    at_1 = found["moved by"].index(1)
    growth = {name: moved[name][at_1][0] - moved[name][0][0] for name in ("vanilla", "VAE")}
    fitted, sample = nearest["sample, vanilla, fitted normal"][0], nearest["sample, VAE, N(0, I)"][0]
    expected = {
        "pictures between two codes": nearest["halfway, vanilla"][0] - nearest["halfway, VAE"][0],
        "samples of N(0, I)": nearest["sample, vanilla, N(0, I)"][0] - sample,
        "a comparison with samples of a normal distribution fitted to the vanilla codes": fitted - sample,
        "pictures of disturbed codes": growth["vanilla"] - growth["VAE"],
        "reconstructions from the mean": error["VAE"][0] - error["vanilla"][0],
        "reconstructions from a sample": error["VAE, sampled"][0] - error["vanilla"][0],
    }
    said = {each["name"]: each["mean"] for each in found["advantages"] + found["disadvantages"]}
    assert said == pytest.approx(expected, abs=1e-6)


def test_what_the_vae_is_compared_with_is_not_the_same_twice(small_run):
    found = small_run.results("vae_vs_vanilla")
    error, moved = found["reconstruction"], found["error of moved codes"]
    assert moved["VAE"][0] == error["VAE"] != error["VAE, sampled"] and moved["vanilla"][0] == error["vanilla"]
    distances = [mean for mean, _ in found["nearest real image"].values()]
    assert len(set(distances)) == len(distances) and min(distances) > 0  # no two are of the same pictures, none of real
    sharp = found["high frequencies"]
    assert sharp["another real image"][0] == pytest.approx(1) and sharp["the same, blurred"][0] < 0.5


def test_the_denoising_autoencoder_is_measured_against_the_clean_image(small_run):
    found, record = small_run.results("denoising"), small_run.results("fcn")
    assert np.isclose(found["error"]["vanilla"][0][0], record["history"]["validation_loss"][-1], rtol=1e-5)
    at = found["noise"].index(0.5)
    difference = found["error"]["vanilla"][at][0] - found["error"]["denoising"][at][0]
    assert np.isclose(found["with noise"]["mean"], difference, atol=1e-6)
    vanilla, denoiser = (np.load(small_run.folder / f"{name}.npz")["encoder.0.weight"] for name in ("fcn", "dae"))
    assert not np.array_equal(vanilla, denoiser)


@pytest.mark.parametrize("sign, said", [(1, "error is lower than"), (-1, "error is higher than")])
def test_a_denoising_autoencoder_that_is_worse_is_called_worse(sign, said):
    assert said in denoising.GAIN.say(sign * np.array([0.1, 0.2, 0.3]))["sentence"]


def test_under_the_sample_codes_loss_no_element_stays_active(small_run):
    found = small_run.results("posterior_collapse")["models"]
    assert found["the sample code's loss"]["active"] == 0 < found["VAE.loss"]["active"]
    assert sum(found["the sample code's loss"]["kl"]) < 0.1 < sum(found["VAE.loss"]["kl"])


def scored(rng, default, error, contrast_in_error=0.0):
    """What anomaly.measured() makes of 200 normal images and 100 of each of two kinds, whose scores are normally
    distributed: around 0, `default` and `error`, of which the first kind's are 0 too."""
    kinds = np.repeat(["normal", "kind one", "kind two"], [200, 100, 100])
    contrast = rng.uniform(1, 2, 400)
    means = {name: mean * (kinds == "kind two") for name, mean in (("weighted unexplained", default), ("error", error))}
    means["error"] = means["error"] + contrast_in_error * contrast
    noise = rng.standard_normal(400)
    scores = {name: 10 + noise + mean for name, mean in means.items()}
    models = {"autoencoder": scores | {"weighted error": scores["error"]}}
    models |= {"VAE": {name: rng.standard_normal(400) for name in anomaly.MEANING}}
    return {"found from": 0.6, "usual": 1, "components": 1, "planted": True} | anomaly.measured(models, kinds, contrast)


def said_of(results):
    return markdown([part for part in anomaly.parts(results) if isinstance(part, str)]).replace("\n", " ")


@pytest.mark.parametrize(
    "default, error, said",
    [(3, 0, "finds more than the plain"), (0, 3, "finds less than the plain"), (1, 1, "neither measurably more nor")],
)
def test_whether_the_default_score_finds_more_follows_from_the_scores(rng, default, error, said):
    assert f"The default score {said if 'finds' in said else 'finds ' + said}" in said_of(scored(rng, default, error))


@pytest.mark.parametrize(
    "slope, said",
    [
        (9, "the higher plain error, which rises with contrast: busy images are the first to be called strange."),
        (9, "the higher plain error, which rises with contrast: smooth images are the first to be missed."),
        (-9, "the higher plain error, which falls with contrast: smooth images are the first to be called strange."),
        (-9, "the higher plain error, which falls with contrast: busy images are the first to be missed."),
        (0, "the higher plain error, which does not measurably depend on contrast."),
    ],
)
def test_whether_a_score_measures_contrast_follows_from_the_scores(rng, slope, said):
    assert said in said_of(scored(rng, 1, 1, slope))


def test_a_kind_that_is_not_found_is_named_with_the_reason(rng):
    results = scored(rng, 9, 9)
    for beside, reason in (([1.2, 1.1], "its contrast excuses its error"), ([1.2, 0.9], "it is reconstructed as well")):
        results["beside normal"]["kind one"] = beside
        area = results["auc by kind"]["kind one"]["autoencoder"]["weighted unexplained"][0]
        beside = f"(weighted error {beside[0]:.2f}, contrast {beside[1]:.2f} times those of normal images)"
        found = f"with an AUC below 0.6: kind one, AUC {area:.3f}, for {reason} {beside}."
        assert found in said_of(results)


def test_where_every_kind_is_found_the_hardest_is_named(rng):
    results = scored(rng, 9, 9)
    del results["auc by kind"]["kind one"]
    assert "finds every kind, with an AUC of 0.6 or more; that of the hardest, kind two, is 1.000." in said_of(results)


def test_the_threshold_is_exceeded_by_five_in_a_hundred_normal_images(rng):
    kinds = np.append(np.full(200, "normal"), "strange")
    scores = {name: np.arange(201.0) for name in anomaly.MEANING}
    found = anomaly.measured({"autoencoder": scores, "VAE": scores}, kinds, np.ones(201))
    assert np.sum(np.arange(200) > found["threshold"]) == 10


@pytest.fixture
def anomalies(monkeypatch, tmp_path):
    """anomalies(*arguments): the demo with small models, of 12 images; returns its results."""
    for name, (build, extra) in list(MODELS.items()):
        monkeypatch.setitem(MODELS, name, (functools.partial(build, hidden_features=4), extra))
    monkeypatch.setattr(anomaly, "save_figure", lambda options, name, figure: None)  # which takes longer than all else

    def anomalies(*arguments):
        anomaly.main(["--epochs", "1", "--quiet", "--out", str(tmp_path / "out"), *map(str, arguments)])
        return json.loads((tmp_path / "out" / "anomaly.json").read_text())

    return anomalies


def test_faults_are_planted_in_half_of_the_validation_images_and_the_others_are_normal(anomalies, images):
    found = anomalies("--data", images, "--validation", images)
    counts = found["images"]
    assert counts.pop("normal") == sum(counts.values()) == 6 and set(counts.values()) == {1, 2} and found["planted"]


@pytest.mark.parametrize("count", range(2, 8))
def test_two_images_to_validate_on_are_enough(anomalies, images, count, tmp_path):
    np.save(tmp_path / "few.npy", np.load(images)[:count])
    found = anomalies("--data", images, "--validation", tmp_path / "few.npy")
    assert sum(found["images"].values()) == count and found["gain"][1] is None


def test_images_without_contrast_leave_valid_json(anomalies, pictures, images, tmp_path):
    anomalies("--data", images, "--validation", pictures)
    text = (tmp_path / "out" / "anomaly.json").read_text()
    assert "NaN" not in text and "Infinity" not in text


def test_given_anomalies_are_one_kind_against_all_validation_images(anomalies, images, pictures, capsys):
    found = anomalies("--data", images, "--validation", images, "--anomalies", pictures)
    assert found["images"] == {"normal": 12, "strange": 12} and not found["planted"]
    assert found["auc"]["autoencoder"]["weighted unexplained"] == [1, 0]  # for pictures of one colour score infinity
    assert "strange are those of --anomalies: 12 strange" in capsys.readouterr().out


def test_scores_are_written_in_the_order_of_the_array_by_its_rows(anomalies, images, tmp_path):
    np.save(tmp_path / "more.npy", np.load(images)[[3, 1, 3]])
    anomalies("--data", images, "--score", tmp_path / "more.npy")
    head, *rows = (tmp_path / "out" / "scores.csv").read_text().splitlines()
    ids, scores = zip(*(row.split(",") for row in rows))
    assert head == "ID,score" and ids == ("0", "1", "2") and scores[0] == scores[2] != scores[1]
    model = FCNAutoencoder(hidden_features=4, rng=np.random.default_rng(0))
    load_weights(tmp_path / "out" / "fcn.npz", model)
    used, _ = load_images(images).split(settings.generators(argparse.Namespace(seed=0))[0])
    wanted = Detector(model.encoder, model.decoder, used).scores(load_images(tmp_path / "more.npy"))
    assert np.allclose([*map(float, scores)], wanted["weighted unexplained"], rtol=1e-5)


def test_the_mistaken_images_are_the_strangest_normal_and_the_most_normal_strange_ones(anomalies, images, monkeypatch):
    figures = []
    monkeypatch.setattr(anomaly, "save_figure", lambda options, name, figure: figures.append(figure))
    monkeypatch.setattr(anomaly, "picture_rows_figure", lambda title, rows, captions: (rows, captions))
    found = anomalies("--data", images, "--validation", images)
    rows, captions = figures[-1]
    normal, strange = ([float(text.split("\n")[1]) for text in each] for each in captions.values())
    assert normal == sorted(normal, reverse=True) and strange == sorted(strange) and len(normal) == 6
    assert np.allclose(normal, found["strangest normal"], atol=0.01)
    shown = rows["strangest\nnormal images"]
    assert all((np.load(images)[::2] == image).all(axis=(1, 2, 3)).any() for image in shown)


def test_the_scores_of_pictures_are_written_by_their_names(anomalies, images, pictures, tmp_path):
    anomalies("--data", images, "--score", pictures)
    rows = (tmp_path / "out" / "scores.csv").read_text().splitlines()
    assert rows[:3] == ["ID,score", "0.png,inf", "1.png,inf"] and len(rows) == 13


@pytest.mark.parametrize("option", ["--anomalies", "--score"])
def test_images_that_cannot_be_scored_end_the_demo_before_it_trains(anomalies, images, tmp_path, capsys, option):
    assert stopped_with(anomalies, "--data", images, option, tmp_path / "missing") == 2
    assert capsys.readouterr().err.startswith(f"python -m demos.anomaly: error: {tmp_path}/missing: found no such file")
    assert not list((tmp_path / "out").iterdir())


def test_reconstruction_prints_the_model_and_its_error_beside_the_baselines(small_run):
    printed = small_run.out[: small_run.out.index("x[0]")]
    assert "(2): Linear(in_features=512, out_features=24, bias=True)" in printed and "12,620,824 parameters" in printed
    for name in ("autoencoder", r"PCA, \d+ components", "mean image"):
        assert re.search(rf"{name} +\| 0\.\d{{4}}", printed)


def test_what_happens_is_told_on_stderr_and_results_alone_go_to_stdout(small_run, capsys):
    for told in ("images    ", "training  ", "backend   ", "weights   ", "figure    ", "file      "):
        assert f"\n{told}" in f"\n{small_run.err}" and f"\n{told}" not in f"\n{small_run.out}"
    reconstruction.main([*SMALL, "--quiet", "--out", str(small_run.folder)])
    printed = capsys.readouterr()
    assert small_run.out.startswith(printed.out) and printed.err == ""


def test_quiet_shows_no_bar_on_a_terminal_either(pictures, train, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    train("--quiet", "--images", "12", "--data", str(pictures))
    assert capsys.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.skipif(current_backend() == "numpy", reason="NumPy compiles nothing")
def test_quiet_is_quiet_while_a_kernel_is_compiled_too(tmp_path):
    command = [sys.executable, "-m", "demos.gradients", "--quiet", "--break", "WrongSign"]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr == ""
    assert any(tmp_path.rglob("*.nbi"))


def test_a_folder_where_a_file_should_go_is_one_line_and_exit_status_2(train, tmp_path, capsys):
    (tmp_path / "out" / "fcn.json").mkdir(parents=True)
    assert stopped_with(train, "--quiet") == 2
    assert capsys.readouterr().err == f"demo: error: {tmp_path}/out/fcn.json: Is a directory\n"


WAYS_OUT = "; give it its options, or another --out, or delete it"


def contents(folder):
    return {path: path.read_bytes() for path in folder.iterdir()}


def stays(folder, capsys, train, *arguments, **more):
    """What is said when train() ends with one line and exit status 2, and all in the folder is as it was."""
    before = contents(folder)
    assert stopped_with(functools.partial(train, *arguments, **more)) == 2
    assert contents(folder) == before
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith(WAYS_OUT)
    return last.removesuffix(WAYS_OUT).removeprefix(f"demo: error: {folder}/")


@pytest.mark.parametrize(
    "arguments, said",
    {
        "seed": (["--seed", "1"], '"seed" was 0, is 1'),
        "batch size": (["--batch-size", "8"], '"batch_size" was 64, is 8'),
        "more images": (["--images", "40"], '"images" was [22, 2], is [36, 4]'),
        "fewer epochs": (["--epochs", "1"], '"epochs" was 2, is 1'),
        "more epochs": (["--epochs", "3"], '"epochs" was 2, is 3; --resume trains it on'),
        "two options": (["--epochs", "3", "--seed", "1", "--resume"], '"seed" was 0, is 1; "epochs" was 2, is 3'),
    }.values(),
)
def test_weights_of_other_settings_stay_and_one_line_names_what_differs(train, tmp_path, capsys, arguments, said):
    train("--epochs", "2")
    found = stays(tmp_path / "out", capsys, train, "--epochs", "2", *arguments)
    assert found == f"fcn.npz was trained by other settings: {said}"
    train("--epochs", "2")
    assert "reused" in capsys.readouterr().err


def test_a_forgotten_data_set_is_named(train, images, tmp_path, capsys):
    train("--images", "12", "--data", str(images))
    found = stays(tmp_path / "out", capsys, train, "--images", "12", "--resume")
    assert found == f'fcn.npz was trained by other settings: "data" was "{images}", is "embedded faces"'


def test_weights_without_a_record_stay(train, tmp_path, capsys):
    train()
    (tmp_path / "out" / "fcn.json").unlink()
    assert "fcn.npz or its record is damaged ([Errno 2]" in stays(tmp_path / "out", capsys, train)


@pytest.mark.parametrize("name", ["fcn.json", "fcn.npz"])
def test_a_damaged_record_or_damaged_weights_stay(train, tmp_path, capsys, name):
    train()
    (tmp_path / "out" / name).write_bytes(b"{")
    assert "is damaged" in stays(tmp_path / "out", capsys, train)


def test_weights_that_are_not_of_the_record_beside_them_stay(train, tmp_path, capsys):
    for seed in "01":
        train("--seed", seed, name=seed)
    shutil.copy(tmp_path / "1" / "fcn.npz", tmp_path / "0" / "fcn.npz")
    assert "is damaged" in stays(tmp_path / "0", capsys, train, name="0")


def test_weights_of_another_loss_are_not_reused(train, tmp_path, capsys):
    def demo(*given, beta=1.0):
        trained("vae", *given, build=functools.partial(VAE, hidden_features=4), beta=beta)

    train(demo=demo)
    found = stays(tmp_path / "out", capsys, train, demo=functools.partial(demo, beta=64.0))
    assert found.endswith('"train" was {"beta": 1.0}, is {"beta": 64.0}')


def test_weights_of_another_corruption_are_not_reused(train, tmp_path, capsys):
    def demo(*given, std=0.1):
        trained("mine", *given, build=small_fcn, corrupt=gaussian_noise(std))

    train(demo=demo)
    train(demo=demo)
    assert "reused" in capsys.readouterr().err
    assert "gaussian_noise(std=5)" in stays(tmp_path / "out", capsys, train, demo=functools.partial(demo, std=5))


def test_weights_of_another_source_stay_and_are_not_called_by_a_number(train, tmp_path, capsys, monkeypatch):
    train()
    monkeypatch.setattr(demos.trained, "SOURCE", "another")
    said = stays(tmp_path / "out", capsys, train)
    assert said.endswith(
        'settings: "source code" "nnlite, autoencoders, demos/trained.py, demos/settings.py" has changed'
    )


def test_weights_that_another_run_writes_meanwhile_stay(train, tmp_path, capsys):
    weights = tmp_path / "out" / "fcn.npz"

    def another_run(x, rng):
        weights.write_bytes(b"finished")
        return x

    MODELS["fcn"] = small_fcn, {"corrupt": another_run}
    train()
    own = weights.with_stem(f"fcn-{os.getpid()}")
    assert f"saved: {own}\n" in capsys.readouterr().err and weights.read_bytes() == b"finished"
    load_weights(own, small_fcn(rng=np.random.default_rng(0)))


def test_weights_of_an_earlier_version_stay_and_are_not_called_damaged(train, tmp_path, capsys):
    train()
    path = tmp_path / "out" / "fcn.json"
    record = json.loads(path.read_text())
    del record["before"], record["generator"]
    record["settings"]["source"] = "of an earlier version"
    path.write_text(json.dumps(record))
    assert '"source" was "of an earlier version", is not set' in stays(tmp_path / "out", capsys, train)


def test_an_interrupted_training_is_not_begun_anew_unasked(train, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "fcn.checkpoint.npz").write_bytes(b"of hours")
    said = stays(tmp_path / "out", capsys, train)
    assert said == "fcn.checkpoint.npz holds a training that was interrupted; --resume goes on with it"


def curves(folder):
    return json.loads((folder / "fcn.json").read_text())["history"]


def test_resume_with_more_epochs_goes_on_from_finished_weights(train, tmp_path, capsys):
    train("--epochs", "2")
    two = curves(tmp_path / "out")["validation_loss"]
    capsys.readouterr()
    train("--epochs", "4", "--resume")
    schedule = "with epoch 3, at the learning rates of a training of 4 epochs"
    assert f"training goes on from {tmp_path}/out/fcn.npz {schedule}\n" in capsys.readouterr().err
    four = curves(tmp_path / "out")["validation_loss"]
    assert four[:2] == two and len(four) == 4 and four[3] < two[1]
    train("--epochs", "4")
    assert "reused" in capsys.readouterr().err


def test_a_training_that_went_on_and_was_interrupted_ends_as_if_it_had_not_been(train, tmp_path, monkeypatch):
    few_steps = ("--quiet", "--batch-size", "8")
    for name in ("out", "undisturbed"):
        train(*few_steps, "--epochs", "1", name=name)
        with monkeypatch.context() as patch:
            if name == "out":
                patch.setattr(ImageSet, "batches", interrupting(signal.SIGTERM))
                assert stopped_with(train, *few_steps, "--epochs", "3", "--resume") == 143
                patch.undo()
            train(*few_steps, "--epochs", "3", "--resume", name=name)
    resumed, undisturbed = (np.load(tmp_path / name / "fcn.npz") for name in ("out", "undisturbed"))
    assert all(np.array_equal(resumed[name], undisturbed[name]) for name in undisturbed.files)


def test_a_run_that_died_between_record_and_weights_loses_neither(train, tmp_path, capsys):
    train("--epochs", "1")
    before = (tmp_path / "out" / "fcn.npz").read_bytes()
    train("--epochs", "2", "--resume")
    (tmp_path / "out" / "fcn.npz").write_bytes(before)
    found = stays(tmp_path / "out", capsys, train, "--epochs", "2")
    assert found == 'fcn.npz was trained by other settings: "epochs" was 1, is 2; --resume trains it on'
    train("--epochs", "2", "--resume")
    assert "goes on from" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["file", "folder"])
def test_the_same_images_with_new_file_times_elsewhere_are_the_same_data(
    source, images, pictures, tmp_path, train, capsys
):
    data = images if source == "file" else pictures
    train("--images", "12", "--data", str(data))
    copy = tmp_path / "elsewhere"
    (shutil.copy if source == "file" else shutil.copytree)(data, copy)
    for path in [copy, *copy.glob("*")]:
        os.utime(path, (0, 0))
    train("--images", "12", "--data", str(copy))
    assert "reused" in capsys.readouterr().err


def test_a_changed_pixel_is_found(images, tmp_path, train, capsys):
    data = ("--images", "12", "--data", str(images), "--validation", str(images))
    train(*data)
    times = images.stat()
    array = np.load(images)
    array[7, 30, 30, 1] ^= 1
    np.save(images, array)
    os.utime(images, ns=(times.st_atime_ns, times.st_mtime_ns))
    found = stays(tmp_path / "out", capsys, train, *data)
    assert found.endswith(f'"data" "{images}" has changed; "validation" "{images}" has changed')


def test_a_model_of_all_demos_is_not_trained_another_way_under_its_name(train):
    with pytest.raises(TypeError, match="found corrupt for 'fcn', wanted a name of its own, with build="):
        train(demo=lambda *given: trained("fcn", *given, corrupt=gaussian_noise(0.5)))


def test_the_record_holds_settings_and_history(small_run):
    record = small_run.results("fcn")
    assert record["settings"]["epochs"] == len(record["history"]["validation_loss"]) == 3


def test_a_folder_is_trained_on_and_its_unreadable_files_are_named(pictures, train, capsys):
    (pictures / "broken.png").write_bytes(b"no picture")
    train("--images", "12", "--data", str(pictures))
    assert "10 to train on\n          without 1 unreadable file: broken.png" in capsys.readouterr().err


def test_images_to_validate_on_that_are_also_trained_on_are_told(pictures, train, capsys):
    train("--images", "12", "--data", str(pictures), "--validation", str(pictures))
    assert "\n          12 of the images to validate on are also trained on\n" in capsys.readouterr().err


def test_the_file_of_an_array_may_be_followed_by_its_name(tmp_path, images, train, capsys):
    np.savez(tmp_path / "images.npz", train=np.load(images) / 255, test=np.load(images)[:3] / 255)
    train("--images", "12", "--data", f"{tmp_path}/images.npz:train", "--validation", f"{tmp_path}/images.npz:test")
    said = capsys.readouterr().err
    assert "images.npz:train: 12 to train on\n          float64 in 0..1, colour, 64 x 64: scaled to 0..255\n" in said
    train("--images", "12", "--data", f"{tmp_path}/images.npz:train", "--validation", f"{tmp_path}/images.npz:test")
    assert "reused" in capsys.readouterr().err


def test_a_contact_sheet_shows_what_images_were(pictures, tmp_path, capsys):
    (pictures / "broken.png").write_bytes(b"no picture")
    Image.new("I;16", (90, 70), 4095).save(pictures / "a very long name $x^2_$ of a deep picture.png")
    contact_sheet.main(["--data", str(pictures), "--out", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert re.search(r"PNG RGB 64 x 64 +\| 12 .*\n.*PNG I(;16)? 90 x 70 +\| 1 ", printed.out)
    assert "folder: 13\n          without 1 unreadable file: broken.png (not read by Pillow)\n" in printed.err
    with Image.open(tmp_path / "out" / "contact_sheet.png") as sheet:
        assert sheet.width > 8 * 128


@pytest.mark.parametrize("data", ["missing", "folder/0.png"])
def test_a_contact_sheet_of_what_cannot_be_read_is_one_line_and_exit_status_2(pictures, tmp_path, capsys, data):
    assert stopped_with(contact_sheet.main, ["--data", str(tmp_path / data), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_sentences_changes_and_claims_are_written(small_run):
    results, written = (small_run.results("latent_scaling"), (small_run.folder / "latent_scaling.md").read_text())
    element = list(results["edits"])[2].removesuffix("*5")
    assert list(results["edits"]) == ["x[0][0]*5", "x[0][0]/5", f"{element}*5", f"{element}/5", "x[0]*5", "x[0]/5"]
    for edit in results["edits"].values():
        assert edit["sentence"] in written
        assert f"{edit['changes']['brightness']:+.2f}" in written
    for row in results["claims"]:
        assert re.search(rf"{row['verdict']} +\| {re.escape(row['claim'])} +\| {re.escape(row['edit'])}", written)


def test_what_is_written_of_an_edit_is_what_the_saved_weights_make_of_it(small_run):
    results = small_run.results("latent_scaling")
    model = FCNAutoencoder(rng=np.random.default_rng(0))
    load_weights(small_run.folder / "fcn.npz", model)
    rng, _ = np.random.default_rng(0).spawn(2)
    _, validation = load_images(count=200, rng=rng).split(rng)
    code = model.encoder(to_features(validation[:1]))
    plain = model.decoder(code)
    assert results["faces"] == len(validation)
    for picture in results["pictures"][2:]:
        element, sign = re.fullmatch(r"x\[0\](?:\[(\d+)\])?(.)5", picture["name"]).groups()
        scaled, of = code.copy(), slice(None) if element is None else int(element)
        scaled[0, of] *= 5 if sign == "*" else 1 / 5
        assert np.allclose(
            picture["code"], [np.linalg.norm(c) if element is None else c[0, of] for c in (code, scaled)]
        )
        difference = model.decoder(scaled) - plain
        assert np.isclose(picture["largest difference"], np.abs(difference).max(), rtol=1e-4)
        red, green, blue = (difference * 127.5).reshape(3, -1).mean(axis=1)
        changed = results["edits"][picture["name"]]["changes"]
        assert np.isclose(changed["brightness"], 0.299 * red + 0.587 * green + 0.114 * blue, atol=1e-2)
        assert np.isclose(changed["redness"], red - (green + blue) / 2, atol=1e-2)


def test_on_photographs_a_smile_is_not_measured_and_the_second_element_may_be_chosen(
    train, images, tmp_path, monkeypatch
):
    data = ["--images", "12", "--data", str(images), "--validation", str(images)]
    monkeypatch.setattr(latent_scaling, "latent_sheet_figure", lambda *drawn: Figure())
    train("--element", "7", *data, demo=latent_scaling.run)
    results = json.loads((tmp_path / "out" / "latent_scaling.json").read_text())
    unmeasured = [row["claim"] for row in results["claims"] if row["verdict"] == "not measured"]
    assert unmeasured == ["more smile", "sterner look"]
    assert "x[0][7]*5" in results["edits"]


def test_a_file_for_validation_is_validated_on_and_not_trained_on(images, train, capsys):
    train("--images", "12", "--data", str(images), "--validation", str(images))
    printed = capsys.readouterr().err
    assert f"{images}: 12 to train on\n          {images}: 12 to validate on" in printed


def test_quick_takes_at_most_the_images_that_a_file_has(images, tmp_path, capsys):
    arguments = ["--quick", "--data", str(images), "--out", str(tmp_path)]
    settings.start("demo", "", arguments, lambda options, *sets: print(options.epochs))
    printed = capsys.readouterr()
    assert printed.out == "5\n" and "10 to train on" in printed.err


def test_gradients_exits_with_1_and_shows_the_table_when_a_backward_is_wrong(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Tanh, "backward", lambda self, grad_output, input_grad=True: grad_output)
    assert stopped_with(gradients.main, ["--out", str(tmp_path)]) == 1
    assert "Tanh              WRONG" in (printed := capsys.readouterr().out) and "analytic" in printed


def test_gradients_shows_a_planted_bug_and_what_gives_it_away(capsys):
    gradients.main(["--break", "DroppedUpstream"])
    printed = capsys.readouterr().out
    assert printed.startswith("--- nnlite/layers.py\n+++ nnlite/layers.py\n@@ ")
    assert re.search(r"\n-        return np\.asarray\(.*\n\+        return slope if input_grad else None\n ", printed)
    assert "hint: input: does not depend on grad_output" in printed


def answers(*given):
    """What asks a reader who gives these answers, and then is gone."""
    left = iter(given)

    def ask(question):
        print(question, end="")
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    return ask


def quizzed(monkeypatch, capsys, name, *given):
    monkeypatch.setattr(gradients, "input", answers(*given), raising=False)
    gradients.main(["--quiz", *([name] if name else [])])
    return capsys.readouterr().out


def test_a_quiz_shows_the_bug_in_its_place_and_the_answer_last(monkeypatch, capsys):
    _, first = inspect.getsourcelines(Tanh.backward)
    out = quizzed(monkeypatch, capsys, "DroppedUpstream", "x", str(first), "", "")
    shown, checked, difference = (
        out.index(text) for text in ("return slope", "GradcheckError", "--- nnlite/layers.py")
    )
    assert shown < out.index("Which line is it?") < checked < difference and "+        return slope" in out[difference:]
    assert "slope, dtype) * slope" not in out[:difference] and "That line is as it should be." in out
    assert f"'x' is none of them, which are numbered from {first} to" in out


def test_the_line_that_is_wrong_is_confirmed(monkeypatch, capsys):
    source, first = inspect.getsourcelines(Tanh.backward)
    line = first + next(number for number, text in enumerate(source) if "* slope" in text and "return" in text)
    assert "That is the line." in quizzed(monkeypatch, capsys, "DroppedUpstream", str(line), "", "")


@pytest.mark.parametrize("name", [None, "Squeezed", "HalfForgotten", "TargetForgotten"])
def test_a_quiz_without_a_reader_waits_for_nobody(monkeypatch, capsys, name):
    out = quizzed(monkeypatch, capsys, name)
    assert "Which line is it?" in out and "GradcheckError" in out and "\n+ " in out and "should be.\n\n" in out


def test_gradients_says_which_line_a_bug_wants_when_the_source_has_changed(monkeypatch, capsys):
    monkeypatch.setattr(Tanh, "backward", lambda self, grad_output, input_grad=True: grad_output)
    with pytest.raises(SystemExit) as stopped:
        gradients.main(["--break", "DroppedUpstream"])
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and error.count("\n") == 1
    assert "times in Tanh.backward, wanted it once" in error


def test_help_names_every_option_with_its_default(capsys):
    assert stopped_with(reconstruction.main, ["--help"]) == 0
    printed = capsys.readouterr().out
    for option in ("--data", "--validation", "--out", "--epochs", "--batch-size", "--seed", "--images"):
        assert re.search(rf"{option} \w+ .*\(default: .*\)", printed)


@pytest.mark.parametrize("main, named", [(anomaly.main, True), (latent_scaling.main, False), (explore.main, False)])
def test_anomalies_are_named_by_the_help_of_the_demo_that_looks_for_them(main, named, capsys):
    assert stopped_with(main, ["--help"]) == 0
    assert ("--anomalies" in capsys.readouterr().out) == named


@pytest.mark.parametrize("main, named", [(latent_scaling.main, True), (reconstruction.main, False)])
def test_element_is_taken_by_every_demo_and_named_by_the_help_of_those_that_scale_it(main, named, capsys):
    assert stopped_with(main, ["--element", "3", "--help"]) == 0
    assert ("--element" in capsys.readouterr().out) == named


BAD = {
    "a missing file": (
        ["--data", "{tmp}/missing.npy"],
        "missing.npy: found no such file, wanted a folder or .zip",
    ),
    "an empty folder": (["--data", "{tmp}/empty"], "empty: found no pictures; wanted at least one picture"),
    "a folder of broken pictures": (
        ["--data", "{tmp}/broken"],
        "broken: found 1 unreadable file: a.png (not read",
    ),
    "a folder with one picture": (["--data", "{tmp}/single"], "single: found only 1, wanted at least 3 different"),
    "a damaged header": (["--data", "{tmp}/header.npy"], "header.npy: found no complete array of numbers"),
    "a negative shape": (["--data", "{tmp}/negative.npy"], "negative.npy: found no complete array of numbers"),
    "too many faces": (["--images", "999999999999"], "wanted at most 100000 embedded faces"),
    "an empty file": (["--data", "{tmp}/empty.npy"], "empty.npy: found no .npy, .npz or .zip file, wanted a folder"),
    "a truncated file": (["--data", "{tmp}/truncated.npy"], "truncated.npy: found no complete array of numbers"),
    "objects": (["--data", "{tmp}/objects.npy"], "objects.npy: found no complete array of numbers"),
    "a wrong shape": (["--data", "{tmp}/shape.npy"], "shape.npy: found uint8 (5, 8, 8, 4), wanted images: numbers"),
    "a wrong range": (
        ["--data", "{tmp}/range.npy"],
        "range.npy: found float64 from 0 to 1.5, wanted numbers that fill",
    ),
    "one image": (["--data", "{tmp}/one.npy"], "one.npy: found only 1, wanted at least 3 different images"),
    "a missing validation file": (["--images", "4", "--validation", "{tmp}/no.npy"], "no.npy: found no such file"),
    "no epochs": (["--epochs", "0"], "--epochs: found '0', wanted a whole number, 1 or more"),
    "negative epochs": (["--epochs", "-3"], "--epochs: found '-3', wanted a whole number, 1 or more"),
    "words for epochs": (["--epochs", "many"], "--epochs: found 'many', wanted a whole number, 1 or more"),
    "no batch size": (["--batch-size", "0"], "--batch-size: found '0', wanted a whole number, 1 or more"),
    "a fraction for batch size": (["--batch-size", "1.5"], "--batch-size: found '1.5', wanted a whole number"),
    "a negative seed": (["--seed", "-1"], "--seed: found '-1', wanted a whole number, 0 or more"),
    "a time that is none": (["--checkpoint-every", "-1"], "--checkpoint-every: found '-1', wanted a number of seconds"),
    "an element that is none": (["--element", "24"], "--element: found '24', wanted a whole number, 1 to 23"),
    "too many images": (["--data", "{tmp}/one.npy", "--images", "9"], "one.npy: found 1 images, wanted 9"),
    "an unknown option": (["--eposch", "3"], "unrecognized arguments: --eposch 3"),
    "a file for --out": (["--out", "{tmp}/one.npy"], "one.npy: found File exists, wanted a folder to write in"),
    "a file on the way to --out": (["--out", "{tmp}/one.npy/out"], "out: found Not a directory, wanted a folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_on_stderr_and_exit_status_2(case, tmp_path, capsys, monkeypatch):
    np.save(tmp_path / "shape.npy", np.zeros((5, 8, 8, 4), np.uint8))
    np.save(tmp_path / "range.npy", np.linspace(0, 1.5, 5 * 64 * 64).reshape(5, 64, 64))
    np.save(tmp_path / "one.npy", np.zeros((1, 64, 64, 3), np.uint8))
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "truncated.npy").write_bytes((tmp_path / "range.npy").read_bytes()[:9999])
    (tmp_path / "empty.npy").write_bytes(b"")
    for folder in ("empty", "broken", "single"):
        (tmp_path / folder).mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no picture")
    Image.new("RGB", (80, 70)).save(tmp_path / "single" / "a.png")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    one = (tmp_path / "one.npy").read_bytes()
    (tmp_path / "header.npy").write_bytes(one.replace(b"(1, 64", b"(1, (("))
    (tmp_path / "negative.npy").write_bytes(one.replace(b"(1, 64", b"(-1,64"))
    arguments, message = BAD[case]
    arguments = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    out = [] if "--out" in arguments else ["--out", str(tmp_path / "out")]
    assert stopped_with(reconstruction.main, [*arguments, *out]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1 and message in printed.err


@pytest.fixture
def disk(tmp_path):
    """The output folder of train(), a disk of 600 KiB: room for the weights, 444 kB, and no more."""
    (tmp_path / "out").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(tmp_path / "out")]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("wants the right to mount a disk")
    yield tmp_path / "out"
    subprocess.run(["umount", str(tmp_path / "out")], check=True)


def test_on_a_full_disk_earlier_files_stay_and_one_line_says_so(disk, train, capsys):
    train("--quiet")
    weights = (disk / "fcn.npz").read_bytes()
    more = ("--quiet", "--epochs", "2", "--resume")
    assert stopped_with(train, *more) == 2
    assert capsys.readouterr().err == f"demo: error: {disk}/fcn.npz: No space left on device\n"
    assert stopped_with(train, *more, "--checkpoint-every", "0") == 2
    assert capsys.readouterr().err == f"demo: error: {disk}/fcn.checkpoint.npz: No space left on device\n"
    assert (disk / "fcn.npz").read_bytes() == weights
    train()
    assert "reused" in capsys.readouterr().err


def test_on_a_disk_that_became_read_only_earlier_files_stay_and_one_line_says_so(disk, train, capsys):
    train("--quiet")
    before = contents(disk)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert stopped_with(train, "--quiet") == 2
    said = capsys.readouterr().err
    assert said == f"demo: error: --out {disk}: found Read-only file system, wanted a folder to write in\n"
    assert contents(disk) == before


def interrupting(number):
    """ImageSet.batches, but a signal comes with the second one."""

    def batches(images, *given, all_batches=ImageSet.batches):
        for place, batch in enumerate(all_batches(images, *given)):
            if place == 1:
                signal.raise_signal(number)
            yield batch

    return batches


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_demo_with_a_checkpoint_and_resume_goes_on_to_the_same_weights(
    tmp_path, train, capsys, monkeypatch, number, status
):
    few_steps = ("--quiet", "--batch-size", "8", "--epochs", "2")
    with monkeypatch.context() as patch:
        patch.setattr(ImageSet, "batches", interrupting(number))
        assert stopped_with(train, *few_steps) == status
    said, checkpoint = capsys.readouterr().err, tmp_path / "out" / "fcn.checkpoint.npz"
    assert said == (
        f"demo: stopped by {number.name} when epoch 1, step 2 was done, saved in {checkpoint};"
        " the same command with --resume goes on from there\n"
    )
    assert stopped_with(train, *few_steps, "--resume", "--seed", "1") == 2
    assert (
        f'{checkpoint}: found a checkpoint of other settings: "seed" was 0, is 1{WAYS_OUT}\n' in capsys.readouterr().err
    )
    train(*few_steps, "--resume")
    assert capsys.readouterr().err == "" and not checkpoint.exists()
    train(*few_steps, name="undisturbed")
    resumed, undisturbed = (np.load(tmp_path / name / "fcn.npz") for name in ("out", "undisturbed"))
    assert all(np.array_equal(resumed[name], undisturbed[name]) for name in undisturbed.files)


def test_a_training_that_diverges_is_one_line_and_exit_status_2(train, monkeypatch, capsys):
    monkeypatch.setattr(training, "mse_loss", lambda prediction, target: (np.nan, np.zeros_like(prediction)))
    assert stopped_with(train, "--quiet") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "epoch 1, step 1: the loss is not finite" in said


def test_ctrl_c_outside_of_a_training_is_one_line(train, capsys):
    def interrupted(options, training_set, validation_set):
        raise KeyboardInterrupt

    assert stopped_with(lambda: train("--quiet", demo=interrupted)) == 130
    assert capsys.readouterr().err == "demo: interrupted\n"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_an_out_folder_that_is_read_only_is_named(tmp_path, capsys):
    tmp_path.chmod(0o500)
    assert stopped_with(reconstruction.main, ["--out", str(tmp_path)]) == 2
    assert "wanted a folder to write in" in capsys.readouterr().err


def test_an_unknown_backend_is_one_line_too(monkeypatch, capsys):
    monkeypatch.setenv("NNLITE_BACKEND", "cuda")
    assert stopped_with(gradients.main, []) == 2
    assert "NNLITE_BACKEND: found 'cuda', wanted one of numba, numpy" in capsys.readouterr().err


@pytest.mark.slow
def test_the_benchmark_compares_what_computes_the_same(tmp_path, capsys, monkeypatch):
    smaller = (race, "WARM_UP", 1), (race, "PAUSE", 0), (race, "TURN", 0), (benchmark, "INFERENCE_BATCHES", (1, 4))
    for module, name, small in smaller:
        monkeypatch.setattr(module, name, small)
    benchmark.main(["--batch-sizes", "2", "6", "--rounds", "1", "--streams", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "benchmark.json").read_text())
    ours = {"nnlite", "nnlite, train()", "nnlite, np.matmul", "nnlite, NumPy backend", "naive NumPy"}
    assert ours <= set(found["step"]["6"]) and "nnlite" in found["streams"]["6"]
    assert found["start"]["cached"] < found["start"]["cold"]
    weights = 12288 * 512 + 512 * 24 + 24 * 512 + 512 * 12288
    multiplications = 6 * (3 * weights - 12288 * 512)  # no gradient of the images
    traffic = 7 * 4 * (weights + 512 + 24 + 512 + 12288)
    expected = 2 * multiplications / found["limits"]["flops"] + traffic / found["limits"]["bandwidth"]
    assert np.isclose(found["bound"]["6"], expected)
    text = (tmp_path / "benchmark.md").read_text()
    assert text.removeprefix("# Speed\n\n") in capsys.readouterr().out and (tmp_path / "benchmark.png").exists()


def test_the_benchmarks_tables_show_the_fastest_and_medians_of_ratios():
    def rounds(*medians, fastest):
        return {"median": list(medians), "fastest": [2 * fastest, fastest]}

    step = {
        "nnlite": rounds(0.1, 0.2, 0.2, fastest=0.1),
        "nnlite, train()": rounds(0.2, 0.2, 0.2, fastest=0.1),
        "naive NumPy": rounds(0.2, 0.2, 0.8, fastest=0.15),
    }
    five = {
        "nnlite": rounds([0.1, 0.1, 0.1, 0.1, 0.1], fastest=np.full(5, 0.1)),
        "naive NumPy": rounds([0.1, 0.2, 0.1, 0.1, 0.1], fastest=np.full(5, 0.1)),
    }
    results = {"machine": "M", "threads": 2, "versions": {"numpy": "2"}, "start": {"cold": 9.0, "cached": 0.5}}
    flops = 2 * 64 * 512 * 12288 / 0.05  # of which a product takes 0.05 s at least
    results |= {
        "limits": {"flops": flops, "bandwidth": 1e9},
        "bound": {64: 0.05},
        "step": {64: step},
        "infer": {1: step},
    }
    results |= {
        "products": {64: five},
        "traffic": {64: [(1e6, 2e6)] * 5},
        "streams": {64: {"nnlite": rounds(fastest=0.3)}},
    }
    text = markdown(benchmark.parts(results))
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in text.splitlines() if line.startswith("| ")]
    assert [cells for name, *cells in rows if name == "nnlite"] == [
        ["100.0, 1.50"],
        ["200.0, 2.00 (1.00 to 4.00)"],
        ["300.0, 3.00"],
        ["100.0; 200.0, 2.00 (1.00 to 4.00)"],
    ]
    assert [cells for name, *cells in rows if name == "dL/dW = dL/dy^T x"] == [
        ["100.0, 50%, 1.00"],
        ["2.00 (2.00 to 2.00)"],
        ["2 / 1"],
    ]
    sums = [cells for name, *cells in rows if name == "their sum"]
    assert sums == [["500.0, 50%, 1.00"], ["1.20 (1.20 to 1.20)"], ["10 / 5"]]
    assert ["bound / nnlite", "50%"] in rows and ["nnlite / its train()", "1.00 (0.50 to 1.00)"] in rows


@pytest.mark.slow
def test_without_numba_the_benchmark_is_refused(tmp_path):
    command = [sys.executable, "-m", "demos.benchmark", "--out", str(tmp_path)]
    run = subprocess.run(command, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr.endswith(
        "python -m demos.benchmark: error: found no Numba that compiles, wanted it for nnlite\n"
    )


@pytest.mark.slow
def test_the_benchmark_refuses_a_contender_that_computes_something_else(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "SAME", 1e-12)
    monkeypatch.setattr(benchmark, "CONTENDERS", (benchmark.OURS, benchmark.NAIVE))
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(["--batch-sizes", "2", "--rounds", "1", "--quiet", "--out", str(tmp_path)])
    assert re.fullmatch(
        r"python -m demos.benchmark: error: batch size 2: .+ has the loss 0\.\d+, wanted 0\.\d+\n",
        capsys.readouterr().err,
    )
