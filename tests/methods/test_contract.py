"""What holds for every registered method: a new file is tested by this without an edit."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Batch, Inherited, Method
from fairlab.settings.distillation import DISTILLATIONS
from fairlab.settings.study import Training
from fairlab.training.loop import _remembered, _solvers
from tests.methods.conftest import DIMS, SIZE, a_run, built, spots

TERMS = {"loss", "identity", "distillation"}
TRAINABLE = [name for name in METHODS if getattr(METHODS[name], "trains", True)]


OF_ALL = [
    name
    for name in METHODS
    if "student" in METHODS.facts(name)["roles"] and METHODS.facts(name)["parents"] == "teachers"
]
"""Students of several teachers at once."""
DISTILLED = [name for name in METHODS if METHODS.facts(name)["parents"] == "space"]
RELATIVES = [name for name in DISTILLED if name not in ("a_kd", "eaf_kd")]
PULLED = {"proxyless_kd"}
"""Their weight is that at 512 dimensions."""
CONTRASTS = {"clip_embed_kd", "clip_teacher_kd"}
"""Their scale of 1, as published, has a limit far above zero (G9); with shared targets it is log 2 for pairs."""
FLAT = {"ekd"}
"""EKD's ranks have no slope where a similarity is some hundredths away from every anchor, and the anchors move by a
hundredth in a step: with few images its term is not driven to zero, it stays below its largest, 36 x (0.02 + 0.01)."""


def build(name: str, classes: int = 4, teachers: int = 4, space_dim: int = DIMS) -> Method:
    if name in OF_ALL:
        return built(name, classes, (space_dim,) * teachers)
    return built(name, classes, (space_dim,) if name in DISTILLED else (6,) * teachers)


def a_batch(method: Method, classes: int, teachers: int, seed: int, space_dim: int = DIMS) -> Batch:
    """Images or teachers' embeddings that differ by identity; the identities' targets are orthogonal, so that both losses can be met."""
    y = torch.arange(2 * classes) % classes
    fixed, noise = torch.Generator().manual_seed(11), torch.Generator().manual_seed(seed)
    shape = (3, SIZE, SIZE) if method.inputs == "images" else (teachers, 6)
    centres = torch.randn(classes, *shape, generator=fixed)
    inputs = centres[y] + 0.1 * torch.randn(len(y), *shape, generator=noise)
    if method.inputs == "embeddings":
        inputs = functional.normalize(inputs, dim=2).flatten(1)
    if method.needs_group:
        inputs = torch.cat([inputs, (y % teachers)[:, None].float()], dim=1)
    if not method.needs_targets:
        return Batch(inputs, y)
    targets, lengths = spots(space_dim, classes)[y], torch.full((len(y),), 2.5)
    if method.needs_centroids:
        targets, lengths = (part.unsqueeze(1).expand(-1, teachers, *part.shape[1:]) for part in (targets, lengths))
    return Batch(inputs, y, targets, lengths, y % teachers)


def test_the_methods_of_mst_kd_are_there() -> None:
    """Names as the plan of runs uses them."""
    assert {"classifier", "common_space", "concatenation", "a_kd", "eaf_kd"} <= set(METHODS)


def test_the_relatives_are_there() -> None:
    """All that the papers are compared with."""
    relatives = "fitnet cosine_kd rkd sp cc darkrank hinton_kd grouped_kd ekd adadistill margin_distillation"
    assert {*relatives.split(), "proxyless_kd", "clip_embed_kd", "clip_teacher_kd"} <= set(DISTILLED)


@pytest.mark.parametrize("name", list(METHODS))
class TestEveryMethod:
    """For each name of the registry."""

    def test_says_what_it_is(self, name: str) -> None:
        """Title, roles, kind of parents and source stand in its registration."""
        facts = METHODS.facts(name)
        assert {"title", "roles", "parents", "source"} <= facts.keys()
        assert isinstance(facts["roles"], tuple)
        assert facts["parents"] in ("", "teachers", "space")
        assert bool(facts.get("needs_group")) == METHODS[name].needs_group
        assert not (facts.get("rule") and METHODS[name].trains)
        assert bool(facts.get("inherits")) == METHODS[name].needs_head

    @pytest.mark.parametrize("count", [2, 4, 7])
    def test_returns_its_three_terms(self, name: str, count: int) -> None:
        """Scalars, finite, the loss is the sum of the others that have a gradient; for 2, 4, 7 identities and teachers."""
        method = build(name, count, count)
        terms = method(a_batch(method, count, count, 1))
        assert terms.keys() >= TERMS
        assert all(term.shape == () and torch.isfinite(term) for term in terms.values())
        summed = [term for part, term in terms.items() if part != "loss" and (part in TERMS or term.requires_grad)]
        torch.testing.assert_close(terms["loss"], torch.stack(summed).sum())

    def test_one_teacher_is_enough(self, name: str) -> None:
        """As many groups as the data has: also a single one."""
        method = build(name, 3, 1)
        assert torch.isfinite(method(a_batch(method, 3, 1, 1))["loss"])

    def test_the_learner_makes_embeddings_of_the_said_length(self, name: str) -> None:
        """(B, embedding_dim), from the inputs it says it takes."""
        method = build(name).eval()
        embeddings = method.learner(a_batch(method, 4, 4, 1).inputs)
        assert embeddings.shape == (8, method.embedding_dim)

    def test_everything_that_learns_is_in_learner_or_head(self, name: str) -> None:
        """Or in a module beside them all of which learns: the loop optimises and saves these, and nothing else."""
        method = build(name)
        beside = {label.split(".")[0] for label in method.state_dict()} - {"learner", "head"}
        assert all(weight.requires_grad for part in beside for weight in method.get_submodule(part).parameters())
        assert not any(list(method.get_submodule(part).buffers()) for part in beside)

    def test_every_pass_of_a_training_is_a_stage(self, name: str) -> None:
        """From its number alone; what is frozen is there, and evaluates; something trains in each."""
        method = build(name)
        for epoch in range(12):
            stage = method.stage(epoch, 12)
            assert stage == build(name).stage(epoch, 12)
            method.begin(stage)
            trained = {part for part, child in method.named_children() if child.training}
            assert trained == {part for part, _ in method.named_children()} - stage.frozen
            assert trained or not getattr(METHODS[name], "trains", True)

    def test_everything_that_learns_has_its_optimiser_and_is_saved(self, name: str) -> None:
        """Network, classifier, and what a method trains beside them; nothing else is in its state."""
        method = build(name)
        solvers = _solvers(method, Training())
        moved = [weight for solver in solvers.values() for group in solver.param_groups for weight in group["params"]]
        assert {id(weight) for weight in moved} == {id(w) for w in method.parameters() if w.requires_grad}
        kept = {label for label in method.state_dict() if label.split(".")[0] not in ("learner", "head")}
        assert _remembered(method, None).get("method", {}).keys() == kept


@pytest.mark.parametrize("name", [name for name in TRAINABLE if name not in RELATIVES])
@pytest.mark.parametrize("count", [2, 4, 7])
def test_every_method_learns_two_batches_by_heart(name: str, count: int) -> None:
    """Its loss falls to nearly zero, without a NaN on the way."""
    method = build(name, count, count).train()
    batches = [a_batch(method, count, count, seed) for seed in (1, 2)]
    # Not SGD: with so few classes its first step makes the class centres so long that they hardly turn again.
    solver = torch.optim.Adam(method.parameters(), lr=0.01)
    first = sum(float(method(batch)["loss"].detach()) for batch in batches) / 2
    for step in range(240):
        solver.zero_grad()
        loss = method(batches[step % 2])["loss"]
        loss.backward()
        assert torch.isfinite(loss)
        solver.step()
    last = sum(float(method(batch)["loss"].detach()) for batch in batches) / 2
    assert last < 0.02 * first, f"from {first:.3f} to {last:.3f}"


@pytest.mark.parametrize("name", RELATIVES)
def test_every_relative_learns_two_batches_by_heart(name: str) -> None:
    """The loss and each of its terms fall to nearly zero; targets of one identity differ, as those of a real teacher do.

    kd_weight 30, so that the terms are of one size. DarkRank's limit above zero is tiny here: the teacher is sure of
    its order.
    """
    kind = DISTILLATIONS.get(name)
    weighed = kind is not None and "kd_weight" in kind.model_fields and name not in FLAT
    scaled = {"contrast_scale": 24.0} if name in CONTRASTS else {}
    given = {}
    if kind and weighed:
        given = {"distillation": kind(kd_weight=30.0 * (512 / DIMS if name in PULLED else 1), **scaled)}
    floor = 30.0 * math.log(2) if name == "clip_teacher_kd" else 0.0  # two images of each identity share their targets
    method = built(name, 4, (DIMS,), **given).train()
    batches = [a_batch(method, 4, 1, seed) for seed in (1, 2)]
    for batch in batches:
        if batch.targets is not None:
            batch.targets = functional.normalize(batch.targets + 0.1 * torch.randn(batch.targets.shape))

    def means() -> dict[str, float]:
        found = [method(batch) for batch in batches]
        return {term: sum(float(terms[term].detach()) for terms in found) / 2 for term in TERMS}

    solver, first = torch.optim.Adam(method.parameters(), lr=0.01), means()
    for step in range(200):
        solver.zero_grad()
        method(batches[step % 2])["loss"].backward()
        solver.step()
    last = means()
    assert last["loss"] - floor < 0.02 * first["loss"]
    assert last["identity"] < 0.02 * first["identity"]
    assert last["distillation"] - floor <= (1.08 if name in FLAT else 0.05 * (first["distillation"] - floor))


@pytest.mark.parametrize("name", DISTILLED)
class TestEveryStudentOfASpace:
    """Methods with one parent."""

    @pytest.mark.parametrize("space_dim", [5, 12])
    def test_its_teacher_may_have_embeddings_of_another_length(self, name: str, space_dim: int) -> None:
        """Then it lies in the teacher's space, if it is compared with it, by one linear layer (identity P7)."""
        method = build(name, space_dim=space_dim)
        terms = method(a_batch(method, 4, 1, 1, space_dim))
        terms["loss"].backward()
        assert torch.isfinite(terms["loss"])
        last = [label for label, _ in method.learner.named_parameters()][-1]
        projected = last == "to_space.weight"
        assert method.embedding_dim == (space_dim if projected else DIMS)
        assert method.learner.state_dict()[last].shape == ((space_dim, DIMS) if projected else (DIMS,))
        assert all(weight.grad is not None for weight in method.learner.parameters() if weight.requires_grad)

    def test_the_same_image_twice_breaks_nothing(self, name: str) -> None:
        """Equal inputs, embeddings and targets, and embeddings exactly on their targets: no NaN in any gradient."""
        method = build(name)
        batch = a_batch(method, 4, 1, 1)
        batch.inputs = batch.inputs[batch.identities]  # the two images of an identity are one
        for _ in range(2):
            method.zero_grad()
            method(batch)["loss"].backward()
            assert all(torch.isfinite(w.grad).all() for w in method.parameters() if w.grad is not None)
        on_target = (2.5 * spots(DIMS, 4)[batch.identities]).requires_grad_()
        identity, distillation = method.identity(on_target, batch), method.distillation(on_target, batch)
        (gradient,) = torch.autograd.grad(identity + distillation, on_target, allow_unused=True)
        assert gradient is not None
        assert torch.isfinite(gradient).all()

    def test_learns_nothing_but_itself(self, name: str) -> None:
        """Targets and what it inherits are as before after a step of the optimiser; all of its own weights moved."""
        method = build(name)
        batch = a_batch(method, 4, 1, 1)
        targets = None if batch.targets is None else batch.targets.clone()
        inherited = {label: t.clone() for label, t in method.named_buffers() if label == "teacher_centres"}
        before = [weight.detach().clone() for weight in method.learner.parameters()]
        solver = torch.optim.SGD([w for w in method.parameters() if w.requires_grad], lr=0.1)
        method(batch)["loss"].backward()
        solver.step()
        assert targets is None or torch.equal(targets, batch.targets)
        assert all(torch.equal(tensor, method.get_buffer(label)) for label, tensor in inherited.items())
        moved = [not torch.equal(a, b) for a, b in zip(before, method.learner.parameters(), strict=True)]
        assert sum(moved) >= len(moved) - 2  # a bias before a batch norm has no effect

    def test_two_spaces_at_once_are_refused(self, name: str) -> None:
        """Only where the space's length matters; the others never look at it."""
        if any(label.startswith("to_space") for label, _ in build(name, space_dim=5).learner.named_parameters()):
            with pytest.raises(FairLabError, match="learns from one space and was given 2"):
                built(name, 4, (DIMS, DIMS))

    def test_a_missing_classifier_and_one_of_other_people_are_refused(self, name: str) -> None:
        """A classifier with other identities than the run's does not pass (identity P3)."""
        kind = METHODS[name]
        if not getattr(kind, "needs_head", False):
            return
        settings: dict[str, Any] = {"classes": 5, "image_px": SIZE, "teacher_dims": (DIMS,)}
        with pytest.raises(FairLabError, match="needs its parent's classifier"):
            kind(a_run(name), **settings)
        with pytest.raises(FairLabError, match="has 4 x 8 numbers, the run has 5 identities"):
            kind(a_run(name), **settings, inherited=Inherited(spots(DIMS, 4), 24.0))

    def test_missing_targets_are_named(self, name: str) -> None:
        """Never a silent zero."""
        method = build(name)
        batch = a_batch(method, 4, 1, 1)
        if method.needs_targets:
            with pytest.raises(FairLabError, match="needs targets"):
                method(Batch(batch.inputs, batch.identities))


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_step_repeats_itself_with_its_seed(name: str) -> None:
    """All chance comes from torch's global generator, which the loop seeds."""
    gradients = []
    for _ in range(2):
        method = build(name)
        torch.manual_seed(5)
        method(a_batch(method, 4, 4, 1))["loss"].backward()
        gradients.append([tensor.grad for tensor in method.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True) if a is not None and b is not None)
