"""Models of which only the output came: scores of pairs, or embeddings of images, in files of other tools."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.readers.embedding_files import detect_embeddings, read_embeddings
from fairlab.data.readers.pair_files import rows_of
from fairlab.data.readers.scores.tables import detect_score_table, read_score_table
from fairlab.errors import FairLabError
from fairlab.evaluation.score_frames import suspected
from fairlab.files import write_json
from fairlab.jobs.evaluate import assess
from fairlab.jobs.job import Job
from fairlab.settings.study import Evaluation, ModelFile
from fairlab.store.embeddings import EmbeddingWriter, open_embeddings
from fairlab.store.index import build_index
from fairlab.store.results import read_results
from fairlab.store.runs import RunRecord

CHUNK = 8192


def table_kind(path: Path) -> str:
    """ "scores" or "embeddings" for a file of what a model said, "" for any other. Quick; never raises."""
    return "scores" if detect_score_table(path) else "embeddings" if detect_embeddings(path) else ""


def models_in(path: Path, attribute: str = "") -> list[str]:
    """The models whose scores a table holds, in the order of its columns."""
    return list(read_score_table(path, attribute).scores)


def report_of(source: ModelFile) -> dict[str, Any]:
    """What a table of scores or a file of embeddings holds, as JSON values. Raises FairLabError for a broken one."""
    path = Path(source.path).expanduser().absolute()
    kind = table_kind(path)
    common: dict[str, Any] = {"path": str(path), "kind": kind, "warnings": []}
    if kind == "scores":
        table = read_score_table(path, source.attribute, source.distances)
        genuine = table.pairs["genuine"].to_numpy(dtype=bool)
        warnings = {model: suspected(values, genuine) for model, values in table.scores.items()}
        common["warnings"] = [f"{model}: {warning}" for model, warning in warnings.items() if warning]
        return {
            **common,
            "models": list(table.scores),
            "images": len(table.images),
            "identities": int(table.images["identity"].nunique()),
            "attribute": table.attribute,
            "groups": [str(name) for name in dict.fromkeys(table.images["group"])],
            "genuine": int(table.pairs["genuine"].sum()),
            "impostor": int((~table.pairs["genuine"].astype(bool)).sum()),
            "notes": [*table.notes, *map(str, table.problems)],
        }
    found = read_embeddings(path, nameless=bool(source.dataset))
    return {
        **common,
        "images": len(found.table),
        "embedding_dim": int(found.vectors.shape[1]),
        "columns": [str(name) for name in found.table],
        "notes": [*found.notes, *map(str, found.problems)],
    }


def chosen_on(source: ModelFile) -> dict[str, str]:
    """The fact of the run's status that says which data a model from elsewhere was chosen on; none where nobody says it."""
    return {} if source.chosen_on is None else {"chosen_on": source.chosen_on}


def add_scores(job: Job) -> dict[str, Any]:
    """Judge the scores of one column on the pairs of the same table."""
    record = job.record
    source = record.config.model
    assert source is not None
    job.progress.part(0.5, "reading scores", "pairs")
    dataset = open_dataset(job.workspace.dataset(record.dataset))
    table = read_score_table(Path(source.path), source.attribute, source.distances)
    if source.column not in table.scores:
        raise FairLabError(
            f"{source.path} has no column {source.column!r} of scores; its models: {', '.join(table.scores)}"
        )
    same = ["image_a", "image_b", "genuine"]
    names = dataset.images["location"].astype(str).to_numpy()
    if len(table.pairs) != len(dataset.pairs) or not (
        np.array_equal(names, table.images["location"].astype(str).to_numpy())
        and np.array_equal(table.pairs[same].to_numpy(np.int64), dataset.pairs[same].to_numpy(np.int64))
    ):
        raise FairLabError(f"{source.path} is no longer the table that data set {record.dataset} was made from")
    scores = table.scores[source.column]
    write_json(record.folder / "report.json", report_of(source))
    job.progress.part(0.5, "evaluating", "runs")
    facts = assess.judge(record, dataset, assess.Scoring(lambda pairs: scores[pairs["pair_id"].to_numpy()]))
    return facts | chosen_on(source)


def add_embeddings(job: Job) -> dict[str, Any]:
    """Keep a file's vectors as embeddings of a data set's images, and judge them where there are pairs."""
    record = job.record
    source = record.config.model
    assert source is not None
    reading = job.progress.part(0.5, "reading embeddings")
    dataset = open_dataset(job.workspace.dataset(record.dataset))
    found = read_embeddings(Path(source.path), nameless=True)  # the data set knows whose images these are
    write_json(record.folder / "report.json", report_of(source))
    rows = _rows(found.table["location"], dataset, source.path)
    vector_of = np.full(len(dataset.images), -1)
    vector_of[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
    ids = np.flatnonzero(vector_of >= 0)
    whose = {"run_id": record.run_id, "fingerprint": dataset.fingerprint, "parents": [], "flip": "none"}
    with EmbeddingWriter(record.folder, dataset.dataset_id, "plain", ids, whose) as sink:
        for start in range(0, len(ids), CHUNK):
            raw = np.asarray(found.vectors[vector_of[ids[start : start + CHUNK]]], dtype=np.float32)
            norms = np.linalg.norm(raw, axis=1)
            sink.add(raw / np.maximum(norms, 1e-12)[:, None], norms)
            reading.advance(min(start + CHUNK, len(ids)), len(ids))
    build_index(open_embeddings(record.folder, dataset.dataset_id, "plain"))
    facts: dict[str, Any] = {"embedded": len(ids), "left_out": int((rows < 0).sum()), **chosen_on(source)}
    if dataset.pairs.empty:
        return {**facts, "not_evaluated": f"data set {dataset.dataset_id} has no pairs"}
    job.progress.part(0.5, "evaluating", "runs")
    return facts | assess.evaluate_run(record, dataset)


def _rows(names: pd.Series, dataset: Dataset, path: str) -> np.ndarray:
    """The image of every vector by name, -1 where the data set has none of that name."""
    own = dataset.images["location"].astype(str)
    if len(names) == len(own) and np.array_equal(names.astype(str).to_numpy(), own.to_numpy()):
        return np.arange(len(own))
    rows = rows_of(names.astype(str).tolist(), dataset.images.assign(location=own.astype(object)))
    if (rows < 0).all():
        raise FairLabError(
            f"{path} names no image of data set {dataset.dataset_id}: {names.iloc[0]!r}, while the data set has "
            f"{own.iloc[0]!r}"
        )
    known = rows[rows >= 0]
    if len(np.unique(known)) < len(known):
        raise FairLabError(f"{path} has two vectors for one image of data set {dataset.dataset_id}")
    return rows


def again(record: RunRecord, dataset: Dataset, settings: Evaluation | None) -> Mapping[str, Any]:
    """Judge such a model anew on the data that it came with, with other settings; it cannot look at any others."""
    if record.dataset != dataset.dataset_id or settings is None:
        raise FairLabError(
            f"{record.title} came as {record.method}, without its network: it cannot embed {dataset.dataset_id}"
        )
    if record.method == "embeddings":
        return assess.evaluate_run(record, dataset, settings)
    scores = read_results(record.folder, dataset.dataset_id, "scores").set_index("pair_id")["score"]
    return assess.judge(
        record, dataset, assess.Scoring(lambda pairs: scores.loc[pairs["pair_id"]].to_numpy()), settings
    )
