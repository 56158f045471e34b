"""Traits of the sides of pairs: of images, and of templates as the mean over their images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.compare.traits import of_sides
from fairlab.errors import FairLabError
from fairlab.tables import PAIRS, TEMPLATES


class Set:
    """As much of a data set as is asked."""

    dataset_id = "set"

    def __init__(self, templates: pd.DataFrame | None) -> None:
        self.templates = templates

    def pairs_of(self, protocol: str) -> pd.DataFrame:
        assert protocol == "test"
        rows = [(7, "test", 0, 2, True, "A", 0), (9, "test", 2, 4, False, "A", 0)]
        return PAIRS.build(rows)


class Record:
    def __init__(self, folder: Path) -> None:
        self.folder = folder


def test_of_images_and_of_templates(tmp_path: Path) -> None:
    """Template 0 is of images 0 and 1, template 2 of 2 and 3, template 4 of 4 alone."""
    values = np.array([1.0, 3, 10, 20, 7])
    record = Record(tmp_path)
    images = of_sides(record, Set(None), "test", np.array([9, 7]), values)  # type: ignore[arg-type]
    assert images.tolist() == [[10, 7], [1, 10]]
    rows = [(0, 0, 0, 1.0, "p"), (0, 1, 0, 1.0, "p"), (2, 2, 0, 1.0, "q"), (2, 3, 1, 1.0, "q"), (4, 4, 0, 1.0, "r")]
    templates = of_sides(record, Set(TEMPLATES.build(rows)), "test", np.array([7, 9]), values)  # type: ignore[arg-type]
    assert templates.tolist() == [[2, 15], [15, 7]]
    with pytest.raises(FairLabError, match="pair 8 is not among the test pairs"):
        of_sides(record, Set(None), "test", np.array([8]), values)  # type: ignore[arg-type]
