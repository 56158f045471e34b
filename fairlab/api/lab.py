"""The workspace as one object."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from fairlab.api.arguments import run_ids
from fairlab.api.data import DataSets
from fairlab.api.models import Models
from fairlab.api.runs import Runs
from fairlab.api.storage import Storage
from fairlab.api.studies import Studies
from fairlab.api.watching import watch
from fairlab.settings.placement import Placement
from fairlab.workspace import Workspace, open_workspace


class Lab:
    """A workspace: everything that FairLab has made, in one folder, and everything that can be done with it.

    >>> lab = Lab("~/fairlab-workspace")
    >>> lab
    Lab('/home/ada/fairlab-workspace', 12 runs, 3 studies)
    """

    def __init__(self, folder: str | Path | Workspace | None = None) -> None:
        """Open a workspace, and make it if it does not exist.

        folder: default FAIRLAB_HOME, else ~/fairlab-workspace. Raises FairLabError without permission to write there, and
        Refused for a workspace of a newer version.
        """
        self._workspace = folder if isinstance(folder, Workspace) else open_workspace(folder)

    def __repr__(self) -> str:
        runs, studies = len(self.runs), len(self.studies)
        return (
            f"Lab({str(self.folder)!r}, {runs} run{'' if runs == 1 else 's'}, "
            f"{studies} stud{'y' if studies == 1 else 'ies'})"
        )

    @property
    def folder(self) -> Path:
        """Where the workspace is."""
        return self._workspace.home

    @property
    def workspace(self) -> Workspace:
        """The workspace as the functions of the rooms below take it."""
        return self._workspace

    @cached_property
    def data(self) -> DataSets:
        """The data sets."""
        return DataSets(self._workspace)

    @cached_property
    def models(self) -> Models:
        """The models, trained here or added."""
        return Models(self._workspace)

    @cached_property
    def studies(self) -> Studies:
        """The studies, and the presets they start from."""
        return Studies(self._workspace)

    @cached_property
    def runs(self) -> Runs:
        """All runs, and the queue."""
        return Runs(self._workspace)

    @cached_property
    def storage(self) -> Storage:
        """The disk: usage, pruning, archives, age limits."""
        return Storage(self._workspace)

    @property
    def placement(self) -> Placement:
        """Where new runs work unless a call says otherwise; assign one to change it."""
        from fairlab.queue.launch import default_placement

        return default_placement(self._workspace)

    @placement.setter
    def placement(self, placement: Placement) -> None:
        from fairlab.queue.launch import set_default_placement

        set_default_placement(self._workspace, placement)

    def wait(self, runs: Sequence[Any], show: bool = True) -> Lab:
        """Wait until these runs have ended, with progress and time left.

        runs: handles or run ids. An interruption (Ctrl-C, or the notebook's stop button) leaves the runs alone. Returns
        the lab. Raises FairLabError, with the reason, when a run does not come to its end.

        >>> jobs = [model.evaluate("rfw") for model in lab.models]
        >>> lab.wait(jobs)
        """
        watch(self._workspace, run_ids(runs), show)
        return self

    def doctor(self, rebuild: bool = False, verify: bool = False) -> dict[str, Any]:
        """Versions, devices and the health of the workspace.

        rebuild: make the catalogue again from the run folders; verify: check the files of all finished runs against their
        hashes. Returns a dict; its "problems" are sentences, none for a healthy workspace.

        >>> lab.doctor()["problems"]
        []
        """
        from fairlab.storage.doctor import examine

        return examine(self._workspace, rebuild, verify)
