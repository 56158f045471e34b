"""One person on the page: the nearest other people in a space."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fairlab.store.index import index_over
from fairlab.ui.judge import one_person


def test_a_person_of_many_images_has_nearest_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 images of one person at 0 degrees, and others at 10, 20 ... degrees."""
    degrees = np.r_[np.linspace(-1, 1, 300), 10 * np.arange(1, 13)]
    angles = np.deg2rad(degrees)
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    images = pd.DataFrame({"identity": ["own"] * 300 + [f"p{n}" for n in range(12)], "split": "test"})
    stored = SimpleNamespace(vectors=vectors, hash="h", rows_of=lambda ids: ids)
    index = index_over(np.arange(len(vectors)), vectors)
    monkeypatch.setattr("fairlab.ui.frame.cached.space", lambda *_: (stored, index))
    model, data = SimpleNamespace(run_id="run"), SimpleNamespace(dataset_id="faces", images=images)
    near = one_person.nearest(None, model, data, np.arange(300), ("test",))  # type: ignore[arg-type]
    assert [image for image, _ in near] == list(range(300, 300 + one_person.OTHERS))
    assert [score for _, score in near] == pytest.approx(np.cos(angles[300 : 300 + one_person.OTHERS]), abs=1e-5)
