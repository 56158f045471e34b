"""The settings of what turns teachers into a student's targets, and of the pull to them; fairlab.settings.study hands them on.

A study may train students by several methods at once, so it has a table for each: `student.distillation.hinton_kd.temperature`.
A run has the table of its own method. A method has the settings that it uses and refuses all others. To give a new method
settings of its own: a class with its name here, and a field in Distillations. A method without them is one file in
fairlab/methods/ and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from fairlab.settings.base import Chosen, Name, Settings, by_name, one_of


class Distillation(Chosen):
    """How a student is taught by its parent. Each method has settings of its own beside these two."""

    name: Name = Field("", description="The method.")
    view: Literal["plain", "matching", "mean"] = Field(
        "plain",
        description="Stored target of a mirrored image: plain, that of the image as it is (as in MST-KD, arXiv 2408.16563); matching, that of the mirrored image; mean, of both together, for every image.",
    )
    online: bool = Field(
        False,
        description="Compute the target in every step from the very image that the student sees, instead of reading the stored one. It costs the teachers' time in every step.",
    )

    @model_validator(mode="after")
    def _online_has_one_view(self) -> Self:
        if self.online and self.view != "plain":
            raise ValueError(
                "view is about stored targets, and an online target is computed from the image itself: leave view at plain"
            )
        return self


class PullSettings(Distillation):
    """A student that is pulled to the targets, number by number."""

    kd_weight: float = Field(
        10_000.0,
        ge=0.0,
        le=1e9,
        description="lambda: weight of the pull at 512 dimensions (10,000: MST-KD, arXiv 2408.16563). It is multiplied by dimensions / 512, so that an image is pulled alike at any length.",
    )


class TermSettings(Distillation):
    """A student with one distillation term beside its identity loss."""

    kd_weight: float = Field(1.0, ge=0.0, le=1e9, description="Weight of the distillation term.")


class HeirSettings(Distillation):
    """A student that inherits its parent's classifier."""

    classifier: Literal["own", "centroids"] = Field(
        "own",
        description="What is inherited: own, the parent's class centres (as in ProxylessKD, arXiv 2011.00265); centroids, the mean of the parent's stored embeddings of each identity (as in CLIP-Embed-KD).",
    )


class LogitSettings(TermSettings, HeirSettings):
    """A student whose logits are compared with its teacher's."""

    temperature: float = Field(
        4.0,
        gt=0.0,
        le=1e6,
        description="Logits are divided by this before they are compared (4: TFace; the idea: Hinton KD, arXiv 1503.02531).",
    )


class AKDSettings(PullSettings):
    """a-KD: the common space only (arXiv 2408.16563)."""

    name: Literal["a_kd"] = "a_kd"


class EAFKDSettings(PullSettings):
    """EAF-KD: identities and the common space (arXiv 2408.16563)."""

    name: Literal["eaf_kd"] = "eaf_kd"


class FitNetSettings(TermSettings):
    """FitNet (arXiv 1412.6550)."""

    name: Literal["fitnet"] = "fitnet"


class CosineKDSettings(TermSettings):
    """Cosine distance of the embeddings (TFace)."""

    name: Literal["cosine_kd"] = "cosine_kd"


class RKDSettings(TermSettings):
    """RKD (arXiv 1904.05068)."""

    name: Literal["rkd"] = "rkd"


class SPSettings(TermSettings):
    """SP (arXiv 1907.09682)."""

    name: Literal["sp"] = "sp"
    compat: bool = Field(False, description="Rows of similarities keep their length, as in TFace.")


class CCSettings(TermSettings):
    """CC (arXiv 1904.01802)."""

    name: Literal["cc"] = "cc"
    compat: bool = Field(False, description="The series is one term shorter, as in the published code.")


class DarkRankSettings(TermSettings):
    """DarkRank (arXiv 1707.01220)."""

    name: Literal["darkrank"] = "darkrank"


class EKDSettings(TermSettings):
    """EKD (CVPR 2022)."""

    name: Literal["ekd"] = "ekd"
    compat: bool = Field(
        False,
        description="Anchors start at zero instead of the first batch's thresholds, and a threshold is the next lower impostor similarity, as in the published code.",
    )


class HintonKDSettings(LogitSettings):
    """Hinton's distillation of logits (arXiv 1503.02531)."""

    name: Literal["hinton_kd"] = "hinton_kd"


class GroupedKDSettings(LogitSettings):
    """Grouped KD (AAAI 2023)."""

    name: Literal["grouped_kd"] = "grouped_kd"
    primary_mass: float = Field(
        0.9,
        gt=0.0,
        lt=1.0,
        description="The teacher's likeliest identities that together reach this probability are the primary group (FairLab's choice).",
    )
    primary_factor: bool = Field(
        False,
        description="Weight Primary-KD by the primary group's probability, as in the sum that KL is; off, each image counts alike, as in DKD. Which of both the paper has is not known.",
    )


CentreShare = Literal["weighted", "plain"]
"""How the share of a class centre that stays is computed."""


class AdaDistillSettings(Distillation):
    """AdaDistill (arXiv 2407.01332)."""

    name: Literal["adadistill"] = "adadistill"
    centre_share: CentreShare = Field(
        "weighted",
        description="How much of a class centre stays: the student's cosine with the teacher (plain), or this times the centre's cosine with the teacher (weighted).",
    )
    compat: bool = Field(
        False,
        description="The last image of an identity in a batch moves its centre, instead of their mean, as in the published code.",
    )


class MarginDistillationSettings(HeirSettings):
    """MarginDistillation (arXiv 2003.02586)."""

    name: Literal["margin_distillation"] = "margin_distillation"


class ProxylessKDSettings(HeirSettings):
    """ProxylessKD (arXiv 2011.00265)."""

    name: Literal["proxyless_kd"] = "proxyless_kd"
    unfreeze: bool = Field(False, description="The inherited class centres learn on, instead of staying the teacher's.")
    kd_weight: float = Field(
        0.0,
        ge=0.0,
        le=1e9,
        description="Weight of a pull to the targets at 512 dimensions, as that of eaf_kd; 0 (the paper): no pull, and no targets.",
    )

    @model_validator(mode="after")
    def _targets_have_a_use(self) -> Self:
        if not self.kd_weight and (self.online or self.view != "plain"):
            raise ValueError(
                "proxyless_kd reads targets only with a kd_weight above 0: give one, or leave view and online"
            )
        return self


class MSTDistillSettings(Distillation):
    """MST-Distill (arXiv 2507.07015): several teachers at once, routed image by image. For faces, FairLab's analogue.

    Three stages: all teachers (warm_epochs), the masks (mask_epochs, where there are masks), then the routed teachers.
    """

    name: Literal["mst_distill"] = "mst_distill"
    temperature: float = Field(
        4.0, gt=0.0, le=1e6, description="Logits are divided by this before they are compared (4: the published code)."
    )
    top_k: int = Field(1, ge=1, le=10_000, description="Teachers that an image is routed to (1: the published code).")
    mask: Literal["none", "diagonal", "mlp"] = Field(
        "none",
        description="What a teacher's embedding is multiplied by: none; diagonal, a number for each dimension; mlp, numbers that a small network reads from the embedding (the published masks are inside the teachers).",
    )
    warm_epochs: int = Field(
        1, ge=0, le=100_000, description="Epochs in which the student learns from all teachers (1: the published code)."
    )
    mask_epochs: int = Field(
        1,
        ge=1,
        le=100_000,
        description="Epochs in which the masks alone learn, towards the student (1: the published code); unused without masks.",
    )
    gate_learns: Literal["balance", "kl", "right"] = Field(
        "balance",
        description="What the gate learns from beside the balance: balance, nothing (the published code: routing is balanced, not learnt); kl, the distillation of the chosen teachers times their shares; right, the teacher that is surest of the identity. The last two are FairLab's.",
    )
    surest_temperature: float = Field(
        1.0,
        gt=0.0,
        le=1e6,
        description="Of gate_learns right: softmax of the teachers' negative cross-entropies over this (FairLab's choice).",
    )
    gate_detached: bool = Field(
        False, description="The gate's terms do not move the student; in the published code they do."
    )
    gate_rate: float = Field(
        1.0, gt=0.0, le=1e6, description="Factor on the learning rate of gate and masks (1: the published code)."
    )
    balance: Literal["kl", "cv"] = Field(
        "kl",
        description="Load balance: kl, KL of the even to the mean choice; cv, standard deviation over mean of the choices.",
    )
    balance_weight: float = Field(
        1.0,
        ge=0.0,
        le=1e9,
        description="Weight of the load balance when routing begins; it falls to 0.9 of itself after routing epochs 1, 11, 21, ... as published.",
    )
    kd_weight: float = Field(
        1.0,
        ge=0.0,
        le=1e9,
        description="Weight of the routed distillation when routing begins; it halves after routing epochs 1, 31, 61, ... as published.",
    )
    as_published: bool = Field(
        False, description="The load balance by KL is divided by the number of teachers, as in the published code."
    )

    @property
    def before_routing(self) -> int:
        """Epochs of the first two stages."""
        return self.warm_epochs + (self.mask_epochs if self.mask != "none" else 0)

    @model_validator(mode="after")
    def _settings_have_a_use(self) -> Self:
        usual = type(self).model_fields
        if self.mask == "none" and self.mask_epochs != usual["mask_epochs"].default:
            raise ValueError("mask_epochs is used only with masks: choose mask diagonal or mlp, or leave it out")
        if self.gate_learns != "right" and self.surest_temperature != usual["surest_temperature"].default:
            raise ValueError("surest_temperature is used only with gate_learns right: choose that, or leave it out")
        if self.as_published and self.balance != "kl":
            raise ValueError("as_published is about the balance kl: choose balance kl, or leave as_published out")
        return self

    def check_epochs(self, epochs: int) -> None:
        """Raise ValueError where a training of so many epochs never routes."""
        if epochs <= self.before_routing:
            raise ValueError(
                f"mst_distill routes only after {self.before_routing} epochs (warm_epochs and mask_epochs), and the training "
                f"has {epochs}: raise training.epochs or lower warm_epochs"
            )


OF_TEACHERS = ("mst_distill",)
"""Methods whose students learn from all teachers of an arm at once; all others learn from one space."""

CONTRAST_WEIGHT = 0.5
"""Of the contrast beside the identity loss in CLIP-Embed-KD's published code (lnairGT/CLIP-Distillation, train.py)."""


class ContrastSettings(TermSettings):
    """A student whose embeddings must point to their own projected teacher embedding among all others."""

    kd_weight: float = Field(
        CONTRAST_WEIGHT,
        ge=0.0,
        le=1e9,
        description="Weight of the contrast (0.5: the published code of CLIP-Embed-KD).",
    )
    contrast_scale: float = Field(
        1.0,
        gt=0.0,
        le=10_000.0,
        description="The cosines of the contrast are multiplied by this. 1: as published, a plain pull to the target; the scale of the loss, e.g. 64, makes it a contrast (FairLab's choice).",
    )


class ClipEmbedKDSettings(ContrastSettings):
    """CLIP-Embed-KD: the identities' mean teacher embeddings as targets (arXiv 2404.06170)."""

    name: Literal["clip_embed_kd"] = "clip_embed_kd"
    centroid_images: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Images of each identity, drawn with the run's seed, whose teacher embeddings make its mean (100: the published code). Empty: all.",
    )
    centroid_mean: Literal["raw", "unit"] = Field(
        "raw",
        description="raw: mean of the embeddings as the teacher's network gave them (as published); unit: of unit embeddings.",
    )

    @model_validator(mode="after")
    def _reads_no_targets(self) -> Self:
        if self.online or self.view != "plain":
            raise ValueError(
                "clip_embed_kd learns from the identities' mean embeddings and reads no target of an image: leave view and "
                "online"
            )
        return self


class ClipTeacherKDSettings(ContrastSettings):
    """CLIP-Teacher-KD: the teacher's embeddings of the batch's images as targets (arXiv 2404.06170)."""

    name: Literal["clip_teacher_kd"] = "clip_teacher_kd"
    soft_targets: bool = Field(
        True,
        description="An image's targets are all images of its identity in the batch, with equal shares. Otherwise, as published, the image's own alone, and the others of its identity count as strangers.",
    )


DISTILLATIONS: Mapping[str, type[Distillation]] = by_name(Distillation)
"""The settings of every method that has some, by its name."""

if TYPE_CHECKING:
    AnyDistillation = Distillation
else:
    AnyDistillation = one_of(DISTILLATIONS)
"""A field of this type takes the settings of any method; `name` says which."""


class Distillations(Settings):
    """A table for each method. Only those of methods that the study trains may differ from the defaults."""

    a_kd: AKDSettings = AKDSettings()
    eaf_kd: EAFKDSettings = EAFKDSettings()
    fitnet: FitNetSettings = FitNetSettings()
    cosine_kd: CosineKDSettings = CosineKDSettings()
    rkd: RKDSettings = RKDSettings()
    sp: SPSettings = SPSettings()
    cc: CCSettings = CCSettings()
    darkrank: DarkRankSettings = DarkRankSettings()
    ekd: EKDSettings = EKDSettings()
    hinton_kd: HintonKDSettings = HintonKDSettings()
    grouped_kd: GroupedKDSettings = GroupedKDSettings()
    adadistill: AdaDistillSettings = AdaDistillSettings()
    margin_distillation: MarginDistillationSettings = MarginDistillationSettings()
    proxyless_kd: ProxylessKDSettings = ProxylessKDSettings()
    mst_distill: MSTDistillSettings = MSTDistillSettings()
    clip_embed_kd: ClipEmbedKDSettings = ClipEmbedKDSettings()
    clip_teacher_kd: ClipTeacherKDSettings = ClipTeacherKDSettings()

    def of(self, method: str) -> Distillation | None:
        """The table of one method; None for one without settings."""
        return getattr(self, method) if method in DISTILLATIONS else None
