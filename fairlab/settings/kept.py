"""Small files of the workspace read as typed facts: types, limits and sizes are checked before anything uses them.

A file of another hand (an archive, an editor, a damaged disk) is refused with its name and field. What runs and studies keep
is described in store.records, what data sets keep in data.record_file.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, field_validator

from fairlab.errors import Damaged
from fairlab.files import read_json
from fairlab.reading.characters import clean
from fairlab.settings.base import Settings
from fairlab.settings.parsing import first_fault


class Kept(Settings):
    """Facts of a file; those that are not named here are left to the readers of them."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _no_hidden_characters(cls, value: Any) -> Any:
        """What is there already is shown clean instead of refused: a file's name in a reason may hold anything."""
        if isinstance(value, tuple):
            return tuple(clean(item) if isinstance(item, str) else item for item in value)
        return clean(value) if isinstance(value, str) else value


def _is_a_time(value: str) -> str:
    try:
        datetime.fromisoformat(value or "2026-01-31")
    except ValueError as error:
        raise ValueError("a time in UTC belongs here, e.g. 2026-01-31T12:00:00+00:00") from error
    return value


Time = Annotated[str, Field(max_length=40), AfterValidator(_is_a_time)]
"""UTC ISO 8601, see workspace.now; or "" where there is none yet."""
FolderName = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Of a run, a study, a data set; see workspace.checked_name."""
Count = Annotated[int, Field(ge=0, le=10**15)]
Seconds = Annotated[float, Field(ge=0.0, le=1e12)]
K = TypeVar("K", bound=Kept)


def checked(kind: type[K], raw: Mapping[str, Any], path: Path) -> K:
    """The facts of a file as `kind`. Raises Damaged: file, field, and what belongs there."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        fault = next((item for item in error.errors() if item["type"] == "missing"), None)
        if fault is not None:
            lacks = ".".join(map(str, fault["loc"]))
            raise Damaged(f"{path} lacks '{lacks}'; it was not written by this FairLab") from error
        raise Damaged(f"{path}: {first_fault(error, kind)}") from error


def read_checked(kind: type[K], path: Path) -> K:
    """A file as `kind`. Raises FairLabError (missing), Damaged."""
    return checked(kind, read_json(path), path)
