"""A margin for each image in the loop: it reaches the loss, survives a stop, and follows one table of shares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fairlab.errors import FairLabError
from fairlab.training.loop import Hooks, _check_same_setting
from fairlab.training.world import ALONE
from tests.training.test_together import LONG, SHORT, curve

CASE: dict[str, Any] = {"method": "classifier", "loss": {"name": "elastic_arcface_plus"}, "factors": True}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(torch.equal(tensor, other["weights"][name]) for name, tensor in one["weights"].items())


def test_they_change_what_is_learnt(tmp_path: Path) -> None:
    with_factors = curve(CASE, tmp_path / "with", ALONE, SHORT)
    without = curve({**CASE, "factors": False}, tmp_path / "without", ALONE, SHORT)
    assert not same(with_factors, without)


def test_a_stopped_run_goes_on_to_the_bit(tmp_path: Path) -> None:
    """In the middle of a pass, with an optimiser that remembers."""
    whole = curve(CASE, tmp_path / "whole", ALONE, LONG)
    assert curve(CASE, tmp_path / "cut", ALONE, LONG, stop_at=7) == {}
    rest = curve(CASE, tmp_path / "cut", ALONE, LONG)
    assert same(whole, rest)
    assert rest["notes"] == []


@pytest.mark.parametrize(("before", "now"), [("one", "two"), ("one", None), (None, "two")])
def test_other_shares_are_not_gone_on_with(before: str | None, now: str | None) -> None:
    """A replaced table, one that is gone, and one that came later."""
    saved, facts = ({"data": "d", **({"shares": name} if name else {})} for name in (before, now))
    hooks = Hooks(lambda: False, lambda *_: None, lambda *_: None, lambda _: None)
    with pytest.raises(FairLabError, match="the soft group shares are not those this run started with"):
        _check_same_setting(saved, facts, hooks)
    assert _check_same_setting(saved, saved, hooks) == saved
