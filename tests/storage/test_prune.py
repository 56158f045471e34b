"""Which checkpoints may go."""

from __future__ import annotations

import pytest

from fairlab.errors import FairLabError
from fairlab.files import write_manifest
from fairlab.storage.prune import prunable, prune
from fairlab.store.runs import create_run, record_process, write_status
from fairlab.workspace import Workspace
from tests.store.test_runs import record


def made(lab: Workspace, run_id: str, status: str, weights: bool = True, steps: tuple[int, ...] = (1, 2)) -> None:
    create_run(lab, record(lab, run_id))
    folder = lab.run(run_id)
    for place in [*(f"checkpoints/step-{step:08d}" for step in steps), *(["weights"] if weights else [])]:
        (folder / place).mkdir(parents=True)
        (folder / place / "learner.safetensors").write_bytes(bytes(100))
        write_manifest(folder / place, ["learner.safetensors"])
    write_status(folder, status, reason="")


def going(lab: Workspace, *arguments: object, **more: object) -> list[str]:
    table = prunable(lab, *arguments, **more)  # type: ignore[arg-type]
    return [f"{row.run_id}/{int(row.checkpoint[5:])}" for row in table.itertuples()]


def test_of_runs_that_are_done_the_newest_stay_or_none(lab: Workspace) -> None:
    """Without weights the newest is all there is of a run."""
    made(lab, "a", "done", steps=(1, 2, 3))
    made(lab, "b", "done", weights=False)
    assert going(lab) == ["a/1", "a/2", "b/1"]
    assert going(lab, 2) == ["a/1"]
    assert going(lab, 0) == ["a/1", "a/2", "a/3", "b/1"]


def test_what_waits_or_works_is_left_alone(lab: Workspace) -> None:
    made(lab, "q", "queued")
    made(lab, "r", "running")
    record_process(lab.run("r"))
    assert going(lab, 0) == []
    assert going(lab, 0, run_ids=["q", "r"]) == []


def test_the_last_checkpoint_of_a_run_that_could_go_on_goes_only_by_name(lab: Workspace) -> None:
    made(lab, "s", "stopped", weights=False)
    assert going(lab, 0) == ["s/1"]
    assert going(lab, 0, run_ids=["s"]) == ["s/1", "s/2"]


def test_a_damaged_checkpoint_is_not_the_one_that_is_kept(lab: Workspace) -> None:
    """The newest is damaged: the one before stays. All are damaged: nothing goes but by name."""
    made(lab, "s", "stopped", weights=False, steps=(1, 2, 3))
    (lab.run("s") / "checkpoints/step-00000003/learner.safetensors").write_bytes(b"x" * 100)
    assert going(lab) == ["s/1", "s/3"]
    for step in (1, 2):
        (lab.run("s") / f"checkpoints/step-0000000{step}/learner.safetensors").write_bytes(b"x" * 100)
    assert going(lab) == []


def test_damaged_weights_do_not_count_as_a_result(lab: Workspace) -> None:
    made(lab, "a", "done")
    (lab.run("a") / "weights/learner.safetensors").write_bytes(b"x" * 100)
    assert going(lab, 0) == ["a/1"]


def test_pruning_deletes_what_was_listed(lab: Workspace) -> None:
    """And nothing else; of a study only its own."""
    made(lab, "a", "done")
    listed = prunable(lab)
    assert prune(lab, study="other").empty
    assert prune(lab).equals(listed)
    assert [path.name for path in (lab.run("a") / "checkpoints").iterdir()] == ["step-00000002"]
    assert (lab.run("a") / "weights/learner.safetensors").exists()
    assert prunable(lab).empty


def test_wrong_wishes_are_said(lab: Workspace) -> None:
    with pytest.raises(FairLabError, match="no run 'x'"):
        prunable(lab, run_ids=["x"])
    with pytest.raises(FairLabError, match="0 or more"):
        prunable(lab, -1)
