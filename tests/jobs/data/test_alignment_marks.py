"""Data that were aligned by an older rule, without landmarks or not enrolled: marked in record, command and page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.cli import show, show_data, show_numbers
from fairlab.data.align import RULE, crop
from fairlab.data.dataset import INFO, Dataset, open_dataset
from fairlab.data.inspect.verdicts import fingerprint
from fairlab.evaluation.report import CURVE
from fairlab.files import amend_manifest, read_json, write_json
from fairlab.jobs.data import adding
from fairlab.jobs.evaluate import caveats
from fairlab.jobs.job import Job
from fairlab.plan.plan import single
from fairlab.settings.study import Data, ModelFile, Run, Source
from fairlab.store.results import write_results
from fairlab.store.runs import create_run
from fairlab.tables import METRICS, SCORES
from fairlab.workspace import Workspace, open_workspace
from tests.data.trees import LMK, ijb, rfw
from tests.test_pages import opened


def added(lab: Workspace, name: str, **source: object) -> Dataset:
    config = Run(role="dataset", method="add", data=Data(dataset=name), source=Source.model_validate(source))
    record = single(lab, f"Data {name}", config, ())
    create_run(lab, record)
    adding.add(Job(lab, record))
    return open_dataset(lab.dataset(name), verify=True)


def as_before(lab: Workspace, data: Dataset) -> Dataset:
    """The data set as it was written before there was a rule in its record."""
    info = {name: fact for name, fact in read_json(data.folder / INFO).items() if name != "alignment"}
    fresh = data.folder.with_name("fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    write_json(fresh / INFO, info)
    amend_manifest(data.folder, fresh, [INFO])
    for path in fresh.iterdir():
        path.replace(data.folder / path.name)
    fresh.rmdir()
    return open_dataset(lab.dataset(data.dataset_id), verify=True)


def shown(data: Dataset, lab: Workspace, capsys: pytest.CaptureFixture[str]) -> str:
    show_data.show_data(lab, data.dataset_id, False)
    return capsys.readouterr().out


def test_data_aligned_by_an_older_rule_are_other_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read by today's rule: another fingerprint, so that no embedding is taken for theirs. Copied: the same pixels, marked."""
    lab, root = open_workspace(tmp_path / "home"), rfw(tmp_path / "data", people=4)
    for copied in (False, True):
        data = added(lab, f"copied-{copied}".lower(), path=str(root), copy_pixels=copied)
        assert data.info["alignment"] == RULE
        assert not data.marked
        assert not caveats.of_data(data)
        before = as_before(lab, data)
        assert fingerprint(lab, before.dataset_id) == before.fingerprint
        assert (before.fingerprint == data.fingerprint) is copied
        assert "an older alignment rule, which made turned faces too large" in before.marked
        assert before.marked in shown(before, lab, capsys)
        assert caveats.of_data(before) == [before.marked]
    whole = np.asarray(added(lab, "px", path=str(root), image_px=200).pixels[0])  # crops come by today's rule
    assert np.array_equal(open_dataset(lab.dataset("copied-true")).pixels[0], data.pixels[0])
    assert whole.shape == (200, 200, 3)
    page = opened(monkeypatch, lab, "data", set="copied-true")
    assert any("copied under an older alignment rule" in item.value for item in page.warning)


def test_numbers_of_data_as_they_were_before_are_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the numbers, in the run's own record, and never taken for those of today."""
    lab = open_workspace(tmp_path / "home")
    data = added(lab, "faces", path=str(rfw(tmp_path / "data", people=4)))
    record = single(
        lab, "Old", Run(role="model", method="import", data=Data(dataset="faces"), model=ModelFile(path="/x")), ()
    )
    create_run(lab, record)
    tables = {
        "metrics": pd.DataFrame(columns=list(METRICS)),
        "curves": pd.DataFrame(columns=list(CURVE)),
        "scores": pd.DataFrame(columns=list(SCORES)),
    }
    write_results(record.folder, "faces", tables, data=data.fingerprint)
    assert caveats.of_numbers([record], data) == []
    before = as_before(lab, data)
    align, numbers = caveats.of_numbers([record], before)
    assert align == before.marked
    assert numbers.startswith("Numbers of Old come from an earlier state of data set faces (another fingerprint)")
    show.show_run(lab, record.run_id)
    assert json.loads(capsys.readouterr().out)["notes"] == [align, numbers]
    show_numbers.show_numbers(lab, record.run_id, "faces")
    assert numbers in capsys.readouterr().err


def test_points_of_no_face_and_failures_to_enrol_stand_in_the_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """IJB: 4.jpg alone in template 3 has points of no face, 10.jpg alone in template 5 cannot be read, 1.jpg in template 7
    has zeros and leaves it; RFW: one image of African.
    """
    lab, root = open_workspace(tmp_path / "home"), ijb(tmp_path / "ijb")
    points = root / "meta" / "ijbb_name_5pts_score.txt"
    lines = points.read_text().splitlines()
    lines[0], lines[3] = (f"{name}.jpg" + " 0" * 10 + " 0.9" for name in (1, 4))
    points.write_text("\n".join(lines))
    (root / "loose_crop" / "10.jpg").write_bytes(b"no image")
    told, _ = adding.dry_run(Source(path=str(root)))
    data = added(lab, "ijb", path=str(root))
    assert told["failures_to_enrol"] == data.info["failures_to_enrol"]
    assert data.info["failures_to_enrol"] == {
        "what": "templates",
        "failed": 2,
        "of": 8,
        "names": {"3": "none of its images has a face", "5": "none of its images has a face"},
        "pairs": {"everyone": {"genuine": 3, "impostor": 5}},
    }
    assert data.info["without_landmarks"]["images"] == 2
    assert (len(data.pairs), int(data.pairs["genuine"].sum())) == (8, 1)
    assert data.templates is not None
    assert data.templates.groupby("name").size().to_dict() == {"7": 2, "12": 3, "20": 2, "31": 4, "8": 1, "40": 2}
    said = shown(data, lab, capsys)
    assert "images without landmarks, left out of their templates: 2 (1.jpg, 4.jpg)" in said
    assert "Failures to enrol: 2 of 8 templates (25.00%)" in said
    show_data.show_data(lab, "ijb", True)
    assert json.loads(capsys.readouterr().out)["failures_to_enrol"]["failed"] == 2

    listed = rfw(tmp_path / "rfw", people=4) / "test/txts/African/African_lmk.txt"
    first, *others = listed.read_text().splitlines()
    listed.write_text("\n".join(["\t".join([*first.split("\t")[:2], *["-1"] * 10]), *others]))
    faces = added(lab, "rfw", path=str(tmp_path / "rfw"))
    assert faces.info["without_landmarks"]["groups"]["African"] == {"without": 1, "of": 12}
    assert "African 1 of 12" in shown(faces, lab, capsys)
    middle = np.asarray(faces.pixels[0])  # cropped in the middle, not black
    assert middle.std() > 20
    assert not np.array_equal(middle, crop(middle, LMK, 112))
