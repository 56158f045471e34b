"""The common spaces without training: mean and own teacher (identity A7)."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS
from fairlab.models.base import ADAPTORS
from tests.methods.conftest import a_run


def blocks(count: int, dim: int = 5) -> torch.Tensor:
    """Unit embeddings (7, count, dim)."""
    return functional.normalize(torch.randn(7, count, dim, dtype=torch.float64), dim=2)


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_mean_is_the_normalised_sum(count: int) -> None:
    """Sum of the unit vectors over its length; for two teachers the bisector: cos to each = sqrt((1 + cos) / 2)."""
    method, x = METHODS["mean"](a_run("mean"), classes=0, image_px=0, teacher_dims=(5,) * count), blocks(count)
    unit = functional.normalize(method.learner(x.flatten(1)))
    total = x.sum(1)
    torch.testing.assert_close(unit, total / (total * total).sum(1, keepdim=True).sqrt())
    if count == 1:
        torch.testing.assert_close(unit, x[:, 0])
    if count == 2:
        cosine = (x[:, 0] * x[:, 1]).sum(1)
        torch.testing.assert_close((unit * x[:, 0]).sum(1), ((1 + cosine) / 2).sqrt())


def test_mean_is_sl_with_equal_blocks_and_own_teacher_positioning_with_unit_blocks() -> None:
    """W = [I I I I] / 4 and W = [I I I I], b = 0 (identity A7)."""
    x, eye = blocks(4), torch.eye(5, dtype=torch.float64).repeat(1, 4)
    zero = torch.zeros(5, dtype=torch.float64)
    sl, positioning = (
        ADAPTORS[name](a_run("common_space").adaptor.model_copy(update={"embedding_dim": 5}), (5,) * 4).double()
        for name in ("sl", "positioning")
    )
    sl.load_state_dict({"weight": eye / 4, "bias": zero})
    mean = METHODS["mean"](a_run("mean"), classes=0, image_px=0, teacher_dims=(5,) * 4)
    torch.testing.assert_close(mean.learner(x.flatten(1)), sl(x.flatten(1)))
    positioning.linear.load_state_dict({"weight": eye, "bias": zero})
    own = METHODS["own_teacher"](a_run("own_teacher"), classes=0, image_px=0, teacher_dims=(5,) * 4)
    told = torch.cat([x.flatten(1), (torch.arange(7) % 4)[:, None].double()], dim=1)
    torch.testing.assert_close(own.learner(told), positioning(told))


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_own_teacher_is_the_named_block(count: int) -> None:
    """To the bit, for any number of groups."""
    method = METHODS["own_teacher"](a_run("own_teacher"), classes=0, image_px=0, teacher_dims=(5,) * count)
    x, own = blocks(count), torch.tensor([3, 0, 6, 1, 5, 2, 4]) % count
    found = method.learner(torch.cat([x.flatten(1), own[:, None].double()], dim=1))
    assert all(torch.equal(found[row], x[row, number]) for row, number in enumerate(own.tolist()))


@pytest.mark.parametrize("name", ["mean", "own_teacher"])
def test_there_is_nothing_to_train_and_what_is_missing_is_said(name: str) -> None:
    method = METHODS[name](a_run(name), classes=9, image_px=0, teacher_dims=(5, 5))
    assert list(method.parameters()) == []
    assert (method.trains, method.head, method.embedding_dim, method.inputs) == (False, None, 5, "embeddings")
    assert method.needs_group == (name == "own_teacher")
    with pytest.raises(FairLabError, match=f"{name} needs at least one teacher"):
        METHODS[name](a_run(name), classes=0, image_px=0, teacher_dims=())
    with pytest.raises(FairLabError, match=f"{name} needs teachers whose embeddings are equally long; these have 5, 9"):
        METHODS[name](a_run(name), classes=0, image_px=0, teacher_dims=(5, 9))
