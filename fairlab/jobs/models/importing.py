"""The job that brings in a model trained elsewhere: recognise it, try it on generated faces, keep it as a model of ours."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from fairlab.errors import FairLabError
from fairlab.files import read_json, write_json
from fairlab.jobs.embed.landmarks import FACT
from fairlab.jobs.job import Job
from fairlab.jobs.models import adaptors, tables
from fairlab.jobs.models.starts import path_of
from fairlab.settings.study import ModelFile
from fairlab.store.runs import RunRecord

Stop = Callable[[], bool]
MOST_MEMORY = 16 << 30
"""Bytes that a graph may ask for beyond what this process has: its operators can ask for any amount."""


@dataclass(frozen=True)
class Found:
    """A model file, understood. facts: as models.checkpoints keeps them; head: {"weight": (C, D)} or None."""

    network: Any
    head: dict[str, Any] | None
    facts: dict[str, Any]
    confirm: tuple[str, ...]
    notes: tuple[str, ...]


def report_of(
    source: ModelFile,
    progress: Callable[[int, int], None] = lambda _d, _t: None,
    stop: Stop = lambda: False,
    runs: Path | None = None,
) -> dict[str, Any]:
    """What a model file is and how it does on generated faces, as JSON values; nothing is added. runs: the folder of runs,
    where an earlier trial of the same file is looked for. Raises FairLabError."""
    if tables.table_kind(path_of(source)):
        return tables.report_of(source.model_copy(update={"path": str(path_of(source))}))
    path = path_of(source)
    adaptor = adaptors.recognised(path, source)
    if adaptor is not None:
        return adaptors.report_of(path, source, adaptor)
    found = recognised(source)
    return _report(source, found, _trial(found, progress, stop, runs))


def inspect(job: Job) -> dict[str, Any]:
    """The job behind the page: the report of a model that is not added yet, in the run's folder."""
    record = job.record
    if record.config.folder is not None:
        from fairlab.jobs.models import study_folders

        checking = job.progress.between(0.05, 1.0, "checking the files", "files")
        report = study_folders.report_of(record.config.folder, checking.advance, job.stop)
        write_json(record.folder / "report.json", report)
        return {}
    source = _source(record)
    trying = job.progress.between(0.05, 1.0, "trying it on generated faces", "rounds")
    write_json(record.folder / "report.json", report_of(source, trying.advance, job.stop, record.folder.parent))
    return {}


def add(job: Job) -> dict[str, Any]:
    """Keep the model in the run's folder, as safetensors (or the graph itself) with all facts beside it."""
    from fairlab.models.files.checkpoints import save_graph, save_model

    record, source = job.record, _source(job.record)
    job.progress.part(0.2, "reading the file")
    path = path_of(source)
    adaptor = adaptors.recognised(path, source)
    if adaptor is not None:
        _check_unchanged(source, adaptor.sha256)
        return adaptors.add(job, path, source, adaptor) | tables.chosen_on(source)
    found = recognised(source)
    _check_unchanged(source, str(found.facts["sha256"]))
    trying = job.progress.part(0.7, "trying it on generated faces", "rounds")
    report = _report(source, found, _trial(found, trying.advance, job.stop, record.folder.parent))
    write_json(record.folder / "report.json", report)
    job.progress.part(0.1, "writing")
    facts = {
        **found.facts,
        "embedding_dim": report["embedding_dim"],
        "warnings": report["warnings"],
        "notes": list(found.notes),
    }
    if found.facts["kind"] == "onnx":
        save_graph(record.folder / "weights", path_of(source), facts)
    else:
        save_model(record.folder / "weights", found.network, found.head, facts)
    return {"family": report["family"], "warnings": report["warnings"], **tables.chosen_on(source)}


def _source(record: RunRecord) -> ModelFile:
    if record.config.model is None:
        raise FairLabError(f"{record.run_id} does not say which file to take the model from")
    return record.config.model


def _check_unchanged(source: ModelFile, content: str) -> None:
    """Raise FairLabError for a file that is no longer the one that was asked for."""
    if source.sha256 not in ("", content):
        raise FairLabError(f"{source.path} has changed since it was named; add it again")


def recognised(source: ModelFile) -> Found:
    """Read the file without running any code of its writer. Raises FairLabError: what does not fit, by key name."""
    path = path_of(source)
    found = _graph(path, source) if path.suffix.lower() == ".onnx" else _checkpoint(path, source)
    settings = {
        name: value
        for name, value in {
            "image_px": source.image_px,
            "channels": source.channels,
            "mean": _three(source.mean),
            "std": _three(source.std),
            "flip": source.flip,
        }.items()
        if value
    }
    about = {**found.facts["preprocessing"], **settings}
    if about["image_px"] != found.facts["image_px"]:
        raise FairLabError(
            f"{path.name} takes faces of {found.facts['image_px']} px, not {about['image_px']}; leave image_px out"
        )
    confirm = tuple(name for name in found.confirm if name not in settings)
    facts = {**found.facts, "preprocessing": about}
    if getattr(found.network, "takes_landmarks", False):
        facts[FACT] = source.landmarks or "data"
    elif source.landmarks:
        raise FairLabError(f"{path.name} takes no landmarks; leave landmarks out")
    return Found(found.network, found.head, facts, confirm, found.notes)


def _three(values: tuple[float, ...]) -> list[float]:
    return list(values) * (3 if len(values) == 1 else 1)


def _checkpoint(path: Path, source: ModelFile) -> Found:
    from fairlab.models.files.importing import import_checkpoint, import_head

    found = import_checkpoint(path, source.publisher)
    head = found.head
    if source.head:
        head = import_head(Path(source.head).expanduser().absolute(), found.backbone.embedding_dim)
    facts = {
        "kind": "backbone",
        "settings": found.backbone.model_dump(mode="json"),
        "image_px": found.image_px,
        "family": found.backbone.name,
        "embedding_dim": found.backbone.embedding_dim,
        "preprocessing": found.preprocessing.to_json(),
        "file": path.name,
        "sha256": found.sha256,
        "classes": None if head is None else int(head.shape[0]),
        "parameters": sum(tensor.numel() for tensor in found.tensors.values() if tensor.is_floating_point()),
    }
    return Found(found.network(), None if head is None else {"weight": head}, facts, found.confirm, found.notes)


def _graph(path: Path, source: ModelFile) -> Found:
    from fairlab.files import sha256
    from fairlab.models.files.onnx import check_batches, inspect_onnx, load_onnx
    from fairlab.models.preprocessing import preprocessing_of

    if source.publisher:
        raise FairLabError("publisher applies to checkpoints; for an ONNX model set channels, mean, std and flip")
    if source.head:
        raise FairLabError("an ONNX model has no head to inherit; leave head out")
    seen = inspect_onnx(path)
    px = seen.image_px or source.image_px
    if px is None:
        raise FairLabError(f"{path.name} takes faces of any size; set image_px, e.g. 112")
    with memory_limited(MOST_MEMORY):
        network = load_onnx(path)
        notes = (*seen.notes, *check_batches(network, px))
    about = preprocessing_of("insightface", px).to_json() | {"flip": "none"}
    if seen.normalised_inside:
        about |= {"mean": [0.0] * 3, "std": [1.0] * 3}
    facts = {
        "kind": "onnx",
        "image_px": px,
        "family": "ONNX",
        "embedding_dim": seen.embedding_dim,
        "preprocessing": about,
        "file": path.name,
        "sha256": sha256(path),
        "classes": None,
        "parameters": None,
    }
    return Found(network, None, facts, ("channels", "mean", "std", "flip"), notes)


@contextmanager
def memory_limited(more: int) -> Iterator[None]:
    """Let this process take at most `more` further bytes inside, where the system can say so.

    The old limit comes back: what a process starts inherits it, and a browser, say, reserves more addresses than that.
    """
    try:
        import resource
    except ImportError:  # Windows
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = psutil.Process().memory_info().vms + more
    known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([wanted, *known]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _trial(found: Found, progress: Callable[[int, int], None], stop: Stop, runs: Path | None) -> dict[str, Any]:
    """The trial on generated faces: that of an earlier look at the same file with the same record, or a new one."""
    from fairlab.data.demo.build import build_demo
    from fairlab.models.preprocessing import preprocessing_from_json
    from fairlab.training.trial import VERSION, faces_for_trial, try_model

    earlier = _tried_before(found.facts, VERSION, runs)
    if earlier is not None:
        return earlier
    about = preprocessing_from_json(found.facts["preprocessing"], found.facts["file"])
    with tempfile.TemporaryDirectory(prefix="fairlab-") as folder:
        faces = build_demo(faces_for_trial(about.image_px), Path(folder) / "faces", "trial")
        with memory_limited(MOST_MEMORY) if found.facts["kind"] == "onnx" else nullcontext():
            return try_model(found.network, about, faces, progress, stop)


def _tried_before(facts: dict[str, Any], version: int, runs: Path | None) -> dict[str, Any] | None:
    for path in runs.glob("*/report.json") if runs else ():
        try:
            report = read_json(path)
        except FairLabError:  # of a run that was just deleted, or is damaged; doctor names it
            continue
        trial = report.get("trial") if isinstance(report, dict) else None
        if (
            isinstance(trial, dict)
            and trial.get("version") == version
            and all(report.get(name) == facts[name] for name in ("sha256", "preprocessing", "family"))
        ):
            return trial
    return None


def _report(source: ModelFile, found: Found, trial: dict[str, Any]) -> dict[str, Any]:
    facts = found.facts
    warnings = [
        f"the file does not give its {name}: {facts['preprocessing'][name]} is assumed; please confirm"
        for name in found.confirm
    ]
    return {
        "path": str(path_of(source)),
        "kind": facts["kind"],
        "family": facts["family"],
        "image_px": facts["image_px"],
        "embedding_dim": trial["embedding_dim"],
        "parameters": facts["parameters"],
        "classes": facts["classes"],
        "sha256": facts["sha256"],
        "preprocessing": facts["preprocessing"],
        "confirm": list(found.confirm),
        "notes": list(found.notes),
        "trial": trial,
        "warnings": [*warnings, *trial["warnings"]],
    }
