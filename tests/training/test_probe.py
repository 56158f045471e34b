"""Measuring a few steps: of every method that there is."""

from __future__ import annotations

import pytest

from fairlab.methods.base import METHODS
from fairlab.settings.study import Training
from fairlab.training.probe import time_network
from tests.methods.conftest import SIZE, a_run


@pytest.mark.parametrize("name", [name for name in METHODS if getattr(METHODS[name], "trains", True)])
def test_every_method_can_be_timed(name: str) -> None:
    """With what it needs: targets, their lengths, an inherited classifier; also into a space of another length."""
    dims = (6, 6) if METHODS.facts(name)["parents"] == "teachers" else (12,)
    times = time_network(a_run(name, training=Training(batch_size=8)), 5, SIZE, dims, 1)
    assert times.keys() == {"step_s", "embed_s"}
    assert all(0 < seconds < 60 for seconds in times.values())
