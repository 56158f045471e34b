"""Defaults that ids leave out: one that changes would make an older run look like the same work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fairlab.plan.plan import CONTRACT
from fairlab.settings.base import Settings
from fairlab.settings.parsing import settings_in
from fairlab.settings.recipe import Recipe
from fairlab.settings.study import DemoData, Run

FROZEN = Path(__file__).with_name("defaults.json")


def defaults() -> dict[str, Any]:
    """{class.field: default} of all settings that a run, generated faces or a recipe may have."""
    found: dict[str, Any] = {}
    waiting: list[type[Settings]] = [Run, DemoData, Recipe]
    seen: set[type[Settings]] = set()
    while waiting:
        kind = waiting.pop()
        if kind in seen:
            continue
        seen.add(kind)
        for name, field in kind.model_fields.items():
            inner = settings_in(field.annotation)
            waiting += inner
            if not inner and not field.is_required():
                found[f"{kind.__name__}.{name}"] = json.loads(json.dumps(field.default))
    return found


def test_no_default_has_changed_under_the_ids() -> None:
    """New settings are no fault. Otherwise: raise plan.CONTRACT, then write the table again (python -m tests.plan.test_defaults)."""
    frozen = json.loads(FROZEN.read_text(encoding="utf-8"))
    now = defaults()
    assert len(frozen["defaults"]) > 100
    if frozen["contract"] == CONTRACT:
        changed = {
            name: (value, now[name]) for name, value in frozen["defaults"].items() if now.get(name, value) != value
        }
        assert changed == {}, "raise plan.CONTRACT: ids leave these defaults out"


def test_the_table_is_of_this_contract() -> None:
    assert json.loads(FROZEN.read_text(encoding="utf-8"))["contract"] == CONTRACT


if __name__ == "__main__":
    FROZEN.write_text(json.dumps({"contract": CONTRACT, "defaults": dict(sorted(defaults().items()))}, indent=1) + "\n")
