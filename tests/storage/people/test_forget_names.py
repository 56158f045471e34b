"""Names in reports, logs and tables."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from fairlab.files import digest, write_json
from fairlab.storage.people.forget import forget
from fairlab.storage.people.forget_names import Name, mentioned, write_without
from fairlab.store.labels import change_labels, read_labels
from fairlab.workspace import Workspace
from tests.data.shared_sets import data_of


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("m.0abc", "m.0abc/m.0abc_0001.jpg", "X/X_0001.jpg"),
        ("m.0abc", "m.0abcd m10abc xm.0abc", "m.0abcd m10abc xm.0abc"),
        ("Ann Lee", "Ann Lee, Ann Leever", "X, Ann Leever"),
        ("12", "12", "X"),
        ("12", "step 12 of 120", "step 12 of 120"),
        ("12", "Asian/12/3.jpg", "Asian/X/3.jpg"),
        ("a+b", "a+b aab", "X aab"),
    ],
)
def test_a_name_is_a_word_of_its_own(name: str, text: str, expected: str) -> None:
    assert Name([name], "X").without(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data/1/Asian/1/3.jpg", "/data/1/Asian/X/3.jpg"),
        ("/data/1", "/data/1"),
        ("/data/1/1/1.jpg", "/data/1/X/1.jpg"),
        ("could not read /data/1/A/1/3.jpg", "could not read /data/1/A/X/3.jpg"),
        ("/data/10/1/3.jpg", "/data/10/1/3.jpg"),
        ("/mnt/my disk/1/x", "/mnt/my disk/1/x"),
        ("see /mnt/1/x and A/1/2.jpg", "see /mnt/1/x and A/X/2.jpg"),
        ("C:\\data\\1\\x.jpg", "C:\\data\\1\\x.jpg"),
        ("A/1/3.jpg", "A/X/3.jpg"),
        ("1", "X"),
    ],
)
def test_a_number_is_a_name_only_below_the_data(text: str, expected: str) -> None:
    """Folders above the data are nobody, also where they are called as somebody in it."""
    assert Name(["1"], "X", ["/data/1"]).without(text) == expected


@pytest.mark.parametrize("person", ["1", "done", "status", "title", "17", "slurm", "accuracy", "tiny"])
def test_what_runs_note_of_themselves_is_not_taken_for_somebody(lab: Workspace, tmp_path: Path, person: str) -> None:
    """Only what is written there for people to read changes, and never what it is written under."""
    run, facts = lab.run("r"), {"status": "done", "attempt": "1", "title": "tiny", "stand": "17", "engine": "slurm"}
    of_machine = ["job", "process", "heartbeat", "queue", "keep", "mlflow"]
    for name in of_machine:
        write_json(run / f"{name}.json", {**facts, person: person})
    write_json(lab.home / "probes" / "a.json", facts)
    (run / "events.jsonl").write_text(json.dumps({"step": 1, "values": {person: 1.0}, "x": person}) + "\n")
    write_json(run / "status.json", {**facts, "reason": person, person: [person]})
    study = {**facts, "title": person, "config": {"title": person, "groups": [person]}, "run_ids": [person]}
    write_json(lab.study("s") / "study.json", study)
    write_json(run / "report.json", {"kind": person, "notes": [person, {person: person}], "groups": {person: 3}})
    write_json(run / "projections" / "k.json", {"dataset": person, "notes": [person]})
    name, settings = Name([person], "X"), lab.settings_file.read_bytes()
    found = {path.name: path for path in mentioned(lab, name)}
    assert set(found) == {"status.json", "study.json", "report.json", "k.json"}
    for key, path in found.items():
        write_without(path, name, tmp_path / path.relative_to(lab.home))
        found[key] = json.loads((tmp_path / path.relative_to(lab.home)).read_text())
    assert found["status.json"] == {**facts, person: [person], "reason": "X"}
    assert found["study.json"] == {**study, "title": "X", "config": {"title": "X", "groups": [person]}}
    assert found["report.json"] == {"kind": person, "notes": ["X", {person: "X"}], "groups": {person: 3}}
    assert found["k.json"] == {"dataset": person, "notes": ["X"]}
    assert lab.settings_file.read_bytes() == settings


def test_lines_of_json_are_read_one_by_one(lab: Workspace, tmp_path: Path) -> None:
    """A number is somebody only as all of a text; a line without the name stays byte for byte, a torn one is only text."""
    lines = ['{"who":  "12", "n": 12}', '{"who": "13",  "say": "step 12"}', '["12", "Zoë Ray"]', '{"who": "Zoë Ray']
    (lab.home / "notes.jsonl").write_text("\n".join(lines))
    name = Name(["12", "Zoë Ray"], "X")
    (path,) = mentioned(lab, name)
    write_without(path, name, tmp_path / "out")
    said = (tmp_path / "out").read_text().split("\n")
    assert said == ['{"who": "X", "n": 12}', lines[1], '["X", "X"]', '{"who": "X']


def test_files_that_say_it_are_found_and_written_without_it(lab: Workspace, tmp_path: Path) -> None:
    """JSON keeps its form and its check, tables lose rows, texts get another word, others stay."""
    run = lab.run("r")
    facts = {"people": ["Zoë Ray", "Bo"], "Zoë Ray": {"images": 3}}
    write_json(run / "people.json", {**facts, "check": digest(facts)})
    (run / "log.txt").write_text("reading Zoë Ray\nreading Bo\n")
    (run / "list.csv").write_text("who,n\nZoë Ray,1\nBo,2\n")
    pd.DataFrame({"file": ["Zoë Ray/1.jpg", "Bo/1.jpg"], "bytes": [1, 2]}).to_parquet(run / "files.parquet")
    (run / "other.txt").write_text("Zoë Rayson")
    name = Name(["Zoë Ray"], "X")
    found = mentioned(lab, name)
    assert {path.name for path in found} == {"people.json", "log.txt", "list.csv", "files.parquet"}
    for path in found:
        write_without(path, name, tmp_path / path.name)
    said = json.loads((tmp_path / "people.json").read_text())
    check = said.pop("check")
    assert said == {"people": ["X", "Bo"], "X": {"images": 3}}
    assert check == digest(said)
    assert (tmp_path / "log.txt").read_text() == "reading X\nreading Bo\n"
    assert (tmp_path / "list.csv").read_text() == "who,n\nBo,2\n"
    assert pd.read_parquet(tmp_path / "files.parquet")["file"].tolist() == ["Bo/1.jpg"]


def test_what_was_damaged_before_is_not_made_whole(lab: Workspace, tmp_path: Path) -> None:
    write_json(lab.run("r") / "verdict.json", {"name": "Zoë Ray", "check": "wrong"})
    write_without(lab.run("r") / "verdict.json", Name(["Zoë Ray"], "X"), tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == {"name": "X", "check": "wrong"}


@pytest.mark.parametrize("person", ["ann", "tags", "note", "star"])
def test_tags_and_notes_lose_a_name_and_can_still_be_read(lab: Workspace, person: str) -> None:
    """Also a full tag, which the word in place of the name makes longer, and a person called like a key of the file."""
    data_of(lab.dataset("faces"), {person: ("X", 2), "bob": ("Y", 2)})
    folder = lab.run("r")
    folder.mkdir(parents=True)
    change_labels(lab, folder, ["bob", f"{person} ".ljust(40, "x")], note=f"{person} and bob", star=True)
    forget(lab, "faces", person)
    left = read_labels(folder)
    gone = left.note.removesuffix(" and bob")
    assert gone.startswith("deleted-")
    assert left.tags == ("bob", f"{gone} " + "x" * (39 - len(person)))
    assert left.star
