"""Everything that FairLab writes as a whole, small: each kind written in version 0 or 1, and read back with all checks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from fairlab.data.dataset import open_dataset
from fairlab.data.readers.scores.writing import write_table
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import Damaged, FairLabError
from fairlab.files import read_json, verify_manifest, write_json
from fairlab.models.base import BACKBONES
from fairlab.models.files.checkpoints import load_head, load_learner, save_model
from fairlab.reading.table_checks import KINDS, NUMBER, TEXT, TRUTH, WHOLE
from fairlab.settings.study import Backbone, Training
from fairlab.store.embeddings import EmbeddingWriter, open_embeddings
from fairlab.store.projections import read_projection, write_projection
from fairlab.store.results import (
    TABLES,
    protocol_folder,
    read_protocol,
    read_results,
    results_folder,
    write_protocol,
    write_results,
)
from fairlab.tables import METRICS, PAIRS, SCORES
from fairlab.training import checkpoint
from fairlab.training.optim import optimisers


@dataclass(frozen=True)
class Writer:
    """write(home, version), read(home) -> version: all of one version, or FairLabError.

    folder: where below `home` its files lie; exact: is there the old one or the new one at every moment? The others may
    be missing for a moment while a new one takes the place of an old one: they are made again by the run.
    """

    write: Callable[[Path, int], None]
    read: Callable[[Path], int]
    folder: str
    exact: bool = False


def _network(version: int) -> nn.Module:
    network = nn.Linear(6, 4)
    for weight in network.parameters():
        nn.init.constant_(weight, float(version))
    return network


def _only(values: Any) -> int:
    """The one value that all of these have."""
    found = set(np.asarray(values).ravel().tolist())
    assert len(found) == 1, f"a mixture of {found}"
    return int(found.pop())


def _write_checkpoint(home: Path, version: int) -> None:
    learner, head = _network(version), _network(version)
    solvers = optimisers(learner, head, Training())
    learner(torch.ones(1, 6)).sum().backward()
    solvers["learner"].step()
    with torch.no_grad():
        for weight in learner.parameters():
            weight.fill_(float(version))
    facts = {"data": "d", "threads": 1}
    checkpoint.save(
        home / "checkpoints", checkpoint.State(learner, head, solvers), checkpoint.Progress(step=version + 1), facts
    )


def _read_checkpoint(home: Path) -> int:
    learner, head = _network(7), _network(7)
    solvers = optimisers(learner, head, Training())
    at, _, notes = checkpoint.load_latest(home / "checkpoints", checkpoint.State(learner, head, solvers))
    if notes:
        raise Damaged(notes[0])
    if not at.step:
        raise FairLabError("no checkpoint")
    weights = [part.detach().numpy().ravel() for network in (learner, head) for part in network.parameters()]
    assert _only(np.concatenate(weights)) == at.step - 1
    return at.step - 1


BACKBONE = Backbone(name="tiny", embedding_dim=4, widths=(2, 3))


def _write_weights(home: Path, version: int) -> None:
    network = BACKBONES["tiny"](BACKBONE, 8)
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(float(version))
    facts = {"kind": "backbone", "settings": BACKBONE.model_dump(mode="json"), "image_px": 8}
    save_model(home / "weights", network, _network(version), facts)


def _read_weights(home: Path) -> int:
    network, _ = load_learner(home / "weights")
    head = load_head(home / "weights")
    weights = [*(part.detach() for part in network.parameters()), *head.values()]
    return _only(torch.cat([part.ravel() for part in weights]).numpy())


def _write_embeddings(home: Path, version: int) -> None:
    with EmbeddingWriter(home, "d", "plain", np.arange(12) + 12 * version, {"fingerprint": "f"}) as sink:
        sink.add(np.full((12, 4), version, np.float32), np.full(12, version))


def _read_embeddings(home: Path) -> int:
    found = open_embeddings(home, "d", "plain", verify=True)
    return _only(np.concatenate([found.vectors.ravel(), found.norms, found.ids // 12]))


COLUMNS = {"metrics": METRICS, "scores": SCORES, "curves": ("low", "high"), "pairs": PAIRS}


def _table(name: str, version: int) -> pd.DataFrame:
    """All columns that such a table must have, each cell telling the version."""
    cells = {TEXT: str(version), WHOLE: version, NUMBER: float(version), TRUTH: bool(version)}
    return pd.DataFrame({column: [cells[KINDS[column]]] * 30 for column in COLUMNS[name]})


def _version(tables: list[pd.DataFrame]) -> int:
    return _only(np.concatenate([table.astype(float).to_numpy().ravel() for table in tables]))


def _write_results(home: Path, version: int) -> None:
    write_results(home, "d", {name: _table(name, version) for name in TABLES}, data="f")


def _read_results(home: Path) -> int:
    verify_manifest(results_folder(home, "d"))
    return _version([read_results(home, "d", name) for name in TABLES])


def _write_protocol(home: Path, version: int) -> None:
    write_protocol(home, "d", "p", {name: _table(name, version) for name in (*TABLES, "pairs")}, data="f")


def _read_protocol(home: Path) -> int:
    verify_manifest(protocol_folder(home, "d", "p"))
    return _version([read_protocol(home, "d", "p", name) for name in TABLES])


def _write_projection(home: Path, version: int) -> None:
    write_projection(home, "key", "r", np.arange(30), np.full((30, 2), float(version)), {"seed": version})


def _read_projection(home: Path) -> int:
    found = read_projection(home, "key")
    if found is None:
        raise Damaged(f"{home / 'projections'} has no map that can be read")
    return _only([*found.points["x"], *found.points["y"], found.facts["seed"]])


def _write_dataset(home: Path, version: int) -> None:
    images = pd.DataFrame(
        {"image_id": [0, 1], "dataset": "two", "split": "test", "identity": ["Ann", "Bo"], "group": ["X", "Y"]}
    ).assign(source="real", location=[0, 1])
    pairs = pd.DataFrame({"pair_id": [0], "protocol": "test", "image_a": 0, "image_b": 1, "genuine": False})
    write_dataset(home / "datasets" / "two", NewDataset(dataset_id="two", kind="demo", attribute="Shape", groups=("X", "Y"), images=images, pairs=pairs.assign(group="X", fold=version), pixels=np.full((2, 4, 4, 3), version, np.uint8), recipe={"seed": version}))  # fmt: skip


def _read_dataset(home: Path) -> int:
    found = open_dataset(home / "datasets" / "two", verify=True)
    return _only([*np.asarray(found.pixels).ravel(), found.info["recipe"]["seed"], *found.pairs["fold"]])


def _write_json(home: Path, version: int) -> None:
    write_json(home / "x.json", {"values": [version] * 40})


def _read_json(home: Path) -> int:
    return _only(read_json(home / "x.json")["values"])


def _write_table(home: Path, version: int) -> None:
    write_table(home / "scores.csv", pd.DataFrame({"score": [float(version)] * 40}))


def _read_scores(home: Path) -> int:
    return _only(pd.read_csv(home / "scores.csv").to_numpy())


WRITERS = {
    "json": Writer(_write_json, _read_json, ".", exact=True),
    "checkpoint": Writer(_write_checkpoint, _read_checkpoint, "checkpoints", exact=True),
    "weights": Writer(_write_weights, _read_weights, "weights"),
    "embeddings": Writer(_write_embeddings, _read_embeddings, "embeddings/d/plain"),
    "results": Writer(_write_results, _read_results, "results/d"),
    "protocol": Writer(_write_protocol, _read_protocol, "results/d/protocols/p"),
    "projection": Writer(_write_projection, _read_projection, "projections"),
    "dataset": Writer(_write_dataset, _read_dataset, "datasets/two"),
    "scores": Writer(_write_table, _read_scores, ".", exact=True),
}
WITH_HASHES = [name for name in WRITERS if name not in ("json", "scores")]


def watch_files(told: Callable[[str, str], None]) -> None:
    """From now on, for the rest of this process, tell every change of the file system before it is made: (what, path).

    What: write (opened to write), flush, rename, make, remove. Libraries' own files are seen when they are flushed.
    """
    flush = os.fsync
    verbs = {"os.rename": "rename", "os.mkdir": "make", "os.remove": "remove", "os.rmdir": "remove"}

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and isinstance(arguments[2], int):
            if arguments[2] & (os.O_WRONLY | os.O_RDWR) and not arguments[0].startswith("/dev"):
                told("write", arguments[0])
        elif event in verbs and not (event == "os.mkdir" and os.path.exists(arguments[0])):
            told(verbs[event], " -> ".join(str(item) for item in arguments if isinstance(item, str | os.PathLike)))

    def fsync(handle: int) -> None:
        told("flush", os.readlink(f"/proc/self/fd/{handle}"))
        flush(handle)

    os.fsync = fsync
    sys.addaudithook(heard)
