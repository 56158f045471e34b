"""What can make one space of several teachers, trained or not, by name; known without loading torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fairlab.config import Role, Run
from fairlab.errors import FairLabError
from fairlab.registry import declared_facts


@dataclass(frozen=True)
class CommonSpaceKind:
    """An adaptor (role "adaptor", method "common_space"), or a method without parameters (role "baseline")."""

    name: str
    title: str
    source: str
    role: Role
    method: str
    needs_group: bool
    """Does it look at an image's group? Then every group of the data needs a teacher of its own."""

    @property
    def trains(self) -> bool:
        return self.role == "adaptor"


@cache
def common_spaces() -> Mapping[str, CommonSpaceKind]:
    """All that may stand in Study.adaptors, by name: adaptors first, then the spaces without parameters."""
    found = {
        name: _kind(name, facts, "adaptor", "common_space")
        for name, facts in sorted(declared_facts("ADAPTORS", "models").items())
    }
    for name, facts in sorted(declared_facts("METHODS", "methods").items()):
        if facts.get("roles") == ("baseline",) and facts.get("parents") == "teachers":
            found[name] = _kind(name, facts, "baseline", name)
    return found


def common_space(name: str) -> CommonSpaceKind:
    """The one of this name. Raises FairLabError, naming those that there are."""
    known = common_spaces()
    if name not in known:
        raise FairLabError(f"there is no common space {name!r}; choose one of: {', '.join(known)}")
    return known[name]


def needs_group(config: Run) -> bool:
    """Does this run's network look at an image's group?"""
    kind = common_spaces().get(config.adaptor.name if config.adaptor else config.method)
    return kind is not None and kind.needs_group


def _kind(name: str, facts: Mapping[str, object], role: Role, method: str) -> CommonSpaceKind:
    title, source = str(facts.get("title", name)), str(facts.get("source", ""))
    return CommonSpaceKind(name, title, source, role, method, bool(facts.get("needs_group", False)))
