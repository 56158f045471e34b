"""Deleting people: no byte of them is left, no template matches them, and a kill at any moment loses nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.recipes import build_recipe
from fairlab.errors import FairLabError, Refused
from fairlab.files import read_json
from fairlab.jobs.evaluate import assess
from fairlab.settings.study import Data, Recipe, Run
from fairlab.storage.archive import archive
from fairlab.storage.doctor import examine
from fairlab.storage.people import forget_files
from fairlab.storage.people.forget import finish, forget, survey, unfinished
from fairlab.store import database
from fairlab.store.embeddings import open_embeddings
from fairlab.store.index import open_index
from fairlab.store.projections import list_projections
from fairlab.store.results import read_results, results_facts
from fairlab.store.runs import RunRecord, create_run, read_run, record_process, write_status
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import copied_home
from tests.forks import fork

PEOPLE = [
    f"Group {g} {split} {n:03d}" for g in "AB" for split, count in (("train", 7), ("test", 3)) for n in range(count)
]
"""20 of the tiny study's 60, in training and test."""


@pytest.fixture
def copy(tiny: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Numbers are only marked, where a test is not about them: to make them anew is most of the time."""
    monkeypatch.setattr(forget_files, "CHEAP", 0)
    return open_workspace(copied_home(tiny.home, tmp_path / "copy"))


def data_of(lab: Workspace) -> Dataset:
    return open_dataset(next(path.parent for path in lab.datasets_folder.glob("demo-*/manifest.json")))


def spaces(lab: Workspace) -> list[RunRecord]:
    return [
        read_run(lab, path.parents[3].name)
        for path in sorted(lab.runs_folder.glob("*/embeddings/*/plain/manifest.json"))
    ]


def traces(lab: Workspace, people: Sequence[str]) -> dict[str, bytes]:
    """Bytes by which somebody could be told: names, pixels, vectors and rows of classifiers in two precisions."""
    data, found = data_of(lab), {}
    rows = np.flatnonzero(data.images["identity"].isin(people).to_numpy())
    for name in people:
        found[f"name {name}"] = name.encode()
    for row in rows:
        found[f"pixels {row}"] = np.asarray(data.pixels[int(row)]).tobytes()
    for record in spaces(lab):
        for view in ("plain", "flip"):
            stored = open_embeddings(record.folder, data.dataset_id, view)
            for row in rows:
                vector = np.asarray(stored.vectors[stored.rows_of(np.array([row]))][0])
                for kind in (np.float32, np.float16):
                    found[f"vector {record.run_id} {view} {row} {kind.__name__}"] = vector.astype(kind).tobytes()
        model = record.folder / "weights" / "model.json"
        if model.exists():
            known = read_json(model)["identities"]
            for head in record.folder.rglob("*head.safetensors"):
                weights = load_file(head)["weight"]
                for number in (number for number, name in enumerate(known) if name in people):
                    for kind in (np.float32, np.float16):
                        found[f"head {head} {number} {kind.__name__}"] = weights[number].astype(kind).tobytes()
    return found


def hits(lab: Workspace, wanted: dict[str, bytes]) -> list[str]:
    """Which of the traces stand anywhere below the workspace, in any file; tables, which are packed, are unpacked too."""
    files = [path for path in sorted(lab.home.rglob("*")) if path.is_file()]
    tables = [pd.read_parquet(path).to_csv().encode() for path in files if path.suffix == ".parquet"]
    everything = b"\0\0".join([*(path.read_bytes() for path in files), *tables])
    starts = np.ndarray((len(everything) - 7,), "<u8", everything, strides=(1,))  # of every eight bytes
    first = {name: int.from_bytes(content[:8], "little") for name, content in wanted.items()}
    near = set(starts[np.isin(starts, np.array(list(first.values()), "<u8"))].tolist())
    return [name for name, content in wanted.items() if first[name] in near and content in everything]


@pytest.fixture
def opened(copy: Workspace) -> Iterator[sqlite3.Connection]:
    """The catalogue as an app that is looking has it, and what it has written not yet in the file itself."""
    connection = sqlite3.connect(copy.catalogue_file)
    database.list_runs(copy)
    connection.execute("SELECT count(*) FROM runs").fetchall()
    yield connection
    connection.close()


def test_no_byte_of_twenty_people_is_left(copy: Workspace, opened: sqlite3.Connection) -> None:
    """Names, pixels, embeddings and rows of classifiers: found before, nowhere afterwards, catalogue open and closed."""
    for place, text in (("note.txt", f"seen: {PEOPLE[0]}."), ("scores.csv", f"a,b\n{PEOPLE[1]},1\nOther,2\n")):
        (copy.home / place).write_text(text)
    (copy.run("demo") / "x").mkdir(parents=True)
    space, name = spaces(copy)[0].folder, data_of(copy).dataset_id
    half = space / "embeddings" / name / "plain.parts" / "00000"  # of an extraction that was cut short
    shutil.copytree(space / "embeddings" / name / "plain", half)
    (space / "results" / name / "protocols" / "all_pairs.parts").mkdir(parents=True)
    opened.execute("CREATE TABLE IF NOT EXISTS spare (x TEXT)")
    opened.execute("INSERT INTO spare VALUES (?)", (PEOPLE[2],))
    opened.commit()
    opened.execute("PRAGMA secure_delete=OFF")
    opened.execute("DROP TABLE spare")
    opened.commit()
    archive(copy, spaces(copy)[0].run_id, copy.home / "kept.tar")
    (copy.home / "forgetting.tmp.999999").mkdir()
    (copy.home / "forgetting.tmp.999999" / "left").write_text(PEOPLE[3])
    wanted = traces(copy, PEOPLE)
    assert len(wanted) > 3000
    before = hits(copy, wanted)
    assert set(before) == {name for name in wanted if not name.endswith("float16")}
    found = forget(copy, data_of(copy).dataset_id, PEOPLE, heads=True)
    assert sum(item["images"] for item in found.data) == 14 * 6 + 6 * 5
    assert hits(copy, wanted) == []
    opened.close()
    assert hits(copy, wanted) == []
    assert (copy.home / "scores.csv").read_text() == "a,b\nOther,2\n"
    assert not (copy.home / "kept.tar").exists()
    assert list(copy.home.rglob("*.parts")) == []
    problems = [text for text in examine(copy, verify=True)["problems"] if "no run.json" not in text]
    assert problems == []


def test_what_stays_is_what_it_was(copy: Workspace, tiny: Workspace) -> None:
    """Vectors, maps, index and scores of the others are theirs as before, under new numbers; all fits the new data."""
    person = "Group A test 001"
    forget(copy, data_of(copy).dataset_id, person)
    old, new = data_of(tiny), data_of(copy)
    stays = np.flatnonzero((old.images["identity"] != person).to_numpy())
    assert new.images["identity"].tolist() == old.images["identity"].iloc[stays].tolist()
    for record in spaces(copy):
        before = open_embeddings(tiny.run(record.run_id), old.dataset_id)
        after = open_embeddings(record.folder, new.dataset_id, verify=True)
        assert np.array_equal(after.ids, np.arange(len(stays)))
        assert np.array_equal(after.vectors, before.vectors[stays])
        assert after.facts["fingerprint"] == new.fingerprint
        _, ids = open_index(after).search(after.vectors[:5], 1)
        assert ids[:, 0].tolist() == [0, 1, 2, 3, 4]
        (mine,), (theirs,) = (list_projections(lab.run(record.run_id)) for lab in (copy, tiny))
        points = theirs.points[theirs.points["image_id"].isin(stays)]
        assert np.array_equal(mine.points[["x", "y"]], points[["x", "y"]])
        assert np.array_equal(stays[mine.points["image_id"]], points["image_id"])
        scores = read_results(record.folder, new.dataset_id, "scores").set_index("pair_id")["score"]
        earlier = read_results(tiny.run(record.run_id), old.dataset_id, "scores").set_index("pair_id")["score"]
        assert scores.equals(earlier.loc[new.pairs["pair_id"]])
        assert len(scores) < len(earlier)


def test_numbers_are_of_the_pairs_that_stay(monkeypatch: pytest.MonkeyPatch, copy: Workspace) -> None:
    """They come out again from the new embeddings, to the bit, and say that images were deleted."""
    monkeypatch.setattr(forget_files, "CHEAP", 1000)
    for record in spaces(copy)[2:]:
        shutil.rmtree(record.folder / "results")
    forget(copy, data_of(copy).dataset_id, "Group A test 001")
    data = data_of(copy)
    for record in spaces(copy)[:2]:
        assert assess.recompute(record, data) == []
        facts = results_facts(record.folder, data.dataset_id)
        assert facts["data"] == data.fingerprint
        assert (
            facts["notes"][-1]
            == f"5 images were deleted from data set {data.dataset_id}; the numbers are of the pairs that stay"
        )
    shown = database.metrics(copy, [record.run_id], data.dataset_id)
    test = data.pairs_of("test")
    row = shown[(shown["protocol"] == "test") & (shown["metric"] == "auc") & (shown["group"] == "Group A")].iloc[0]
    assert row["genuine_pairs"] == (test["genuine"] & (test["group"] == "Group A")).sum() < 60


def test_a_list_that_loses_nobody_keeps_its_numbers(copy: Workspace, tiny: Workspace) -> None:
    """Somebody of the training is in no pair."""
    found = forget(copy, data_of(copy).dataset_id, "Group A train 001")
    assert {item["how"] for item in found.numbers} == {"kept"}
    for record in spaces(copy):
        for name in ("metrics", "curves", "scores"):
            mine, theirs = (read_results(lab.run(record.run_id), data_of(lab).dataset_id, name) for lab in (copy, tiny))
            pd.testing.assert_frame_equal(mine, theirs, check_exact=True)


def test_a_long_list_is_marked_instead(copy: Workspace) -> None:
    """Its scores go all the same, and its numbers say that they are older."""
    found = forget(copy, data_of(copy).dataset_id, "Group A test 001")
    assert {item["how"] for item in found.numbers} == {"marked"}
    record, data = spaces(copy)[0], data_of(copy)
    facts = results_facts(record.folder, data.dataset_id)
    assert facts["notes"][-1] == f"made before 5 images were deleted from data set {data.dataset_id}: evaluate again"
    assert set(read_results(record.folder, data.dataset_id, "scores")["pair_id"]) == set(data.pairs["pair_id"])


def test_classifiers_know_nobody_who_was_deleted(copy: Workspace) -> None:
    """Unseen images of a training person match their class before, in the head's row; after it the row is zero.

    Beside weights and kept checkpoints the optimiser's momentum of the row is zero too, and nothing else has changed.
    """
    import torch

    data, person = data_of(copy), "Group A train 002"
    record = next(record for record in spaces(copy) if record.title == "Teacher Group A")
    place = {path: path for path in [record.folder / "weights", *(record.folder / "checkpoints").iterdir()]}
    number = read_json(record.folder / "weights/model.json")["identities"].index(person)
    before = {path: load_file(path / "head.safetensors")["weight"] for path in place}
    stored = open_embeddings(
        record.folder, data.dataset_id, "flip"
    )  # mirrored images: never shown to the training as such
    rows = np.flatnonzero((data.images["identity"] == person).to_numpy())
    vectors = np.array(stored.vectors[stored.rows_of(rows)])

    def ranks(weights: np.ndarray) -> np.ndarray:
        cosines = vectors @ (weights / np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-12)).T
        return (cosines.argmax(axis=1) == number).mean()

    assert ranks(before[record.folder / "weights"]) >= 0.5  # by chance 1 of 12
    found = survey(copy, data.dataset_id, person)
    assert {item["run"] for item in found.templates} >= {record.run_id}
    assert all(len(item["places"]) == 3 for item in found.templates)
    forget(copy, data.dataset_id, person, heads=True)
    for path, earlier in before.items():
        weights = load_file(path / "head.safetensors")["weight"]
        assert not weights[number].any()
        assert np.array_equal(np.delete(weights, number, 0), np.delete(earlier, number, 0))
        assert ranks(weights) == 0
        if path.name != "weights":
            state = torch.load(path / "trainer.pt", weights_only=True)
            momentum = state["solvers"]["head"]["state"][0]["momentum_buffer"]
            assert not momentum[number].any()
            assert momentum.any(dim=1).sum() == len(momentum) - 1


def test_a_template_that_stays_is_found_by_its_mark(copy: Workspace) -> None:
    """Without heads the row stays under a mark that says nothing; with the mark it can be zeroed later."""
    data, person = data_of(copy), "Group A train 002"
    found = forget(copy, data.dataset_id, person)
    assert not any(item["zeroed"] for item in found.templates)
    record = next(record for record in spaces(copy) if record.title == "Teacher Group A")
    known = read_json(record.folder / "weights/model.json")["identities"]
    (mark,) = [name for name in known if name.startswith("deleted-")]
    weights = load_file(record.folder / "weights/head.safetensors")["weight"]
    assert weights[known.index(mark)].any()
    forget(copy, data.dataset_id, mark, heads=True)
    assert not load_file(record.folder / "weights/head.safetensors")["weight"][known.index(mark)].any()
    with pytest.raises(FairLabError, match="has a row called deleted-000000000000"):
        forget(copy, data.dataset_id, "deleted-000000000000", heads=True)


def test_a_student_that_inherited_the_row_is_found(copy: Workspace) -> None:
    """ProxylessKD copies its teacher's classifier; it may train on other data, under the same names."""
    teacher = next(record for record in spaces(copy) if record.title == "Teacher Group A")
    config = Run(role="student", method="proxyless_kd", data=Data(dataset="elsewhere"))
    heir = replace(
        teacher, run_id="heir", config=config, parents=(teacher.run_id,), dataset="elsewhere", folder=copy.run("heir")
    )
    stranger = replace(heir, run_id="stranger", parents=(), folder=copy.run("stranger"))
    for record in (heir, stranger):
        create_run(copy, record)
        write_status(record.folder, "done", reason="")
        shutil.copytree(teacher.folder / "weights", record.folder / "weights")
    found = survey(copy, data_of(copy).dataset_id, "Group A train 002")
    assert "heir" in {item["run"] for item in found.templates}
    assert "stranger" not in {item["run"] for item in found.templates}
    forget(copy, data_of(copy).dataset_id, "Group A train 002", heads=True)
    assert not load_file(heir.folder / "weights/head.safetensors")["weight"][2].any()
    assert load_file(stranger.folder / "weights/head.safetensors")["weight"][2].any()


def test_data_made_of_the_images_lose_them_too(copy: Workspace) -> None:
    data = data_of(copy)
    build_recipe(Recipe(dataset=data.dataset_id, splits=("train",)), copy.dataset("child"), "child")
    with pytest.raises(Refused, match="forget 'Group A train 002' there, then child loses them too"):
        forget(copy, "child", "Group A train 002")
    found = forget(copy, data.dataset_id, "Group A train 002")
    assert [item["dataset"] for item in found.data] == [data.dataset_id, "child"]
    child = open_dataset(copy.dataset("child"), verify=True)
    assert "Group A train 002" not in set(child.images["identity"])
    of = data_of(copy).images
    place = np.flatnonzero((of["identity"] == "Group B train 003").to_numpy())
    here = np.flatnonzero((child.images["identity"] == "Group B train 003").to_numpy())
    assert np.array_equal(child.pixels[here], data_of(copy).pixels[place])


def _forget(home: str, dataset: str, person: str) -> None:
    forget_files.CHEAP = 0
    forget(Workspace(Path(home)), dataset, person, heads=True)


def test_killed_at_any_moment_and_run_again_it_is_finished(copy: Workspace, tmp_path: Path) -> None:
    """After each of six kills the data can be opened; in the end no byte is left and every file fits its hash."""
    people = ["Group A test 006", "Group B test 007"]
    wanted, dataset = traces(copy, people), data_of(copy).dataset_id
    rng, cut = np.random.default_rng(0), 0
    for person in people:
        for _ in range(3):
            child = fork(_forget, str(copy.home), dataset, person)
            until = time.monotonic() + 30
            while child.is_alive() and not unfinished(copy) and time.monotonic() < until:
                time.sleep(0.005)
            child.join(float(rng.uniform(0.0, 0.6)))
            child.kill()
            child.join()
            cut += unfinished(copy)
            assert len(data_of(copy).images) > 0
        if unfinished(copy):
            assert finish(copy)
        if person in set(data_of(copy).images["identity"]):
            forget(copy, dataset, person, heads=True)
    assert cut > 0
    assert hits(copy, wanted) == []
    assert examine(copy, verify=True)["problems"] == []


@pytest.mark.parametrize("step", [0, 5, 20])
def test_cut_short_while_files_are_put_in_place(monkeypatch: pytest.MonkeyPatch, copy: Workspace, step: int) -> None:
    """A kill after the n-th file: the same command again ends with the same bytes as without the kill."""
    data = data_of(copy)
    wanted, moved, real = traces(copy, ["Group A test 001"]), 0, os.replace

    class Killed(BaseException): ...

    def replace_(source: str | Path, target: str | Path) -> None:
        nonlocal moved
        if f"{os.sep}new{os.sep}" in str(source) and f"{os.sep}forgetting{os.sep}" not in str(target):
            moved += 1
            if moved > step:
                raise Killed
        real(source, target)

    monkeypatch.setattr("fairlab.storage.people.forget.os.replace", replace_)
    with pytest.raises(Killed):
        forget(copy, data.dataset_id, "Group A test 001", heads=True)
    monkeypatch.setattr("fairlab.storage.people.forget.os.replace", real)
    assert unfinished(copy)
    assert forget(copy, data.dataset_id, "Group A test 001", heads=True).notes == ["finished an interrupted deletion"]
    assert hits(copy, wanted) == []
    assert examine(copy, verify=True)["problems"] == []


def test_nothing_changes_when_it_cannot_be_done(monkeypatch: pytest.MonkeyPatch, copy: Workspace) -> None:
    """Nobody of that name, a run at work, no room, a damaged file: one sentence, and every byte as before."""
    data = data_of(copy)
    database.list_runs(copy)

    def content() -> dict[str, bytes]:
        skip = ("catalogue", "forget.lock", "dispatch.lock")
        return {str(p): p.read_bytes() for p in copy.home.rglob("*") if p.is_file() and not p.name.startswith(skip)}

    before = content()
    with pytest.raises(FairLabError, match="has no person called 'Zoe'"):
        forget(copy, data.dataset_id, ["Group A test 001", "Zoe"])
    record = spaces(copy)[0]
    with monkeypatch.context() as mine:
        mine.setattr("fairlab.storage.people.forget_staging.shutil.disk_usage", lambda _path: SimpleNamespace(free=10))
        with pytest.raises(Refused, match="free some space"):
            forget(copy, data.dataset_id, "Group A test 001")
    weights = record.folder / "weights" / "learner.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + b"x")
    if "Group A train 001" in read_json(weights.with_name("model.json"))["identities"]:
        with pytest.raises(FairLabError, match="damaged"):
            forget(copy, data.dataset_id, "Group A train 001", heads=True)
    weights.write_bytes(good)
    assert content() == before
    write_status(record.folder, "running", reason="")
    record_process(record.folder)
    with pytest.raises(Refused, match=f"{record.run_id} is working on"):
        forget(copy, data.dataset_id, "Group A test 001")
    assert not unfinished(copy)


def test_looking_changes_nothing(copy: Workspace) -> None:
    before = {str(path): path.stat().st_mtime_ns for path in copy.home.rglob("*")}
    found = survey(copy, data_of(copy).dataset_id, "Group A test 001")
    assert found.data[0]["images"] == 5
    assert before == {str(path): path.stat().st_mtime_ns for path in copy.home.rglob("*")}
