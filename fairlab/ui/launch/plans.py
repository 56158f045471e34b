"""Starting a study from a page: one click, one launch, however often it is pressed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

import streamlit as st

from fairlab.api import Lab
from fairlab.compare.models import list_models
from fairlab.errors import FairLabError
from fairlab.files import app_root
from fairlab.formatting import amount, duration
from fairlab.plan.estimate import SUSTAINED_FLOPS, disk_bytes, estimate, probe_failure, request_probe
from fairlab.plan.grid import expand
from fairlab.plan.plan import Plan
from fairlab.plots.plan import PLANNED, plan_figure
from fairlab.presets import load_preset
from fairlab.settings.placement import Placement
from fairlab.settings.study import Study, changed
from fairlab.store.runs import read_run
from fairlab.ui.frame import cached
from fairlab.ui.frame.page import chart, facts, plain, show_error, stop
from fairlab.ui.frame.pickers import choose
from fairlab.ui.launch.axes import written
from fairlab.ui.launch.where import options
from fairlab.workspace import Workspace


def start_plan(lab: Workspace, plan: Plan, placement: Placement | None = None) -> None:
    """Queue and start a plan, then show its runs. The same plan twice is one launch: its runs' ids are its content."""
    try:
        Lab(lab).studies.start(plan, where=placement)
    except FairLabError as error:
        show_error(error)
        return
    st.switch_page(app_root() / "pages" / "runs.py", query_params={"study": plan.study_id})


def start_preset(lab: Workspace, preset: str) -> None:
    """Start a preset as it is."""
    start_plan(lab, expand(load_preset(preset), preset, lab))


def planned(lab: Workspace, study: Study, preset: str, dials: Mapping[str, Any]) -> Plan | None:
    """The plan of these settings, or None after saying why they cannot work."""
    try:
        return expand(changed(study, dials), preset, lab)
    except FairLabError as error:
        show_error(error)
        return None


def pick_data(lab: Workspace, study: Study) -> dict[str, str]:
    """The data set to learn from, for a study that makes no faces of its own; {} for one that does. Stops without any."""
    if study.demo is not None:
        return {}
    known = [name for name in cached.datasets(lab) if cached.dataset(lab, name).has_images]
    if not known:
        st.info("This study trains on your images, and this workspace has none yet.", icon=":material/info:")
        if st.button("Add a data set", type="primary", icon=":material/add_photo_alternate:", key="to data"):
            st.switch_page(app_root() / "pages" / "data.py")
        stop()
    first = known.index(study.dataset) if study.dataset in known else 0
    return {"dataset": choose("Data set to train on", known, "learn", {}, first)}


def draw_plan(lab: Workspace, plan: Plan, seconds: Mapping[str, float] | None = None) -> None:
    """The runs of a plan's first seed as a picture; seconds: what each is expected to take."""
    seconds = seconds or {}
    rows = [
        {
            "run_id": run.record.run_id,
            "title": run.record.title,
            "role": run.record.role,
            "status": run.status,
            "note": f"{run.status} · {run.steps} steps · {duration(seconds.get(run.record.run_id))}",
        }
        for run in plan.runs
        if run.record.role != "evaluation"
        and run.record.seed in (plan.study.seeds[0], plan.study.demo.seed if plan.study.demo else -1)
    ]
    given = [read_run(lab, name) for name in plan.study.grid.given]
    rows += [
        {"run_id": run.run_id, "title": run.title, "role": "model", "status": "done", "note": "given"} for run in given
    ]
    parents = {run.record.run_id: run.record.parents for run in plan.runs}
    chart(plan_figure(PLANNED.build(rows), parents), "plan", "the runs of the study and what each builds on")
    judged = sum(run.record.role == "evaluation" for run in plan.runs)
    if judged:
        st.caption(f"Not drawn: {judged} evaluations against a teacher's gallery.")
    if len(plan.study.seeds) > 1:
        st.caption(f"Drawn for the first of {len(plan.study.seeds)} seeds; the others look alike and share the data.")


def show_plan(lab: Workspace, plan: Plan) -> None:
    """The plan as a picture, what is reused, and what it costs."""
    cost = estimate(lab, plan)
    draw_plan(lab, plan, dict(zip(cost.runs["run_id"], cost.runs["cpu_s"], strict=True)) if cost else None)
    for note in plan.notes:
        st.caption(f":material/info: {plain(note)}")
    reused = len(plan.runs) - len(plan.new)
    failure = probe_failure(lab, plan) if cost is None and plan.new else ""
    waiting = cost is None and bool(plan.new)
    unknown = "not timed" if failure else "timing ..." if waiting else "not known" if plan.new else "none"
    facts(
        (
            "Runs to do",
            str(len(plan.new)),
            f"{reused} reused",
            "Finished runs with the same settings are reused.",
        ),
        (
            "Time",
            (duration(cost.seconds) or "not timed") if cost and plan.new else unknown,
            f"with {lab.slots} at a time",
            "From a short measurement of real steps on this machine; evaluation and maps take extra time.",
        ),
        (
            "Processor time",
            (duration(cost.cpu_seconds) or "not timed") if cost and plan.new else unknown,
            "",
            "All runs added up. Not timed: without a GPU a few steps of these networks take minutes.",
        ),
        (
            "Arithmetic",
            amount(cost.flops) if cost and plan.new else unknown,
            f"{duration(cost.gpu_seconds)} of a GPU at {SUSTAINED_FLOPS / 1e12:.0f} TFLOP/s"
            if cost and plan.new
            else "",
            "Counted from the layers: three forward passes for each image trained on, one for each view embedded. The time "
            "holds for a GPU that sustains this rate; measure yours.",
        ),
        (
            "Disk",
            f"{'< ' if waiting else ''}{disk_bytes(lab, plan) / 1e6:,.0f} MB",
            f"{shutil.disk_usage(lab.home).free / 1e9:,.0f} GB free",
            "Images, weights, checkpoints and embeddings still to be written. Before this machine is timed, "
            "this is an upper estimate.",
        ),
    )
    if failure:
        st.warning(plain(f"Timing failed: {failure}. You can start the plan anyway."), icon=":material/timer_off:")
    elif waiting:
        request_probe(lab, plan)
        _wait_for_probe(lab, plan)


def _wait_for_probe(lab: Workspace, plan: Plan) -> None:
    @st.fragment(run_every=2)
    def waiting() -> None:
        if estimate(lab, plan) is not None:
            st.rerun()
        st.caption(
            "Timing a few real steps of each network on this machine. Time and cost appear here when it is done; you can start now."
        )

    waiting()


def offers(lab: Workspace) -> dict[str, list[str]]:
    """What of this workspace a study's settings may name."""
    datasets = list(cached.datasets(lab))
    models = list_models(lab)["run_id"].tolist()
    return {"dataset": datasets, "tested_on": datasets, "grid.synthetic": datasets, "grid.given": models}


def command(
    plan: Plan, preset: str, dials: Mapping[str, Any], clone: str | None, where: Mapping[str, Any] | None = None
) -> str:
    """The same launch as a terminal command."""
    import json
    import shlex

    words = ["fairlab", "launch", *(["--clone", clone] if clone else [preset])]
    for name, value in dials.items():
        if name == "grid.vary" and value:
            for setting, values in value.items():
                words += ["--vary", f"{setting}={written(values)}"]
            continue
        words += ["--set", f"{name}={json.dumps(value) if not isinstance(value, str) else value}"]
    return " ".join(shlex.quote(word) for word in [*words, *options(where or {})])


def plain_facts(study: Study) -> str:
    """Where a study comes from and what it needs, as one line."""
    return " · ".join(plain(text) for text in (study.paper, study.needs) if text)
