"""Age limits of data sets, by a clock that is passed in."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fairlab.errors import FairLabError
from fairlab.files import read_json
from fairlab.runs.compare import studies
from fairlab.runs.retention import LOG, forget_expired, keep, limits
from fairlab.store.runs import read_run
from fairlab.workspace import Workspace, open_workspace
from tests.runs.test_forget import data_of, hits, spaces, traces


@pytest.fixture
def copy(tiny: Workspace, tmp_path: Path) -> Workspace:
    return open_workspace(shutil.copytree(tiny.home, tmp_path / "copy"))


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
    with pytest.raises(FairLabError, match="1 day or more"):
        keep(copy, data.dataset_id, 0)


def test_what_is_over_goes_with_all_that_was_made_of_it(copy: Workspace) -> None:
    """Not a second before; then pixels, vectors and names are gone, numbers stay, and the log names nobody."""
    data = data_of(copy)
    images = len(data.images)
    people = ["Group A train 001", "Group B test 002"]
    wanted, models = traces(copy, people), spaces(copy)
    keep(copy, data.dataset_id, 10)
    until = limits(copy)[0].until
    assert forget_expired(copy, until) == []
    assert [limit.dataset for limit in forget_expired(copy, until + timedelta(days=1), heads=True)] == [data.dataset_id]
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
