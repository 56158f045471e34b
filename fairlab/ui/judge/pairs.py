"""Pairs behind the rates: the errors at the operating point as pairs of faces, filtered, beside a second model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from fairlab.compare.pairs import with_images
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.error_pairs import Among, Kind, Wanted, changes, chosen, decided
from fairlab.evaluation.operating import OperatingPoint
from fairlab.store.runs import RunRecord
from fairlab.tables import texts
from fairlab.ui.frame import choices
from fairlab.ui.frame.numbers import download
from fairlab.ui.frame.page import plain, show_error
from fairlab.ui.frame.pickers import choose
from fairlab.ui.judge import evidence, one_pair
from fairlab.ui.judge.evidence import Evidence
from fairlab.ui.judge.pair_gallery import as_pair, pair_gallery, pick_page
from fairlab.workspace import Workspace

NAMES = 8
"""People offered for a text that is no whole name."""
EVERY = ""
KIND: dict[Kind, str] = {
    "false-match": "False matches",
    "false-non-match": "False non-matches",
    "nearest": "Nearest to the threshold",
}
AMONG: dict[Among, str] = {
    "here": "all errors of this model",
    "only-here": "right in the second model",
    "both": "wrong in both",
    "only-there": "wrong only in the second model",
}
PERSON, PAIR, PAGE = "person", "pair", "pairs page"


@dataclass(frozen=True)
class Asked:
    """What the section is about: a model's scored pairs at an operating point, and the models that can stand beside it."""

    lab: Workspace
    found: Evidence
    point: OperatingPoint
    data: Dataset
    models: Sequence[RunRecord]
    titles: Mapping[str, str]
    by: tuple[str, ...]

    @property
    def record(self) -> RunRecord:
        """The model's run."""
        return next(model for model in self.models if model.run_id == self.found.run_id)


def section(asked: Asked) -> None:
    """Filters, how many there are, a page of pairs, and the pair that was clicked. It is drawn again by itself."""
    st.subheader("Pairs behind the rates", anchor=False)
    try:
        table = decisions(asked.found, asked.point)
    except FairLabError as error:
        show_error(error)
        return

    @st.fragment
    def drawn() -> None:
        try:
            _section(asked, table)
        except FairLabError as error:
            show_error(error)
        choices.finish_part()

    drawn()


def decisions(found: Evidence, point: OperatingPoint) -> pd.DataFrame:
    """Every pair at the operating point (error_pairs.DECIDED). Nothing in it may be changed: sessions share it."""
    return _decisions(found.key, point.name, found)


@st.cache_resource(max_entries=16, show_spinner=False)
def _decisions(key: tuple[str, ...], point: str, _found: Evidence) -> pd.DataFrame:
    return decided(_found.pairs, OperatingPoint.of(point))


@st.cache_resource(max_entries=16, show_spinner=False)
def _chosen(key: tuple[str, ...], _table: pd.DataFrame, _wanted: Wanted, _theirs: pd.DataFrame | None) -> pd.DataFrame:
    return chosen(_table, _wanted, _theirs)


def _section(asked: Asked, table: pd.DataFrame) -> None:
    kind, group, other_group, person = _filters(table, asked.data)
    second, among = _second(asked, kind)
    wanted = Wanted(kind, group, other_group, person, among)
    theirs = None if second is None else decisions(second, asked.point)
    if theirs is not None:
        _changed(table, theirs, asked.titles[second.run_id] if second else "")
    key = (*asked.found.key, *(() if second is None else second.key))
    found = _chosen((*key, asked.point.name, repr(wanted)), table, wanted, theirs)
    _counted(table, found, wanted)
    if found.empty:
        choices.show(PAIR, [])
        choices.show(PAGE, [])
        return
    of = f"{asked.found.run_id} {asked.point.name} {wanted} {second.run_id if second else ''}"
    page = pick_page(PAGE, len(found), of)
    shown = with_images(found.iloc[page], asked.record, asked.data, asked.found.protocol)
    picked = choices.asked(PAIR, asked.data.dataset_id)
    clicked = pair_gallery(
        asked.data.dataset_id,
        [as_pair(row, picked == [str(row["pair_id"])]) for row in shown.to_dict("records")],
        "pairs behind",
        pictures=asked.data.has_images,
    )
    if clicked is not None and picked != [str(clicked)]:
        choices.choose(PAIR, [str(clicked)], asked.data.dataset_id)
        st.rerun(scope="fragment")
    download(found, f"pairs-{asked.found.run_id}-{asked.found.protocol}-{kind}", late=True)
    beside = None if theirs is None or second is None else one_pair.Second(asked.titles[second.run_id], theirs)
    one_pair.panel(asked, table, beside, picked)


def _filters(table: pd.DataFrame, data: Dataset) -> tuple[Kind, str, str, str]:
    """Kind of pairs, their groups and a person; the second group only where people of two groups are compared."""
    across = bool((table["group_a"] != table["group_b"]).any())
    known = {str(name) for side in "ab" for name in pd.unique(table[f"group_{side}"])}
    groups = [*(name for name in data.groups if name in known), *sorted(known - set(data.groups))]
    columns = st.columns([1.5, 1, 1, 1.5] if across else [1.5, 1, 1.5])
    with columns[0]:
        kind = choose("Show", list(KIND), "errors", {str(key): name for key, name in KIND.items()})
    with columns[1]:
        group = choose("Group", [EVERY, *groups], "errors group", {EVERY: "all groups"})
    other = EVERY
    if across and group != EVERY:
        with columns[2]:
            other = choose("And group", [EVERY, *groups], "errors other group", {EVERY: "any group"})
    with columns[-1]:
        person = _person(table, data)
    return next(name for name in KIND if name == kind), group, other, person


def _second(asked: Asked, kind: Kind) -> tuple[Evidence | None, Among]:
    """A second model on the same pairs, and which errors to show then."""
    others = [model.run_id for model in asked.models if model.run_id != asked.found.run_id]
    if not others:
        return None, "here"
    left, right = st.columns([1.5, 2.5])
    with left:
        chosen_model = choose("Second model", [EVERY, *others], "second", {EVERY: "none", **asked.titles})
    if chosen_model == EVERY:
        return None, "here"
    record = next(model for model in asked.models if model.run_id == chosen_model)
    second = evidence.evidence(asked.lab, record, asked.data, asked.found.protocol, asked.by, asked.found.chosen)
    if kind == "nearest":
        return second, "here"
    with right:
        among = choose("Which errors", list(AMONG), "among", {str(key): name for key, name in AMONG.items()})
    return second, next(name for name in AMONG if name == among)


def _person(table: pd.DataFrame, data: Dataset) -> str:
    """A person whose pairs alone are shown: typed, or chosen at a pair; "" for everybody."""
    asked = choices.asked(PERSON, data.dataset_id)
    choices.place(PERSON, asked[-1] if asked else "")
    typed = st.text_input(
        "Person",
        key=PERSON,
        placeholder="a person's name, or a part of it",
        on_change=choices.taken,
        args=(PERSON, data.dataset_id),
        max_chars=200,
    ).strip()
    choices.placed(PERSON)
    choices.show(PERSON, [typed])
    if not typed:
        return ""
    people = pd.unique(pd.concat([table["identity_a"], table["identity_b"]]))
    if typed in people:
        return typed
    near = [str(name) for name in people if typed.lower() in str(name).lower()]
    if not near:
        st.caption(f"No pair has a person called {plain(typed)}; pairs of all people are shown.")
        return ""
    st.caption(f"{len(near):,} people match; pairs of all people are shown until you choose one.")
    with st.container(horizontal=True):
        for number, name in enumerate(near[:NAMES]):
            st.button(plain(name), key=f"person {number}", on_click=choose_person, args=(name, data.dataset_id))
    return ""


def choose_person(name: str, dataset_id: str) -> None:
    """Callback: show the pairs of this person alone."""
    choices.choose(PERSON, [name] if name else [], dataset_id)


def _changed(table: pd.DataFrame, theirs: pd.DataFrame, title: str) -> None:
    """Per group, how many pairs are wrong in one model and right in the other."""
    rows = [
        {
            "Group": plain(row.group),
            "Error": KIND[row.kind],
            "Right in the second model": f"{row.only_here:,}",
            "Wrong in both": f"{row.both:,}",
            "Wrong only in the second model": f"{row.only_there:,}",
            "Pairs": f"{row.pairs:,}",
        }
        for row in changes(table, theirs).itertuples()
    ]
    st.table(texts(rows, "Group"), border="horizontal", hide_index=True)
    st.caption(
        f"Second model: {plain(title)}, at its own threshold by the rule above. Counts of pairs within groups; a "
        "difference in few pairs can be chance (see Comparison with another model on Fairness)."
    )


def _counted(table: pd.DataFrame, found: pd.DataFrame, wanted: Wanted) -> None:
    """How many pairs are shown, of how many."""
    of = "" if wanted.person or wanted.group or wanted.among != "here" else _of_all(table, wanted)
    what = "pairs, nearest to the threshold first" if wanted.kind == "nearest" else f"{KIND[wanted.kind].lower()}{of}"
    where = f" of {plain(wanted.group)}" if wanted.group else ""
    where += f" and {plain(wanted.other_group)}" if wanted.other_group else ""
    whom = f" with {plain(wanted.person)}" if wanted.person else ""
    among = f", {AMONG[wanted.among]}" if wanted.among != "here" else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(found):,}** {what}{where}{whom}{among}")
        if wanted.person:
            st.button("All people", icon=":material/close:", key="all people", on_click=choose_person, args=("", ""))


def _of_all(table: pd.DataFrame, wanted: Wanted) -> str:
    genuine = int(table["genuine"].sum())
    pairs, name = (len(table) - genuine, "impostor") if wanted.kind == "false-match" else (genuine, "genuine")
    return f" of {pairs:,} {name} pairs, the worst first"
