"""Whether training and test share people or images: a line beside every number, and a panel that checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from fairlab.api import Lab
from fairlab.data.dataset import Dataset
from fairlab.data.inspect.verdicts import Verdict, sentence, verdict
from fairlab.errors import FairLabError
from fairlab.jobs.data.starts import latest_job
from fairlab.settings.study import Overlap, Run, parse
from fairlab.store.database import list_runs
from fairlab.store.embeddings import has_embeddings
from fairlab.store.runs import SPACES, state
from fairlab.ui.frame import cached
from fairlab.ui.frame.forms import settings_form
from fairlab.ui.frame.gallery import Face, faces
from fairlab.ui.frame.page import facts, plain, show_error
from fairlab.ui.frame.pickers import choose
from fairlab.ui.frame.waiting import waiting
from fairlab.workspace import Workspace

CHECK = "overlap"
"""The link's parameter: the run that checks."""
SHOWN = 12


def overlap_note(lab: Workspace, train_id: str, test_id: str, offer: bool = True) -> None:
    """What is known of the two data sets behind a number: a warning where they overlap, else a quiet line.

    train_id is "" for a model that was trained elsewhere. offer: with a button that checks, where nothing is known.
    """
    if not train_id:
        st.caption(f"This model was trained elsewhere, so its train/test overlap with {plain(test_id)} is unknown.")
        return
    found = verdict(lab, train_id, test_id)
    if found is not None:
        said = plain(sentence(found, train_id, test_id))
        if found.found:
            st.warning(said, icon=":material/join_inner:")
        else:
            st.caption(said)
    elif not offer:
        st.caption("Train/test overlap not checked yet.")
    if offer and (found is None or found.stale):
        _check_now(lab, train_id, test_id)


def _check_now(lab: Workspace, train_id: str, test_id: str) -> None:
    """A button that checks by a job, whose progress and outcome are shown in its place."""
    gone = [name for name in dict.fromkeys((train_id, test_id)) if name not in cached.datasets(lab)]
    if gone:
        st.caption(f"Train/test overlap not checked: data set {plain(gone[0])} is not in this workspace.")
        return

    def same(config: Run) -> bool:
        return config.overlap is not None and (config.overlap.train, config.overlap.test) == (train_id, test_id)

    job = latest_job(lab, "overlap", same)
    if job:
        waiting(lab, job, "Checking for shared people and images")
        if state(lab.run(job)).status in ("running", "queued"):
            return
    command = f"fairlab data overlap {train_id} {test_id}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Train/test overlap not checked yet.", width="content")
        if st.button(
            "Check now", icon=":material/join_inner:", key="check now", help=f"The same in a terminal: `{command}`"
        ):
            try:
                Lab(lab).data.overlap(train_id, test_id)
            except FairLabError as error:
                show_error(error)
                return
            st.rerun()


def panel(lab: Workspace, data: Dataset) -> None:
    """Check this data set's test parts against a training set, and what the last check found."""
    names = cached.datasets(lab)
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
    with left:
        train = choose(
            "Training data",
            names,
            "learned",
            {},
            names.index(data.dataset_id),
            "Its part 'train', unless set otherwise.",
        )
    both = list(dict.fromkeys((train, data.dataset_id)))
    with middle:
        models = _models(lab, both)
        model = choose(
            "Nearest faces in", list(models), "near", models, help="A model that has embedded both data sets."
        )
    begin = right.button("Check", icon=":material/join_inner:", width="stretch", key="check overlap")
    with st.popover("More settings", icon=":material/tune:"):
        changes = settings_form(Overlap(), "overlap", skip=("train", "test", "model"))
    if begin:
        values = {**changes, "train": train, "test": data.dataset_id, "model": model}
        try:
            st.query_params[CHECK] = Lab(lab).data.overlap(parse(Overlap, values, "these settings")).run_id
        except FairLabError as error:
            show_error(error)
            return
    run_id = st.query_params.get(CHECK, "")
    if run_id and _concerns(lab, run_id, train, data.dataset_id) and not waiting(lab, run_id, "Comparing"):
        return
    overlap_note(lab, train, data.dataset_id, offer=False)
    found = verdict(lab, train, data.dataset_id)
    if found is not None:
        _show(found)


def _concerns(lab: Workspace, run_id: str, train: str, test: str) -> bool:
    """Is the link's run the check of these two?"""
    try:
        asked = Lab(lab).runs[run_id].record.config.overlap
    except FairLabError:
        return False
    return asked is not None and (asked.train, asked.test) == (train, test)


def _models(lab: Workspace, datasets: Sequence[str]) -> dict[str, str]:
    """Runs that have embeddings of all these data sets, by their titles; "" for none."""
    runs = list_runs(lab)
    known = {"": "no model: names and pixels only"}
    for row in runs[runs["role"].isin(SPACES)].itertuples() if len(runs) else ():
        if all(has_embeddings(lab.run(row.run_id), name, "plain") for name in datasets):
            known[row.run_id] = f"{row.title} · {row.run_id}"
    return known


def _show(found: Verdict) -> None:
    """Counts and examples of a check."""
    names, images, near = (found.facts[name] for name in ("names", "images", "neighbours"))
    tested = found.facts["test"]["images"]
    cards = [
        (
            "Same name",
            f"{names['shared']:,}",
            f"of {names['comparable']:,} comparable",
            "People in the test part whose names are also in the training part.",
        ),
        (
            "Same image",
            f"{images['same']:,}",
            f"of {tested:,}",
            "Test images that are also in the training part, by pixels.",
        ),
    ]
    if near:
        meaning = f"Above cosine {near['threshold']:.3f}; about {near['expected']:,.0f} are expected by chance. Candidates, not proof."
        cards.append(("Candidates by embedding", f"{near['flagged']:,}", f"of {tested:,}", meaning))
    facts(*cards)
    if names["examples"]:
        st.caption("Names: " + plain(", ".join(name for name, _ in names["examples"][:SHOWN])))
    _pairs(found, images["examples"], "The same image", "image")
    if near:
        _pairs(found, near["examples"], "Nearest faces", "near")


def _pairs(found: Verdict, examples: Sequence[Sequence[Any]], title: str, key: str) -> None:
    """Test images, and right of each the training image that it is like."""
    if not examples or found.stale:
        return
    st.markdown(f"**{title}**: test image, and the training image it resembles")
    for column, side, place in zip(st.columns(2), ("test", "train"), (0, 1), strict=True):
        shown = [Face(int(row[place]), text=f"{row[2]:.3f}") for row in examples[:SHOWN]]
        with column:
            faces(found.facts[side]["dataset"], shown, f"overlap:{key}:{side}", 66)
