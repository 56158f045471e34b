"""What moved from the left space to the right one: numbers per group, a histogram, and the faces whose neighbours changed most."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from fairlab.api import Lab
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.intervals import FEW_IDENTITIES
from fairlab.evaluation.neighbourhoods import MEASURES, extent, most_moved, rank_text
from fairlab.plots.moved import overlap_figure
from fairlab.reading.structured import parse_json
from fairlab.settings.study import Moved
from fairlab.store.database import list_runs
from fairlab.store.embeddings import embeddings_folder
from fairlab.store.moved import StoredMove, find_moved, moved_folder
from fairlab.store.runs import RunRecord, read_run, state
from fairlab.tables import ALL_GROUPS, texts
from fairlab.ui.frame import choices
from fairlab.ui.frame.gallery import Face, faces
from fairlab.ui.frame.numbers import HARD_SPACE, cell, download, span, text
from fairlab.ui.frame.page import chart, facts, plain, show_error
from fairlab.ui.frame.pickers import choose
from fairlab.ui.frame.waiting import waiting
from fairlab.ui.spaces.selection import FACE
from fairlab.workspace import Workspace

AT_ONCE, FACE_PX = 6, 62
GROUP, PLACE = "movers-of", "movers"
"""The link's parameters: whose faces are shown, and from which place on."""
FORMS = {
    "overlap": (3, 1.0),
    "same_before": (1, 100.0),
    "same_after": (1, 100.0),
    "same_change": (1, 100.0),
    "cka": (3, 1.0),
}
"""Digits and factor of each measure; shares are shown in percent."""


def section(lab: Workspace, data: Dataset, spaces: tuple[RunRecord, RunRecord], splits: Sequence[str]) -> None:
    """What moved between two models' spaces in these parts of the data, or a button that measures it."""
    st.subheader("What moved", anchor=False)
    before, after = spaces
    if before.run_id == after.run_id:
        st.caption("Choose two different spaces to see which faces have other neighbours in the second.")
        return
    settings = Moved(splits=tuple(sorted(splits)))
    try:
        found = _stored(lab, before, after, data.dataset_id, settings)
    except FairLabError as error:
        show_error(error)
        return
    if found is None:
        _measure(lab, data, spaces, settings)
        return
    st.caption(
        plain(
            f"From {before.title} to {after.title}, on the embeddings, not on the maps. {extent(found.facts)}"
            f"{' Parts: ' + ', '.join(settings.splits) + '.' if settings.splits else ''}"
        )
    )
    _cards(found.numbers)
    _groups(found)
    if found.images["overlap"].notna().any():
        figure = overlap_figure(found.images, int(found.facts["k"]), data.groups)
        chart(figure, "overlap", "how many neighbours images keep, per group", table=found.images)
    _movers(data, found)


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _stored(lab: Workspace, before: RunRecord, after: RunRecord, dataset_id: str, settings: Moved) -> StoredMove | None:
    """The measurement, kept in memory until its folder or a space's vectors change."""
    vectors = [embeddings_folder(run.folder, dataset_id, "plain") / "manifest.json" for run in (before, after)]
    version = *map(_stamp, vectors), _stamp(moved_folder(after.folder, dataset_id))
    return _read(str(lab.home), before.run_id, after.run_id, dataset_id, settings.model_dump_json(), version)


@st.cache_resource(max_entries=8, show_spinner=False)
def _read(
    home: str, before: str, after: str, dataset_id: str, settings: str, version: tuple[int, ...]
) -> StoredMove | None:
    lab = Workspace(Path(home))
    return find_moved(
        read_run(lab, before), read_run(lab, after), dataset_id, Moved(**parse_json(settings, "these settings"))
    )


def _measure(lab: Workspace, data: Dataset, spaces: tuple[RunRecord, RunRecord], settings: Moved) -> None:
    """Offer the job, or show how far the one at work is."""
    names = [run.run_id for run in spaces]
    job = _job(lab, names, data.dataset_id, settings)
    if job:
        waiting(lab, job, "Measuring what moved")
        if state(lab.run(job)).status in ("running", "queued"):
            return
    st.info(
        "Not measured yet: which faces have other neighbours in the second space, in which groups, and how many keep their "
        "own person nearest.",
        icon=":material/compare_arrows:",
    )
    if st.button(
        "Measure what moved",
        type="primary",
        icon=":material/compare_arrows:",
        key="measure moved",
        help=f"The same in a terminal: {plain(command(names, data.dataset_id, settings))}",
    ):
        try:
            Lab(lab).models.measure_moved(names[0], names[1], data.dataset_id, settings)
        except FairLabError as error:
            show_error(error)
            return
        st.rerun()


def command(names: Sequence[str], dataset_id: str, settings: Moved) -> str:
    """What measures the same in a terminal: the parts too, without which it would be another measurement."""
    parts = ["--set", f"splits={json.dumps(settings.splits)}"] if settings.splits else []
    return shlex.join(["fairlab", "models", "moved", *names, "--data", dataset_id, *parts])


def _job(lab: Workspace, names: Sequence[str], dataset_id: str, settings: Moved) -> str:
    """The newest job that measures this and is not done; "" for none."""
    runs = list_runs(lab)
    runs = runs[(runs["role"] == "comparison") & (runs["dataset"] == dataset_id) & (runs["status"] != "done")]
    for row in runs.iloc[::-1].itertuples():
        same = parse_json(row.parents, "the catalogue", list) == list(names)
        if same and read_run(lab, row.run_id).config.moved == settings:
            return str(row.run_id)
    return ""


def _cards(numbers: pd.DataFrame) -> None:
    """The numbers of all groups together."""
    all_of = numbers[numbers["group"] == ALL_GROUPS].set_index("measure")
    meanings = {
        "overlap": "Mean over images: neighbours in both spaces, over neighbours in either (Jaccard). 1: the same; 0: all others.",
        "same_before": "Share of images whose nearest other image shows the same person, in the first space.",
        "same_after": "The same in the second space.",
        "cka": "Likeness of the two spaces as a whole (linear CKA, debiased). 1: alike but for turning and scale; 0: unrelated.",
    }
    cards = []
    for measure, meaning in meanings.items():
        row = all_of.loc[measure]
        digits, factor = FORMS[measure]
        unit = " %" if factor == 100 and pd.notna(row["value"]) else ""
        small = span(row["low"], row["high"], digits, factor) or row["reason"]
        cards.append((MEASURES[measure], text(row["value"], digits, factor) + unit, plain(small), meaning))
    facts(*cards)


def _groups(found: StoredMove) -> None:
    """A row per group, every number with its interval; then why some are n/a."""
    rows = []
    for group, part in found.numbers.groupby("group", sort=False):
        by = part.set_index("measure")
        row = {
            "Group": "all" if group == ALL_GROUPS else plain(group).replace(" ", HARD_SPACE),
            "Images": f"{by.loc['cka', 'images']:,}",
        }
        row["People"] = f"{by.loc['cka', 'people']:,}"
        for measure, title in MEASURES.items():
            digits, factor = FORMS[measure]
            of = by.loc[measure]
            unit = "points" if measure == "same_change" else "%"
            label = f"{title}, {unit}" if factor == 100 else title
            row[label] = cell(of["value"], of["low"], of["high"], digits, factor, signed=measure == "same_change")
        rows.append(row)
    st.table(texts(rows, "Group"), border="horizontal", hide_index=True)
    for reason, part in found.numbers[found.numbers["reason"] != ""].groupby("reason", sort=False):
        said = ", ".join(f"{MEASURES[row.measure]} ({row.group})" for row in part.itertuples())
        st.caption(plain(f"{said}: {reason}."))
    few = found.numbers[(found.numbers["people"] < FEW_IDENTITIES) & found.numbers["low"].notna()]
    if len(few):
        names = ", ".join(dict.fromkeys(few["group"]))
        st.caption(plain(f"Fewer than {FEW_IDENTITIES} people in {names}: the intervals are only indicative."))
    st.caption("95 % intervals over people. Neighbours are searched among the images of all groups.")
    download(found.numbers, "moved-numbers")


def _movers(data: Dataset, found: StoredMove) -> None:
    """The faces whose neighbours changed most, with their neighbours in both spaces; a click asks for a face's neighbours."""
    ranked = most_moved(found.images)
    ranked = ranked[ranked["image_id"].isin(found.near["image_id"])]
    if ranked.empty:
        return
    st.markdown("**Moved most**")
    known = set(ranked["group"])
    one, two = st.columns([2, 3])
    with one:
        group = choose("Group", ["all", *(name for name in data.groups if name in known)], GROUP, {"all": "all groups"})
    ranked = ranked if group == "all" else ranked[ranked["group"] == group]
    starts = {
        str(at): f"{at + 1} to {min(at + AT_ONCE, len(ranked))} of {len(ranked):,}"
        for at in range(0, len(ranked), AT_ONCE)
    }
    with two:
        at = int(choose("Place", list(starts), PLACE, starts, help="Smallest overlap first.", of=group))
    st.caption(
        "Left: nearest in the first space; right: in the second. Green frame: the same person. Red frame: another person. In both: a neighbour in both spaces."
    )
    for row in ranked.iloc[at : at + AT_ONCE].itertuples():
        _mover(data, found, row)


def _mover(data: Dataset, found: StoredMove, row: pd.Series) -> None:
    depth = int(found.facts["depth"])
    near = found.near[found.near["image_id"] == row.image_id]
    sides = {space: near[near["space"] == space] for space in ("before", "after")}
    people = data.images["identity"].iloc[near["neighbour"].to_numpy()].astype(str).to_dict()
    both = set(sides["before"]["neighbour"]) & set(sides["after"]["neighbour"])
    with st.container(border=True):
        first, *columns = st.columns([1.3, 4, 4], gap="small")
        with first:
            title = Face(int(row.image_id), row.identity, row.group, f"overlap {row.overlap:.2f}", "chosen")
            _ask(data, faces(data.dataset_id, [title], f"mover:{row.image_id}", 84, pictures=data.has_images))
        for column, (space, part) in zip(columns, sides.items(), strict=True):
            rank = row.rank_before if space == "before" else row.rank_after
            with column:
                st.caption(plain(f"Rank of the same person: {rank_text(rank, depth)}"))
                shown = [_face(item, people[item.neighbour], row, both) for item in part.itertuples()]
                key = f"mover:{row.image_id}:{space}"
                _ask(data, faces(data.dataset_id, shown, key, FACE_PX, pictures=data.has_images))


def _face(item: pd.Series, person: str, me: pd.Series, both: set[int]) -> Face:
    state = "right" if person == me.identity else "wrong"
    return Face(int(item.neighbour), person, f"{item.score:.3f}", "in both" if item.neighbour in both else "", state)


def _ask(data: Dataset, clicked: int | None) -> None:
    """Show the neighbours of a face that has just been clicked."""
    if clicked is not None and choices.asked(FACE, data.dataset_id) != [str(clicked)]:
        choices.choose(FACE, [str(clicked)], data.dataset_id)
        st.rerun()
