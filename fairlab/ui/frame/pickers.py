"""Choosing a study, a run, a space: each choice is in the page's link, and an unknown one is said kindly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from fairlab.compare.compare import imported, models_of
from fairlab.compare.galleries import crossed
from fairlab.compare.repairs import repaired
from fairlab.data.dataset import Dataset
from fairlab.plan.records import METHOD as CROSS
from fairlab.plan.records import REPAIR
from fairlab.store.embeddings import embedded_sets
from fairlab.store.results import judged_on
from fairlab.store.runs import SPACES, RunRecord, read_run
from fairlab.store.studies import read_study, studies
from fairlab.ui.frame import cached, choices, missing, ways
from fairlab.ui.frame.page import empty, plain, stop
from fairlab.workspace import Workspace

ALL, ADDED = "all", "added"
"""Studies that are none: all runs, which only the page Runs knows, and the models that were added from files."""


def choose(
    label: str,
    options: Sequence[str],
    key: str,
    names: Mapping[str, str],
    index: int = 0,
    help: str | None = None,
    of: str = "",
) -> str:
    """A select box whose choice is the link's parameter `key` and holds on every page (ui.frame.choices).

    names: what is shown for an option; the link holds the option itself. What is asked for and not there is said in a
    sentence, and the option `index` is shown. Once shown it stays, also where `index` comes to mean another: a run that has
    just been stopped is still the one that can be resumed. of: what the choice is part of, where its values mean something else
    elsewhere. (Streamlit's own bind="query-params" writes the shown names into the link, which change.)
    """
    asked = [text for text in choices.asked(key, of) if text in options or text != ALL][-1:]
    shown = options[index]
    if asked and asked[0] in options:
        shown = asked[0]
    elif asked and choices.by_hand():
        choices.keep(key, [shown], of)
    elif asked:
        _gone(label, asked, names.get(shown, shown))
    elif choices.standing(key) in options:
        shown = choices.standing(key)
    choices.place(key, shown)
    chosen = str(
        st.selectbox(
            label,
            options,
            format_func=lambda item: names.get(item, item),
            key=key,
            help=help,
            on_change=choices.taken,
            args=(key, of),
        )
    )
    choices.placed(key)
    choices.show(key, [chosen])
    return chosen


def choose_many(
    label: str, options: Sequence[str], key: str, names: Mapping[str, str], of: str = "", **looks: Any
) -> list[str]:
    """As choose(), for any number of options, none at first."""
    asked = choices.asked(key, of)
    shown = [item for item in dict.fromkeys(asked) if item in options]
    if len(shown) < len(set(asked)):
        if choices.by_hand():
            choices.keep(key, shown, of)
        else:
            _gone(label, [item for item in asked if item not in options], ", ".join(names.get(s, s) for s in shown))
    choices.place(key, shown)
    chosen = list(
        st.multiselect(
            label,
            options,
            format_func=lambda item: names.get(item, item),
            key=key,
            on_change=choices.taken,
            args=(key, of),
            **looks,
        )
    )
    choices.placed(key)
    choices.show(key, chosen)
    return chosen


def _gone(label: str, asked: Sequence[str], shown: str) -> None:
    """Say that what was asked for is not there, and what is shown instead."""
    names = ", ".join(plain(text[:80]) for text in asked)
    instead = f"{plain(shown)} is shown instead" if shown else "choose another"
    st.warning(f"{label} {names} from this link is not in this workspace; {instead}.", icon=":material/link_off:")


def pick_dataset(lab: Workspace) -> Dataset:
    """Any data set of the workspace."""
    found = cached.datasets(lab)
    if not found:
        empty(
            "Images, people and pairs of a data set are shown here.",
            "No data set yet: add your own above, or start a study that generates faces.",
            "fairlab data add PATH",
        )
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
    } | ({ADDED: "models added from files"} if added else {})
    here, there = st.columns([3, 2])
    with here:
        chosen = choose("Study", list(names), "study", names, _study_of_link(lab, list(names)))
    study_id = "" if chosen == ADDED else chosen
    own = models_of(lab, read_study(lab, study_id)) if study_id else []
    pairs = [*crossed(lab, [*own, *added]), *repaired(lab, [*own, *added])] if what == "numbers" else []
    have = {model.run_id: sets_of(model.folder) for model in [*own, *added, *pairs]}
    sets = list(
        dict.fromkeys([*(model.dataset for model in own), *(name for found in have.values() for name in found)])
    )
    sets = [name for name in sets if any(name in found for found in have.values())]
    here_are = cached.datasets(lab)
    gone = [name for name in sets if name not in here_are]
    sets = [name for name in sets if name in here_are]
    if not sets:
        gone = _never_here(lab, [*own, *added])
    missing.panel(lab, gone, folded=bool(here_are))
    if gone and not here_are:
        stop()
    if not sets:
        ways.nothing_yet(lab, what, study_id, own or ([] if study_id else added))
    with there:
        dataset_id = choose(
            "On the data set",
            sets,
            "on",
            {},
            help=f"Data sets on which models here have {what}; add more on Models.",
        )
    return Shown(study_id, [model for model in [*own, *added, *pairs] if dataset_id in have[model.run_id]], dataset_id)


def _study_of_link(lab: Workspace, options: Sequence[str]) -> int:
    """The place of the newest study with the model that a link names, for a link that names no study; 0, the newest of all,
    where it names none.
    """
    for name in (*choices.asked("model"), *choices.asked("left")):
        for place, study_id in enumerate(options):
            if study_id != ADDED and name in read_study(lab, study_id).run_ids:
                return place
    return 0


def _never_here(lab: Workspace, models: Sequence[RunRecord]) -> list[str]:
    """Data sets that these models have learned from, have numbers of or have embedded, and that are not here."""
    known = [
        name for model in models for name in (model.dataset, *judged_on(model.folder), *embedded_sets(model.folder))
    ]
    return [name for name in dict.fromkeys(known) if name and name not in cached.datasets(lab)]


def title_of(model: RunRecord, models: Sequence[RunRecord]) -> str:
    """A model's title, with its seed where the study has several."""
    trained = {item.seed for item in models if not item.elsewhere}
    return model.title if len(trained) <= 1 or model.elsewhere else f"{model.title} · seed {model.seed}"


def trained_on(lab: Workspace, model: RunRecord) -> str:
    """The data set that a model learned from; of a gallery and a probe, the probe's; of repaired scores, their model's."""
    if model.method in (CROSS, REPAIR):
        return read_run(lab, model.parents[1 if model.method == CROSS else 0]).dataset
    return model.dataset


def pick_space(label: str, models: Sequence[RunRecord], key: str, prefer: Sequence[str]) -> RunRecord:
    """One of the models; the first whose role is in `prefer` (in that order) is chosen at first."""
    spaces = [model for model in models if model.role in SPACES or model.method in (CROSS, REPAIR)]
    order = sorted(
        range(len(spaces)), key=lambda n: prefer.index(spaces[n].role) if spaces[n].role in prefer else len(prefer)
    )
    names = {model.run_id: title_of(model, models) for model in spaces}
    chosen = choose(label, [model.run_id for model in spaces], key, names, order[0])
    return next(model for model in spaces if model.run_id == chosen)
