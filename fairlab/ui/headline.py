"""A study in two sentences: what the common space and the distilled student gained, with intervals."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fairlab.ui import cached
from fairlab.ui.page import plain
from fairlab.workspace import Workspace


def sentences(table: pd.DataFrame) -> list[str]:
    """What a study's table says, as plain sentences; empty while too little is finished."""
    said = []
    by_role = {role: table[table["role"] == role] for role in ("teacher", "adaptor", "student")}
    if len(by_role["adaptor"]) and len(by_role["teacher"]):
        space = by_role["adaptor"].loc[by_role["adaptor"]["mean"].idxmax()]
        teacher = by_role["teacher"].loc[by_role["teacher"]["mean"].idxmax()]
        said.append(
            f"{space['model']}: {space['mean']:.1f} % [{space['mean_low']:.1f}, {space['mean_high']:.1f}] mean accuracy over the groups; "
            f"the best single teacher ({teacher['model']}) reaches {teacher['mean']:.1f} % [{teacher['mean_low']:.1f}, {teacher['mean_high']:.1f}]."
        )
    students = by_role["student"]
    plain_rows = students[students["run_id"].isin(set(students["baseline"]))] if len(students) else students
    for row in (
        students[~students["run_id"].isin(set(students["baseline"]))].to_dict("records") if len(students) else []
    ):
        against = plain_rows[plain_rows["run_id"] == row["baseline"]]
        if against.empty or row["difference_low"] != row["difference_low"]:
            continue
        verdict = "beyond chance" if row["p"] < 0.05 else "within chance"
        said.append(
            f"{row['model']}: {row['mean']:.1f} %, against {against.iloc[0]['mean']:.1f} % without distillation: {row['difference']:+.1f} points "
            f"[{row['difference_low']:+.1f}, {row['difference_high']:+.1f}], {verdict} (p = {row['p']:.3f})."
        )
    return said


def show(lab: Workspace, study_id: str) -> None:
    """Write a study's sentences, where it has any yet."""
    table = cached.comparison(lab, study_id)
    if table.empty:
        st.caption("Numbers appear here as soon as the first models are finished.")
        return
    for sentence in sentences(table):
        st.markdown("- " + plain(sentence))
    row = table.iloc[0]
    st.caption(
        f"{row['genuine_pairs']} genuine and {row['impostor_pairs']} impostor pairs; 95 % intervals over redrawn identities."
    )
