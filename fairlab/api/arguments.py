"""What arguments that many methods take mean: runs by handle or id, settings as an object or as keywords, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from fairlab.settings.base import Settings
from fairlab.settings.study import parse

if TYPE_CHECKING:
    from fairlab.api.run import Run

S = TypeVar("S", bound=Settings)
Progress = Callable[[int, int], None]
"""Called with what is done and the total."""


def silent(_done: int, _total: int) -> None:
    """The progress of a call that shows none."""


def run_ids(runs: Iterable[str | Run]) -> list[str]:
    """Run ids of handles, or of run ids."""
    return [str(getattr(run, "run_id", run)) for run in runs]


def settings_of(kind: type[S], settings: S | None, changes: Mapping[str, Any]) -> S:
    """These settings, or the defaults of `kind`, with these fields changed. Raises FairLabError for a wrong field."""
    return parse(kind, {**(settings.model_dump() if settings is not None else {}), **changes}, "these settings")
