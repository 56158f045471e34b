"""The settings of the loop; fairlab.config hands them on."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fairlab.settings import Settings


class Training(Settings):
    """The loop."""

    epochs: int = Field(52, ge=1, description="Passes over the images.")
    batch_size: int = Field(
        128, ge=2, description="Images in a step; the last, incomplete batch of a pass is left out."
    )
    base_lr: float = Field(
        0.1, gt=0, description="Learning rate at 512 images a step; the step uses base_lr x batch_size / 512."
    )
    momentum: float = Field(0.9, ge=0.0, lt=1.0, description="Of SGD.")
    weight_decay: float = Field(5e-4, ge=0.0, description="Of SGD, for network and classifier.")
    drop_epochs: tuple[int, ...] = Field(
        (15, 27, 39, 49),
        description="The learning rate falls to a tenth at the start of these passes (counted from 0).",
    )
    warmup_steps: int = Field(0, ge=0, description="The learning rate rises linearly over these first steps.")
    clip_norm: float = Field(5.0, gt=0, description="The network's gradient is scaled down to this length at most.")
    flip: bool = Field(True, description="Mirror an image with probability one half.")
    threads: int = Field(1, ge=1, description="Processor threads of one run.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where to compute; auto takes a GPU when there is one."
    )

    @model_validator(mode="after")
    def _drops_rise(self) -> Self:
        if list(self.drop_epochs) != sorted(set(self.drop_epochs)) or min(self.drop_epochs, default=0) < 0:
            raise ValueError("drop_epochs must rise from 0 on, e.g. 15, 27, 39")
        return self
