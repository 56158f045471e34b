"""Settings as axes of a study: pick a setting, give its values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from fairlab.errors import FairLabError
from fairlab.plan.axes import names, text_of
from fairlab.reading.structured import values_of
from fairlab.settings.study import Study, changed
from fairlab.ui.frame.page import plain


def choose_axes(study: Study, dials: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Widgets for the study's axes; returns the dial grid.vary where it differs from the study's, otherwise {}.

    dials: what the form changes so far: it decides which settings there are. key: makes the widgets' keys unique.
    """
    try:
        now = changed(study, dials)
    except FairLabError:
        now = study  # the plan says what is wrong
    known = list(dict.fromkeys([*names(now), *study.grid.vary]))
    st.markdown("**Axes of the study**", help=str(type(study.grid).model_fields["vary"].description))
    chosen = st.multiselect(
        "Settings to vary",
        known,
        list(study.grid.vary),
        key=f"{key}:vary",
        placeholder="none",
        help="Every combination of their values is trained; what does not depend on a setting is trained once.",
    )
    axes = {name: _values(now, study.grid.vary.get(name, ()), name, f"{key}:vary:{name}") for name in chosen}
    same = {name: [text_of(value) for value in values] for name, values in study.grid.vary.items()}
    if {name: [text_of(value) for value in values] for name, values in axes.items()} == same:
        return {}
    return {"grid.vary": axes}


def _values(study: Study, before: Sequence[Any], name: str, key: str) -> list[Any]:
    """The text field of one axis; it begins with the values before, or with the setting as it is."""
    text = st.text_input(
        f"Values of {plain(name)}",
        written(before or [_now(study, name)]),
        key=key,
        help="With commas between, e.g. 0.3, 0.5; lists in brackets, e.g. [2, 4], [3].",
    )
    return values_of(text)


def _now(study: Study, name: str) -> Any:
    value: Any = study
    for part in name.split("."):
        value = value.get(part, "") if isinstance(value, dict) else getattr(value, part, "")
    return value


def written(values: Sequence[Any]) -> str:
    """Values as a form and the command line take them."""
    words = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return ", ".join(word for word in words if word not in ("", "null", "{}"))
