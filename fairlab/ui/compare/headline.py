"""A study at a glance: how far it is, and in two sentences what it gained, with intervals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from fairlab.compare.compare import default_dataset
from fairlab.compare.exports import groups_of, seeds_sentence
from fairlab.compare.next_steps import without_numbers
from fairlab.errors import FairLabError
from fairlab.evaluation.intervals import p_words
from fairlab.files import app_root
from fairlab.formatting import duration
from fairlab.plots.study import models_figure
from fairlab.store.runs import readable, state
from fairlab.store.studies import read_study
from fairlab.ui.frame import cached, missing
from fairlab.ui.frame.page import chart, plain
from fairlab.workspace import Workspace

FEW, ALPHA = 4, 0.05
"""Students that are spoken of one by one; chance below which a difference is called one."""
NEXT = (
    ("spaces", "A teacher beside the common space", "scatter_plot"),
    ("verification", "ROC per group", "fingerprint"),
    ("fairness", "Differences and chance", "balance"),
    ("compare", "All models as a table", "table_rows"),
)


def sentences(table: pd.DataFrame) -> list[str]:
    """What a study's table says, as plain sentences; empty while too little is finished."""
    said = []
    teachers, spaces, students = (table[table["role"] == role] for role in ("teacher", "adaptor", "student"))
    if len(spaces) and len(teachers):
        space, teacher = (part.loc[part["mean"].idxmax()] for part in (spaces, teachers))
        said.append(
            f"{space['model']}: {space['mean']:.1f} % [{space['mean_low']:.1f}, {space['mean_high']:.1f}] mean accuracy "
            f"over the groups; the best single teacher ({teacher['model']}) reaches {teacher['mean']:.1f} % "
            f"[{teacher['mean_low']:.1f}, {teacher['mean_high']:.1f}]."
        )
    names, means = (table.set_index("run_id")[column] for column in ("model", "mean"))
    compared = students[(students["baseline"] != students["run_id"]) & students["difference_low"].notna()]
    if len(compared) > FEW:
        said.append(_many(compared, names))
        compared = compared.sort_values("difference").iloc[[-1, -2, 0]]
    for row in compared.to_dict("records"):
        against = row["baseline"]
        verdict = "beyond chance" if row["p"] < ALPHA else "within chance"
        said.append(
            f"{row['model']}: {row['mean']:.1f} %, against {means[against]:.1f} % for {names[against]}: "
            f"{row['difference']:+.1f} points [{row['difference_low']:+.1f}, {row['difference_high']:+.1f}], "
            f"{verdict} (p {_p(row)})."
        )
    return said


def _p(row: Mapping[Hashable, Any]) -> str:
    text = p_words(row["p"], row.get("p_draws", 0))
    return text if text.startswith("<") else f"= {text}"


def _many(compared: pd.DataFrame, names: pd.Series) -> str:
    """How many of many students differ; the best two and the last follow."""
    beyond = compared["p"] < ALPHA
    better, worse = (
        int((beyond & (compared["difference"] > 0)).sum()),
        int((beyond & (compared["difference"] < 0)).sum()),
    )
    by_chance = ALPHA * len(compared)
    return (
        f"Of {len(compared)} students compared with {names[compared['baseline'].iloc[0]]}, {better} are better and {worse} "
        f"worse beyond chance (p < {ALPHA:g} each; chance alone would show about {by_chance:.1g}). "
        "The best two and the last:"
    )


def newest(lab: Workspace, known: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """The newest study; where its data set is missing, the newest with one too, so that it keeps nobody from others."""
    studies = known.to_dict("records")
    there = cached.datasets(lab)
    for number, study in enumerate(studies):
        dataset_id = default_dataset(lab, str(study["study_id"]))
        if not dataset_id or dataset_id in there:
            return [study] if number == 0 else [studies[0], study]
    return studies[:1]


def progress(lab: Workspace, study_id: str) -> None:
    """How many of a study's runs are done, renewed while some work; the page is drawn anew when one has ended."""
    planned = read_study(lab, study_id).run_ids
    run_ids = [name for name in planned if readable(lab.run(name))]
    gone = len(planned) - len(run_ids)
    deleted = f" {gone} more {'was' if gone == 1 else 'were'} deleted." if gone else ""

    def done() -> tuple[int, list[str]]:
        views = [state(lab.run(name)) for name in run_ids if readable(lab.run(name))]
        working = [f"{view.stage} {view.progress or 0:.0%}" for view in views if view.status == "running"]
        return sum(view.status == "done" for view in views), working

    first, working = done()

    @st.fragment(run_every=3 if working else None)
    def bar() -> None:
        count, doing = done()
        now = f" · now: {', '.join(doing)}" if doing else ""
        st.progress(
            count / max(len(run_ids), 1),
            plain(f"{count} of {len(run_ids)} runs done{now}{'.' if deleted else ''}{deleted}"),
        )
        if count != first or (working and not doing):
            st.rerun()

    if first < len(run_ids):
        bar()
    else:
        st.caption(f"All {len(run_ids)} runs are done.{deleted}")


def show(lab: Workspace, study_id: str) -> None:
    """A study's sentences and its models in one picture, where it has any yet, and what to look at next."""
    dataset_id = default_dataset(lab, study_id)
    if dataset_id and dataset_id not in cached.datasets(lab):  # it came with an archive, without its data set
        missing.panel(lab, [dataset_id])
        return
    try:
        table = cached.comparison(lab, study_id)
    except FairLabError as error:
        st.warning(plain(error), icon=":material/warning:")
        return
    if table.empty:
        st.caption(plain(without_numbers(lab, study_id)))
        return
    table = table[table["run_id"].isin(read_study(lab, study_id).run_ids)]  # not those added from files
    left, right = st.columns([5, 6], gap="large")
    with left:
        for sentence in sentences(table):
            st.markdown("- " + plain(sentence))
        row = table.iloc[0]
        st.caption(
            f"{row['genuine_pairs']:,} genuine and {row['impostor_pairs']:,} impostor pairs of held-out people. "
            f"{seeds_sentence(table)}{_time(table)}"
        )
        st.markdown("**What to look at next**")
        for name, label, icon in NEXT:
            st.page_link(
                app_root() / "pages" / f"{name}.py",
                label=label,
                icon=f":material/{icon}:",
                query_params={"study": study_id},
            )
    with right:
        chart(models_figure(table, groups_of(table)), "models", "accuracy of every model on every group")


def _time(table: pd.DataFrame) -> str:
    """What all models took, where they were trained here."""
    spent = float(table["all_cpu_s"].sum())
    return f" All models together took {duration(spent)} of processor time." if spent else ""
