"""Forms made from the settings themselves: type, limits and sentence of every field, nothing typed twice."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

import annotated_types
import streamlit as st
from pydantic.fields import FieldInfo

from fairlab.errors import FairLabError
from fairlab.files import digest
from fairlab.plan import choices
from fairlab.reading.structured import value_of
from fairlab.registry import declared
from fairlab.settings.adaptor import ADAPTOR_OF, Adaptor
from fairlab.settings.backbone import BackboneSettings, backbone_kind, for_backbone
from fairlab.settings.base import Chosen
from fairlab.settings.distillation import Distillations
from fairlab.settings.grid import Grid
from fairlab.settings.loss import LOSSES, Loss, for_loss, loss_settings
from fairlab.settings.recipe import PORTIONS
from fairlab.settings.study import Settings, Study, changed, loss_in_grid
from fairlab.settings.training import PAIRS, PLAIN_STUDENT, Training
from fairlab.ui.frame.page import plain

CHOICES: Mapping[str, Callable[[], Collection[str]]] = {
    "backbone.name": choices.backbones,
    "backbones": choices.backbones,
    "losses": choices.losses,
    "adaptors": choices.common_spaces,
    "distil_from": choices.common_spaces,
    "students": choices.all_student_methods,
    "relatives": choices.student_methods,
    "kind": lambda: declared("READERS", "data/readers"),
    "engine": lambda: declared("ENGINES", "queue/engines"),
}
"""Fields, by the end of their name, whose values are what is registered somewhere."""
TABLES = "student.distillation"
"""The dotted name of the tables of methods."""
TITLES = {"demo": "Generated faces"}


def study_form(
    study: Study, key: str, skip: Sequence[str] = (), offers: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    """All settings of a study, a tab for each group of them; returns what differs from `study`, by dotted name.

    key: makes the widgets' keys unique; skip: dotted names left out; offers: what the workspace has to choose from, by
    dotted name, e.g. its data sets.
    """
    offers = {"grid.learn_from": [*PORTIONS, *study.grid.recipes], **(offers or {})}
    inner = [name for name in type(study).model_fields if isinstance(getattr(study, name), Settings)]
    tabs = st.tabs(["Study", *(TITLES.get(name, words(name)) for name in inner)])
    with tabs[0]:
        changes = _fields(study, key, "", [*skip, *(() if study.demo is None else ("dataset",))], offers)
    for tab, name in zip(tabs[1:], inner, strict=True):
        with tab:
            value = getattr(study, name)
            st.caption(inspect.getdoc(type(value)) or "")
            hidden = [*skip, *_untrained_tables(study, changes), *_unused_of_adaptors(study, changes)]
            changes |= settings_form(value, key, f"{name}.", hidden, offers)
            if name == "student":
                changes |= _losses_of_the_grid(study, key, changes)
                changes |= _trainings_of_the_grid(study, key, changes)
    return _without_unused(study, changes)


def _untrained(study: Study, changes: Mapping[str, Any]) -> list[str]:
    """The methods with settings that no student has."""
    trained = _trained(study, changes)
    return [name for name in Distillations.model_fields if name not in trained]


def _untrained_tables(study: Study, changes: Mapping[str, Any]) -> list[str]:
    """Their tables, by dotted name; where all would be empty, the group itself."""
    methods = _untrained(study, changes)
    return [f"{TABLES}.{name}" for name in methods] if len(methods) < len(Distillations.model_fields) else [TABLES]


def _unused_of_adaptors(study: Study, changes: Mapping[str, Any]) -> list[str]:
    """The settings of adaptors that none of the common spaces has, by dotted name."""
    chosen = changes.get("adaptors", study.adaptors)
    return [f"adaptor.adaptor.{field}" for field, users in ADAPTOR_OF.items() if not set(users) & set(chosen)]


def _losses_of_the_grid(study: Study, key: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of each loss that the grid compares; those of the student's usual loss stand above them already."""
    dials: dict[str, Any] = {}
    try:
        usual = changed(
            study, {name: new for name, new in changes.items() if name.startswith("student.loss.")}
        ).student.loss
        for name in changes.get("grid.losses", study.grid.losses):
            if name in LOSSES and (name != usual.name or name in study.grid.loss):
                value = loss_in_grid(study.grid, usual, name)
                st.markdown(f"**{choices.title(name, choices.losses())} (grid)**", help=inspect.getdoc(type(value)))
                # A widget keeps its value under the same key: with another usual loss, other values are shown.
                place = key if usual == study.student.loss else f"{key}:{digest(usual.model_dump(mode='json'), 8)}"
                dials |= _fields(value, place, f"grid.loss.{name}.", (), {})
    except FairLabError:
        return dials  # the plan says what is wrong
    return dials


def _trainings_of_the_grid(study: Study, key: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The methods whose students train with settings of their own, and these; the usual ones stand above them already."""
    trained = _trained(study, changes)
    known = {**choices.all_student_methods(), PLAIN_STUDENT: {"title": "without distillation"}}
    methods = st.multiselect(
        "Students with training settings of their own",
        trained,
        [name for name in study.grid.training if name in trained],
        key=f"{key}:grid.training",
        format_func=lambda name: choices.title(name, known),
        help=Grid.model_fields["training"].description,
    )
    kept = {name: table for name, table in study.grid.training.items() if name in methods}
    dials: dict[str, Any] = {"grid.training": kept} if kept != study.grid.training else {}
    start = "student.training."
    usual = study.student.training.model_copy(
        update={name.removeprefix(start): new for name, new in changes.items() if name.startswith(start)}
    )
    place = key if usual == study.student.training else f"{key}:{digest(usual.model_dump(mode='json'), 8)}"
    for name in methods:
        st.markdown(f"**Training: {choices.title(name, known)}**")
        value = usual.model_copy(update=study.grid.training.get(name, {}))  # the plan says what is wrong
        dials |= _fields(value, place, f"grid.training.{name}.", (), {})
    return dials


def _trained(study: Study, changes: Mapping[str, Any]) -> list[str]:
    """Methods of the study's students, once each, as changed."""
    plain = [PLAIN_STUDENT] if changes.get("plain_student", study.plain_student) else []
    students = changes.get("students", study.students), changes.get("grid.relatives", study.grid.relatives)
    return list(dict.fromkeys([*students[0], *students[1], *plain]))


def _without_unused(study: Study, changes: dict[str, Any]) -> dict[str, Any]:
    """The changes, and the end of settings whose loss, method or adaptor is no longer chosen: no widget shows them."""
    losses = changes.get("grid.losses", study.grid.losses)
    kept = {name: table for name, table in study.grid.loss.items() if name in losses}
    reset = {
        f"{TABLES}.{method}.{name}": field.default
        for method in _untrained(study, changes)
        for name, field in type(getattr(study.student.distillation, method)).model_fields.items()
        if getattr(getattr(study.student.distillation, method), name) != field.default
    }
    for dotted in _unused_of_adaptors(study, changes):
        field = dotted.rpartition(".")[2]
        usual = Adaptor.model_fields[field].default
        reset |= {dotted: usual} if getattr(study.adaptor.adaptor, field) != usual else {}
    return {**({"grid.loss": kept} if kept != study.grid.loss else {}), **reset, **changes}


def settings_form(
    value: Settings,
    key: str,
    prefix: str = "",
    skip: Sequence[str] = (),
    offers: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Widgets for every field of `value`, groups of fields under their heading; returns what differs, by dotted name."""
    changes = _fields(value, key, prefix, skip, offers or {})
    for name in type(value).model_fields:
        inner = getattr(value, name)
        if isinstance(inner, Settings) and f"{prefix}{name}" not in skip:
            st.markdown(f"**{words(name)}**", help=inspect.getdoc(type(inner)))
            if isinstance(inner, Loss):
                changes |= _loss_form(inner, key, f"{prefix}{name}.")
            elif isinstance(inner, BackboneSettings):
                changes |= _backbone_form(inner, key, f"{prefix}{name}.")
            else:
                changes |= settings_form(inner, key, f"{prefix}{name}.", skip, offers)
    return changes


def _loss_form(value: Loss, key: str, prefix: str) -> dict[str, Any]:
    """The choice of a loss, and the settings of the chosen one."""
    known = list(LOSSES)
    name = st.selectbox("Name", known, known.index(value.name), key=f"{key}:{prefix}name", help=inspect.getdoc(Loss))
    if name == value.name:
        return _fields(value, key, prefix, (), {})
    other = loss_settings(**for_loss(value.model_dump(), name))
    return {f"{prefix}name": name, **_fields(other, f"{key}:{name}", prefix, (), {})}


def _backbone_form(value: BackboneSettings, key: str, prefix: str) -> dict[str, Any]:
    """The choice of a network, and the settings of the chosen one."""
    dotted = f"{prefix}name"
    name = _widget(dotted, "name", BackboneSettings.model_fields["name"], value.name, f"{key}:{dotted}")
    if name == value.name:
        return _fields(value, key, prefix, (dotted,), {})
    other = backbone_kind(name)(**for_backbone(value.model_dump(), name))
    place = key if type(other) is type(value) else f"{key}:{name}"
    return {dotted: name, **_fields(other, place, prefix, (dotted,), {})}


def _fields(
    value: Settings, key: str, prefix: str, skip: Sequence[str], offers: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """The plain fields of `value`, four in a row; one that another field makes useless is left out, and at its default."""
    changes: dict[str, Any] = {}
    columns: Sequence[Any] = ()
    drawn = 0
    for name, field in type(value).model_fields.items():
        old, dotted = getattr(value, name), f"{prefix}{name}"
        chosen = isinstance(value, Chosen) and name == "name"
        if dotted in skip or isinstance(old, Settings | dict) or chosen:
            continue
        if isinstance(value, Training) and _without_pairs(value, name, changes.get(f"{prefix}pair_identities")):
            changes |= {dotted: field.default} if old != field.default else {}
            continue
        if drawn % 4 == 0:
            columns = st.columns(4)
        with columns[drawn % 4]:
            new = _widget(dotted, name, field, old, f"{key}:{dotted}", offers.get(dotted))
        drawn += 1
        if new != old:
            changes[dotted] = new
    return changes


def _without_pairs(training: Training, name: str, pairs: int | None) -> bool:
    """Is this setting one of pairs that the batches do not have? pairs: pair_identities as just changed, or None."""
    return name in PAIRS and not (training.pair_identities if pairs is None else pairs)


SPELT = {"gb": "GB", "gpu": "GPU", "cpus": "CPUs", "lr": "learning rate", "mlflow": "MLflow", "tensorboard": "TensorBoard",
         "uri": "address", "fmr": "FMR", "ema": "EMA", "dim": "length", "px": "pixels", "arms": "teacher sets"}  # fmt: skip
"""Words of settings that are not spelt as in a sentence."""


def words(name: str) -> str:
    """A field's name for people: "base_lr" is "Base learning rate"."""
    said = [SPELT.get(word, word) for word in name.split("_")]
    return plain(" ".join([said[0][:1].upper() + said[0][1:], *said[1:]]))


def _limits(field: FieldInfo) -> tuple[float | None, float | None]:
    low = high = None
    for item in field.metadata:
        if isinstance(item, annotated_types.Ge):
            low = float(item.ge)  # type: ignore[arg-type]
        elif isinstance(item, annotated_types.Le):
            high = float(item.le)  # type: ignore[arg-type]
    return low, high


def _choices(dotted: str, field: FieldInfo) -> list[str] | None:
    for ending, known in CHOICES.items():
        if dotted.rpartition(".")[2] == ending or dotted.endswith(f".{ending}"):
            return list(known())
    for kind in (field.annotation, *get_args(field.annotation)):
        if get_origin(kind) is Literal:
            return [str(item) for item in get_args(kind)]
    return None


def _widget(dotted: str, name: str, field: FieldInfo, old: Any, key: str, offered: Sequence[str] | None = None) -> Any:
    """One field's widget; returns its value in the field's type."""
    label, help_ = words(name), field.description
    known = list(offered) if offered else _choices(dotted, field)
    if known is not None and isinstance(old, tuple):
        known += [item for item in old if item not in known]  # the plan says what is wrong with it
        return tuple(st.multiselect(label, known, list(old), key=key, help=help_))
    if known is not None:
        options = ([""] if old == "" else []) + known
        options += [] if old in options else [str(old)]
        return st.selectbox(label, options, options.index(str(old)), key=key, help=help_)
    if isinstance(old, bool):
        return st.checkbox(label, old, key=key, help=help_)
    low, high = _limits(field)
    if isinstance(old, int):
        return int(st.number_input(label, _whole(low), _whole(high), old, 1, key=key, help=help_))
    if isinstance(old, float):
        return float(st.number_input(label, low, high, old, _step(old), format="%g", key=key, help=help_))
    if old is None:  # optional number
        text = st.text_input(label, "", key=key, help=help_, placeholder="none")
        return _parsed(text) if text.strip() else None
    if isinstance(old, tuple):
        shown = ", ".join(str(item) for item in old)
        text = st.text_input(label, shown, key=key, help=help_)
        return old if text == shown else tuple(_parsed(part) for part in text.split(",") if part.strip())
    return st.text_input(label, str(old), key=key, help=help_)


def _whole(limit: float | None) -> int | None:
    return None if limit is None else int(limit)


def _step(value: float) -> float:
    return 10.0 ** (len(str(int(abs(value)))) - 2) if abs(value) >= 1 else 0.01


def _parsed(text: str) -> Any:
    """A number where the text is one; otherwise the text, which the settings then refuse with a sentence."""
    return value_of(text.strip())
