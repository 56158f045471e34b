"""The settings of the loop; fairlab.settings.study hands them on.

Every default is as the papers have it (MST-KD, arXiv 2408.16563, and its official code).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fairlab.settings.base import Epoch, Name, Settings

PAIRS = ("pair_images", "identity_rows")
"""Settings of Training that have a use only where pair_identities is above 0."""


class Training(Settings):
    """The loop."""

    epochs: int = Field(52, ge=1, le=100_000, description="Passes over the images.")
    batch_size: int = Field(
        128,
        ge=2,
        le=1_000_000,
        description="Images in a step, shared equally where several processes train; the last, incomplete batch of an epoch is left out.",
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
        description="The learning rate falls to a tenth at the start of these epochs (counted from 0); not with the cosine.",
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
    optimiser: Literal["sgd", "adamw"] = Field(
        "sgd", description="sgd with momentum, as in the papers, or adamw (arXiv 1711.05101)."
    )
    beta1: float = Field(0.9, ge=0.0, lt=1.0, description="AdamW's memory of gradients (Adam, arXiv 1412.6980).")
    beta2: float = Field(
        0.999, ge=0.0, lt=1.0, description="AdamW's memory of squared gradients (Adam, arXiv 1412.6980)."
    )
    schedule: Literal["steps", "cosine"] = Field(
        "steps",
        description="steps: the drops above, as in the papers; cosine: half a cosine from the full rate to zero (SGDR, arXiv 1608.03983, one cycle). Both after the warm-up.",
    )
    accumulate: int = Field(
        1,
        ge=1,
        le=1_000_000,
        description="Batches whose gradients make one step: it learns from batch_size x this many images in the memory of batch_size. Batch norm and losses over a batch still see batch_size.",
    )
    ema_decay: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="Above 0, e.g. 0.999: keep a running mean of the network's weights, and validate, keep and embed with this mean. In each step the old mean counts by this share, but in step t by no more than (1+t)/(10+t), as in TensorFlow's ExponentialMovingAverage. 0: the weights as they are, as in the papers.",
    )
    balance: Literal["images", "identities", "groups"] = Field(
        "images",
        description="What is drawn equally often in an epoch: every image once, as in the papers, or every identity, or every group. An epoch always has the same number of images; those of rarer ones are repeated.",
    )
    pair_identities: int = Field(
        0,
        ge=0,
        le=100_000,
        description="Above 0, each batch ends with images of this many identities, so that it has genuine pairs. Every step draws others. The other images are the general half, and an epoch is one pass of these. EKD's code (CVPR 2022) has 8 identities x 4 images beside 32 general images. 0: no such half.",
    )
    pair_images: int = Field(
        4,
        ge=2,
        le=100_000,
        description="Different images of each of these identities, repeated where an identity has fewer (4: EKD's code). Those with a single image are never drawn.",
    )
    identity_rows: Literal["all", "general"] = Field(
        "all",
        description="Images that the identity loss is over: all of a batch, or its general half only. EKD always has the general half, as its code does.",
    )
    randaugment: int = Field(
        0,
        ge=0,
        le=14,
        description="Change every image by this many operations drawn from a list of fourteen (RandAugment, arXiv 1909.13719). 0: none; MST-KD's code has 4, unused.",
    )
    randaugment_magnitude: int = Field(
        16, ge=0, le=30, description="How much these operations change, 0 to 30; 16 as in MST-KD's code."
    )
    precision: Literal["full", "bf16", "fp16"] = Field(
        "full",
        description="full, as in the papers; or half precision inside the network, on a GPU only: bf16, or fp16 with scaled gradients. Losses stay in full precision.",
    )
    compile: bool = Field(
        False,
        description="Translate the network by torch.compile: on a GPU a minute first, then faster steps; on a processor 5 to 10 minutes first for 4 % (IResNet-18) to 24 % (MobileFaceNet), measured: worth it from some 600 to 900 steps.",
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="Which weights are the run's: those of the last epoch, or of the epoch with the best mean accuracy on validation people (the earliest of equals), never on test people.",
    )

    @property
    def step_images(self) -> int:
        """Images that one step learns from."""
        return self.batch_size * self.accumulate

    @property
    def general_rows(self) -> int:
        """Images of a batch that come in the order of the epoch: all, or those beside the pairs."""
        return self.batch_size - self.pair_identities * self.pair_images

    @property
    def epoch_images(self) -> int:
        """Images by which one step moves on in an epoch, 1 or more."""
        return self.general_rows * self.accumulate

    @model_validator(mode="after")
    def _drops_rise(self) -> Self:
        if list(self.drop_epochs) != sorted(set(self.drop_epochs)):
            raise ValueError("drop_epochs must rise from 0 on, e.g. 15, 27, 39")
        return self

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.optimiser != "adamw" and self._differs("beta1", "beta2"):
            raise ValueError("beta1 and beta2 are AdamW's; choose optimiser adamw, or leave them at 0.9 and 0.999")
        if self.optimiser == "adamw" and self._differs("momentum"):
            raise ValueError("momentum is SGD's; choose optimiser sgd, or leave it at 0.9")
        if not self.randaugment and self._differs("randaugment_magnitude"):
            raise ValueError(
                "randaugment_magnitude says how much; say with randaugment how many operations, or leave it at 16"
            )
        return self

    @model_validator(mode="after")
    def _pairs_leave_a_general_half(self) -> Self:
        if not self.pair_identities:
            if self._differs(*PAIRS):
                raise ValueError(
                    "pair_images and identity_rows are about pairs; say with pair_identities how many identities a batch "
                    "has pairs of, or leave them at 4 and 'all'"
                )
            return self
        if self.general_rows < 1:
            raise ValueError(
                f"pair_identities x pair_images is {self.batch_size - self.general_rows} and batch_size {self.batch_size}: "
                "a batch also needs general images, so take a larger batch_size or fewer pairs"
            )
        if self.balance != "images":
            raise ValueError(
                f"balance {self.balance!r} and pair_identities exclude each other: leave balance at 'images', or "
                "pair_identities at 0"
            )
        return self

    def _differs(self, *names: str) -> bool:
        return any(getattr(self, name) != type(self).model_fields[name].default for name in names)


TrainingValue = (
    bool
    | Annotated[int, Field(ge=0, le=1_000_000_000)]
    | Annotated[float, Field(ge=0, le=1e9)]
    | Name
    | Annotated[tuple[Epoch, ...], Field(max_length=1000)]
)
TrainingChanges = Annotated[dict[Name, TrainingValue], Field(max_length=100)]
"""Some settings of Training, by name."""
PLAIN_STUDENT = "classifier"
"""The method of the student without distillation."""
