"""The folder that holds everything a user makes: where it is, what lies where, and whether we may use it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.files import MANIFEST, explain, read_json, write_json
from fairlab.machine.gpus import machine_gpus
from fairlab.machine.mounts import catalogue_folder

VERSION = 2
"""Of the folder's layout. A workspace of a newer version is refused, an older one is brought here by MIGRATIONS."""

MOST_SLOTS = 10_000
"""Runs that may work at the same time."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Workspace:
    """A workspace folder. Paths only; nothing is read or created by asking for one."""

    home: Path

    @property
    def settings_file(self) -> Path:
        return self.home / "workspace.json"

    @property
    def catalogue_file(self) -> Path:
        """In the workspace, or on this machine when the workspace is on storage that machines share; see mounts."""
        return catalogue_folder(self.home) / "catalogue.sqlite"

    @property
    def runs_folder(self) -> Path:
        return self.home / "runs"

    @property
    def datasets_folder(self) -> Path:
        return self.home / "datasets"

    @property
    def studies_folder(self) -> Path:
        return self.home / "studies"

    @property
    def selections_folder(self) -> Path:
        return self.home / "selections"

    def run(self, run_id: str) -> Path:
        """Folder of a run (it may not exist). Raises FairLabError for a name that is not one."""
        return self.runs_folder / checked_name(run_id, "run")

    def dataset(self, dataset_id: str) -> Path:
        """Folder of a data set (it may not exist)."""
        return self.datasets_folder / checked_name(dataset_id, "data set")

    def selections(self, dataset_id: str) -> Path:
        """Folder of the saved selections of a data set (it may not exist); it stays when the data set is deleted."""
        return self.selections_folder / checked_name(dataset_id, "data set")

    def study(self, study_id: str) -> Path:
        """Folder of a study (it may not exist)."""
        return self.studies_folder / checked_name(study_id, "study")

    @property
    def slots(self) -> int:
        """How many runs may work at the same time on this machine: as workspace.json says, else one for each GPU, else 2."""
        slots = self.setting("slots", None)
        if slots is None:
            return len(machine_gpus()) or 2
        if not isinstance(slots, int) or isinstance(slots, bool) or not 1 <= slots <= MOST_SLOTS:
            raise FairLabError(
                f"{self.settings_file}: slots must be a whole number from 1 to {MOST_SLOTS:,}, not {str(slots)[:40]!r}"
            )
        return slots

    def setting(self, name: str, default: Any) -> Any:
        """What workspace.json says under `name`; unchecked."""
        return _settings(self).get(name, default)

    def set(self, name: str, value: Any) -> None:
        """Keep a setting in workspace.json; whoever keeps another at the same moment loses nothing."""
        with FileLock(self.home / "settings.lock", timeout=30):
            write_json(self.settings_file, {**_settings(self), name: value})


def _settings(workspace: Workspace) -> dict[str, Any]:
    try:
        found: dict[str, Any] = read_json(workspace.settings_file)
    except Damaged as error:
        raise Damaged(f"{error}; delete the file and FairLab writes it again") from error
    return found


def is_name(name: str) -> bool:
    """Can this be a folder's name in the workspace?"""
    return bool(_NAME.fullmatch(name)) and ".." not in name


def checked_name(name: str, kind: str) -> str:
    """`name` itself if it can be a folder's name, so that no link or form reaches outside the workspace."""
    if not is_name(name):
        raise FairLabError(f"{name[:80]!r} is not the name of a {kind}: use letters, digits, '.', '_' and '-'")
    return name


def default_home() -> Path:
    """FAIRLAB_HOME, or the folder `fairlab-workspace` in the user's home."""
    return Path(os.environ.get("FAIRLAB_HOME") or Path.home() / "fairlab-workspace").expanduser()


def open_workspace(home: Path | str | None = None) -> Workspace:
    """Open the workspace at `home` (default: default_home()), making it if it is not there.

    Raises FairLabError without write permission, Refused for a workspace of a newer version.
    """
    folder = Path(home).expanduser().absolute() if home else default_home().absolute()
    workspace = Workspace(folder)
    try:
        if workspace.settings_file.exists():
            found = _settings(workspace).get("version")
            if not isinstance(found, int) or found < 1 or found > VERSION:
                raise Refused(
                    f"the workspace {folder} has version {found}, this FairLab reads up to {VERSION}; "
                    "update FairLab or choose another workspace with --home"
                )
            if found < VERSION:
                _migrate(workspace)
        else:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for part in (workspace.runs_folder, workspace.datasets_folder, workspace.studies_folder):
            if os.path.lexists(part) and not part.is_dir():
                raise FairLabError(f"{part} is a file or a broken link; expected a folder of the workspace")
            part.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise FairLabError(explain(error, folder)) from error
    if not os.access(folder, os.W_OK):
        raise FairLabError(f"no permission to write {folder}; choose another workspace with --home or FAIRLAB_HOME")
    if not workspace.settings_file.exists():
        write_json(workspace.settings_file, {"version": VERSION, "created_at": now()})
    return workspace


def _migrate(workspace: Workspace) -> None:
    """Bring an older workspace to today's layout, step by step; a step that was cut short is done again."""
    with FileLock(workspace.home / "dispatch.lock", timeout=30):  # no run is started meanwhile
        for number in range(_settings(workspace)["version"], VERSION):
            MIGRATIONS[number](workspace)
            write_json(workspace.settings_file, {**_settings(workspace), "version": number + 1})


def _results_by_dataset(workspace: Workspace) -> None:
    """Version 1 kept the numbers of a run on its own data set in results/, and a manifest of the whole run."""
    for path in workspace.runs_folder.glob("*/run.json"):
        folder, aside = path.parent, path.parent / "results of version 1"
        if (folder / "results" / MANIFEST).exists():
            os.replace(folder / "results", aside)
        if aside.exists():
            (folder / "results").mkdir(exist_ok=True)
            os.replace(aside, folder / "results" / checked_name(str(read_json(path).get("dataset")), "data set"))
        (folder / MANIFEST).unlink(missing_ok=True)  # weights, embeddings and numbers have each their own


MIGRATIONS: dict[int, Callable[[Workspace], None]] = {1: _results_by_dataset}
"""Version n to n + 1; released steps are never changed."""


def now() -> str:
    """The time as UTC ISO 8601 with microseconds, the only form in which times are stored."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def set_slots(workspace: Workspace, slots: int) -> None:
    """Change how many runs may work at the same time (at least 1)."""
    if not 1 <= slots <= MOST_SLOTS:
        raise FairLabError(f"from 1 to {MOST_SLOTS:,} runs can work at a time, not {slots}")
    workspace.set("slots", slots)
