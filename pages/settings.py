"""Settings: where everything lies, how many runs at a time, and whether all is well."""

import pandas as pd
import streamlit as st

from fairlab.storage.doctor import examine
from fairlab.ui.frame.page import plain, start
from fairlab.ui.launch.where import default_placement_form
from fairlab.ui.settings.loggers import loggers_form
from fairlab.workspace import MOST_SLOTS, set_slots

lab = start("Settings", "The workspace, this machine, and a health check. In a terminal: fairlab doctor")
left, right = st.columns([3, 1])
left.markdown("**Workspace**")
left.code(str(lab.home), language=None)
slots = right.number_input(
    "Runs at a time",
    1,
    MOST_SLOTS,
    lab.slots,
    key="slots",
    help="Default: one per GPU, or 2 without a GPU. Each run uses one processor thread unless its settings say "
    "otherwise.",
)
if slots != lab.slots:
    set_slots(lab, int(slots))
    st.toast("Saved.")
st.caption("Another workspace: set FAIRLAB_HOME, or start with fairlab --home FOLDER app.")

st.subheader("Compute", anchor=False)
default_placement_form(lab)
loggers_form(lab)

st.subheader("Health", anchor=False)
with st.container(horizontal=True):
    rebuild = st.button(
        "Rebuild catalogue",
        icon=":material/refresh:",
        key="rebuild",
        help="The catalogue is only an index over the run folders; nothing is lost.",
    )
    verify = st.button(
        "Check all files against their hashes",
        icon=":material/verified:",
        key="verify",
        help="Reads every file of every finished run: seconds to minutes.",
    )
with st.spinner("Looking ...", show_time=True):
    findings = examine(lab, rebuild=rebuild, verify=verify, devices=False)
for problem in findings["problems"]:
    st.warning(plain(problem), icon=":material/warning:")
if not findings["problems"]:
    st.success("No problems found.", icon=":material/check:")
shown_facts = ("fairlab", "python", "system", "processors", "faiss", "disk_free_gb", "catalogue", "slurm")
facts = {name: findings[name] for name in shown_facts}
versions = {name: version or "not installed" for name, version in findings["packages"].items()}
for column, title, shown in zip(st.columns(2), ("Machine", "Package"), (facts, versions), strict=True):
    table = pd.DataFrame({title: [plain(name) for name in shown], "Found": [plain(value) for value in shown.values()]})
    column.table(table, border="horizontal", hide_index=True)
st.caption("GPUs are listed by fairlab doctor: asking for them here would load torch.")
