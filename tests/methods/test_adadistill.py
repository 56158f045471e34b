"""AdaDistill: golden values, and centres that move as they should."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fairlab.methods.adadistill import kept_share, moved_centres
from fairlab.methods.base import METHODS, Batch, Method
from fairlab.settings.distillation import AdaDistillSettings, CentreShare
from fairlab.settings.loss import loss_settings
from tests.fixtures.golden import CENTRES, EMBEDDINGS, GOLDEN, IDENTITIES, RELATIVES, TARGETS
from tests.methods.conftest import SIZE, a_run, built, student_batch

UNITS = functional.normalize(TARGETS)


def golden_method(scale: float) -> Method:
    run = a_run("adadistill", loss=loss_settings(name="arcface", scale=scale, margin_rad=0.45))
    method = METHODS["adadistill"](run, classes=5, image_px=SIZE, teacher_dims=(8,)).double()
    method.get_parameter("head.weight").data = CENTRES.clone()
    return method


@pytest.mark.parametrize("scale", [8, 64])
def test_it_has_the_known_values(scale: int) -> None:
    """The share that stays, and ArcFace over the moved centres."""
    share = kept_share(EMBEDDINGS, CENTRES[IDENTITIES], UNITS)
    assert share.tolist() == pytest.approx(GOLDEN["adadistill_alpha_prime"], abs=1e-12)
    loss = golden_method(scale).identity(EMBEDDINGS, Batch(EMBEDDINGS, IDENTITIES, UNITS))
    assert float(loss) == pytest.approx(GOLDEN[f"adaarcdistill_s{scale}_m.45_CE"], abs=1e-9)


def test_the_share_is_a_share() -> None:
    """1e-6..1 (identity D1): 1 at the target with a settled centre, the least for the opposite."""
    along = torch.cat([UNITS, -UNITS])
    share = kept_share(along, torch.cat([UNITS, UNITS]), torch.cat([UNITS, UNITS]))
    torch.testing.assert_close(share, torch.tensor([1.0] * 4 + [1e-6] * 4, dtype=torch.float64))


def test_a_settled_centre_stays_and_a_strange_one_is_replaced() -> None:
    """a = 1 leaves W; a -> 0 puts t there (identity D1); nobody else's centre moves (D2)."""
    centres = CENTRES.clone()
    centres[IDENTITIES] = UNITS
    _, kept = moved_centres(centres[IDENTITIES], UNITS, UNITS, IDENTITIES)
    torch.testing.assert_close(kept, UNITS[IDENTITIES.argsort()])
    people, replaced = moved_centres(CENTRES[IDENTITIES], -UNITS, UNITS, IDENTITIES)
    torch.testing.assert_close(replaced, UNITS[IDENTITIES.argsort()], atol=1e-5, rtol=0)
    assert people.tolist() == [0, 1, 3, 4]
    method = golden_method(8)
    method.identity(EMBEDDINGS, Batch(EMBEDDINGS, IDENTITIES, UNITS))
    moved = (method.get_parameter("head.weight") != CENTRES).any(1)
    assert moved.tolist() == [True, True, False, True, True]


def test_several_images_of_one_identity_are_averaged() -> None:
    """Each from the centre before the step; the order does not matter. compat: the last one counts (identity D3)."""
    y = torch.tensor([2, 2, 0, 2])
    people, found = moved_centres(CENTRES[y], EMBEDDINGS, UNITS, y)
    share = kept_share(EMBEDDINGS, CENTRES[y], UNITS)[:, None]
    each = share * CENTRES[y] + (1 - share) * UNITS
    assert people.tolist() == [0, 2]
    torch.testing.assert_close(found, torch.stack([each[2], each[[0, 1, 3]].mean(0)]))
    other = torch.tensor([3, 1, 2, 0])
    torch.testing.assert_close(moved_centres(CENTRES[y[other]], EMBEDDINGS[other], UNITS[other], y[other])[1], found)
    torch.testing.assert_close(moved_centres(CENTRES[y], EMBEDDINGS, UNITS, y, last_counts=True)[1], each[[2, 3]])


def test_centres_have_no_gradient_and_are_saved() -> None:
    """No optimiser sees them; a checkpoint does (identity D2)."""
    method, batch = built("adadistill"), student_batch()
    method(batch)["loss"].backward()
    weight = method.get_parameter("head.weight")
    assert weight.grad is None
    assert not weight.requires_grad
    assert "head.weight" in method.state_dict()
    before = weight.clone()
    method.eval()
    method(batch)
    assert torch.equal(weight, before)


def test_as_published_only_where_it_is_asked_for() -> None:
    """The setting reaches the step."""

    def centres(compat: bool) -> Tensor:
        method = built("adadistill", distillation=AdaDistillSettings(compat=compat))
        method(student_batch(identities=torch.tensor([1, 1, 2, 3, 4, 1])))
        return method.get_parameter("head.weight")

    assert not torch.equal(centres(True)[1], centres(False)[1])
    assert torch.equal(centres(True)[2:], centres(False)[2:])


KNOWN = RELATIVES["G15"]
NEAR = torch.tensor(KNOWN["inputs"]["x"], dtype=torch.float64)
"""Students that are near their teacher."""


@pytest.mark.parametrize(("share", "name"), [("plain", "un_weighted"), ("weighted", "weighted")])
def test_both_shares_have_the_known_values(share: CentreShare, name: str) -> None:
    """G15: the share that stays, the moved centres, and ArcFace and CosFace over them."""
    old = CENTRES[IDENTITIES]
    assert kept_share(NEAR, old, UNITS, share).tolist() == pytest.approx(KNOWN["outputs"][f"{name}_a"], abs=1e-9)
    _, moved = moved_centres(old, NEAR, UNITS, torch.arange(4), share=share)
    expected = torch.tensor(KNOWN["outputs"][f"{name}_moved_centres"], dtype=torch.float64)
    torch.testing.assert_close(moved, expected, atol=1e-9, rtol=0)
    for loss, scale in (("arc_.45_s_8", 8), ("cos_.35_s_8", 8), ("arc_.45_s_64", 64)):
        key = f"{name}_{loss}"
        if key not in KNOWN["outputs"]:
            continue
        margin = {"name": "arcface", "margin_rad": 0.45} if "arc" in loss else {"name": "cosface", "margin_cos": 0.35}
        run = a_run(
            "adadistill",
            loss=loss_settings(scale=scale, **margin),
            distillation=AdaDistillSettings(centre_share=share),
        )
        method = METHODS["adadistill"](run, classes=5, image_px=SIZE, teacher_dims=(8,)).double()
        method.get_parameter("head.weight").data = CENTRES.clone()
        value = method.identity(NEAR, Batch(NEAR, IDENTITIES, UNITS))
        assert float(value) == pytest.approx(KNOWN["outputs"][key], abs=1e-9)
