"""Choosing a study, a run, a space: each choice is in the page's link, and an unknown one is said kindly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from fairlab.data.base import Dataset
from fairlab.runs.compare import SPACES, StudyInfo, judged, models_of, read_study, studies
from fairlab.store.runs import RunRecord
from fairlab.ui import cached
from fairlab.ui.page import empty, plain
from fairlab.workspace import Workspace


def choose(
    label: str, options: Sequence[str], key: str, names: Mapping[str, str], index: int = 0, help: str | None = None
) -> str:
    """A select box whose choice is the link's parameter `key` and stays when the page is left and come back to.

    names: what is shown for an option; the link holds the option itself. A link that names something unknown gets a
    warning. (Streamlit's own bind="query-params" writes the shown names into the link, which change.)
    """
    asked = st.query_params.get(key)
    if asked is not None and asked not in options:
        shown = names.get(options[index], options[index])
        st.warning(f"The link asks for {plain(asked[:80])}, which is not here (any more): showing {plain(shown)}.")
        del st.query_params[key]
    _take_from_link(key, options[index], asked if asked in options else None, lambda kept: kept in options)
    chosen = str(st.selectbox(label, options, format_func=lambda item: names.get(item, item), key=key, help=help))
    _put_into_link(key, chosen, "" if chosen == options[index] else chosen)
    return chosen


def choose_many(label: str, options: Sequence[str], key: str, names: Mapping[str, str], **looks: Any) -> list[str]:
    """As choose(), for any number of options, none at first; unknown ones in a link are left out."""
    asked = st.query_params.get_all(key)
    known = [item for item in asked if item in options]
    _take_from_link(key, [], known or None, lambda kept: set(kept) <= set(options))
    chosen = list(st.multiselect(label, options, format_func=lambda item: names.get(item, item), key=key, **looks))
    _put_into_link(key, chosen, chosen)
    return chosen


def _take_from_link(key: str, default: Any, asked: Any, fits: Callable[[Any], bool]) -> None:
    """Set the widget `key` before it is drawn: to what a new link asks for, or what was chosen before, or the default."""
    kept = st.session_state.get(f"chosen {key}")
    if asked is not None and asked != kept:
        st.session_state[key] = asked
    elif key not in st.session_state or not fits(st.session_state[key]):
        st.session_state[key] = kept if kept is not None and fits(kept) else default


def _put_into_link(key: str, chosen: Any, text: str | list[str]) -> None:
    """Remember the choice, and write it into the link unless it is the default."""
    st.session_state[f"chosen {key}"] = chosen
    if text:
        st.query_params[key] = text
    elif key in st.query_params:
        del st.query_params[key]


def pick_dataset(lab: Workspace) -> Dataset:
    """Any data set of the workspace."""
    found = cached.datasets(lab)
    if not found:
        empty("Images, people and pairs of a data set are shown here.", "There is no data set yet.", "fairlab demo")
    return cached.dataset(lab, choose("Data set", found, "set", {}))


def pick_study(
    lab: Workspace, needs_models: bool = True, needs_numbers: bool = False
) -> tuple[StudyInfo, list[RunRecord]]:
    """A study and its finished models, or only those with numbers; an empty workspace gets a way forward instead."""
    table = studies(lab)
    if table.empty:
        empty("A study's models are shown here.", "No study has been started yet.", "fairlab demo")
    names = {
        row.study_id: f"{row.title} · {row.study_id} · {row.done} of {row.runs} runs done" for row in table.itertuples()
    }
    study = read_study(lab, choose("Study", table["study_id"].tolist(), "study", names))
    models = models_of(lab, study)
    if needs_models and not models:
        empty(
            "A study's models are shown here.",
            "None of this study's models is finished yet; see Runs.",
            f"fairlab runs wait {study.run_ids[-1]}",
        )
    if needs_numbers:
        models = [model for model in models if judged(model)]
        if not models:
            empty(
                "A study's numbers are shown here.",
                f"Models of this study are not judged: data set {study.config.dataset} has no pairs. See Spaces.",
                f"fairlab data {study.config.dataset}",
            )
    return study, models


def title_of(model: RunRecord, models: Sequence[RunRecord]) -> str:
    """A model's title, with its seed where the study has several."""
    return model.title if len({item.seed for item in models}) == 1 else f"{model.title} · seed {model.seed}"


def pick_space(label: str, models: Sequence[RunRecord], key: str, prefer: Sequence[str]) -> RunRecord:
    """One of the models; the first whose role is in `prefer` (in that order) is chosen at first."""
    spaces = [model for model in models if model.role in SPACES]
    order = sorted(
        range(len(spaces)), key=lambda n: prefer.index(spaces[n].role) if spaces[n].role in prefer else len(prefer)
    )
    names = {model.run_id: title_of(model, models) for model in spaces}
    chosen = choose(label, [model.run_id for model in spaces], key, names, order[0])
    return next(model for model in spaces if model.run_id == chosen)
