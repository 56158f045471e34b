"""From plain values to settings, or to one sentence that says which setting is wrong and what would be right."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from fairlab.errors import FairLabError
from fairlab.settings.base import Chosen, Settings, nearest

S = TypeVar("S", bound=Settings)


def parse(kind: type[S], values: Mapping[str, Any], where: str) -> S:
    """Validate `values` as settings of `kind`. Raises FairLabError: one sentence with field, fault and `where`."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise FairLabError(f"{where}: {first_fault(error, kind)}") from error


def first_fault(error: ValidationError, kind: type[Settings]) -> str:
    """The first fault of a validation as words: field, what is wrong, and what would be right."""
    faults = error.errors()
    fault = next((item for item in faults if item["type"] == "extra_forbidden"), faults[0])  # a typo explains the rest
    path, owner, among = _place(kind, fault["loc"])
    field = ".".join(path)
    if fault["type"] == "extra_forbidden":
        name = owner.model_fields["name"].default if issubclass(owner, Chosen) else ""
        return unknown_setting(field, owner.model_fields, str(name))
    if fault["type"] == "union_tag_not_found":
        return f"{field}: a table with a name belongs here; the names are: {', '.join(among)}"
    if fault["type"] == "union_tag_invalid":
        given = str(fault.get("ctx", {}).get("tag", ""))[:40]
        return f"{field}.name: there is no {given!r}; choose one of: {', '.join(among)}{nearest(given, among)}"
    if path[-1:] in (["bool"], ["constrained-float"]):  # members of a union, which pydantic puts into the path
        return f"{'.'.join(path[:-1])}: a number, or true or false, belongs here"
    text = fault["msg"].removeprefix("Value error, ")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{field}: {text}{more}" if field else f"{text}{more}"


def unknown_setting(dotted: str, known: Collection[str], of: str = "") -> str:
    """That there is no such setting, and which there are. of: the loss or method that was chosen, "" for none."""
    last = dotted.rpartition(".")[2]
    if of:
        others = [name for name in known if name != "name"]
        return f"{dotted}: {of} has no setting {last!r}; it knows: {', '.join(others)}{nearest(last, others)}"
    return f"there is no setting {dotted!r}; known here: {', '.join(known)}{nearest(last, known)}"


def _place(kind: type[Settings], loc: tuple[int | str, ...]) -> tuple[list[str], type[Settings], list[str]]:
    """Of a fault: the parts of its dotted name, the settings that its last part belongs to, and the names to choose from.

    Where one of several classes was chosen by its name, pydantic has the name among the parts; here it is left out.
    """
    path: list[str] = []
    owner = kind
    inside: dict[str, type[Settings]] = {}
    for part in map(str, loc):
        if part in inside:
            owner, inside = inside[part], {}
            continue
        path.append(part)
        field = owner.model_fields.get(part)
        classes = settings_in(field.annotation) if field else []
        inside = {str(one.model_fields["name"].default): one for one in classes} if len(classes) > 1 else {}
        owner = classes[0] if len(classes) == 1 else owner
    return path, owner, sorted(inside)


def settings_in(annotation: Any) -> list[type[Settings]]:
    """All classes of settings that a field's annotation names: one for a group, several where a name chooses, often none."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [kind for inner in get_args(annotation) for kind in settings_in(inner)]
