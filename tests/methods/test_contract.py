"""What holds for every registered method: a new file is tested by this without an edit."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairlab.methods.base import METHODS, Batch, Method
from tests.methods.conftest import SIZE, a_run

TERMS = {"loss", "identity", "distillation"}
TRAINABLE = [name for name in METHODS if getattr(METHODS[name], "trains", True)]


def build(name: str, classes: int = 4, teachers: int = 4) -> Method:
    torch.manual_seed(0)
    return METHODS[name](a_run(name), classes=classes, image_px=SIZE, teacher_dims=(6,) * teachers)


def a_batch(method: Method, classes: int, teachers: int, seed: int) -> Batch:
    """Images or teachers' embeddings that differ by identity; the identities' targets are orthogonal, so that both losses can be met."""
    y = torch.arange(2 * classes) % classes
    fixed, noise = torch.Generator().manual_seed(11), torch.Generator().manual_seed(seed)
    spots = torch.linalg.qr(torch.randn(method.embedding_dim, classes, generator=fixed)).Q.t()
    shape = (3, SIZE, SIZE) if method.inputs == "images" else (teachers, 6)
    centres = torch.randn(classes, *shape, generator=fixed)
    inputs = centres[y] + 0.1 * torch.randn(len(y), *shape, generator=noise)
    if method.inputs == "embeddings":
        inputs = functional.normalize(inputs, dim=2).flatten(1)
    if method.needs_group:
        inputs = torch.cat([inputs, (y % teachers)[:, None].float()], dim=1)
    return Batch(inputs, y, spots[y] if method.needs_targets else None)


def test_the_methods_of_mst_kd_are_there() -> None:
    """Names as the plan of runs uses them."""
    assert {"classifier", "common_space", "concatenation", "a_kd", "eaf_kd"} <= set(METHODS)


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

    @pytest.mark.parametrize("count", [2, 4, 7])
    def test_returns_its_three_terms(self, name: str, count: int) -> None:
        """Scalars, finite, loss = identity + distillation; for 2, 4, 7 identities and as many teachers."""
        method = build(name, count, count)
        terms = method(a_batch(method, count, count, 1))
        assert terms.keys() == TERMS
        assert all(term.shape == () and torch.isfinite(term) for term in terms.values())
        torch.testing.assert_close(terms["loss"], terms["identity"] + terms["distillation"])

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
        """The loop optimises and saves these two and nothing else."""
        method = build(name)
        assert {label.split(".")[0] for label in method.state_dict()} <= {"learner", "head"}


@pytest.mark.parametrize("name", TRAINABLE)
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
