"""Where runs work: engine, processes, and what a cluster needs, as fields made from the settings themselves."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

import streamlit as st

from fairlab.api import Lab
from fairlab.errors import FairLabError
from fairlab.queue import launch
from fairlab.queue.turns import ENDED_BADLY
from fairlab.registry import declared_facts
from fairlab.settings.placement import Placement
from fairlab.settings.study import changed
from fairlab.settings.user import user_settings
from fairlab.store.queue import read_turn
from fairlab.store.runs import RunRecord
from fairlab.ui.frame.forms import settings_form
from fairlab.ui.frame.page import plain, show_error
from fairlab.ui.runs.queue import act
from fairlab.workspace import Workspace


def placement_form(old: Placement, key: str) -> tuple[Placement | None, dict[str, Any]]:
    """The fields of a placement; returns it (None after saying why it cannot be) and what differs from `old`.

    What belongs to one engine is asked for only where that engine is chosen.
    """
    engines = declared_facts("ENGINES", "queue/engines")
    parts = [name for name in type(old).model_fields if name in engines or name == "slurm"]
    dials = settings_form(old, key, skip=parts)
    chosen = str(dials.get("engine", old.engine))
    if chosen in parts:
        dials |= settings_form(getattr(old, chosen), key, f"{chosen}.")
    st.caption(plain(f"{chosen}: {engines.get(chosen, {}).get('sentence', 'not known to this installation')}"))
    try:
        placement = changed(old, dials)
        launch.check_engine(placement)
    except FairLabError as error:
        show_error(error)
        return None, dials
    return placement, dials


def choose_placement(lab: Workspace) -> tuple[Placement | None, dict[str, Any]]:
    """For one launch: the workspace's default, and fields to change it."""
    old = Lab(lab).placement
    devices = f", {old.devices} processes for each run" if old.devices > 1 else ""
    with st.expander(f"Compute: {plain(old.engine)}{devices}", icon=":material/dns:"):
        return placement_form(old, "where")


def where_panel(lab: Workspace, record: RunRecord, status: str) -> None:
    """Where one run is to work, to be changed while it waits or after it has ended badly."""
    if status not in ("queued", *ENDED_BADLY):
        return
    with st.popover("Where", icon=":material/dns:"):
        _, dials = placement_form(read_turn(record.folder).placement, f"where:{record.run_id}")
        if st.button("Save", disabled=not dials, key="where"):
            act(lambda: Lab(lab).runs.place([record.run_id], dials), "Saved. The run will start there.")


def default_placement_form(lab: Workspace) -> None:
    """The workspace's default, kept as soon as it is changed."""
    placement, dials = placement_form(Lab(lab).placement, "default where")
    if placement is not None and dials:
        Lab(lab).placement = placement
        st.toast("Saved.")
    if placement is not None and placement.engine == "slurm":
        _own_programs()


def _own_programs() -> None:
    """What the user's own configuration names, to be read: no page changes which programs run."""
    own = user_settings().slurm.model_dump(mode="json")
    st.caption("These programs and options belong to your account; pages cannot change them. Set one in a terminal:")
    lines = [
        f"fairlab settings config --set slurm.{name}={shlex.quote(json.dumps(value))}" for name, value in own.items()
    ]
    st.code("\n".join(lines), language=None)


def options(dials: Mapping[str, Any]) -> list[str]:
    """The same as words of the command line."""
    words: list[str] = []
    for name, value in dials.items():
        text = value if isinstance(value, str) else json.dumps(value)
        words += [f"--{name}", text] if name in ("engine", "devices") else ["--on", f"{name}={text}"]
    return words
