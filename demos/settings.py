"""The options that the demos share. Bad input ends a demo with one line on stderr and exit status 2."""

import argparse
import contextlib
import functools
import logging
import math
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from autoencoders import Interrupted, load_images
from autoencoders.images import EMBEDDED_COUNT
from nnlite.backend import current_backend

EPOCHS, QUICK_EPOCHS, QUICK_IMAGES = 24, 5, 1000
ELEMENTS = 24  # of a code: FCNAutoencoder's default
OF_ANOMALY = "--anomalies", "--score"


def _number(metavar, convert, smallest, largest, wanted):
    """What argparse is told of an option whose value is a number."""

    def read(text):
        try:
            value = convert(text)
        except ValueError:
            value = math.nan
        if not smallest <= value <= largest:
            raise argparse.ArgumentTypeError(f"found {text!r}, wanted {wanted}")
        return value

    return {"metavar": metavar, "type": read}


COUNT = _number("N", int, 1, math.inf, "a whole number, 1 or more")
_SEED = _number("N", int, 0, math.inf, "a whole number, 0 or more") | {"default": 0}
_ELEMENT = _number("N", int, 1, ELEMENTS - 1, f"a whole number, 1 to {ELEMENTS - 1}")
_SECONDS = _number("SECONDS", float, 0, sys.float_info.max, "a number of seconds, 0 or more") | {"default": 60}
FLAG, _PATH = {"action": "store_true"}, {"metavar": "PATH"}
_OF_ALL = (
    ("--out", {"metavar": "FOLDER", "type": Path, "default": "out"}, "folder to write to (default: %(default)s)"),
    ("--seed", _SEED, "seed of all random numbers (default: %(default)s)"),
    ("--quiet", FLAG, "print results and errors alone"),
)
DATA = "--data", _PATH, "images: a folder or .zip of pictures, .npy, or .npz[:NAME] (default: embedded faces)"
_OF_TRAINING = (
    DATA,
    ("--validation", _PATH, "images to validate on (default: a tenth of the data, never trained on)"),
    ("--epochs", COUNT, f"passes over the images (default: {EPOCHS})"),
    ("--batch-size", COUNT | {"default": 64}, "images in a step (default: %(default)s)"),
    ("--images", COUNT, f"how many to use (default: all there are, or {EMBEDDED_COUNT} faces)"),
    ("--element", _ELEMENT, "element to scale beside element 0 (default: that which changes the picture most)"),
    ("--anomalies", _PATH, "images known not to belong, as for --data (default: images in which faults are planted)"),
    ("--score", _PATH, "images, as for --data, whose scores go into scores.csv: the more, the stranger"),
    ("--checkpoint-every", _SECONDS, "time between two saves of a training's state (default: %(default)s)"),
    ("--resume", FLAG, "go on with a training that was interrupted in --out, or finished with fewer --epochs"),
    ("--quick", FLAG, f"a first look: {QUICK_EPOCHS} epochs, at most {QUICK_IMAGES} images, unless said otherwise"),
)


def start(prog, description, argv, *demos, more=(), hidden=("--element", *OF_ANOMALY)):
    """Read the options, open the images, and run demo(options, training_set, validation_set) one after the other.

    more, hidden: see parse(); shared options that change nothing here are hidden.
    """
    options = parse(prog, description, argv, (*_OF_TRAINING, *more), hidden)
    backend = ["NNLITE_BACKEND=numpy"] if options.backend == "numpy" else []
    options.command = shlex.join([*backend, *prog.split(), *(sys.argv[1:] if argv is None else argv)])
    options.started = time.monotonic()
    if options.epochs is None:
        options.epochs = QUICK_EPOCHS if options.quick else EPOCHS
    with one_line_of_errors(prog):
        training_set, validation_set = _open_images(options)
        for number, demo in enumerate(demos, 1):
            if len(demos) > 1:
                heading = sys.modules[demo.__module__].__doc__ or demo.__module__  # python -OO drops the former
                say(options, f"\n[{number}/{len(demos)}] {heading.partition(':')[0]}\n")
            demo(options, training_set, validation_set)


def parse(prog, description, argv, more=(), hidden=()):
    """The options as an argparse.Namespace, with the names of the program and of the matrix `backend`.

    more: (name, kind, help) of options beside --out, --seed and --quiet. hidden: names of those that are taken, as
    another demo's command may hold them, but that --help leaves out.
    """
    for stream in (sys.stdout, sys.stderr):  # a file's name may hold bytes that are no text
        if hasattr(stream, "reconfigure"):  # not a notebook's, nor where there is none
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    wide = functools.partial(argparse.HelpFormatter, max_help_position=22, width=110)
    parser = argparse.ArgumentParser(prog=prog, description=description, formatter_class=wide, allow_abbrev=False)
    parser.error = functools.partial(fail, prog)
    for name, kind, text in (*_OF_ALL, *more):
        parser.add_argument(name, **kind, help=argparse.SUPPRESS if name in hidden else text)
    options = parser.parse_args(argv)
    options.prog = prog
    logging.getLogger("nnlite").setLevel(logging.ERROR if options.quiet else logging.WARNING)
    try:
        options.backend = current_backend()
    except ValueError as error:
        fail(prog, error)
    return options


def say(options, text):
    """Tell on stderr what happens, unless --quiet. Results go to stdout, by print, and nothing else does."""
    if not options.quiet and sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)


def fail(prog, message):
    print(f"{prog}: error: {message}", file=sys.stderr)
    raise SystemExit(2)


@contextlib.contextmanager
def one_line_of_errors(prog):
    """What may go wrong in a run that was begun well, and a signal that ends it, is one line and an exit status."""
    try:
        yield
    except (OSError, FloatingPointError) as error:  # such as a full disk; a training that diverges
        fail(prog, f"{error.filename}: {error.strerror}" if getattr(error, "filename", None) else error)
    except MemoryError:
        fail(prog, "out of memory")
    except Interrupted as stop:
        print(f"{prog}: {stop}; the same command with --resume goes on from there", file=sys.stderr)
        raise SystemExit(128 + stop.signal) from None
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None


def make_folder(options):
    """Make the output folder, and see that files can be written there, and that it is not among the images."""
    out = options.out.resolve()
    for name in ("data", "validation", "anomalies", "score"):
        images = getattr(options, name, None)
        if images is not None and Path(images).resolve() in (out, *out.parents):
            fail(options.prog, f"--out {options.out}: found it inside --{name} {images}, wanted a folder outside")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=options.out).close()
    except OSError as error:
        fail(options.prog, f"--out {options.out}: found {error.strerror}, wanted a folder to write in")


def generators(options):
    """Two independent Generators of the seed: for the images and for the model."""
    return np.random.default_rng(options.seed).spawn(2)


def _open_images(options):
    """Make the output folder, open the images, and tell the settings. Returns (training, validation) ImageSets."""
    make_folder(options)
    try:
        training, validation = _load(options)
        for name in ("anomalies", "score"):
            if (path := getattr(options, name)) is not None:
                setattr(options, name, load_images(path, quiet=options.quiet))
    except (OSError, ValueError) as error:
        fail(options.prog, error)
    if len(validation) < 2:
        fail(options.prog, f"{validation.name}: found 1 image to validate on, wanted at least 2, for standard errors")
    for heading, images, use in (("images", training, "train"), ("", validation, "validate")):
        say(options, f"{heading:10}{images.name}: {len(images)} to {use} on")
        if use == "train" or options.validation is not None:
            tell_origin(options, images)
    for heading, images in (("strange", options.anomalies), ("to score", options.score)):
        if images is not None:
            say(options, f"{heading:10}{images.name}: {len(images)}")
            tell_origin(options, images)
    for images, use in ((validation, "validate on"), (options.anomalies, "call strange"), (options.score, "score")):
        if images is not None and (shared := images.shared_with(training)):
            say(options, f"          {shared} of the images to {use} are also trained on")
    steps = math.ceil(len(training) / options.batch_size)
    epochs = f"epochs: {options.epochs}, of {steps} steps; batch size {options.batch_size}; seed {options.seed}"
    say(options, f"training  {epochs}\nbackend   {options.backend}\noutput    {options.out}\n")
    return training, validation


def tell_origin(options, images):
    """Tell how the values of images were understood, and what was left out."""
    for note in images.origin.notes:
        say(options, f"{'':10}{note}")


def _load(options):
    rng, _ = generators(options)
    load = functools.partial(load_images, quiet=options.quiet)
    count = options.images
    if count is None and options.quick:
        count = QUICK_IMAGES if options.data is None else min(QUICK_IMAGES, len(load(options.data)))
    images = load(options.data, count=count, rng=rng)
    return images.split(rng) if options.validation is None else (images, load(options.validation))
