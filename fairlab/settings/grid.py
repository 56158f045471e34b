"""What a study varies: students' networks, losses and faces, further teachers, and any setting as an axis; study.py hands it on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from fairlab.settings.backbone import BackboneSettings, backbone_kind, for_backbone
from fairlab.settings.base import Epoch, Name, Names, Settings, nearest
from fairlab.settings.loss import LOSSES, Loss, for_loss
from fairlab.settings.parsing import parse
from fairlab.settings.recipe import PORTIONS, Recipe
from fairlab.settings.training import Training, TrainingChanges

LossChanges = Annotated[dict[Name, bool | Annotated[float, Field(ge=0, le=1e9)]], Field(max_length=100)]
"""Some settings of a loss, by name."""

AxisValue = (
    bool
    | Annotated[int, Field(ge=-1e9, le=1e9)]
    | Annotated[float, Field(ge=-1e9, le=1e9)]
    | Name
    | Annotated[tuple[Epoch, ...], Field(max_length=1000)]
)
"""What a setting that is varied may be: a claim, a number, a name, or a list of whole numbers such as drop_epochs."""
Axis = Annotated[tuple[AxisValue, ...], Field(min_length=1, max_length=100)]


LeftOut = Annotated[dict[Name, AxisValue], Field(min_length=1, max_length=10)]
"""What a student has that is left out: values of settings, of learn_from, and of method."""


class Grid(Settings):
    """What is varied: every student is trained for each combination, and by which further teachers."""

    given: Names = Field(
        (),
        description="Run ids of models that are there already, trained here or imported: one more set of teachers.",
    )
    relatives: Names = Field(
        (),
        description="Methods whose students learn from one teacher trained on all groups, or from the one model given above.",
    )
    distil_from: Names = Field(
        (), description="Common spaces, of those in `adaptors`, that teach the students; empty: all."
    )
    backbones: Names = Field((), description="Networks of the students; empty: the one in their settings.")
    losses: Names = Field(
        (),
        description="Identity losses of the students, and of the one teacher they learn from; empty: as in their settings.",
    )
    loss: dict[Name, LossChanges] = Field(
        {},
        max_length=100,
        description="Settings of single losses among these, e.g. grid.loss.adaface.margin_cos=0.3. What is not given is as in the settings of students and teachers where they differ from their defaults and this loss knows the setting, and the loss's default otherwise.",
    )
    training: dict[Name, TrainingChanges] = Field(
        {},
        max_length=100,
        description="Training settings of the students of single methods, e.g. grid.training.ekd.pair_identities=8; the student without distillation is 'classifier'. What is not given is as in the settings of students.",
    )
    learn_from: tuple[Name, ...] = Field(
        ("real",),
        min_length=1,
        max_length=20,
        description="Faces that the students learn from: real, synthetic, mixed, or names of recipes below; teachers learn from the real ones.",
    )
    recipes: dict[Name, Recipe] = Field(
        {},
        max_length=20,
        description="Faces by recipe, by the name that learn_from has for them. A recipe's dataset and mix are the words real and synthetic for the study's sets, or names of data sets.",
    )
    leave_out: tuple[LeftOut, ...] = Field(
        (),
        max_length=100,
        description="Students that are not trained. Each table names the faces (learn_from), the method (classifier: without distillation) or settings of the study with one value each; a student that has all of them is left out.",
    )
    synthetic: Name = Field(
        "", description="Data set of the synthetic faces; empty: the part 'synthetic' of the study's own data."
    )
    mix_share: float = Field(
        0.3,
        gt=0,
        lt=1,
        description="Share of synthetic people, or images, in the mixed set (about 30 % in 2408.17399).",
    )
    mix_unit: Literal["identities", "images"] = Field(
        "identities", description="Is that share one of whole people or of images?"
    )
    cross_model: bool = Field(
        False,
        description="Also evaluate every student against a gallery that its teacher embedded (as in ProxylessKD).",
    )
    maps: Literal["all", "first seed", "none"] = Field("all", description="Which models get maps.")
    vary: dict[Name, Axis] = Field(
        {},
        max_length=10,
        description="Settings that are axes of the study, by dotted name, each with its values, e.g. student.loss.margin_rad with 0.3 and 0.5. Every combination is trained; what does not hang on an axis is trained once.",
    )

    @model_validator(mode="after")
    def _faces_are_known(self) -> Self:
        """Each portion is a word or a recipe, and each recipe is used and says whose images it takes."""
        if len(set(self.learn_from)) < len(self.learn_from):
            raise ValueError("learn_from names one kind of faces twice")
        known = [*PORTIONS, *self.recipes]
        for name in self.learn_from:
            if name not in known:
                raise ValueError(
                    f"learn_from: there is no {name!r}; choose among: {', '.join(known)}{nearest(name, known)}"
                )
        for name, recipe in self.recipes.items():
            if name in PORTIONS or not name.strip():
                raise ValueError(
                    f"recipes: {name!r} cannot be the name of a recipe; {', '.join(PORTIONS)} have a meaning"
                )
            if name not in self.learn_from:
                raise ValueError(f"recipes.{name} is not used: learn_from names {', '.join(self.learn_from)}")
            if not recipe.dataset:
                raise ValueError(f"recipes.{name}.dataset is missing: give real, synthetic or the name of a data set")
            if recipe.parts > 1:
                raise ValueError(f"recipes.{name}.parts is not used in a study: the balanced teachers learn from parts")
        return self


def loss_in_grid(grid: Grid, usual: Loss, name: str) -> Loss:
    """The settings of the loss `name` in a study whose students, or teachers, have the loss `usual` in their settings."""
    table = for_loss(usual.model_dump(), name)
    return parse(LOSSES[name], {**table, **grid.loss.get(name, {})}, f"grid.loss.{name}")


def backbone_in_grid(usual: BackboneSettings, name: str, facts: Mapping[str, Any]) -> BackboneSettings:
    """The settings of the network `name` in a grid whose students have `usual` in their settings.

    facts: of its registration, of which dropout is its own default.
    """
    table = for_backbone(usual.model_dump(), name)
    update = {field: facts[field] for field in ("dropout",) if field in facts and field in table}
    return parse(backbone_kind(name), {**table, **update}, f"grid.backbones, {name}")


def training_in_grid(grid: Grid, usual: Training, method: str) -> Training:
    """The loop's settings of the students of `method`, in a study whose students have those of `usual` in general."""
    changes = grid.training.get(method)
    return parse(Training, {**usual.model_dump(), **changes}, f"grid.training.{method}") if changes else usual
