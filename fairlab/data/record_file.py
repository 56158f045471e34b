"""What dataset.json may hold, see fairlab.settings.kept."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fairlab.settings.base import Name, PathText, Text
from fairlab.settings.kept import FolderName, Kept


class Lender(Kept):
    """A data set whose images another one borrows."""

    dataset: FolderName
    fingerprint: Name


class Origin(Kept):
    """Where images lie that are not in the data set's own file of pixels."""

    kind: Name
    path: PathText = ""
    swap_channels: bool = False
    parents: tuple[Lender, ...] = Field((), max_length=1000)


class ShareFacts(Kept):
    """What dataset.json says of soft group shares (data.shares)."""

    groups: tuple[Text, ...] = Field(min_length=2, max_length=10_000)
    fingerprint: Name


class TraitFacts(Kept):
    """What dataset.json says of traits (data.traits): of each its name, source and meaning, in the file's order."""

    names: tuple[Text, ...] = Field(max_length=1000)
    sources: tuple[Literal["table", "measured", "generator"], ...] = Field(max_length=1000)
    meanings: tuple[Text, ...] = Field(max_length=1000)
    fingerprint: Name

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if len(set(self.names)) < len(self.names) or not len(self.names) == len(self.sources) == len(self.meanings):
            raise ValueError("names, sources and meanings are not of the same traits")
        return self


class SelectionFacts(Kept):
    """What dataset.json says of the selection whose images a data set by recipe has (data.selections)."""

    name: Name
    hash: Name
    selected: Name


class DatasetFile(Kept):
    """dataset.json, as far as everybody reads it."""

    dataset_id: Name
    kind: Name
    attribute: Name
    groups: tuple[Text, ...] = Field(max_length=100_000)
    image_px: int = Field(ge=0, le=100_000)
    fingerprint: Name
    notes: str = Field("", max_length=100_000)
    no_images: bool = False
    templates: bool = False
    images_from: Origin | None = None
    shares: ShareFacts | None = None
    traits: TraitFacts | None = None
    selection: SelectionFacts | None = None
