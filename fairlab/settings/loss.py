"""The settings of the identity losses: a class for each loss, with its paper's defaults.

`loss.name` chooses the class, so a loss has the settings that it uses and refuses all others. The classes stand here and not
in fairlab/losses/, because those files import torch and a page that only shows settings must not.
To add a loss: a class with its name here, and a file in fairlab/losses/ that registers a head under this name.
Where no other source is named, a default is MST-KD's (arXiv 2408.16563 and its official code).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from fairlab.settings.base import Chosen, by_name, one_of

USUAL = "elastic_arcface"
"""The loss of MST-KD, taken where no name is given."""


class Loss(Chosen):
    """The identity loss: a classifier with a margin. Each loss has settings of its own beside these two."""

    scale: float = Field(64.0, gt=0, le=10_000.0, description="s: the cosines are multiplied by this.")
    sample_rate: float = Field(
        1.0,
        gt=0.0,
        le=1.0,
        description="Share of the class centres in a step: those of the batch, and others drawn by chance (PartialFC, arXiv 2203.15565); 1: all.",
    )


class AngleLoss(Loss):
    """A loss that adds an angle to the target's."""

    margin_rad: float = Field(0.5, ge=0.0, lt=1.6, description="m: the angle added to the target's, in radians.")
    margin_factor: Literal["none", "shares"] = Field(
        "none",
        description="shares: an image's margin_rad is multiplied by (1 + s - mean)^2, where s is its identity's mean share of the identity's own group and mean is that of the group's identities, so that clear members get a larger margin (RaceFace, code of arXiv 2408.16563). It needs `fairlab data shares`.",
    )


class CosineLoss(Loss):
    """A loss that takes an amount off the target's cosine."""

    margin_cos: float = Field(
        0.35,
        ge=0.0,
        le=1.0,
        description="m: taken off the target's cosine (0.35: CosFace, arXiv 1801.09414; ElasticFace, 2109.09416).",
    )


class NormSoftmaxSettings(Loss):
    """Softmax over cosines, without a margin."""

    name: Literal["norm_softmax"] = "norm_softmax"


class ArcFaceSettings(AngleLoss):
    """ArcFace: a fixed angle (arXiv 1801.07698)."""

    name: Literal["arcface"] = "arcface"


class CosFaceSettings(CosineLoss):
    """CosFace: a fixed amount off the cosine (arXiv 1801.09414)."""

    name: Literal["cosface"] = "cosface"


class ElasticArcFaceSettings(AngleLoss):
    """ElasticFace-Arc: an angle drawn for each image (arXiv 2109.09416)."""

    name: Literal["elastic_arcface"] = "elastic_arcface"
    sigma_rad: float = Field(
        0.05, ge=0.0, le=0.5, description="Spread of margin_rad, which is drawn separately for each image."
    )


class ElasticCosFaceSettings(CosineLoss):
    """ElasticFace-Cos: an amount off the cosine, drawn for each image (arXiv 2109.09416)."""

    name: Literal["elastic_cosface"] = "elastic_cosface"
    sigma_cos: float = Field(
        0.05, ge=0.0, le=0.5, description="Spread of margin_cos, which is drawn separately for each image."
    )


ORDER = "Give out the drawn margins in the order of the published code, which is the inverse of the paper's."


class ElasticArcFacePlusSettings(AngleLoss):
    """ElasticFace-Arc+: images far from their class centre get the larger draws (arXiv 2109.09416)."""

    name: Literal["elastic_arcface_plus"] = "elastic_arcface_plus"
    sigma_plus_rad: float = Field(
        0.0175, ge=0.0, le=0.5, description="Spread of margin_rad, which is drawn separately for each image."
    )
    compat: bool = Field(False, description=ORDER)


class ElasticCosFacePlusSettings(CosineLoss):
    """ElasticFace-Cos+: images far from their class centre get the larger draws (arXiv 2109.09416)."""

    name: Literal["elastic_cosface_plus"] = "elastic_cosface_plus"
    sigma_cos: float = Field(
        0.02, ge=0.0, le=0.5, description="Spread of margin_cos, which is drawn separately for each image."
    )
    compat: bool = Field(False, description=ORDER)


class CurricularFaceSettings(AngleLoss):
    """CurricularFace: hard other classes count more as training goes on (arXiv 2004.00288)."""

    name: Literal["curricularface"] = "curricularface"
    ema_weight: float = Field(
        0.01, gt=0.0, le=1.0, description="Share of a new batch in the running mean of the target's cosine."
    )


class AdaFaceSettings(Loss):
    """AdaFace: the margin follows the embedding's length (arXiv 2204.00964)."""

    name: Literal["adaface"] = "adaface"
    margin_cos: float = Field(0.4, ge=0.0, le=1.0, description="m: an angle in radians, and taken off the cosine too.")
    norm_concentration: float = Field(
        0.333, ge=0.0, le=1.0, description="h: how much the embedding's length moves the margin."
    )
    ema_weight: float = Field(
        0.01,
        gt=0.0,
        le=1.0,
        description="Share of a new batch in the running mean and spread of the lengths; with compat it is always 1.",
    )
    compat: bool = Field(
        False, description="AdaFace as in the synthetic-gap code (arXiv 2408.17399), where it is CosFace in effect."
    )

    @model_validator(mode="after")
    def _compat_has_its_weight(self) -> Self:
        if self.compat and self.ema_weight not in (1.0, AdaFaceSettings.model_fields["ema_weight"].default):
            raise ValueError("adaface with compat has an ema_weight of 1: leave it out, or turn compat off")
        return self


class MagFaceSettings(Loss):
    """MagFace: longer embeddings get a larger angle (arXiv 2103.06627, whose limits are for 512 dimensions)."""

    name: Literal["magface"] = "magface"
    norm_low: float = Field(10.0, gt=0.0, le=1e6, description="Shorter embeddings count as this long.")
    norm_high: float = Field(110.0, gt=0.0, le=1e6, description="Longer embeddings count as this long.")
    norm_weight: float = Field(35.0, ge=0.0, le=1e6, description="Weight of the pull to longer embeddings.")
    margin_low_rad: float = Field(
        0.45, ge=0.0, lt=1.6, description="The angle for embeddings of length norm_low, in radians."
    )
    margin_high_rad: float = Field(
        0.8, ge=0.0, lt=1.6, description="The angle for embeddings of length norm_high, in radians."
    )

    @model_validator(mode="after")
    def _limits_rise(self) -> Self:
        for low, high in (("norm_low", "norm_high"), ("margin_low_rad", "margin_high_rad")):
            values = getattr(self, low), getattr(self, high)
            if values[0] > values[1] or (low == "norm_low" and values[0] == values[1]):
                raise ValueError(f"magface needs {low} below {high}; they are {values[0]:g} and {values[1]:g}")
        return self


LOSSES: Mapping[str, type[Loss]] = by_name(Loss)
"""The settings of every loss, by its name."""


if TYPE_CHECKING:
    AnyLoss = Loss
else:
    AnyLoss = one_of(LOSSES, USUAL)
"""A field of this type takes the settings of any loss; `name` says which."""


def loss_settings(name: str = USUAL, **values: Any) -> Loss:
    """The settings of one loss. Raises KeyError for an unknown name, pydantic's ValidationError for a wrong value."""
    return LOSSES[name](**values)


def for_loss(table: Mapping[str, Any], name: Any) -> dict[str, Any]:
    """The table of a loss's settings turned into one for the loss `name`, with a value for each of its settings.

    What differs from the defaults of the first loss is kept where the second has the same setting (name and meaning); all
    others are the second loss's defaults. An unknown name is left for the settings to refuse.
    """
    if not isinstance(name, str) or name not in LOSSES or table.get("name") not in LOSSES:
        return {"name": name}
    before, fields = LOSSES[table["name"]].model_fields, LOSSES[name].model_fields
    kept = {
        field: table[field]
        for field, info in fields.items()
        if field != "name"
        and field in table
        and table[field] != before[field].default
        # the same setting, not only the same word: compat and ema_weight are something else in each loss
        and info.description == before[field].description
    }
    return {field: kept.get(field, info.default) for field, info in fields.items()}
