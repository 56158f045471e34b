"""How far a study is and when it will be done: schedules worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fairlab.files import write_json
from fairlab.plan.estimate import _keys, _probe_file
from fairlab.plan.grid import expand
from fairlab.plan.schedule import Task, ends
from fairlab.presets import load_preset
from fairlab.queue import edit
from fairlab.queue.launch import write_study
from fairlab.queue.progress import progress, sentence, study_progress
from fairlab.store.database import list_runs
from fairlab.store.runs import RunRecord, create_run, write_status
from fairlab.workspace import Workspace, set_slots
from tests.waiting import STUDY, entered


@pytest.mark.parametrize(
    ("tasks", "slots", "expected"),
    [
        ([Task(name, 10) for name in "abcd"], 2, {"a": 10, "b": 10, "c": 20, "d": 20}),
        ([Task("a", 5), Task("b", 7, ("a",))], 2, {"a": 5, "b": 12}),
        (  # two teachers, the adaptor over both, two students; a plain student fills the gap beside the adaptor
            [
                Task("t1", 10),
                Task("t2", 8),
                Task("common", 5, ("t1", "t2")),
                Task("s1", 10, ("common",)),
                Task("s2", 10, ("common",)),
                Task("plain", 4),
            ],
            2,
            {"t2": 8, "t1": 10, "plain": 12, "common": 15, "s1": 25, "s2": 25},
        ),
        (  # nobody overtakes what needs both slots
            [Task("a", 10), Task("both", 5, devices=2), Task("c", 1)],
            2,
            {"a": 10, "both": 15, "c": 16},
        ),
        ([Task("a", 10), Task("huge", 5, devices=8), Task("c", 1)], 2, {"a": 10, "huge": 15, "c": 16}),
        ([Task("a", 3, begun=True), Task("b", 4, begun=True), Task("c", 1)], 1, {"a": 3, "b": 4, "c": 5}),
        ([Task("a", 3), Task("b", 3, ("elsewhere",))], 2, {"a": 3, "b": 3}),
        ([], 2, {}),
    ],
)
def test_the_schedule_is_that_of_the_dispatcher(tasks: list[Task], slots: int, expected: dict[str, float]) -> None:
    assert ends(tasks, {"local": slots}) == expected


def test_engines_have_slots_of_their_own() -> None:
    tasks = [Task("a", 10), Task("b", 10), Task("c", 10, engine="slurm"), Task("d", 1, ("a", "c"), engine="slurm")]
    assert ends(tasks, {"local": 1, "slurm": 2}) == {"a": 10, "b": 20, "c": 10, "d": 11}


def took(lab: Workspace, title: str, seconds: float, **more: object) -> RunRecord:
    """A run that is done after so many seconds of the clock, half of them of the processor."""
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    times = {"started_at": begun.isoformat(), "finished_at": (begun + timedelta(seconds=seconds)).isoformat()}
    return entered(lab, title, status="done", **{"attempt": 1, "train_s": seconds / 2, **times, **more})  # type: ignore[arg-type]


def told(lab: Workspace) -> str:
    runs = list_runs(lab)
    names = runs.loc[runs["study"] == STUDY, "run_id"].tolist()
    return sentence(study_progress(lab, runs, edit.look_at(lab, runs), names, STUDY))


def test_the_time_left_comes_from_what_such_runs_took(lab: Workspace) -> None:
    """Two took 100 and 200 s: 150 each. One is half done: 75 s. Three wait for two slots: 150; 75 + 150; 150 + 150."""
    set_slots(lab, 2)
    took(lab, "A", 100)
    took(lab, "B", 200)
    entered(lab, "C", status="running", beat={"progress": 0.5, "eta_s": 3.0})
    for title in "DEF":
        entered(lab, title)
    assert told(lab) == "2 of 6 done, about 5 min 00 s left (from the 2 done)"
    runs = list_runs(lab)
    assert study_progress(lab, runs, edit.look_at(lab, runs)).share == pytest.approx(2.5 / 6)
    assert sentence(progress(lab, STUDY)) == sentence(progress(lab)) == told(lab)


def test_of_a_resumed_run_the_processor_time_counts(lab: Workspace) -> None:
    """Its clock began anew with the last attempt."""
    set_slots(lab, 1)
    took(lab, "A", 10, attempt=2, train_s=60.0)
    entered(lab, "B")
    assert told(lab) == "1 of 2 done, about 1 min 00 s left (from the one done)"


def test_what_was_never_measured_is_not_known(lab: Workspace) -> None:
    """A first run knows its own pace; a run of a kind that nobody has seen makes the whole unknown."""
    set_slots(lab, 1)
    entered(lab, "A", status="running", beat={"progress": 0.25, "eta_s": 40.0})
    assert told(lab) == "0 of 1 done, about 40 s left (from the pace of the current runs)"
    entered(lab, "B")  # of the same kind: 40 s are three quarters, so it takes 53 s
    assert told(lab) == "0 of 2 done, about 1 min 33 s left (from the pace of the current runs)"
    entered(lab, "C", role="adaptor")
    assert told(lab) == "0 of 3 done, time left not known yet"


def test_before_anything_worked_the_probe_tells(lab: Workspace) -> None:
    """The launch page's measurement of a real study's steps: each run of it is known, the sum is the schedule's."""
    set_slots(lab, 1)
    plan = expand(load_preset("tiny"), "tiny", lab)
    kinds = {key: {"step_s": 2.0, "embed_s": 0.0, "flops": 0.0} for key in _keys(lab, plan).values()}
    write_json(_probe_file(lab, plan), {"start_s": 1.0, "render_s": 0.5, "timed": True, "kinds": kinds})
    write_study(lab, plan)
    for run in plan.runs:
        create_run(lab, run.record)
        write_status(run.record.folder, "queued", reason="")
    steps, images = sum(run.steps for run in plan.runs), 2 * (12 * 6 + 6 * 5 + 10 * 5 + 2 * 6)
    runs = list_runs(lab)
    found = study_progress(lab, runs, edit.look_at(lab, runs), runs["run_id"].tolist(), plan.study_id)
    assert found.left_s == pytest.approx(len(plan.runs) * 1.0 + images * 0.5 + steps * 2.0)
    assert "(from a short probe of this machine)" in sentence(found)


def test_a_larger_network_is_another_kind_while_it_is_known(lab: Workspace) -> None:
    set_slots(lab, 1)
    took(lab, "Small", 10)
    took(lab, "Large", 100, backbone="iresnet50")
    entered(lab, "Next", backbone="iresnet50")
    assert told(lab) == "2 of 3 done, about 1 min 40 s left (from the 2 done)"
    entered(lab, "Other", backbone="iresnet18")  # nearest: what its role and method took, 55 s
    assert told(lab) == "2 of 4 done, about 2 min 35 s left (from the 2 done)"


def test_what_cannot_start_is_counted_apart_and_not_waited_for(lab: Workspace) -> None:
    """One is held, one waits for it, one for a failure."""
    set_slots(lab, 1)
    took(lab, "A", 30)
    failed = entered(lab, "B", status="failed")
    entered(lab, "C", (failed.run_id,))
    held = entered(lab, "D")
    entered(lab, "E", (held.run_id,))
    entered(lab, "Works", status="running", beat={"progress": 0.0})
    edit.hold(lab, [held.run_id])
    assert told(lab) == "1 of 6 done, 1 failed, 1 held, 2 blocked, about 30 s left (from the one done)"


def test_other_studies_keep_their_slots(lab: Workspace) -> None:
    """The only slot is another's for 50 s more."""
    set_slots(lab, 1)
    took(lab, "A", 30)
    other = entered(lab, "Other", status="running", beat={"progress": 0.5, "eta_s": 50.0})
    entered(lab, "B")
    path = other.folder / "run.json"
    path.write_text(path.read_text().replace(f'"study": "{STUDY}"', '"study": "another"'))
    assert told(lab) == "1 of 2 done, about 1 min 20 s left (from the one done)"
