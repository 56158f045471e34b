"""Presets: found, whole, and a bad file is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlab.errors import FairLabError
from fairlab.presets import load_preset, load_study, preset_names
from fairlab.settings.study import Study, parse


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_survives_json(name: str) -> None:
    """What a run folder stores is what was chosen, to the bit."""
    found = load_preset(name)
    assert parse(Study, found.model_dump(mode="json"), name) == found


def test_an_unknown_preset_is_answered_with_those_there_are() -> None:
    with pytest.raises(FairLabError, match=r"there is no preset 'mst_kdd'; choose one of: .*mst_kd"):
        load_preset("mst_kdd")


def test_a_preset_that_changes_one_field_keeps_its_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('dataset = "d"\n[adaptor.training]\nepochs = 3\ndrop_epochs = [2]\n')
    found = load_study(path).adaptor
    assert (found.training.epochs, found.training.base_lr, found.loss.sigma_rad) == (3, 1.0, 0.0125)


@pytest.mark.parametrize("content", [b"a = ", b"\xff", b"[x\n"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.toml").write_bytes(content)
    with pytest.raises(FairLabError, match=r"mine\.toml is not readable TOML"):
        load_study(tmp_path / "mine.toml")
