"""The settings of a repair without training: a class for each method, with its paper's defaults.

`repair.name` chooses the class, so a method has the settings that it uses and refuses all others. The formulas are in
fairlab/evaluation/repair/; a method registered there has its class here, under the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from fairlab.errors import FairLabError
from fairlab.settings.base import Chosen, Name, Names, Seed, Settings, by_name, nearest, one_of
from fairlab.settings.parsing import parse, unknown_setting


class Repair(Chosen):
    """A repair of a model's scores, and the cohort that it is fitted on: people outside the test and the training."""

    cohort: Name = Field(
        "",
        description="Data set whose people are the cohort. Empty: the validation people of the data the model was trained on.",
    )
    cohort_splits: Names = Field(
        (),
        description="Parts of that data set. Empty: validation where the model was trained or is tested on the same data set, otherwise all.",
    )
    cohort_pairs: Name = Field(
        "", description="Which of its pair lists is used. Empty: the validation pairs, or else its first list."
    )
    cohort_scores: Name = Field(
        "",
        description="Run id of a model that came as a table of scores and holds the cohort's scores. Needed to repair a table of scores, which cannot embed a cohort; empty: the repaired model itself.",
    )
    people: int = Field(
        1000,
        ge=2,
        le=1_000_000,
        description="People of each group in the cohort at most, drawn at random (1000: M1.1 and M2.1 of arXiv 2407.14087).",
    )
    images_each: int = Field(
        1, ge=1, le=10_000, description="Images of each of these people, drawn at random (1: arXiv 2407.14087)."
    )
    seed: Seed = Field(0, description="Seed of these draws and of clusters.")


class M1Settings(Repair):
    """Z-norm: against the reference's scores with the whole cohort (arXiv 2407.14087)."""

    name: Literal["m1"] = "m1"


class M11Settings(Repair):
    """Z-norm by group: with the cohort's people of the probe's group (arXiv 2407.14087)."""

    name: Literal["m1_1"] = "m1_1"


class M12Settings(Repair):
    """Z-norm of a group: one mean and spread for all references of a group (arXiv 2407.14087)."""

    name: Literal["m1_2"] = "m1_2"


class M2Settings(Repair):
    """T-norm: against the probe's scores with the whole cohort (arXiv 2407.14087)."""

    name: Literal["m2"] = "m2"


class M21Settings(Repair):
    """T-norm by group: with the cohort's people of the reference's group (arXiv 2407.14087)."""

    name: Literal["m2_1"] = "m2_1"


class M22Settings(Repair):
    """T-norm of a group: one mean and spread for all probes of a group (arXiv 2407.14087)."""

    name: Literal["m2_2"] = "m2_2"


class M3Settings(Repair):
    """Against the cohort's impostor pairs of a group (arXiv 2407.14087)."""

    name: Literal["m3"] = "m3"


class M4Settings(Repair):
    """Platt's curve of a group (arXiv 2407.14087)."""

    name: Literal["m4"] = "m4"


class M5Settings(Repair):
    """Two normal curves of a group (arXiv 2407.14087)."""

    name: Literal["m5"] = "m5"


class GroupThresholdSettings(Repair):
    """A threshold for each true group: what is possible with labels (compared with in arXiv 2106.03761)."""

    name: Literal["group_threshold"] = "group_threshold"
    fmr: float = Field(0.001, gt=0, lt=1, description="False match rate at which a group's threshold is set.")


class GroupCalibrationSettings(Repair):
    """A calibration for each true group: what is possible with labels (compared with in arXiv 2106.03761)."""

    name: Literal["group_calibration"] = "group_calibration"


class ClusterRepair(Repair):
    """A repair by clusters of faces, without group labels."""

    clusters: int = Field(
        100,
        ge=1,
        le=10_000,
        description="k-means clusters at most (100: both papers); those that cannot be measured are dissolved.",
    )


class FairNormalisationSettings(ClusterRepair):
    """Fair score normalisation: thresholds of clusters (arXiv 2002.03592)."""

    name: Literal["fair_normalisation"] = "fair_normalisation"
    fmr: float = Field(0.001, gt=0, lt=1, description="False match rate at which a cluster's threshold is set.")


class FairCalSettings(ClusterRepair):
    """FairCal: calibration curves of clusters (arXiv 2106.03761)."""

    name: Literal["faircal"] = "faircal"
    kind: Literal["beta", "isotonic", "bins"] = Field("beta", description="The curve: beta, isotonic, or equal bins.")


REPAIR_SETTINGS: Mapping[str, type[Repair]] = by_name(Repair)
OF_THE_COHORT = tuple(name for name in Repair.model_fields if name != "name")
"""Settings of the cohort, which every repair has; the others are the method's own."""

if TYPE_CHECKING:
    AnyRepair = Repair
else:
    AnyRepair = one_of(REPAIR_SETTINGS)


def method_name(text: str) -> str:
    """A method as its paper spells it, M1.1 or FairCal, as its name in the settings."""
    return text.strip().lower().replace(".", "_").replace("-", "_").replace(" ", "_")


def own_settings(settings: Repair) -> dict[str, Any]:
    """The settings of the method alone, by which its formula is made; "seed" too where it draws."""
    own = {
        name: getattr(settings, name) for name in type(settings).model_fields if name not in (*OF_THE_COHORT, "name")
    }
    return own | ({"seed": settings.seed} if isinstance(settings, ClusterRepair) else {})


def repair_settings(method: str, settings: Repair | None = None, changes: Mapping[str, Any] | None = None) -> Repair:
    """The settings of a method, by its name or as its paper spells it, with these changed. Raises FairLabError."""
    name = method_name(method) if method else settings.name if settings is not None else ""
    if name not in REPAIR_SETTINGS:
        known = ", ".join(REPAIR_SETTINGS)
        raise FairLabError(f"there is no repair {method!r}{nearest(name, REPAIR_SETTINGS)}; choose one of: {known}")
    kind = REPAIR_SETTINGS[name]
    if unknown := [field for field in changes or {} if field not in kind.model_fields]:
        raise FairLabError(unknown_setting(unknown[0], kind.model_fields, name))
    kept = settings.model_dump() if settings is not None and settings.name == name else {}
    return parse(kind, {**kept, **(changes or {}), "name": name}, "these settings of a repair")


class AllRepairs(Settings):
    """Every setting of every repair, to be listed."""

    repair: AnyRepair = M1Settings()
