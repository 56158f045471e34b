"""Spaces: where two models put the same faces, and who is near whom in each."""

import streamlit as st

from fairlab.ui import cached, linked
from fairlab.ui.page import start
from fairlab.ui.pickers import choose, pick_space, pick_study

lab = start(
    "Spaces",
    "Two models, the same faces: select in one map and see them in the other; click a face for its neighbours.",
)
study, models = pick_study(lab)
first, second, third, fourth = st.columns([2, 2, 1.4, 1.6])
with first:
    left = pick_space("Left space", models, "left", ("teacher", "baseline", "student", "adaptor"))
with second:
    right = pick_space("Right space", models, "right", ("adaptor", "student", "teacher", "baseline"))
with third:
    colour_by = choose("Colour", list(linked.COLOURS), "colour", linked.COLOURS)
data = cached.dataset(lab, left.dataset)
with fourth:
    splits = st.multiselect(
        "Parts",
        list(dict.fromkeys(data.images["split"])),
        key="parts",
        bind="query-params",
        help="Empty: all parts of the data.",
    )
sides = (linked.side(lab, "left", left), linked.side(lab, "right", right))
if linked.make_maps(lab, sides):
    linked.maps(lab, data, sides, colour_by, splits)
face = linked.chosen_faces(data)
if face is not None:
    linked.neighbour_panels(lab, data, sides, face)
