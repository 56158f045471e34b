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


class MapFile(Kept):
    """The facts of a map, as far as they are shown."""

    dataset: Name = ""
    created_at: Time = ""
    run_id: Name = ""
    aligned_to: Name | None = ""
    trustworthiness: Annotated[
        Annotated[float, Field(ge=0, le=1)] | None, BeforeValidator(lambda value: None if value != value else value)
    ] = None
    """NaN, as written, where there is none: see trust_reason."""
    shown: Count | None = None
    of: Count | None = None
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


def projection_key(embeddings: Embeddings, settings: Projection, aligned_to: str, part: str = "") -> str:
    """Name of the map of these vectors with these settings, drawn to compare with the run `aligned_to` ("" = none).

    part: which images, where a space drawn beside it lacks some; "" for a sample of all.
    """
    return digest([embeddings.hash, settings.model_dump(mode="json"), aligned_to, *([part] if part else [])], 16)


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
