"""What a run will need: memory, and checkpoints on the disk, as far as it can be told before.

The best word is what runs of the same kind took when they ended: their peak memory in status.json, their checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from fairlab.errors import FairLabError
from fairlab.files import digest, read_json
from fairlab.registry import declared_facts
from fairlab.settings.study import Training
from fairlab.store.records import study_of
from fairlab.store.runs import RunRecord, read_status
from fairlab.workspace import Workspace

BASE_MB = 700.0
"""Memory of a process that has loaded torch and trains a small network; what is taken before one has been measured."""
CHECKPOINTS = 3
"""Room for so many checkpoints must be free: two are kept, and a third is written before the older one goes."""
LEAST_DISK_MB = 20.0
"""What any run writes: its log, readings, embeddings of a small set."""


def kind_at(path: Path) -> str:
    """What decides a run's need, as a hash; "" where there is no record that can be read."""
    try:
        return _kind(path)
    except (FairLabError, KeyError, TypeError, AttributeError):
        return ""  # not kept: it may be written in a moment


@lru_cache(maxsize=20_000)
def _kind(path: Path) -> str:
    """A record never changes, so it is read once."""
    raw = read_json(path)
    config = raw["config"]
    wanted = [raw["role"], raw["method"], raw["dataset"], config.get("backbone"), config.get("adaptor")]
    return digest([*wanted, (config.get("training") or {}).get("batch_size"), len(raw["parents"])])


def _alike(workspace: Workspace, record: RunRecord) -> list[Path]:
    """The run itself, and the runs of its study of the same kind."""
    names: Iterable[str] = ()
    if record.study:
        try:
            names = study_of(workspace.study(record.study)).run_ids
        except FairLabError:
            names = ()  # the study was deleted
    kind = kind_at(record.folder / "run.json")
    others = [workspace.run(name) for name in names if name != record.run_id]
    return [record.folder, *(folder for folder in others if kind and kind_at(folder / "run.json") == kind)]


def memory_mb(workspace: Workspace, record: RunRecord, processes: int = 1) -> float:
    """Memory that a run will need, all its processes together."""
    told = [_said(folder).get("peak_rss_mb") for folder in _alike(workspace, record)]
    return max([float(peak) for peak in told if isinstance(peak, int | float)], default=BASE_MB) * processes


def checkpoint_mb(workspace: Workspace, record: RunRecord, people: int = 0) -> float:
    """Size of one checkpoint: as such runs have written it, else from the network's parameters, else as its parents'.

    people: the classifier's rows, where they are known before such a run has written them.
    """
    if record.config.training is None:
        return 0.0
    for folder in _alike(workspace, record):
        kept = sorted(path for path in folder.glob("checkpoints/step-*") if ".tmp." not in path.name)
        if kept:
            return _size_mb(kept[-1])
    backbone, training = record.config.backbone, record.config.training
    space = backbone or record.config.adaptor
    head = people * space.embedding_dim if space and record.config.loss else 0
    known = declared_facts("BACKBONES", "models/backbones")
    if backbone is not None and "parameters" in known.get(backbone.name, {}):
        facts = known[backbone.name]
        return checkpoint_bytes(facts["parameters"] + head, facts.get("frozen", 0), training) / 1e6
    parents = max((2 * _size_mb(workspace.run(name) / "weights") for name in record.parents), default=0.0)
    return parents + checkpoint_bytes(head, 0, training) / 1e6


def checkpoint_bytes(numbers: float, frozen: float, training: Training) -> float:
    """Size of a checkpoint of so many numbers, float32: its weights, their running mean, and what an optimiser keeps of
    each that is not among the frozen ones.
    """
    mean = training.ema_decay > 0
    kept = 1 + (training.optimiser == "adamw")
    return 4.0 * (numbers * (1 + mean) + (numbers - frozen) * kept)


def _size_mb(folder: Path) -> float:
    try:
        return sum(path.stat().st_size for path in folder.glob("*") if path.is_file()) / 1e6
    except OSError:
        return 0.0  # replaced at this moment


def _said(folder: Path) -> dict[str, Any]:
    try:
        return read_status(folder)
    except FairLabError:
        return {}
