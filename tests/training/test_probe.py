"""Measuring a few steps: of every method that there is."""

from __future__ import annotations

import pytest
from torch import Tensor

from fairlab.methods.base import METHODS, Batch, Method
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


@pytest.mark.parametrize("rows", ["all", "general"])
def test_a_batch_with_pairs_is_timed_as_it_is_trained(monkeypatch: pytest.MonkeyPatch, rows: str) -> None:
    """All images pass the network; the identity loss is over those that count in it."""
    seen: set[int] = set()
    plain = METHODS["classifier"].identity  # type: ignore[attr-defined]

    def counted(self: Method, embeddings: Tensor, batch: Batch) -> Tensor:
        seen.add(len(embeddings))
        return plain(self, embeddings, batch)

    monkeypatch.setattr(METHODS["classifier"], "identity", counted)
    settings = Training(batch_size=10, pair_identities=2, pair_images=3, identity_rows=rows)
    time_network(a_run("classifier", training=settings), 5, SIZE, (), 1)
    assert seen == {10 if rows == "all" else 4}
