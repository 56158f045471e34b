"""People behind the rates: how few make most errors, kinds of people beside chance, each person's counts with interval."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from fairlab.compare.people import PeopleBehind, of_decisions, worst_first
from fairlab.errors import FairLabError
from fairlab.evaluation.intervals import p_words
from fairlab.evaluation.menagerie import ANIMALS
from fairlab.evaluation.people import DRAWS, WORST
from fairlab.plots.people import lorenz_figure
from fairlab.tables import ALL_GROUPS, TEXT, Table, texts
from fairlab.ui.frame import choices
from fairlab.ui.frame.numbers import download
from fairlab.ui.frame.page import chart, plain, show_error
from fairlab.ui.frame.pickers import choose
from fairlab.ui.judge import one_person
from fairlab.ui.judge.pairs import Asked, decisions

WHO = "who"
"""The link's parameter: the person whose images and scores are shown."""
LISTED = 200
"""People in the table."""
KIND = {"false-match": "False matches", "false-non-match": "False non-matches"}
COLUMNS = Table(**dict.fromkeys(("Person", "Group", "Errors", "Pairs", "Rate, %", "95 %", "p by chance", "Kind"), TEXT))
"""The table of people, as it is shown."""


def section(asked: Asked) -> None:
    """Concentration, kinds and people, and the person that was picked. It is drawn again by itself."""
    st.subheader("People behind the rates", anchor=False)
    try:
        found = people_behind(asked)
    except FairLabError as error:
        show_error(error)
        return

    @st.fragment
    def drawn() -> None:
        kind = choose("Errors", list(KIND), "people errors", KIND)
        _concentration(found, kind, asked)
        _zoo(found, asked)
        _people(found, kind, asked)
        one_person.panel(asked, found, choices.asked(WHO, asked.data.dataset_id))
        choices.finish_part()

    drawn()


def people_behind(asked: Asked) -> PeopleBehind:
    """The people at the operating point. Nothing in it may be changed: sessions share it."""
    return _behind(asked.found.key, asked.point.name, asked)


@st.cache_resource(max_entries=16, show_spinner="Counting errors by person ...")
def _behind(key: tuple[str, ...], point: str, _asked: Asked) -> PeopleBehind:
    return of_decisions(decisions(_asked.found, _asked.point), _asked.found.settings.seed)


def _concentration(found: PeopleBehind, kind: str, asked: Asked) -> None:
    """Lorenz curves, and what the worst people make."""
    table = found.lorenz[(found.lorenz["kind"] == kind).to_numpy()]
    shares = found.shares[(found.shares["kind"] == kind).to_numpy()]
    chart(lorenz_figure(table, asked.found.names), "lorenz", f"{KIND[kind]} by person per group", table=table)
    st.table(shares_table(shares), border="horizontal", hide_index=True)
    st.caption(
        "Share of the errors that the worst people make. Dotted, and in brackets: what chance shows on average where errors "
        "fall on the group's pairs at random, with p. Each of the two people makes half of a false match."
    )


def shares_table(shares: pd.DataFrame) -> pd.DataFrame:
    """A row per group in Markdown: errors, people with one, and the share of the worst people."""
    rows = []
    for group, part in shares.groupby("group", sort=False):
        first = part.iloc[0]
        row = {
            "Group": "all groups" if group == ALL_GROUPS else plain(group),
            "Errors": f"{first['errors']:,}",
            "People": f"{first['with_errors']:,} of {first['people']:,}",
        }
        for worst in WORST:
            found = part[part["worst"] == worst].iloc[0]
            row[f"Worst {100 * worst:g} %"] = _share(found)
        rows.append(row)
    return texts(rows, "Group")


def _share(row: pd.Series) -> str:
    if row["share"] != row["share"]:
        return "n/a"
    chance = f"{100 * row['by_chance']:.0f}, p {p_words(row['p'], DRAWS)}"
    return f"{100 * row['share']:.0f} % :small[:gray[({plain(chance)})]]"


def _zoo(found: PeopleBehind, asked: Asked) -> None:
    """How many people are of each kind, and how many by chance."""
    st.markdown("**Kinds of people**")
    st.table(zoo_table(found.zoo, asked.found.names), border="horizontal", hide_index=True)
    st.caption(
        "Number of people; in brackets how many chance alone calls so, and p. Goats and lambs: Doddington's zoo (1998), by "
        "a hypergeometric test at 5 % for each person. The four others: Yager and Dunstone (2010). A lamb is easily "
        "imitated and a wolf imitates; a cosine is symmetric, so they are one kind."
    )
    apart = [
        f"{plain(row.group)}: {row.scores} scores differ between people (Kruskal\\-Wallis, p {p_words(row.p, DRAWS)})"
        for row in found.differ.itertuples()
        if row.p < 0.05
    ]
    if apart:
        st.caption("; ".join(apart) + ". Pairs of one person share images, which adds to this.")


def zoo_table(zoo: pd.DataFrame, groups: tuple[str, ...]) -> pd.DataFrame:
    """A row per kind of people in Markdown, a column per group."""
    by = zoo.set_index(["animal", "group"])
    rows = []
    for animal, about in ANIMALS.items():
        row = {"Kind": f"**{animal}** :small[:gray[{plain(about)}]]"}
        for group in groups:
            row[plain(group)] = _called(by.loc[(animal, group)]) if (animal, group) in by.index else "n/a"
        rows.append(row)
    return texts(rows, "Kind")


def _called(row: pd.Series) -> str:
    if row["by_chance"] != row["by_chance"]:
        return "n/a :small[:gray[(no errors, or too few people)]]"
    chance = f"{row['by_chance']:.1f}, p {p_words(row['p'], DRAWS)}"
    return f"{int(row['people']):,} of {int(row['of']):,} :small[:gray[({plain(chance)})]]"


def _people(found: PeopleBehind, kind: str, asked: Asked) -> None:
    """The people with most errors; a tick shows one below."""
    table = worst_first(found.people, kind)
    shown = people_table(table.head(LISTED), kind)
    key = f"people table {kind} {asked.found.run_id} {asked.point.name}"
    st.dataframe(
        shown,
        hide_index=True,
        key=key,
        on_select=lambda: _picked(key, shown, asked.data.dataset_id),
        selection_mode="single-row",
        height=min(38 + 35 * len(shown), 318),
    )
    more = f"The first {LISTED} of {len(table):,} people. " if len(table) > LISTED else ""
    st.caption(
        f"{more}Tick a row to see the person below. Intervals: Clopper\\-Pearson over the person's pairs, which share "
        "images, so the truth is less certain. p: how often as many errors fall on so many pairs by chance."
    )
    download(table, f"people-{asked.found.run_id}-{asked.found.protocol}", late=True)


def people_table(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """COLUMNS of people (menagerie.ZOO_PEOPLE): errors of a kind, with counts, interval and p."""
    errors, pairs, rate = (
        ("false_matches", "impostor_pairs", "fmr")
        if kind == "false-match"
        else ("false_non_matches", "genuine_pairs", "fnmr")
    )
    rows = [
        (
            row["identity"],
            row["group"],
            f"{row[errors]:,}",
            f"{row[pairs]:,}",
            "n/a" if row[rate] != row[rate] else f"{100 * row[rate]:.1f}",
            "" if row[rate] != row[rate] else f"{100 * row[f'{rate}_low']:.1f} to {100 * row[f'{rate}_high']:.1f}",
            "" if row[f"{rate}_p"] != row[f"{rate}_p"] else f"{row[f'{rate}_p']:.3g}",
            row["zoo"],
        )
        for row in table.to_dict("records")
    ]
    return COLUMNS.build(rows)


def _picked(key: str, shown: pd.DataFrame, dataset_id: str) -> None:
    """Callback of the table: the ticked person, or nobody."""
    state: Any = st.session_state[key]
    rows = state["selection"]["rows"]
    choices.choose(WHO, [str(shown["Person"].iloc[rows[0]])] if rows else [], dataset_id)
