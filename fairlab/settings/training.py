"""The settings of the loop; fairlab.settings.study hands them on.

What is empty is as the papers have it (MST-KD, arXiv 2408.16563, and its official code), and stays out of a run's id:
runs from before a setting existed keep theirs, and their result to the bit.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from fairlab.settings.base import Epoch, Settings


class Training(Settings):
    """The loop."""

    epochs: int = Field(52, ge=1, le=100_000, description="Passes over the images.")
    batch_size: int = Field(
        128,
        ge=2,
        le=1_000_000,
        description="Images in a step, shared equally where several processes train; the last, incomplete batch of a pass is left out.",
    )
    base_lr: float = Field(
        0.1,
        gt=0,
        le=1000.0,
        description="Learning rate at 512 images a step; the step uses base_lr x images / 512. AdamW wants less, e.g. 0.0005 (DeiT, arXiv 2012.12877).",
    )
    momentum: float = Field(0.9, ge=0.0, lt=1.0, description="Of SGD.")
    weight_decay: float = Field(
        5e-4,
        ge=0.0,
        le=100.0,
        description="For network and classifier; of SGD part of the gradient, of AdamW apart from it (there usually 0.01 to 0.05).",
    )
    drop_epochs: tuple[Epoch, ...] = Field(
        (15, 27, 39, 49),
        max_length=1000,
        description="The learning rate falls to a tenth at the start of these passes (counted from 0); not with the cosine.",
    )
    warmup_steps: int = Field(
        0, ge=0, le=1_000_000_000, description="The learning rate rises linearly over these first steps."
    )
    clip_norm: float = Field(
        5.0, gt=0, le=1e9, description="The network's gradient is scaled down to this length at most."
    )
    flip: bool = Field(True, description="Mirror an image with probability one half.")
    threads: int = Field(1, ge=1, le=4096, description="Processor threads of one run.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where to compute; auto takes a GPU when there is one."
    )
    optimiser: Literal["sgd", "adamw"] | None = Field(
        None, description="sgd with momentum, or adamw (arXiv 1711.05101); empty: sgd, as in the papers."
    )
    beta1: float | None = Field(
        None, ge=0.0, lt=1.0, description="AdamW's memory of gradients; empty: 0.9 (Adam, arXiv 1412.6980)."
    )
    beta2: float | None = Field(
        None, ge=0.0, lt=1.0, description="AdamW's memory of their squares; empty: 0.999 (Adam, arXiv 1412.6980)."
    )
    schedule: Literal["steps", "cosine"] | None = Field(
        None,
        description="steps: the drops above; cosine: half a cosine from the full rate to zero (SGDR, arXiv 1608.03983, one cycle); empty: steps, as in the papers. Both after the warm-up.",
    )
    accumulate: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Batches whose gradients make one step: it learns from batch_size x this many images in the memory of batch_size. Batch norm and losses over a batch still see batch_size; empty: 1.",
    )
    ema_decay: float | None = Field(
        None,
        ge=0.0,
        lt=1.0,
        description="Keep a running mean of the network's weights; what is validated, kept and embedded is then this mean. In each step what was counts by this share, e.g. 0.999, but in step t by no more than (1+t)/(10+t) (as in TensorFlow's ExponentialMovingAverage). Empty: the weights as they are, as in the papers.",
    )
    balance: Literal["identities", "groups"] | None = Field(
        None,
        description="Draw every identity, or every group, equally often in a pass: as many images as before, those of the rarer repeated; empty: every image once, as in the papers.",
    )
    randaugment: int | None = Field(
        None,
        ge=1,
        le=14,
        description="Change every image by so many operations drawn from a list of fourteen (RandAugment, arXiv 1909.13719; MST-KD's code has 4, unused); empty: none.",
    )
    randaugment_magnitude: int | None = Field(
        None, ge=0, le=30, description="How much, 0 to 30; empty: 16, as in MST-KD's code."
    )
    precision: Literal["bf16", "fp16"] | None = Field(
        None,
        description="Half precision inside the network, on a GPU only: bf16, or fp16 with scaled gradients; losses stay in full precision. Empty: full, as in the papers.",
    )
    compile: bool | None = Field(
        None,
        description="Translate the network by torch.compile: on a GPU a minute first, then faster steps; on a processor 5 to 10 minutes first for 4 % (IResNet-18) to 24 % (MobileFaceNet), measured: worth it from some 600 to 900 steps. Empty: no.",
    )
    keep: Literal["last", "best"] | None = Field(
        None,
        description="Which weights are the run's: those of the last pass, or of the pass with the best mean accuracy on validation people (the earliest of equals), never on test people. Empty: last.",
    )

    @property
    def step_images(self) -> int:
        """Images that one step learns from."""
        return self.batch_size * (self.accumulate or 1)

    @field_validator("accumulate")
    @classmethod
    def _one_is_empty(cls, value: int | None) -> int | None:
        return None if value == 1 else value

    @field_validator("compile")
    @classmethod
    def _no_is_empty(cls, value: bool | None) -> bool | None:
        return value or None

    @field_validator("optimiser", "schedule", "keep")
    @classmethod
    def _as_before_is_empty(cls, value: str | None) -> str | None:
        return None if value in ("sgd", "steps", "last") else value

    @model_validator(mode="after")
    def _drops_rise(self) -> Self:
        if list(self.drop_epochs) != sorted(set(self.drop_epochs)):
            raise ValueError("drop_epochs must rise from 0 on, e.g. 15, 27, 39")
        return self

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.optimiser != "adamw" and (self.beta1, self.beta2) != (None, None):
            raise ValueError("beta1 and beta2 are AdamW's; choose optimiser adamw, or leave them empty")
        if self.randaugment is None and self.randaugment_magnitude is not None:
            raise ValueError(
                "randaugment_magnitude says how much; say with randaugment how many operations, or leave it empty"
            )
        return self
