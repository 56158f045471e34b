"""An adaptor that was trained elsewhere (MST-KD): its parents by name and in order, a trial, and keeping it as a common space."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairlab.errors import FairLabError
from fairlab.files import write_json
from fairlab.jobs.embed.spaces import RAW
from fairlab.jobs.job import Job
from fairlab.jobs.models.tables import table_kind
from fairlab.plan import choices
from fairlab.plan.records import check_model, length_of
from fairlab.settings.data import MST_KD_BLOCKS
from fairlab.settings.study import ModelFile
from fairlab.store.database import list_runs
from fairlab.store.runs import SPACES, RunRecord, read_run
from fairlab.workspace import Workspace

if TYPE_CHECKING:
    from fairlab.models.files.adaptors import ImportedAdaptor

ORDER = MST_KD_BLOCKS
"""The blocks of MST-KD's adaptors. In another order they give another space."""
OF_ADAPTORS = ("parents", "adaptor", "groups", "raw_blocks")
"""Settings of a model's file that adaptors alone use."""
OF_OTHERS = ("head", "column", "attribute", "distances", "dataset", "publisher", "image_px", "channels", "mean", "std",
             "flip", "landmarks")  # fmt: skip
"""Settings of a model's file that no adaptor uses."""


def recognised(path: Path, source: ModelFile) -> ImportedAdaptor | None:
    """The adaptor in a file, or None where it holds something else. Raises FairLabError: what does not fit, and settings
    that the file has no use for."""
    from fairlab.models.files.adaptors import import_adaptor

    found = None if path.suffix.lower() == ".onnx" else import_adaptor(path, source.adaptor)
    useless = OF_ADAPTORS if found is None else OF_OTHERS
    usual = ModelFile()
    if given := [name for name in useless if getattr(source, name) != getattr(usual, name)]:
        kind = "not an adaptor of MST-KD" if found is None else "an adaptor"
        raise FairLabError(f"{path.name} is {kind}; leave {given[0]} out")
    if found is not None and source.groups:
        if found.settings.name not in ("positioning", "encoding"):
            raise FairLabError(f"{path.name}: only positioning and encoding look at groups; leave groups out")
        if len(source.groups) != len(source.parents or source.groups) or len(set(source.groups)) != len(source.groups):
            raise FairLabError(f"{path.name}: groups must name one group for each parent, each once, in their order")
    return found


def check_parents(found: ImportedAdaptor | dict[str, Any], where: str, lengths: Sequence[int | None]) -> None:
    """Raise FairLabError unless embeddings of these lengths, side by side, are what the adaptor takes.

    found: the adaptor, or its report, so that a page can ask without reading the file.
    """
    report: dict[str, Any] = (
        found if isinstance(found, dict) else {"columns": found.columns, "adaptor": found.settings.name}
    )
    columns, encoding = int(report["columns"]), report["adaptor"] == "encoding"
    if not lengths:
        raise FairLabError(
            f"{where} is an adaptor over {columns} columns: name the models whose embeddings it takes in the order of its "
            f"blocks, for MST-KD the teachers of {', '.join(ORDER)} (--parents, or parents=)"
        )
    if None in lengths:
        number = list(lengths).index(None) + 1
        raise FairLabError(f"parent {number} of {where} has no embeddings and no network: it cannot be built on")
    known = [int(length) for length in lengths if length is not None]
    told = f"{len(known)} parent{'s' if len(known) > 1 else ''} of {', '.join(map(str, known))} dims"
    if encoding and any(1 + length != columns for length in known):
        raise FairLabError(
            f"{where} has {columns} columns: a group's number and {columns - 1} dims; it does not fit {told}"
        )
    if not encoding and sum(known) != columns:
        many = f", so it needs {columns // known[0]} parents" if len(set(known)) == 1 and not columns % known[0] else ""
        raise FairLabError(f"{where} has {columns} columns{many}; it does not fit {told} (together {sum(known)})")


def parents_of(workspace: Workspace, names: Sequence[str]) -> list[RunRecord]:
    """The models of these run ids, in this order. Raises FairLabError for a run that is not a model, and for one named twice."""
    if twice := [name for name in dict.fromkeys(names) if list(names).count(name) > 1]:
        raise FairLabError(f"parents names {twice[0]} twice; each block has a teacher of its own")
    found = [read_run(workspace, name) for name in names]
    for record in found:
        check_model(record)
        if record.role == "adaptor":
            raise FairLabError(f"{record.run_id} is a common space; an adaptor of MST-KD takes the teachers themselves")
    return found


def proposed(workspace: Workspace, names: Sequence[str] = ORDER) -> list[str]:
    """For each name the run id of the one model whose group, title, file or folder has that name; "" for none or several."""
    runs = list_runs(workspace)
    runs = runs[runs["role"].isin([role for role in SPACES if role not in ("adaptor", "baseline")])]
    runs = runs[(runs["status"] == "done") & ~runs["method"].isin(["inspect", "scores", "embeddings"])]
    records = [read_run(workspace, run_id) for run_id in runs["run_id"]]
    words = {record.run_id: _names_of(record) for record in records}
    matching = [[run_id for run_id, found in words.items() if name.lower() in found] for name in names]
    return [found[0] if len(found) == 1 else "" for found in matching]


def _names_of(record: RunRecord) -> set[str]:
    """The words by which a model may say which group it is the teacher of; its group, where it was trained on one."""
    groups = record.config.data.groups
    if groups:
        return {groups[0].lower()} if len(groups) == 1 else set()
    file = record.config.model.path if record.config.model is not None else ""
    text = " ".join([record.title, *Path(file).parts[-4:]])
    return {word for word in re.split(r"[^a-z0-9]+", text.lower()) if word}


def completed(workspace: Workspace, source: ModelFile) -> ModelFile:
    """The source of an adaptor with its parents, checked: those that it names, or those that names tell; any other as it is.

    Raises FairLabError where they do not fit, and where nothing tells them.
    """
    path = Path(source.path).expanduser().absolute()
    known = table_kind(path) or path.suffix.lower() == ".onnx" or not path.is_file()
    found = None if known and not source.parents else recognised(path, source)
    if found is None:
        return source
    parents = source.parents
    if not parents:
        told = proposed(workspace)
        parents = tuple(told) if all(told) else ()
        if parents and found.settings.name in ("positioning", "encoding"):
            source = source.model_copy(update={"groups": ORDER})
    lengths = [length_of(record) for record in parents_of(workspace, parents)]
    check_parents(found, path.name, lengths)
    return source.model_copy(update={"parents": parents, "adaptor": found.settings.name})


def report_of(path: Path, source: ModelFile, found: ImportedAdaptor) -> dict[str, Any]:
    """What an adaptor's file is and how it does on random unit embeddings, as JSON values. Raises FairLabError."""
    dims = _dims(found)
    notes = [*found.notes]
    if source.raw_blocks:
        notes.append("its parents' embeddings keep their length, as in adaptor_test; it was trained on length 1")
    return {
        "path": str(path),
        "kind": "adaptor",
        "family": str(choices.common_spaces()[found.settings.name]["title"]),
        "adaptor": found.settings.name,
        "columns": found.columns,
        "embedding_dim": found.settings.embedding_dim,
        "hidden_dim": found.settings.hidden_dim,
        "parameters": found.parameters,
        "sha256": found.sha256,
        "parents": list(source.parents),
        "blocks": RAW if source.raw_blocks else "unit",
        "notes": notes,
        "warnings": [],
        "trial": _trial(found, dims, path.name),
    }


def _dims(found: ImportedAdaptor) -> tuple[int, ...]:
    """Lengths of blocks that fit the file, where no parents are known: it does not say where one ends."""
    if found.settings.name == "encoding":
        return (found.columns - 1,) * len(ORDER)
    dim = found.settings.embedding_dim
    return (found.columns,) if found.columns % dim else (dim,) * (found.columns // dim)


def _trial(found: ImportedAdaptor, dims: tuple[int, ...], where: str) -> dict[str, Any]:
    from fairlab.training.adaptor_trial import try_adaptor

    looks = bool(choices.common_spaces()[found.settings.name].get("needs_group"))
    return try_adaptor(found.network(dims), dims, looks, where)


def add(job: Job, path: Path, source: ModelFile, found: ImportedAdaptor) -> dict[str, Any]:
    """Keep the adaptor in the run's folder, over the run's parents; returns facts of its status."""
    from fairlab.models.files.checkpoints import save_model

    record = job.record
    parents = parents_of(job.workspace, source.parents)
    dims = [length_of(parent) for parent in parents]
    check_parents(found, path.name, dims)
    known = tuple(int(dim) for dim in dims if dim is not None)
    report = {**report_of(path, source, found), "trial": _trial(found, known, path.name)}
    write_json(record.folder / "report.json", report)
    facts = {
        "kind": "adaptor",
        "settings": found.settings.model_dump(mode="json"),
        "input_dims": list(known),
        "blocks": report["blocks"],
        "family": report["family"],
        "embedding_dim": found.settings.embedding_dim,
        "file": path.name,
        "sha256": found.sha256,
        "parameters": found.parameters,
        "warnings": report["warnings"],
        "notes": report["notes"],
    }
    save_model(record.folder / "weights", found.network(known), None, facts)
    return {"family": report["family"], "warnings": report["warnings"]}
