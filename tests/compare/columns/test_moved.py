"""The colour "neighbours kept": what was measured, by image; unknown elsewhere."""

from types import SimpleNamespace

import numpy as np
import pytest

from fairlab.compare.columns import moved
from fairlab.store.moved import OVERLAP


def test_each_image_has_its_own_overlap_and_others_none(monkeypatch: pytest.MonkeyPatch) -> None:
    table = OVERLAP.of({"image_id": np.array([7, 2, 5]), "overlap": np.array([0.7, 0.2, 0.5])})
    monkeypatch.setattr(moved, "overlap_of", lambda *_: table)
    run, other = SimpleNamespace(run_id="a"), SimpleNamespace(run_id="b")
    space = SimpleNamespace(run=run, beside=other, splits=("test",), data=SimpleNamespace(dataset_id="faces"))
    found = moved.neighbours_kept(space, np.array([2, 3, 7, 9, 5]))  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, [0.2, np.nan, 0.7, np.nan, 0.5])
    space.beside = run
    assert np.isnan(moved.neighbours_kept(space, np.array([2]))).all()  # type: ignore[arg-type]
    space.beside = other
    monkeypatch.setattr(moved, "overlap_of", lambda *_: OVERLAP.build())
    assert np.isnan(moved.neighbours_kept(space, np.array([2]))).all()  # type: ignore[arg-type]
