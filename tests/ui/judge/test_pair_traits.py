"""Beside the pair that was clicked: what is known of its two images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from streamlit.testing.v1 import AppTest

from fairlab.data.traits import Trait, keep_traits
from tests.data.shared_sets import data_of


def page(folder: str) -> None:
    from pathlib import Path

    import pandas as pd

    from fairlab.data.dataset import open_dataset
    from fairlab.ui.judge.one_pair import traits

    row = {"image_a": 0, "image_b": 2, "identity_a": "a", "identity_b": "b", "group_a": "X", "group_b": "Y"}
    traits(open_dataset(Path(folder)), pd.Series(row))


def test_traits_of_both_images_are_beside_a_pair(tmp_path: Path) -> None:
    """Numbers with four digits, texts without markup, n/a where one is unknown."""
    data = data_of(tmp_path / "faces", {"a": ("X", 2), "b": ("Y", 2)})
    scene = np.array(["*in*", "out", "", "out"], dtype=object)
    keep_traits(
        data,
        [
            Trait("age", "table", "", np.array([20.0, 30, 31.4159, 40])),
            Trait("scene", "table", "", scene),
        ],
    )
    app = AppTest.from_function(page, args=(str(data.folder),)).run()
    assert not app.exception
    rows = app.table[0].value
    assert rows.to_numpy().tolist()[2:] == [["age", "20", r"31\.42"], ["scene", r"\*in\*", "n/a"]]
    assert list(rows) == ["", "Image 0", "Image 2"]
