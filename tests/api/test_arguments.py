"""Arguments that many methods take: none is ignored, and a wrong one is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlab.api.arguments import run_ids, settings_of
from fairlab.api.run import Run
from fairlab.errors import FairLabError
from fairlab.settings.study import Projection
from fairlab.workspace import Workspace


def test_keywords_change_an_object_of_settings() -> None:
    """An object and keywords together: what a user wrote is what happens."""
    both = settings_of(Projection, Projection(neighbours=30, epochs=50), {"neighbours": 40})
    assert (both.neighbours, both.epochs) == (40, 50)
    assert settings_of(Projection, None, {"epochs": 50}) == Projection(epochs=50)


@pytest.mark.parametrize(("changes", "words"), [({"neighbours": 1}, "neighbours"), ({"neighbors": 9}, "'neighbors'")])
def test_a_wrong_keyword_is_refused_beside_an_object_too(changes: dict[str, int], words: str) -> None:
    for given in (None, Projection(neighbours=30)):
        with pytest.raises(FairLabError, match=words):
            settings_of(Projection, given, changes)


def test_handles_and_ids_are_the_same(tmp_path: Path) -> None:
    assert run_ids([Run(Workspace(tmp_path), "teacher-1"), "student-2"]) == ["teacher-1", "student-2"]
