"""What tests of runs share: a local engine that starts nothing."""

from __future__ import annotations

import pytest

from fairlab.runs.engines.local import LocalEngine
from fairlab.settings.placement import Placement
from fairlab.store.runs import RunRecord, record_process, write_status
from fairlab.workspace import Workspace


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Titles of the runs that the local engine was told to start; they work then, as this very process."""
    found: list[str] = []

    def submit(_engine: LocalEngine, _workspace: Workspace, record: RunRecord, _placement: Placement) -> None:
        record_process(record.folder)
        write_status(record.folder, "running", reason="")
        found.append(record.title)

    monkeypatch.setattr(LocalEngine, "submit", submit)
    return found
