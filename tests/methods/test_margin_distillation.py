"""MarginDistillation: a margin for every image."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from fairlab.methods.base import METHODS, Batch, Inherited, Method
from fairlab.methods.margin_distillation import margins
from fairlab.settings.loss import loss_settings
from tests.fixtures.golden import CENTRES, EMBEDDINGS, GOLDEN, IDENTITIES
from tests.methods.conftest import SIZE, a_run


def golden_method(scale: float = 8.0) -> Method:
    run = a_run("margin_distillation", loss=loss_settings(scale=scale))
    inherited = Inherited(CENTRES, 64.0)
    kind = METHODS["margin_distillation"]
    method = kind(run, classes=5, image_px=SIZE, teacher_dims=(8,), inherited=inherited).double()
    method.get_parameter("head.weight").data = CENTRES.clone()
    return method


def test_the_surest_image_gets_the_whole_margin() -> None:
    """cos 0.8 is the batch's largest: 0.5; half of that: 0.35; at a right angle or beyond: 0.2."""
    centre = torch.tensor([[1.0, 0.0]]).repeat(4, 1)
    cosine = torch.tensor([0.8, 0.4, 0.0, -0.7])
    targets = torch.stack([cosine, (1 - cosine**2).sqrt()], 1)
    torch.testing.assert_close(margins(targets, centre), torch.tensor([0.5, 0.35, 0.2, 0.2]))
    torch.testing.assert_close(margins(-centre, centre), torch.full((4,), 0.2))


def test_with_a_teacher_that_is_equally_sure_it_is_arcface() -> None:
    """Every image gets 0.5: the golden values of ArcFace over these centres."""
    on_centre = functional.normalize(CENTRES[IDENTITIES])
    for scale, name in ((1.0, "arcface_s1_m0.5_CE"), (8.0, "arcface_s8_m0.5_CE"), (64.0, "arcface_m0.5_CE")):
        loss = golden_method(scale).identity(EMBEDDINGS, Batch(EMBEDDINGS, IDENTITIES, on_centre))
        assert float(loss) == pytest.approx(GOLDEN[name], rel=1e-9)


def test_each_image_has_its_own_margin() -> None:
    """From the definition, in plain Python, with the cosines of the golden file."""
    method = golden_method()
    targets = functional.normalize(EMBEDDINGS.flip(0))
    own = [max(float(targets[i] @ functional.normalize(CENTRES[y], dim=0)), 0) for i, y in enumerate(IDENTITIES)]
    expected = 0.0
    for i, y in enumerate(IDENTITIES.tolist()):
        angle = 0.2 + 0.3 * own[i] / max(own)
        logits = [8 * c for c in GOLDEN["cos"][i]]
        logits[y] = 8 * math.cos(math.acos(GOLDEN["cos"][i][y]) + angle)
        expected += (math.log(sum(map(math.exp, logits))) - logits[y]) / 4
    loss = method.identity(EMBEDDINGS, Batch(EMBEDDINGS, IDENTITIES, targets))
    assert float(loss) == pytest.approx(expected, rel=1e-9)


def test_in_evaluation_there_is_no_margin() -> None:
    """NormSoftmax; no targets are needed."""
    loss = golden_method().eval().identity(EMBEDDINGS, Batch(EMBEDDINGS, IDENTITIES))
    assert float(loss) == pytest.approx(GOLDEN["norm_softmax_s8_CE"], rel=1e-9)
