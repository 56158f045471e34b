"""The owner is told when a study ends, by a real server and a real program; a run never fails of it."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from fairlab import Lab
from fairlab.errors import FairLabError
from fairlab.files import make_folder, write_json
from fairlab.jobs import telling
from fairlab.jobs.loggers.base import set_loggers
from fairlab.jobs.telling import message, tell_of_run
from fairlab.plan.grid import plan_preset
from fairlab.queue.endings import endings
from fairlab.queue.launch import enqueue
from fairlab.settings.loggers import Loggers
from fairlab.settings.user import set_user_settings
from fairlab.store.queue import Turn
from fairlab.store.runs import create_run, write_status
from fairlab.workspace import Workspace
from tests.conftest import command, fairlab

Taken = list[dict[str, object]]


@pytest.fixture(autouse=True)
def _own_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FAIRLAB_CONFIG", str(tmp_path / "config"))


@pytest.fixture
def server() -> Iterator[tuple[str, Taken]]:
    """A server on this machine that takes messages; below /no it refuses, below /away it sends elsewhere."""
    taken: Taken = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            taken.append({"path": self.path, "type": self.headers["Content-Type"], **content})
            self.send_response(500 if self.path == "/no" else 307 if self.path == "/away" else 204)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    made = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}", taken
    made.shutdown()
    made.server_close()


@pytest.fixture
def study(lab: Workspace) -> list[str]:
    """The study "s", of three runs that are queued: its data, and two teachers. Returns their ids."""
    plan = plan_preset(lab, "tiny")
    records = [run.record for run in plan.runs][:3]
    for record in records:
        create_run(lab, record)
        enqueue(record.folder)
    names = [record.run_id for record in records]
    facts = {"study_id": "s", "title": "S", "preset": "tiny", "created_at": "", "run_ids": names}
    make_folder(lab.study("s"))
    write_json(lab.study("s") / "study.json", {**facts, "config": plan.study.model_dump(mode="json")})
    return names


def say(lab: Workspace, run_id: str, status: str, reason: str = "", attempt: int = 1) -> None:
    write_status(lab.run(run_id), status, reason, attempt=attempt)


def asked(lab: Workspace, **notify: object) -> None:
    set_loggers(lab, Loggers(notify=True))
    set_user_settings({f"notify.{name}": value for name, value in notify.items()})


def test_each_turn_of_a_study_is_told_once(lab: Workspace, study: list[str], server: tuple[str, Taken]) -> None:
    """A failure while others go on, the same failure after a resume, a wait for the user, the end; and each only once."""
    address, taken = server
    asked(lab, url=f"{address}/hook")
    one, two, three = study
    assert tell_of_run(lab, one) == []
    assert taken == []
    say(lab, two, "failed", "out of memory")
    for _ in range(2):
        assert tell_of_run(lab, two) == []
    assert [(item["path"], item["event"], item["going"]) for item in taken] == [("/hook", "study_failed", 2)]
    assert taken[0]["type"] == "application/json"
    assert "out of memory" in str(taken[0]["text"])
    say(lab, two, "failed", "out of memory", attempt=2)
    tell_of_run(lab, two)
    say(lab, two, "stopped", "paused: disk full: no room")
    say(lab, one, "done")
    say(lab, three, "done")
    tell_of_run(lab, two)
    say(lab, two, "done")
    tell_of_run(lab, two)
    tell_of_run(lab, one)
    assert [item["event"] for item in taken] == ["study_failed", "study_failed", "study_decision", "study_done"]
    assert "waits for you: paused: disk full" in str(taken[2]["text"])
    assert taken[3]["text"] == 'Study "S" is done: 3 of 3 runs done.'


def test_how_a_study_stands(lab: Workspace, study: list[str]) -> None:
    """Works; was stopped by its user, who knows it; is held, and so waits for its user; is deleted."""
    assert endings(lab)["s"].kind == ""
    for name in study:
        enqueue(lab.run(name), Turn(held=True))
    assert (endings(lab)["s"].kind, endings(lab)["s"].going) == ("decision", 0)
    for name in study:
        say(lab, name, "stopped", "stopped by the user")
    assert endings(lab)["s"].kind == ""
    assert endings(lab, containing="another") == {}
    for name in study:
        Lab(lab).runs[name].delete(force=True)
    assert endings(lab)["s"].key == ""


def test_off_by_default_and_a_workspace_names_no_address(
    lab: Workspace, study: list[str], server: tuple[str, Taken]
) -> None:
    """Neither the switch alone nor the address alone sends anything; workspace.json can hold no address."""
    address, taken = server
    for name in study:
        say(lab, name, "done")
    set_user_settings({"notify.url": address})
    assert tell_of_run(lab, study[0]) == []
    assert taken == []
    set_user_settings({"notify.url": ""})
    set_loggers(lab, Loggers(notify=True))
    assert "no address and no program is named" in tell_of_run(lab, study[0])[0]
    lab.set("loggers", {"notify": True, "notify_url": address, "url": address})
    assert "notify_url" in tell_of_run(lab, study[0])[0]
    assert taken == []
    for wrong in ("file:///etc/passwd", "ftp://x/y", "http://", "javascript:1"):
        with pytest.raises(FairLabError, match="http://"):
            set_user_settings({"notify.url": wrong})


@pytest.mark.parametrize(("where", "said"), [("/no", "it answered 500"), ("/away", "it answered 307"), ("", "refused")])
def test_an_address_that_does_not_take_it_is_a_sentence(
    lab: Workspace, study: list[str], server: tuple[str, Taken], where: str, said: str
) -> None:
    """Asked twice, never led elsewhere; the sentence does not hold the address, which may hold a secret."""
    address, taken = server
    asked(lab, url=f"{address}{where}" if where else "http://127.0.0.1:9/secret")
    for name in study:
        say(lab, name, "done")
    told = tell_of_run(lab, study[0])
    assert said in told[0].lower()
    assert "127.0.0.1" not in told[0]
    assert [item["path"] for item in taken] == ([where, where] if where else [])


def test_an_address_that_cannot_be_asked_is_not_quoted() -> None:
    """Python's own errors name the address, or a part of it."""
    for wrong in ("http://127.0.0.1:9/a secret", "http://localhost:secret/", "http://127.0.0.1:9/\u00e4secret"):
        with pytest.raises(FairLabError) as told:
            telling.post(wrong, b"{}")
        assert "secret" not in str(told.value)
        assert "secret" not in repr(told.value)


def test_a_program_is_told_though_the_address_is_dead_and_the_app_logs_it(
    lab: Workspace, study: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each thing is told once, so the program would never hear of it later."""
    out = tmp_path / "out.json"
    take = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    asked(lab, url="http://127.0.0.1:9/", command=(sys.executable, "-c", take, str(out)))
    for name in study:
        say(lab, name, "done")
    telling.tell_in_background(lab, list(endings(lab).values()))
    for thread in threading.enumerate():
        if thread.name == "telling":
            thread.join()
    assert json.loads(out.read_text())["event"] == "study_done"
    assert "did not take the message" in caplog.text


def test_all_failed_runs_are_counted(lab: Workspace, study: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also beyond those that are named, and one as one."""
    monkeypatch.setattr("fairlab.queue.endings.MOST_NAMED", 1)
    say(lab, study[1], "failed", "why")
    say(lab, study[2], "failed", "why")
    assert "and 1 more run failed (why); 0 of 3 runs done, 1 run goes on." in endings(lab)["s"].sentence
    say(lab, study[0], "failed", "why")
    assert "and 2 more runs failed (why); 0 of 3 runs done, no run goes on." in endings(lab)["s"].sentence
    assert len(endings(lab)["s"].broken) == 1


def test_a_program_gets_the_message_and_no_shell_sees_it(
    lab: Workspace, study: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.json"
    take = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    asked(lab, command=(sys.executable, "-c", take, str(out)))
    for name in study:
        say(lab, name, "done")
    assert tell_of_run(lab, study[0]) == []
    assert json.loads(out.read_text()) == message(endings(lab)["s"])
    set_user_settings({"notify.command": (sys.executable, "-c", "raise SystemExit(3)")})
    with pytest.raises(FairLabError, match="ended with 3"):
        Lab(lab).studies["s"].tell()
    set_user_settings({"notify.command": (sys.executable, "-c", "import time; time.sleep(60)")})
    monkeypatch.setattr(telling, "WAIT_S", 0.3)
    with pytest.raises(FairLabError, match="was ended"):
        Lab(lab).studies["s"].tell()
    set_user_settings({"notify.command": ("/no/such/program",)})
    assert "could not be started" in command(lab.home, "studies", "tell", "s").stderr


def test_a_real_run_tells_a_real_server_and_does_not_fail_where_there_is_none(
    lab: Workspace, server: tuple[str, Taken]
) -> None:
    """The worker's own process posts the end of its study; with a dead address it is done all the same, and its log says why."""
    address, taken = server
    plan = plan_preset(lab, "tiny")
    first = plan.runs[0].record
    create_run(lab, first)
    enqueue(first.folder)
    facts = {"study_id": "s", "title": "S", "preset": "tiny", "created_at": "", "run_ids": [first.run_id], "config": {}}
    make_folder(lab.study("s"))
    write_json(lab.study("s") / "study.json", facts)
    asked(lab, url="http://127.0.0.1:9/", command=(sys.executable, "-c", "raise SystemExit(1)"))
    ended = fairlab(lab.home, "work", first.run_id)
    assert ended.returncode == 0
    assert Lab(lab).runs[first.run_id].status == "done"
    assert "did not take the message" in ended.stdout
    (lab.study("s") / telling.FILE).unlink()
    set_user_settings({"notify.url": address, "notify.command": ()})
    assert fairlab(lab.home, "work", first.run_id).returncode == 0
    assert [(item["event"], item["study"]) for item in taken] == [("study_done", "s")]
