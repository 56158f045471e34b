"""Spaces: where models put the same faces, and who is near whom in each."""

import streamlit as st

from fairlab.compare.columns.base import labels
from fairlab.ui.frame import cached, caveats
from fairlab.ui.frame.page import start
from fairlab.ui.frame.pickers import choose, choose_many, pick_models, pick_space
from fairlab.ui.spaces import faces, finding, maps, morph, moved, saved, selection

lab = start(
    "Spaces",
    "Two models or more, the same faces: select in one map and see them in the others; click a face for its neighbours.",
)
shown = pick_models(lab, "embeddings")
first, second, third, fourth = st.columns([2, 2, 1.5, 1.5])
with first:
    left = pick_space("Left space", shown.models, "left", ("teacher", "baseline", "student", "adaptor"))
with second:
    right = pick_space("Right space", shown.models, "right", ("adaptor", "student", "teacher", "baseline"))
with third:
    data = cached.dataset(lab, shown.dataset_id)
    colours = labels(data)
    colour_by = choose("Colour by", list(colours), "colour", colours)
caveats.show(data)
with fourth:
    splits = choose_many(
        "Parts of the data",
        list(data.images["split"].unique()),
        "parts",
        {},
        placeholder="all",
        help="Models have seen the part they were trained on; the test part shows people they have never seen.",
    )
sides = [maps.side(lab, name, run, shown.dataset_id) for name, run in (("left", left), ("right", right))]
only, search, more = st.columns(3)
with only:
    kept = finding.filters(data)
with search:
    finding.search(data)
with more:
    sides += maps.more_sides(lab, shown.models, (left, right), shown.dataset_id)
drawn = maps.make_maps(lab, sides, shown.dataset_id)
if drawn:
    maps.maps(lab, data, sides, maps.Wish(colour_by, splits, kept))
selection.show_or_refuse(data.dataset_id)
saved.panel(lab, data, sides)
face = faces.asked_face(data)
if face is not None:
    faces.neighbour_panels(lab, data, sides, face, splits)
faces.chosen_faces(data, drawn)
morph.section(lab, data, (left, right), splits)
moved.section(lab, data, (left, right), splits)
