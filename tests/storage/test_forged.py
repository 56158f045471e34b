"""One bad file among good ones: every field of every small file forged. Never a traceback, the others are still shown, and
what is bad is named: by lists, pages and `fairlab doctor`. An archive with such a file is refused, and nothing comes in.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from fairlab.compare import models
from fairlab.compare.compare import models_of
from fairlab.errors import FairLabError
from fairlab.files import app_root, digest, read_json, write_json, write_manifest
from fairlab.queue import launch
from fairlab.reading.structured import DEEPEST, parse_json
from fairlab.storage import deleting, prune
from fairlab.storage.archive import archive
from fairlab.storage.archive_reading import bring_in
from fairlab.storage.doctor import examine
from fairlab.store import studies
from fairlab.store.database import list_runs, metrics, rebuild
from fairlab.store.faults import faults_of, left_out
from fairlab.store.queue import read_turn
from fairlab.store.results import TABLES, write_results
from fairlab.store.runs import RunRecord, read_run, state
from fairlab.tables import METRICS
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command
from tests.storage.test_archive import _packed
from tests.thorough import several
from tests.waiting import STUDY, entered

VALUES: list[Any] = [
    [], ["x"], {}, {"x": 1}, None, 2**63, -(2**63) - 1, 10**400, 1e308, float("nan"), float("inf"), "", "x" * 100_000, True, "\x1b[2J",
]  # fmt: skip
"""What a field is forged with."""


def numbers(run_id: str = "one", **columns: object) -> pd.DataFrame:
    row = dict.fromkeys(METRICS, "text") | {"run_id": run_id} | dict.fromkeys(("value", "low", "high"), 0.5)
    row |= dict.fromkeys(("genuine_pairs", "impostor_pairs"), 7)
    return pd.DataFrame([row]).assign(**columns)


def judged(lab: Workspace, title: str, table: pd.DataFrame | None = None) -> RunRecord:
    """A run that is done, with numbers and a network's facts."""
    record = entered(lab, title, status="done", train_s=1.0)
    write_results(
        record.folder,
        "faces",
        dict.fromkeys(TABLES, numbers(record.run_id) if table is None else table.assign(run_id=record.run_id)),
    )
    (record.folder / "weights").mkdir()
    write_json(
        record.folder / "weights" / "model.json", {"family": "tiny", "embedding_dim": 8, "identities": ["a", "b"]}
    )
    write_manifest(record.folder / "weights", ["model.json"])
    return record


def forgeries(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """(place in a JSON value, what to put there) for every place in it."""
    yield from ((path, forged) for forged in VALUES)
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from forgeries(inner, (*path, name))


def put(value: Any, path: tuple[Any, ...], forged: Any) -> Any:
    if not path:
        return forged
    return {**value, path[0]: put(value[path[0]], path[1:], forged)}


FILES = ("run.json", "status.json", "queue.json", "weights/model.json", "results/faces/manifest.json")


@pytest.mark.parametrize("name", FILES)
def test_any_forged_field_harms_no_other_run(lab: Workspace, name: str) -> None:
    """Lists, numbers and deletions work; a run that is no longer shown is named with the file."""
    good, bad = judged(lab, "Good"), judged(lab, "Bad")
    path = bad.folder / name
    whole = read_json(path)
    for place, forged in list(forgeries(whole))[:: several(4, 1)]:
        content = put(whole, place, forged)
        if isinstance(content, dict) and "check" in content and place != ("check",):
            content["check"] = digest({key: item for key, item in content.items() if key != "check"})
        path.write_text(json.dumps(content))
        runs = list_runs(lab).set_index("run_id")
        assert runs.loc[good.run_id, "status"] == "done", place
        assert len(metrics(lab, [good.run_id], "faces")) == 1
        hidden = left_out(lab)
        assert (bad.run_id in runs.index) != (bad.run_id in hidden), place
        assert all(str(path) in why and "\n" not in why and len(why) < 900 for why in hidden.values()), hidden
        faults = faults_of(lab, bad.run_id)
        if hidden:
            assert any(path.name in fault for fault in faults), (place, faults)
            if place:
                assert any(str(place[0]) in fault for fault in faults) or place[0] == "run_id", (place, faults)
    models.list_models(lab)
    models_of(lab, studies.read_study(lab, STUDY))
    path.write_text(json.dumps(whole))
    assert left_out(lab) == {}


def test_a_status_or_turn_that_is_damaged_does_not_end_the_queue(lab: Workspace) -> None:
    bad, good = entered(lab, "Bad"), entered(lab, "Good", status="done")
    for forged in VALUES:
        write_json(bad.folder / "queue.json", {"position": forged, "held": forged, "placement": forged, "gpus": forged})
        with pytest.raises(FairLabError, match=r"queue\.json"):
            read_turn(bad.folder)
        write_json(bad.folder / "heartbeat.json", dict.fromkeys(("progress", "eta_s", "rate", "stage", "time"), forged))
        write_json(
            bad.folder / "process.json", dict.fromkeys(("pid", "create_time", "ticks", "boot_id", "host"), forged)
        )
        write_json(bad.folder / "job.json", dict.fromkeys(("engine", "job", "stand", "reason"), forged))
        state(bad.folder)
        launch.dispatch(lab)
        assert good.run_id in set(list_runs(lab)["run_id"])


def test_a_forged_study_is_left_out_and_named(lab: Workspace) -> None:
    good = entered(lab, "Good", status="done")
    folder = lab.study("bad-study")
    whole = read_json(lab.study(STUDY) / "study.json") | {"study_id": "bad-study"}
    for field in ("study_id", "title", "preset", "created_at", "run_ids"):
        for forged in VALUES:
            write_json(folder / "study.json", {**whole, field: forged})
            known = set(studies.studies(lab)["study_id"])
            assert STUDY in known
            if "bad-study" not in known:
                with pytest.raises(FairLabError, match=rf"bad-study.study\.json.*({field}|record of)"):
                    studies.read_study(lab, "bad-study")
    write_json(folder / "study.json", {**whole, "run_ids": [[]]})
    with pytest.raises(FairLabError, match=r"bad-study.study\.json"):
        deleting.what_goes(lab, study=STUDY)
    assert good.run_id in set(list_runs(lab)["run_id"])


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("genuine_pairs", np.array([2**63 + 5], dtype=np.uint64)),
        ("genuine_pairs", ["many"]),
        ("genuine_pairs", [None]),
        ("value", ["high"]),
        ("value", [[1.0]]),
        ("group", [7]),
        ("group", [["x"]]),
        ("metric", ["x" * 100_000]),
        ("protocol", [True]),
    ],
)
def test_a_forged_table_of_numbers_is_named_and_harms_no_other(lab: Workspace, column: str, values: Any) -> None:
    good = judged(lab, "Good")
    bad = judged(lab, "Bad", numbers(**{column: values}))
    assert len(metrics(lab, [good.run_id, bad.run_id], "faces")) == 1
    assert any("metrics.parquet" in fault and column in fault for fault in faults_of(lab, bad.run_id))
    assert any(
        bad.run_id in problem and column in problem for problem in examine(lab, rebuild=True, devices=False)["problems"]
    )
    assert set(list_runs(lab)["run_id"]) == {good.run_id, bad.run_id}


def test_doctor_pages_and_commands_name_the_bad_and_show_the_good(
    lab: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack that stopped 10 of 11 pages: many runs, each with another bad field; and a way out of it."""
    good = judged(lab, "Good")
    bad = {}
    for field in ("seed", "created_at", "role", "method", "dataset", "code_version", "title", "parents"):
        record = judged(lab, f"Bad {field}")
        write_json(record.folder / "run.json", {**read_json(record.folder / "run.json"), field: [2**70]})
        bad[record.run_id] = field
    (judged(lab, "Deep").folder / "status.json").write_text("[" * 200_000 + "]" * 200_000)
    rebuild(lab)
    assert list(list_runs(lab)["run_id"]) == [good.run_id]
    for words in (["doctor"], ["doctor", "--rebuild"]):
        said = command(lab.home, *words)
        assert said.returncode == 1
        for run_id, field in bad.items():
            assert any(run_id in line and "run.json" in line and field in line for line in said.stdout.splitlines()), (
                field
            )
        assert "levels deep" in said.stdout
    listed = command(lab.home, "runs", "list")
    assert listed.returncode == 0
    assert good.run_id in listed.stdout
    assert "left out" in listed.stderr
    monkeypatch.setenv("FAIRLAB_HOME", str(lab.home))
    app = AppTest.from_file(str(app_root() / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=60).run()
    for page in ("home", "models", "runs", "compare", "verification"):
        app = app.switch_page(str(app_root() / "pages" / f"{page}.py")).run()
        assert not app.exception, (page, [item.message for item in app.exception])
        assert "left out" in " ".join(item.value for item in app.sidebar.warning), page
    prune.prunable(lab)
    for run_id in bad:
        launch.delete(lab, run_id)
    assert next(iter(left_out(lab).values())).count("status.json") == 1


@pytest.fixture
def other(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path / "other")


def packed_with(out: Path, listing: dict[str, Any], contents: dict[str, bytes]) -> None:
    """An archive as FairLab writes it, of these files."""
    files = [
        {
            "name": file["name"],
            "bytes": len(contents[file["name"]]),
            "sha256": sha256(contents[file["name"]]).hexdigest(),
        }
        for file in listing["files"]
    ]
    out.write_bytes(_packed({**listing, "files": files}, list(contents.values())))


def forged_archives(lab: Workspace, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(what is forged, the archive): every field of the record and the status, and tables of numbers."""
    record, out = judged(lab, "A"), tmp_path / "forged.tar"
    listing = archive(lab, record.run_id, tmp_path / "whole.tar")
    start = f"runs/{record.run_id}/"
    folder = record.folder
    plain = archive_contents(tmp_path / "whole.tar", listing)
    for name in ("run.json", "status.json"):
        whole = json.loads(plain[start + name])
        for place, forged in forgeries(whole):
            if len(place) == 1 and VALUES.index(forged) in (0, 2, 5, 7, 11, 12):
                content = json.dumps(put(whole, place, forged)).encode()
                packed_with(out, listing, {**plain, start + name: content})
                yield f"{name} {place[0]} {str(forged)[:20]}", out
    for column, values in (("genuine_pairs", np.array([2**63], dtype=np.uint64)), ("value", ["x"]), ("group", [[1]])):
        shutil.rmtree(folder / "results")
        write_results(folder, "faces", dict.fromkeys(TABLES, numbers(record.run_id, **{column: values})))
        archive(lab, record.run_id, out, overwrite=True)
        yield f"metrics {column}", out


def archive_contents(path: Path, listing: dict[str, Any]) -> dict[str, bytes]:
    import tarfile

    with tarfile.open(path) as tar:
        return {file["name"]: tar.extractfile(file["name"]).read() for file in listing["files"]}  # type: ignore[union-attr]


def test_a_forged_archive_is_refused_in_one_sentence_and_nothing_comes_in(
    lab: Workspace, other: Workspace, tmp_path: Path
) -> None:
    """Or it is as good as any other: then every list still works."""
    refused = 0
    for what, path in forged_archives(lab, tmp_path):
        try:
            came = bring_in(other, path)["runs"]
        except FairLabError as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017 - some of them are fine
            assert len(str(error)) < 900  # noqa: PT017
            assert "import.tmp" not in str(error), what  # noqa: PT017 - a folder that nobody knows
            assert not list(other.runs_folder.iterdir()), what
            continue
        assert left_out(other) == {}, what
        assert list(list_runs(other)["run_id"]) == came
        assert faults_of(other, came[0]) == []
        shutil.rmtree(other.run(came[0]))
    assert refused > 50


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[" * 200_000 + "]" * 200_000, "levels deep"),
        ('{"a":' * 900 + "1" + "}" * 900, "levels deep"),
        ("[" * (DEEPEST + 2) + "]" * (DEEPEST + 2), "levels deep"),
        ("[]", "expected an object with names, not list"),
        ("7", "expected an object with names, not int"),
        ("1" * 5000, "is not readable JSON"),
        ("{", "is not readable JSON"),
        ("\ud800", "is not readable JSON"),
    ],
)
def test_json_is_read_in_one_place_with_type_depth_and_size(content: str, said: str) -> None:
    with pytest.raises(FairLabError, match=rf"^here .*{said}"):
        parse_json(content, "here")


def test_what_is_not_deep_is_read() -> None:
    wide = {"list": [[number] for number in range(1000)]}
    assert parse_json(json.dumps(wide), "here") == wide


def test_a_run_can_always_say_how_it_ends(lab: Workspace) -> None:
    """Its last word is damaged, or its reason is endless and full of escapes: what is kept can be read."""
    from fairlab.store.runs import read_status, write_status

    record = entered(lab, "A", status="stopped")
    (record.folder / "status.json").write_text("[1]")
    write_status(record.folder, "failed", reason="\x1b[2J" + "why\n" * 100_000)
    found = read_status(record.folder)
    assert found["status"] == "failed"
    assert len(found["reason"]) <= 2000
    assert "\x1b" not in found["reason"]
    assert read_run(lab, record.run_id) == record
