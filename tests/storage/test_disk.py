"""Bytes on disk, by run, study and kind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fairlab.errors import FairLabError
from fairlab.files import write_json
from fairlab.storage.disk import BEING_WRITTEN, LEFT, bytes_below, summed, usage
from fairlab.workspace import Workspace


def put(lab: Workspace, name: str, size: int) -> None:
    path = lab.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))


@pytest.fixture
def filled(lab: Workspace) -> Workspace:
    """A workspace with files of known sizes."""
    for number, study in ((1, "s"), (2, "t")):
        write_json(lab.run(f"r{number}") / "run.json", {"study": study})
    put(lab, "runs/r1/checkpoints/step-00000001/trainer.pt", 1000)
    put(lab, "runs/r1/embeddings/d/plain/vectors.npy", 200)
    put(lab, "runs/r1/embeddings/d/plain/index.faiss", 30)
    put(lab, "runs/r2/results/d/metrics.parquet", 4)
    killed = subprocess.Popen(["true"])
    killed.wait()
    put(lab, f"runs/r2/results/d.tmp.{killed.pid}/metrics.parquet", 5)
    put(lab, f"runs/r2/results/e.tmp.{os.getpid()}/metrics.parquet", 300)
    put(lab, f"datasets/d.tmp.{os.getpid()}/pixels.npy", 600)
    put(lab, f"import.tmp.1.{os.getpid()}/runs/x/run.json", 50)
    put(lab, f"import.tmp.1.{killed.pid}/runs/x/run.json", 11)
    put(lab, "runs/r2/sheet-0.png", 6)
    put(lab, "datasets/d/pixels.npy", 7000)
    put(lab, "datasets/d/images.parquet", 80)
    put(lab, "catalogue.sqlite", 9)
    return lab


def test_every_byte_is_of_one_owner_and_kind(filled: Workspace) -> None:
    """The sum is that of the files, and each lies where its path says."""
    table = usage(filled)
    files = [path for path in filled.home.rglob("*") if path.is_file()]
    assert table["bytes"].sum() == sum(path.stat().st_size for path in files)
    assert table["files"].sum() == len(files)
    found = {(row.where, row.name, row.kind): row.bytes for row in table.itertuples(index=False)}
    expected = {
        ("run", "r1", "checkpoints"): 1000,
        ("run", "r1", "embeddings"): 200,
        ("run", "r1", "index"): 30,
        ("run", "r2", "results"): 4,
        ("run", "r2", LEFT): 5,
        ("run", "r2", BEING_WRITTEN): 300,
        ("data set", "d", BEING_WRITTEN): 600,
        ("workspace", "", BEING_WRITTEN): 50,
        ("workspace", "", LEFT): 11,
        ("run", "r2", "previews"): 6,
        ("data set", "d", "pixels"): 7000,
        ("data set", "d", "tables of data sets"): 80,
        ("workspace", "", "catalogue"): 9,
    }
    assert {key: found[key] for key in expected} == expected


def test_sums_by_run_study_and_kind(filled: Workspace) -> None:
    table = usage(filled)
    by_study = summed(table, "study").set_index("study")["bytes"]
    records = {name: (filled.run(name) / "run.json").stat().st_size for name in ("r1", "r2")}
    assert (by_study["s"], by_study["t"]) == (1230 + records["r1"], 315 + records["r2"])
    assert by_study["(data sets of no study)"] == 7680
    assert summed(table, "run").iloc[0].to_dict() == {"where": "data set", "name": "d", "bytes": 7680, "files": 3}
    assert summed(table, "kind").set_index("kind")["bytes"]["checkpoints"] == 1000
    with pytest.raises(FairLabError, match="by run, study, kind, not by 'moon'"):
        summed(table, "moon")


def test_links_are_not_followed(filled: Workspace, tmp_path: Path) -> None:
    """What a link leads to lies elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(bytes(10**6))
    before = usage(filled)["bytes"].sum()
    (filled.run("r1") / "elsewhere").symlink_to(outside)
    assert usage(filled)["bytes"].sum() - before < 1000
    assert bytes_below(filled.run("r1")) < 10**6
