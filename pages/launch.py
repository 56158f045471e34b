"""Launch: choose a preset or an earlier study, see the plan, turn a few dials, start."""

import streamlit as st

from fairlab.presets import load_preset, preset_names
from fairlab.store.studies import read_study, studies
from fairlab.ui.frame.forms import study_form
from fairlab.ui.frame.page import plain, start
from fairlab.ui.frame.pickers import choose
from fairlab.ui.launch.axes import choose_axes
from fairlab.ui.launch.plans import command, offers, pick_data, plain_facts, planned, show_plan, start_plan
from fairlab.ui.launch.where import choose_placement

lab = start("Launch", "Plan a study, see what it costs, and start it. Finished runs with the same settings are reused.")
titles = {name: load_preset(name).title for name in preset_names()}
left, right = st.columns(2)
with left:
    preset = choose("Preset", list(titles), "preset", titles)
with right:
    earlier = studies(lab)
    options = ["", *earlier["study_id"].tolist()]
    names = {
        "": "none",
        **dict(zip(earlier["study_id"], earlier["title"] + " · " + earlier["study_id"], strict=True)),
    }
    clone = choose(
        "Clone an earlier study",
        options,
        "clone",
        names,
        help="Start from the settings of a study that you launched before.",
    )
source = read_study(lab, clone) if clone else None
base, name = (source.config, source.preset) if source else (load_preset(preset), preset)
st.markdown(plain(base.summary))
st.caption(plain_facts(base))

data = pick_data(lab, base)
about = ("title", "summary", "paper", "needs", "order", "demo", "adaptor.adaptor.name", "grid.leave_out", *data)
with st.expander("Settings", icon=":material/tune:"):
    dials = {**study_form(base, f"{name}:{clone}", about, offers(lab)), **data}
    dials |= choose_axes(base, dials, f"{name}:{clone}")
placement, where = choose_placement(lab)
plan = planned(lab, base, name, dials)
if plan is not None:
    show_plan(lab, plan)
    if not plan.new:
        st.success(
            "Every run of this study is already done. Change a setting, or look at the results.",
            icon=":material/check:",
        )
    hindered = not plan.new or placement is None
    if st.button("Start", type="primary", icon=":material/play_arrow:", disabled=hindered, key="start"):
        start_plan(lab, plan, placement)
    st.caption("The same in a terminal:")
    st.code(command(plan, name, dials, clone or None, where), language="bash")
