"""A student of several teachers, from stored embeddings to its routing on page, command line and in Python."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from fairlab.api import Lab
from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError
from fairlab.plan.plan import single
from fairlab.queue import launch
from fairlab.settings.distillation import MSTDistillSettings
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Backbone, Data, Run, Training
from fairlab.store.embeddings import open_embeddings
from fairlab.store.events import read_events
from fairlab.store.runs import RunRecord, read_run
from fairlab.training.loader import ImageInputs
from fairlab.workspace import Workspace
from tests.conftest import command, wait_done
from tests.in_process import work_here
from tests.jobs.train.test_teaching import copied, lessons, runs_of
from tests.test_pages import fine, opened


def of_all(lab: Workspace, parents: list[RunRecord], epochs: int = 4, **about: Any) -> RunRecord:
    config = Run(
        role="student",
        method="mst_distill",
        data=Data(dataset=parents[0].dataset),
        backbone=Backbone(name="tiny", embedding_dim=8, widths=(8, 12)),
        loss=loss_settings(scale=16.0, margin_rad=0.1),
        distillation=MSTDistillSettings(**about),
        training=Training(epochs=epochs, batch_size=12, base_lr=1.0, drop_epochs=(3,)),
    )
    return single(lab, "Student MST-Distill", config, tuple(parent.run_id for parent in parents))


@pytest.fixture(scope="module")
def routed(tmp_path_factory: pytest.TempPathFactory, tiny: Workspace) -> tuple[Workspace, list[str]]:
    """Two students of both specialised teachers, really trained: as published, and with masks and a gate that learns."""
    lab = copied(tiny, tmp_path_factory.mktemp("routed") / "home")
    teachers = runs_of(lab, "teacher")
    records = [
        of_all(lab, teachers, 3),
        of_all(lab, teachers, mask="mlp", gate_learns="right", view="mean"),
    ]
    with pytest.MonkeyPatch.context() as mine:
        work_here(mine)
        names = [launch.start_one(lab, record) for record in records]
        wait_done(lab, names)
    return lab, names


def test_centroids_and_targets_are_the_stored_embeddings(tiny: Workspace) -> None:
    """Of both teachers, of all 24 people, also of the 12 that a teacher never saw."""
    teachers = runs_of(tiny, "teacher")
    given = lessons(tiny, of_all(tiny, teachers, view="matching"))
    assert given.dims == (16, 16)
    assert given.centroids is not None
    assert given.centroids.shape == (2, 24, 16)
    positions, flip = np.array([3, 50, 7]), np.array([False, True, False])
    units, lengths = given.targets().batch(positions, flip, torch.zeros(0))
    assert units.shape == (3, 2, 16)
    assert lengths.shape == (3, 2)
    for number, teacher in enumerate(teachers):
        plain, flipped = (open_embeddings(teacher.folder, teacher.dataset, view) for view in ("plain", "flip"))
        rows = given.rows[positions]
        for place, store in enumerate((plain, flipped, plain)):
            at = store.rows_of(rows[place : place + 1])
            np.testing.assert_array_equal(units[place, number].numpy(), store.vectors[at][0])
            assert float(lengths[place, number]) == store.norms[at][0]
        vectors = torch.from_numpy(plain.vectors[plain.rows_of(given.rows[given.labels == 5])].astype(np.float64))
        mean = functional.normalize(vectors.sum(0), dim=0)
        torch.testing.assert_close(given.centroids[number, 5].double(), mean, atol=1e-6, rtol=0)


def test_teachers_at_work_give_their_stored_embeddings(tiny: Workspace) -> None:
    """Each of them, of images as they are and mirrored."""
    teachers = runs_of(tiny, "teacher")
    online, stored = (
        lessons(tiny, of_all(tiny, teachers, online=True)),
        lessons(tiny, of_all(tiny, teachers, view="matching")),
    )
    positions, flip = np.arange(0, 30, 3), np.arange(0, 30, 3) % 2 == 0
    dataset = open_dataset(tiny.dataset(teachers[0].dataset))
    images = ImageInputs(dataset.pixels, online.rows).batch(positions, flip)
    for now, known in zip(
        online.targets().batch(positions, flip, images), stored.targets().batch(positions, flip, images), strict=True
    ):
        torch.testing.assert_close(now, known, atol=2e-5, rtol=1e-4)


def test_teachers_of_different_lengths_are_refused(tiny: Workspace) -> None:
    teacher, concatenation = runs_of(tiny, "teacher")[0], runs_of(tiny, "baseline")[0]
    with pytest.raises(FairLabError, match=r"must be equally long; their lengths are: Teacher Group A 16, Concat.* 32"):
        lessons(tiny, of_all(tiny, [teacher, concatenation]))


def test_no_teachers_are_refused(tiny: Workspace) -> None:
    record = replace(of_all(tiny, runs_of(tiny, "teacher")), parents=())
    with pytest.raises(FairLabError, match="needs at least one teacher as parent, and has none"):
        lessons(tiny, record)


def test_the_events_count_every_image_of_a_pass(routed: tuple[Workspace, list[str]]) -> None:
    """144 training images, 12 steps of 12, of two groups, from the first routing epoch on."""
    lab, names = routed
    for name, first in zip(names, (1, 2), strict=True):
        events = read_events(lab.run(name))
        seen = events[events["name"].str.startswith("seen/")]
        assert set(seen["name"]) == {"seen/Group A", "seen/Group B"}
        assert set(seen["epoch"]) == set(range(first, 3 if first == 1 else 4))
        assert (seen.groupby("epoch")["value"].sum() == 144).all()


def test_python_has_shares_and_measures(routed: tuple[Workspace, list[str]]) -> None:
    """Of every pass that routes; specialised teachers have their own groups; a run of another method has no routing."""
    lab, names = routed
    run = Lab(lab).runs[names[1]]
    shares, measures = run.routing(), run.routing_measures()
    assert set(shares["teacher"]) == {"Teacher Group A", "Teacher Group B"}
    assert (shares.groupby(["epoch", "group"])["share"].sum().round(9) == 1).all()
    assert list(measures["epoch"]) == [3, 4]
    own = shares[shares["teacher"] == "Teacher " + shares["group"]].groupby("epoch")["routed"].sum() / 144
    np.testing.assert_allclose(measures["own_rate"], own.to_numpy())
    assert (measures["chance"] == 0.5).all()
    assert measures[["entropy", "information_bits", "chosen_kl", "other_ce"]].notna().all(axis=None)
    assert "surest of the identity" in run.routing_meaning()
    other = next(name for name in (path.name for path in lab.runs_folder.iterdir()) if name.startswith("student-eaf"))
    with pytest.raises(FairLabError, match=r"has no routing: its method is eaf_kd, not mst_distill"):
        Lab(lab).runs[other].routing()


def test_the_command_prints_what_python_has(routed: tuple[Workspace, list[str]]) -> None:
    lab, names = routed
    told = command(lab.home, "runs", "routing", names[0], "--json")
    assert told.returncode == 0, told.stderr
    measures = Lab(lab).runs[names[0]].routing_measures()
    assert [row["entropy"] for row in json.loads(told.stdout)] == list(measures["entropy"])
    words = command(lab.home, "runs", "routing", names[0], "--by-group")
    assert "The routing is balanced, not learnt" in words.stderr
    assert re.search(r"Group A\s+Teacher Group B", words.stdout)


def test_the_page_shows_the_routing(routed: tuple[Workspace, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two charts, what the gate learns from, and the numbers of the last pass; nothing for other runs."""
    lab, names = routed
    for name, words in zip(names, ("The routing is balanced, not learnt", "surest of the identity"), strict=True):
        app = opened(monkeypatch, lab, "runs", study="all", run=name)
        fine(app)
        captions = [item.value.replace("\\", "") for item in app.caption]
        assert any(words in text for text in captions)
        last = Lab(lab).runs[name].routing_measures().iloc[-1]
        assert any(f"own teacher {last['own_rate']:.1%} · chance 50.0%" in text for text in captions), captions
        assert any(item.value == "**Routing to the teachers**" for item in app.markdown)
    other = next(path.name for path in lab.runs_folder.iterdir() if path.name.startswith("student-eaf"))
    app = opened(monkeypatch, lab, "runs", study="all", run=other)
    fine(app)
    assert not any(item.value == "**Routing to the teachers**" for item in app.markdown)


def test_a_deleted_teacher_keeps_its_column(routed: tuple[Workspace, list[str]], tmp_path: Path) -> None:
    """Under its run id; its group has no own teacher any more."""
    lab, names = routed
    elsewhere = copied(lab, tmp_path / "home")
    record = read_run(elsewhere, names[0])
    Lab(elsewhere).runs[record.parents[0]].delete(force=True)
    run = Lab(elsewhere).runs[names[0]]
    assert set(run.routing()["teacher"]) == {record.parents[0], "Teacher Group B"}
    assert run.routing_measures()["own_rate"].isna().all()
    assert len(run.routing()) == len(Lab(lab).runs[names[0]].routing())
