from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.demo import build as demo_module
from fairlab.data.demo.build import build_demo
from fairlab.errors import FairLabError
from fairlab.settings.study import DemoData
from fairlab.tables import IMAGES, PAIRS
from tests.data.conftest import TINY


def test_the_tables_say_what_was_asked_for(tiny: Dataset) -> None:
    """Counts of people and images by split and group, sources, groups in order, and pairs of the right split."""
    found = open_dataset(tiny.folder, verify=True)
    images, pairs = found.images, found.pairs
    assert tuple(images.columns) == IMAGES
    assert tuple(pairs.columns) == PAIRS
    assert found.groups == TINY.groups
    assert images["image_id"].tolist() == list(range(len(images)))
    counts = images.groupby("split")["identity"].nunique().to_dict()
    assert counts == {"train": 9, "validation": 9, "test": 15, "synthetic": 3}
    assert images.groupby("split").size().to_dict() == {"train": 27, "validation": 36, "test": 60, "synthetic": 9}
    assert set(images.loc[images["source"] == "synthetic", "split"]) == {"synthetic"}
    assert (images.groupby("identity")[["split", "group"]].nunique() == 1).all(axis=None)
    for protocol, count in (("validation", 10), ("test", 20)):
        own = found.pairs_of(protocol)
        assert len(own) == 2 * count * 3
        assert set(images.loc[own["image_a"], "split"]) == {protocol}
    assert pairs["pair_id"].is_unique
    assert found.pixels.shape == (len(images), 24, 24, 3)
    assert found.info["recipe"]["seed"] == TINY.seed


def test_the_same_bytes_for_any_number_of_threads(tiny: Dataset, tmp_path: Path) -> None:
    """Two more runs, with one and with three threads, give the same pixels and the same fingerprint."""
    for threads in (1, 3):
        again = build_demo(TINY, tmp_path / f"t{threads}", "tiny", threads=threads)
        assert again.fingerprint == tiny.fingerprint
        assert (again.pixels == tiny.pixels).all()


def test_another_seed_gives_other_people(tiny: Dataset, tmp_path: Path) -> None:
    other = build_demo(TINY.model_copy(update={"seed": 1}), tmp_path / "other", "tiny")
    assert other.fingerprint != tiny.fingerprint
    assert not (other.pixels[:5] == tiny.pixels[:5]).all()


def test_pictures_of_a_person_differ_and_none_is_empty(tiny: Dataset) -> None:
    """Every picture is its own, and has light and shade."""
    flat = tiny.pixels.reshape(len(tiny.pixels), -1)
    assert len(np.unique(flat, axis=0)) == len(flat)
    assert flat.std(1).min() > 8
    assert 50 < flat.mean() < 180


@pytest.mark.parametrize("groups", [("Only",), tuple(f"Group {i}" for i in range(6))])
def test_groups_are_data(tmp_path: Path, groups: tuple[str, ...]) -> None:
    """One group, or six: more than there are signature regions."""
    few = TINY.model_copy(
        update={"groups": groups, "train_identities": 2, "train_images": 2, "synthetic_identities": 0}
    )
    found = build_demo(few, tmp_path / "few", "few")
    assert found.groups == groups
    assert set(found.images["group"]) == set(groups)
    assert set(found.pairs["group"]) == set(groups)


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    """It never falls, and its last call says that all is done."""
    seen: list[tuple[int, int]] = []
    built = build_demo(TINY, tmp_path / "x", "x", lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (len(built.images), len(built.images))
    assert len(seen) > 10


def test_stopping_leaves_nothing(tmp_path: Path) -> None:
    """Neither the data set nor a temporary folder, whenever the stop comes."""
    for calls in (0, 5):
        left = iter([False] * calls + [True] * 1000)
        built = build_demo(TINY, tmp_path / "x", "x", stop=lambda left=left: next(left))
        assert dict(built.info) == {}
        assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in a thread comes out, and the folder is as it was."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo_module, "photograph", fail)
    with pytest.raises(FairLabError, match="disk is full"):
        build_demo(TINY, tmp_path / "x", "x")
    assert list(tmp_path.iterdir()) == []


def test_impossible_pairs_are_said_before_rendering(tmp_path: Path) -> None:
    """The message names group, protocol and what would be right; nothing is rendered."""
    with pytest.raises(FairLabError, match="group 'North' of the test pairs: 999 genuine pairs requested"):
        build_demo(TINY.model_copy(update={"test_pairs": 999}), tmp_path / "x", "x", lambda *_: pytest.fail("rendered"))
    assert list(tmp_path.iterdir()) == []


def test_the_data_set_can_be_made_anew(tmp_path: Path) -> None:
    """A folder of that name is replaced as a whole."""
    build_demo(TINY, tmp_path / "x", "x")
    one = build_demo(DemoData.model_validate({**TINY.model_dump(), "groups": ("Solo",)}), tmp_path / "x", "x")
    assert open_dataset(tmp_path / "x", verify=True).groups == ("Solo",) == one.groups
