"""Settings: where everything lies, how many runs at a time, and whether all is well."""

import pandas as pd
import streamlit as st

from fairlab.doctor import examine
from fairlab.ui.page import plain, start
from fairlab.workspace import set_slots

lab = start("Settings", "The workspace, this machine, and whether all is well. In a terminal: fairlab doctor")
st.subheader("Workspace", anchor=False)
st.code(str(lab.home), language=None)
st.caption("Another one: set FAIRLAB_HOME, or start with fairlab --home FOLDER app.")
slots = st.number_input(
    "Runs at a time",
    1,
    64,
    lab.slots,
    key="slots",
    help="Each run uses one processor thread unless its settings say otherwise.",
)
if slots != lab.slots:
    set_slots(lab, int(slots))
    st.toast("Saved.")

st.subheader("Health", anchor=False)
left, right = st.columns(2)
rebuild = left.button(
    "Make the catalogue again",
    icon=":material/refresh:",
    key="rebuild",
    help="The catalogue is only an index over the run folders; nothing is lost.",
)
verify = right.button("Check all files against their hashes", icon=":material/verified:", key="verify")
findings = examine(lab, rebuild=rebuild, verify=verify, devices=False)
if findings["problems"]:
    for problem in findings["problems"]:
        st.warning(plain(problem), icon=":material/warning:")
else:
    st.success("No problems found.", icon=":material/check:")
facts = {
    name: findings[name] for name in ("fairlab", "python", "system", "processors", "faiss", "disk_free_gb", "catalogue")
}
st.dataframe(pd.DataFrame({"What": list(facts), "Found": [str(value) for value in facts.values()]}), hide_index=True)
packages = pd.DataFrame(
    {
        "Package": list(findings["packages"]),
        "Version": [version or "not installed" for version in findings["packages"].values()],
    }
)
st.dataframe(packages, hide_index=True)
st.caption("GPUs are listed by fairlab doctor: asking for them here would load torch.")
