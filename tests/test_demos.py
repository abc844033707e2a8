import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from autoencoders import VAE, FCNAutoencoder, ImageSet, load_images, training
from autoencoders.images import to_features
from demos import (
    benchmark,
    denoising,
    gradients,
    latent_scaling,
    posterior_collapse,
    reconstruction,
    settings,
    vae_vs_vanilla,
)
from demos.output import Markdown
from demos.trained import trained_as
from nnlite import Tanh, load_weights, use_backend

QUICK = ["--images", "24", "--epochs", "1"]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(autouse=True)
def a_small_probe(monkeypatch):
    monkeypatch.setattr(latent_scaling, "PROBE_FACES", 100)


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


def test_all_demos_run_one_after_the_other_and_share_the_weights(tmp_path):
    command = [sys.executable, "-m", "demos", *QUICK, "--out", str(tmp_path / "out")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stderr.startswith("images    embedded faces: 22 to train on")
    assert (run.stderr.count("trained in"), run.stderr.count("reused")) == (4, 5)
    assert "every gradient is right" in run.stdout
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {
        "contact_sheet.png",
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
        "fcn_architecture.png",
        "report.json",
        "report.html",
    } < written
    assert run.stdout.endswith(f"report    {tmp_path}/out/report.html\n")


def test_the_sentences_on_the_vae_follow_from_the_numbers_beside_them(out):
    vae_vs_vanilla.main([*QUICK, "--out", str(out)])
    found = json.loads((out / "vae_vs_vanilla.json").read_text())
    nearest, error, moved = found["nearest real image"], found["reconstruction"], found["error of moved codes"]
    at_1 = found["moved by"].index(1)
    growth = {name: moved[name][at_1][0] - moved[name][0][0] for name in ("vanilla", "VAE")}
    expected = {
        "pictures between two codes": nearest["halfway, vanilla"][0] - nearest["halfway, VAE"][0],
        "samples of N(0, I)": nearest["sample, vanilla, N(0, I)"][0] - nearest["sample, VAE, N(0, I)"][0],
        "a comparison with samples of a normal distribution fitted to the vanilla codes": nearest[
            "sample, vanilla, fitted normal"
        ][0]
        - nearest["sample, VAE, N(0, I)"][0],
        "pictures of disturbed codes": growth["vanilla"] - growth["VAE"],
        "reconstructions from the mean": error["VAE"][0] - error["vanilla"][0],
        "reconstructions from a sample": error["VAE, sampled"][0] - error["vanilla"][0],
    }
    for each in found["advantages"] + found["disadvantages"]:
        assert np.isclose(each["mean"], expected[each["name"]], atol=1e-6)
    assert moved["VAE"][0] == error["VAE"] != error["VAE, sampled"] and moved["vanilla"][0] == error["vanilla"]
    distances = [mean for mean, _ in nearest.values()]
    assert len(set(distances)) == len(distances) and min(distances) > 0  # no two are of the same pictures, none of real
    sharp = found["high frequencies"]
    assert sharp["another real image"][0] == pytest.approx(1) and sharp["the same, blurred"][0] < 0.5


def test_the_denoising_autoencoder_is_measured_against_the_clean_image(out):
    denoising.main([*QUICK, "--out", str(out)])
    found = json.loads((out / "denoising.json").read_text())
    record = json.loads((out / "fcn.json").read_text())
    assert np.isclose(found["error"]["vanilla"][0][0], record["history"]["validation_loss"][-1], rtol=1e-5)
    at = found["noise"].index(0.5)
    difference = found["error"]["vanilla"][at][0] - found["error"]["denoising"][at][0]
    assert np.isclose(found["with noise"]["mean"], difference, atol=1e-6)
    vanilla, denoiser = (FCNAutoencoder(rng=np.random.default_rng(0)) for _ in range(2))
    load_weights(out / "fcn.npz", vanilla)
    load_weights(out / "dae.npz", denoiser)
    assert not np.array_equal(vanilla.encoder[0].weight.data, denoiser.encoder[0].weight.data)


@pytest.mark.parametrize("sign, said", [(1, "error is lower than"), (-1, "error is higher than")])
def test_a_denoising_autoencoder_that_is_worse_is_called_worse(sign, said):
    assert said in denoising.GAIN.say(sign * np.array([0.1, 0.2, 0.3]))["sentence"]


def test_under_the_sample_codes_loss_no_element_stays_active(out):
    posterior_collapse.main(["--images", "200", "--epochs", "3", "--out", str(out / "collapse")])
    found = json.loads((out / "collapse" / "posterior_collapse.json").read_text())["models"]
    assert found["the sample code's loss"]["active"] == 0 < found["VAE.loss"]["active"]
    assert sum(found["the sample code's loss"]["kl"]) < 0.1 < sum(found["VAE.loss"]["kl"])


def test_reconstruction_prints_the_model_and_its_error_beside_the_baselines(out, capsys):
    reconstruction.main([*QUICK, "--out", str(out)])
    printed = capsys.readouterr().out
    assert "(2): Linear(in_features=512, out_features=24, bias=True)" in printed and "12,620,824 parameters" in printed
    for name in ("autoencoder", r"PCA, \d+ components", "mean image"):
        assert re.search(rf"{name} +0\.\d{{4}}", printed)


def test_what_happens_is_told_on_stderr_and_results_alone_go_to_stdout(out, capsys):
    reconstruction.main([*QUICK, "--out", str(out)])
    printed = capsys.readouterr()
    for told in ("images    ", "training  ", "backend   ", "weights   ", "figure    "):
        assert told in printed.err and told not in printed.out
    reconstruction.main([*QUICK, "--quiet", "--out", str(out)])
    assert capsys.readouterr() == (printed.out, "")


def test_quiet_shows_no_bar_on_a_terminal_either(pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    data = ["--data", str(pictures), "--out", str(tmp_path / "out")]
    reconstruction.main(["--epochs", "1", "--quiet", *data])
    assert capsys.readouterr().err == ""


def test_quiet_is_quiet_while_the_kernels_are_compiled_too(tmp_path):
    command = [sys.executable, "-m", "demos.gradients", "--quiet", "--out", str(tmp_path)]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr == ""


def test_pca_with_as_many_components_as_the_data_has_leaves_no_error(rng):
    basis, mean = rng.standard_normal((3, 40)), rng.standard_normal(40)
    fitted, held_out = (rng.standard_normal((n, 3)) @ basis + mean for n in (30, 10))

    class Batches(list):
        def batches(self, batch_size):
            yield np.array(self)

    mean_error, pca_error = reconstruction._pca_errors(fitted, Batches(held_out), components=3)
    assert np.isclose(mean_error, np.mean((held_out - fitted.mean(axis=0)) ** 2))
    assert pca_error < 1e-20


def test_pca_of_few_distinct_images_is_no_worse_than_their_mean(rng):
    fitted = to_features(rng.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8).repeat(20, axis=0))
    held_out = ImageSet(rng.integers(0, 256, (5, 64, 64, 3), dtype=np.uint8))
    for images, components in ((fitted, 24), (fitted[:1], 0)):
        mean_error, pca_error = reconstruction._pca_errors(images, held_out, components)
        assert pca_error <= mean_error * (1 + 1e-6)


def test_a_folder_where_a_figure_should_go_is_one_line_and_exit_status_2(out, capsys):
    (out / "blocked" / "latent_scaling.png").mkdir(parents=True)
    with pytest.raises(SystemExit) as stopped:
        latent_scaling.main([*QUICK, "--quiet", "--out", str(out / "blocked")])
    printed = capsys.readouterr().err
    assert stopped.value.code == 2 and printed.count("\n") == 1 and "latent_scaling.png" in printed


def test_weights_of_other_settings_are_not_reused(out, capsys):
    for seed, expected in (("0", "trained in"), ("0", "reused"), ("1", "trained in"), ("0", "trained in")):
        latent_scaling.main([*QUICK, "--seed", seed, "--out", str(out / "other")])
        assert expected in capsys.readouterr().err


def test_a_damaged_record_or_damaged_weights_are_trained_again(out, capsys):
    for name in ("fcn.json", "fcn.npz"):
        latent_scaling.main([*QUICK, "--out", str(out / "damaged")])
        (out / "damaged" / name).write_bytes(b"{")
        capsys.readouterr()
        latent_scaling.main([*QUICK, "--out", str(out / "damaged")])
        assert "trained in" in capsys.readouterr().err


def test_weights_that_are_not_of_the_record_beside_them_are_trained_again(out, capsys):
    for seed in "01":
        latent_scaling.main([*QUICK, "--seed", seed, "--out", str(out / seed)])
    shutil.copy(out / "1" / "fcn.npz", out / "0" / "fcn.npz")
    latent_scaling.main([*QUICK, "--out", str(out / "0")])
    assert "is damaged (they are not of one training)" in capsys.readouterr().err


def test_weights_of_another_loss_are_not_reused(out, capsys):
    for beta in (1.0, 64.0):

        def demo(options, *image_sets, beta=beta):
            rng = np.random.default_rng(0)
            trained_as("vae", VAE(rng=rng), rng, options, *image_sets, beta=beta)

        settings.start("demo", "", [*QUICK, "--out", str(out / "loss")], demo)
        assert "trained in" in capsys.readouterr().err


def test_the_record_holds_settings_and_history(out):
    latent_scaling.main([*QUICK, "--out", str(out)])
    record = json.loads((out / "fcn.json").read_text())
    assert record["settings"]["epochs"] == len(record["history"]["validation_loss"]) == 1


def test_a_folder_is_trained_on_and_its_unreadable_files_are_named(pictures, tmp_path, capsys):
    (pictures / "broken.png").write_bytes(b"no picture")
    latent_scaling.main(["--epochs", "1", "--data", str(pictures), "--out", str(tmp_path / "out")])
    printed = capsys.readouterr().err
    assert "10 to train on\n          without 1 unreadable file: broken.png" in printed


def test_sentences_changes_and_claims_are_printed_and_written(out, capsys):
    latent_scaling.main([*QUICK, "--element", "3", "--out", str(out)])
    printed, written = capsys.readouterr().out, (out / "latent_scaling.md").read_text()
    results = json.loads((out / "latent_scaling.json").read_text())
    pictures = re.findall(r"!\[.*\]\(latent_\w+.png\)\n\n", written)
    text = written.removeprefix("# Parts of a code, scaled\n\n")
    for picture in pictures:
        text = text.replace(picture, "")
    assert len(pictures) == 2 and printed == f"{text}\n"
    assert list(results["edits"]) == ["x[0][0]*5", "x[0][0]/5", "x[0][3]*5", "x[0][3]/5", "x[0]*5", "x[0]/5"]
    for edit in results["edits"].values():
        assert edit["sentence"] in written
        assert f"{edit['changes']['brightness']:+.2f}" in written
    for row in results["claims"]:
        assert re.search(rf"{row['verdict']} +\| {re.escape(row['claim'])} +\| {re.escape(row['edit'])}", written)


def test_what_is_written_of_an_edit_is_what_the_saved_weights_make_of_it(out):
    latent_scaling.main([*QUICK, "--element", "3", "--out", str(out)])
    results = json.loads((out / "latent_scaling.json").read_text())
    model = FCNAutoencoder(rng=np.random.default_rng(0))
    load_weights(out / "fcn.npz", model)
    rng, _ = np.random.default_rng(0).spawn(2)
    _, validation = load_images(count=24, rng=rng).split(rng)
    code = model.encoder(to_features(validation[:1]))
    plain = model.decoder(code)
    for edit, scaled in (
        ("x[0]*5", code * 5),
        ("x[0]/5", code / 5),
        ("x[0][0]*5", code * np.where(np.arange(24) == 0, 5, 1)),
        ("x[0][3]/5", code / np.where(np.arange(24) == 3, 5, 1)),
    ):
        picture = next(each for each in results["pictures"] if each["name"] == edit)
        lengths = [np.linalg.norm(c) if "][" not in edit else c[0, int(edit[5])] for c in (code, scaled)]
        assert np.allclose(picture["code"], lengths)
        assert np.isclose(picture["largest difference"], np.abs(model.decoder(scaled) - plain).max(), rtol=1e-4)
        picture = next(each for each in results["pictures"] if each["name"] == edit)
        lengths = [np.linalg.norm(c) if "][" not in edit else c[0, int(edit[5])] for c in (code, scaled)]
        assert np.allclose(picture["code"], lengths)
        assert np.isclose(picture["largest difference"], np.abs(model.decoder(scaled) - plain).max(), rtol=1e-4)
        red, green, blue = ((model.decoder(scaled) - plain) * 127.5).reshape(3, -1).mean(axis=1)
        changed = results["edits"][edit]["changes"]
        assert np.isclose(changed["brightness"], 0.299 * red + 0.587 * green + 0.114 * blue, atol=1e-2)
        assert np.isclose(changed["redness"], red - (green + blue) / 2, atol=1e-2)
    assert results["faces"] == len(validation)


def test_on_photographs_a_smile_is_not_measured(images, tmp_path):
    latent_scaling.main(["--epochs", "1", "--data", str(images), "--validation", str(images), "--out", str(tmp_path)])
    claims = json.loads((tmp_path / "latent_scaling.json").read_text())["claims"]
    unmeasured = [row["claim"] for row in claims if row["verdict"] == "not measured"]
    assert unmeasured == ["more smile", "sterner look"]


def test_the_second_element_may_be_chosen(out, capsys):
    latent_scaling.main([*QUICK, "--element", "7", "--out", str(out)])
    assert "- x[0][7]*5: " in capsys.readouterr().out


def test_a_file_for_validation_is_validated_on_and_not_trained_on(images, tmp_path, capsys):
    latent_scaling.main(["--epochs", "1", "--data", str(images), "--validation", str(images), "--out", str(tmp_path)])
    printed = capsys.readouterr().err
    assert f"{images}: 12 to train on\n          {images}: 12 to validate on" in printed


def test_quick_takes_at_most_the_images_that_a_file_has(images, tmp_path, capsys):
    latent_scaling.main(["--quick", "--epochs", "1", "--data", str(images), "--out", str(tmp_path)])
    assert "10 to train on" in capsys.readouterr().err


def test_gradients_exits_with_1_and_shows_the_table_when_a_backward_is_wrong(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Tanh, "backward", lambda self, grad_output, input_grad=True: grad_output)
    with pytest.raises(SystemExit) as stopped:
        gradients.main(["--out", str(tmp_path)])
    assert stopped.value.code == 1
    assert "Tanh              WRONG" in (printed := capsys.readouterr().out) and "analytic" in printed


def test_gradients_draws_the_error_over_the_step(tmp_path, capsys):
    with use_backend("numpy"):  # which is the faster one for a thousand products of a few numbers
        gradients.main(["--out", str(tmp_path)])
    assert "every gradient is right" in capsys.readouterr().out and (tmp_path / "step_size.png").exists()


def test_gradients_shows_a_planted_bug_and_what_gives_it_away(capsys):
    gradients.main(["--break", "DroppedUpstream"])
    printed = capsys.readouterr().out
    assert printed.startswith("--- nnlite/layers.py\n+++ nnlite/layers.py\n@@ ")
    assert re.search(r"\n-        return np\.asarray\(.*\n\+        return slope if input_grad else None\n ", printed)
    assert "hint: input: does not depend on grad_output" in printed


def test_gradients_says_which_line_a_bug_wants_when_the_source_has_changed(monkeypatch, capsys):
    monkeypatch.setattr(Tanh, "backward", lambda self, grad_output, input_grad=True: grad_output)
    with pytest.raises(SystemExit) as stopped:
        gradients.main(["--break", "DroppedUpstream"])
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and error.count("\n") == 1
    assert "times in Tanh.backward, wanted it once" in error


def test_help_names_every_option_with_its_default(capsys):
    with pytest.raises(SystemExit):
        reconstruction.main(["--help"])
    printed = capsys.readouterr().out
    for option in ("--data", "--validation", "--out", "--epochs", "--batch-size", "--seed", "--images"):
        assert re.search(rf"{option} \w+ .*\(default: .*\)", printed)


BAD = {
    "a missing file": (["--data", "{tmp}/missing.npy"], "missing.npy: found no such file, wanted a .npy file"),
    "an empty folder": (["--data", "{tmp}/empty"], "empty: found no pictures, wanted files that end in .jpg"),
    "a folder of broken pictures": (["--data", "{tmp}/broken"], "broken: found 1 unreadable file: a.png (cannot"),
    "a folder with one picture": (["--data", "{tmp}/single"], "single: found only 1, wanted at least 3"),
    "a damaged header": (["--data", "{tmp}/header.npy"], "header.npy: found no complete array of numbers"),
    "a negative shape": (["--data", "{tmp}/negative.npy"], "negative.npy: found no complete array of numbers"),
    "too many faces": (["--images", "999999999999"], "wanted at most 100000 embedded faces"),
    "an empty file": (["--data", "{tmp}/empty.npy"], "empty.npy: found no complete array of numbers"),
    "a truncated file": (["--data", "{tmp}/truncated.npy"], "truncated.npy: found no complete array of numbers"),
    "objects": (["--data", "{tmp}/objects.npy"], "objects.npy: found no complete array of numbers"),
    "a wrong shape": (["--data", "{tmp}/shape.npy"], "shape.npy: found uint8 (5, 8, 8, 3), wanted images: uint8"),
    "a wrong dtype": (["--data", "{tmp}/dtype.npy"], "dtype.npy: found float64 (5, 64, 64, 3), wanted images: uint8"),
    "one image": (["--data", "{tmp}/one.npy"], "one.npy: found only 1, wanted at least 3 images"),
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
    np.save(tmp_path / "shape.npy", np.zeros((5, 8, 8, 3), np.uint8))
    np.save(tmp_path / "dtype.npy", np.zeros((5, 64, 64, 3)))
    np.save(tmp_path / "one.npy", np.zeros((1, 64, 64, 3), np.uint8))
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "truncated.npy").write_bytes((tmp_path / "dtype.npy").read_bytes()[:9999])
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
    with pytest.raises(SystemExit) as stopped:
        reconstruction.main(arguments if "--out" in arguments else [*arguments, "--out", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert stopped.value.code == 2 and printed.out == ""
    assert printed.err.count("\n") == 1 and message in printed.err


@pytest.fixture
def disk(tmp_path):
    """A disk of 60 MB: room for the weights, 50 MB, and no more."""
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60m", "none", str(tmp_path / "disk")]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("wants the right to mount a disk")
    yield tmp_path / "disk"
    subprocess.run(["umount", str(tmp_path / "disk")], check=True)


def stopped_with(arguments, capsys):
    """What reconstruction prints to stderr before it ends with exit status 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        reconstruction.main([*QUICK, "--quiet", *arguments])
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_on_a_full_disk_earlier_files_stay_and_one_line_says_so(disk, capsys):
    reconstruction.main([*QUICK, "--out", str(disk)])
    before = {path: path.read_bytes() for path in disk.iterdir()}
    said = stopped_with(["--seed", "1", "--out", str(disk)], capsys)
    assert said == f"python -m demos.reconstruction: error: {disk}/fcn.npz: No space left on device\n"
    said = stopped_with(["--seed", "1", "--out", str(disk), "--checkpoint-every", "0"], capsys)
    assert said == f"python -m demos.reconstruction: error: {disk}/fcn.checkpoint.npz: No space left on device\n"
    assert {path: path.read_bytes() for path in disk.iterdir()} == before
    reconstruction.main([*QUICK, "--out", str(disk)])
    assert "reused" in capsys.readouterr().err


def test_on_a_disk_that_became_read_only_earlier_files_stay_and_one_line_says_so(disk, capsys):
    reconstruction.main([*QUICK, "--out", str(disk)])
    before = {path: path.read_bytes() for path in disk.iterdir()}
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    said = stopped_with(["--out", str(disk)], capsys)
    assert said.endswith(f"--out {disk}: found Read-only file system, wanted a folder to write in\n")
    assert {path: path.read_bytes() for path in disk.iterdir()} == before


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_demo_with_a_checkpoint_and_resume_goes_on_to_the_same_weights(tmp_path, number, status):
    command = [sys.executable, "-m", "demos.reconstruction", "--images", "200", "--epochs", "6", "--quiet", "--out"]
    killed, undisturbed = str(tmp_path / "killed"), str(tmp_path / "undisturbed")
    with subprocess.Popen(
        [*command, killed, "--checkpoint-every", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (tmp_path / "killed" / "fcn.checkpoint.npz").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate()
    assert process.returncode == status and said.count("\n") == 1
    assert (
        f"stopped by {number.name} when epoch" in said
        and "fcn.checkpoint.npz; the same command with --resume goes on" in said
    )
    other = subprocess.run([*command, killed, "--resume", "--seed", "1"], capture_output=True, text=True)
    assert other.returncode == 2 and 'other settings: "seed" was 0, is 1' in other.stderr
    resumed = subprocess.run([*command, killed, "--resume"], capture_output=True, text=True, check=True)
    assert resumed.stderr == ""
    subprocess.run([*command, undisturbed], capture_output=True, check=True)
    models = [FCNAutoencoder(rng=np.random.default_rng(0)) for _ in range(2)]
    for model, folder in zip(models, (killed, undisturbed)):
        load_weights(os.path.join(folder, "fcn.npz"), model)
        assert not os.path.exists(os.path.join(folder, "fcn.checkpoint.npz"))
    assert all(np.array_equal(a.data, b.data) for a, b in zip(*(model.parameters() for model in models)))


def test_a_training_that_diverges_is_one_line_and_exit_status_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "mse_loss", lambda prediction, target: (np.nan, np.zeros_like(prediction)))
    said = stopped_with(["--out", str(tmp_path)], capsys)
    assert said.count("\n") == 1 and "epoch 1, step 1: the loss is not finite" in said


def test_ctrl_c_outside_of_a_training_is_one_line(tmp_path, monkeypatch, capsys):
    def interrupted(options, training_set, validation_set):
        raise KeyboardInterrupt

    monkeypatch.setattr(reconstruction, "run", interrupted)
    with pytest.raises(SystemExit) as stopped:
        reconstruction.main([*QUICK, "--quiet", "--out", str(tmp_path)])
    assert (stopped.value.code, capsys.readouterr().err) == (130, "python -m demos.reconstruction: interrupted\n")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_an_out_folder_that_is_read_only_is_named(tmp_path, capsys):
    tmp_path.chmod(0o500)
    with pytest.raises(SystemExit) as stopped:
        reconstruction.main(["--out", str(tmp_path)])
    assert stopped.value.code == 2 and "wanted a folder to write in" in capsys.readouterr().err


def test_an_unknown_backend_is_one_line_too(monkeypatch, capsys):
    monkeypatch.setenv("NNLITE_BACKEND", "cuda")
    with pytest.raises(SystemExit) as stopped:
        gradients.main([])
    assert stopped.value.code == 2
    assert "NNLITE_BACKEND: found 'cuda', wanted one of numba, numpy" in capsys.readouterr().err


def test_the_benchmark_compares_what_computes_the_same(tmp_path, capsys):
    benchmark.main(["--batch-sizes", "2", "6", "--rounds", "1", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "benchmark.json").read_text())
    assert {"nnlite", "nnlite, train()", "nnlite, NumPy backend", "naive NumPy"} <= set(found["step"]["6"])
    assert found["start"]["cached"] < found["start"]["cold"]
    weights = 12288 * 512 + 512 * 24 + 24 * 512 + 512 * 12288
    multiplications = 6 * (3 * weights - 12288 * 512)  # no gradient of the images
    traffic = 7 * 4 * (weights + 512 + 24 + 512 + 12288)
    expected = 2 * multiplications / found["limits"]["flops"] + traffic / found["limits"]["bandwidth"]
    assert np.isclose(found["bound"]["6"], expected)
    text = (tmp_path / "benchmark.md").read_text()
    assert text.removeprefix("# Speed\n\n") in capsys.readouterr().out and (tmp_path / "benchmark.png").exists()


def test_the_benchmarks_tables_show_medians_of_ratios():
    step = {"nnlite": [0.1, 0.2, 0.2], "nnlite, train()": [0.2, 0.2, 0.2], "naive NumPy": [0.2, 0.2, 0.8]}
    results = {"machine": "M", "threads": 2, "versions": {"numpy": "2"}, "start": {"cold": 9.0, "cached": 0.5}}
    results |= {"limits": {"flops": 1e9, "bandwidth": 1e9}, "bound": {64: 0.05}, "step": {64: step}, "infer": {1: step}}
    five = {"nnlite": [[0.1, 0.1, 0.1, 0.1, 0.1]], "naive NumPy": [[0.1, 0.2, 0.1, 0.1, 0.1]]}
    text = "\n".join(map(Markdown(results).write, benchmark.parts(results | {"products": {64: five}})))
    rows = {
        cells[1].strip(): cells[2].strip() for cells in (line.split("|") for line in text.splitlines()) if cells[2:]
    }
    assert rows["nnlite"] == "200.0, 2.00 (1.00 to 4.00)" and rows["naive NumPy"] == "200.0"
    assert rows["nnlite / its train()"] == "1.00 (0.50 to 1.00)"
    assert rows["bound"] == "50.0" and rows["bound / nnlite"] == "25%"
    assert rows["dL/dW = dL/dy^T x"] == "2.00 (2.00 to 2.00)" and rows["their sum"] == "1.20 (1.20 to 1.20)"


def test_without_numba_the_benchmark_is_refused(tmp_path):
    command = [sys.executable, "-m", "demos.benchmark", "--out", str(tmp_path)]
    run = subprocess.run(command, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr.endswith(
        "python -m demos.benchmark: error: found no Numba that compiles, wanted it for nnlite\n"
    )


def test_the_benchmark_refuses_a_contender_that_computes_something_else(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "SAME", 1e-12)
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(["--batch-sizes", "2", "--rounds", "1", "--quiet", "--out", str(tmp_path)])
    assert re.fullmatch(
        r"python -m demos.benchmark: error: batch size 2: .+ has the loss 0\.\d+, wanted 0\.\d+\n",
        capsys.readouterr().err,
    )
