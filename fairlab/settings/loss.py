"""The settings of the identity losses; fairlab.settings.study brings them to the others.

Defaults: MST-KD's (arXiv 2408.16563 and its official code); what is None by default is each loss's own paper's.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from fairlab.settings.base import Name, Settings

MAGFACE_NORMS = (10.0, 110.0)
MAGFACE_MARGINS_RAD = (0.45, 0.8)
"""Limits of arXiv 2103.06627, for embeddings of 512 dimensions."""


class Loss(Settings):
    """The identity loss: a classifier with a margin. A setting that the chosen loss does not use changes nothing.

    What is empty is the paper's, and stays out of a run's id: runs from before a setting existed keep theirs.
    """

    name: Name = Field("elastic_arcface", description="Margin classifier.")
    scale: float = Field(64.0, gt=0, le=10_000.0, description="s: the cosines are multiplied by this.")
    margin_rad: float = Field(0.5, ge=0.0, lt=1.6, description="m: the angle added to the target's, in radians.")
    sigma_rad: float = Field(
        0.05, ge=0.0, le=0.5, description="Spread of the margin, drawn separately for every image (ElasticFace)."
    )
    margin_cos: float | None = Field(
        None,
        ge=0.0,
        le=1.0,
        description="m where it is taken off the cosine; empty: 0.35 (CosFace, arXiv 1801.09414; ElasticFace-Cos and -Cos+, 2109.09416), or 0.4 (AdaFace, 2204.00964, there an angle too).",
    )
    sigma_cos: float | None = Field(
        None,
        ge=0.0,
        le=0.5,
        description="Spread of margin_cos; empty: 0.05 (ElasticFace-Cos, arXiv 2109.09416) or 0.02 (ElasticFace-Cos+).",
    )
    sigma_plus_rad: float | None = Field(
        None,
        ge=0.0,
        le=0.5,
        description="Spread of margin_rad in ElasticFace-Arc+; empty: 0.0175 (arXiv 2109.09416).",
    )
    ema_weight: float | None = Field(
        None,
        gt=0.0,
        le=1.0,
        description="Share of a new batch in running means; empty: 0.01 (AdaFace, arXiv 2204.00964; CurricularFace, 2004.00288), or 1 (AdaFace with compat).",
    )
    norm_concentration: float | None = Field(
        None,
        ge=0.0,
        le=1.0,
        description="h: how much the embedding's length moves AdaFace's margin; empty: 0.333 (arXiv 2204.00964).",
    )
    norm_low: float | None = Field(
        None,
        gt=0.0,
        le=1e6,
        description="MagFace: shorter embeddings count as this long; empty: 10 (arXiv 2103.06627).",
    )
    norm_high: float | None = Field(
        None,
        gt=0.0,
        le=1e6,
        description="MagFace: longer embeddings count as this long; empty: 110 (arXiv 2103.06627).",
    )
    norm_weight: float | None = Field(
        None,
        ge=0.0,
        le=1e6,
        description="MagFace: weight of the pull to longer embeddings; empty: 35 (arXiv 2103.06627).",
    )
    margin_low_rad: float | None = Field(
        None,
        ge=0.0,
        lt=1.6,
        description="MagFace: the angle for embeddings of length norm_low, in radians; empty: 0.45 (arXiv 2103.06627).",
    )
    margin_high_rad: float | None = Field(
        None,
        ge=0.0,
        lt=1.6,
        description="MagFace: the angle for embeddings of length norm_high, in radians; empty: 0.8 (arXiv 2103.06627).",
    )
    sample_rate: float | None = Field(
        None,
        gt=0.0,
        le=1.0,
        description="Share of the class centres in a step, those of the batch and others drawn by chance (PartialFC, arXiv 2203.15565); empty: all.",
    )
    compat: bool | None = Field(
        None,
        description="As the published code has it, where that differs: order of ElasticFace+'s margins; AdaFace of the synthetic-gap code (arXiv 2408.17399), which is CosFace; empty: no.",
    )

    @field_validator("compat")
    @classmethod
    def _no_is_empty(cls, value: bool | None) -> bool | None:
        return value or None

    @field_validator("sample_rate")
    @classmethod
    def _all_is_empty(cls, value: float | None) -> float | None:
        return None if value == 1 else value

    @model_validator(mode="after")
    def _limits_rise(self) -> Self:
        if self.name != "magface":
            return self
        for low, high, papers in (
            ("norm_low", "norm_high", MAGFACE_NORMS),
            ("margin_low_rad", "margin_high_rad", MAGFACE_MARGINS_RAD),
        ):
            values = [
                paper if value is None else value
                for value, paper in zip((getattr(self, low), getattr(self, high)), papers, strict=True)
            ]
            if values[0] > values[1] or (low == "norm_low" and values[0] == values[1]):
                raise ValueError(f"magface needs {low} below {high}; they are {values[0]:g} and {values[1]:g}")
        return self
