"""The pair that was clicked: both faces, scores, traits; ways to its points on a map and to each person's pairs and images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from fairlab.compare.pairs import attributes_beside, with_images
from fairlab.data.dataset import Dataset
from fairlab.data.traits import Trait
from fairlab.errors import FairLabError
from fairlab.evaluation.error_pairs import beside
from fairlab.files import app_root
from fairlab.store.runs import SPACES, RunRecord
from fairlab.tables import texts
from fairlab.ui.frame import cached, choices
from fairlab.ui.frame.gallery import Face, faces
from fairlab.ui.frame.page import plain
from fairlab.ui.spaces import selection

if TYPE_CHECKING:
    from fairlab.ui.judge.pairs import Asked

MOST_TRAITS = 30
"""Traits shown beside a pair."""
IMAGES = 18
"""Images shown of a person."""
DECISION = {
    (True, True): "match, rightly",
    (True, False): "**false non-match**",
    (False, True): "**false match**",
    (False, False): "no match, rightly",
}


@dataclass(frozen=True)
class Second:
    """A second model's title and what it decided (error_pairs.DECIDED)."""

    title: str
    table: pd.DataFrame


def panel(asked: Asked, table: pd.DataFrame, second: Second | None, picked: list[str]) -> None:
    """All about one pair of the table (error_pairs.DECIDED), beside a second model's; nothing where none is picked."""
    choices.show("pair", picked)
    if not picked:
        st.caption("Click a pair for its scores, the images of both people, and its two points on a map.")
        return
    row = _row(asked, table, second, picked[-1])
    if row is None:
        st.caption(f"Pair {plain(picked[-1][:20])} of this link is not among these pairs.")
        choices.show("pair", [])
        return
    with st.container(border=True):
        left, right = st.columns([2, 5], vertical_alignment="center")
        images = [int(row["image_a"]), int(row["image_b"])]
        with left:
            names = [Face(image, str(row[f"identity_{side}"])) for image, side in zip(images, "ab", strict=True)]
            faces(asked.data.dataset_id, names, "one pair", 100, together=2, pictures=asked.data.has_images)
        with right:
            _scores(asked, row, second)
            traits(asked.data, row)
        _ways(asked, row, images)
        _people(asked.data, row, images)


def _row(asked: Asked, table: pd.DataFrame, second: Second | None, picked: str) -> pd.Series | None:
    """The pair with its images, attributes, and what the second model says of it."""
    at = np.flatnonzero(table["pair_id"].to_numpy() == (int(picked[:18]) if picked.isdecimal() else -1))
    if not len(at):
        return None
    found = beside(table, None if second is None else second.table, at)
    return with_images(found, asked.record, asked.data, asked.found.protocol).iloc[0]


def _scores(asked: Asked, row: pd.Series, second: Second | None) -> None:
    """Score, threshold and distance in each model."""
    said = [(asked.titles.get(asked.found.run_id, asked.found.run_id), "", bool(row["match"]))]
    if second is not None:
        right = bool(row["right_there"])
        said.append((second.title, "_there", right == bool(row["genuine"])))
    rows = [
        {
            "Model": plain(title),
            "Score": plain(f"{row[f'score{end}']:.4f}"),
            "Threshold": plain(f"{row[f'threshold{end}']:.4f}"),
            "Distance": plain(f"{row[f'distance{end}']:+.4f}"),
            "Decision": DECISION[bool(row["genuine"]), match],
        }
        for title, end, match in said
    ]
    st.table(texts(rows, "Model"), border="horizontal", hide_index=True)


def traits(data: Dataset, row: pd.Series) -> None:
    """Who the two are (a row of compare.pairs.PAIRS_BEHIND): person, group and attributes, side by side."""
    named = {"Person": "identity", "Group": "group", **{plain(name): name for name in attributes_beside(data)}}
    images = {side: int(row[f"image_{side}"]) for side in "ab"}
    rows = [
        {"": title, **{f"Image {images[side]}": plain(row[f"{name}_{side}"]) for side in "ab"}}
        for title, name in named.items()
    ]
    rows += [
        {"": plain(trait.name), **{f"Image {image}": _value(trait, image) for image in images.values()}}
        for trait in _beside(data)
    ]
    st.table(texts(rows), border="horizontal", hide_index=True)


def _beside(data: Dataset) -> list[Trait]:
    """Traits that are kept beside the data; those that came with the data are attributes."""
    try:
        return [trait for trait in cached.traits(data).values() if trait.source != "attribute"][:MOST_TRAITS]
    except FairLabError:
        return []  # the Data page says what is wrong


def _value(trait: Trait, image: int) -> str:
    if not trait.known[image]:
        return "n/a"
    return plain(f"{trait.values[image]:.4g}" if trait.numeric else str(trait.values[image]))


def points_link(run: RunRecord, data: Dataset, images: list[int]) -> None:
    """A link to the points of these images in Spaces; nothing for a run that made no space."""
    if run.role not in SPACES:
        return
    chosen = {selection.PARAMETER: selection.encode(np.array(images, dtype=np.int64))}
    st.page_link(
        app_root() / "pages" / "spaces.py",
        label="Both points in Spaces",
        icon=":material/scatter_plot:",
        query_params={"on": data.dataset_id, "left": run.run_id, **chosen},
    )


def _ways(asked: Asked, row: pd.Series, images: list[int]) -> None:
    """To the pair's two points in Spaces, and to all pairs of either person."""
    with st.container(horizontal=True):
        points_link(asked.record, asked.data, images)
        for name in dict.fromkeys((str(row["identity_a"]), str(row["identity_b"]))):
            st.button(
                f"All pairs of {plain(name)}",
                icon=":material/person_search:",
                key=f"pairs of:{name}",
                on_click=choices.choose,
                args=("person", [name], asked.data.dataset_id),
            )
            if st.button(
                f"{plain(name)} below", icon=":material/person:", key=f"who:{name}", help="Images and scores."
            ):
                choices.choose("who", [name], asked.data.dataset_id)
                st.rerun()


def _people(data: Dataset, row: pd.Series, images: list[int]) -> None:
    """Images of both people; those of the pair are framed."""
    if not data.has_images:
        return
    table = data.images
    for name in dict.fromkeys((str(row["identity_a"]), str(row["identity_b"]))):
        own = table.loc[(table["identity"] == name).to_numpy(), "image_id"].to_numpy()
        first = [image for image in images if image in own]
        shown = list(dict.fromkeys([*first, *own.tolist()]))[:IMAGES]
        some = f"{len(shown)} of {len(own):,} images" if len(own) > len(shown) else f"{len(own):,} images"
        st.markdown(f"**{plain(name)}**, {some}")
        states = ["chosen" if image in images else "" for image in shown]
        faces(
            data.dataset_id,
            [Face(int(image), state=state) for image, state in zip(shown, states, strict=True)],
            f"images of:{name}",
            64,
        )
