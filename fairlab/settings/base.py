"""What every group of settings is, and the limits that numbers and texts of all of them share.

Every number has a smallest and a largest value, every text and list a longest length: tests/test_architecture.py walks
over all settings. A limit lies far beyond what anybody needs, and before what breaks a library or fills the memory.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from fairlab.reading.characters import unfit

MOST_SEED = 2**31 - 1
"""Python, torch, numpy's generators old and new, UMAP, and a column of whole numbers in any table take up to this."""
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
Name = Annotated[str, Field(max_length=200)]
"""Of a thing, or a title."""
Text = Annotated[str, Field(max_length=2000)]
"""Some sentences, an address, an option of another program."""
PathText = Annotated[str, Field(max_length=4096)]
"""No system takes a longer path."""
Names = Annotated[tuple[Name, ...], Field(max_length=200)]
Seeds = Annotated[tuple[Seed, ...], Field(max_length=100)]
Level = Annotated[float, Field(ge=0, le=65_535)]
"""Of a pixel, or a distance between two."""
Epoch = Annotated[int, Field(ge=0, le=100_000)]


class Settings(BaseModel):
    """Typed, frozen, and strict about unknown keys, about truth values where numbers belong, and about hidden characters."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and bool not in kinds(cls.model_fields[str(info.field_name)].annotation):
            raise ValueError("a number or a text belongs here, not true or false")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _no_hidden_characters(cls, value: Any) -> Any:
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and (fault := unfit(text)):
                raise ValueError(f"a text without {fault} belongs here")
        return value


def kinds(annotation: Any) -> set[Any]:
    """All plain types that a field's annotation is made of: of `tuple[int, ...] | None` they are int and NoneType."""
    inner = [item for item in get_args(annotation) if item is not Ellipsis]
    return {annotation} if not inner else {kind for item in inner for kind in kinds(item)}
