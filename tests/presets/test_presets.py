"""Presets: found, whole, and a bad file is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlab.errors import FairLabError
from fairlab.presets import load_preset, load_study, preset_names
from fairlab.settings.loss import ArcFaceSettings
from fairlab.settings.study import Study, parse, training_in_grid


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_survives_json(name: str) -> None:
    """What a run folder stores is what was chosen, to the bit."""
    found = load_preset(name)
    assert parse(Study, found.model_dump(mode="json"), name) == found


@pytest.mark.parametrize(
    ("name", "epochs", "drops"), [("adadistill_ms1mv2", 26, (7, 13, 19, 24)), ("adadistill_casia", 60, (39, 47, 51))]
)
def test_adadistill_has_the_margin_and_schedule_of_its_code(name: str, epochs: int, drops: tuple[int, ...]) -> None:
    """G16: published drops m act at the start of epoch m - 1, counted from 0."""
    student = load_preset(name).student
    training = student.training
    assert (training.epochs, training.drop_epochs) == (epochs, drops)
    assert (training.batch_size, training.base_lr, training.momentum) == (512, 0.1, 0.9)
    assert (training.weight_decay, training.clip_norm) == (5e-4, 5.0)
    assert student.loss == ArcFaceSettings(margin_rad=0.45, scale=64.0)
    assert (student.backbone.name, load_preset(name).teacher.backbone.name) == ("mobilefacenet", "iresnet50")


def test_ekd_alone_has_its_papers_batch_in_the_demo_of_all_methods() -> None:
    """8 identities x 4 images beside as many general images as the others have, at their learning rate."""
    study = load_preset("all_methods_demo")
    usual = study.student.training
    ekd = training_in_grid(study.grid, usual, "ekd")
    assert study.grid.training.keys() == {"ekd"}
    assert (ekd.pair_identities, ekd.pair_images, ekd.general_rows) == (8, 4, usual.batch_size)
    assert ekd.base_lr * ekd.step_images == pytest.approx(usual.base_lr * usual.step_images)
    changes = {"batch_size": usual.batch_size, "base_lr": usual.base_lr, "pair_identities": 0}
    assert ekd.model_copy(update=changes) == usual


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
