"""What the settings of a study may name, and how it is called: read from the registrations, nothing imported."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from fairlab.errors import FairLabError
from fairlab.registry import declared_facts
from fairlab.settings.base import nearest

_SIZE = re.compile(r"-(?:\d+|XXS|XS|Ti|Base|[TSBLHg])(?:/\d+)?(?:, rank \.\d)?(?=$|[ ,])")
"""In a title: what tells the networks of one family apart."""


def losses() -> dict[str, dict[str, Any]]:
    """Identity losses by name, with the facts of their registration."""
    return declared_facts("LOSSES", "losses")


def backbones() -> dict[str, dict[str, Any]]:
    """Networks that can be trained, by name; those of the fact files_only are known for the files of others alone."""
    known = declared_facts("BACKBONES", "models/backbones")
    return {name: facts for name, facts in known.items() if not facts.get("files_only")}


def published_families() -> list[str]:
    """Families of networks whose published files are recognised, sorted; a family has one line, whatever its sizes.

    The fact no_files marks networks that are for training alone.
    """
    known = declared_facts("BACKBONES", "models/backbones").values()
    return sorted({family(str(facts["title"])) for facts in known if not facts.get("no_files")}, key=str.lower)


def family(title: str) -> str:
    """The title of a network without its size."""
    return _SIZE.sub("", title, count=1)


def student_methods() -> dict[str, dict[str, Any]]:
    """Methods whose students learn from one space."""
    found = declared_facts("METHODS", "methods")
    return {name: facts for name, facts in found.items() if facts.get("parents") == "space"}


def methods_of_teachers() -> dict[str, dict[str, Any]]:
    """Methods whose students learn from all teachers of an arm at once."""
    found = declared_facts("METHODS", "methods")
    return {
        name: facts
        for name, facts in found.items()
        if facts.get("parents") == "teachers" and "student" in facts.get("roles", ())
    }


def all_student_methods() -> dict[str, dict[str, Any]]:
    """Methods whose students learn from one space, or from several teachers."""
    return dict(sorted((student_methods() | methods_of_teachers()).items()))


def common_spaces() -> dict[str, dict[str, Any]]:
    """What can make one space of several teachers: trained adaptors, and rules, whose fact `rule` is True.

    The fact needs_group says that an image's own teacher must be known.
    """
    rules = {name: facts for name, facts in declared_facts("METHODS", "methods").items() if facts.get("rule")}
    return dict(sorted((declared_facts("ADAPTORS", "models/adaptors") | rules).items()))


def check(field: str, names: Iterable[str], known: dict[str, dict[str, Any]]) -> None:
    """Raise FairLabError, naming the field and what there is, for a name that is not known."""
    for name in names:
        if name not in known:
            raise FairLabError(
                f"{field}: there is no {name!r}; choose one of: {', '.join(known)}{nearest(name, known)}"
            )


def title(name: str, known: dict[str, dict[str, Any]]) -> str:
    """The registered title without what it explains after a colon, e.g. "EAF-KD"."""
    words = str(known[name].get("title", name))
    return words.partition(":")[0].removesuffix(" student")
