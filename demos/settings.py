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
from autoencoders.images import EMBEDDED_COUNT, unreadable_files
from nnlite.backend import current_backend

EPOCHS = 24
QUICK_EPOCHS = 5
QUICK_IMAGES = 1000
LATENT_FEATURES = 24  # FCNAutoencoder's default


def start(prog, description, argv, *demos, flags=(), unused=()):
    """Read the options, open the images, and run demo(options, training_set, validation_set) one after the other.

    flags: (name, help) of options that this program has beside the shared ones, each false unless it is given.
    unused: names of shared ones that change nothing here: they are taken, as another demo's command may hold them,
    but --help leaves them out.
    """
    options = _parse_training(prog, description, argv, flags, unused)
    with one_line_of_errors(prog):
        training_set, validation_set = _open_images(options)
        for number, demo in enumerate(demos, 1):
            if len(demos) > 1:
                heading, _, _ = sys.modules[demo.__module__].__doc__.partition(":")
                say(options, f"\n[{number}/{len(demos)}] {heading}\n")
            demo(options, training_set, validation_set)


def say(options, text):
    """Tell on stderr what happens, unless --quiet. Results go to stdout, by print, and nothing else does."""
    if not options.quiet:
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def one_line_of_errors(prog):
    """What may go wrong in a run that was begun well, and a signal that ends it, is one line and an exit status."""
    try:
        yield
    except OSError as error:  # the disk is full, or a folder stands where a file should go
        fail(prog, f"{error.filename}: {error.strerror}" if error.filename else error)
    except FloatingPointError as error:
        fail(prog, error)
    except MemoryError:
        fail(prog, "out of memory")
    except Interrupted as stop:
        print(f"{prog}: {stop}; the same command with --resume goes on from there", file=sys.stderr)
        raise SystemExit(128 + stop.signal) from None
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None


def parser(prog, description):
    """An ArgumentParser with what every demo has: --out, --seed and --quiet."""
    parser = _Parser(prog=prog, description=description, formatter_class=_HelpFormatter)
    add = functools.partial(parser.add_argument, metavar="N")
    add("--out", metavar="FOLDER", type=Path, default="out", help="folder to write to (default: %(default)s)")
    add("--seed", type=_natural, default=0, help="seed of all random numbers (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="print results and errors alone")
    return parser


def parse(parser, argv):
    """The options as an argparse.Namespace, with the names of the program and of the matrix `backend`."""
    for stream in (sys.stdout, sys.stderr):  # a file's name may hold bytes that are no text
        stream.reconfigure(errors="backslashreplace", line_buffering=True)
    options = parser.parse_args(argv)
    options.prog = parser.prog
    logging.getLogger("nnlite").setLevel(logging.ERROR if options.quiet else logging.WARNING)
    try:
        options.backend = current_backend()
    except ValueError as error:
        fail(options.prog, error)
    return options


def _parse_training(prog, description, argv, flags, unused):
    """parse() with the options of images and training, `epochs` resolved, the `command`, and when it `started`."""
    with_training = parser(prog, description)

    def add(name, text, **kind):
        with_training.add_argument(name, help=argparse.SUPPRESS if name in unused else text, **kind)

    data = "images: a folder of pictures, or .npy, uint8 (N, 64, 64, 3) (default: embedded faces)"
    add("--data", data, metavar="PATH")
    add("--validation", "images to validate on (default: a tenth of the data, never trained on)", metavar="PATH")
    add("--epochs", f"passes over the images (default: {EPOCHS})", metavar="N", type=positive)
    add("--batch-size", "images in a step (default: %(default)s)", metavar="N", type=positive, default=64)
    images = f"how many to use (default: all there are, or {EMBEDDED_COUNT} faces)"
    add("--images", images, metavar="N", type=positive)
    element = "element to scale beside element 0 (default: that which changes the picture most)"
    add("--element", element, metavar="N", type=_element)
    every = "time between two saves of a training's state (default: %(default)s)"
    add("--checkpoint-every", every, metavar="SECONDS", type=_seconds, default=60)
    resume = "go on with the training that was interrupted in the folder of --out, with the same settings"
    add("--resume", resume, action="store_true")
    quick = f"a first look: {QUICK_EPOCHS} epochs, at most {QUICK_IMAGES} images, unless said otherwise"
    add("--quick", quick, action="store_true")
    for name, text in flags:
        add(name, text, action="store_true")
    options = parse(with_training, argv)
    backend = ["NNLITE_BACKEND=numpy"] if options.backend == "numpy" else []
    options.command = shlex.join([*backend, *prog.split(), *(sys.argv[1:] if argv is None else argv)])
    options.started = time.monotonic()
    if options.epochs is None:
        options.epochs = QUICK_EPOCHS if options.quick else EPOCHS
    return options


def make_folder(options):
    """Make the output folder, and see that files can be written there."""
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=options.out):
            pass
    except OSError as error:
        fail(options.prog, f"--out {options.out}: found {error.strerror}, wanted a folder to write in")


def _open_images(options):
    """Make the output folder, open the images, and tell the settings. Returns (training, validation) ImageSets."""
    if options.data is not None and Path(options.data).resolve() in options.out.resolve().parents:
        fail(options.prog, f"--out {options.out}: found it inside --data {options.data}, wanted a folder outside")
    make_folder(options)
    try:
        training, validation = _load(options)
    except (OSError, ValueError) as error:
        fail(options.prog, error)
    if len(validation) < 2:
        fail(options.prog, f"{validation.name}: found 1 image to validate on, wanted at least 2, for standard errors")
    for heading, images, use in (("images", training, "train"), ("", validation, "validate")):
        say(options, f"{heading:10}{images.name}: {len(images)} to {use} on")
        if images.unreadable and not (heading == "" and options.validation is None):
            say(options, f"          without {unreadable_files(images.unreadable)}")
    steps = math.ceil(len(training) / options.batch_size)
    epochs = f"epochs: {options.epochs}, of {steps} steps; batch size {options.batch_size}; seed {options.seed}"
    say(options, f"training  {epochs}\nbackend   {options.backend}\noutput    {options.out}\n")
    return training, validation


def generators(options):
    """Two independent Generators of the seed: for the images and for the model."""
    return np.random.default_rng(options.seed).spawn(2)


def _load(options):
    rng, _ = generators(options)
    load = functools.partial(load_images, quiet=options.quiet)
    count = options.images
    if count is None and options.quick:
        count = QUICK_IMAGES if options.data is None else min(QUICK_IMAGES, len(load(options.data)))
    images = load(options.data, count=count, rng=rng)
    if options.validation is None:
        return images.split(rng)
    return images, load(options.validation)


class _HelpFormatter(argparse.HelpFormatter):
    def __init__(self, prog):
        super().__init__(prog, max_help_position=22, width=110)


class _Parser(argparse.ArgumentParser):
    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message):
        fail(self.prog, message)


def fail(prog, message):
    print(f"{prog}: error: {message}", file=sys.stderr)
    raise SystemExit(2)


def positive(text):
    return _integer(text, 1)


def _natural(text):
    return _integer(text, 0)


def _element(text):
    return _integer(text, 1, LATENT_FEATURES - 1)


def _seconds(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"found {text!r}, wanted a number of seconds, 0 or more")
    return value


def _integer(text, smallest, largest=math.inf):
    try:
        value = int(text)
    except ValueError:
        value = smallest - 1
    if not smallest <= value <= largest:
        limits = f"{smallest} to {largest}" if largest < math.inf else f"{smallest} or more"
        raise argparse.ArgumentTypeError(f"found {text!r}, wanted a whole number, {limits}")
    return value
