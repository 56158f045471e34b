"""Is everything in order? Versions, devices, and the health of the workspace."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairlab import __version__
from fairlab.errors import FairLabError
from fairlab.files import MANIFEST, read_json, verify_manifest
from fairlab.machine.mounts import file_system
from fairlab.queue.engines import slurm_commands
from fairlab.queue.launch import default_placement
from fairlab.settings.loggers import without_server
from fairlab.settings.placement import without_programs
from fairlab.settings.user import user_settings
from fairlab.storage.hidden import bad_datasets, bad_studies, unreadable
from fairlab.store import database
from fairlab.store.faults import faults_of
from fairlab.store.index import faiss_status
from fairlab.store.marks import closed_folders
from fairlab.store.runs import state
from fairlab.workspace import Workspace

PACKAGES = (
    "torch",
    "streamlit",
    "plotly",
    "pandas",
    "umap-learn",
    "faiss-cpu",
    "faiss-gpu",
    "pillow",
    "numpy",
    "scipy",
    "numba",
)


def examine(workspace: Workspace, rebuild: bool = False, verify: bool = False, devices: bool = True) -> dict[str, Any]:
    """Look at machine and workspace; returns facts and a list of problems, each a sentence.

    `rebuild` makes the catalogue again; `verify` hashes every finished run's files; `devices` asks torch, which
    takes seconds to import, for GPUs.
    """
    problems: list[str] = []
    versions = {name: _version(name) for name in PACKAGES}
    if versions["faiss-cpu"] and versions["faiss-gpu"]:
        problems.append(
            "faiss-cpu and faiss-gpu are both installed and break each other: uninstall both, then install one"
        )
    usage = shutil.disk_usage(workspace.home)
    if usage.free < 1e9:
        problems.append(f"only {usage.free / 1e6:.0f} MB free on the disk of {workspace.home}")
    if rebuild:
        database.rebuild(workspace)
    problems += [f"run {name}: {why}" for name, why in closed_folders(workspace).items()]
    problems += [f"study {name}: {why}" for name, why in bad_studies(workspace)]
    problems += [f"data set {name}: {why}" for name, why in bad_datasets(workspace)]
    folders = sorted(path.parent for path in workspace.runs_folder.glob("*/run.json"))
    counts: dict[str, int] = {}
    bad: dict[str, list[str]] = {}
    for folder in folders:
        problems += faults_of(workspace, folder.name)
        try:
            view = state(folder)
        except FairLabError:
            continue  # it is among the problems
        counts[view.status] = counts.get(view.status, 0) + 1
        if view.status in ("crashed", "failed"):
            if _only_looked(folder):
                continue
            why = f"{view.status}: {_short(view.reason) or 'its process ended without a message'}"
            bad.setdefault(why, []).append(folder.name)
    problems += [f"run{'s' if len(names) > 1 else ''} {', '.join(names)} {why}" for why, names in bad.items()]
    placement = default_placement(workspace)
    ignored = (
        without_programs(workspace.setting("placement", {}))[1],
        without_server(workspace.setting("loggers", {}))[1],
    )
    problems += [f"{workspace.settings_file}: {sentence}" for sentence in ignored if sentence]
    slurm = slurm_commands.examine(user_settings().slurm.commands)
    if placement.engine == "slurm" and not slurm[:1].isdigit():
        problems.append(f"runs are to work on a Slurm cluster: {slurm}")
    if verify:
        problems += _damaged([*folders, *workspace.datasets_folder.iterdir()])
    named = "\n".join(problems)
    problems += [sentence for path, sentence in unreadable(workspace.home) if path not in named]
    half = [path.name for path in workspace.runs_folder.iterdir() if _empty(path)]
    problems += [f"the folder runs/{name} has no run.json and is ignored; delete it" for name in half]
    return {
        "fairlab": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "packages": versions,
        "faiss": faiss_status(),
        "devices": _devices() if devices else [],
        "workspace": str(workspace.home),
        "disk_free_gb": round(usage.free / 1e9, 1),
        "slots": workspace.slots,
        "slurm": slurm,
        "runs": counts,
        "catalogue": f"{database.health(workspace)}, {_place(workspace)}",
        "problems": problems,
    }


REASON = 240
"""Letters of a run's reason in a problem; all of it is on the Runs page."""


def _short(reason: str) -> str:
    return reason if len(reason) <= REASON else f"{reason[:REASON].rstrip()} ..."


def _only_looked(folder: Path) -> bool:
    """Was the run a look at a file, which told its user that it is none? That is no problem of the workspace."""
    return bool(read_json(folder / "run.json").get("method") == "inspect")


def _empty(folder: Path) -> bool:
    try:
        return folder.is_dir() and not (folder / "run.json").exists()
    except OSError:
        return False  # it cannot be looked into, which is said above


def _damaged(folders: Sequence[Path]) -> list[str]:
    """What is not as its manifest recorded, below runs and data sets: weights, embeddings, numbers, tables, pixels."""
    found = []
    for path in (path for folder in folders for path in sorted(folder.rglob(MANIFEST)) if ".tmp." not in str(path)):
        try:
            verify_manifest(path.parent)
        except FairLabError as error:
            found.append(str(error))
    return found


def _place(workspace: Workspace) -> str:
    """Where the catalogue lies, and why there."""
    folder = workspace.catalogue_file.parent
    if folder == workspace.home:
        return "in the workspace"
    asked = os.environ.get("FAIRLAB_CATALOGUE")
    why = "FAIRLAB_CATALOGUE says so" if asked else f"the workspace is on {file_system(workspace.home)}, shared storage"
    return f"in {folder}: {why}"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _devices() -> list[str]:
    import importlib

    torch = importlib.import_module("torch")
    found = ["cpu"]
    found += [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return found


def show(findings: dict[str, Any]) -> None:
    """Print findings for a person."""
    for name, value in findings.items():
        if name == "problems":
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{key} {item}" for key, item in value.items() if item not in ("", None)) or "none"
        elif isinstance(value, list):
            value = ", ".join(map(str, value)) or "none"
        print(f"{name:14} {value}")
    print(f"{'problems':14} " + ("none" if not findings["problems"] else ""))
    for problem in findings["problems"]:
        print(f"  - {problem}")
