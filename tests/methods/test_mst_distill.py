"""MST-Distill for faces: golden values of the analogue, what each stage moves, and what the gate hears of."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Batch, Inherited, Method, Stage
from fairlab.methods.mst_distill import MASKS, ROUTING, WARM, weights_in
from fairlab.models.masks import build_masks
from fairlab.settings.distillation import HintonKDSettings, MSTDistillSettings
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Backbone
from tests.fixtures.golden import ROUTING as GOLDEN
from tests.methods.conftest import DIMS, SIZE, a_run, spots

CLASSES = 5


def taught(dims: tuple[int, ...] = (DIMS,) * 3, centres: Tensor | None = None, **about: Any) -> Any:
    """A student of as many teachers, in double precision, with the first weights of seed 0."""
    run = a_run("mst_distill", distillation=MSTDistillSettings(**about))
    if centres is None:
        centres = torch.stack([spots(dim, CLASSES).roll(number, 1) for number, dim in enumerate(dims)]).double()
    torch.manual_seed(0)
    method = METHODS["mst_distill"](run, classes=CLASSES, image_px=SIZE, teacher_dims=dims, centroids=centres).double()
    method.get_buffer("teacher_centres").copy_(functional.normalize(centres, dim=2))  # it was held in single precision
    return method


def a_batch(teachers: int = 3, count: int = 8, dim: int = DIMS) -> Batch:
    draw = torch.Generator().manual_seed(5)
    images = torch.randn(count, 3, SIZE, SIZE, generator=draw, dtype=torch.float64)
    targets = functional.normalize(torch.randn(count, teachers, dim, generator=draw, dtype=torch.float64), dim=2)
    y = torch.arange(count) % CLASSES
    return Batch(images, y, targets, torch.ones(count, teachers, dtype=torch.float64), torch.arange(count) % 2)


def golden(**about: Any) -> tuple[Method, Batch, Tensor]:
    """The analogue of G6: student, batch of its stored targets, and its embeddings."""
    values = {
        name: torch.tensor(v, dtype=torch.float64) for name, v in GOLDEN["G6"]["inputs"].items() if name != "scale"
    }
    run = a_run("mst_distill", loss=loss_settings(scale=8.0), distillation=MSTDistillSettings(**about))
    method = METHODS["mst_distill"](
        run, classes=5, image_px=SIZE, teacher_dims=(8,) * 3, centroids=values["centroids"]
    ).double()
    method.get_buffer("teacher_centres").copy_(functional.normalize(values["centroids"], dim=2))
    method.get_parameter("head.weight").data = values["w"].clone()
    method.get_parameter("gate.weight").data = values["a"].clone()
    if about.get("mask") == "diagonal":
        method.get_parameter("masks.openness").data = values["mask_logits"].clone()
    batch = Batch(values["f"], torch.tensor([0, 3, 1, 4]), values["targets"], groups=torch.tensor([0, 1, -1, 1]))
    return method, batch, values["f"]


KNOWN = GOLDEN["G6"]["outputs"]


@pytest.mark.parametrize(
    ("about", "routed"),
    [
        ({"top_k": 1}, KNOWN["routed_k_1"]),
        ({"top_k": 2}, KNOWN["routed_k_2"]),
        ({"top_k": 1, "mask": "diagonal"}, KNOWN["routed_k_1_with_mask"]),
    ],
)
def test_the_analogue_has_the_known_values(about: dict[str, Any], routed: float) -> None:
    """G6: routed distillation, balance, and what is counted: image 3 has no group."""
    method, batch, embeddings = golden(**about)
    terms = method.terms((embeddings,), batch)
    assert float(terms["distillation"].detach()) == pytest.approx(routed, abs=1e-9)
    assert float(terms["balance"].detach()) == pytest.approx(KNOWN["balance"], abs=1e-9)
    published = golden(**about, as_published=True)[0].terms((embeddings,), batch)["balance"]
    assert float(published.detach()) == pytest.approx(KNOWN["balance"] / 3, abs=1e-9)
    assert method.counts["seen"].tolist() == [1, 2]
    if about["top_k"] == 1:  # chosen: 1, 0, 2, 0
        assert method.counts["routed"].tolist() == [[0, 1, 0], [2, 0, 0]]
    assert method.counts["routed"].sum(1).tolist() == [1 * about["top_k"], 2 * about["top_k"]]


def test_the_readings_of_chosen_and_others_are_the_known_ones() -> None:
    """G6: divergence and the teachers' cross-entropy on the identity, by who was chosen; no part of the loss."""
    method, batch, embeddings = golden()
    terms = method.terms((embeddings,), batch)
    picked = torch.zeros(4, 3, dtype=torch.bool)
    picked[range(4), [row[0] for row in KNOWN["chosen_k_1"]]] = True
    for name, table in (("kl", "kl_per_image_and_teacher_no_mask"), ("ce", "teacher_ce_on_y_per_image")):
        values = torch.tensor(KNOWN[table], dtype=torch.float64)
        for part, rows in (("chosen", picked), ("other", ~picked)):
            assert float(terms[f"{part}_{name}"]) == pytest.approx(float(values[rows].mean()), abs=1e-9)
    loss = terms["identity"] + terms["distillation"] + terms["balance"]
    torch.testing.assert_close(terms["loss"], loss)


def test_the_masks_learn_from_the_known_loss() -> None:
    """G6: the sum over teachers of T^2 KL(student || masked teacher); nothing reaches the student."""
    method, batch, embeddings = golden(mask="diagonal")
    embeddings.requires_grad_()
    method.now = method.stage(1, 9)
    terms = method.terms((embeddings,), batch)
    assert float(terms["loss"].detach()) == pytest.approx(sum(KNOWN["mask_loss"]), abs=1e-9)
    terms["loss"].backward()
    assert embeddings.grad is None
    assert method.get_parameter("head.weight").grad is None
    assert bool(method.get_parameter("masks.openness").grad.any())


def test_one_teacher_is_hinton_kd_with_centroids() -> None:
    """MS1: n = 1, k = 1, no mask, the first epoch of routing and the warm one."""
    batch, centres = a_batch(1), functional.normalize(spots(DIMS, CLASSES).double())
    alone = taught((DIMS,), centres[None])
    hinton = METHODS["hinton_kd"](
        a_run("hinton_kd", distillation=HintonKDSettings(classifier="centroids")),
        classes=CLASSES, image_px=SIZE, teacher_dims=(DIMS,), inherited=Inherited(centres, 24.0),
    ).double()  # fmt: skip
    hinton.get_buffer("teacher_centres").copy_(centres)
    hinton.learner.load_state_dict(alone.learner.state_dict())
    hinton.get_parameter("head.weight").data = alone.head.weight.data.clone()
    assert batch.targets is not None
    expected = hinton.eval()(Batch(batch.inputs, batch.identities, batch.targets[:, 0]))
    for epoch in (0, 1):
        alone.now = alone.stage(epoch, 9)
        terms = alone.eval()(batch)
        for name in ("identity", "distillation"):
            torch.testing.assert_close(terms[name], expected[name], atol=1e-9, rtol=0)


def test_all_teachers_are_a_mean_whatever_the_gate() -> None:
    """MS2: k = n; the warm stage is n times as much."""
    method, batch = taught(top_k=3).eval(), a_batch()
    first = float(method(batch)["distillation"].detach())
    method.gate.weight.data.normal_()
    assert float(method(batch)["distillation"].detach()) == pytest.approx(first, abs=1e-12)
    assert "other_kl" not in method(batch)
    method.now = method.stage(0, 9)
    assert float(method(batch)["distillation"].detach()) == pytest.approx(3 * first, abs=1e-9)


@pytest.mark.parametrize("learns", ["balance", "kl", "right"])
def test_what_the_gate_hears_of(learns: str) -> None:
    """MS3: the routed term reaches it only as `kl`; `right` has a term of its own; the balance always does."""
    method, batch = taught(gate_learns=learns), a_batch()
    terms = method(batch)

    def slope(name: str) -> bool:
        (gradient,) = torch.autograd.grad(terms[name], method.gate.weight, retain_graph=True, allow_unused=True)
        return gradient is not None and bool(gradient.any())

    assert slope("distillation") is (learns == "kl")
    assert slope("balance")
    assert ("right" in terms) is (learns == "right")
    assert learns != "right" or slope("right")


@pytest.mark.parametrize("detached", [False, True])
def test_the_balance_moves_the_student_unless_detached(detached: bool) -> None:
    method, batch = taught(gate_detached=detached), a_batch()
    gradients = torch.autograd.grad(method(batch)["balance"], list(method.learner.parameters()), allow_unused=True)
    assert all(gradient is None for gradient in gradients) is detached


def test_a_student_that_agrees_is_not_pulled() -> None:
    """MS5: where teacher and student have the same logits, zero."""
    method, batch = taught((DIMS,) * 2, spots(DIMS, CLASSES).expand(2, -1, -1)), a_batch(2)
    method.head.weight.data = spots(DIMS, CLASSES).double()
    assert batch.targets is not None
    terms = method.terms(
        (3.0 * batch.targets[:, 0],), Batch(batch.inputs, batch.identities, batch.targets[:, :1].expand(-1, 2, -1))
    )
    assert float(terms["distillation"].detach()) == pytest.approx(0.0, abs=1e-9)
    assert float(method(batch)["distillation"].detach()) > 0.1


def test_the_order_of_teachers_permutes_the_counts_alone() -> None:
    """MS6: with the gate's rows in the same order."""
    order, batch = [2, 0, 1], a_batch()
    method = taught(gate_learns="right", mask="diagonal")
    turned = taught(centres=method.teacher_centres[order], gate_learns="right", mask="diagonal")
    turned.load_state_dict({**method.state_dict(), "gate.weight": method.gate.weight.data[order]})
    assert batch.targets is not None
    other = Batch(batch.inputs, batch.identities, batch.targets[:, order], groups=batch.groups)
    one, two = method.eval()(batch), turned.eval()(other)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-9, rtol=0)
    assert method.counts["routed"][:, order].tolist() == turned.counts["routed"].tolist()


@pytest.mark.parametrize("constant", [4.0, -1.5])
def test_a_mask_of_equal_numbers_changes_nothing(constant: float) -> None:
    """MS8: the cosine takes the length off again."""
    masked, plain, batch = taught(mask="diagonal").eval(), taught().eval(), a_batch()
    plain.load_state_dict({name: t for name, t in masked.state_dict().items() if not name.startswith("masks")})
    masked.masks.openness.data.fill_(constant)
    for name, value in plain(batch).items():
        torch.testing.assert_close(masked(batch)[name], value, atol=1e-9, rtol=0)


def test_the_stages_follow_each_other() -> None:
    """Warm, masks where there are some, routing with the published weights from its own first epoch."""
    method = taught(mask="mlp", warm_epochs=2, mask_epochs=3)
    names = [method.stage(epoch, 40).name for epoch in range(8)]
    assert names == [WARM] * 2 + [MASKS] * 3 + [ROUTING] * 3
    assert method.stage(5, 40) == Stage(ROUTING, frozenset({"masks"}), weights_in(0))
    assert method.stage(36, 40).weights == weights_in(31)
    assert method.stage(2, 40).frozen == {"learner", "head", "gate"}
    plain = taught(warm_epochs=0)
    assert plain.stage(0, 1) == Stage(ROUTING, frozenset(), weights_in(0))
    with pytest.raises(FairLabError, match="routes only after 5 epochs"):
        method.stage(0, 5)


@pytest.mark.parametrize(("kind", "numbers"), [("diagonal", 3 * 64), ("mlp", 3 * (64 * 8 + 8 + 8 * 64 + 64))])
def test_masks_lie_between_nothing_and_all(kind: str, numbers: int) -> None:
    masks, targets = build_masks(kind, 3, 64), functional.normalize(torch.randn(5, 3, 64), dim=2)
    assert masks is not None
    assert sum(weight.numel() for weight in masks.parameters()) == numbers
    share = masks(targets) / targets
    assert bool(((share > 0) & (share < 1)).all())
    assert kind == "mlp" or float(share.detach().mean()) == pytest.approx(0.982, abs=1e-3)


@pytest.mark.parametrize(
    ("dims", "shape", "about", "said"),
    [
        ((), (0, CLASSES, DIMS), {}, "needs at least one teacher"),
        ((8, 6), (2, CLASSES, 8), {}, "must be equally long; these are 8, 6 numbers long"),
        ((8, 8), (2, CLASSES, 8), {"top_k": 3}, r"to top_k = 3 teachers: there are 2"),
        ((8, 8), (3, CLASSES, 8), {}, "centroids have 3 x 5 x 8 numbers, the run has 2 teachers, 5 identities"),
        ((8, 8), (2, 4, 8), {}, "centroids have 2 x 4 x 8 numbers"),
        ((8, 8), None, {}, "needs its teachers' class centroids"),
    ],
)
def test_what_cannot_teach_is_refused(dims: tuple[int, ...], shape: Any, about: dict[str, Any], said: str) -> None:
    centroids = None if shape is None else torch.ones(shape)
    run = a_run(
        "mst_distill", distillation=MSTDistillSettings(**about), backbone=Backbone(name="tiny", embedding_dim=DIMS)
    )
    with pytest.raises(FairLabError, match=said):
        METHODS["mst_distill"](run, classes=CLASSES, image_px=SIZE, teacher_dims=dims, centroids=centroids)
