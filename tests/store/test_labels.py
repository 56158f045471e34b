"""Tags, note and star of runs and studies: kept in the folder, bounded, private, and in every list."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fairlab import Lab
from fairlab.errors import Damaged, FairLabError
from fairlab.plan.grid import plan_preset
from fairlab.storage.doctor import examine
from fairlab.store.database import list_runs, rebuild
from fairlab.store.labels import FILE, NOTE_LETTERS, Labels, change_labels, labels_of, read_labels
from fairlab.store.runs import create_run, write_status
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command


@pytest.fixture
def lab(tmp_path: Path) -> Workspace:
    """A workspace with one run, which is done."""
    workspace = open_workspace(tmp_path / "home")
    record = plan_preset(workspace, "tiny").runs[0].record
    create_run(workspace, record)
    write_status(record.folder, "done", "")
    return workspace


def one(lab: Workspace) -> str:
    return str(list_runs(lab)["run_id"].iloc[0])


def test_labels_are_kept_in_the_folder_and_shown_in_the_list(lab: Workspace) -> None:
    """What is not given stays; the list knows at once; a rebuilt catalogue knows too; nobody else may read the file."""
    run = Lab(lab).runs[one(lab)]
    before = run.run_id, run.record
    assert run.tag("baseline", "  table   2 ", "baseline") == ["baseline", "table 2"]
    run.note = "first line\r\n\tsecond [line](x) 日本\n\n"
    run.star = True
    assert run.untag("baseline", "never had it") == ["table 2"]
    assert read_labels(run.folder) == Labels(("table 2",), "first line\n second [line](x) 日本", True)
    for _ in range(2):
        row = list_runs(lab).iloc[0]
        assert (row["tags"], row["note"].splitlines()[0], bool(row["star"])) == ("table 2", "first line", True)
        rebuild(lab)
    assert stat.S_IMODE((run.folder / FILE).stat().st_mode) == 0o600
    assert Lab(lab).runs.find(tags=["table 2"], starred=True)["run_id"].tolist() == [run.run_id]
    assert (run.run_id, Lab(lab).runs[run.run_id].record) == before
    run.note = ""
    run.star = False
    assert read_labels(run.folder) == Labels(("table 2",))
    run.delete()
    assert not (lab.home / "runs" / run.run_id).exists()
    with pytest.raises(FairLabError, match="not in this workspace any more"):
        change_labels(lab, run.folder, ["x"])


@pytest.mark.parametrize(("tags", "note", "said"), [
    ([""], None, "1 to 40 letters"), (["x" * 41], None, "not 41"), (["a,b"], None, "holds a comma"),
    (["a\x1b[2J"], None, "control character"), ([f"t{n}" for n in range(31)], None, "at most 30"),
    ([], "x" * (NOTE_LETTERS + 1), "at most 4,000 letters"), ([], "a\u202eb", "the note holds"), ([], "x\n" * 500, "400 lines"),
])  # fmt: skip
def test_what_cannot_be_kept_is_refused_and_nothing_changes(lab: Workspace, tags: list[str], note: str | None, said: str) -> None:  # fmt: skip
    folder = lab.run(one(lab))
    change_labels(lab, folder, ["stays"])
    with pytest.raises(FairLabError, match=said):
        change_labels(lab, folder, tags, note=note)
    assert read_labels(folder) == Labels(("stays",))


@pytest.mark.parametrize("content", [
    b"{", b"[]", b'{"tags": "a"}', b'{"tags": [""]}', b'{"star": "maybe"}', b'{"note": ["' + b"x" * 5000 + b'"]}', b" " * 70_000,
])  # fmt: skip
def test_a_damaged_file_hides_no_run_is_named_and_can_be_written_anew(lab: Workspace, content: bytes) -> None:
    folder = lab.run(one(lab))
    (folder / FILE).write_bytes(content)
    with pytest.raises(Damaged, match=FILE):
        read_labels(folder)
    assert labels_of(folder) == Labels()
    assert list_runs(lab)["tags"].tolist() == [""]
    assert any(FILE in problem for problem in examine(lab, devices=False)["problems"])
    assert change_labels(lab, folder, ["new"]) == Labels(("new",))


def test_many_at_once_lose_nothing(lab: Workspace) -> None:
    folder = lab.run(one(lab))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: change_labels(lab, folder, [f"t{number}"]), range(24)))
    assert set(read_labels(folder).tags) == {f"t{number}" for number in range(24)}


def test_the_command_line_does_the_same(lab: Workspace) -> None:
    name = one(lab)
    assert command(lab.home, "runs", "tag", name, "a", "b").stdout == "a, b\n"
    assert command(lab.home, "runs", "tag", name, "a", "--remove").stdout == "b\n"
    assert command(lab.home, "runs", "note", name, "[red]as it is[/red]").stdout == "[red]as it is[/red]\n"
    assert command(lab.home, "runs", "star", name).returncode == 0
    found = json.loads(command(lab.home, "runs", "list", "--starred", "--tag", "b", "--json").stdout)
    assert [(row["run_id"], row["tags"], row["star"]) for row in found] == [(name, "b", True)]
    assert "no run matches" in command(lab.home, "runs", "list", "--search", "nobody").stdout
    wrong = command(lab.home, "runs", "tag", name, "--remove")
    assert wrong.returncode == 2
    assert "name the tags" in wrong.stderr
