"""`fairlab data selections`: from a table to a saved selection, to files, and away; one sentence for what is wrong."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest

from fairlab.files import remove_folder
from fairlab.workspace import Workspace
from tests.conftest import command
from tests.data.shared_sets import data_of
from tests.jobs.protocols.test_protocols import made_model


def test_saved_shown_written_and_deleted(lab: Workspace, tmp_path: Path) -> None:
    data = data_of(lab.dataset("faces"), {"a": ("X", 3), "b": ("Y", 2)})
    model = made_model(lab, data)
    table = tmp_path / "list.csv"
    table.write_text("identity\nb\n")

    def run(*words: str) -> str:
        told = command(lab.home, "data", "selections", *words)
        assert told.returncode == 0, told.stderr
        return told.stdout

    assert "no saved selections" in run("list")
    assert "hard of faces · 2 images of 1 people" in run("save", "faces", "hard", str(table), "--note", "<b>seen</b>")
    listed = json.loads(run("list", "--json"))
    assert [(row["dataset"], row["selection"], row["images"], row["state"]) for row in listed] == [
        ("faces", "hard", 2, "")
    ]
    shown = json.loads(run("show", "faces", "hard", "--json"))
    assert (shown["ids"], shown["note"]) == ([3, 4], "<b>seen</b>")
    assert shown["groups"] == [{"split": "train", "group": "Y", "images": 2, "identities": 1}]
    out = tmp_path / "it's $hard.parquet"
    name = model.run_id.replace("-", "_")
    said = run("export", "faces", "hard", "--format", "parquet", "--space", model.run_id, "--out", str(out))
    assert shlex.split(said.splitlines()[-1])[:2] == ["embedding-atlas", str(out)]
    assert f" --vector vector_{name}" in said, "it has no map"
    assert f"vector_{name}" in pd.read_parquet(out)
    remove_folder(data.folder, lab.home)
    assert "its data set is gone" in run("list")
    assert "cannot be used: its data set is gone" in run("show", "faces", "hard")
    assert "its images stay" in run("delete", "faces", "hard")
    assert json.loads(run("list", "--json")) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["save", "faces", "<i>", "TABLE"], "cannot be the name of a selection"),
        (["save", "nobody", "hard", "TABLE"], "there is no data set 'nobody'"),
        (["save", "faces", "hard", "nowhere.csv"], "there is no file"),
        (["show", "faces", "hard"], "data set faces has no saved selection 'hard'; it has none"),
        (["show", "../x", "hard"], "is not the name of a data set"),
        (["delete", "faces", "../../datasets/faces/dataset"], "has no saved selection"),
    ],
)
def test_what_is_wrong_is_one_sentence(lab: Workspace, tmp_path: Path, words: list[str], says: str) -> None:
    data_of(lab.dataset("faces"), {"a": ("X", 3), "b": ("Y", 2)})
    (tmp_path / "list.csv").write_text("identity\nb\n")
    told = command(
        lab.home, "data", "selections", *[str(tmp_path / "list.csv") if word == "TABLE" else word for word in words]
    )
    assert told.returncode != 0
    assert says in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1
