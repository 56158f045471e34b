"""What every group of settings is, and the limits that numbers and texts of all of them share.

Every number has a smallest and a largest value, every text and list a longest length: tests/settings/test_base.py walks
over all settings. A limit lies far beyond what anybody needs, and before what breaks a library or fills the memory.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Union, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationInfo,
    field_validator,
    model_serializer,
)

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


class Chosen(Settings):
    """One of several classes of settings, chosen by its name; each has the fields that its thing uses, and no others."""

    name: Name

    @model_serializer(mode="wrap")
    def _with_its_name(self, others: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The name is written even where only what differs from the defaults is: it says whose defaults they are."""
        return {"name": self.name, **others(self)}


def by_name(kind: type[Chosen]) -> dict[str, type[Any]]:
    """All classes below `kind` that have a name as their default, sorted by that name."""
    found: dict[str, type[Any]] = {}
    for child in kind.__subclasses__():
        name = child.model_fields["name"].default
        found |= by_name(child) | ({name: child} if isinstance(name, str) and name else {})
    return dict(sorted(found.items()))


def one_of(classes: Mapping[str, type[Settings]], usual: str = "", others: bool = False) -> Any:
    """The type of a field that takes any of these classes, as its name says; a table without a name is one of `usual`.

    others: so is a table with a name that is none of theirs.
    """

    def chosen(value: Any) -> str | None:
        name = value.get("name", usual) if isinstance(value, Mapping) else getattr(value, "name", None)
        known = isinstance(name, str) and bool(name) and (not others or name in classes)
        return name if known else usual if others else None

    kinds_of_it = tuple(Annotated[kind, Tag(name)] for name, kind in classes.items())
    return Annotated[Union[kinds_of_it], Discriminator(chosen)]  # noqa: UP007 - a union of classes that are counted here


CLOSE = 0.75
"""From this likeness of two words on (difflib's ratio), one is taken for a slip of the other."""


def nearest(word: str, known: Collection[str]) -> str:
    """A question about the known word that looks most like `word`, to end a sentence with; "" where none does."""
    close = difflib.get_close_matches(word, known, 1, CLOSE)
    return f" (did you mean {close[0]!r}?)" if close else ""


def kinds(annotation: Any) -> set[Any]:
    """All plain types that a field's annotation is made of: of `tuple[int, ...] | None` they are int and NoneType."""
    inner = [item for item in get_args(annotation) if item is not Ellipsis]
    return {annotation} if not inner else {kind for item in inner for kind in kinds(item)}
