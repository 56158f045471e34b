"""The report of the shown model as a file."""

from __future__ import annotations

import json
from functools import partial

import streamlit as st

from fairlab.compare.report.content import Subject, report_of
from fairlab.data.dataset import Dataset
from fairlab.evaluation.operating import OperatingPoint
from fairlab.store.runs import RunRecord
from fairlab.workspace import Workspace

FORMS = {"HTML": ("html", "text/html"), "Markdown": ("md", "text/markdown"), "JSON": ("json", "application/json")}
"""What a button says: a file's ending and kind."""


def panel(lab: Workspace, run: RunRecord, data: Dataset, point: OperatingPoint, protocol: str) -> None:
    """Three forms to download; each is made when it is asked for."""
    with st.popover("Report", icon=":material/summarize:"):
        st.caption(
            "What was tested, how, and what came out, with the fields of ISO/IEC 19795-10 as far as they are known. The HTML "
            "opens without a network and prints to A4."
        )
        faces = data.has_images and st.checkbox(
            "With faces", key="report faces", help="The pairs that are decided most wrongly, as small pictures."
        )
        subject = Subject(lab, (run,), data, protocol, point, bool(faces))
        for title, (ending, kind) in FORMS.items():
            st.download_button(
                title,
                partial(_written, subject, ending),
                f"report-{run.run_id}.{ending}",
                kind,
                key=f"report:{ending}",
                width="stretch",
                on_click="ignore",
            )
        st.code(f"fairlab report {run.run_id} --out report.html", language="bash")


def _written(subject: Subject, ending: str) -> bytes:
    """The report in one form, made now."""
    report = report_of(subject)
    if ending == "html":
        return report.html()
    if ending == "md":
        return report.markdown().encode()
    return json.dumps(report.as_json(), indent=1, allow_nan=False).encode()
