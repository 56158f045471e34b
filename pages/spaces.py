"""Spaces: where two models put the same faces, and who is near whom in each."""

import streamlit as st

from fairlab.ui import cached, caveats, linked, nearby, selection
from fairlab.ui.page import start
from fairlab.ui.pickers import choose, choose_many, pick_models, pick_space

lab = start(
    "Spaces",
    "Two models, the same faces: select in one map and see them in the other; click a face for its neighbours.",
)
shown = pick_models(lab, "embeddings")
first, second, third, fourth = st.columns([2, 2, 1.5, 1.5])
with first:
    left = pick_space("Left space", shown.models, "left", ("teacher", "baseline", "student", "adaptor"))
with second:
    right = pick_space("Right space", shown.models, "right", ("adaptor", "student", "teacher", "baseline"))
with third:
    colour_by = choose("Colour by", list(linked.COLOURS), "colour", linked.COLOURS)
data = cached.dataset(lab, shown.dataset_id)
caveats.show(data)
with fourth:
    splits = choose_many(
        "Parts of the data",
        list(dict.fromkeys(data.images["split"])),
        "parts",
        {},
        placeholder="all",
        help="Models have seen the part they were trained on; the test part shows people they have never seen.",
    )
sides = tuple(linked.side(lab, name, run, shown.dataset_id) for name, run in (("left", left), ("right", right)))
drawn = linked.make_maps(lab, sides, shown.dataset_id)
if drawn:
    linked.maps(lab, data, sides, colour_by, splits)
selection.show_or_refuse(data.dataset_id)
face = nearby.asked_face(data)
if face is not None:
    nearby.neighbour_panels(lab, data, sides, face, splits)
nearby.chosen_faces(data, drawn)
