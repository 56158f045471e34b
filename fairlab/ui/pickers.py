"""Choosing a study, a run, a space: each choice is in the page's link, and an unknown one is said kindly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from fairlab.data.base import Dataset
from fairlab.runs.compare import imported, models_of, read_study, studies
from fairlab.runs.cross import METHOD as CROSS
from fairlab.runs.cross import crossed
from fairlab.store.embeddings import embedded_sets
from fairlab.store.results import judged_on
from fairlab.store.runs import SPACES, RunRecord, read_run
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


@dataclass(frozen=True)
class Shown:
    """What a looking page is about: models that all have what it shows, on one data set.

    With numbers, evaluations of a model against another one's gallery stand behind the models, as if they were models.
    study_id is "" for models that were added from files, which belong to no study and stand beside those of each.
    """

    study_id: str
    models: list[RunRecord]
    dataset_id: str


def pick_models(lab: Workspace, what: Literal["embeddings", "numbers"]) -> Shown:
    """A study, and a data set of which its models have embeddings or numbers; otherwise a way forward instead."""
    sets_of = embedded_sets if what == "embeddings" else judged_on
    table, added = studies(lab), imported(lab)
    if table.empty and not added:
        empty("A study's models are shown here.", "No study has been started yet.", "fairlab demo")
    names = {
        row.study_id: f"{row.title} · {row.study_id} · {row.done} of {row.runs} runs done" for row in table.itertuples()
    } | ({"": "models added from files"} if added else {})
    here, there = st.columns([3, 2])
    with here:
        study_id = choose("Study", list(names), "study", names)
    own = models_of(lab, read_study(lab, study_id)) if study_id else []
    pairs = crossed(lab, [*own, *added]) if what == "numbers" else []
    have = {model.run_id: sets_of(model.folder) for model in [*own, *added, *pairs]}
    sets = list(
        dict.fromkeys([*(model.dataset for model in own), *(name for found in have.values() for name in found)])
    )
    sets = [name for name in sets if any(name in found for found in have.values())]
    if not sets:
        _nothing_yet(lab, study_id, own, added)
    with there:
        dataset_id = choose(
            "On the data set",
            sets,
            "on",
            {},
            help=f"Data sets of which models here have {what}; the Models page makes more.",
        )
    return Shown(study_id, [model for model in [*own, *added, *pairs] if dataset_id in have[model.run_id]], dataset_id)


def _nothing_yet(lab: Workspace, study_id: str, own: Sequence[RunRecord], added: Sequence[RunRecord]) -> None:
    """Say why there is nothing to show, and stop."""
    if own:
        name = own[0].dataset
        empty(
            "A study's numbers are shown here.",
            f"Models of this study are not judged: data set {name} has no pairs. See Spaces.",
            f"fairlab evaluate {own[-1].run_id} DATASET",
        )
    if not study_id:
        empty(
            "Models that were added from files are shown here.",
            "None has looked at a data set yet; see Models.",
            f"fairlab evaluate {added[-1].run_id} DATASET",
        )
    empty(
        "A study's models are shown here.",
        "None of this study's models is finished yet; see Runs.",
        f"fairlab runs wait {read_study(lab, study_id).run_ids[-1]}",
    )


def title_of(model: RunRecord, models: Sequence[RunRecord]) -> str:
    """A model's title, with its seed where the study has several."""
    trained = {item.seed for item in models if item.role != "model"}
    return model.title if len(trained) <= 1 or model.role == "model" else f"{model.title} · seed {model.seed}"


def trained_on(lab: Workspace, model: RunRecord) -> str:
    """The data set that a model learned from; of a gallery and a probe, the probe's."""
    return read_run(lab, model.parents[1]).dataset if model.method == CROSS else model.dataset


def pick_space(label: str, models: Sequence[RunRecord], key: str, prefer: Sequence[str]) -> RunRecord:
    """One of the models; the first whose role is in `prefer` (in that order) is chosen at first."""
    spaces = [model for model in models if model.role in SPACES or model.method == CROSS]
    order = sorted(
        range(len(spaces)), key=lambda n: prefer.index(spaces[n].role) if spaces[n].role in prefer else len(prefer)
    )
    names = {model.run_id: title_of(model, models) for model in spaces}
    chosen = choose(label, [model.run_id for model in spaces], key, names, order[0])
    return next(model for model in spaces if model.run_id == chosen)
