"""A run's embeddings, maps and numbers of a data set without some of its images: written anew elsewhere, nothing replaced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset
from fairlab.data.forgetting import renumbered
from fairlab.errors import FairLabError
from fairlab.evaluation.report import evaluate
from fairlab.files import MANIFEST, sha256
from fairlab.jobs.evaluate import assess, provenance
from fairlab.settings.study import Evaluation
from fairlab.storage.people.forget_scope import Loss
from fairlab.store.embeddings import EmbeddingWriter, has_embeddings, open_embeddings
from fairlab.store.index import build_index
from fairlab.store.projections import StoredMap, list_projections, write_projection
from fairlab.store.results import TABLES, protocol_folder, results_facts, write_protocol, write_results
from fairlab.store.runs import RunRecord
from fairlab.tables import PAIRS

CHUNK = 65_536
CHEAP = 100_000
"""Pairs of a list whose numbers are computed anew at once (RFW's 24,000: 2 s of a processor); of a longer one they are marked."""
NAMES_IMAGES = ("image_id", "image_a", "image_b", "test_image", "train_image")


def embeddings_without(record: RunRecord, loss: Loss, view: str, fingerprint: str, staged: Path) -> None:
    """Write the embeddings of a data set that stay, with their index, into the run folder `staged`."""
    found = open_embeddings(record.folder, loss.data.dataset_id, view)
    number = loss.number[found.ids]
    stays = np.flatnonzero(number >= 0)
    facts = {name: value for name, value in found.facts.items() if name not in ("files", "rows", "dim")}
    facts["fingerprint"] = fingerprint
    with EmbeddingWriter(staged, loss.data.dataset_id, view, number[stays], facts) as sink:
        for start in range(0, len(stays), CHUNK):
            rows = stays[start : start + CHUNK]
            sink.add(np.asarray(found.vectors[rows]), found.norms[rows])
    if view == "plain":
        build_index(open_embeddings(staged, loss.data.dataset_id, view))


def maps_of(record: RunRecord, dataset_id: str) -> list[StoredMap]:
    """The run's maps of a data set, newest first."""
    return list_projections(record.folder, dataset_id)


def files_of_maps(record: RunRecord, dataset_id: str) -> list[Path]:
    keys = {found.key for found in maps_of(record, dataset_id)}
    return [path for path in (record.folder / "projections").glob("*") if path.stem in keys]


def damaged_maps(record: RunRecord) -> list[Path]:
    """Files of a run's maps that cannot be read as one: nobody can say whose points are in them, and a map can be drawn again."""
    whole = {found.key for found in list_projections(record.folder)}
    return [path for path in (record.folder / "projections").glob("*") if path.stem not in whole and path.is_file()]


def maps_without(record: RunRecord, loss: Loss, staged: Path) -> list[str]:
    """Write the run's maps of a data set without the points that go; returns their keys."""
    keys = []
    for found in reversed(maps_of(record, loss.data.dataset_id)):  # the newest last, as before
        points = renumbered(found.points, loss.number, ("image_id",))
        facts = {name: value for name, value in found.facts.items() if name not in ("key", "run_id", "sha256")}
        xy = points[["x", "y"]].to_numpy()
        write_projection(staged, found.key, record.run_id, points["image_id"].to_numpy(), xy, facts)
        keys.append(found.key)
    return keys


def how_judged(record: RunRecord, loss: Loss, protocol: str = "") -> str:
    """What becomes of a run's numbers: "kept", "recomputed", "marked" as made before, or "deleted" where they are of
    an earlier state of the data, so that nobody knows whose they are.
    """
    try:
        facts = results_facts(record.folder, loss.data.dataset_id, protocol)
        if facts.get("data") != loss.data.fingerprint:
            return "deleted"
        if protocol:
            tables = _tables(protocol_folder(record.folder, loss.data.dataset_id, protocol))
            pairs = tables.get("pairs", PAIRS.build())
            gone = int(pairs[["image_a", "image_b"]].isin(loss.rows).any(axis=1).sum()) if len(pairs) else 0
            few = 0 < len(pairs) <= CHEAP and len(tables["scores"]) == len(pairs)
            return ("recomputed" if few else "marked") if gone or not len(pairs) else "kept"
    except (FairLabError, KeyError, OSError, ValueError):
        return "deleted"
    return "kept" if not loss.pairs else "recomputed" if len(loss.data.pairs) <= CHEAP else "marked"


def own_numbers_without(record: RunRecord, loss: Loss, now: Dataset, staged: Path, how: str) -> None:
    """Write a run's numbers on a data set's own pairs, without those that go; `now`: the data set as it will be."""
    name = loss.data.dataset_id
    facts = {key: value for key, value in results_facts(record.folder, name).items() if key != "files"}
    folder = record.folder / "results" / name
    tables = {table: pd.read_parquet(folder / f"{table}.parquet") for table in TABLES}
    tables["scores"] = tables["scores"][tables["scores"]["pair_id"].isin(now.pairs["pair_id"])].reset_index(drop=True)
    there = replace(record, folder=staged)
    lists_then = tuple(facts.get("protocols", ()))  # a repair is not judged on its cohort's pairs
    staying = now.pairs["protocol"].isin(lists_then) if lists_then else now.pairs["protocol"].notna()
    if how == "recomputed" and not staying.any():
        tables = {table: content.iloc[:0] for table, content in tables.items()}
    elif how == "recomputed":
        settings = Evaluation.model_validate(facts["settings"])
        kept = tables["scores"].set_index("pair_id")["score"]
        before = assess.scoring(there, now) if _both_views(there, now) else assess.Scoring(lambda _pairs: np.empty(0))
        kept_scores = replace(before, score=lambda pairs: kept.loc[pairs["pair_id"]].to_numpy(), lists=lists_then)
        tables, lists, notes = assess.judged(there, now, kept_scores, settings)
        facts |= {"notes": notes, "protocols": provenance.of_lists(lists, tables["metrics"])}
    facts |= {"pairs": sha256(now.folder / "pairs.parquet"), "data": now.fingerprint} | _vectors(there, name, facts)
    write_results(staged, name, tables, **_marked(facts, loss, how))


def protocol_without(record: RunRecord, loss: Loss, now: Dataset, protocol: str, staged: Path, how: str) -> None:
    """The same of a further protocol: its pairs, scores, and every table of it that names images."""
    name = loss.data.dataset_id
    facts = {key: value for key, value in results_facts(record.folder, name, protocol).items() if key != "files"}
    tables = _tables(protocol_folder(record.folder, name, protocol))
    for table, content in tables.items():
        columns = tuple(column for column in NAMES_IMAGES if column in content)
        tables[table] = renumbered(content, loss.number, columns) if columns and len(content) else content
    tables["scores"] = tables["scores"][tables["scores"]["pair_id"].isin(tables["pairs"]["pair_id"])]
    if how == "recomputed":
        kept = tables["scores"].set_index("pair_id")["score"].loc[tables["pairs"]["pair_id"]].to_numpy()
        settings = Evaluation.model_validate(facts["settings"])
        results = evaluate(record.run_id, now.images, tables["pairs"], kept, settings)
        tables |= {"metrics": results.metrics, "curves": results.curves}
    facts |= {"pairs": provenance.pairs_hash(tables["pairs"]), "data": now.fingerprint, "key": ""}
    write_protocol(
        staged,
        name,
        protocol,
        tables,
        **_marked(facts | _vectors(replace(record, folder=staged), name, facts), loss, how),
    )


def _both_views(record: RunRecord, data: Dataset) -> bool:
    return all(has_embeddings(record.folder, data.dataset_id, view) for view in ("plain", "flip"))


def _vectors(record: RunRecord, dataset_id: str, facts: dict[str, Any]) -> dict[str, Any]:
    """The hashes of the embeddings that the numbers stand on, where they were of this run's own."""
    own = "plain" in (facts.get("embeddings") or {})
    try:
        return provenance.of_vectors(record, dataset_id) if own else {}
    except FairLabError:
        return {}


def _marked(facts: dict[str, Any], loss: Loss, how: str) -> dict[str, Any]:
    if how == "kept":
        return facts
    images = f"{len(loss.rows)} images were deleted from data set {loss.data.dataset_id}"
    said = (
        f"{images}; the numbers are of the pairs that stay"
        if how == "recomputed"
        else f"made before {images}: evaluate again"
    )
    return {**facts, "notes": [*facts.get("notes", ()), said]}


def _tables(folder: Path) -> dict[str, pd.DataFrame]:
    return {
        path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet")) if (folder / MANIFEST).exists()
    }
