"""Data sets that runs have numbers of and that are not in the workspace: how they were made, and how each comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fairlab.errors import FairLabError
from fairlab.files import MANIFEST, read_json
from fairlab.jobs.data.drawing import drawn_by
from fairlab.settings.protocols import DrawnPairs
from fairlab.store.runs import RunRecord, read_run, read_status
from fairlab.workspace import Workspace

MAKERS = ("add", "render", "recipe")
"""Methods of the runs that make a data set."""


@dataclass(frozen=True)
class Missing:
    """A data set that is not here.

    fingerprint: of the data that the numbers are of, "" where none says; maker: the run that made it, None where that is
    not here either; drawn: how its pairs were drawn, None where they were not.
    """

    dataset_id: str
    fingerprint: str
    maker: RunRecord | None
    drawn: DrawnPairs | None = None

    @property
    def made(self) -> bool:
        """Can its run make it again, without any file of the user's?"""
        return self.maker is not None and self.maker.config.source is None

    @property
    def path(self) -> str:
        """Where its images were."""
        source = self.maker.config.source if self.maker is not None else None
        return source.path if source is not None else ""

    def sentence(self) -> str:
        """What is missing, why that matters, and what helps."""
        start = f"Data set {self.dataset_id} is not in this workspace, so its faces, pairs and numbers cannot be shown."
        end = f" Its pairs are then drawn again, with seed {self.drawn.seed} as before." if self.drawn else ""
        if self.made:
            return f"{start} Its run can create it again.{end}"
        if self.path:
            where = f"Give the location of its images (they were at {self.path})"
            return f"{start} {where}; nothing is registered unless they are the same.{end}"
        return f"{start} Add the same data under this name again, with the same settings.{end}"

    def command(self) -> str:
        """What brings it back."""
        if self.made:
            return f"fairlab data find {self.dataset_id}"
        if self.path:
            return f"fairlab data find {self.dataset_id} PATH"
        expected = f" --set fingerprint={self.fingerprint}" if self.fingerprint else ""
        return f"fairlab data add PATH --name {self.dataset_id}{expected}"


def data_of(folder: Path) -> Iterator[tuple[str, str]]:
    """Data sets that a run's numbers and embeddings are of, with their fingerprints."""
    for manifest in folder.glob(f"results/*/{MANIFEST}"):
        yield manifest.parent.name, str(read_json(manifest).get("data", ""))
    for manifest in folder.glob(f"embeddings/*/plain/{MANIFEST}"):
        yield manifest.parent.parent.name, str(read_json(manifest).get("fingerprint", ""))


def maker_of(workspace: Workspace, dataset_id: str) -> RunRecord | None:
    """The run that made a data set, or would: rather one that is done than another."""
    found = []
    for path in sorted(workspace.runs_folder.glob("*/run.json")):
        try:
            raw = read_json(path)
            if (raw.get("role"), raw.get("dataset")) == ("dataset", dataset_id) and raw.get("method") in MAKERS:
                found.append(read_run(workspace, path.parent.name))
        except (FairLabError, AttributeError):
            continue  # a damaged run is named where runs are listed
    return min(found, key=lambda run: read_status(run.folder).get("status") != "done", default=None)


def missing(workspace: Workspace, dataset_id: str) -> Missing:
    """What is known of a data set that is not here."""
    maker = maker_of(workspace, dataset_id)
    prints: Counter[str] = Counter()
    for pattern in (f"*/results/{dataset_id}/{MANIFEST}", f"*/embeddings/{dataset_id}/plain/{MANIFEST}"):
        for manifest in workspace.runs_folder.glob(pattern):
            try:
                facts = read_json(manifest)
                prints[str(facts.get("data") or facts.get("fingerprint") or "")] += 1
            except (FairLabError, AttributeError):
                continue
    prints.pop("", None)
    if not prints and maker is not None:
        prints[str(read_status(maker.folder).get("fingerprint") or "")] += 1
    fingerprint = prints.most_common(1)[0][0] if prints else ""
    return Missing(dataset_id, fingerprint, maker, drawn_by(workspace, dataset_id, fingerprint))


def all_missing(workspace: Workspace) -> list[str]:
    """Names of the data sets that runs have numbers of and that are not here, sorted."""
    named = {path.parent.name for path in workspace.runs_folder.glob(f"*/results/*/{MANIFEST}")}
    return sorted(name for name in named if not (workspace.dataset(name) / MANIFEST).exists())
