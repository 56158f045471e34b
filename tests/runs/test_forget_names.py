"""Names in reports, logs and tables."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from fairlab.files import digest, write_json
from fairlab.runs.forget_names import Name, mentioned, write_without
from fairlab.workspace import Workspace


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


def test_files_that_say_it_are_found_and_written_without_it(lab: Workspace, tmp_path: Path) -> None:
    """JSON keeps its form and its check, tables lose rows, texts get another word, others stay."""
    run = lab.run("r")
    facts = {"people": ["Zoë Ray", "Bo"], "Zoë Ray": {"images": 3}}
    write_json(run / "report.json", {**facts, "check": digest(facts)})
    (run / "log.txt").write_text("reading Zoë Ray\nreading Bo\n")
    (run / "list.csv").write_text("who,n\nZoë Ray,1\nBo,2\n")
    pd.DataFrame({"file": ["Zoë Ray/1.jpg", "Bo/1.jpg"], "bytes": [1, 2]}).to_parquet(run / "files.parquet")
    (run / "other.txt").write_text("Zoë Rayson")
    name = Name(["Zoë Ray"], "X")
    found = mentioned(lab, name)
    assert {path.name for path in found} == {"report.json", "log.txt", "list.csv", "files.parquet"}
    for path in found:
        write_without(path, name, tmp_path / path.name)
    said = json.loads((tmp_path / "report.json").read_text())
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
