"""The settings of the networks of images: one class for most of them, and a class for each that has settings of its own.

`backbone.name` chooses the class, as loss.name does. Any name that is not one of OWN is taken by Backbone; whether there is
such a network, the plan says. The classes stand here and not in fairlab/models/, because those files import torch.
To give a new network settings of its own: a class with its name here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from fairlab.settings.base import Chosen, Name, Seed, Settings, by_name, one_of


class BackboneSettings(Settings):
    """The network that turns an image into an embedding."""

    name: Name = Field("", description="Architecture.")
    embedding_dim: int = Field(512, ge=2, le=16_384, description="Length of the embedding.")


class OwnBackbone(BackboneSettings, Chosen):
    """A network with settings that no other one has."""


class PatchEchoSettings(OwnBackbone):
    """Patches of the face, read in order by a fixed random recurrent layer; only the rest learns (after arXiv 2505.22985)."""

    name: Literal["patch_echo"] = "patch_echo"
    patch_px: int = Field(
        16, ge=1, le=1024, description="Edge of a patch in pixels; the image's size must be a multiple of it."
    )
    token_dim: int = Field(128, ge=1, le=4096, description="Length of the vector that a patch becomes.")
    units: int = Field(1024, ge=2, le=4096, description="Units of the reservoir.")
    spectral_radius: float = Field(
        0.9,
        ge=0.0,
        le=10.0,
        description="Largest absolute eigenvalue of the recurrent weights; below 1 is the usual recipe for a memory that fades.",
    )
    leak: float = Field(
        0.3, gt=0.0, le=1.0, description="Share of the new state in a step; the lower, the longer the memory."
    )
    input_scaling: float = Field(
        1.0,
        ge=0.0,
        le=1000.0,
        description="Spread of what a token with numbers of variance 1 adds to a unit, before the tanh.",
    )
    density: float = Field(1.0, gt=0.0, le=1.0, description="Share of the recurrent weights that are not zero.")
    reservoir_seed: Seed = Field(
        0, description="Seed of the fixed weights. All seeds of a study have the same reservoir."
    )
    learn_tokens: bool = Field(
        True, description="Patches and places learn too, through the fixed reservoir; otherwise only the read-out does."
    )


OWN: Mapping[str, type[OwnBackbone]] = by_name(OwnBackbone)
"""The settings of every network that has some of its own, by its name."""


class Backbone(BackboneSettings):
    """The network that turns an image into an embedding."""

    name: Name = Field("iresnet34", description="Architecture.")
    widths: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (16, 24, 48, 96), max_length=16, description="Channels of the stages (backbone 'tiny' only)."
    )
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="Share of features dropped before the last layer.")

    @model_validator(mode="after")
    def _has_no_settings_of_its_own(self) -> Self:
        if self.name in OWN:
            raise ValueError(f"{self.name} has settings of its own: {', '.join(OWN[self.name].model_fields)}")
        return self


USUAL = str(Backbone.model_fields["name"].default)

if TYPE_CHECKING:
    AnyBackbone = BackboneSettings
else:
    AnyBackbone = one_of({USUAL: Backbone, **OWN}, USUAL, others=True)
"""A field of this type takes the settings of any network; `name` says which."""


def backbone_kind(name: Any) -> type[BackboneSettings]:
    """The class that holds the settings of the network `name`."""
    return OWN.get(name, Backbone) if isinstance(name, str) else Backbone


def backbone_settings(name: str, **values: Any) -> BackboneSettings:
    """The settings of one network. Raises pydantic's ValidationError for a wrong value."""
    return backbone_kind(name)(name=name, **values)


def for_backbone(table: Mapping[str, Any], name: Any) -> dict[str, Any]:
    """The table of a network's settings turned into one for the network `name`.

    What differs from the first one's defaults is kept where the second has it too; the rest is at the second one's defaults.
    """
    before, after = backbone_kind(table.get("name")), backbone_kind(name)
    shared = before.model_fields.keys() & after.model_fields.keys() & table.keys() - {"name"}
    kept = {field: table[field] for field in shared if table[field] != before.model_fields[field].default}
    return {**{field: info.default for field, info in after.model_fields.items()}, **kept, "name": name}
