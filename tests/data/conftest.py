from __future__ import annotations

from pathlib import Path

import pytest

from fairlab.data.dataset import Dataset
from fairlab.data.demo.build import Studio, build_demo, open_studio
from fairlab.settings.study import DemoData

TINY = DemoData(
    image_px=24,
    groups=("North", "South", "East"),
    train_identities=3,
    train_images=3,
    validation_identities=3,
    test_identities=5,
    test_images=4,
    synthetic_identities=1,
    test_pairs=20,
    validation_pairs=10,
    hard_impostors=2,
)


@pytest.fixture(scope="session")
def studio() -> Studio:
    return open_studio()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder: Path = tmp_path_factory.mktemp("datasets") / "tiny"
    return build_demo(TINY, folder, "tiny")
