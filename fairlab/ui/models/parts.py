"""The models page's parts: all models, a model file looked at and added, a model judged on any data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from fairlab.api import Lab
from fairlab.errors import FairLabError
from fairlab.files import app_root, read_json
from fairlab.plan import choices
from fairlab.settings.study import ModelFile, parse
from fairlab.store.runs import RunRecord, read_run
from fairlab.tables import texts
from fairlab.ui.frame import cached, inspecting, missing, ways
from fairlab.ui.frame.forms import settings_form
from fairlab.ui.frame.numbers import cell
from fairlab.ui.frame.page import facts, plain, show_error
from fairlab.ui.frame.pickers import ADDED, choose
from fairlab.ui.frame.waiting import waiting
from fairlab.ui.models import adaptors
from fairlab.workspace import Workspace

JUDGE = "job"
"""The link's parameter: the run that embeds or evaluates."""
PAGES = (("spaces", "Spaces"), ("verification", "Verification"), ("fairness", "Fairness"))
HEADINGS = {
    "title": "Model",
    "role": "Role",
    "network": "Network",
    "embedding_dim": "Dims",
    "image_px": "Pixels",
    "trained_parameters": "Parameters trained",
    "frozen_parameters": "Parameters frozen",
    "flops": "FLOPs",
    "seed": "Seed",
    "trained_on": "Trained on, or file",
    "embedded": "Embedded",
    "judged_on": "Evaluated on",
    "run_id": "Run",
}


def table(models: pd.DataFrame) -> None:
    """All models of the workspace."""
    st.dataframe(models[list(HEADINGS)].rename(columns=HEADINGS), hide_index=True)


def form(lab: Workspace, open_at_first: bool) -> None:
    """Where the file lies; a look at it is the next step."""
    expanded = open_at_first or inspecting.begun()
    with st.expander("Add a model that was trained elsewhere", icon=":material/upload_file:", expanded=expanded):
        path, pressed = inspecting.path_field(
            "File on this machine",
            "model_path",
            "/models/ms1mv3_r100.pth, /models/adaface_ir101.ckpt, /models/w600k_r50.onnx, /tables/bfw.csv",
            "Any face network as .onnx. As .pth, .pth.tar, .pt, .ckpt, .bin or .safetensors these: "
            f"{plain('; '.join(choices.published_families()))}; and the adaptors of MST-KD. Or the output of a model: scores of pairs (BFW, bob) or "
            "embeddings (.npy, .npz, .parquet).",
        )
        with st.popover("Missing details", icon=":material/tune:"):
            changes = settings_form(ModelFile(), "model", skip=("path", "sha256", "parents"))
        if pressed:
            values = {**changes, "path": path}
            inspecting.begin(lambda: Lab(lab).models.inspect(parse(ModelFile, values, "these settings")).run_id)
        inspecting.show(lab, "model", _looked, _added)


def _looked(lab: Workspace, run_id: str) -> None:
    """What was found, and the way to add it."""
    report = read_json(lab.run(run_id) / "report.json")
    show(report)
    source = read_run(lab, run_id).config.model
    assert source is not None
    if report["kind"] == "adaptor":
        source = adaptors.parents_form(lab, source, report)
        if source is None:
            return
    inspecting.add_field(
        "Name of the model", "model_name", "from the file", lambda name: Lab(lab).models.add(source, name)[-1].run_id
    )


def _added(lab: Workspace, run_id: str) -> None:
    record = read_run(lab, run_id)
    said = f"{plain(record.title)} is now a model of this workspace"
    if record.dataset:  # scores or embeddings, which came with all that they can say
        st.success(f"{said}, with its numbers on {plain(record.dataset)}.", icon=":material/check:")
        _links(record.study, record.dataset, run_id, PAGES if record.method == "embeddings" else PAGES[1:])
    else:
        st.success(f"{said}: evaluate it below.", icon=":material/check:")


def show(found: dict[str, Any]) -> None:
    """A report (jobs.models.importing): what the file is, and how it reads generated faces."""
    if found["kind"] in ("scores", "embeddings"):
        _show_table(found)
        return
    if found["kind"] == "adaptor":
        adaptors.show(found)
        return
    about, trial = found["preprocessing"], found["trial"]
    size = f"{found['parameters'] / 1e6:.1f} M parameters" if found["parameters"] else ""
    head = (f"{found['classes']:,}", "people") if found["classes"] else ("none", "")
    scaling = list(zip(about["mean"], about["std"], strict=True))[
        : 3 if len(set(about["mean"] + about["std"])) > 2 else 1
    ]
    facts(
        ("Network", plain(found["family"]), size, "Inferred from the names and shapes in the file."),
        ("Faces, pixels", str(found["image_px"]), about["channels"], "Width, height and order of the colours."),
        ("Embedding", str(found["embedding_dim"] or "n/a"), "", "Length of an embedding."),
        ("Values", _span(*scaling[0]), f"mirror image: {about['flip']}", _formula(scaling)),
        ("Classifier", *head, "Class centres that a student can inherit."),
    )
    for text in found["warnings"]:
        st.warning(plain(text), icon=":material/warning:")
    rows = [
        {
            "Pixels read": plain(row["what"]),
            "Accuracy on generated faces, %": cell(
                row["accuracy"], row["accuracy_low"], row["accuracy_high"], factor=100
            ),
            "Difference from the detected reading, points": cell(
                row["difference"], row["low"], row["high"], factor=100, signed=True
            )
            if "difference" in row
            else "",
        }
        for row in trial["readings"]
    ]
    st.table(texts(rows, "Pixels read"), border="horizontal", hide_index=True)
    st.caption(
        f"{trial['pairs']} pairs of generated faces, all at one threshold. This is not a benchmark: it shows whether "
        f"other preprocessing fits better. Mean cosine of a face and its mirror image {trial['flip_cosine']:.3f}, of "
        f"two people {trial['other_cosine']:.3f}."
    )
    for text in [*filter(None, [trial["note"]]), *found["notes"]]:
        st.caption(plain(text))


def _span(mean: float, std: float) -> str:
    """What pixel values of 0..255 become, in the first channel."""
    return f"{-mean / std:.3g} to {(255 - mean) / std:.3g}"


def _formula(scaling: Sequence[tuple[float, float]]) -> str:
    """How pixel values are scaled: once where all channels are alike, else channel by channel."""
    terms = ", ".join(f"(x - {mean:.5g}) / {std:.5g}" for mean, std in scaling)
    return f"{terms} of 0..255{', channel by channel' if len(scaling) > 1 else ''}."


def _show_table(found: dict[str, Any]) -> None:
    """What a table of scores or a file of embeddings holds (jobs.models.tables)."""
    if found["kind"] == "scores":
        facts(
            ("Models", str(len(found["models"])), plain(", ".join(found["models"])), "Each column of scores is one."),
            ("People", f"{found['identities']:,}", f"{found['images']:,} images", "By name; there are no images."),
            (plain(found["attribute"]), str(len(found["groups"])), plain(", ".join(found["groups"])), "The groups."),
            ("Genuine pairs", f"{found['genuine']:,}", "", "Two images of one person."),
            ("Impostor pairs", f"{found['impostor']:,}", "", "Two people of one group."),
        )
    else:
        facts(
            ("Embeddings", f"{found['images']:,}", "", "A row for each image."),
            ("Length", str(found["embedding_dim"]), "", "The length of an embedding."),
            ("Columns", plain(", ".join(found["columns"])), "", "What is known about the images."),
        )
    for text in found["notes"]:
        st.caption(plain(text))


def _links(study_id: str, dataset_id: str, run_id: str, pages: Sequence[tuple[str, str]]) -> None:
    """To the pages that show a model on a data set."""
    query = {"study": study_id or ADDED, "on": dataset_id, "model": run_id, "right": run_id}
    with st.container(horizontal=True):
        for page, label in pages:
            st.page_link(app_root() / "pages" / f"{page}.py", label=label, query_params=query)


def judge(lab: Workspace, models: pd.DataFrame) -> None:
    """Any model on any data set: embedded, and judged where there are pairs, by a job."""
    sets = cached.datasets(lab)
    names = {row.run_id: f"{row.title} · {row.run_id}" for row in models.itertuples()}
    first, second, third = st.columns([3, 2, 2], vertical_alignment="bottom")
    with first:
        model = choose("Model", list(names), "evaluate", names)
    record = read_run(lab, model)
    if record.method in ("scores", "embeddings"):  # without a network, there is nothing to see other images with
        sets = [name for name in sets if name == record.dataset]
    if record.method == "scores" or not sets:
        _without_network(lab, record)
        return
    with second:
        with_pairs = [number for number, name in enumerate(sets) if len(cached.dataset(lab, name).pairs)]
        dataset_id = choose("Data set", sets, "set", {}, next(iter(with_pairs), 0))
    data = cached.dataset(lab, dataset_id)
    pairs = len(data.pairs)
    with third, st.container(horizontal=True):
        if st.button("Evaluate", type="primary", icon=":material/balance:", disabled=not pairs, key="judge"):
            _start(lambda: Lab(lab).models[model].evaluate(dataset_id).run_id)
        if st.button("Embed only", icon=":material/scatter_plot:", key="embed"):
            _start(lambda: Lab(lab).models[model].embed(dataset_id).run_id)
    if not pairs:
        ways.pairs(lab, data)
    job = st.query_params.get(JUDGE, "")
    if job and (lab.run(job) / "run.json").exists() and waiting(lab, job, "Working"):
        record = read_run(lab, job)
        st.success(f"Done: {plain(record.title)}.", icon=":material/check:")
        judged = read_run(lab, record.parents[0])
        _links(judged.study, record.dataset, judged.run_id, PAGES if record.role == "evaluation" else PAGES[:1])


def _without_network(lab: Workspace, record: RunRecord) -> None:
    """A model that came as scores or embeddings: where its numbers are, and what it cannot do."""
    came = "scores of pairs" if record.method == "scores" else f"embeddings of {record.dataset}"
    st.info(
        plain(
            f"{record.title} came as {came}, without a network: it cannot embed other images. To evaluate it on other data, add "
            "its checkpoint or ONNX file above."
        ),
        icon=":material/info:",
    )
    if record.dataset in cached.datasets(lab):
        _links(record.study, record.dataset, record.run_id, PAGES[1:])
    else:
        missing.panel(lab, [record.dataset])


def _start(begin: Any) -> None:
    try:
        st.query_params[JUDGE] = begin()
    except FairLabError as error:
        show_error(error)
        return
    st.rerun()
