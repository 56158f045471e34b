"""`lab.data`: data sets, adding and making them, and a handle of one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fairlab.api.arguments import Progress, settings_of, silent
from fairlab.api.run import Run
from fairlab.api.selections import Selections, SelectionsOfData
from fairlab.api.shares import SoftShares
from fairlab.api.traits import Traits
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.errors import FairLabError
from fairlab.files import MANIFEST, there
from fairlab.settings.protocols import DrawnPairs
from fairlab.settings.study import Overlap, Recipe, Source
from fairlab.tables import TEXT, WHOLE, Table
from fairlab.workspace import Workspace

if TYPE_CHECKING:
    from fairlab.data.inspect.verdicts import Verdict
    from fairlab.jobs.data.drawing import Drawn
    from fairlab.storage.deleting import Goes
    from fairlab.storage.people.forget_survey import Found

DATASETS = Table(dataset=TEXT, images=WHOLE, identities=WHOLE, groups=WHOLE, pairs=WHOLE, px=WHOLE)
"""A row is a data set. groups: how many values its attribute has; px: edge of its images."""
COUNTS = Table(split=TEXT, group=TEXT, images=WHOLE, identities=WHOLE)
"""A row is a group in a part of a data set."""
PAIR_COUNTS = Table(protocol=TEXT, group=TEXT, genuine=WHOLE, pairs=WHOLE)
"""A row is a group in a pair list; pairs: genuine and impostor ones."""


class DataSet:
    """A data set: images of people, their groups, and pairs to compare.

    >>> faces = lab.data["rfw"]
    >>> faces.counts()
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._workspace, self.name = workspace, name

    def __repr__(self) -> str:
        return (
            f"<DataSet {self.name}: {len(self.images):,} images, {len(self.groups)} groups, {len(self.pairs):,} pairs>"
        )

    @cached_property
    def opened(self) -> Dataset:
        """The data set as the rooms below read it, opened once; get a new handle after a change."""
        return open_dataset(self._workspace.dataset(self.name))

    @property
    def images(self) -> pd.DataFrame:
        """A row per image: image_id, split, identity, group, source, location and further attributes."""
        return self.opened.images

    @property
    def pairs(self) -> pd.DataFrame:
        """A row per pair: pair_id, protocol, image_a, image_b, genuine, group and fold."""
        return self.opened.pairs

    @property
    def groups(self) -> tuple[str, ...]:
        """Values of the attribute by which rates are shown."""
        return self.opened.groups

    @property
    def shares(self) -> SoftShares:
        """Soft group shares of the images: shares.add(TABLE) imports them."""
        return SoftShares(self._workspace, self.name)

    @property
    def traits(self) -> Traits:
        """What is known of each image, such as pose or sharpness: traits.measure(), traits.add(TABLE)."""
        return Traits(self._workspace, self.name)

    @property
    def selections(self) -> SelectionsOfData:
        """Images that were saved under a name: selections.save(NAME, ids=...)."""
        return SelectionsOfData(self._workspace, self.name)

    @property
    def fingerprint(self) -> str:
        """Hash of the content; runs remember it."""
        return self.opened.fingerprint

    @property
    def notes(self) -> list[str]:
        """What must be said beside numbers and pictures of the data set."""
        from fairlab.jobs.evaluate.caveats import of_data

        return of_data(self.opened)

    def counts(self) -> pd.DataFrame:
        """Images and people of every group, in every part. Returns a DataFrame with split, group, images, identities.

        >>> lab.data["rfw"].counts()
        """
        parts = self.images.groupby(["split", "group"], sort=False)
        table = parts.agg(images=("image_id", "size"), identities=("identity", "nunique")).reset_index()
        return COUNTS.stack([table])

    def pair_counts(self) -> pd.DataFrame:
        """Pairs of every group, in every list. Returns a DataFrame with protocol, group, genuine and pairs.

        >>> lab.data["rfw"].pair_counts()
        """
        lists = self.pairs.groupby(["protocol", "group"], sort=False)
        table = lists.agg(genuine=("genuine", "sum"), pairs=("genuine", "size")).reset_index()
        return PAIR_COUNTS.stack([table])

    def move(self, path: str | Path, changed: bool = False, progress: Progress = silent) -> DataSet:
        """Say where the images are now; every image is read there once.

        changed: accept images that have changed; this makes it a different data set. progress: called with images (done,
        total). Returns the data set as it is then. Raises FairLabError for images that are missing or have changed.

        >>> lab.data["rfw"].move("/mnt/new/RFW")
        """
        from fairlab.jobs.data.starts import move_data

        move_data(self._workspace, self.name, str(path), changed, progress)
        return DataSet(self._workspace, self.name)

    def draw_pairs(self, settings: DrawnPairs | None = None, **changes: Any) -> Run:
        """Start the job that draws pairs for a data set without any.

        changes: fields of DrawnPairs, e.g. genuine=3000, mined_by=model. Returns the job. Raises FairLabError for a data set
        that has a list already.

        >>> lab.data["faces"].draw_pairs(genuine=3000).wait()
        """
        from fairlab.jobs.data.starts import draw_pairs

        chosen = settings_of(DrawnPairs, settings, changes)
        return Run(self._workspace, draw_pairs(self._workspace, self.name, chosen))

    def preview_pairs(self, settings: DrawnPairs | None = None, **changes: Any) -> Drawn:
        """The pairs that draw_pairs() would draw; nothing is written. Returns pairs (a DataFrame), facts, notes.

        >>> lab.data["faces"].preview_pairs(genuine=100).facts
        """
        from fairlab.jobs.data.drawing import drawn_pairs

        return drawn_pairs(self._workspace, self.opened, settings_of(DrawnPairs, settings, changes))

    def keep(self, days: int | None) -> None:
        """Limit how long the data set is kept, from when it was added; None lifts the limit.

        Nothing is deleted by itself, see lab.storage.forget_expired(). Raises FairLabError for days below 1.

        >>> lab.data["faces"].keep(180)
        """
        from fairlab.storage.retention import keep

        keep(self._workspace, self.name, days)

    def delete(self, force: bool = False) -> Goes:
        """Delete the data set and the run that made it.

        force: also where runs or data sets need it. Returns what was deleted. Raises Refused where they do. See what_goes().

        >>> lab.data["faces"].delete()
        """
        from fairlab.storage.deleting import delete_dataset

        return delete_dataset(self._workspace, self.name, force)

    def what_goes(self) -> Goes:
        """What delete() would delete, without touching it. Returns runs, datasets, bytes, needed_by.

        >>> lab.data["faces"].what_goes().needed_by
        {}
        """
        from fairlab.storage.deleting import what_goes

        return what_goes(self._workspace, dataset=self.name)

    def forget(
        self, people: str | Sequence[str], heads: bool = False, files: bool = False, progress: Progress = silent
    ) -> Found:
        """Delete people from the data set and from everything that was made with their images.

        people: their names, or the mark that an earlier deletion left. heads: zero their rows in classifiers and checkpoints
        too. files: delete your own image files of them too. Returns what was reached. Raises Refused while a run works on
        the data, FairLabError for an unknown name. See survey().

        >>> lab.data["faces"].forget(["n000123"], heads=True)
        """
        from fairlab.storage.people.forget import forget

        return forget(self._workspace, self.name, people, heads, files, progress)

    def survey(self, people: str | Sequence[str], heads: bool = False, files: bool = False) -> Found:
        """What forget() would reach, without touching it. Returns it; raises FairLabError for an unknown name.

        >>> lab.data["faces"].survey("n000123")
        """
        from fairlab.storage.people.forget import survey

        return survey(self._workspace, self.name, people, heads, files)


class DataSets:
    """The data sets of a workspace, by name.

    >>> lab.data.add("/data/RFW", name="rfw").wait()
    >>> lab.data["rfw"].counts()
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __repr__(self) -> str:
        names = self.names()
        return f"<{len(names)} data set{'' if len(names) == 1 else 's'}: table(), [name], add(), make()>"

    def __len__(self) -> int:
        return len(self.names())

    def __iter__(self) -> Iterator[DataSet]:
        return (DataSet(self._workspace, name) for name in self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __getitem__(self, name: str) -> DataSet:
        """A data set by name. Raises FairLabError, naming the existing ones, when it does not exist."""
        if name not in self.names() and not there(self._workspace.dataset(name) / MANIFEST):
            raise FairLabError(f"there is no data set {name!r}; there are: {', '.join(self.names()) or 'none yet'}")
        return DataSet(self._workspace, name)

    def _ipython_key_completions_(self) -> list[str]:
        return self.names()

    @property
    def selections(self) -> Selections:
        """The saved selections of all data sets, also of those that are gone."""
        return Selections(self._workspace)

    def names(self) -> list[str]:
        """Names of the data sets. Returns a sorted list.

        >>> lab.data.names()
        ['demo-1f2e3d4c', 'rfw']
        """
        return sorted(path.parent.name for path in self._workspace.datasets_folder.glob("*/dataset.json"))

    def table(self) -> pd.DataFrame:
        """All data sets; one that cannot be used is left out, with a Python warning that says why.

        Returns a DataFrame with dataset, images, identities, groups, pairs (counts) and px.

        >>> lab.data.table().set_index("dataset")["images"]
        """
        rows = []
        for data in self:
            try:
                opened = data.opened
                counts = {"images": len(opened.images), "identities": opened.images["identity"].nunique()}
                size = {"groups": len(opened.groups), "pairs": len(opened.pairs), "px": opened.image_px}
            except FairLabError as error:
                warnings.warn(f"data set {data.name} cannot be used: {error}", stacklevel=2)
                continue
            rows.append({"dataset": data.name, **counts, **size})
        return DATASETS.build(rows)

    def add(self, path: str | Path | Source, name: str = "", **settings: Any) -> Run:
        """Start the job that makes your own images a data set; they stay where they are.

        path: file or folder. name: default from the path. settings: fields of Source, e.g. image_px=112. Returns the job.
        Raises Refused where other data have that name, or where these files have changed since they were added.

        >>> lab.data.add("/data/RFW", name="rfw").wait().report["groups"]
        """
        from fairlab.jobs.data.starts import add_data

        return Run(self._workspace, add_data(self._workspace, _source(path, settings), name))

    def inspect(self, path: str | Path | Source, **settings: Any) -> Run:
        """Start the job that reads data without adding them; arguments as in add().

        Returns the job; its `report` says what was understood, and its folder has pictures. Raises FairLabError as add().

        >>> lab.data.inspect("/data/RFW").wait().report["notes"]
        """
        from fairlab.jobs.data.starts import inspect_data

        return Run(self._workspace, inspect_data(self._workspace, _source(path, settings)))

    def preview(
        self, path: str | Path | Source, pictures: str | Path = "", progress: Progress = silent, **settings: Any
    ) -> dict[str, Any]:
        """As inspect(), in this process.

        pictures: folder for faces, mean faces and alignment, as PNG files whose names come under "pictures". progress:
        called with images (done, total). Returns the report. Raises FairLabError for data that cannot be read.

        >>> lab.data.preview("/data/RFW")["groups"]
        """
        from fairlab.jobs.data.adding import dry_run, write_pictures

        source = _source(path, settings)
        report, listing = dry_run(source, progress)
        if pictures:
            folder = Path(pictures).expanduser().absolute()
            report = {**report, "pictures": write_pictures(folder, source, report, listing)}
        return report

    def make(self, name: str, recipe: Recipe | None = None, **settings: Any) -> Run:
        """Start the job that makes a data set by a recipe over others; no image is copied.

        settings: fields of Recipe, e.g. dataset="rfw", people=500. Returns the job. Raises FairLabError for a data set that
        does not exist, Refused where other data have that name.

        >>> lab.data.make("balanced", dataset="faces", equal=True).wait()
        """
        from fairlab.jobs.data.starts import make_data

        return Run(self._workspace, make_data(self._workspace, settings_of(Recipe, recipe, settings), name))

    def find(self, name: str, path: str | Path = "") -> Run:
        """Start the job that brings back a data set which runs know and which is missing here.

        path: where its images are now; none for data that were generated or made of others. Returns the job, which refuses
        data with another fingerprint. Raises FairLabError where no run says how the data were added.

        >>> lab.data.find("rfw", "/data/RFW").wait()
        """
        from fairlab.jobs.data.starts import find_data

        return Run(self._workspace, find_data(self._workspace, name, str(path)))

    def overlap(self, train: str | Overlap, test: str = "", **settings: Any) -> Run:
        """Start the job that looks for people and images of a test set in a training set.

        settings: fields of Overlap, e.g. model=run_id, whose embeddings show the nearest faces. Returns the job; verdict()
        has the outcome. Raises FairLabError for data sets that do not exist, and a model without embeddings of both.

        >>> lab.data.overlap("faces", "rfw").wait()
        >>> lab.data.verdict_sentence("faces", "rfw")
        """
        from fairlab.jobs.data.starts import check_overlap

        given = train if isinstance(train, Overlap) else None
        names = {} if given else {"train": train, "test": test}
        asked = settings_of(Overlap, given, {**settings, **names})
        return Run(self._workspace, check_overlap(self._workspace, asked))

    def verdict(self, train: str, test: str) -> Verdict | None:
        """What the last overlap check of two data sets found. Returns facts and found; None where none was made.

        >>> lab.data.verdict("faces", "rfw").found
        False
        """
        from fairlab.data.inspect.verdicts import verdict

        return verdict(self._workspace, train, test)

    def verdict_sentence(self, train: str, test: str) -> str:
        """As verdict(). Returns a sentence or three.

        >>> print(lab.data.verdict_sentence("faces", "rfw"))
        """
        from fairlab.data.inspect.verdicts import sentence

        return sentence(self.verdict(train, test), train, test)


def _source(path: str | Path | Source, settings: dict[str, Any]) -> Source:
    given = path if isinstance(path, Source) else None
    return settings_of(Source, given, settings if given else {**settings, "path": str(path)})
