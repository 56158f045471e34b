"""Traits from end to end: by the command, the page and Python; a job that is stopped goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from fairlab import Lab
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.measured import FROM_PIXELS, measure
from fairlab.data.traits import keep_traits, traits_of
from fairlab.errors import FairLabError, Refused, Stopped
from fairlab.files import read_manifest
from fairlab.jobs.data import measuring
from fairlab.jobs.data.starts import measure_traits
from fairlab.jobs.job import Job
from fairlab.settings.recipe import Recipe
from fairlab.store.runs import read_run
from fairlab.workspace import Workspace
from tests.conftest import ROOT, command
from tests.data.shared_sets import data_of

TABLE = "path,age,scene\nX/a/0.png,20,in\nX/a/1.png,31,out\nY/b/1.png,44,out\n"


@pytest.fixture
def faces(lab: Workspace) -> Dataset:
    return data_of(lab.dataset("faces"), {"a": ("X", 2), "b": ("Y", 3)}, px=16)


@pytest.mark.usefixtures("here")
def test_by_the_command(lab: Workspace, faces: Dataset, tmp_path: Path) -> None:
    """Measured, imported, listed and removed; the data set's fingerprint stays."""
    path = tmp_path / "traits.csv"
    path.write_text(TABLE)
    told = command(lab.home, "data", "traits", "faces")
    assert "no traits of faces yet; `fairlab data traits faces --measure` measures some" in told.stdout
    told = command(lab.home, "data", "traits", "faces", "--table", str(path), "--columns", "age", "--dry-run")
    assert (told.stdout, told.stderr) == ("age: known of 3 images\nnothing is written yet\n", "")
    assert "traits" not in open_dataset(faces.folder).info
    told = command(lab.home, "data", "traits", "faces", "--table", str(path), "--measure", "--json")
    assert told.returncode == 0, told.stderr
    shown = json.loads(told.stdout)["traits"]
    assert {row["trait"] for row in shown} == {"age", "scene", *FROM_PIXELS}
    assert [row["median"] for row in shown if row["trait"] == "age"] == [25.5, 44]
    data = open_dataset(faces.folder, verify=True)
    assert data.fingerprint == faces.fingerprint
    wanted = measure(np.asarray(data.pixels))
    for name, column in zip(FROM_PIXELS, wanted.T, strict=True):
        assert np.array_equal(traits_of(data)[name].values, column)
    before = read_manifest(data.folder)
    path.write_text(TABLE.replace("31", "old").replace("44", "45"))
    told = command(lab.home, "data", "traits", "faces", "--table", str(path))
    assert told.returncode != 0
    assert "traits.csv, line 3: age is 'old', expected a number" in told.stderr
    assert read_manifest(data.folder) == before
    assert command(lab.home, "data", "traits", "faces", "--remove", "age", "--remove", "contrast").returncode == 0
    assert set(Lab(lab.home).data["faces"].traits) == {"scene", *FROM_PIXELS} - {"contrast"}


def test_a_job_that_was_stopped_goes_on(lab: Workspace, faces: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured before the stop is not looked at again, unless the data are others; then it is."""
    monkeypatch.setattr(measuring, "KEPT_AT_ONCE", 2)
    monkeypatch.setattr(measuring, "PIXELS_AT_ONCE", 16 * 16)
    seen: list[int] = []
    monkeypatch.setattr(measuring, "measure", lambda pixels: seen.append(len(pixels)) or measure(pixels))
    monkeypatch.setattr("fairlab.queue.launch.dispatch", lambda _workspace: None)
    run_id = measure_traits(lab, "faces")
    record = read_run(lab, run_id)
    with pytest.raises(Stopped):
        measuring.carry_out(Job(lab, record, stop=lambda: len(seen) >= 3))
    assert (len(seen), traits_of(open_dataset(faces.folder))) == (3, {})
    measuring.carry_out(Job(lab, record))
    assert seen == [1] * 6  # the third image, whose block was not whole, twice
    assert set(traits_of(open_dataset(faces.folder, verify=True))) == set(FROM_PIXELS)
    assert not (record.folder / "measured").exists()


def test_what_cannot_be_measured_is_refused(lab: Workspace, faces: Dataset) -> None:
    """A data set by recipe, one without images, and a name that an imported trait has."""
    from fairlab.data.recipes import build_recipe
    from fairlab.data.traits import Trait

    build_recipe(Recipe(dataset="faces", groups=("Y",), held_out=False), lab.dataset("part"), "part")
    traits = Lab(lab.home).data["part"].traits
    with pytest.raises(FairLabError, match="part borrows its images and their traits: measure them for faces"):
        traits.measure()
    with pytest.raises(
        FairLabError, match=r"part has no trait 'pose'; it has: none. `fairlab data traits part --measure`"
    ):
        traits["pose"]
    with pytest.raises(FairLabError, match="faces came as a table: it has no images to measure"):
        measuring.check_measurable(Dataset(faces.folder, {**faces.info, "no_images": True}))
    keep_traits(faces, [Trait("contrast", "table", "", np.arange(5.0))])
    with pytest.raises(
        Refused, match="has a trait 'contrast' already, which was imported from a table; remove it first"
    ):
        measuring.check_measurable(open_dataset(faces.folder))


@pytest.mark.usefixtures("here")
def test_the_page_imports_shows_and_removes(
    lab: Workspace, faces: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "traits.csv"
    file.write_text(TABLE)
    monkeypatch.setenv("FAIRLAB_HOME", str(lab.home))
    app = AppTest.from_file(str(ROOT / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=120).run()
    app.switch_page(str(ROOT / "pages" / "data.py")).run()
    app.text_input(key="traits of:faces").set_value(str(tmp_path / "none.csv")).run()
    app.button(key="import traits").click().run()
    assert any("there is no file" in error.value for error in app.error)
    app.text_input(key="traits of:faces").set_value(str(file)).run()
    app.button(key="import traits").click().run()
    assert not app.exception
    shown = next(frame.value for frame in app.dataframe if "trait" in frame.value)
    assert shown["trait"].tolist() == ["age", "age", "scene", "scene"]
    assert app.multiselect(key="traits:faces").value == ["age", "scene"]
    app.selectbox(key="trait to remove:faces").select("age").run()
    app.button(key="remove trait").click().run()
    assert not app.exception
    assert list(Lab(lab.home).data["faces"].traits) == ["scene"]
