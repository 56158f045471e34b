"""All settings in a list: dotted name, default and sentence, for the help of the command line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from fairlab.settings.base import Chosen, Settings
from fairlab.settings.parsing import settings_in

Line = tuple[str, Any, str]
"""Dotted name, default, sentence."""


def listed(kind: type[Settings], prefix: str = "", skip: Collection[str] = ()) -> Iterator[Line]:
    """Every setting of `kind` once, groups in their place; where losses or methods share one, their names follow it."""
    for name, field in kind.model_fields.items():
        groups = settings_in(field.annotation)
        if name in skip:
            continue
        if not groups:
            yield f"{prefix}{name}", field.get_default(), field.description or ""
        elif len(groups) > 1:
            usual = field.get_default()
            yield f"{prefix}{name}.name", usual.name if usual else "", _which(groups)
            yield from _shared(groups, f"{prefix}{name}.")
        elif tables := _tables(groups[0]):
            yield from _shared(tables, f"{prefix}{name}.METHOD.")
        else:
            yield from listed(groups[0], f"{prefix}{name}.")


def _tables(kind: type[Settings]) -> list[type[Settings]]:
    """The tables of a group that has nothing but one for each name; [] of any other group."""
    found = [table for field in kind.model_fields.values() for table in settings_in(field.annotation)]
    whole = len(found) == len(kind.model_fields) and all(issubclass(table, Chosen) for table in found)
    return found if whole else []


def _shared(kinds: Sequence[type[Settings]], prefix: str) -> Iterator[Line]:
    """The fields of several classes; those that are alike in all respects are one line, with the names of the classes."""
    users: dict[tuple[str, str, str], list[str]] = {}
    for kind in kinds:
        for name, field in kind.model_fields.items():
            if name != "name":
                users.setdefault((name, str(field.default), field.description or ""), []).append(_name(kind))
    others = {_name(kind) for kind in kinds if not issubclass(kind, Chosen)}
    for (name, default, sentence), names in sorted(users.items(), key=lambda line: -len(line[1])):
        if others & set(names):
            names = [_name(kind) for kind in kinds if _name(kind) not in names]
            whose = f" Of all but {', '.join(names)}." if names else ""
        else:
            whose = "" if len(names) == len(kinds) else f" Of {', '.join(names)}."
        yield f"{prefix}{name}", default, f"{sentence}{whose}"


def _which(kinds: Sequence[type[Settings]]) -> str:
    """The sentence of the name that chooses; a class that takes any further name has one of its own."""
    for kind in kinds:
        if not issubclass(kind, Chosen):
            return kind.model_fields["name"].description or ""
    return "One of: " + ", ".join(map(_name, kinds))


def _name(kind: type[Settings]) -> str:
    return str(kind.model_fields["name"].default)
