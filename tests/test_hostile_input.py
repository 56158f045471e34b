"""Names, paths and settings from people who mean harm, or only have an unusual name: they work or are refused, no more."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlab.errors import FairLabError
from fairlab.files import ordinary, read_json
from fairlab.jobs.data.starts import add_data
from fairlab.jobs.evaluate.starts import evaluate
from fairlab.plan.grid import expand
from fairlab.presets import load_preset, load_study
from fairlab.queue import launch
from fairlab.queue.engines import local
from fairlab.settings.study import Run, Source, Study, changed, parse
from fairlab.store.embeddings import embeddings_folder
from fairlab.store.results import protocol_folder, results_folder
from fairlab.store.runs import create_run, read_run, state, write_status
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command
from tests.data.trees import face, grouped
from tests.in_time import in_time
from tests.store.test_runs import record

SHELL = [
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "| touch pwned",
    "&& touch pwned",
    "\ntouch pwned\n",
    "--home=/",
    "-rf",
    "--help",
    "%s%n",
    "${HOME}",
    "~root",
    "*",
    "a?b",
    "'; --",
    '"; touch pwned; "',
    ">pwned",
    "<pwned",
    "!!",
    "\\",
]
WORDS = [
    "Ann Lee",
    "Zoë",
    "日本",
    "👩‍🔬",
    "\u202egnp.exe",
    "\u200b",
    "a\nb",
    "a\tb",
    "\x00",
    "\x1b[31mred",
    "é" * 60,
    "x" * 255,
    "x" * 300,
    "-",
    "--",
    "-x",
    ".",
    "..",
    ".hidden",
    " ",
    "",
    " lead",
    "trail ",
    "CON",
    "nul.txt",
    "a:b",
    "a\\b",
    "<b>b</b>",
    "![](http://x/)",
    "=1+1",
    "@x",
    "{0}",
    "%(x)s",
    "NaN",
    "null",
    "0",
    "1e5",
    "all",
    "test",
    "\ud800",
]
NAMES = [*SHELL, *WORDS]
"""60, with spaces, newlines, emoji, 255 bytes, right-to-left marks, leading dashes and what a shell would do."""


def test_there_are_sixty() -> None:
    assert len(set(NAMES)) == 60


@pytest.fixture
def unstarted(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Processes are not started; the arguments that they would have had."""
    started: list[list[str]] = []

    class Process:
        pid = 2**22 + 5

        def __init__(self, arguments: list[str], **options: object) -> None:
            assert isinstance(arguments, list)
            assert not options.get("shell")
            started.append(arguments)

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(local.subprocess, "Popen", Process)
    return started


def _all_files(root: Path) -> set[Path]:
    return set(root.rglob("*"))


def _allowed(call: Callable[[], object]) -> bool:
    """Did it work? Refused in a sentence of ours is the only other way."""
    try:
        with in_time():
            call()
    except FairLabError:
        return False
    return True


def test_sixty_names_through_every_input_work_or_are_refused(
    tmp_path: Path, unstarted: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As data set, study, run, group, preset, model, protocol: no other exception, and what starts has safe arguments."""
    tree = grouped(tmp_path / "tree", people=2)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    worked = 0
    for number, name in enumerate(NAMES):
        lab = open_workspace(tmp_path / "home" / str(number))
        for call in (
            lambda name=name, lab=lab: add_data(lab, Source(path=str(tree)), name),
            lambda name=name, lab=lab: add_data(
                lab, parse(Source, {"path": str(tree), "group": name, "attribute": name}, "x"), "x"
            ),
            lambda name=name, lab=lab: launch.start(
                lab, expand(changed(load_preset("tiny"), {"title": name, "demo.groups": (name, "o")}), name, lab)
            ),
            lambda name=name, lab=lab: launch.start(
                lab, expand(changed(load_preset("tiny"), {"demo": None, "dataset": name}), "tiny", lab)
            ),
            lambda name=name, lab=lab: evaluate(lab, name, name),
            lambda name=name, lab=lab: load_preset(name),
            lambda name=name, lab=lab: create_run(lab, record(lab, name)),
        ):
            worked += _allowed(call)
        for path in lab.runs_folder.iterdir():
            assert read_run(lab, path.name).run_id == path.name
            state(path)
    for arguments in unstarted:
        assert arguments[:3] == [sys.executable, "-m", "fairlab"]
        assert (arguments[3], Path(arguments[4]).parent, arguments[5]) == ("--home", tmp_path / "home", "work")
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", arguments[6])
    assert unstarted
    assert _all_files(tmp_path / "here") == set()
    assert not [path for path in _all_files(tmp_path) if path.name == "pwned"]
    print(f"{worked} of {7 * len(NAMES)} worked, the others were refused in a sentence")


COMMANDS = (
    ["launch"], ["launch", "--clone"], ["launch", "tiny", "--dry-run", "--set"], ["data", "show"], ["runs", "show"], ["runs", "stop"],
    ["evaluate"], ["models", "embed", "x"], ["compare"], ["models", "project"], ["models", "add", "--dry-run"], ["data", "add", "--dry-run"],
)  # fmt: skip


def test_sixty_names_at_the_command_line_are_one_sentence(
    lab: Workspace, unstarted: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback, and a line of its own, whatever the name holds."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")  # where "." and ".." hold nothing
    for number, name in enumerate(NAMES):
        for words in COMMANDS[number % 3 :: 3]:
            with in_time():
                result = command(lab.home, *words, name)
            said = result.stdout + result.stderr
            assert "Traceback" not in said, (words, name)
            assert result.returncode in (0, 2), (words, name, said)
            assert result.returncode == 0 or result.stderr.startswith(("fairlab: ", "usage"))
    assert unstarted == []


def test_identities_and_groups_called_anything_are_read(lab: Workspace, tmp_path: Path) -> None:
    """Every name that a file system takes, as group and as identity; hidden ones are left out as everywhere."""
    kept = 0
    for number, name in enumerate(NAMES):
        if "/" in name or name in ("", ".", ".."):
            continue
        try:
            face(tmp_path / "tree" / "A" / name / "1.jpg", number, 16)
            kept += 1
        except (OSError, ValueError):
            continue
    result = command(lab.home, "data", "add", str(tmp_path / "tree"), "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["images"] > kept - 8
    assert kept > 45


def test_no_shell_sees_the_name_of_a_workspace(tmp_path: Path) -> None:
    """A real worker in a folder whose name is a command."""
    lab = open_workspace(tmp_path / "$(touch pwned); `touch pwned` & touch pwned #")
    create_run(lab, record(lab))
    write_status(lab.run("a-run"), "queued", reason="")
    assert launch.dispatch(lab) == ["a-run"]
    with in_time(120):
        while state(lab.run("a-run")).status in ("queued", "running"):
            signal.sigtimedwait([], 0.05)
    assert "there is no data set 'd'" in state(lab.run("a-run")).reason
    assert not [path for path in [*_all_files(tmp_path), *Path.cwd().glob("*")] if path.name == "pwned"]


PARTS = [
    "..",
    ".",
    "",
    "~",
    "%2e%2e",
    "%00",
    "\x00",
    "...",
    "..\\..",
    "....//",
    "/etc/passwd",
    "//host/share",
    "\\\\host\\share",
    "C:\\",
    "file:///etc/passwd",
    "a/../..",
    "\n",
    "a" * 5000,
    "ä/..",
    "%252e%252e",
]
CORPUS = sorted({f"{first}{middle}{last}" for first in PARTS for middle in ("/", "x/") for last in PARTS[:5]})


def _named(lab: Workspace, name: str) -> list[Path]:
    """All folders that a name may lead to."""
    found = []
    for place in (
        lab.run, lab.dataset, lab.study,
        lambda name: embeddings_folder(lab.home / "runs" / "r", name, "plain"),
        lambda name: embeddings_folder(lab.home / "runs" / "r", "d", name),
        lambda name: results_folder(lab.home / "runs" / "r", name),
        lambda name: protocol_folder(lab.home / "runs" / "r", "d", name),
    ):  # fmt: skip
        try:
            found.append(place(name))
        except FairLabError:
            continue
    return found


def test_no_name_leads_out_of_the_workspace(tmp_path: Path) -> None:
    """200 of 200 for every kind of folder, resolved as the system does it."""
    lab = open_workspace(tmp_path / "home")
    assert len(CORPUS) == 200
    for name in CORPUS:
        assert all(
            path.resolve().is_relative_to(lab.home.resolve() / path.relative_to(lab.home).parts[0])
            for path in _named(lab, name)
        )
        assert not [path for path in _named(lab, name) if path.resolve().parent == lab.home]


@settings(max_examples=1000, deadline=None, database=None)
@given(st.lists(st.one_of(st.text(max_size=8), st.sampled_from(PARTS)), max_size=6))
def test_no_name_that_can_be_made_up_leads_out_of_the_workspace(parts: list[str]) -> None:
    lab = Workspace(Path("/nowhere/home"))
    for joint in ("/", ""):
        for path in _named(lab, joint.join(parts)):
            assert Path(os.path.normpath(path)).is_relative_to(lab.home)
            assert len(path.relative_to(lab.home).parts) >= 2


def _odd_places(root: Path) -> list[Path]:
    """What is no data although it has a path."""
    os.mkfifo(root / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(root / "socket"))
    listener.close()
    for name, target in (
        ("zero", "/dev/zero"),
        ("secret", "/proc/self/environ"),
        ("circle", "circle"),
        ("pipe.pth", "pipe"),
    ):
        (root / name).symlink_to(target)
    ends = ("", ".pth", ".npy", ".bin", ".csv", ".onnx", ".rec", ".tar", ".parquet", ".txt", ".mat")
    for end in ends[1:]:
        if not (root / f"pipe{end}").is_symlink():
            (root / f"pipe{end}").symlink_to("pipe")
        (root / f"zero{end}").symlink_to("/dev/zero")
    places = [root / f"{name}{end}" for name in ("pipe", "zero") for end in ends]
    places += [root / "socket", root / "secret", root / "circle"]
    return [
        *places,
        *map(
            Path,
            (
                "/dev/zero",
                "/dev/stdin",
                "/dev/fd/0",
                "/proc/self/environ",
                "/proc/self/mem",
                "/proc/kcore",
                "/proc/self/root/etc",
                "/sys/kernel",
            ),
        ),
    ]


def test_pipes_devices_and_the_system_are_no_data_and_no_models(lab: Workspace, tmp_path: Path) -> None:
    """Through every input that takes a path: refused in time, and nothing of theirs is told."""
    tree = grouped(tmp_path / "tree", people=2)
    (tmp_path / "odd").mkdir()
    places = _odd_places(tmp_path / "odd")
    for place in places:
        for words in (
            ["data", "add", str(place), "--dry-run"],
            ["data", "add", str(place), "--dry-run", "--set", "kind=recordio"],
            ["data", "add", str(tree), "--dry-run", "--set", f"groups_table={place}"],
            ["data", "add", str(tree), "--dry-run", "--set", f"pair_list={place}"],
            ["models", "add", str(place), "--dry-run"],
            ["models", "add", str(place)],
        ):
            with in_time():
                result = command(lab.home, *words)
            assert result.returncode == 2, (words, result.stdout)
            assert result.stderr.startswith("fairlab: ")
            assert "PATH=" not in result.stderr
            assert "Traceback" not in result.stderr
    print(f"{len(places)} places, 6 inputs each: all refused")
    assert list(lab.runs_folder.iterdir()) == []


def test_a_pipe_among_the_images_is_left_out_and_said(lab: Workspace, tmp_path: Path) -> None:
    """Reading it would never end; a link that leads nowhere is an image that cannot be read."""
    tree = grouped(tmp_path / "tree", people=3)
    os.mkfifo(tree / "A" / "m.00" / "7.jpg")
    (tree / "A" / "m.00" / "8.jpg").symlink_to("/dev/zero")
    (tree / "A" / "m.00" / "9.jpg").symlink_to("nowhere.jpg")
    with in_time(60):
        result = command(lab.home, "data", "add", str(tree), "--dry-run", "--json")
    found = json.loads(result.stdout)
    assert (found["images"], found["unreadable"]) == (13, 1)
    assert any("pipes and devices, left out: 2 (A/m.00/7.jpg, A/m.00/8.jpg)" in text for text in found["problems"])


def test_ordinary_files_and_folders_are_taken(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    for path in (tmp_path, tmp_path / "file", tmp_path / "link", tmp_path / "not there yet"):
        assert ordinary(path) == path


TAGS = [
    "!!python/object/apply:os.system ['touch pwned']",
    "!!python/object/new:subprocess.Popen [['touch', 'pwned']]",
    '{"__class__": "os.system", "args": ["touch pwned"]}',
    '{"py/object": "os.system", "py/reduce": [{"py/function": "os.system"}, ["touch pwned"]]}',
    '{"$ref": "file:///etc/passwd"}',
    "__import__('os').system('touch pwned')",
    "${jndi:ldap://x/}",
    "@json os.system('touch pwned')",
    '{"_target_": "os.system", "command": "touch pwned"}',
    "{{ ''.__class__.__mro__ }}",
]


def test_settings_that_look_like_code_are_text_or_refused(
    lab: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10 of 10 as TOML, as JSON of a record, and as --set: nothing is carried out, unknown keys are refused."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    create_run(lab, record(lab))
    path = lab.run("a-run") / "run.json"
    raw = read_json(path)
    for number, tag in enumerate(TAGS):
        toml = tmp_path / f"{number}.toml"
        toml.write_text(f'title = {json.dumps(tag)}\nextends = "tiny"\n')
        assert load_study(toml).title == tag
        for content in (
            tag,
            f"title = {tag}",
            f'{json.dumps(tag)} = 1\nextends = "tiny"',
            f"extends = {json.dumps(tag)}",
        ):
            toml.write_text(content)
            with pytest.raises(FairLabError):
                load_study(toml)
        with pytest.raises(FairLabError):
            parse(Study, {tag: 1}, "x")
        value = json.loads(tag) if tag.startswith('{"') else tag
        for part in ("config", "parents", "run_id", "method"):
            path.write_text(json.dumps({**raw, part: value}))
            try:
                found = read_run(lab, "a-run")
                assert isinstance(found.config, Run)
                assert part in ("parents", "method")
            except FairLabError as error:
                assert "run.json" in str(error)  # noqa: PT017 - both ways are right
        result = command(lab.home, "launch", "tiny", "--dry-run", "--set", f"student.training.epochs={tag}")
        assert result.returncode == 2, tag
        assert "student.training.epochs" in result.stderr
    assert _all_files(tmp_path / "here") == set()


def test_at_most_as_many_work_as_there_are_slots(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """50 launches at once: never more than two at work, and the list of runs answers in less than two seconds."""
    import time

    from fairlab.store import database
    from fairlab.store.runs import record_process

    children: dict[str, subprocess.Popen[bytes]] = {}

    def submit(_engine: local.LocalEngine, _lab: Workspace, run: object, _placement: object) -> None:
        child = subprocess.Popen(["sleep", "60"])
        children[run.run_id] = child  # type: ignore[attr-defined]
        record_process(run.folder, child.pid)  # type: ignore[attr-defined]
        write_status(run.folder, "running", reason="")  # type: ignore[attr-defined]

    monkeypatch.setattr(local.LocalEngine, "submit", submit)
    slowest, most = 0.0, 0
    for number in range(50):
        launch.start_one(lab, record(lab, f"run-{number:02d}"))
    for _ in range(50):
        began = time.monotonic()
        table = database.list_runs(lab)
        slowest = max(slowest, time.monotonic() - began)
        at_work = table[table["status"] == "running"]["run_id"].tolist()
        most = max(most, len(at_work))
        assert len(table) == 50
        assert 1 <= len(at_work) <= lab.slots
        ended = at_work[0]
        write_status(lab.run(ended), "done", reason="")
        children[ended].kill()
        children[ended].wait()
        launch.dispatch(lab)
    print(f"at most {most} at work, the list after at most {slowest:.2f} s")
    assert most == 2
    assert slowest < 2
    assert set(database.list_runs(lab)["status"]) == {"done"}
    for child in children.values():
        child.kill()
    shutil.rmtree(lab.runs_folder)
