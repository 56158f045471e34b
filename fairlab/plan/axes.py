"""Settings as axes of a study: which can be, every combination of their values, and how titles tell them."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairlab.errors import FairLabError
from fairlab.settings.adaptor import ADAPTOR_OF
from fairlab.settings.base import Chosen, Settings
from fairlab.settings.distillation import DISTILLATIONS
from fairlab.settings.loss import LOSSES, Loss
from fairlab.settings.study import Study, changed

ROLES = ("teacher", "adaptor", "student")
SINGLE = ("grid.mix_share", "grid.mix_unit", "grid.synthetic", "held_out")
"""Axes that are no settings of a role or of a loss of the grid."""
OF_RECIPES = ("unit", "equal", "count", "share", "seed")
"""Settings of a recipe of the study that can be axes."""
CAN_BE = f"axes are settings of {', '.join(ROLES)} and grid.loss, and {', '.join(SINGLE)}"
MOST = 500
"""Combinations; a study of the papers has some thirty runs."""
LIKE = 0.6
"""From this likeness of two dotted names on (difflib's ratio), one is taken for a slip of the other."""


@dataclass(frozen=True)
class Combination:
    """One value of each axis, and the study that has these values and no axes."""

    values: Mapping[str, Any]
    study: Study


def combinations(study: Study) -> list[Combination]:
    """Every combination of the values in grid.vary, the last axis fastest; without axes the study as it is.

    Raises FairLabError for an axis that cannot be one, a value that the setting refuses, and values that do not go together.
    """
    axes = study.grid.vary
    if not axes:
        return [Combination({}, study)]
    for name, values in axes.items():
        _check(study, name, values)
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MOST:
        raise FairLabError(f"grid.vary has {count:,} combinations of values; give axes or values of {MOST} at most")
    found = [_combination(study, dict(zip(axes, chosen, strict=True))) for chosen in itertools.product(*axes.values())]
    for name, values in axes.items():
        if len({_key(combination.values[name]) for combination in found}) < len(values):
            raise FairLabError(f"grid.vary: {name} has one value twice: {', '.join(map(text_of, values))}")
    return found


def names(study: Study) -> list[str]:
    """The settings that can be axes of a study, dotted: of its roles, methods and losses, as far as it has them."""
    found = [name for role in ROLES for name in _inside(study, getattr(study, role), f"{role}.")]
    for name in study.grid.losses:
        if name in LOSSES:
            found += [f"grid.loss.{name}.{field}" for field in LOSSES[name].model_fields if field != "name"]
    for name in study.grid.recipes:
        found += [f"grid.recipes.{name}.{field}" for field in OF_RECIPES]
    return [*found, *SINGLE]


def _inside(study: Study, settings: Settings, prefix: str) -> Iterator[str]:
    """The dotted names inside a group of settings that the study has a use for."""
    trained = (*study.students, *study.grid.relatives)
    fields = dict.fromkeys(type(settings).model_fields)
    if isinstance(settings, Loss):
        for other in study.grid.vary.get(f"{prefix}name", ()):
            fields |= dict.fromkeys(LOSSES[str(other)].model_fields if str(other) in LOSSES else ())
    for field in fields:
        inner, dotted = getattr(settings, field, None), f"{prefix}{field}"
        if isinstance(inner, Settings):
            if prefix != "student.distillation." or field in trained:
                yield from _inside(study, inner, f"{dotted}.")
        elif not (
            _unused(study, dotted) or (isinstance(settings, Chosen) and field == "name" and field in _fixed(settings))
        ):
            yield dotted


def _fixed(settings: Chosen) -> tuple[str, ...]:
    """A table of a method has its name for good; a loss is chosen by it."""
    return () if isinstance(settings, Loss) else ("name",)


def _unused(study: Study, dotted: str) -> bool:
    """Does another setting of the study take the place of this one?"""
    users = {f"adaptor.adaptor.{field}": names for field, names in ADAPTOR_OF.items()}
    return (
        dotted == "adaptor.adaptor.name"
        or (dotted in users and not set(users[dotted]) & set(study.adaptors))
        or (dotted == "student.backbone.name" and bool(study.grid.backbones))
        or (dotted == "student.loss.name" and bool(study.grid.losses))
    )


def _check(study: Study, name: str, values: Sequence[Any]) -> None:
    """Raise FairLabError for an axis that cannot be one; whether its values can be is for the settings to say."""
    if name in names(study):
        if len(values) < 2:
            raise FairLabError(f"grid.vary: {name} needs two values or more; one value is a setting, not an axis")
        return
    if reason := _refusal(study, name):
        raise FairLabError(f"grid.vary: {name} cannot be an axis: {reason}")
    close = _closest(name, names(study))
    raise FairLabError(
        f"grid.vary: there is no setting {name!r}" + (f" (did you mean {close!r}?)" if close else f"; {CAN_BE}")
    )


def _refusal(study: Study, name: str) -> str:
    """Why a setting that exists is no axis of this study; "" for one that does not exist."""
    top, _, rest = name.partition(".")
    table: Any = study.grid if top == "grid" and rest else study
    field = rest if top == "grid" and rest else top
    value = getattr(table, field, None) if field in type(table).model_fields else None
    if top in ("demo", "dataset"):
        return "models that learn from and are judged on other faces need a study each"
    if isinstance(value, tuple):
        return f"it takes several values itself, so name them in {name}"
    if top in ("evaluation", "projection") or (value is not None and not isinstance(value, Settings | dict)):
        return f"it does not change what a model learns; {CAN_BE}"
    if name.startswith("student.distillation."):
        method = name.split(".")[2]
        trained = ", ".join((*study.students, *study.grid.relatives)) or "none with distillation"
        untrained = method in DISTILLATIONS and method not in (*study.students, *study.grid.relatives)
        return f"the study trains no {method} student; it trains: {trained}" if untrained else ""
    if name == "adaptor.adaptor.name":
        return "name the common spaces in adaptors"
    if name in ("student.backbone.name", "student.loss.name"):
        return f"grid.{'backbones' if 'backbone' in name else 'losses'} takes its place in this study"
    if name.startswith("adaptor.adaptor.") and (users := ADAPTOR_OF.get(name.rpartition(".")[2])):
        several = len(users) > 1
        return f"only {' and '.join(users)} {'use it, and they are' if several else 'uses it, and it is'} not among adaptors"
    *group, last = name.split(".")
    if len(group) == 2 and group[0] in ROLES and group[1] == "loss":
        chosen = getattr(study, group[0]).loss.name
        return f"{chosen} has no setting {last!r}" if any(last in kind.model_fields for kind in LOSSES.values()) else ""
    return ""


def _closest(name: str, known: Sequence[str]) -> str:
    """The known setting that looks most like `name`: of those with its last word, or else of all."""
    last = name.rpartition(".")[2]
    same = [one for one in known if one.rpartition(".")[2] == last]
    close = difflib.get_close_matches(name, same or known, 1, 0.0 if same else LIKE)
    return close[0] if close else ""


def _combination(study: Study, values: dict[str, Any]) -> Combination:
    try:
        found = changed(study, {"grid.vary": {}, **values})
    except FairLabError as error:
        reason = str(error).removeprefix("these settings do not go together: ")
        raise FairLabError(f"grid.vary at {', '.join(words(values, list(values)))}: {reason}") from error
    return Combination({name: value_at(found, name) for name in values}, found)


def value_at(study: Study, dotted: str) -> Any:
    """A setting as the study has it, e.g. a fraction that was written as a whole number."""
    value: Any = study
    for part in dotted.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value


def _key(value: Any) -> str:
    return f"{type(value).__name__} {value}" if isinstance(value, bool | str) else text_of(value)


def words(values: Mapping[str, Any], axes: Sequence[str]) -> list[str]:
    """Each value with the short name of its axis, e.g. "kd_weight 10"; axes: all of the study, which names must differ."""
    short = labels(axes)
    return [f"{short[name]} {text_of(value)}" for name, value in values.items()]


def labels(axes: Sequence[str]) -> dict[str, str]:
    """A short name for each axis: its last word, and as many before as tell it from the others.

    What is not the student's has its role in front: a student's title tells its teacher's settings too.
    """
    parts = {name: name.removesuffix(".name").split(".") for name in axes}

    def label(name: str, length: int) -> str:
        role, *inner = parts[name] if len(parts[name]) > 1 else ("", *parts[name])
        tail = " ".join(inner[-length:])
        return f"{role} {tail}" if role in ("teacher", "adaptor") else tail

    found = {}
    for name in axes:
        longest = len(parts[name])
        found[name] = next(
            (
                label(name, length)
                for length in range(1, longest)
                if all(
                    label(other, min(length, len(parts[other]))) != label(name, length)
                    for other in axes
                    if other != name
                )
            ),
            " ".join(parts[name]),
        )
    return found


def text_of(value: Any) -> str:
    """A value as titles have it: 10, 0.5, true, iresnet50, 3-5."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.12g}"
    return "-".join(map(text_of, value)) or "none" if isinstance(value, tuple | list) else str(value)
