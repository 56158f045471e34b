"""The storage page's parts: what lies on the disk, room made, archives, and deletion that lists first what it reaches."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import streamlit as st

from fairlab.api import Lab
from fairlab.api.data import DataSet
from fairlab.api.studies import Study
from fairlab.errors import FairLabError
from fairlab.formatting import room
from fairlab.jobs.data.missing import all_missing
from fairlab.plots.storage import storage_figure
from fairlab.settings.user import may_write
from fairlab.storage.archive import Choice
from fairlab.storage.deletion_words import goes, reached
from fairlab.storage.disk import BY, summed
from fairlab.storage.people.forget import unfinished
from fairlab.storage.people.forget_survey import Found
from fairlab.storage.retention import damaged
from fairlab.store.database import list_runs
from fairlab.store.studies import studies
from fairlab.tables import BOOL, TEXT, WHOLE, Table
from fairlab.ui.frame import cached, choices, missing
from fairlab.ui.frame.page import chart, facts, plain, show_error
from fairlab.ui.frame.pickers import choose
from fairlab.workspace import Workspace


def overview(lab: Workspace) -> None:
    """How much there is of what, as cards, a chart and a table."""
    table = Lab(lab).storage.usage()
    total, free = int(table["bytes"].sum()), shutil.disk_usage(lab.home).free
    of = table.groupby("kind")["bytes"].sum()
    facts(
        ("In the workspace", room(total), f"{int(table['files'].sum()):,} files", "Everything in its folder."),
        ("Free on the disk", room(free), "", "On the disk that holds the workspace."),
        ("Checkpoints", room(int(of.get("checkpoints", 0))), "", "Only needed to resume unfinished runs."),
        ("Embeddings", room(int(of.get("embeddings", 0))), "", "Including maps and indexes built from them."),
    )
    by = choose("Group by", list(BY), "sum", {"run": "run and data set"})
    column = {"run": "name", "study": "study", "kind": "kind"}[by]
    found = summed(table, by)
    named = table.assign(name=table["name"].where(table["name"] != "", "(the workspace itself)"))
    if by == "study":
        named = named.assign(study=named["study"].where(named["study"] != "", "(no study)"))
    if len(table):
        chart(storage_figure(named, column), f"storage:{by}", f"bytes by {by} and kind", table)
    _listed(found, 420)


def room_to_make(lab: Workspace) -> None:
    """Checkpoints that may go: listed, then deleted."""
    left, right = st.columns(2)
    with left:
        study = choose("Study", ["", *studies(lab)["study_id"]], "of", {"": "all studies"})
    count = right.number_input(
        "Checkpoints to keep per run", 0, 10, 1, key="kept", help="The newest are kept; 0 keeps only final weights."
    )
    found = Lab(lab).storage.prunable(int(count), study)
    size = room(int(found["bytes"].sum()))
    if found.empty:
        st.caption(
            "No checkpoints to delete: waiting and running runs keep theirs, and every run that can be resumed keeps its last one."
        )
        return
    _listed(found, 250)
    _sure(
        f"Delete these {len(found)} checkpoints, {size}",
        "prune",
        lambda: Lab(lab).storage.prune(int(count), study),
        f"{size} freed.",
    )


def _listed(found: pd.DataFrame, height: int) -> None:
    """A table of what lies on the disk; sorted by size where its column is clicked."""
    sizes = st.column_config.NumberColumn("Size", format="bytes")
    names = {name: plain(name.replace("_", " ").capitalize()) for name in found if name != "bytes"}
    st.dataframe(
        found,
        hide_index=True,
        height=min(38 + 35 * len(found), height),
        column_config={**names, "bytes": sizes},
    )


def take_away(lab: Workspace) -> None:
    """A run or study as one file, and bringing one in."""
    names = _names(lab)
    left, right = st.columns(2)
    with left:
        if not names:
            st.caption("Nothing to export yet.")
        else:
            _write(lab, names)
    with right:
        source = st.text_input("Archive to import", key="source", placeholder="a file written by FairLab")
        if st.button("Import", icon=":material/unarchive:", key="bring", disabled=not source):
            _with_progress(lambda tell: Lab(lab).storage.bring_in(source, tell), "Imported.")
    gone = all_missing(lab)
    if gone:
        st.subheader("Missing data sets", anchor=False)
        missing.panel(lab, gone)


def _write(lab: Workspace, names: dict[str, str]) -> None:
    name = choose("Run or study", list(names), "take", names)
    out = st.text_input(
        "Into file",
        str(lab.home / "archives" / f"{name}.tar"),
        key=f"out:{name}",
        help="In the workspace, or in a folder that your configuration allows (files.write_to).",
    )
    options = ("results and maps", "embeddings and classifiers", "checkpoints")
    taken = st.pills("Besides settings and networks", options, selection_mode="multi", default=options[0], key="with")
    st.caption(
        "Embeddings and the rows of classifiers are templates of people. Images and saved selections are never included."
    )
    anew = st.checkbox("Replace an existing file", key="anew")
    if st.button("Export", icon=":material/archive:", key="archive", type="primary"):
        choice = Choice(*(option in taken for option in options))

        def write(tell: Callable[[int, int], None]) -> None:
            Lab(lab).storage.archive(name, may_write(Path(out), lab.home), choice, tell, overwrite=anew)

        _with_progress(write, f"Written to {out}.")


def delete_whole(lab: Workspace) -> None:
    """A data set or a study: what goes and what needs it, then it goes."""
    options = {f"study {name}": ("study", name) for name in studies(lab)["study_id"]}
    options |= {f"data set {name}": ("dataset", name) for name in cached.datasets(lab)}
    kind, name = options[choose("Delete", list(options), "delete", {})]
    whole: Study | DataSet = Lab(lab).studies[name] if kind == "study" else Lab(lab).data[name]
    st.code("\n".join(goes(whole.what_goes())), language=None)
    _sure(f"Delete {name} permanently", f"whole:{name}", lambda: _gone(lab, whole, name), "Deleted.")


def _gone(lab: Workspace, whole: Study | DataSet, name: str) -> object:
    """Delete it; nothing asks for it any more."""
    there = {row.run_id for row in list_runs(lab).itertuples()}
    done = whole.delete(force=True)
    choices.forget(
        name, f"study {name}", f"data set {name}", *(there - {row.run_id for row in list_runs(lab).itertuples()})
    )
    return done


def delete_person(lab: Workspace) -> None:
    """Somebody's images and all that was made with them: everything is listed first."""
    if unfinished(lab):
        st.warning("A deletion was interrupted.", icon=":material/warning:")
        if st.button("Finish it", type="primary", key="finish"):
            _do(Lab(lab).storage.finish_forgetting, "Finished.")
        return
    left, right = st.columns([1, 2])
    with left:
        dataset = choose("From data set", cached.datasets(lab), "from", {})
    person = right.text_input("Name of the person in it", key="person")
    heads = st.toggle(
        "Zero their rows in classifiers and checkpoints too", True, key="heads", help="Each is a template."
    )
    if not person:
        return
    with st.spinner("Looking for everything made with these images ..."):
        try:
            found = Lab(lab).data[dataset].survey(person, heads)
        except FairLabError as error:
            show_error(error)
            return
    st.code("\n".join(reached(found)), language=None)
    st.caption("Not reached: archives and scores written elsewhere, and copies of this workspace.")
    _sure(
        f"Delete {plain(person)} from all of these",
        f"forget:{person}",
        lambda: Lab(lab).data[dataset].forget(person, heads),
        "Deleted.",
    )


def age_limit(lab: Workspace) -> None:
    """How long each data set may be kept."""
    known = {limit.dataset: limit for limit in Lab(lab).storage.limits()}
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    with left:
        dataset = choose("Data set", cached.datasets(lab), "limited", {})
    before = known[dataset].days if dataset in known else 0
    days = right.number_input(
        "Days to keep it, counted from when it was added (0: no limit)", 0, 36500, before, key=f"days:{dataset}"
    )
    if int(days) != before:
        Lab(lab).data[dataset].keep(int(days) or None)
        st.rerun()
    shown = [(limit.dataset, limit.days, f"{limit.until:%Y-%m-%d}", limit.over) for limit in known.values()]
    if shown:
        st.dataframe(
            Table(**{"data set": TEXT, "days": WHOLE, "until": TEXT, "over": BOOL}).build(shown), hide_index=True
        )
    for problem in damaged(lab).values():
        st.warning(plain(problem), icon=":material/warning:")
    st.caption(
        "Nothing is deleted automatically: `fairlab storage forget --expired` deletes what is past its limit; `--dry-run` "
        "lists it."
    )


def _names(lab: Workspace) -> dict[str, str]:
    known = studies(lab)
    found = {row.study_id: f"study {row.title} · {row.study_id}" for row in known.itertuples()}
    return found | {row.run_id: f"{row.title} · {row.run_id}" for row in list_runs(lab).itertuples()}


def _sure(label: str, key: str, action: Callable[[], object], said: str) -> None:
    """A button behind a tick."""
    with st.container(horizontal=True, vertical_alignment="center"):
        sure = st.checkbox("Yes, I have read what is deleted", key=f"sure {key}")
        if st.button(label, type="primary", icon=":material/delete:", disabled=not sure, key=key):
            _do(action, said)


def _do(action: Callable[[], object], said: str) -> None:
    try:
        found = action()
    except FairLabError as error:
        show_error(error)
        return
    for text in (said, *(found.notes if isinstance(found, Found) else ())):
        st.toast(plain(text), duration="long")
    st.rerun()


def _with_progress(action: Callable[[Callable[[int, int], None]], object], said: str) -> None:
    bar = st.progress(0.0)

    def tell(done: int, total: int) -> None:
        bar.progress(done / max(total, 1), f"{room(done)} of {room(total)}")

    try:
        action(tell)
    except FairLabError as error:
        show_error(error)
        return
    finally:
        bar.empty()
    st.success(plain(said), icon=":material/check:")
