"""The demo data: faces of people who do not exist, rendered from a morphable head (assets/demo/LICENSE.md)."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.dataset import PIXELS_FILE, Dataset, open_dataset
from fairlab.data.demo.crowd import SPLITS, crowd, dice, pictures_of
from fairlab.data.demo.factors import as_traits, factors_of
from fairlab.data.demo.head import Head, load_head
from fairlab.data.demo.pairs import draw_pairs
from fairlab.data.demo.people import Factors, Person, likeness, list_factors
from fairlab.data.demo.raster import Kernels, kernels
from fairlab.data.demo.scene import SAMPLES, Canvas, draw_shot, spoil, style, take
from fairlab.data.demo.texture import Atlas, Skin, make_atlas, paint
from fairlab.data.traits import keep_traits
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError
from fairlab.files import explain, make_folder, reserve
from fairlab.machine.temporaries import beside
from fairlab.settings.study import DemoData
from fairlab.tables import IMAGES

THREADS = 2
NOTES = "Generated faces of people who do not exist, in arbitrary groups: nothing here says anything about people."


@dataclass(frozen=True)
class Studio:
    """What all pictures share."""

    head: Head
    factors: Factors
    atlas: Atlas
    kernels: Kernels


def open_studio() -> Studio:
    """Load the head and compile the renderer (seconds, the first time on a machine)."""
    head = load_head()
    return Studio(head, list_factors(head), make_atlas(head), kernels())


def sculpt(studio: Studio, person: Person) -> tuple[np.ndarray, Skin]:
    """The shape (V + hair, 3) float32 and the skin of a person."""
    head = studio.head
    skin = paint(studio.factors.texture(person), person.seed, head, studio.atlas)
    of_shape = person.factors[: studio.factors.shapes].astype(np.float32)
    # einsum adds in a fixed order; a matrix product would differ with the number of BLAS threads
    face = head.mean + np.einsum("k,kvc->vc", of_shape, head.targets)
    strands = face[head.anchor]
    if skin.hair_length > 0.25:
        thick = skin.hair_rise.max() + 0.03
        strands = strands + thick * (1.0 + 0.6 * head.drop[:, None]) * head.radial
        strands[:, 1] -= head.drop * skin.hair_length
    else:
        strands[:] = face[0]  # no area: not drawn
    face += head.normals * skin.hair_rise[:, None]
    return np.concatenate([face, strands]).astype(np.float32), skin


def photograph(
    studio: Studio,
    person: Person,
    count: int,
    px: int,
    level: float,
    canvas: Canvas | None = None,
    points: np.ndarray | None = None,
) -> np.ndarray:
    """`count` pictures (count, px, px, 3) uint8 of a person; those of the split "synthetic" in its style.

    points (count, 5, 2): where eyes, nose and mouth come to lie is written there, in shares of the picture.
    """
    shape, skin = sculpt(studio, person)
    canvas = canvas or Canvas(px, len(shape))
    pose, post = style(person.split)
    images = np.empty((count, px, px, 3), np.uint8)
    for number in range(count):
        rng = dice(person, number)
        shot = draw_shot(rng, studio.head, level, pose, post)
        images[number] = spoil(take(canvas, studio.head, shape, skin, shot, studio.kernels), shot, rng)
        if points is not None:
            marks = [canvas.points[which, :2].mean(0) for which in studio.head.landmarks]
            points[number] = np.array(marks) / (SAMPLES * px)
    return images


def build_demo(
    demo: DemoData,
    folder: Path,
    dataset_id: str,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
    threads: int = THREADS,
) -> Dataset:
    """Render the demo data set into `folder`, which appears when it is whole.

    The same settings give the same bytes on the same machine, with any number of `threads`. `progress(done,
    total)` counts images and is called from the calling thread. As soon as `stop()` is true, rendering ends,
    nothing is written, and the returned data set is an empty one whose folder does not exist. Raises
    FairLabError when more pairs are asked for than there can be, or the disk is full.
    """
    studio = open_studio()
    people = crowd(demo, studio.factors)
    images = _image_table(demo, dataset_id, people)
    pairs = pd.concat(
        [
            draw_pairs(
                images[images["split"] == split],
                split,
                likeness(studio.factors, people[split]),
                count,
                demo.hard_impostors,
                demo.seed,
            )
            for split, count in (("validation", demo.validation_pairs), ("test", demo.test_pairs))
        ],
        ignore_index=True,
    )
    pairs["pair_id"] = np.arange(len(pairs))
    temporary = beside(folder.with_name(f"{folder.name}.pixels"))
    try:
        make_folder(temporary)
        pixels = np.lib.format.open_memmap(
            temporary / PIXELS_FILE,
            mode="w+",
            dtype=np.uint8,
            shape=(len(images), demo.image_px, demo.image_px, 3),
        )
        reserve(temporary / PIXELS_FILE)
        everybody = [person for split in SPLITS for person in people[split]]
        points = np.full((len(images), 5, 2), np.nan, np.float32)
        if not _render(studio, demo, everybody, pixels, points, progress, stop, threads):
            return Dataset(folder, {})
        pixels.flush()
        del pixels
        made = write_dataset(folder, NewDataset(dataset_id=dataset_id, kind="demo", attribute="Group", groups=demo.groups, images=images, pairs=pairs, pixels=temporary / PIXELS_FILE, recipe=demo.model_dump(mode="json"), notes=NOTES, points=points))  # fmt: skip
        keep_traits(made, as_traits(factors_of(demo, studio.head)))
        return open_dataset(folder)
    except OSError as error:
        raise FairLabError(explain(error, folder)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _image_table(demo: DemoData, dataset_id: str, people: dict[str, list[Person]]) -> pd.DataFrame:
    """tables.IMAGES: split by split, group by group, person by person."""
    rows = [
        (split, person.identity, person.group, "synthetic" if split == "synthetic" else "real")
        for split in SPLITS
        for person in people[split]
        for _ in range(pictures_of(demo, person))
    ]
    table = IMAGES.only("split", "identity", "group", "source").build(rows)
    table.insert(0, "image_id", np.arange(len(table)))
    table.insert(1, "dataset", dataset_id)
    table["location"] = np.arange(len(table))
    return table


def _render(
    studio: Studio,
    demo: DemoData,
    people: list[Person],
    pixels: np.ndarray,
    points: np.ndarray,
    progress: Callable[[int, int], None],
    stop: Callable[[], bool],
    threads: int,
) -> bool:
    """Fill `pixels`, person by person; every thread writes only its person's rows. False when stopped."""
    local = threading.local()
    total, done = len(pixels), 0

    def work(person: Person, first: int, count: int) -> int:
        if not hasattr(local, "canvas"):
            local.canvas = Canvas(demo.image_px, len(studio.head.mean) + len(studio.head.anchor))
        rows = slice(first, first + count)
        pixels[rows] = photograph(studio, person, count, demo.image_px, demo.level, local.canvas, points[rows])
        return count

    def orders() -> Iterator[tuple[Person, int, int]]:
        first = 0
        for person in people:
            count = pictures_of(demo, person)
            yield person, first, count
            first += count

    waiting: set[Future[int]] = set()
    with ThreadPoolExecutor(threads) as pool:
        for order in orders():
            if stop():
                for future in waiting:
                    future.cancel()
                return False
            waiting.add(pool.submit(work, *order))
            if len(waiting) >= 2 * threads:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                done += sum(future.result() for future in finished)
                progress(done, total)
        for future in waiting:
            done += future.result()
        progress(done, total)
    return not stop()
