"""Whose turn it is, and what a person changes about it: in Python, by the command line, by two at once."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from filelock import FileLock, Timeout

from fairlab.errors import FairLabError, Refused
from fairlab.machine import gpus
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.queue import edit, launch
from fairlab.queue.engines.local import LocalEngine
from fairlab.queue.turns import Queue
from fairlab.settings.placement import Placement
from fairlab.store import remote
from fairlab.store.queue import Turn, read_turn, write_turn
from fairlab.store.runs import (
    RunRecord,
    live_process,
    read_run,
    read_status,
    state,
    write_status,
)
from fairlab.store.studies import read_study
from fairlab.workspace import Workspace, set_slots
from tests.conftest import command
from tests.waiting import STUDY, entered, order, waits


@pytest.fixture
def busy(lab: Workspace) -> Workspace:
    """One slot, taken; four runs wait in the order of their names, the fourth for the first."""
    set_slots(lab, 1)
    entered(lab, "Works", status="running")
    first = entered(lab, "A")
    for title in "BC":
        entered(lab, title)
    entered(lab, "D", (first.run_id,))
    return lab


def run_id(lab: Workspace, title: str) -> str:
    return next(
        path.parent.name
        for path in lab.runs_folder.glob("*/run.json")
        if read_run(lab, path.parent.name).title == title
    )


def ids(lab: Workspace, titles: str) -> list[str]:
    return [run_id(lab, title) for title in titles]


@pytest.mark.parametrize(
    ("verb", "moved", "expected"),
    [
        ("first", "C", "CABD"),
        ("first", "CB", "BCAD"),
        ("first", "D", "ADBC"),  # what it builds on comes along
        ("earlier", "C", "ACBD"),
        ("earlier", "A", "ABCD"),
        ("earlier", "BC", "BCAD"),
        ("earlier", "AB", "ABCD"),
        ("later", "A", "BACD"),
        ("later", "AB", "CABD"),
        ("later", "D", "ABCD"),
    ],
)
def test_runs_are_moved(busy: Workspace, verb: str, moved: str, expected: str) -> None:
    """By one place or to the top; what is queued afterwards still comes last, and moving back is as before."""
    assert order(busy) == list("ABCD")
    getattr(edit, verb)(busy, ids(busy, moved))
    assert order(busy) == list(expected)
    entered(busy, "E")
    assert order(busy) == [*expected, "E"]


def test_a_freed_slot_goes_to_who_was_moved_to_the_top(busy: Workspace, told: list[str]) -> None:
    edit.first(busy, ids(busy, "C"))
    assert told == []
    launch.stop(busy, run_id(busy, "B"))
    write_status(busy.run(run_id(busy, "Works")), "done", reason="")
    launch.dispatch(busy)
    assert told == ["C"]


def test_a_held_run_is_passed_over_until_it_is_released(busy: Workspace, told: list[str]) -> None:
    """It stays queued and says so; whoever waits for it is not waited for either."""
    set_slots(busy, 4)
    edit.hold(busy, ids(busy, "AB"))
    assert told == ["C"]
    assert (state(busy.run(run_id(busy, "A"))).status, state(busy.run(run_id(busy, "A"))).reason) == (
        "queued",
        "held: release it to let it start",
    )
    assert waits(busy) == {"A": "held", "B": "held", "D": "parents"}
    edit.release(busy, ids(busy, "A"))
    assert told == ["C", "A"]
    assert read_turn(busy.run(run_id(busy, "B"))).held


def test_what_does_not_wait_is_not_moved(busy: Workspace) -> None:
    """A sentence says why, and nothing has changed."""
    done = entered(busy, "Old", status="done")
    there = entered(busy, "There")
    remote.write_job(there.folder, remote.Job("cluster", "7"))
    for name, why in (
        (run_id(busy, "Works"), "it is running"),
        (done.run_id, "it is done"),
        (there.run_id, "in the queue of cluster"),
    ):
        for verb in (edit.first, edit.hold):
            with pytest.raises(Refused, match=why):
                verb(busy, [*ids(busy, "C"), name])
    assert order(busy) == list("ABCD")
    with pytest.raises(FairLabError, match="there is no run 'nobody'"):
        edit.later(busy, ["nobody"])


def test_everything_that_waits_says_for_what(busy: Workspace) -> None:
    """A slot, its parents, a parent that ended badly, a parent that is gone, a hand that holds it, another queue."""
    failed = entered(busy, "Failed", status="failed")
    entered(busy, "E", (failed.run_id,))
    entered(busy, "F", ("deleted-run",))
    there = entered(busy, "G").folder
    write_turn(there, Turn(placement=Placement(engine="cluster")))
    remote.write_job(there, remote.Job("cluster", "7"))
    write_turn(entered(busy, "H").folder, Turn(placement=Placement(engine="moon")))
    edit.hold(busy, ids(busy, "B"))
    assert state(there).reason.startswith(
        "its queue cannot be asked: there is no engine 'cluster'"
    )  # nothing else stops
    remote.write_job(there, remote.Job("cluster", "7", reason="Priority"))
    table = edit.queue_table(busy).set_index("title")["waits_for"]
    assert table["A"] == "waits for a free slot (1 of 1 taken)"
    assert table["B"] == "held: release it to let it start"
    assert table["D"] == "waits for A"
    assert table["E"] == "waits for Failed, which is failed: resume it first"
    assert table["F"] == "waits for deleted-run, whose folder is missing: launch its study again"
    assert table["G"] == "Priority"
    assert table["H"] == "cannot start: there is no engine 'moon'; choose one of: " + ", ".join(launch.ENGINES.names())
    assert table["Works"] == ""


def test_nobody_overtakes_a_run_that_needs_several_slots(lab: Workspace, told: list[str]) -> None:
    """Or it would never start while small ones come; alone on an idle machine it starts even if it needs more."""
    set_slots(lab, 2)
    one = entered(lab, "One", status="running")
    entered(lab, "Two at once", devices=2)
    entered(lab, "Small")
    assert launch.dispatch(lab) == []
    write_status(one.folder, "done", reason="")
    launch.dispatch(lab)
    assert told == ["Two at once"]
    write_status(lab.run(run_id(lab, "Two at once")), "done", reason="")
    entered(lab, "Three at once", devices=3)
    edit.first(lab, ids(lab, ["Three at once"]))  # type: ignore[arg-type]
    assert told == ["Two at once", "Three at once"]


def test_a_run_that_cannot_be_read_hinders_no_other(lab: Workspace, told: list[str]) -> None:
    """A damaged place, record or status is its own run's trouble."""
    (entered(lab, "A").folder / "queue.json").write_text('{"position": "x"}')
    (entered(lab, "B").folder / "status.json").write_text("{")
    entered(lab, "C")
    assert launch.dispatch(lab)
    assert told == ["C"]


def test_a_refused_start_is_told_on_its_run(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine says no: that run failed, with the engine's sentence, and can be resumed; the next one is tried."""

    def refuse(_engine: LocalEngine, _workspace: Workspace, record: RunRecord, _placement: Placement) -> None:
        raise FairLabError(f"no room in the inn for {record.title}")

    monkeypatch.setattr(LocalEngine, "submit", refuse)
    folders = [entered(lab, title).folder for title in "AB"]
    assert launch.dispatch(lab) == []
    assert [(state(folder).status, state(folder).reason) for folder in folders] == [
        ("failed", f"no room in the inn for {title}") for title in "AB"
    ]


def test_a_study_is_stopped_and_tried_again_as_a_whole(busy: Workspace, told: list[str]) -> None:
    """No freed slot is given to another of its runs meanwhile; what is done stays done."""
    entered(busy, "Old", status="done")
    entered(busy, "Bad", status="failed")
    assert sorted(edit.stop_study(busy, STUDY)) == sorted(ids(busy, ["Works", *"ABCD"]))  # type: ignore[arg-type]
    assert (busy.run(run_id(busy, "Works")) / "stop").exists()
    assert {state(busy.run(name)).status for name in ids(busy, "ABCD")} == {"stopped"}
    write_status(busy.run(run_id(busy, "Works")), "stopped", reason="stopped by the user")
    set_slots(busy, 2)
    assert len(edit.resume_study(busy, STUDY)) == 6
    assert told == ["Works", "A"]
    assert state(busy.run(run_id(busy, "Old"))).status == "done"
    with pytest.raises(FairLabError, match="there is no study 'nothing'"):
        edit.stop_study(busy, "nothing")


def test_while_a_study_is_stopped_nothing_is_started(busy: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a run of it would take the slot of one just stopped."""
    tried: list[bool] = []
    submitted = launch.submitted

    def meanwhile(workspace: Workspace, name: str) -> remote.Job | None:
        try:
            FileLock(workspace.home / "dispatch.lock", timeout=0).acquire()
            tried.append(True)
        except Timeout:
            tried.append(False)
        return submitted(workspace, name)

    monkeypatch.setattr(launch, "submitted", meanwhile)
    edit.stop_study(busy, STUDY)
    assert tried == [False] * 4


def test_a_clone_is_the_same_run_with_other_settings(busy: Workspace) -> None:
    """Same parents and study, an id of its own; the study lists it."""
    source = read_run(busy, run_id(busy, "D"))
    name, new = edit.clone(busy, source.run_id, {"training.epochs": 5})
    made = read_run(busy, name)
    assert new
    assert (made.parents, made.study, made.title) == (source.parents, STUDY, "D, epochs 5")
    assert made.config == source.config.model_copy(
        update={"training": source.config.training.model_copy(update={"epochs": 5})}
    )  # type: ignore[union-attr]
    assert order(busy)[-1] == "D, epochs 5"
    assert read_study(busy, STUDY).run_ids[-1] == name
    seeded, _ = edit.clone(busy, source.run_id, {"seed": 3})
    assert (read_run(busy, seeded).title, read_run(busy, seeded).seed) == ("D", 3)  # a further seed of the same model


def test_a_study_that_is_launched_again_keeps_its_clones(lab: Workspace, told: list[str]) -> None:
    plan = expand(load_preset("tiny"), "tiny", lab)
    launch.start(lab, plan)
    student = next(run.record.run_id for run in plan.runs if run.record.role == "student")
    name, _ = edit.clone(lab, student, {"training.epochs": 5})
    launch.start(lab, plan)
    assert read_study(lab, plan.study_id).run_ids == (*(run.record.run_id for run in plan.runs), name)
    assert told == ["Demo faces"]


def test_a_clone_with_the_same_settings_is_the_run_itself(busy: Workspace) -> None:
    source = run_id(busy, "A")
    before = sorted(path.name for path in busy.runs_folder.iterdir())
    assert edit.clone(busy, source, {}) == (source, False)
    assert edit.clone(busy, source, {"training.epochs": 2}) == (source, False)
    assert sorted(path.name for path in busy.runs_folder.iterdir()) == before
    cloned, _ = edit.clone(busy, source, {"training.epochs": 5})
    assert edit.clone(busy, source, {"training.epochs": 5}) == (cloned, False)
    assert edit.clone(busy, cloned, {"training.epochs": 2}) == (source, False)  # back again


def test_what_cannot_be_cloned_is_said(busy: Workspace) -> None:
    data = entered(busy, "Data", role="dataset", status="done")
    with pytest.raises(Refused, match="its role is dataset"):
        edit.clone(busy, data.run_id, {"seed": 2})
    for dial, said in (
        ("method", "keeps method"),
        ("data.dataset", "keeps data"),
        ("training.epoch", "there is no setting 'training.epoch'"),
        ("adaptor.name", "no group of settings 'adaptor' in a run"),
    ):
        with pytest.raises(FairLabError, match=said):
            edit.clone(busy, run_id(busy, "A"), {dial: "x"})


def test_ten_clones_at_once_are_one_run(busy: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A double click, two tabs, two apps: all have seen that there is none yet before the first makes it."""
    together, single = threading.Barrier(10), edit.single

    def slow(*arguments: object) -> RunRecord:
        together.wait(timeout=30)
        return single(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(edit, "single", slow)
    with ThreadPoolExecutor(10) as several:
        found = list(several.map(lambda _: edit.clone(busy, run_id(busy, "A"), {"training.epochs": 7}), range(10)))
    assert len({name for name, _ in found}) == 1
    assert sum(new for _, new in found) == 1
    assert list(read_study(busy, STUDY).run_ids).count(found[0][0]) == 1


def test_moving_and_holding_at_once_loses_neither(busy: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """One tab moves a run while another holds it; both write its place, each after it has looked for a while."""
    look_at = edit.look_at

    def slow(workspace: Workspace) -> Queue:
        found = look_at(workspace)
        time.sleep(0.1)
        return found

    monkeypatch.setattr(edit, "look_at", slow)
    for title in "DCB":  # each in turn to the top
        name = ids(busy, title)
        with ThreadPoolExecutor(2) as several:
            list(several.map(lambda change, name=name: change(busy, name), (edit.first, edit.hold)))  # type: ignore[misc]
    assert order(busy) == list("BCAD")
    assert [read_turn(busy.run(name)).held for name in ids(busy, "ABCD")] == [False, True, True, True]


def test_fifty_launches_start_no_more_than_there_are_slots(lab: Workspace, told: list[str]) -> None:
    """At once, from ten threads."""
    set_slots(lab, 3)
    source = entered(lab, "A", status="done")
    with ThreadPoolExecutor(10) as several:
        found = list(several.map(lambda seed: edit.clone(lab, source.run_id, {"seed": seed}), range(1, 51)))
    assert all(new for _, new in found)
    assert len(told) == 3
    assert len(order(lab)) == 47


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose nvidia-smi lists two GPUs."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\necho 'GPU 0: Some name (UUID: GPU-1)'\necho '  MIG 1g Device 0: (UUID: MIG-1)'\necho 'GPU 1: Some name (UUID: GPU-2)'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    for name in (gpus.GIVEN, gpus.SEEN):
        monkeypatch.delenv(name, raising=False)
    gpus._found.cache_clear()
    yield
    gpus._found.cache_clear()


@pytest.mark.usefixtures("two_gpus")
def test_each_run_gets_its_own_gpu(lab: Workspace) -> None:
    """As many slots as GPUs; who has which is read from the runs that live; a run of two processes gets two."""
    assert gpus.machine_gpus() == ("0", "1")
    assert lab.slots == 2
    records = [entered(lab, title) for title in "ABC"]
    both = entered(lab, "Both", devices=2)
    seen = []
    processes: list[psutil.Process] = []

    def begin(record: RunRecord) -> None:
        LocalEngine().submit(lab, record, read_turn(record.folder).placement)
        process = live_process(record.folder)
        assert process is not None
        processes.append(process)
        environment = process.environ()
        seen.append(environment["CUDA_VISIBLE_DEVICES"])
        assert environment["FAIRLAB_GPUS"] == "0,1"  # a worker starts the next run: it must know of all

    try:
        begin(records[0])
        begin(records[1])
        processes[0].kill()
        processes[0].wait()
        begin(records[2])
        begin(both)
    finally:
        for process in processes:
            process.kill() if process.is_running() else None
    assert seen == ["0", "1", "0", "0,1"]


def test_gpus_are_those_that_may_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """An allocation that shows two of eight: those two; for the next run all that the first could see."""
    monkeypatch.delenv(gpus.GIVEN, raising=False)
    monkeypatch.setenv(gpus.SEEN, "5,7")
    assert gpus.machine_gpus() == ("5", "7")
    monkeypatch.setenv(gpus.SEEN, "5")
    monkeypatch.setenv(gpus.GIVEN, "5,7")
    assert gpus.machine_gpus() == ("5", "7")
    monkeypatch.setenv(gpus.GIVEN, "-1")
    assert gpus.machine_gpus() == ()
    assert gpus.pick(("5", "7", "9"), ["5", "5", "7"], 2) == ("7", "9")
    assert gpus.pick(("5", "7"), ["5"], 3) == ("5", "7")
    assert gpus.environment((), ()) == {}


def test_the_command_line_orders_the_queue(busy: Workspace, told: list[str]) -> None:
    a, c = ids(busy, "AC")
    assert command(busy.home, "runs", "first", c).returncode == 0
    assert command(busy.home, "runs", "hold", a).returncode == 0
    shown = command(busy.home, "runs", "queue")
    assert "a-study: 0 of 5 done, 1 held, 1 blocked, time left not known yet" in shown.stdout
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert [line[1] for line in lines if line and line[0] in "1234" and "-s0-" in line[1]] == [c, a, *ids(busy, "BD")]
    rows = json.loads(command(busy.home, "runs", "queue", "--json").stdout)
    assert [row["place"] for row in rows] == [0, 1, 2, 3, 4]
    assert command(busy.home, "runs", "earlier", a).returncode == 0
    assert command(busy.home, "runs", "later", a).returncode == 0
    assert order(busy) == list("CABD")
    assert command(busy.home, "runs", "release", a).returncode == 0
    said = command(busy.home, "runs", "clone", a, "--set", "training.epochs=9")
    assert said.stdout.endswith(" is queued\n")
    again = command(busy.home, "runs", "clone", a, "--set", "training.epochs=9")
    assert "the same settings are the same run" in again.stdout
    assert command(busy.home, "studies", "stop", STUDY).stdout == "6 runs asked to stop\n"
    for _ in range(200):  # the process that sleeps ends without a word
        if state(busy.run(run_id(busy, "Works"))).status == "crashed":
            break
        time.sleep(0.05)
    assert told == []
    assert command(busy.home, "studies", "resume", STUDY).stdout == "6 runs queued again\n"
    assert told == ["C"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs", "hold"], "the following arguments are required: runs; see `fairlab runs hold --help`"),
        (["runs", "fly"], "there is no command 'fly'; see `fairlab runs --help`"),
        (["runs", "hodl"], "there is no command 'hodl'; did you mean 'hold'?"),
        (["runs", "hold", "a", "--study", "x"], "there is no option '--study'; see `fairlab runs hold --help`"),
        (["studies", "stop", "x"], "there is no study 'x'"),
        (["studies", "stop", "a", "b"], "'b' is one word too many; see `fairlab studies stop --help`"),
        (["runs", "stop", "a", "--set", "seed=3"], "there is no option '--set'"),
        (["runs", "where", "a"], "say where: --engine, --devices or --on"),
        (["launch", "tiny", "--engine", "moon"], "engine: there is no 'moon'; choose one of: "),
        (["launch", "tiny", "--devices", "0"], "give a whole number from 1 to 10000, not"),
        (["launch", "tiny", "--on", "slurm.party=gpu"], "there is no setting 'slurm.party'"),
        (["demo", "--on", "slurm"], "--on slurm: write SETTING=VALUE, e.g. slurm.partition=gpu"),
    ],
)
def test_wrong_calls_end_with_one_sentence(lab: Workspace, arguments: list[str], said: str) -> None:
    result = command(lab.home, *arguments)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert said in result.stderr
    assert not list(lab.runs_folder.iterdir())


def test_a_launch_takes_its_placement_along(lab: Workspace, told: list[str]) -> None:
    """--devices and --on beat the workspace's default, which holds for what they leave out."""
    launch.set_default_placement(lab, Placement(devices=2))
    assert command(lab.home, "launch", "tiny", "--no-wait", "--on", "slurm.partition=gpu").returncode == 0
    assert told == ["Demo faces"]
    found = {read_turn(path.parent).placement for path in lab.runs_folder.glob("*/queue.json")}
    assert [(item.devices, item.slurm.partition) for item in found] == [(2, "gpu")]
    with pytest.raises(FairLabError, match="there is no 'moon'"):
        launch.set_default_placement(lab, Placement(engine="moon"))
    assert read_status(next(lab.runs_folder.glob("demo-faces*")))["status"] == "running"


def test_where_a_run_works_is_changed_while_it_waits_or_before_it_goes_on(busy: Workspace, told: list[str]) -> None:
    """What it is stays the same; a run that works, or is done, stays where it is."""
    waiting, works = ids(busy, "A")[0], run_id(busy, "Works")
    assert command(busy.home, "runs", "where", waiting, "--devices", "3", "--on", "slurm.time_limit=60").returncode == 0
    placement = read_turn(busy.run(waiting)).placement
    assert (placement.engine, placement.devices, placement.slurm.time_limit) == ("local", 3, "60")
    bad = entered(busy, "Bad", status="failed", devices=2)
    assert command(busy.home, "runs", "resume", bad.run_id, "--devices", "1").returncode == 0
    assert (state(bad.folder).status, read_turn(bad.folder).placement.devices) == ("queued", 1)
    cloned, _ = edit.clone(busy, waiting, {"training.epochs": 9}, {"devices": 2})
    assert read_turn(busy.run(cloned)).placement == placement.model_copy(update={"devices": 2})
    for name, where, said in (
        (works, {"devices": 2}, "is running: stop it first"),
        (entered(busy, "Old", status="done").run_id, {"devices": 2}, "is already done"),
        (waiting, {"engine": "moon"}, "moon"),
        (waiting, {"devices": 0}, "devices"),
    ):
        with pytest.raises(FairLabError, match=said):
            edit.where(busy, [name], where)
    assert read_turn(busy.run(waiting)).placement == placement
    refused = command(busy.home, "runs", "stop", waiting, "--devices", "2")
    assert (refused.returncode, "there is no option '--devices'" in refused.stderr) == (2, True)
    assert told == []
