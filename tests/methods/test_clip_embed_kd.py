"""CLIP-Embed-KD: the published losses to nine digits, closed forms, and the identities CE2 to CE4 and CE6."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS
from fairlab.methods.clip_embed_kd import ContrastStudent
from fairlab.settings.distillation import DISTILLATIONS, ClipEmbedKDSettings
from fairlab.training.world import ALONE
from tests.methods.conftest import DIMS, SIZE, a_run, built, student_batch
from tests.training.test_together import CURVES, SHORT, curve

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "clip_golden.json").read_text(encoding="utf-8")
)
INPUTS = {
    name: torch.tensor(values, dtype=torch.long if name == "y" else torch.float64)
    for name, values in GOLDEN["G8"]["inputs"].items()
}
EXPECTED = GOLDEN["G8"]["outputs"]
BOTH = ("clip_embed_kd", "clip_teacher_kd")


def contrast_student(name: str, **about: Any) -> ContrastStudent:
    """In double precision, with the golden projection: embeddings of 6, a teacher of 8, five identities."""
    run = a_run(name, distillation=DISTILLATIONS[name](**about))
    assert run.backbone is not None
    run = run.model_copy(update={"backbone": run.backbone.model_copy(update={"embedding_dim": 6})})
    given = {"centroids": INPUTS["centroids"]} if name == "clip_embed_kd" else {}
    method = METHODS[name](run, classes=5, image_px=SIZE, teacher_dims=(8,), **given).double()
    assert isinstance(method, ContrastStudent)
    with torch.no_grad():
        method.projection.weight.copy_(INPUTS["projection_w"])
        method.projection.bias.copy_(INPUTS["b"])
    return method


def golden_term(name: str, identities: Tensor | None = None, **about: Any) -> float:
    """The weighted contrast of the golden embeddings."""
    batch = student_batch(5, 8, 4, INPUTS["y"] if identities is None else identities)
    batch.lengths = INPUTS["teacher"].norm(dim=1)
    batch.targets = INPUTS["teacher"] / batch.lengths[:, None]
    return float(contrast_student(name, **about).distillation(INPUTS["student"], batch).detach())


def close(value: float) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-10)  # the golden inputs and outputs have 12 digits


def test_the_contrast_to_the_centroids_is_the_published_one() -> None:
    """G8: alone, with its weight beside a cross-entropy of the logits, and at a scale of 64."""
    own = float(functional.cross_entropy(INPUTS["own_logits"], INPUTS["y"]))
    assert golden_term("clip_embed_kd", kd_weight=1.0) == close(EXPECTED["contrast_to_centroids"])
    assert own + golden_term("clip_embed_kd") == close(EXPECTED["embed_kd_right"])
    scaled = golden_term("clip_embed_kd", kd_weight=1.0, contrast_scale=64.0)
    assert scaled == close(EXPECTED["embed_contrast_with_scale_64"])


def test_the_second_softmax_of_the_published_code_is_left_out() -> None:
    """G8, G9: it would be another number, and could not fall below log(1 + (C - 1) / e)."""
    twice = float(functional.cross_entropy(INPUTS["own_logits"].softmax(1), INPUTS["y"]))
    assert twice == close(EXPECTED["own_ce_published"])
    assert twice + golden_term("clip_embed_kd") == close(EXPECTED["embed_kd_published"])
    best = functional.cross_entropy(torch.eye(10, dtype=torch.float64), torch.arange(10))
    assert float(best) == close(GOLDEN["G9"]["outputs"]["c_10"])


def test_a_perfect_match_at_scale_one_is_far_from_zero() -> None:
    """G9: orthogonal projected teachers, 128 of them, each met exactly (CE3: a large scale makes it 0), or not at all."""
    run = a_run("clip_embed_kd", distillation=ClipEmbedKDSettings(kd_weight=1.0))
    assert run.backbone is not None
    run = run.model_copy(update={"backbone": run.backbone.model_copy(update={"embedding_dim": 256})})
    means = torch.eye(128, 256, dtype=torch.float64)
    method = METHODS["clip_embed_kd"](run, classes=128, image_px=SIZE, teacher_dims=(256,), centroids=means).double()
    assert isinstance(method, ContrastStudent)
    with torch.no_grad():
        method.projection.weight.copy_(torch.eye(256))
        method.projection.bias.zero_()
    batch = student_batch(128, 256, 128)
    known = GOLDEN["G9"]["outputs"]
    assert float(method.distillation(3 * means, batch).detach()) == close(known["b_128_perfect"])
    assert float(method.distillation(means.roll(128, dims=1), batch).detach()) == close(known["b_128_orthogonal"])
    method.contrast_scale = 64.0
    perfect = float(method.distillation(means, batch).detach())
    assert perfect == pytest.approx(known["b_128_perfect_at_scale_64"], abs=1e-14)


def test_without_a_scale_it_is_nearly_a_pull_to_the_centroid() -> None:
    """G8b: log C - cos + mean cos + var / 2, of a thousand identities."""
    cosines = 0.3 * torch.sin(torch.arange(1, 4001, dtype=torch.float64)).reshape(4, 1000)
    y = torch.tensor(GOLDEN["G8b"]["inputs"]["y"])
    loss = float(functional.cross_entropy(cosines, y))
    near = math.log(1000) + (-cosines[torch.arange(4), y] + cosines.mean(1) + cosines.var(1, correction=0) / 2).mean()
    assert loss == close(GOLDEN["G8b"]["outputs"]["ce"])
    assert loss == pytest.approx(float(near), abs=5e-4)


@pytest.mark.parametrize("name", BOTH)
def test_the_order_of_the_batch_does_not_matter(name: str) -> None:
    """CE2."""
    method, batch = contrast_student(name), student_batch(5, 8, 6, torch.tensor([0, 1, 1, 4, 2, 0]))
    embeddings = torch.randn(6, 6, dtype=torch.float64)
    turned = torch.tensor([3, 0, 5, 1, 4, 2])
    there = method.distillation(embeddings, batch)
    batch.identities, batch.targets, batch.lengths = (
        part[turned] for part in (batch.identities, batch.targets, batch.lengths) if part is not None
    )
    torch.testing.assert_close(method.distillation(embeddings[turned], batch), there, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("bias", [False, True])
def test_lengths_matter_only_through_the_bias(name: str, bias: bool) -> None:
    """CE6: the student's never; the teacher's only where the projection adds something."""
    method, batch = contrast_student(name), student_batch(5, 8, 5)
    if not bias:
        torch.nn.init.zeros_(method.projection.bias)
    embeddings = torch.randn(5, 6, dtype=torch.float64)
    before = method.distillation(embeddings, batch)
    torch.testing.assert_close(method.distillation(3 * embeddings, batch), before)
    assert batch.lengths is not None
    batch.lengths = 3 * batch.lengths
    if name == "clip_embed_kd":
        method.register_buffer("centroids", 3 * method.get_buffer("centroids"))
    assert torch.allclose(method.distillation(embeddings, batch), before, atol=1e-12) != bias


@pytest.mark.parametrize("name", BOTH)
def test_a_weight_of_zero_is_the_plain_classifier_to_the_bit(name: str, tmp_path: Path) -> None:
    """CE4: by the real loop, with dropout and a loss that draws."""
    about = DISTILLATIONS[name](kd_weight=0.0)
    found = curve({"method": name, "distillation": about}, tmp_path / "kd", ALONE)["weights"]
    plain = curve({"method": "classifier"}, tmp_path / "plain", ALONE)["weights"]
    assert found.keys() - plain.keys() == {"projection.weight", "projection.bias"}
    assert all(torch.equal(tensor, found[label]) for label, tensor in plain.items())


@pytest.mark.parametrize("name", ["clip_embed_kd", "clip_teacher_kd", "reservoir"])
def test_a_stopped_run_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    """Network, classifier and projection, with its momentum, stopped inside and between passes; also a reservoir."""
    case = CURVES.get(name, {"method": name})
    whole = curve(case, tmp_path / "whole", ALONE, SHORT)
    for stop_at in (3, 5, 8):
        folder = tmp_path / str(stop_at)
        assert curve(case, folder, ALONE, SHORT, stop_at=stop_at) == {}
        resumed = curve(case, folder, ALONE, SHORT)["weights"]
        assert "projection.weight" in resumed
        assert all(torch.equal(tensor, resumed[label]) for label, tensor in whole["weights"].items())


def test_the_projection_learns_and_the_centroids_stay() -> None:
    method = built("clip_embed_kd")
    before = {label: tensor.clone() for label, tensor in (*method.named_parameters(), *method.named_buffers())}
    method(student_batch())["loss"].backward()
    torch.optim.SGD([w for w in method.parameters() if w.requires_grad], lr=0.1).step()
    assert not torch.equal(method.get_parameter("projection.weight"), before["projection.weight"])
    assert not torch.equal(method.get_parameter("projection.bias"), before["projection.bias"])
    assert torch.equal(method.get_buffer("centroids"), before["centroids"])
    assert "centroids" not in method.state_dict()  # the store has what it is made of


@pytest.mark.parametrize(("shape", "words"), [(None, "none"), ((4, DIMS), "4 x 8"), ((5, 3), "5 x 3")])
def test_means_that_do_not_fit_are_refused(shape: tuple[int, int] | None, words: str) -> None:
    means = None if shape is None else torch.ones(shape)
    facts: dict[str, Any] = {"classes": 5, "image_px": SIZE, "teacher_dims": (DIMS,), "centroids": means}
    with pytest.raises(FairLabError, match=rf"mean embedding of each identity, 5 x 8 numbers; given: {words}"):
        METHODS["clip_embed_kd"](a_run("clip_embed_kd"), **facts)


@pytest.mark.parametrize("name", BOTH)
def test_two_spaces_are_refused(name: str) -> None:
    with pytest.raises(FairLabError, match="learns from one space and was given 2"):
        built(name, 5, (DIMS, DIMS))
