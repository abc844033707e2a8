"""Gradients: checks every backward by both methods, and draws the error against the size of the step."""

import difflib
import inspect
import secrets

import numpy as np

from autoencoders import VAE, FCNAutoencoder
from autoencoders.figures import step_size_figure
from autoencoders.vae import VAELoss
from demos import settings
from demos.output import save_figure
from demos.planted_bugs import BUGS, FEATURES, N
from nnlite import GradcheckError, Linear, ReLU, Sequential, Tanh, gradcheck, kl_divergence, mse_loss

BREAK = (
    "--break",
    {"dest": "bug", "metavar": "NAME", "choices": BUGS},
    f"check a part with a planted bug instead, to see what a failure looks like: {', '.join(BUGS)}",
)
ANY = "any"
QUIZ = (
    "--quiz",
    {"metavar": "NAME", "nargs": "?", "const": ANY, "choices": [ANY, *BUGS]},
    "show a planted bug in its place, without the answer: find its line. One of those of --break, by default any",
)


def main(argv=None):
    options = settings.parse("python -m demos.gradients", __doc__, argv, [BREAK, QUIZ])
    with settings.one_line_of_errors(options.prog):
        if options.quiz is not None:
            quiz(options, input)
        elif options.bug is not None:
            show(options)
        else:
            settings.make_folder(options)
            run(options)


def run(options, training_set=None, validation_set=None):
    rng = np.random.default_rng(options.seed)
    how = "complex step in NumPy, central differences on the"
    settings.say(options, f"checks    seed {options.seed}; {how} {options.backend} backend\n")
    print("relative error of every gradient in float64, by complex step (wanted: 1e-12) and central differences (1e-7)")
    print(f"\n{'':16}  {'gradient of':20}  complex  central")
    failures = []
    for name, layer, x in _subjects(rng):
        try:
            reports = [gradcheck(layer, x, method=method, rng=rng) for method in ("complex", "central")]
        except GradcheckError as error:
            print(f"{name:16}  WRONG")
            failures.append(f"\n{name}: {error}")
            continue
        for by_complex, by_central in zip(*(report.rows for report in reports)):
            print(f"{name:16}  {by_complex.name:20}  {by_complex.relative_error:.1e}  {by_central.relative_error:.1e}")
            name = ""
    print("\n".join(failures) or "\nevery gradient is right", flush=True)
    if failures:
        raise SystemExit(1)
    save_figure(options, "step_size.png", step_size_figure(_errors_by_step(options.seed)))


def show(options):
    """Print a planted bug as a change of the real source, and what gradcheck says of it."""
    bug = _bug(options, options.bug)
    print(_difference(bug), end="\n\n")
    _check(options, bug)


def quiz(options, ask):
    """Print a function with a planted bug, ask for its line, and show what gradcheck says and the difference.

    ask: text -> what the reader types; without a reader, as at the end of a pipe, nobody is waited for.
    """

    def answer(question):
        try:
            return ask(question).strip()
        except EOFError:
            print()
            return ""

    bug = _bug(options, secrets.choice(list(BUGS)) if options.quiz == ANY else options.quiz)
    right, wrong = (source.splitlines() for source in bug.sources())
    _, first = inspect.getsourcelines(getattr(bug.owner, bug.function))
    print(f"One line of this function in {_path(bug)}, a forward, a backward or a loss, is not as it should be.\n")
    print("\n".join(f"{number:4}  {line}" for number, line in enumerate(wrong, first)), end="\n\n")
    (place,) = [number for number, lines in enumerate(zip(right, wrong), first) if len(set(lines)) == 2]
    numbers = [str(first + k) for k in range(len(wrong))]
    while (given := answer("Which line is it? (Enter: say nothing) ")) not in ("", *numbers):
        print(f"{given!r} is none of them, which are numbered from {numbers[0]} to {numbers[-1]}.")
    print({"": "", str(place): "That is the line.\n"}.get(given, "That line is as it should be.\n"))
    answer("Enter shows what gradcheck says.\n")
    _check(options, bug)
    answer("\nEnter shows the difference.\n")
    print(f"{_difference(bug)}\n\nThe same command has another one." if options.quiz == ANY else _difference(bug))


def _bug(options, name):
    """The Bug of that name; where the source no longer fits it, one line ends the demo."""
    try:
        BUGS[name].sources()
    except LookupError as error:
        settings.fail(options.prog, error)
    return BUGS[name]


def _path(bug):
    return inspect.getmodule(bug.owner).__name__.replace(".", "/") + ".py"


def _difference(bug):
    right, wrong = bug.sources()
    text = inspect.getsource(inspect.getmodule(bug.owner))
    files = [source.splitlines() for source in (text, text.replace(right, wrong))]
    return "\n".join(difflib.unified_diff(*files, _path(bug), _path(bug), lineterm=""))


def _check(options, bug):
    rng = np.random.default_rng(options.seed)
    with bug.planted():
        try:
            gradcheck(bug.build(rng), rng.standard_normal((N, FEATURES)), rng=rng)
        except GradcheckError as error:
            print(f"GradcheckError: {error}")


def _subjects(rng):
    """(name, layer or loss, input): small ones, for every entry of every array is checked."""
    f64 = {"rng": rng, "dtype": np.float64}
    x, target = rng.standard_normal((2, 4, 6))  # (N, I) each
    vae_loss = VAELoss(VAE(6, 8, 3, **f64), rng.standard_normal((4, 3)), sigma2=0.07, beta=0.5)
    return [
        ("Linear", Linear(6, 5, **f64), x),
        ("ReLU", ReLU(), x),
        ("Tanh", Tanh(), x),
        ("Sequential", Sequential(Linear(6, 5, **f64), Tanh(), Linear(5, 3, **f64)), x),
        ("mse_loss", lambda prediction: mse_loss(prediction, target), x),
        ("KL, by mu", lambda mu: kl_divergence(mu, target)[:2], x),
        ("KL, by logvar", lambda logvar: kl_divergence(target, logvar)[::2], x),
        ("FCNAutoencoder", FCNAutoencoder(6, 8, 3, **f64), x),
        ("VAE.loss", vae_loss, x),
    ]


def _errors_by_step(seed):
    """{way of measuring: (steps, relative errors)} of the gradients of one small model without kinks."""

    def errors(method, dtype, steps):
        rng = np.random.default_rng(seed)
        model = Sequential(Linear(6, 5, rng=rng, dtype=dtype), Tanh(), Linear(5, 3, rng=rng, dtype=dtype))
        x = rng.standard_normal((4, 6))
        reports = [gradcheck(model, x, method=method, tolerance=np.inf, step=step, dtype=dtype) for step in steps]
        return steps, [max(row.relative_error for row in report.rows) for report in reports]

    return {
        "central differences, float32": errors("central", np.float32, np.logspace(-6, 0, 13)),
        "central differences, float64": errors("central", np.float64, np.logspace(-14, 0, 29)),
        "complex step, float64": errors("complex", np.float64, np.logspace(-30, 0, 31)),
    }


if __name__ == "__main__":
    main()
