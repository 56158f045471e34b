"""Training and test that share people or images: found by name, by pixels and by embedding, and said beside numbers."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from fairlab.cli.main import main
from fairlab.data.dataset import open_dataset
from fairlab.data.inspect.verdicts import path_of, sentence, verdict
from fairlab.errors import FairLabError, Stopped
from fairlab.files import read_json
from fairlab.jobs.data import adding, overlap
from fairlab.jobs.data.starts import check_overlap
from fairlab.jobs.job import Job
from fairlab.plan.plan import single
from fairlab.settings.study import Data, Overlap, Run, Source
from fairlab.store.embeddings import EmbeddingWriter
from fairlab.store.runs import RunRecord, create_run
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import ROOT, copied_home, fairlab, wait_done
from tests.data.trees import face, grouped


def add(lab: Workspace, tree: Path, name: str, split: str = "train", px: int = 32) -> None:
    """Register a folder in this process."""
    config = Run(
        role="dataset", method="add", data=Data(dataset=name), source=Source(path=str(tree), split=split, image_px=px)
    )  # type: ignore[arg-type]
    record = single(lab, f"Data {name}", config, ())
    create_run(lab, record)
    adding.add(Job(lab, record))


def checking(lab: Workspace, **settings: object) -> RunRecord:
    """The record of a check, not started."""
    config = Run(role="dataset", method="overlap", data=Data(), overlap=Overlap(**settings))  # type: ignore[arg-type]
    record = single(lab, "Overlap", config, ())
    create_run(lab, record)
    return record


def check(lab: Workspace, **settings: object) -> dict[str, object]:
    """Carry a check out here; returns the verdict's facts."""
    record = checking(lab, **settings)
    overlap.check(Job(lab, record))
    found = verdict(lab, str(settings["train"]), str(settings["test"]))
    assert found is not None
    return dict(found.facts)


def test_one_percent_of_shared_people_is_found_to_the_last(lab: Workspace, tmp_path: Path) -> None:
    """3 of 300 test people are in the training, under another group's folder and with other photographs."""
    for person in range(300):
        face(tmp_path / "test" / "AC"[person % 2] / f"m.t{person:04d}" / "0.jpg", person, 32)
    for person in range(120):
        name = f"m.t{person * 100:04d}" if person < 3 else f"m.r{person:04d}"
        face(tmp_path / "train" / "BD"[person % 2] / name / "0.jpg", 5000 + person, 32)
    add(lab, tmp_path / "train", "learned")
    add(lab, tmp_path / "test", "judged", "test")
    facts = check(lab, train="learned", test="judged")
    names, images = facts["names"], facts["images"]
    assert (names["shared"], names["comparable"], names["people"], names["images"]) == (3, 300, 300, 3)
    assert names["examples"] == [[f"A/m.t{n * 100:04d}", f"{'BD'[n % 2]}/m.t{n * 100:04d}"] for n in range(3)]
    assert images["same"] == 0
    found = verdict(lab, "learned", "judged")
    assert found is not None
    assert found.found
    assert "judged (test) overlaps with learned (train), so its numbers are too good" in sentence(found, "", "")
    assert "By name, 3 of 300 people" in sentence(found, "", "")


@pytest.fixture
def copied(lab: Workspace, tmp_path: Path) -> Workspace:
    """Training of 80 images; a test of 40 others, 10 files of the training and 20 re-encoded ones; names are numbers."""
    for person in range(80):
        face(tmp_path / "train" / str(person) / "0.png", person, 48, "PNG")
    for person in range(40):
        face(tmp_path / "test" / str(person) / "0.png", 900 + person, 48, "PNG")
    for person in range(10):
        (tmp_path / "test" / str(100 + person)).mkdir()
        shutil.copy(tmp_path / "train" / str(person) / "0.png", tmp_path / "test" / str(100 + person) / "0.png")
    ways = [("JPEG", {"quality": quality}) for quality in (30, 50, 75, 95)] + [("WEBP", {"quality": 80})]
    for person in range(10, 30):
        kind, options = ways[person % 5]
        picture = Image.open(tmp_path / "train" / str(person) / "0.png")
        if person % 2:
            picture = picture.resize((43, 43), Image.Resampling.BILINEAR).resize((48, 48), Image.Resampling.BILINEAR)
        place = tmp_path / "test" / str(100 + person) / f"0.{kind.lower()}"
        place.parent.mkdir()
        picture.save(place, kind, **options)
    add(lab, tmp_path / "train", "learned", px=48)
    add(lab, tmp_path / "test", "judged", "test", px=48)
    return lab


def test_files_and_re_encoded_images_are_found_and_numbers_are_no_names(copied: Workspace) -> None:
    facts = check(copied, train="learned", test="judged")
    images, names = facts["images"], facts["names"]
    assert (images["same"], images["exact"], images["files_known"]) == (30, 10, True)
    people = {name: open_dataset(copied.dataset(name)).images["identity"].astype(str) for name in ("learned", "judged")}
    for test, train, score in images["examples"]:
        assert int(people["judged"].iloc[test]) - 100 == int(people["learned"].iloc[train])
        assert score > 0.96
    assert (names["shared"], names["comparable"], names["people"]) == (0, 0, 70)
    said = sentence(verdict(copied, "learned", "judged"), "learned", "judged")
    assert "Names show nothing" in said
    assert "30 of 70 test images are also in the training set (10 as the same file)" in said


def test_a_stopped_check_goes_on_and_says_nothing_before_its_end(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap, "CHUNK", 16)
    record = checking(copied, train="learned", test="judged")
    asked = iter([False] * 3 + [True] * 9)
    with pytest.raises(Stopped):
        overlap.check(Job(copied, record, stop=lambda: next(asked)))
    assert verdict(copied, "learned", "judged") is None
    kept = sorted((record.folder / "seen").glob("train-*.npy"))
    assert len(kept) == 3
    times = [path.stat().st_mtime_ns for path in kept]
    overlap.check(Job(copied, record))
    assert [path.stat().st_mtime_ns for path in kept] == times
    found = verdict(copied, "learned", "judged")
    assert found is not None
    assert found.facts["images"]["same"] == 30


def test_a_verdict_on_changed_data_is_stale_and_a_damaged_one_is_none(copied: Workspace, tmp_path: Path) -> None:
    check(copied, train="learned", test="judged")
    shutil.rmtree(copied.dataset("learned"))
    face(tmp_path / "train" / "5" / "0.png", 4711, 48, "PNG")
    for old in copied.runs_folder.glob("data-learned*"):
        shutil.rmtree(old)
    add(copied, tmp_path / "train", "learned", px=48)
    found = verdict(copied, "learned", "judged")
    assert found is not None
    assert found.stale == "learned"
    assert sentence(found, "learned", "judged").endswith("check again with fairlab data overlap learned judged")
    path = path_of(copied, "learned", "judged")
    path.write_text(path.read_text().replace('"same": 30', '"same": 00'))
    assert verdict(copied, "learned", "judged") is None
    path.write_text(path.read_text().replace('"same": 00', '"same": 0'))
    assert verdict(copied, "learned", "judged") is None
    assert "not checked yet: fairlab data overlap learned judged" in sentence(None, "learned", "judged")


def test_parts_of_one_data_set_are_compared_with_each_other(lab: Workspace, tmp_path: Path) -> None:
    """Training against held-out parts by default; a part is never compared with itself."""
    add(lab, grouped(tmp_path / "set", px=32), "set")
    data = open_dataset(lab.dataset("set"))
    with pytest.raises(FairLabError, match="part 'train' of data set set would be compared with itself"):
        overlap.parts_of(Overlap(train="set", test="set"), data, data)
    with pytest.raises(FairLabError, match="data set set has no part 'night'; it has: train"):
        overlap.parts_of(Overlap(train="set", test="set", test_splits=("night",)), data, data)
    data.images["split"] = ["train"] * 6 + ["validation"] * 3 + ["test"] * 3
    (train, test), parts = overlap.parts_of(Overlap(train="set", test="set"), data, data)
    assert parts == (("train",), ("validation", "test"))
    assert (train.tolist(), test.tolist()) == (list(range(6)), list(range(6, 12)))
    _, parts = overlap.parts_of(Overlap(train="set", test="set", test_splits=("test",)), data, data)
    assert parts[1] == ("test",)


def test_people_of_a_recipe_are_known_by_the_set_they_come_from(lab: Workspace, tmp_path: Path) -> None:
    """Numbers tell nothing between two data sets, but everything between a data set and what was made of it."""
    for person in range(12):
        for number in range(2):
            face(tmp_path / "set" / str(person) / f"{number}.jpg", 10 * person + number, 32)
    add(lab, tmp_path / "set", "whole")
    from fairlab.data.recipes import build_recipe
    from fairlab.settings.study import Recipe

    build_recipe(Recipe(dataset="whole", count=5), lab.dataset("five"), "five")
    names = check(lab, train="five", test="whole")["names"]
    assert (names["shared"], names["comparable"], names["people"]) == (5, 12, 12)
    assert check(lab, train="five", test="whole")["images"]["same"] == 10


def test_nearest_faces_are_candidates_above_what_strangers_reach(lab: Workspace, tmp_path: Path) -> None:
    """200 test people on a circle, strangers 1 degree apart; three training faces are 0.9 degrees beside one of them."""
    for name, count in (("judged", 200), ("learned", 50)):
        for person in range(count):
            face(tmp_path / name / f"{name}{person:03d}" / "0.jpg", person, 16)
        add(lab, tmp_path / name, name, "test" if name == "judged" else "train", px=16)
    model = checking(lab, train="x", test="y")
    around = {"judged": np.arange(200), "learned": np.r_[20, 78, 150, 220 + 2 * np.arange(47)]}
    aside = {"judged": np.zeros(200), "learned": np.r_[0.9, 0.9, 0.9, np.zeros(47)]}
    for name, angles in around.items():
        turn, tilt = np.deg2rad(angles), np.deg2rad(aside[name])
        vectors = np.stack([np.cos(turn) * np.cos(tilt), np.sin(turn) * np.cos(tilt), np.sin(tilt)], axis=1)
        facts = {"fingerprint": open_dataset(lab.dataset(name)).fingerprint}
        with EmbeddingWriter(model.folder, name, "plain", np.arange(len(turn)), facts) as sink:
            sink.add(vectors.astype(np.float32), np.ones(len(turn), np.float32))
    near = check(lab, train="learned", test="judged", model=model.run_id, chance=0.01)["neighbours"]
    assert near["threshold"] == pytest.approx(np.cos(np.deg2rad(1)), abs=1e-6)
    assert [item[:2] for item in sorted(near["examples"])] == [[20, 0], [78, 1], [150, 2]]
    assert near["flagged"] == 3
    assert near["expected"] == pytest.approx(200 * 0.01 * 50 / 199)
    found = verdict(lab, "learned", "judged")
    assert found is not None
    assert "candidates to check, not proof" in sentence(found, "", "")


def test_the_command_and_the_pages_tell_the_same(
    tiny: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checked from the command line on the tiny study; the quiet line before, the verdict after, on every page of numbers."""
    copied_home(tiny.home, tmp_path / "copy")
    lab = open_workspace(tmp_path / "copy")
    name = next(path.name for path in lab.datasets_folder.iterdir())
    model = next(path.name for path in lab.runs_folder.glob("student-without-kd*"))
    monkeypatch.setenv("FAIRLAB_HOME", str(lab.home))
    app = AppTest.from_file(str(ROOT / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=60).run()

    def said(page: str) -> str:
        app.switch_page(str(ROOT / "pages" / f"{page}.py")).run()
        assert not app.exception, (page, app.exception)
        return " ".join(item.value for item in (*app.caption, *app.warning)).replace("\\", "")

    assert "Train/test overlap not checked yet." in said("verification")
    assert app.button(key="check now").help == f"The same in a terminal: `fairlab data overlap {name} {name}`"
    app.button(key="check now").click().run()
    until = time.monotonic() + 120
    while "No overlap was found" not in said("verification") and time.monotonic() < until:
        assert not app.error
        time.sleep(0.5)
    assert "No overlap was found" in said("verification"), "shown where the user stands"
    result = fairlab(lab.home, "data", "overlap", name, name, "--model", model, "--json")
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert (facts["train"]["splits"], facts["test"]["splits"]) == (["train"], ["validation", "test"])
    assert (facts["names"]["shared"], facts["names"]["comparable"], facts["images"]["same"]) == (0, 32, 0)
    assert facts["neighbours"]["model"] == model
    for page in ("verification", "fairness", "compare", "data"):
        assert f"No overlap was found between {name} (train) and {name} (validation, test)." in said(page), page
    before = read_json(path_of(lab, name, name))
    again = check_overlap(lab, Overlap(train=name, test=name, model=model))
    wait_done(lab, [again])
    assert read_json(path_of(lab, name, name)) == before, "the same check of the same data was done twice"
    facts = {key: value for key, value in before.items() if key != "check"}
    facts["images"] = {**facts["images"], "same": 7, "examples": [[150, 3, 0.99]]}
    from fairlab.data.inspect.verdicts import write_verdict

    write_verdict(lab, facts)
    for page in ("verification", "fairness", "compare", "data"):
        said(page)
        assert any("overlaps with" in item.value and "7 of 160" in item.value for item in app.warning), page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data", "overlap", "one"), "the following arguments are required: test; see `fairlab data overlap --help`"),
        (("data", "overlap", "one", "two"), "there is no data set 'one'"),
        (("data", "make"), "the following arguments are required: name"),
        (("data", "make", "x", "--set", "dataset=nobody"), "there is no data set 'nobody'"),
        (("data", "make", "x", "--set", "shape=round"), "there is no setting 'shape'; known here: dataset, splits"),
        (("data", "show", "x", "--model", "x"), "there is no option '--model'"),
    ],
)
def test_a_wrong_call_ends_with_one_sentence(
    lab: Workspace,
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAIRLAB_HOME", str(lab.home))  # --home sets it; put back after the test
    assert main(["--home", str(lab.home), *arguments]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert (said.err.count("\n"), said.out) == (1, "")


def test_a_model_without_embeddings_is_said_with_the_command_that_makes_them(copied: Workspace) -> None:
    model = checking(copied, train="x", test="y")
    with pytest.raises(FairLabError, match=f"run `fairlab models embed {model.run_id} learned` first"):
        check_overlap(copied, Overlap(train="learned", test="judged", model=model.run_id))
