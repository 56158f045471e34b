"""Age limits of data sets, by a clock that is passed in."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fairlab.data.recipes import build_recipe
from fairlab.errors import FairLabError
from fairlab.files import read_json, write_json
from fairlab.settings.study import Recipe
from fairlab.storage.people.forget import forget
from fairlab.storage.retention import FILE, LOG, Expired, damaged, forget_expired, keep, limits
from fairlab.store.runs import read_run
from fairlab.store.studies import studies
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command, copied_home
from tests.data.test_forgetting import written
from tests.storage.people.test_forget import data_of, hits, spaces, traces


@pytest.fixture
def copy(tiny: Workspace, tmp_path: Path) -> Workspace:
    return open_workspace(copied_home(tiny.home, tmp_path / "copy"))


def test_a_limit_counts_from_when_the_data_were_added(copy: Workspace) -> None:
    """To the second: not over at the limit, over after it; a longer one starts at the same time, 0 and less is none."""
    data = data_of(copy)
    keep(copy, data.dataset_id, 180)
    (limit,) = limits(copy)
    assert limit.until - limit.added_at == timedelta(days=180)
    assert abs((limit.added_at - datetime.now(UTC)).total_seconds()) < 3600 * 24
    assert not limits(copy, limit.until)[0].over
    assert limits(copy, limit.until + timedelta(seconds=1))[0].over
    keep(copy, data.dataset_id, 200)
    assert limits(copy)[0].added_at == limit.added_at
    keep(copy, data.dataset_id, None)
    assert limits(copy) == []
    with pytest.raises(FairLabError, match="1 to 36,500 days"):
        keep(copy, data.dataset_id, 0)


def test_what_is_over_goes_with_all_that_was_made_of_it(copy: Workspace) -> None:
    """Not a second before; then pixels, vectors and names are gone, numbers stay, and the log names nobody."""
    data = data_of(copy)
    images = len(data.images)
    people = ["Group A train 001", "Group B test 002"]
    wanted, models = traces(copy, people), spaces(copy)
    keep(copy, data.dataset_id, 10)
    until = limits(copy)[0].until
    assert forget_expired(copy, until) == Expired([], {})
    done = forget_expired(copy, until + timedelta(days=1), heads=True)
    assert ([limit.dataset for limit in done.gone], done.left) == ([data.dataset_id], {})
    assert hits(copy, wanted) == []
    assert not copy.dataset(data.dataset_id).exists()
    assert (copy.home / LOG).read_text().split(" ", 1)[1] == f"{data.dataset_id}: {images} images, kept 10 days\n"
    assert len(studies(copy)) == 1
    for record in models:
        assert read_run(copy, record.run_id)
        assert (record.folder / "results" / data.dataset_id / "metrics.parquet").exists()
        model = record.folder / "weights" / "model.json"
        if model.exists():
            assert all(name.startswith("deleted-") for name in read_json(model)["identities"])
    assert limits(copy) == []


LONG_AGO = "2020-01-01T00:00:00+00:00"


def test_what_cannot_go_hinders_no_other(lab: Workspace) -> None:
    """A limit that cannot be read, a data set that cannot be opened, one that lends images to one that is kept: all said."""
    for name in ("a-lender", "b-damaged", "c-unreadable", "d-lender", "e-alone"):
        written(lab.dataset(name))
    for name, of in (("borrows-and-stays", "a-lender"), ("z-borrows", "d-lender")):
        build_recipe(Recipe(dataset=of, splits=("train",)), lab.dataset(name), name)
    for name in ("a-lender", "c-unreadable", "d-lender", "e-alone", "z-borrows"):
        write_json(lab.dataset(name) / FILE, {"days": 10, "added_at": LONG_AGO})
    (lab.dataset("b-damaged") / FILE).write_text("{")
    (lab.dataset("c-unreadable") / "images.parquet").write_text("nothing")
    would = command(lab.home, "storage", "forget", "--expired", "--dry-run")
    assert would.returncode == 1
    assert "5 data sets would go" in would.stdout
    done = command(lab.home, "storage", "forget", "--expired")
    assert done.returncode == 1
    assert "3 data sets deleted" in done.stdout
    assert "a-lender stays: data set borrows-and-stays borrows its images" in done.stdout
    assert "b-damaged stays: " in done.stdout
    assert "c-unreadable stays: " in done.stdout
    there = {path.name for path in lab.datasets_folder.iterdir()}
    assert there == {"a-lender", "b-damaged", "c-unreadable", "borrows-and-stays"}
    assert set(damaged(lab)) == {"b-damaged"}
    keep(lab, "b-damaged", 30)
    assert damaged(lab) == {}


def test_a_limit_set_after_a_deletion_counts_from_when_the_data_were_added(lab: Workspace) -> None:
    """Somebody's deletion writes all files anew, and then the next one's."""
    folder = written(lab.dataset("d")).folder
    for path in folder.iterdir():
        os.utime(path, (1.6e9, 1.6e9))
    for person in ("a", "b"):
        forget(lab, "d", person)
        keep(lab, "d", 10)
        assert limits(lab)[0].added_at.timestamp() == 1.6e9
        keep(lab, "d", None)
