"""How many images a new map lays out, and a larger map than the one that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from fairlab.api import Lab
from fairlab.errors import FairLabError
from fairlab.settings.study import MOST_POINTS, Projection
from fairlab.ui.frame import cached
from fairlab.ui.frame.page import plain, show_error
from fairlab.ui.frame.pickers import choose
from fairlab.workspace import Workspace

SIZES = (Projection().max_points, 20_000, 100_000, 200_000, MOST_POINTS)


def how_many(lab: Workspace, dataset_id: str, laid_out: int = 0) -> int:
    """The number of images to lay out, asked where the data set has more than a map lays out by default.

    laid_out: as many were laid out before, so that more are proposed.
    """
    count = len(cached.dataset(lab, dataset_id).images)
    if count <= SIZES[0]:
        return SIZES[0]
    sizes = [size for size in SIZES if size < count] + [min(count, MOST_POINTS)]
    names = {str(size): f"{size:,} images, people whole" if size < count else f"all {count:,} images" for size in sizes}
    chosen = choose(
        "Images on the map",
        list(names),
        "points",
        names,
        next((at for at, size in enumerate(sizes) if size > laid_out), 0),
        help="All images of a person are laid out, and people are drawn per group by seed. More images take longer.",
    )
    return int(chosen)


def start(lab: Workspace, run_ids: Sequence[str], dataset_id: str, images: int) -> bool:
    """Start the job that lays the images out in these models' spaces; a refusal is shown. True where it has started."""
    try:
        Lab(lab).models.project(run_ids, dataset_id, images=images)
    except FairLabError as error:
        show_error(error)
        return False
    return True


def offer_more(
    lab: Workspace, run_ids: Sequence[str], dataset_id: str, smallest: Mapping[str, Any], at_work: bool
) -> None:
    """Offer a map of more images than the smallest one that is shown (its facts); at_work: such a job is under way."""
    shown = int(smallest.get("shown") or 0)
    laid_out = int(smallest.get("settings", {}).get("max_points") or shown)
    count = len(cached.dataset(lab, dataset_id).images)
    if at_work:
        st.caption(":material/map: A map of these spaces is being drawn: it appears here when it is done. See Runs.")
    elif shown < min(count, MOST_POINTS):
        with st.popover(plain(f"{shown:,} of {count:,} images: lay out more"), icon=":material/map:"):
            images = how_many(lab, dataset_id, laid_out)
            st.caption(
                "A background job: you can leave this page."
                if images > laid_out
                else "A map of as many images is shown already."
            )
            if st.button("Create this map", key="draw more", disabled=images <= laid_out) and start(
                lab, run_ids, dataset_id, images
            ):
                st.rerun()
