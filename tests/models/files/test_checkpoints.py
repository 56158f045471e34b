"""Networks survive the disk; what is damaged is noticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fairlab.errors import Damaged, FairLabError
from fairlab.files import write_manifest
from fairlab.losses.base import LOSSES
from fairlab.models.base import ADAPTORS, BACKBONES
from fairlab.models.files import checkpoints
from fairlab.models.files.checkpoints import load_head, load_learner, save_model
from fairlab.settings.backbone import backbone_settings
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Adaptor, Backbone
from tests.models.test_contract import EQUAL, for_adaptor

TINY = Backbone(name="tiny", embedding_dim=6, widths=(4, 8))
FACTS: dict[str, Any] = {"kind": "backbone", "settings": TINY.model_dump(mode="json"), "image_px": 24}


def a_trained_network() -> nn.Module:
    """With running statistics that are not the initial ones."""
    torch.manual_seed(0)
    network = BACKBONES["tiny"](TINY, 24)
    network(torch.randn(8, 3, 24, 24) * 2 + 1)
    return network


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    save_model(folder, a_trained_network(), LOSSES["arcface"](6, 5, loss_settings()), FACTS)
    return folder


def rewrite(folder: Path, **changes: Any) -> None:
    """Change the facts and make the manifest agree, as a hand that edits both would."""
    facts = json.loads((folder / "model.json").read_text()) | changes
    (folder / "model.json").write_text(json.dumps({k: v for k, v in facts.items() if v is not ...}))
    write_manifest(folder, ["learner.safetensors", "head.safetensors", "model.json"])


def test_a_backbone_comes_back_bit_by_bit(saved: Path) -> None:
    """Weights, running statistics, facts; in evaluation mode."""
    network, (loaded, facts) = a_trained_network(), load_learner(saved)
    assert not loaded.training
    assert facts == FACTS
    mine = loaded.state_dict()
    assert all(torch.equal(mine[name], tensor) for name, tensor in network.state_dict().items())
    images = torch.randn(2, 3, 24, 24)
    assert torch.equal(loaded(images), network.eval()(images))


@pytest.mark.parametrize("name", list(ADAPTORS))
def test_an_adaptor_comes_back(name: str, tmp_path: Path) -> None:
    """Over teachers of different lengths, where it can."""
    settings, dims = Adaptor(name=name, embedding_dim=5), (4, 4) if name in EQUAL else (3, 4)
    adaptor = ADAPTORS[name](settings, dims).eval()
    facts = {"kind": "adaptor", "settings": settings.model_dump(mode="json"), "input_dims": list(dims)}
    save_model(tmp_path / "w", adaptor, None, facts)
    x = for_adaptor(name, dims, 50)
    assert torch.equal(load_learner(tmp_path / "w")[0](x), adaptor(x))
    with pytest.raises(FairLabError, match="no classifier"):
        load_head(tmp_path / "w")


def test_a_channels_last_network_comes_back(tmp_path: Path) -> None:
    """The loop trains in this memory format; the file holds plain tensors."""
    network = a_trained_network()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_model(tmp_path / "w", network, None, FACTS)
    loaded = load_learner(tmp_path / "w")[0]
    assert torch.equal(loaded.state_dict()["stages.0.down.0.weight"], network.state_dict()["stages.0.down.0.weight"])


def test_the_head_comes_back(saved: Path) -> None:
    """Class centres (C, D)."""
    assert load_head(saved)["weight"].shape == (5, 6)


def test_saving_again_replaces_everything(saved: Path) -> None:
    """Also a head that is no longer there; and no temporary folder stays."""
    save_model(saved, a_trained_network(), None, FACTS | {"identities": ["a"]})
    assert load_learner(saved)[1]["identities"] == ["a"]
    with pytest.raises(FairLabError, match="no classifier"):
        load_head(saved)
    assert [path.name for path in saved.parent.iterdir()] == ["weights"]


def test_a_failed_save_leaves_the_old_network(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk half way: the error is a sentence, the old folder whole, no rubbish beside it."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(FairLabError, match="disk is full"):
        save_model(saved, a_trained_network(), None, FACTS)
    load_learner(saved)
    assert [path.name for path in saved.parent.iterdir()] == ["weights"]


@pytest.mark.parametrize("name", ["learner.safetensors", "head.safetensors", "model.json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_every_harm_to_a_file_is_noticed(saved: Path, name: str, harm: str) -> None:
    """A flipped bit, a cut end, a missing file."""
    path = saved / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(content if harm == "flip" else content[:-1])
    with pytest.raises(FairLabError) as error:
        load_learner(saved)
    assert str(saved) in str(error.value)


def test_a_run_without_weights_says_what_to_do(tmp_path: Path) -> None:
    """Neither a network nor a head."""
    for load in (load_learner, load_head):
        with pytest.raises(FairLabError, match="no trained network"):
            load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "pickle"}, "known are 'backbone', 'adaptor' and 'onnx'"),
        ({"kind": ...}, "does not say how"),
        ({"image_px": ...}, "does not say how"),
        ({"image_px": "large"}, "does not say how"),
        ({"image_px": 48}, "not the network"),
        ({"settings": {**FACTS["settings"], "embedding_dim": 7}}, "not the network"),
        ({"settings": {**FACTS["settings"], "widths": [4, 8, 8]}}, "not the network"),
        ({"settings": {**FACTS["settings"], "name": "huge"}}, "no backbone 'huge'"),
        ({"settings": {**FACTS["settings"], "colour": 1}}, "no setting 'colour'"),
    ],
)
def test_facts_that_do_not_fit_are_refused(saved: Path, changes: dict[str, Any], message: str) -> None:
    """Even with a manifest that agrees; in one sentence on one line."""
    rewrite(saved, **changes)
    with pytest.raises(FairLabError, match=message) as error:
        load_learner(saved)
    assert "\n" not in str(error.value)


def test_a_manifest_that_leaves_out_the_weights_is_refused(saved: Path) -> None:
    """Otherwise unchecked weights would be trusted."""
    write_manifest(saved, ["model.json"])
    with pytest.raises(Damaged, match="does not list learner"):
        load_learner(saved)
    with pytest.raises(Damaged, match="does not list head"):
        load_head(saved)


def test_a_file_that_is_no_safetensors_is_refused(saved: Path) -> None:
    """Even with a matching hash."""
    (saved / "learner.safetensors").write_bytes(b"not tensors at all")
    rewrite(saved)
    with pytest.raises(Damaged, match="not a safetensors file"):
        load_learner(saved)


def test_a_network_with_settings_of_its_own_comes_back_with_its_fixed_weights(tmp_path: Path) -> None:
    """The numbers of the file, not those that the seed would draw: another version may draw others."""
    settings = backbone_settings("patch_echo", patch_px=8, token_dim=4, units=10, embedding_dim=6)
    network = BACKBONES["patch_echo"](settings, 16).eval()
    with torch.no_grad():
        network.get_parameter("reservoir.recurrent.weight").mul_(0.5)
    save_model(
        tmp_path / "m",
        network,
        None,
        {"kind": "backbone", "settings": settings.model_dump(mode="json"), "image_px": 16},
    )
    loaded, _ = load_learner(tmp_path / "m")
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in network.state_dict().items())
    assert not loaded.get_parameter("reservoir.recurrent.weight").requires_grad
    images = torch.rand(2, 3, 16, 16)
    assert torch.equal(loaded(images), network(images))
