"""Targets: the view rule, parents at work in every step, and trainings that resume to the bit with either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from fairlab.errors import Stopped
from fairlab.methods.base import METHODS, Method
from fairlab.models.base import ADAPTORS, BACKBONES
from fairlab.models.preprocessing import Preprocessing
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Adaptor, Backbone, Data, Run, Training
from fairlab.store.embeddings import Embeddings
from fairlab.training.extract import View, embed
from fairlab.training.loader import ImageInputs
from fairlab.training.loop import Course, Hooks, Samples, train
from fairlab.training.targets import (
    FusedSpace,
    ImageSpace,
    OnlineTargets,
    StoredTargets,
    acquainted,
    centroids,
    some_of_each,
)

CPU = torch.device("cpu")
NOTHING = torch.zeros(0)


def a_store(vectors: Any, norms: Any, ids: Any) -> Embeddings:
    arrays = (np.asarray(vectors, np.float32), np.asarray(norms, np.float32), np.asarray(ids, np.int64))
    return Embeddings(Path(), *arrays, {})


PLAIN = a_store([[1, 0], [0.6, 0.8], [0, 1]], [2, 5, 1], [10, 20, 30])
FLIPPED = a_store([[0, 1], [0.8, 0.6], [0, 1]], [2, 5, 3], [10, 20, 30])
ROWS, SOME, MIRRORED = np.array([30, 10, 20]), np.array([1, 2, 0]), np.array([True, False, True])


@pytest.mark.parametrize(
    ("rule", "units", "lengths"),
    [
        ("plain", [[1, 0], [0.6, 0.8], [0, 1]], [2, 5, 1]),
        ("matching", [[0, 1], [0.6, 0.8], [0, 1]], [2, 5, 3]),
        ("mean", [[0.5**0.5, 0.5**0.5], [0.5**0.5, 0.5**0.5], [0, 1]], [2**0.5, 3.5 * 2**0.5, 2]),
    ],
)
def test_the_view_rule(rule: Any, units: list[list[float]], lengths: list[float]) -> None:
    """Images 10 (mirrored), 20 and 30 (mirrored), found by their ids (identity S7, S8)."""
    found, sizes = StoredTargets(PLAIN, FLIPPED, ROWS, rule).batch(SOME, MIRRORED, NOTHING)
    torch.testing.assert_close(found, torch.tensor(units, dtype=torch.float32))
    torch.testing.assert_close(sizes, torch.tensor(lengths, dtype=torch.float32))


def test_a_rule_needs_its_view_and_reading_changes_no_store() -> None:
    """Matching replaces rows: of a copy."""
    with pytest.raises(ValueError, match="needs the embeddings of the mirrored"):
        StoredTargets(PLAIN, None, ROWS, "matching")
    StoredTargets(PLAIN, FLIPPED, ROWS, "matching").batch(SOME, MIRRORED, NOTHING)
    assert PLAIN.vectors[0].tolist() == [1, 0]


def a_network(seed: int, dim: int = 6, px: int = 16) -> nn.Module:
    torch.manual_seed(seed)
    network = BACKBONES["tiny"](Backbone(name="tiny", embedding_dim=dim, widths=(4, 8)), px)
    for module in network.modules():  # statistics that evaluation mode can be told by
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    return network.eval()


PIXELS = np.random.default_rng(0).integers(0, 255, (23, 16, 16, 3), dtype=np.uint8)
NO_FLIP = np.zeros(23, bool)


def test_a_teacher_at_work_gives_what_would_be_stored() -> None:
    """To the bit, of the very view: also of mirrored images; no gradient, and in evaluation mode."""
    network = a_network(1).train()
    online = OnlineTargets(ImageSpace(network, Preprocessing(image_px=16), CPU), 16, CPU)
    inputs = ImageInputs(PIXELS, np.arange(23))
    for mirrored in (False, True):
        ((stored, norms),) = embed(View(a_network(1), inputs, mirrored, CPU))
        seen = inputs.batch(np.arange(23), np.full(23, mirrored))
        found, lengths = online.batch(np.arange(23), np.full(23, mirrored), seen)
        np.testing.assert_allclose(found.numpy(), stored, atol=1e-6)
        np.testing.assert_allclose(lengths.numpy(), norms, rtol=1e-6)
        assert not found.requires_grad
        assert not found.is_inference()
    assert not any(weight.requires_grad for weight in network.parameters())
    assert online.dim == 6


def test_a_teacher_at_work_gets_images_as_it_takes_them() -> None:
    """Blue first, another mean and std: as if it had read the pixels itself."""
    about = Preprocessing(image_px=16, channels="BGR", mean=(100.0, 110.0, 120.0), std=(50.0, 60.0, 70.0))
    space = ImageSpace(nn.Identity(), about, CPU)
    ours = ImageInputs(PIXELS, np.arange(23)).batch(np.arange(23), NO_FLIP)
    theirs = ImageInputs(PIXELS, np.arange(23), about).batch(np.arange(23), NO_FLIP)
    torch.testing.assert_close(space.prepared(ours), theirs, atol=1e-4, rtol=1e-4)


def test_a_teacher_at_work_gets_images_of_its_size() -> None:
    """A uniform image stays what it is."""
    space = ImageSpace(nn.Identity(), Preprocessing(image_px=24), CPU)
    torch.testing.assert_close(space.prepared(torch.full((2, 3, 16, 16), 0.25)), torch.full((2, 3, 24, 24), 0.25))


def test_an_adaptor_at_work_fuses_its_teachers_in_their_order() -> None:
    """Unit embeddings side by side, as in its own training (identity A1, A9)."""
    torch.manual_seed(3)
    teachers = [a_network(1, 6), a_network(2, 4)]
    adaptor = ADAPTORS["dldpo"](Adaptor(name="dldpo", embedding_dim=5), (6, 4)).train()
    parts = [ImageSpace(teacher, Preprocessing(image_px=16), CPU) for teacher in teachers]
    found, _ = OnlineTargets(FusedSpace(adaptor, parts, CPU), 16, CPU).batch(
        np.arange(23), NO_FLIP, images := ImageInputs(PIXELS, np.arange(23)).batch(np.arange(23), NO_FLIP)
    )
    with torch.no_grad():
        both = torch.cat([functional.normalize(teacher(images)) for teacher in teachers], 1)
        torch.testing.assert_close(found, functional.normalize(adaptor.eval()(both)))


def test_centroids_and_acquaintance() -> None:
    """Mean directions by identity; a permuted classifier does not know its people (identity P3)."""
    draw = np.random.default_rng(1)
    labels = np.arange(60) % 5
    vectors = np.eye(8)[labels] + 0.2 * draw.normal(size=(60, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store, rows = a_store(vectors, np.ones(60), np.arange(100, 160)), np.arange(100, 160)
    found = centroids(store, rows, labels, 5)
    expected = np.stack([vectors[labels == label].mean(0) for label in range(5)])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    own, others = acquainted(3 * found, store, rows, labels)
    assert own > 0.7 > others
    own, others = acquainted(found.roll(1, 0), store, rows, labels)
    assert own < others


def a_student(name: str, seed: int = 0) -> Method:
    torch.manual_seed(seed)
    config = Run(
        role="student",
        method=name,
        data=Data(dataset="x"),
        backbone=Backbone(name="tiny", embedding_dim=8, widths=(4, 8)),
        loss=loss_settings(scale=8.0, margin_rad=0.2, sigma_rad=0.05),
    )
    return METHODS[name](config, classes=5, image_px=16, teacher_dims=(6,))


def samples(online: bool) -> Samples:
    inputs, labels = ImageInputs(PIXELS, np.arange(23)), np.arange(23) % 5
    if online:
        return Samples(
            inputs, labels, OnlineTargets(ImageSpace(a_network(1), Preprocessing(image_px=16), CPU), 16, CPU)
        )
    ((stored, norms),) = embed(View(a_network(1), inputs, False, CPU))
    return Samples(inputs, labels, StoredTargets(a_store(stored, norms, np.arange(23)), None, np.arange(23)))


def state(method: Method) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in method.state_dict().values()]


@pytest.mark.parametrize(("name", "online"), [("adadistill", False), ("ekd", False), ("fitnet", True)])
def test_stopping_at_every_step_changes_no_bit(tmp_path: Path, name: str, online: bool) -> None:
    """Centres, anchors and targets made on the way: nothing is remembered outside the checkpoint."""
    settings, data = Training(epochs=2, batch_size=8, base_lr=1.0, drop_epochs=(1,)), samples(online)

    def run(method: Method, folder: Path, answers: list[bool]) -> bool:
        left = iter(answers)
        hooks = Hooks(lambda: next(left, False), lambda *_: None, lambda *_: None, lambda _text: None)
        try:
            train(method, data, Course(settings, 7, folder, {"data": "d"}), hooks)
        except Stopped:
            return False
        return True

    whole, other = a_student(name), a_student(name)
    first = state(whole)
    assert run(whole, tmp_path / "whole", [])
    parts = 0
    while not run(other, tmp_path / "parts", [False, True]):
        parts, other = parts + 1, a_student(name, seed=parts + 1)
        if parts > 9:
            break
    assert parts == 3  # 4 steps
    assert state(other) == state(whole) != first


def test_some_images_of_each_identity_are_drawn_with_the_seed() -> None:
    """At most three of each; all of those that have fewer; another seed draws others."""
    labels = np.array([0] * 10 + [1] * 2 + [2] * 40 + [0] * 5 + [4])
    drawn = some_of_each(labels, 3, 0)
    assert np.bincount(labels[drawn]).tolist() == [3, 2, 3, 0, 1]
    assert np.array_equal(drawn, np.unique(drawn))
    assert np.array_equal(drawn, some_of_each(labels, 3, 0))
    assert not np.array_equal(drawn, some_of_each(labels, 3, 1))
    assert np.array_equal(some_of_each(labels, 40, 5), np.arange(len(labels)))
    often = np.bincount(np.concatenate([some_of_each(labels, 3, seed) for seed in range(400)]), minlength=len(labels))
    assert often[labels == 0].min() > 40  # 80 of 400 for each of fifteen images
