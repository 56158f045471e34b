"""Maps on disk, beside the run whose space they show; the name is a hash of all that decides the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, Field

from fairlab.errors import FairLabError
from fairlab.files import digest, read_json, sha256, write_atomic, write_json
from fairlab.reading.structured import as_read
from fairlab.reading.table_checks import read_table
from fairlab.settings.base import Name, Text
from fairlab.settings.kept import Count, Kept, Time, checked
from fairlab.settings.study import Projection
from fairlab.store.embeddings import Embeddings
from fairlab.tables import PROJECTION
from fairlab.workspace import now

Share = Annotated[float, Field(ge=0, le=1)]


class MapSettings(Kept):
    """The settings of a map, as far as they are shown."""

    max_points: Count | None = None


class MapFile(Kept):
    """The facts of a map, as far as they are shown."""

    dataset: Name = ""
    created_at: Time = ""
    settings: MapSettings = MapSettings()
    run_id: Name = ""
    aligned_to: Name | None = ""
    trustworthiness: Annotated[Share | None, BeforeValidator(lambda value: None if value != value else value)] = None
    """NaN, as written, where there is none: see trust_reason."""
    trust_interval: tuple[Share, Share] | None = None
    """95 % interval, where only trust_asked images were asked."""
    trust_asked: Count | None = None
    shown: Count | None = None
    of: Count | None = None
    people: Count | None = None
    """Drawn, of people_of; of people_cut of them only some images fit. None in maps of before people were drawn whole."""
    people_of: Count | None = None
    people_cut: Count | None = None
    landmarks: Count | None = None
    """Images that UMAP laid out, and placed: all others; None where UMAP laid out all."""
    placed: Count | None = None
    neighbours_found: Share | None = None
    notes: tuple[Text, ...] = Field((), max_length=10_000)


@dataclass(frozen=True)
class StoredMap:
    """points: tables.PROJECTION; facts: what projection.project says, shown, of, aligned_to ..."""

    key: str
    points: pd.DataFrame
    facts: dict[str, Any]

    @property
    def whole(self) -> bool:
        """Does every point have a place? Otherwise the map is drawn again."""
        return bool(np.isfinite(self.points[["x", "y"]].to_numpy(np.float64)).all())


def how_made(facts: Mapping[str, Any]) -> list[str]:
    """How a map's images were chosen and laid out, and how far its measure goes, as sentences; those that its facts tell."""
    said = []
    people, of, cut = (facts.get(name) for name in ("people", "people_of", "people_cut"))
    if people is not None and of is not None and (people < of or cut):
        whole = f"all images of each, but {cut:,} shown in part" if cut else "all images of each"
        said.append(f"{people:,} of {of:,} people, {whole}, drawn per group by seed")
    if facts.get("landmarks"):
        placed = "started where the first map has them" if facts.get("aligned_to") else "were placed beside them"
        said.append(
            f"UMAP laid out {facts['landmarks']:,} images as landmarks (people drawn whole per group by seed); "
            f"{facts['placed']:,} {placed} and moved to their neighbours "
            f"({facts['neighbours_found']:.1%} of true neighbours found)"
        )
    if facts.get("trust_interval"):
        low, high = facts["trust_interval"]
        said.append(f"trustworthiness from {facts['trust_asked']:,} images, 95 % interval {low:.3f} to {high:.3f}")
    return said


def projection_key(embeddings: Embeddings, settings: Projection, aligned_to: str, part: str = "") -> str:
    """Name of the map of these vectors with these settings, drawn to compare with the run `aligned_to` ("" = none).

    part: which images and landmarks, where they are not all images of the data set by UMAP alone; "" otherwise.
    """
    how = settings.model_dump(mode="json", exclude=set() if part else {"landmarks", "passes"})
    return digest([embeddings.hash, how, aligned_to, *([part] if part else [])], 16)


def _paths(run_folder: Path, key: str) -> tuple[Path, Path]:
    folder = run_folder / "projections"
    return folder / f"{key}.parquet", folder / f"{key}.json"


def write_projection(
    run_folder: Path, key: str, run_id: str, ids: np.ndarray, xy: np.ndarray, facts: Mapping[str, Any]
) -> None:
    """Store the positions xy (N, 2) of images ids (N,), with facts. The facts are written last: without them no map."""
    points, about = _paths(run_folder, key)
    table = PROJECTION.of({"run_id": run_id, "image_id": ids, "x": xy[:, 0], "y": xy[:, 1]})
    write_atomic(points, lambda path: table.to_parquet(path, index=False))
    content = {**facts, "key": key, "run_id": run_id, "created_at": now(), "sha256": sha256(points)}
    content = as_read(content)  # what a reader will get
    write_json(about, {**content, "check": digest(content)})


def read_projection(run_folder: Path, key: str) -> StoredMap | None:
    """A stored map, or None when there is none or it is damaged (it can be drawn again)."""
    points, about = _paths(run_folder, key)
    try:
        facts = read_json(about)
        check = facts.pop("check", None)  # written since 0.1, so that a flipped bit in the facts is seen too
        if check not in (None, digest(facts)) or facts["sha256"] != sha256(points):
            return None
        checked(MapFile, facts, about)
        return StoredMap(key, read_table(points, PROJECTION), facts)
    except (FairLabError, OSError, KeyError, ValueError, AttributeError):
        return None


def list_projections(run_folder: Path, dataset_id: str | None = None) -> list[StoredMap]:
    """All maps of a run's space, newest first."""
    found = [read_projection(run_folder, path.stem) for path in (run_folder / "projections").glob("*.json")]
    maps = [item for item in found if item is not None and dataset_id in (None, item.facts.get("dataset"))]
    return sorted(maps, key=lambda item: str(item.facts.get("created_at")), reverse=True)
