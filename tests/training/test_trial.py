"""The trial of a model's record: faces whose identity only red tells, and a network that only looks at red."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from fairlab.data.dataset import Dataset
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError
from fairlab.models.preprocessing import Preprocessing
from fairlab.training import trial
from fairlab.training.trial import try_model

PX, PEOPLE, EACH = 16, 12, 4


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return drawn(tmp_path_factory.mktemp("red") / "red", ("everyone",))


def drawn(folder: Path, groups: tuple[str, ...]) -> Dataset:
    """People are patterns in red, alike left and right as faces are; blue and green are noise."""
    dice = np.random.default_rng(0)
    people = dice.uniform(40, 215, (PEOPLE, PX, PX // 2))
    people = np.concatenate([people, people[:, :, ::-1]], axis=2)
    pixels = dice.uniform(40, 215, (PEOPLE * EACH, PX, PX, 3))
    pixels[..., 0] = np.repeat(people, EACH, axis=0) + dice.normal(0, 8, pixels.shape[:3])
    identity = np.repeat([f"p{n}" for n in range(PEOPLE)], EACH)
    images = pd.DataFrame(
        {
            "image_id": np.arange(PEOPLE * EACH),
            "dataset": "red",
            "split": "test",
            "identity": identity,
            "group": [groups[person % len(groups)] for person in np.repeat(np.arange(PEOPLE), EACH)],
            "source": "synthetic",
            "location": "",
        }
    )
    genuine = [(p * EACH + a, p * EACH + a + 1) for p in range(PEOPLE) for a in range(3)]
    impostor = [
        (p * EACH + a, ((p + len(groups)) * EACH + a) % (PEOPLE * EACH)) for p in range(PEOPLE) for a in range(3)
    ]
    pairs = pd.DataFrame(genuine + impostor, columns=["image_a", "image_b"])
    pairs = pairs.assign(
        pair_id=np.arange(len(pairs)),
        protocol="test",
        genuine=[True] * len(genuine) + [False] * len(impostor),
        group=images["group"].to_numpy()[pairs["image_a"]],
        fold=np.tile(np.arange(len(genuine)) % 9, 2),
    )
    return write_dataset(
        folder,
        NewDataset(
            dataset_id="red",
            kind="test",
            attribute="group",
            groups=groups,
            images=images,
            pairs=pairs,
            pixels=pixels.clip(0, 255).astype(np.uint8),
            recipe={},
        ),
    )


class Red(nn.Module):
    """The red plane as the embedding, clipped to -1..1, as far as it was trained on."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0].clamp(-1, 1).flatten(1)


def test_a_right_record_is_not_doubted(faces: Dataset) -> None:
    found = try_model(Red(), Preprocessing(image_px=PX), faces)
    first, second, *_ = found["readings"]
    assert (first["what"], first["accuracy"]) == ("as recorded", 1.0)
    assert first["accuracy_low"] == pytest.approx(0.025 ** (1 / 72))  # no error in 72 pairs
    assert second["what"] == "BGR instead of RGB"
    assert second["high"] < 0
    assert found["flip_cosine"] > 0.9 > found["other_cosine"]
    assert found["warnings"] == []


def test_the_two_columns_agree(tmp_path: Path) -> None:
    """The difference is that of the accuracies beside it, in a set of two groups too."""
    faces = drawn(tmp_path / "two", ("bright", "dark"))
    recorded, *others = try_model(Red(), Preprocessing(image_px=PX, channels="BGR"), faces)["readings"]
    assert len(others) == 3
    for row in others:
        assert row["difference"] == pytest.approx(row["accuracy"] - recorded["accuracy"], abs=1e-9)


def test_a_large_network_sees_fewer_faces(faces: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as some seconds allow, people whole; what is said then is said of these."""
    monkeypatch.setattr(trial, "SECONDS", 0.0)
    monkeypatch.setattr(trial, "_FEWEST", 16)
    found = try_model(Red(), Preprocessing(image_px=PX), faces)
    assert found["faces"] == 16  # four people of four images
    assert found["note"].startswith("tried on 16 of 48 generated faces, because one takes")
    assert found["readings"][0]["accuracy"] == 1.0
    monkeypatch.setattr(trial, "SECONDS", 1e9)
    assert try_model(Red(), Preprocessing(image_px=PX), faces)["faces"] == PEOPLE * EACH


def test_a_wrong_channel_order_is_found(faces: Dataset) -> None:
    said = try_model(Red(), Preprocessing(image_px=PX, channels="BGR", flip="none"), faces)["warnings"][0]
    assert said.startswith("with RGB instead of BGR it separates generated faces better than as recorded")


def test_a_wrong_scaling_is_found(faces: Dataset) -> None:
    """Pixels of 0..255 lie beyond all that the network knows: everybody is the same."""
    record = Preprocessing(image_px=PX, mean=(0.0,) * 3, std=(1.0,) * 3)
    warnings = try_model(Red(), record, faces)["warnings"]
    assert any(said.startswith("with pixels as -1..1 it separates") for said in warnings)
    assert any("different people get nearly the same embedding (mean cosine 1.00)" in said for said in warnings)


def test_a_network_that_is_none_is_said(faces: Dataset) -> None:
    class Nothing(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.full((len(images), 4), float("nan"))

    class Left(nn.Module):
        """Looks at the left half alone, against the mean: a mirrored face is another one. Short, too."""

        def forward(self, images: Tensor) -> Tensor:
            half = images[:, 2, :, : PX // 2]
            return 1e-6 * (half - half.mean((1, 2), keepdim=True)).flatten(1)

    with pytest.raises(FairLabError, match="not finite"):
        try_model(Nothing(), Preprocessing(image_px=PX), faces)
    warnings = try_model(Left(), Preprocessing(image_px=PX, channels="BGR"), faces)["warnings"]
    assert any("an embedding is nearly zero" in said for said in warnings)
