"""What becomes of a job, and what is said of it: a real Slurm, and scripts that carry out the runs instead of FairLab."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fairlab import __version__
from fairlab.errors import Refused
from fairlab.jobs import on_cluster, worker
from fairlab.queue import launch
from fairlab.queue.engines import slurm, slurm_commands, slurm_words
from fairlab.queue.engines.slurm_script import job_script
from fairlab.settings.placement import Placement
from fairlab.settings.user import set_user_settings
from fairlab.storage import doctor
from fairlab.store.count_parts import CountParts, counts_folder
from fairlab.store.embedding_parts import EmbeddingParts
from fairlab.store.queue import read_turn, write_turn
from fairlab.store.remote import ENDED, RUNNING, WAITING, forget_job, read_job
from fairlab.store.runs import state
from fairlab.workspace import Workspace, open_workspace
from tests.slurm_cluster import Cluster, running, until
from tests.slurm_runs import DONE, HOSTILE, ask_often, jobs, log, on_slurm, quick, seen, stand_in

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    yield from running()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_often(monkeypatch)


def test_two_processes_on_two_nodes_know_their_numbers_and_meet(
    lab: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    """Rank 0 listens where the variables say, rank 1 calls there from the other node."""
    (tmp_path / "meet.py").write_text(
        "import os, socket\n"
        "rank, at = int(os.environ['RANK']), (os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT']))\n"
        "print('I am', *(os.environ[n] for n in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'SLURMD_NODENAME')), flush=True)\n"
        "if rank == 0:\n"
        "    with socket.create_server(at) as server: print('heard', server.accept()[0].recv(9).decode())\n"
        "else:\n"
        "    import time\n"
        "    for _ in range(100):\n"
        "        try: socket.create_connection(at).sendall(b'rank 1'); break\n"
        "        except OSError: time.sleep(0.1)\n"
    )
    python = stand_in(tmp_path, f'{sys.executable} {tmp_path}/meet.py && {{ [ "$RANK" = 1 ] || {{ {DONE}; }}; }}')
    both = quick(lab, "both", on_slurm(nodes=2, python=python).model_copy(update={"devices": 2}))
    alone = quick(lab, "alone", on_slurm(python=stand_in(lab.home, f'echo "rank:${{RANK-none}}"; {DONE}')))
    seen(lab, both.folder, "done")
    seen(lab, alone.folder, "done")
    said = log(both.folder)
    assert {"I am 0 2 0 n1", "I am 1 2 0 n2", "heard rank 1"} <= set(said.splitlines()), said
    assert "rank:none" in log(alone.folder)


def test_a_hostile_path_reaches_the_node_as_it_is(cluster: Cluster, tmp_path: Path) -> None:
    lab = open_workspace(tmp_path / HOSTILE)
    run = quick(lab, "a.run-with_all.1", on_slurm(python=stand_in(tmp_path, f'printf "[%s]" "$@"; {DONE}')))
    seen(lab, run.folder, "done")
    until(lambda: log(run.folder) != "")  # it may be written after the run has said that it is done
    assert log(run.folder) == f"[-m][fairlab][--home][{lab.home}][work][{run.run_id}]"
    assert not [path for place in (tmp_path, Path.cwd()) for path in place.rglob("gone")]


def test_what_cannot_be_handed_over_fails_alone_with_a_sentence(
    lab: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    """Each in the words of whoever refused it; the run beside them is not held up."""
    python = stand_in(tmp_path, DONE)
    wrong = {
        "partition": ({"partition": "nowhere"}, "no partition 'nowhere'; it has: main, spare"),
        "time": ({"time_limit": "soon"}, "Slurm refused the job: Invalid --time specification"),
        "memory": ({"memory_gb": 1e6}, "Memory specification can not be satisfied"),
        "gpu": ({"gpu": "gpu:1"}, "Invalid generic resource"),
        "quoted": ({"partition": "main #SBATCH --uid=1"}, "slurm.partition: 'main"),
        "spread": ({"nodes": 2}, "cannot be spread evenly over 2 nodes"),
    }
    runs = {name: quick(lab, name, on_slurm(python=python, **settings)) for name, (settings, _) in wrong.items()}
    good = quick(lab, "zz-good", on_slurm(python=python))
    assert launch.dispatch(lab) == ["zz-good"]
    for name, (_, words) in wrong.items():
        view = state(runs[name].folder)
        assert view.status == "failed"
        assert words in view.reason
        assert "\n" not in view.reason.replace(repr("\n"), "")
    seen(lab, good.folder, "done")
    write_turn(runs["partition"].folder, read_turn(good.folder))
    launch.resume(lab, "partition")
    seen(lab, runs["partition"].folder, "done")


def test_only_networks_on_images_ask_for_a_gpu(lab: Workspace) -> None:
    """Slurm counts them for a node, the setting for a process. Memory is in GB, Slurm's M are MiB."""
    placement = on_slurm(gpu="gpu:a100:1", nodes=2, memory_gb=8).model_copy(update={"devices": 8})
    for role, asks in {"teacher": 1, "student": 1, "embedding": 1, "adaptor": 0, "evaluation": 0, "dataset": 0}.items():
        script = job_script(lab, quick(lab, role, placement, role=role), placement)
        assert script.count("#SBATCH --gres=gpu:a100:4\n") == script.count("--gres") == asks
        assert "#SBATCH --mem=7629M\n" in script


def test_no_slurm_on_this_machine_is_said(lab: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    run = quick(lab, "run", on_slurm())
    assert launch.dispatch(lab) == []
    assert "there is no sbatch on this machine" in state(run.folder).reason
    assert doctor.examine(lab, devices=False)["slurm"] == "no sbatch on this machine"
    launch.set_default_placement(lab, on_slurm())
    assert any("no sbatch" in problem for problem in doctor.examine(lab, devices=False)["problems"])


def test_slurm_without_a_cluster_is_said(lab: Workspace, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real commands, as a machine has them that got the packages and no slurm.conf; two runs, one problem."""
    monkeypatch.delenv("SLURM_CONF")
    if Path("/etc/slurm/slurm.conf").exists():
        pytest.skip("this machine belongs to a cluster")
    runs = [quick(lab, name, on_slurm(partition="main")) for name in ("one", "two")]
    assert launch.dispatch(lab) == []
    for run in runs:
        said = state(run.folder).reason
        assert said.startswith("sbatch on this machine belongs to no cluster: it finds no slurm.conf"), said
    problems = doctor.examine(lab, devices=False)["problems"]
    assert [problem.split(" failed:")[0] for problem in problems] == ["runs one, two"]


def test_the_doctor_knows_the_cluster(lab: Workspace, cluster: Cluster) -> None:
    version = subprocess.run(["sbatch", "--version"], capture_output=True, text=True).stdout.split()[-1]
    assert doctor.examine(lab, devices=False)["slurm"] == f"{version}, partitions main, spare"


def test_how_a_job_ended_is_said(lab: Workspace, cluster: Cluster, tmp_path: Path) -> None:
    """A program that is not on the node, a run whose lock another has, one that dies."""
    no_python = quick(lab, "no-python", on_slurm())
    set_user_settings({"slurm.python": str(tmp_path / "nothing here")})
    launch.dispatch(lab)
    locked = quick(lab, "locked", on_slurm(python=stand_in(lab.home, f"exit {worker.ALREADY}")))
    dies = quick(lab, "dies", on_slurm(python=stand_in(tmp_path, "echo last words; kill -SEGV $$")))
    assert "has no Python" in seen(lab, no_python.folder, "crashed")
    assert f"has no program {tmp_path}/nothing here" in log(no_python.folder)
    assert "another process still has the run" in seen(lab, locked.folder, "crashed")
    assert "without a message from the run; see its log" in seen(lab, dies.folder, "crashed")
    assert "last words" in log(dies.folder)
    assert launch.dispatch(lab) == [], "a run that crashed is started again by itself"


def test_a_node_without_the_shared_folder_is_said(lab: Workspace, cluster: Cluster, tmp_path: Path) -> None:
    """The first node of a job writes the log; of another the job itself says what is missing."""
    cluster.kill_node("n2")
    cluster.start_node("n2", without=lab.home)
    try:
        cluster.until_up("n2")
        python = stand_in(tmp_path, "sleep 3")
        blind = quick(lab, "blind", on_slurm(python=python))
        set_user_settings({"slurm.options": ["--nodelist=n2"]})
        launch.dispatch(lab)
        set_user_settings({"slurm.options": []})
        half = quick(lab, "half", on_slurm(python=python, nodes=2).model_copy(update={"devices": 2}))
        for run in (blind, half):
            assert "must be a shared folder, under the same path on every node" in seen(lab, run.folder, "crashed")
        assert f"does not see the folder {half.folder}" in log(half.folder)
    finally:
        cluster.kill_node("n2")
        cluster.start_node("n2")
        cluster.until_up("n2")


def test_children_wait_in_slurm_and_come_back_when_they_wait_in_vain(
    lab: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    """A parent fails: its child is taken out of Slurm's queue and waits in ours, as it would without a cluster."""
    parent = quick(lab, "a-parent", on_slurm(python=stand_in(lab.home, "until [ -e go ]; do sleep 0.1; done; exit 1")))
    child = quick(lab, "b-child", on_slurm(python=stand_in(tmp_path, DONE)), parent)
    assert launch.dispatch(lab) == ["a-parent", "b-child"]
    assert "until its parents' jobs are done (Dependency)" in seen(lab, child.folder, "queued", saying="Dependency")
    with pytest.raises(Refused, match="stop it before you delete it"):
        launch.delete(lab, "b-child")
    (parent.folder / "go").touch()
    assert (
        seen(lab, child.folder, "queued", saying="resume it first")
        == "waits for a-parent, which is crashed: resume it first"
    )
    assert read_job(child.folder) is None
    until(lambda: not jobs(cluster))
    (parent.folder / "status.json").write_text('{"status": "done", "reason": ""}')
    seen(lab, child.folder, "done")


def test_a_waiting_job_is_stopped_without_having_begun(lab: Workspace, cluster: Cluster, tmp_path: Path) -> None:
    cluster.ask("scontrol", "update", "partitionname=spare", "state=down")
    try:
        run = quick(lab, "run", on_slurm(partition="spare", python=stand_in(tmp_path, DONE)))
        assert "its partition accepts no jobs now (PartitionDown)" in seen(
            lab, run.folder, "queued", saying="Partition"
        )
        launch.stop(lab, "run")
        assert state(run.folder).status == "stopped"
        assert jobs(cluster) == []
        launch.resume(lab, "run")
    finally:
        cluster.ask("scontrol", "update", "partitionname=spare", "state=up")
    seen(lab, run.folder, "done")


def test_no_run_is_handed_over_twice(lab: Workspace, cluster: Cluster, tmp_path: Path) -> None:
    """Not by two looks, and not when an app died between sbatch and its note of the job's number."""
    run = quick(lab, "run", on_slurm(python=stand_in(tmp_path, f"sleep 4; {DONE}")))
    assert launch.dispatch(lab) == ["run"]
    assert launch.dispatch(lab) == []
    job = read_job(run.folder)
    forget_job(run.folder)
    (run.folder / "handing-over").touch()
    launch.dispatch(lab)
    again = read_job(run.folder)
    assert job is not None
    assert again is not None
    assert again.job == job.job
    assert jobs(cluster) == [job.job]
    seen(lab, run.folder, "done")


def test_a_damaged_note_of_the_job_hands_nothing_over_twice(lab: Workspace, cluster: Cluster, tmp_path: Path) -> None:
    run = quick(lab, "run", on_slurm(python=stand_in(tmp_path, f"sleep 1; {DONE}")))
    assert launch.dispatch(lab) == ["run"]
    (job,) = jobs(cluster)
    (run.folder / "job.json").write_text("{")
    launch.dispatch(lab)
    assert jobs(cluster) == [job]
    seen(lab, run.folder, "done")


def test_a_stopped_study_stays_stopped(lab: Workspace, cluster: Cluster, tmp_path: Path) -> None:
    """Parent and child at once: the child must not come back to the queue with the wish to stop still on it."""
    python = stand_in(tmp_path, "exec sleep 60")
    parent = quick(lab, "parent", on_slurm(python=python))
    child = quick(lab, "child", on_slurm(python=python), parent)
    seen(lab, parent.folder, "running")
    assert len(jobs(cluster)) == 2
    launch.stop_all(lab, ["parent", "child"], force=True)
    for run in (parent, child):
        assert "stopped by the user" in seen(lab, run.folder, "stopped")
        assert not (run.folder / "stop").exists()
    until(lambda: jobs(cluster) == [])
    launch.dispatch(lab)
    assert [state(run.folder).status for run in (parent, child)] == ["stopped", "stopped"]


def test_slurm_that_does_not_answer_changes_nothing(lab: Workspace, cluster: Cluster, tmp_path: Path) -> None:
    """A run goes on, one that waits to be handed over waits; both say why, and go on when it answers."""
    at_work = quick(
        lab, "at-work", on_slurm(python=stand_in(lab.home, "touch begun; until [ -e go ]; do sleep 0.1; done; " + DONE))
    )
    seen(lab, at_work.folder, "running")
    until((at_work.folder / "begun").exists)
    waits = quick(lab, "waits", on_slurm(python=stand_in(tmp_path, DONE)))
    cluster.stop_controller()
    try:
        assert launch.dispatch(lab) == []
        assert "it was running" in seen(lab, at_work.folder, "running", saying="Slurm does not answer")
        assert state(waits.folder).status == "queued"
        assert "Slurm accepts no jobs now" in state(waits.folder).reason
    finally:
        cluster.start_controller()
    slurm._next_question.clear()
    launch.dispatch(lab)
    assert (state(at_work.folder).status, state(at_work.folder).reason) == ("running", "")
    (at_work.folder / "go").touch()
    seen(lab, at_work.folder, "done")
    seen(lab, waits.folder, "done")


def test_slurm_is_asked_once_for_all_and_not_more_often_than_set(
    lab: Workspace, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "EVERY_S", 30.0)
    python = stand_in(tmp_path, f"sleep 1; {DONE}")
    runs = [quick(lab, f"run-{number}", on_slurm(python=python)) for number in range(3)]
    started = time.monotonic()
    launch.dispatch(lab)
    print(f"handed over in {(time.monotonic() - started) / 3:.3f} s each")
    asked: list[tuple[str, ...]] = []
    call = slurm_commands.call

    def counted(commands: tuple[str, ...], *words: str) -> str:
        asked.append(words)
        return call(commands, *words)

    monkeypatch.setattr(slurm, "call", counted)
    slurm._next_question.clear()
    for _ in range(5):
        launch.dispatch(lab)
    assert [words[0] for words in asked] == ["squeue"]
    monkeypatch.setattr(slurm, "EVERY_S", 0.2)
    slurm._next_question.clear()
    for run in runs:
        seen(lab, run.folder, "done")


def test_a_command_before_slurms_own_is_honoured_and_ssh_gets_its_words_quoted(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ssh hands one line to a shell over there: this one does that here."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "ssh").write_text('#!/bin/bash\nshift\necho "$1" >> "$(dirname "$0")/asked"\nexec bash -c "$*"\n')
    (tools / "ssh").chmod(0o755)
    lab = open_workspace(tmp_path / HOSTILE)
    set_user_settings({"slurm.commands": [str(tools / "ssh"), "login1"]})
    run = quick(lab, "run", on_slurm(python=stand_in(tmp_path, DONE)))
    seen(lab, run.folder, "done")
    assert (tools / "asked").read_text().split()[0] == "sbatch"
    assert not list(tmp_path.rglob("gone"))


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"slurm.options": ["/etc/passwd"]}, "is not an option of sbatch: write --name=value"),
        ({"slurm.commands": ["no-such-program", "login1"]}, "there is no no-such-program on this machine"),
    ],
)
def test_a_wrong_setting_of_the_user_is_said(lab: Workspace, own: dict[str, list[str]], words: str) -> None:
    set_user_settings(own)
    run = quick(lab, "run", on_slurm())
    assert launch.dispatch(lab) == []
    assert words in state(run.folder).reason


def test_a_node_with_another_fairlab_refuses(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run = quick(lab, "run", on_slurm())
    monkeypatch.setenv("FAIRLAB_ENGINE", "slurm")
    monkeypatch.setenv("FAIRLAB_VERSION", "0.0.1")
    assert worker.work(lab, "run") == 1
    view = state(run.folder)
    assert view.status == "failed"
    assert f"has FairLab {__version__}" in view.reason
    assert "queued by FairLab 0.0.1" in view.reason


def test_a_node_does_not_begin_before_the_parents_are_done(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """And starts nothing itself, whatever it sees in the queue."""
    parent = quick(lab, "parent", on_slurm())
    quick(lab, "child", on_slurm(), parent)
    other = quick(lab, "other", Placement())
    monkeypatch.setenv("FAIRLAB_ENGINE", "slurm")
    monkeypatch.setattr(on_cluster, "SEEN_S", 0.0)
    assert worker.work(lab, "child") == 1
    assert state(lab.run("child")).reason == "parent, which it builds on, is queued, not done: resume it first"
    assert state(other.folder).status == "queued"
    assert not (other.folder / "process.json").exists()


def test_what_makes_a_run_leave_its_node_decides_what_follows(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's wish ends it. A time limit without anything saved would repeat itself for ever: that fails."""
    run = quick(lab, "run", on_slurm())
    usr1, term, interrupt = 10, 15, 2  # signal(7)
    assert on_cluster.why_left(run, term, False)[0] == "stopped", "not on a cluster"
    monkeypatch.setenv("FAIRLAB_ENGINE", "slurm")
    assert on_cluster.why_left(run, interrupt, False)[0] == "stopped"
    assert on_cluster.why_left(run, term, False)[0] == "queued"
    assert on_cluster.why_left(run, usr1, False)[0] == "failed"
    assert on_cluster.why_left(run, usr1, True)[0] == "queued"
    (run.folder / "stop").touch()
    assert on_cluster.why_left(run, term, False)[0] == "stopped"


def test_what_a_job_kept_is_seen_wherever_it_lies(lab: Workspace) -> None:
    """By the writers themselves: a checkpoint's folder, a part of an embedding of another model, more of a count."""
    model = quick(lab, "model", on_slurm())
    run = quick(lab, "embedding", on_slurm(), model, role="embedding")
    seen_so_far = [on_cluster.saved(lab, run)]
    (run.folder / "checkpoints" / "step-0000005").mkdir(parents=True)
    parts = EmbeddingParts(model.folder, "faces", "plain", np.arange(4), 2, {})
    parts.prepare()
    counts = CountParts(counts_folder(model.folder, "faces", "all"), "key")
    for save in (
        lambda: parts.save(0, np.eye(2, dtype=np.float32), np.ones(2, np.float32)),
        lambda: counts.save("pass", "", [0], {"sum": np.ones(1)}),
        lambda: counts.save("pass", "", [0, 1], {"sum": np.ones(1)}),
        lambda: parts.save(1, np.eye(2, dtype=np.float32), np.ones(2, np.float32)),
        lambda: parts.merge({}),
    ):
        seen_so_far.append(on_cluster.saved(lab, run))
        save()
    seen_so_far.append(on_cluster.saved(lab, run))
    assert len(seen_so_far) == 7
    assert all(after - before for before, after in pairwise(seen_so_far))


@pytest.mark.parametrize(
    ("state_", "facts", "words"),
    [
        ("TIMEOUT", "ExitCode=0:15 TimeLimit=1-00:00:00", "its time limit in Slurm (1-00:00:00) was reached"),
        ("OUT_OF_MEMORY", "ExitCode=0:125 NodeList=n7", "on n7 because it ran out of memory: raise slurm.memory_gb"),
        ("NODE_FAIL", "NodeList=n7 ExitCode=1:0", "n7 failed; resume it"),
        ("FAILED", "ExitCode=0:53 NodeList=n7", "n7 cannot write the run's folder"),
        ("FAILED", "ExitCode=2:0 NodeList=n7 ", "ended on n7 (FAILED, code 2)"),
        ("PREEMPTED", "", "it was preempted"),
        ("", "", "Slurm no longer knows job 12"),
    ],
)
def test_states_are_said_in_words(state_: str, facts: str, words: str) -> None:
    """As Slurm's manual names the states; the line is scontrol's."""
    assert words in slurm_words.ended("12", state_, facts)


def test_a_state_means_waiting_running_or_ended() -> None:
    for stand, states in {
        WAITING: "PENDING CONFIGURING REQUEUED REQUEUE_HOLD",
        RUNNING: "RUNNING COMPLETING SUSPENDED",
        ENDED: "COMPLETED FAILED TIMEOUT CANCELLED NODE_FAIL OUT_OF_MEMORY PREEMPTED BOOT_FAIL DEADLINE",
    }.items():
        assert {slurm_words.stand(state) for state in states.split()} == {stand}


def test_a_last_word_that_is_still_on_its_way_is_waited_for(
    lab: Workspace, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a network file system a job's end can be known before what it wrote last."""
    run = quick(lab, "run", on_slurm(python=stand_in(tmp_path, "true")))
    assert "has not arrived in the shared folder yet" in seen(lab, run.folder, "running", saying="has not arrived")
    monkeypatch.setattr(slurm, "LAG_S", 0.0)
    assert "(COMPLETED, code 0)" in seen(lab, run.folder, "crashed")
