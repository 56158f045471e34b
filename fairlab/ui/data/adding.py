"""Adding one's own data from the data page: look first, as a job; then add, as a job."""

from __future__ import annotations

from typing import Any

import streamlit as st

from fairlab.api import Lab
from fairlab.files import read_json
from fairlab.settings.study import Source, parse
from fairlab.store.runs import read_run
from fairlab.tables import MAYBE_WHOLE, TEXT, Table
from fairlab.ui.frame import choices, inspecting
from fairlab.ui.frame.forms import settings_form
from fairlab.ui.frame.page import facts, plain
from fairlab.workspace import Workspace


def form(lab: Workspace) -> None:
    """Where the data lie and how to take them; a look at them is the next step."""
    with st.expander("Add your own data", icon=":material/add_photo_alternate:", expanded=inspecting.begun()):
        path, pressed = inspecting.path_field(
            "File or folder on this machine",
            "add_path",
            "/data/RFW, /data/BUPT-BalancedFace, /data/faces_webface/train.rec, /data/lfw.bin",
            "Folders of images, RFW, RecordIO (.rec), verification packs (.bin), shards (.tar), LMDB and Hugging Face parquet "
            "are recognised.",
        )
        with st.popover("More settings", icon=":material/tune:"):
            changes = settings_form(Source(), "add", skip=("path",))
        if pressed:
            values = {**changes, "path": path}
            inspecting.begin(lambda: Lab(lab).data.inspect(parse(Source, values, "these settings")).run_id)
        inspecting.show(lab, "data", _looked, _added)


def _looked(lab: Workspace, run_id: str) -> None:
    """What was found, and the way to add it."""
    folder = lab.run(run_id)
    found = read_json(folder / "report.json")
    show(found)
    groups = list(found["groups"])
    for number, group in enumerate(groups):
        if not (folder / f"sheet-{number}.png").exists():
            break
        mean, sheet = st.columns([1, 6], vertical_alignment="center")
        mean.image((folder / f"mean-{number}.png").read_bytes(), caption=plain(group))
        sheet.image((folder / f"sheet-{number}.png").read_bytes())
        if (folder / f"align-{number}.png").exists():
            sheet.image((folder / f"align-{number}.png").read_bytes())
    st.caption("Left: the mean face, with rings where an aligned face has eyes, nose and mouth corners.")
    if (folder / "align-0.png").exists():
        st.caption(
            "Large: some faces as stored, with their five points (the eye on the left of the picture is green). "
            "Below: the same faces aligned, as models see them."
        )
    st.markdown("**Adding it will** " + plain("; ".join(found["will_do"])) + ".")
    source = read_run(lab, run_id).config.source
    assert source is not None
    inspecting.add_field(
        "Name of the data set", "add_name", "from the path", lambda name: Lab(lab).data.add(source, name).run_id
    )


def _added(lab: Workspace, run_id: str) -> None:
    name = read_run(lab, run_id).dataset
    st.success(f"{plain(name)} is now a data set of this workspace.", icon=":material/check:")
    if st.button("Show it", icon=":material/photo_library:"):
        choices.choose("set", [name])
        st.query_params.pop(inspecting.ADD, None)
        st.rerun()


def show(found: dict[str, Any]) -> None:
    """A report (data.report) as figures, a table of groups, and what is wrong."""
    each = found["images_per_identity"]
    facts(
        ("Kind", plain(found["kind"]), "", plain(found["why"])),
        ("Images", f"{found['images']:,}", "", f"{found['looked_at']:,} of them were decoded for this report."),
        ("People", f"{found['identities']:,}", "", f"{each['least']} to {each['most']} images each."),
        (
            "Unreadable",
            f"{found['unreadable']:,}",
            "",
            f"Of {found['looked_at']:,} checked; left out when the data set is added.",
        ),
    )
    rows = [
        {found["attribute"]: group, **found["groups"].get(group, {}), **found["pairs"].get(group, {})}
        for group in dict.fromkeys([*found["groups"], *found["pairs"]])
    ]
    counted = ("images", "identities", *(("genuine", "impostor", "folds") if found["pairs"] else ()))
    columns = Table(**{found["attribute"]: TEXT, **dict.fromkeys(counted, MAYBE_WHOLE)})
    st.dataframe(columns.build({name: row.get(name) for name in columns} for row in rows), hide_index=True)
    sizes = ", ".join(f"{size} ({count:,})" for size, count in list(found["sizes"].items())[:4])
    if sizes:
        st.caption(plain(f"Sizes {sizes}; alignment: {found['aligned']}; {found['duplicates']:,} duplicates."))
    if found["names"]:
        st.caption(plain(f"Read from the names: {found['names']}."))
    if len(found["parts"]) > 1:
        st.caption(plain("Parts: " + ", ".join(f"{part} {count:,}" for part, count in found["parts"].items()) + "."))
    for text in found["problems"]:
        st.warning(plain(text), icon=":material/warning:")
