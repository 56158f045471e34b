"""From stored embeddings to scores and numbers, and the short check after every pass of a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fairlab import __version__
from fairlab.data.dataset import Dataset
from fairlab.data.holding_out import held_out_pairs
from fairlab.errors import FairLabError
from fairlab.evaluation.compat import COMPAT
from fairlab.evaluation.report import evaluate
from fairlab.evaluation.scores import fused, pair_distances, pair_scores
from fairlab.evaluation.templates import template_vectors
from fairlab.evaluation.verification import fold_accuracy
from fairlab.files import digest, sha256
from fairlab.jobs.evaluate import provenance
from fairlab.jobs.evaluate.caveats import of_data
from fairlab.jobs.evaluate.peers import Values, peer_rows
from fairlab.settings.study import Data, Evaluation
from fairlab.store.embeddings import open_embeddings
from fairlab.store.results import results_facts, results_folder, write_results
from fairlab.store.runs import RunRecord
from fairlab.tables import SCORES


class Validation:
    """Accuracy on pairs of held-out people, per group, of a network in training (plain view only).

    The people are those whom `data` holds out of training, or the data set's own validation people.
    """

    def __init__(self, dataset: Dataset, inputs: Callable[[np.ndarray], Any], data: Data, seed: int) -> None:
        own = data.held_out is None
        self.pairs = dataset.pairs_of("validation") if own else held_out_pairs(dataset.images, data, seed)
        self.people = "the data set's validation pairs" if own else "pairs of held-out training identities"
        self.possible = len(self.pairs) > 0
        self.groups = dataset.groups
        if self.possible:
            self.ids = np.unique(self.pairs[["image_a", "image_b"]].to_numpy())
            self.inputs = inputs(self.ids)

    def __call__(self, learner: Any) -> dict[str, float]:
        """Readings `validation_accuracy/<group>` and their mean `validation_accuracy`, as fractions."""
        from fairlab.training.extract import View, embed

        device = next(learner.parameters()).device
        vectors = np.concatenate([unit for unit, _ in embed(View(learner, self.inputs, False, device))])
        scores = pair_scores(vectors, self.ids, self.pairs)
        accuracy: dict[str, float] = {}
        for group in self.groups:
            of = (self.pairs["group"] == group).to_numpy()
            if of.any():
                part = self.pairs[of]
                accuracy[group] = fold_accuracy(
                    scores[of], part["genuine"].to_numpy(bool), part["fold"].to_numpy()
                ).accuracy
        readings = {f"validation_accuracy/{group}": value for group, value in accuracy.items()}
        return {**readings, "validation_accuracy": float(np.mean(list(accuracy.values())))}


def evaluate_run(record: RunRecord, dataset: Dataset, settings: Evaluation | None = None) -> dict[str, Any]:
    """Score every pair list of the data set with the run's embeddings and write its results there; returns facts."""
    known = provenance.of_vectors(record, dataset.dataset_id)
    return judge(record, dataset, scoring(record, dataset), settings, **known)


@dataclass(frozen=True)
class Scoring:
    """How pairs of a data set get their scores: score(pairs) -> (P,)."""

    score: Callable[[pd.DataFrame], np.ndarray]
    as_peers: Callable[[pd.DataFrame], Values] = lambda _pairs: {}
    """as_peers(pairs): what other tools' accuracies are made of, see peers."""
    flip: str = "none"
    """Which views were added up, see Preprocessing."""
    lists: tuple[str, ...] = ()
    """Names of the pair lists that are judged; none means all."""


def scoring(record: RunRecord, dataset: Dataset) -> Scoring:
    """How a model scores pairs of a data set that it has embedded: by our rule, and as other tools do."""
    vectors, ids, flip = judged_vectors(record, dataset)

    def as_peers(pairs: pd.DataFrame) -> Values:
        if dataset.templates is not None:
            return dict.fromkeys(COMPAT, "it compares images, but these are pairs of templates")
        plain = open_embeddings(record.folder, dataset.dataset_id, "plain")
        values: dict[str, np.ndarray | str] = {}
        for mode, about in COMPAT.items():
            if about.flip and flip != "sum":
                values[mode] = "it adds the mirror image, but this model is evaluated without it"
                continue
            of = (vectors, ids) if about.flip else (plain.vectors, plain.ids)
            values[mode] = (pair_distances if about.takes == "distances" else pair_scores)(*of, pairs)
        return values

    return Scoring(lambda pairs: pair_scores(vectors, ids, pairs), as_peers, flip)


def recompute(record: RunRecord, dataset: Dataset) -> list[str]:
    """Make a model's stored numbers on a data set's own pairs anew, from its embeddings with the stored settings.

    Returns which of the tables (metrics, curves, scores) come out otherwise, in any bit: right is none.
    """
    settings = Evaluation.model_validate(results_facts(record.folder, dataset.dataset_id)["settings"])
    tables, _, _ = judged(record, dataset, scoring(record, dataset), settings)
    folder = results_folder(record.folder, dataset.dataset_id)
    return [
        name for name, table in tables.items() if not _same_bits(table, pd.read_parquet(folder / f"{name}.parquet"))
    ]


def _same_bits(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Are two tables equal to the last bit? -0.0 is not 0.0; NaN is NaN."""
    numbers = one.select_dtypes("number").columns
    return one.equals(other) and all(
        one[name].to_numpy().tobytes() == other[name].to_numpy().tobytes() for name in numbers
    )


def judged_vectors(record: RunRecord, dataset: Dataset) -> tuple[np.ndarray, np.ndarray, str]:
    """What a model is judged by: unit vectors (N, D) of both views together, image ids (N,), and the rule, see Preprocessing.

    Of a data set that compares templates: a vector per template, and the ids by which its pairs name them.
    """
    plain = open_embeddings(record.folder, dataset.dataset_id, "plain")
    flip = str(plain.facts.get("flip", "sum"))
    # "none": a model whose publisher judges the face alone
    views = [plain] if flip != "sum" else [plain, open_embeddings(record.folder, dataset.dataset_id, "flip")]
    if dataset.templates is not None:
        raw = [(view.vectors, view.norms) for view in views]
        return template_vectors(raw, plain.ids, dataset.templates), np.unique(dataset.templates["template"]), flip
    if len(views) == 1:
        return plain.vectors, plain.ids, flip
    mirrored = views[1]
    return fused(plain.vectors, plain.norms, mirrored.vectors, mirrored.norms), plain.ids, flip


def judge(
    record: RunRecord,
    dataset: Dataset,
    scores: Scoring,
    settings: Evaluation | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """Write a model's numbers on the pair lists of a data set; returns facts of the status.

    facts: what else the results say of themselves. Raises FairLabError when there are no pairs.
    """
    settings = settings or record.config.evaluation or Evaluation()
    tables, pairs_by_list, notes = judged(record, dataset, scores, settings)
    write_results(
        record.folder,
        dataset.dataset_id,
        tables,
        pairs=sha256(dataset.folder / "pairs.parquet"),
        data=dataset.fingerprint,
        protocols=provenance.of_lists(pairs_by_list, tables["metrics"]),
        settings=settings.model_dump(mode="json"),
        settings_hash=digest(settings.model_dump(mode="json")),
        code_version=__version__,
        notes=notes,
        flip=scores.flip,
        **facts,
    )
    return {"pairs": len(tables["scores"])}


def judged(
    record: RunRecord, dataset: Dataset, scores: Scoring, settings: Evaluation
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame], list[str]]:
    """(tables of results.TABLES, pairs by protocol, notes) of a model on the pair lists of a data set; as judge()."""
    metrics, curves, scored, notes = [], [], [], []
    names = [str(name) for name in dict.fromkeys(dataset.pairs["protocol"])]
    lists = {name: dataset.pairs_of(name) for name in names if name in scores.lists or not scores.lists}
    for pairs in lists.values():
        values = scores.score(pairs)
        results = evaluate(record.run_id, dataset.images, pairs, values, settings)
        others, more = peer_rows(record.run_id, pairs, scores.as_peers(pairs))
        metrics += [results.metrics, others] if len(others) else [results.metrics]
        curves.append(results.curves)
        notes += [*results.notes, *more]
        scored.append(SCORES.of({"run_id": record.run_id, "pair_id": pairs["pair_id"].to_numpy(), "score": values}))
    if not metrics:
        raise FairLabError(f"data set {dataset.dataset_id} has no pairs to evaluate on")
    notes += of_data(dataset)
    parts = {"metrics": metrics, "curves": curves, "scores": scored}
    return {name: pd.concat(part, ignore_index=True) for name, part in parts.items()}, lists, notes
