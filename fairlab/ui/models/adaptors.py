"""The models page's form for an adaptor of MST-KD: what its file is, and a picker of a model for each of its blocks."""

from __future__ import annotations

from typing import Any

import streamlit as st

from fairlab.compare.models import list_models
from fairlab.errors import FairLabError
from fairlab.jobs.models.adaptors import ORDER, check_parents, proposed
from fairlab.plan.records import length_of
from fairlab.settings.study import ModelFile
from fairlab.store.runs import read_run
from fairlab.ui.frame.page import facts, plain
from fairlab.workspace import Workspace

WITHOUT = ("adaptor", "baseline")
"""Roles of spaces that are no network of images."""
FIRST = 4
"""Parents that are asked for where the file does not say how many there are."""


def show(found: dict[str, Any]) -> None:
    """A report (jobs.models.adaptors.report_of)."""
    trial = found["trial"]
    facts(
        ("Adaptor", plain(found["family"]), f"{found['parameters'] / 1e6:.2f} M parameters", "By keys and shapes."),
        ("Columns", f"{found['columns']:,}", "", "The lengths of its parents' embeddings together."),
        ("Embedding", str(found["embedding_dim"]), "", "Length of the common embedding."),
        ("Random inputs", f"{trial['cosine']:.3f}", "mean cosine", "Of two outputs for random unit embeddings."),
    )
    for text in found["notes"]:
        st.caption(plain(text))


def parents_form(lab: Workspace, source: ModelFile, report: dict[str, Any]) -> ModelFile | None:
    """A picker for each block, the paper's order proposed where names tell; the source with these parents, or None while
    they do not fit."""
    models = list_models(lab)
    models = models[~models["role"].isin(WITHOUT) & ~models["network"].isin(["scores", "embeddings"])]
    if models.empty:
        st.info("Add its teachers first: an adaptor takes their embeddings side by side.", icon=":material/info:")
        return None
    names = {row.run_id: f"{row.title} · {row.run_id}" for row in models.itertuples()}
    likely = proposed(lab)
    count = _count(report, [length_of(read_run(lab, name)) for name in likely if name] or [None])
    st.markdown("**Parents, in the order of the blocks**")
    st.caption(f"MST-KD puts its teachers side by side as {', '.join(ORDER)}; another order gives another space.")
    chosen = []
    options = ["", *names]
    for number, column in enumerate(st.columns(min(count, 4)) * (-(-count // 4)), 1):
        if number > count:
            break
        first = likely[number - 1] if count == len(ORDER) else ""
        label = f"Block {number}" + (f" ({ORDER[number - 1]})" if count == len(ORDER) else "")
        chosen.append(
            column.selectbox(
                label,
                options,
                options.index(first) if first in names else 0,
                format_func=lambda name: names.get(name, "choose a model"),
                key=f"parent {number}",
            )
        )
    return _fitting(lab, source, report, chosen)


def _count(report: dict[str, Any], lengths: list[int | None]) -> int:
    """How many parents: the columns, divided by the length of the likely ones or of the common space."""
    dim = next((length for length in lengths if length), report["embedding_dim"])
    if report["adaptor"] == "encoding" or report["columns"] % dim:
        return FIRST
    return max(1, min(int(report["columns"] // dim), 64))


def _fitting(lab: Workspace, source: ModelFile, report: dict[str, Any], chosen: list[str]) -> ModelFile | None:
    if not all(chosen):
        st.info("Choose a model for each block.", icon=":material/info:")
        return None
    try:
        if len(set(chosen)) < len(chosen):
            raise FairLabError("one model is in two blocks; each block has a teacher of its own")
        check_parents(report, source.path.rpartition("/")[2], [length_of(read_run(lab, name)) for name in chosen])
    except FairLabError as error:
        st.warning(plain(error), icon=":material/warning:")
        return None
    groups = source.groups
    if report["adaptor"] in ("positioning", "encoding") and not groups and chosen == proposed(lab):
        groups = ORDER
    return source.model_copy(
        update={"parents": tuple(chosen), "adaptor": report["adaptor"], "groups": groups, "sha256": report["sha256"]}
    )
