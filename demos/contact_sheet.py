"""Contact sheet: what was understood of a data set: 64 of its images, and what each was before."""

import warnings
from collections import Counter

import numpy as np

from autoencoders import load_images
from autoencoders.cache import printable
from autoencoders.figures import contact_sheet_figure
from demos import settings
from demos.output import Table, markdown, save_figure

SHOWN = 64
KINDS = 10  # of formats and sizes that are counted
NAME = 22  # letters of a name that there is room for


def main(argv=None):
    options = settings.parse("python -m demos.contact_sheet", __doc__, argv, [settings.DATA])
    with settings.one_line_of_errors(options.prog):
        settings.make_folder(options)
        try:
            images = load_images(options.data, quiet=options.quiet)
        except ValueError as error:
            settings.fail(options.prog, error)
        run(options, images)


def run(options, images):
    settings.say(options, f"images    {images.name}: {len(images)}")
    settings.tell_origin(options, images)
    kinds = Counter(images.describe(i)[1].partition(",")[0] for i in range(len(images)))
    rows = [[kind, str(count)] for kind, count in kinds.most_common(KINDS)]
    if len(kinds) > KINDS:
        rows.append([f"{len(kinds) - KINDS} other kinds", str(len(images) - sum(kinds[kind] for kind, _ in rows))])
    parts = [Table(["what they were, width x height", "images"], rows)]
    if images.origin.unreadable:
        parts += ["Unreadable:", list(images.origin.unreadable)]
    print(markdown(parts), end="\n\n")
    shown = np.sort(np.random.default_rng(options.seed).permutation(len(images))[:SHOWN])
    title = f"{len(shown)} of {len(images):,} images of {printable(images.name)};\nunder each its name, kind and values"
    captions = [_caption(images, i) for i in shown]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that the font lacks is drawn as a box
        save_figure(options, "contact_sheet.png", contact_sheet_figure(title, images[shown], captions))


def _caption(images, i):
    name, was = images.describe(i)
    kind, _, extrema = was.partition(", ")
    name = name if len(name) <= NAME else f"...{name[3 - NAME :]}"
    return f"{name}\n{kind}\n{extrema or f'{images[i].min()}..{images[i].max()}'}"


if __name__ == "__main__":
    main()
