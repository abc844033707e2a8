import json
import math
import os
import signal
import threading

import numpy as np
import pytest

from autoencoders import (
    VAE,
    Checkpoint,
    CheckpointError,
    FCNAutoencoder,
    Interrupted,
    checkpoint,
    gaussian_noise,
    load_images,
    progress,
    train,
    training,
)

SETTINGS = {
    "fcn": (FCNAutoencoder, {}),
    "denoising": (FCNAutoencoder, {"corrupt": gaussian_noise(0.5)}),
    "vae": (VAE, {"beta": 0.5, "beta_warmup": 2}),
}
STEPS = 3 * 3  # epochs, batches of 36 images


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def faces():
    return load_images(count=40)


def run(faces, kind="fcn", seed=1, **settings):
    """Train, and return all that train() leaves: (weights, best weights, history, the generator's next number)."""
    model_class, extra = SETTINGS[kind]
    model = model_class(hidden_features=8, latent_features=4, rng=np.random.default_rng(seed))
    rng = settings.pop("rng", None) or np.random.default_rng(0)
    history = train(model, faces, **{"epochs": 3, "batch_size": 15, "rng": rng, **extra, **settings})
    return model.state_dict(), history.best_weights, history, rng.random()


def same(found, wanted):
    """Whether two runs left the same, to the bit."""
    (*weights, history, number), (*wanted_weights, wanted_history, wanted_number) = found, wanted
    return (history, number) == (wanted_history, wanted_number) and all(
        a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)
        for a, b in zip(weights, wanted_weights)
    )


def files_of_a_run(faces, path, monkeypatch, kind):
    """Train with a checkpoint after every step and every epoch; the bytes of each, which a death would have left."""
    files, save = [], checkpoint.save_arrays

    def kept(path, arrays):
        save(path, arrays)
        files.append(path.read_bytes())

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_arrays", kept)
        run(faces, kind, checkpoint=Checkpoint(path, every=0))
    return files


def killed_after(saves, faces, path, monkeypatch, kind="fcn", settings=None, **arguments):
    """Train with a checkpoint after every step, and die after so many of them."""
    left, save = [saves], checkpoint.save_arrays

    def counted(path, arrays):
        save(path, arrays)
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpoint, "save_arrays", counted)
        run(faces, kind, checkpoint=Checkpoint(path, every=0, settings=settings), **arguments)


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_run_that_died_after_any_checkpoint_ends_as_if_it_had_not(faces, tmp_path, monkeypatch, kind):
    undisturbed = run(faces, kind)
    files = files_of_a_run(faces, tmp_path / "run.npz", monkeypatch, kind)
    assert len(files) == STEPS + 3  # after every step and every epoch
    for file in files:
        (tmp_path / "run.npz").write_bytes(file)
        resumed = run(faces, kind, seed=2, checkpoint=Checkpoint(tmp_path / "run.npz", resume=True))  # other weights
        assert same(resumed, undisturbed)


def test_checkpoints_change_nothing(faces, tmp_path):
    assert same(run(faces, checkpoint=Checkpoint(tmp_path / "run.npz", every=0)), run(faces))


def test_a_checkpoint_deletes_its_own_file_but_not_that_of_another_run(faces, tmp_path):
    own, other = (Checkpoint(tmp_path / "run.npz", every=0) for _ in range(2))
    run(faces, epochs=1, checkpoint=own)
    run(faces, epochs=1, checkpoint=other)
    own.delete()
    assert (tmp_path / "run.npz").exists()
    other.delete()
    other.delete()
    assert not (tmp_path / "run.npz").exists()


def test_the_best_weights_are_those_of_the_smallest_validation_loss(faces, monkeypatch):
    errors = iter([[0.3], [0.1], [0.2]])
    weights = []

    def validation_error(model, images):
        weights.append(model.state_dict())
        return np.array(next(errors))

    monkeypatch.setattr(training, "reconstruction_errors", validation_error)
    _, best, _, _ = run(faces)
    assert all(np.array_equal(best[name], weights[1][name]) for name in best)
    assert not np.array_equal(best["encoder.0.weight"], weights[2]["encoder.0.weight"])


class Signalling:
    """A corruption that sends this process a signal at its second call."""

    def __init__(self, *numbers):
        self.numbers, self.calls = numbers, 0

    def __call__(self, x, rng):
        self.calls += 1
        if self.calls == 2:
            for number in self.numbers:
                os.kill(os.getpid(), number)
        return x


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_the_step_finish_saves_and_says_where(faces, tmp_path, number, status):
    path, handlers = tmp_path / "run.npz", [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(
        Interrupted, match=f"stopped by {number.name} when epoch 1, step 2 was done, saved in .*run.npz"
    ) as stop:
        run(faces, corrupt=Signalling(number), checkpoint=Checkpoint(path))
    assert 128 + stop.value.signal == status
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    resumed = run(faces, corrupt=Signalling(), checkpoint=Checkpoint(path, resume=True))
    assert same(resumed, run(faces, corrupt=Signalling()))


def test_a_checkpoint_that_was_interrupted_may_be_used_again(faces, tmp_path):
    again = Checkpoint(tmp_path / "run.npz", resume=True)
    with pytest.raises(Interrupted):
        run(faces, corrupt=Signalling(signal.SIGINT), checkpoint=again)
    assert same(run(faces, corrupt=Signalling(), checkpoint=again), run(faces, corrupt=Signalling()))


def test_a_signal_that_is_ignored_stays_ignored(faces, tmp_path):
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run(faces, corrupt=Signalling(signal.SIGINT), checkpoint=Checkpoint(tmp_path / "run.npz"))
    finally:
        signal.signal(signal.SIGINT, handler)
    assert list(tmp_path.iterdir()) == []


def test_a_signal_after_the_last_save_is_not_lost(faces, tmp_path, monkeypatch):
    class Bar(progress.tqdm):
        def __exit__(self, *error):
            super().__exit__(*error)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(progress, "tqdm", Bar)
    with pytest.raises(KeyboardInterrupt):
        run(faces, checkpoint=Checkpoint(tmp_path / "run.npz"))


def test_a_second_ctrl_c_stops_at_once(faces, tmp_path):
    with pytest.raises(KeyboardInterrupt) as stop:
        run(faces, corrupt=Signalling(signal.SIGINT, signal.SIGINT), checkpoint=Checkpoint(tmp_path / "run.npz"))
    assert type(stop.value) is KeyboardInterrupt and list(tmp_path.iterdir()) == []


def test_a_signal_in_the_last_validation_is_not_lost(faces, tmp_path, monkeypatch):
    errors = training.reconstruction_errors

    def interrupted(model, images):
        os.kill(os.getpid(), signal.SIGINT)
        return errors(model, images)

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="when epoch 1 was done, saved"):
        patch.setattr(training, "reconstruction_errors", interrupted)
        run(faces, epochs=1, checkpoint=Checkpoint(tmp_path / "run.npz"))
    assert same(run(faces, epochs=1, checkpoint=Checkpoint(tmp_path / "run.npz", resume=True)), run(faces, epochs=1))


def test_in_another_thread_than_the_main_one_checkpoints_are_saved_too(faces, tmp_path):
    arguments = {"epochs": 1, "checkpoint": Checkpoint(tmp_path / "run.npz", every=0)}
    thread = threading.Thread(target=run, args=[faces], kwargs=arguments)
    thread.start()
    thread.join()
    assert (tmp_path / "run.npz").exists()


def test_checkpoints_are_saved_as_often_as_is_said(faces, tmp_path, monkeypatch):
    seconds, saves, save = iter(range(100)), [], checkpoint.save_arrays
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: next(seconds))
    monkeypatch.setattr(checkpoint, "save_arrays", lambda *what: saves.append(save(*what)))
    run(faces, checkpoint=Checkpoint(tmp_path / "run.npz", every=3))
    assert len(saves) == 4  # of 9 steps and 3 epochs; the clock is read once after each, and after a save


OTHER = {
    "epochs": ({"epochs": 4}, '"epochs" was 3, is 4'),
    "batch size": ({"batch_size": 16}, '"batch_size" was 15, is 16'),
    "learning rate": ({"lr": 0.1}, '"lr" was 0.001, is 0.1'),
    "noise": ({"corrupt": gaussian_noise(0.5)}, '"corrupt" was false, is true'),
    "model": (
        {"kind": "vae"},
        '"model" was "FCNAutoencoder", is "VAE"; "beta" was 1.0, is 0.5; "beta_warmup" was 0, is 2',
    ),
    "images": ({"validation": load_images(count=5)}, r'"images" was \[36, 4\], is \[40, 5\]'),
    "generator": ({"rng": np.random.Generator(np.random.MT19937(0))}, '"generator" was "PCG64", is "MT19937"'),
    "split": ({"rng": np.random.default_rng(5)}, "another split into training and validation images"),
    "what the caller sets": ({"settings": {"data": "b"}}, '"data" was "a", is "b"'),
    "what the caller no longer sets": ({"settings": {}}, '"data" was "a", is not set'),
    "what the caller sets anew": ({"settings": {"data": "a", "lr": None}}, '"lr" was not set, is null'),
    "what is named and has a digest": (
        {"settings": {"data": {"name": "b", "digest": 1}}},
        '"data" was "a", is "b"',
    ),
    "a long setting": ({"settings": {"data": "b" * 300}}, '"data" was "a", is "b{99}...b{99}"'),
}


@pytest.mark.parametrize("case", OTHER)
def test_a_checkpoint_of_other_settings_is_refused_and_the_difference_named(faces, tmp_path, monkeypatch, case):
    changed, message = OTHER[case]
    path = tmp_path / "run.npz"
    killed_after(1, faces, path, monkeypatch, settings={"data": "a"})
    settings = changed.get("settings", {"data": "a"})
    changed = {name: value for name, value in changed.items() if name != "settings"}
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=f"run.npz: found a checkpoint of .*{message}"):
        run(faces, **changed, checkpoint=Checkpoint(path, settings=settings, resume=True))
    assert path.read_bytes() == before


def test_a_setting_with_a_digest_is_compared_by_that_and_told_of_by_its_name():
    def said(name, digest):
        found = {"data": {"name": "faces.npy", "digest": "1"}}
        return list(checkpoint.differences(found, {"data": {"name": name, "digest": digest}}).values())

    assert said("a/copy.npy", "1") == []
    assert said("cats.npy", "2") == ['"data" was "faces.npy", is "cats.npy"']
    assert said("faces.npy", "2") == ['"data" "faces.npy" has changed']


@pytest.mark.parametrize("generator", [np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_every_generator_of_numpy_is_set_back(faces, tmp_path, monkeypatch, generator):
    def rng():
        return np.random.Generator(generator(0))

    killed_after(5, faces, tmp_path / "run.npz", monkeypatch, rng=rng())
    resumed = run(faces, rng=rng(), checkpoint=Checkpoint(tmp_path / "run.npz", resume=True))
    assert same(resumed, run(faces, rng=rng()))


@pytest.fixture(scope="module")
def saved(faces, tmp_path_factory):
    """{name: array} of the second checkpoint of a run."""
    path = tmp_path_factory.mktemp("saved") / "run.npz"
    killed_after(2, faces, path, pytest.MonkeyPatch())
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def forge(path, arrays, **changed):
    """Write the arrays of a checkpoint with changed entries in its state, and a checksum that fits."""
    state = json.loads(arrays["state"].tobytes())
    state = json.dumps({**state, **changed.pop("outside", {}), "numbers": state["numbers"] | changed})
    rest = {name: array for name, array in arrays.items() if name not in ("state", "checksum")}
    texts = {"state": state, "checksum": checkpoint.checksum(state, rest)}
    np.savez(path, **rest, **{name: np.frombuffer(text.encode(), np.uint8) for name, text in texts.items()})


FORGED = {
    "another format": ({"outside": {"format": 1}}, "found a checkpoint of format 1, wanted 4"),
    "a step beyond the epoch": ({"step": 10**9}, "epoch 0, step 1000000000"),
    "half an epoch": ({"epoch": 0.5}, "epoch 0.5, step 2"),
    "text for an epoch": ({"epoch": "x"}, "epoch 'x', step 2"),
    "a step in decimals": ({"step": 2.0}, "epoch 0, step 2.0"),
    "another mean": ({"means": {"foo": 1}}, "other names in the history"),
    "text for a mean": ({"means": {"train_loss": "abc"}}, "finite numbers"),
    "nan for a mean": ({"means": {"train_loss": math.nan}}, "finite numbers"),
    "a mean of what is measured later": ({"means": {"validation_loss": 1.0}}, "other names in the history"),
    "a longer history": ({"history": {"train_loss": [1.0], "validation_loss": [], "kl": [], "sigma2": []}}, "0 epochs"),
    "a history without its losses": (
        {"epoch": 1, "history": {"train_loss": [], "validation_loss": [1.0], "kl": [], "sigma2": []}},
        "a history that is not of 1 epochs",
    ),
    "a history of text": ({"history": {"train_loss": "a", "validation_loss": [], "kl": [], "sigma2": []}}, "0 epochs"),
    "another generator": ({"generator": {"bit_generator": "MT19937"}}, "found no intact"),
    "no generator": ({"generator": None}, "found no intact"),
    "escape codes": (
        {"outside": {"settings": {"settings": {"\x1b": "\x1b[2J\n" * 10**6}, "training": {}}}},
        r'"\\u001b" was "\\u001b\[2J',
    ),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_state_is_refused_though_its_checksum_fits(faces, tmp_path, saved, case):
    changed, message = FORGED[case]
    forge(tmp_path / "run.npz", saved, **changed)
    with pytest.raises(CheckpointError, match=f"run.npz: .*{message}") as refused:
        run(faces, checkpoint=Checkpoint(tmp_path / "run.npz", resume=True))
    assert len(str(refused.value)) < 1000


def test_an_order_that_repeats_an_image_is_refused_though_its_checksum_fits(faces, tmp_path, saved):
    forge(tmp_path / "run.npz", saved | {"order": saved["order"] // 2})
    with pytest.raises(CheckpointError, match="run.npz: .*an order that is not one of the images"):
        run(faces, checkpoint=Checkpoint(tmp_path / "run.npz", resume=True))


def test_a_checkpoint_with_a_changed_text_is_refused(faces, tmp_path, saved):
    state = json.loads(saved["state"].tobytes()) | {"numbers": {}}
    np.savez(tmp_path / "run.npz", **saved | {"state": np.frombuffer(json.dumps(state).encode(), np.uint8)})
    with pytest.raises(CheckpointError, match="run.npz: found another checksum"):
        run(faces, checkpoint=Checkpoint(tmp_path / "run.npz", resume=True))


def test_a_checkpoint_with_an_exchanged_array_is_refused(faces, tmp_path, saved):
    exchanged = {"adam.m.0": saved["adam.v.0"], "adam.v.0": saved["adam.m.0"]}
    np.savez(tmp_path / "run.npz", **saved | exchanged)
    with pytest.raises(ValueError, match="run.npz: found another checksum than its contents have"):
        run(faces, checkpoint=Checkpoint(tmp_path / "run.npz", resume=True))


def test_without_a_checkpoint_to_resume_the_training_begins_anew(faces, tmp_path):
    assert same(run(faces, checkpoint=Checkpoint(tmp_path / "none.npz", resume=True)), run(faces))


def test_a_missing_folder_is_an_error_before_the_training(faces, tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        run(faces, checkpoint=Checkpoint(tmp_path / "missing" / "run.npz"))


def test_settings_that_json_cannot_hold_are_an_error_before_the_training(faces, tmp_path):
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        run(faces, checkpoint=Checkpoint(tmp_path / "run.npz", settings={"data": {1, 2}}))


@pytest.mark.parametrize("number", [np.float64, np.float32])
def test_a_variance_that_is_a_numpy_number_is_resumed_to_the_bit(faces, tmp_path, monkeypatch, number):
    settings = {"kind": "vae", "sigma2": number(0.05)}
    killed_after(4, faces, tmp_path / "run.npz", monkeypatch, **settings)
    resumed = run(faces, **settings, checkpoint=Checkpoint(tmp_path / "run.npz", resume=True))
    assert same(resumed, run(faces, **settings))


def test_a_gradient_that_is_not_finite_in_the_last_step_stops_the_training_too(faces, monkeypatch):
    step = training.Adam.step

    def poisoned(self):
        self.parameters[4].grad.flat[0] = np.nan  # logvar.weight, without which a VAE can reconstruct
        step(self)

    monkeypatch.setattr(training.Adam, "step", poisoned)
    with pytest.raises(FloatingPointError, match="epoch 1, step 1: the gradient of logvar.weight is not finite"):
        run(faces, "vae", epochs=1, batch_size=36)


def test_a_negative_time_between_checkpoints_is_refused(tmp_path):
    with pytest.raises(ValueError, match="every is -1, wanted 0 seconds or more"):
        Checkpoint(tmp_path / "run.npz", every=-1)


@pytest.mark.parametrize("name", ["encoder.0.weight", "decoder.2.weight", "decoder.2.bias"])
@pytest.mark.parametrize(
    "every, found", [(0, "epoch 1, step 2: the gradient of"), (60, "epoch 1, step 3: the loss .*the gradient of")]
)
def test_a_gradient_that_is_not_finite_stops_the_training_and_is_not_saved(
    faces, tmp_path, monkeypatch, name, every, found
):
    steps, step = [], training.Adam.step

    def poisoned(self):
        steps.append(1)
        if len(steps) == 2:
            parameter = dict(model.named_parameters())[name]
            parameter.grad.flat[0] = np.inf
        step(self)

    model = FCNAutoencoder(hidden_features=8, latent_features=4, rng=np.random.default_rng(1))
    monkeypatch.setattr(training.Adam, "step", poisoned)
    with pytest.raises(FloatingPointError, match=f"{found} {name}"), np.errstate(invalid="ignore"):
        train(
            model,
            faces,
            epochs=1,
            batch_size=15,
            rng=np.random.default_rng(0),
            checkpoint=Checkpoint(tmp_path / "run.npz", every=every),
        )
    assert (tmp_path / "run.npz").exists() == (every == 0)
    monkeypatch.undo()
    if every == 0:
        assert same(
            run(faces, epochs=1, checkpoint=Checkpoint(tmp_path / "run.npz", resume=True)), run(faces, epochs=1)
        )
