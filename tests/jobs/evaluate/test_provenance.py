"""Stored numbers say what they come from, and come out the same bits when they are made anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairlab import __version__
from fairlab.cli.main import main
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.jobs.evaluate.assess import evaluate_run, recompute
from fairlab.jobs.evaluate.provenance import pairs_hash
from fairlab.plan.plan import single
from fairlab.settings.study import Data, Evaluation, ModelFile, Run
from fairlab.store.embeddings import EmbeddingWriter
from fairlab.store.results import read_results, results_facts
from fairlab.store.runs import RunRecord, create_run
from fairlab.workspace import Workspace, open_workspace
from tests.evaluation.test_report import world

MODELS = 10
SETTINGS = Evaluation(bootstrap=100, fmr_targets=(0.1,))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return open_workspace(tmp_path_factory.mktemp("provenance") / "home")


@pytest.fixture(scope="module")
def faces(lab: Workspace) -> Dataset:
    """Two pair lists of 200 pairs of each of two groups; the images are not looked at."""
    images, test = world(people=20)
    _, validation = world(people=20, seed=1)
    pairs = pd.concat([test, validation.assign(protocol="validation")], ignore_index=True)
    images = images.assign(dataset="faces", split="test", source="synthetic", location="")
    folder = lab.dataset("faces")
    write_dataset(
        folder,
        NewDataset(
            dataset_id="faces",
            kind="test",
            attribute="group",
            groups=("a", "b"),
            images=images,
            pairs=pairs.assign(pair_id=np.arange(len(pairs))),
            pixels=np.zeros((len(images), 16, 16, 3), np.uint8),
            recipe={},
        ),
    )
    return open_dataset(folder)


def embed(record: RunRecord, faces: Dataset, seed: int) -> None:
    random = np.random.default_rng(seed)
    people = pd.factorize(faces.images["identity"])[0]
    ids = faces.images["image_id"].to_numpy()
    facts = {
        "run_id": record.run_id,
        "fingerprint": faces.fingerprint,
        "parents": [],
        "preprocessing": {"image_px": 16},
    }
    for view in ("plain", "flip"):
        raw = random.normal(size=(people.max() + 1, 8))[people] + 0.7 * random.normal(size=(len(people), 8))
        norms = np.linalg.norm(raw, axis=1)
        with EmbeddingWriter(record.folder, "faces", view, ids, facts) as sink:
            sink.add((raw / norms[:, None]).astype(np.float32), norms.astype(np.float32))


@pytest.fixture(scope="module")
def models(lab: Workspace, faces: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[RunRecord]:
    """Ten models of their own seeds, judged on both lists: twenty results."""
    found = []
    for seed in range(MODELS):
        config = Run(
            role="model", method="embeddings", seed=seed, data=Data(dataset="faces"), model=ModelFile(path="x")
        )
        record = single(lab, f"Model {seed}", config, ())
        create_run(lab, record)
        embed(record, faces, seed)
        evaluate_run(record, faces, SETTINGS)
        found.append(record)
    return found


def test_twenty_stored_results_come_out_again_bit_by_bit(models: list[RunRecord], faces: Dataset) -> None:
    results = [(record, protocol) for record in models for protocol in ("test", "validation")]
    assert len(results) == 20
    for record, protocol in results:
        stored = read_results(record.folder, "faces", "metrics")
        assert len(stored[stored["protocol"] == protocol]) > 50
    assert [recompute(record, faces) for record in models] == [[]] * MODELS


def test_other_embeddings_give_other_numbers(models: list[RunRecord], faces: Dataset) -> None:
    """The check can fail: vectors of another seed under the same record."""
    embed(models[-1], faces, 99)
    assert recompute(models[-1], faces) == ["metrics", "curves", "scores"]
    embed(models[-1], faces, MODELS - 1)
    assert recompute(models[-1], faces) == []


def test_a_result_says_what_it_comes_from(models: list[RunRecord], faces: Dataset) -> None:
    facts = results_facts(models[0].folder, "faces")
    assert facts["code_version"] == __version__
    assert facts["data"] == faces.fingerprint
    assert facts["settings"]["bootstrap"] == 100
    assert facts["preprocessing"] == {"image_px": 16}
    assert set(facts["embeddings"]) == {"plain", "flip"}
    assert facts["embeddings"] != results_facts(models[1].folder, "faces")["embeddings"]
    for protocol in ("test", "validation"):
        own = facts["protocols"][protocol]
        assert own["pairs"] == pairs_hash(faces.pairs_of(protocol))
        assert (own["genuine_pairs"], own["impostor_pairs"]) == (200, 200)
        metrics = read_results(models[0].folder, "faces", "metrics")
        row = metrics[(metrics["protocol"] == protocol) & (metrics["metric"] == "threshold")].iloc[0]
        assert own["thresholds"] == {"fmr=0.1": row["value"]}
    assert facts["protocols"]["test"]["pairs"] != facts["protocols"]["validation"]["pairs"]


def test_the_hash_of_a_pair_list_sees_every_change(faces: Dataset, tmp_path: Path) -> None:
    pairs = faces.pairs_of("test")
    hashes = {pairs_hash(pairs), pairs_hash(pairs.iloc[::-1])}
    for column, value in (("image_a", 0), ("image_b", 0), ("fold", 9), ("group", "c"), ("genuine", False)):
        changed = pairs.copy()
        changed.loc[changed.index[0], column] = value
        hashes.add(pairs_hash(changed))
    assert len(hashes) == 7
    path = tmp_path / "pairs.parquet"
    pairs.to_parquet(path)
    assert pairs_hash(pd.read_parquet(path)) == pairs_hash(pairs)


def test_stored_models_are_told_and_compared_from_the_command_line(
    lab: Workspace, models: list[RunRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    """`fairlab fairness RUN` and `RUN,RUN --against RUN,RUN`: thresholds and rates are the stored ones."""

    def told(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        assert (
            main(["--home", str(lab.home), "fairness", *arguments, "--at-fmr", "0.1", "--json", "--draws", "100"]) == 0
        )
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    names = [record.run_id for record in models[:4]]
    rates = []
    for record in models[:4]:
        found = told(record.run_id)
        metrics = read_results(record.folder, "faces", "metrics")
        at = metrics[(metrics["protocol"] == "test") & (metrics["operating_point"] == "fmr=0.1")]
        stored = at.set_index(["group", "metric"])
        assert found["threshold"] == stored.loc[("all", "threshold"), "value"]
        for group in ("a", "b"):
            for end, column in (("", "value"), ("_low", "low"), ("_high", "high")):
                assert found["groups"][group][f"fnmr{end}"] == stored.loc[(group, "fnmr"), column]
        assert found["metrics"]["garbe"]["value"] == pytest.approx(stored.loc[("all", "garbe"), "value"], nan_ok=True)
        rates.append(found["groups"]["a"]["fnmr"])
    found = told(",".join(names[:2]), "--against", ",".join(names[2:]))
    row = next(row for row in found["differences"] if (row["group"], row["metric"]) == ("a", "fnmr"))
    assert row["difference"] == pytest.approx(np.mean(rates[:2]) - np.mean(rates[2:]), abs=1e-12)
    assert ("all", "accuracy") in {(row["group"], row["metric"]) for row in found["differences"]}
