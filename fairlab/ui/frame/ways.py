"""Ways forward: where a page has nothing to show yet, what has to be done for it, each one button."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import streamlit as st

from fairlab.api import Lab
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.files import app_root
from fairlab.jobs.data.drawing import METHOD, drawn_by
from fairlab.jobs.data.starts import latest_job
from fairlab.settings.protocols import DrawnPairs
from fairlab.store.embeddings import embedded_sets
from fairlab.store.runs import RunRecord, state
from fairlab.store.studies import read_study
from fairlab.ui.frame import cached
from fairlab.ui.frame.page import empty, plain, show_error, stop
from fairlab.ui.frame.waiting import waiting
from fairlab.workspace import Workspace

JOBS = "started"
"""The link's parameter: the runs that these buttons started."""


def nothing_yet(
    lab: Workspace, what: Literal["embeddings", "numbers"], study_id: str, models: Sequence[RunRecord]
) -> None:
    """Say what has to be done before these models can be shown, offer it, and stop."""
    if not models:
        empty(
            "A study's models are shown here.",
            "None of this study's models is finished yet; see Runs.",
            f"fairlab runs wait {read_study(lab, study_id).run_ids[-1]}",
        )
    sets = _sets(lab, models)
    if not sets:
        st.info("These models have not been evaluated on any data set of this workspace. Add one to evaluate them.")
        if st.button("Add a data set", type="primary", icon=":material/add_photo_alternate:", key="to data"):
            st.switch_page(app_root() / "pages" / "data.py")
        stop()
    if _working(lab):
        stop()
    left, right = st.columns([3, 2])
    name = right.selectbox("Data set", sets, key="way:set")
    titles = {model.run_id: f"{model.title} · {model.run_id}" for model in models}
    run_id = left.selectbox("Model", list(titles), format_func=titles.__getitem__, key="way:model")
    data = cached.dataset(lab, name)
    if what == "embeddings":
        st.info(plain(f"{titles[run_id]} has no embeddings of {name} yet."), icon=":material/info:")
        _button(
            "Embed",
            "scatter_plot",
            lambda: [Lab(lab).models[run_id].embed(name).run_id],
            f"{len(data.images):,} images",
        )
    elif data.pairs.empty:
        pairs(lab, data)
        _button(
            "Compare all images",
            "grid_on",
            lambda: [Lab(lab).models[run_id].evaluate(name, protocols=("all_pairs",)).run_id],
            f"Embeds {len(data.images):,} images if needed and compares every pair: false match rates within and between "
            "groups, without a pair list.",
        )
    else:
        st.info(plain(f"Not evaluated on {name} yet."), icon=":material/info:")
        about = f"Embeds {len(data.images):,} images if needed and scores {len(data.pairs):,} pairs."
        _button("Evaluate", "balance", lambda: [Lab(lab).models[run_id].evaluate(name).run_id], about)
        if len(models) > 1:
            every = [model.run_id for model in models]
            _button(
                f"Evaluate all {len(every)} models",
                "balance",
                lambda: [Lab(lab).models[run].evaluate(name).run_id for run in every],
                about,
            )
    stop()


def _sets(lab: Workspace, models: Sequence[RunRecord]) -> list[str]:
    """Data sets of the workspace, first those that the models have embedded or were trained on."""
    known = cached.datasets(lab)
    seen = [name for model in models for name in [*embedded_sets(model.folder), model.dataset]]
    return list(dict.fromkeys([*(name for name in seen if name in known), *known]))


def _button(label: str, icon: str, begin: Callable[[], list[str]], about: str) -> None:
    """Start jobs and show how they go."""
    if st.button(label, type="primary", icon=f":material/{icon}:", key=f"way:{label}"):
        try:
            st.query_params[JOBS] = begin()
        except FairLabError as error:
            show_error(error)
            return
        st.rerun()
    st.caption(plain(about) + " A background job: you can leave this page.")


def _working(lab: Workspace) -> bool:
    """Show the jobs that were started here, as long as they last or where they failed."""
    jobs = [name for name in st.query_params.get_all(JOBS) if (lab.run(name) / "run.json").exists()]
    unfinished = [name for name in jobs if state(lab.run(name)).status != "done"]
    for name in unfinished[:1]:
        waiting(lab, name, f"Job {len(jobs) - len(unfinished) + 1} of {len(jobs)}")
    return any(state(lab.run(name)).status in ("running", "queued") for name in unfinished)


def pairs(lab: Workspace, data: Dataset) -> None:
    """For a data set without pairs: draw some, by a job whose progress is shown here."""
    name = data.dataset_id
    job = latest_job(lab, METHOD, lambda config: config.drawing is not None and config.drawing.dataset == name)
    if job:
        waiting(lab, job, "Drawing pairs")
        if state(lab.run(job)).status in ("running", "queued"):
            return
    before = drawn_by(lab, name, data.fingerprint) or DrawnPairs()
    st.info(plain(f"Data set {name} has no pairs, so it cannot be used for verification yet."), icon=":material/info:")
    left, middle, right = st.columns([2, 1, 2], vertical_alignment="bottom")
    genuine = left.number_input(
        "Genuine pairs per group",
        1,
        1_000_000,
        before.genuine,
        key=f"drawn:{name}",
        help="Each group gets as many impostor pairs as genuine pairs. RFW has 3,000 of each.",
    )
    seed = middle.number_input("Seed", 0, 2**31 - 1, before.seed, key=f"drawn seed:{name}")
    miners = {"": "at random"} | _miners(lab, data)
    mined_by = right.selectbox(
        "Impostors",
        list(miners),
        list(miners).index(before.mined_by) if before.mined_by in miners else 0,
        format_func=miners.__getitem__,
        key=f"drawn by:{name}",
        help="At random, or the pairs of different people that a model finds most similar, as in RFW.",
    )
    if st.button("Draw pairs", type="primary", icon=":material/casino:", key=f"draw pairs:{name}"):
        try:
            settings = DrawnPairs(genuine=int(genuine), folds=before.folds, seed=int(seed), mined_by=mined_by)
            Lab(lab).data[name].draw_pairs(settings)
        except FairLabError as error:
            show_error(error)
            return
        st.rerun()
    if before.mined_by and before.mined_by not in miners:
        st.caption(
            plain(
                f"The impostors were picked by {before.mined_by} before. It has no embeddings of this data set here: "
                f"run `fairlab models embed {before.mined_by} {name}` to draw the same pairs again."
            )
        )
    st.caption(
        "Within each group, in folds that share no people. The pairs are stored with the data set; images and "
        "embeddings do not change."
    )


def _miners(lab: Workspace, data: Dataset) -> dict[str, str]:
    """Models that have embedded the data set, by run id."""
    models = Lab(lab).models.table()
    return {
        row.run_id: f"picked by {row.title}"
        for row in models.itertuples()
        if data.dataset_id in row.embedded.split(", ")
    }
