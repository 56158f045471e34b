"""What a run gets from its parents: classifiers by name or not at all, targets of these very images or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.sampling import identity_labels, training_rows
from fairlab.errors import Damaged, FairLabError
from fairlab.jobs.embed import spaces
from fairlab.jobs.job import Job
from fairlab.jobs.train.teaching import Lessons, fresh, own_centres
from fairlab.models.backbones.tiny import Tiny
from fairlab.models.files.checkpoints import load_head, load_learner, read_facts, save_model
from fairlab.plan.plan import single
from fairlab.queue import launch
from fairlab.settings.distillation import DISTILLATIONS
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Backbone, Data, Run, Training
from fairlab.store.embeddings import open_embeddings
from fairlab.store.runs import RunRecord, read_run
from fairlab.training.loader import ImageInputs
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import copied_home, wait_done
from tests.in_process import work_here

CENTRES = torch.arange(12.0).reshape(4, 3)


def runs_of(lab: Workspace, role: str) -> list[RunRecord]:
    found = [read_run(lab, path.parent.name) for path in sorted(lab.runs_folder.glob("*/run.json"))]
    return [run for run in found if run.role == role]


def a_student(lab: Workspace, method: str, parent: RunRecord, groups: tuple[str, ...] = (), **about: Any) -> RunRecord:
    config = Run(
        role="student",
        method=method,
        data=Data(dataset=parent.dataset, groups=groups),
        backbone=Backbone(name="tiny", embedding_dim=8, widths=(8, 12)),
        loss=loss_settings(scale=16.0, margin_rad=0.1),
        distillation=DISTILLATIONS[method](**about),
        training=Training(epochs=2, batch_size=12, base_lr=1.0, drop_epochs=(1,)),
    )
    return single(lab, f"Student {method}", config, (parent.run_id,))


def lessons(lab: Workspace, record: RunRecord) -> Lessons:
    dataset = open_dataset(lab.dataset(record.dataset))
    rows = training_rows(dataset.images, record.config.data, 0)
    labels, names = identity_labels(dataset.images.iloc[rows])
    return Lessons(Job(lab, record, dataset), rows, labels, names)


def a_parent(folder: Path, tiny: Workspace, facts: dict[str, Any], centres: torch.Tensor | None = CENTRES) -> RunRecord:
    """A model with a classifier of four, which says of whom what `facts` say."""
    network = Tiny(Backbone(name="tiny", embedding_dim=3, widths=(4,)), 16)
    about = {"kind": "backbone", "settings": {"name": "tiny", "embedding_dim": 3, "widths": [4]}, "image_px": 16}
    save_model(folder / "weights", network, None if centres is None else {"weight": centres}, {**about, **facts})
    return replace(runs_of(tiny, "teacher")[0], folder=folder, run_id="parent")


def test_centres_follow_the_names(tmp_path: Path, tiny: Workspace) -> None:
    """In the order of the run's labels, also of a part of the people (identity P3)."""
    parent = a_parent(tmp_path, tiny, {"identities": ["d", "a", "c", "b"]})
    assert torch.equal(own_centres(parent, ["a", "b", "c", "d"]), CENTRES[[1, 3, 2, 0]])
    assert torch.equal(own_centres(parent, ["b", "d"]), CENTRES[[3, 0]])


def test_people_whom_it_does_not_know_are_refused(tmp_path: Path, tiny: Workspace) -> None:
    parent = a_parent(tmp_path, tiny, {"identities": ["d", "a", "c", "b"]})
    with pytest.raises(FairLabError, match=r"does not know 2 of the 3 identities to train on, e.g. 'x'.*\"centroids\""):
        own_centres(parent, ["a", "x", "y"])


def test_a_classifier_without_names_needs_the_numbers_from_zero(tmp_path: Path, tiny: Workspace) -> None:
    """Whatever their order as text; one more, one less or words are refused."""
    parent = a_parent(tmp_path, tiny, {})
    assert torch.equal(own_centres(parent, ["3", "0", "002", "1"]), CENTRES[[3, 0, 2, 1]])
    for names in (
        ["0", "1", "2"],
        ["0", "1", "2", "4"],
        ["1", "2", "3", "4"],
        ["a", "b", "c", "d"],
        ["0", "1", "2", "02"],
    ):
        with pytest.raises(FairLabError, match=r"does not say whose its 4 class centres are.*\"centroids\""):
            own_centres(parent, names)


def test_a_list_of_names_that_does_not_fit_is_damaged(tmp_path: Path, tiny: Workspace) -> None:
    for known in (["a", "b", "c"], ["a", "b", "c", "c"]):
        parent = a_parent(tmp_path, tiny, {"identities": known})
        with pytest.raises(Damaged, match=f"4 class centres for {len(known)} identities"):
            own_centres(parent, ["a", "b"])


def test_no_classifier_no_inheritance(tmp_path: Path, tiny: Workspace) -> None:
    parent = a_parent(tmp_path, tiny, {"identities": ["a"]}, None)
    with pytest.raises(FairLabError, match=r"parent has no classifier to inherit.*\"centroids\""):
        own_centres(parent, ["a"])


def copied(tiny: Workspace, home: Path) -> Workspace:
    copied_home(tiny.home, home)
    return open_workspace(home)


def test_a_permuted_list_of_names_does_not_pass(tmp_path: Path, tiny: Workspace) -> None:
    """The names say one thing, the teacher's own embeddings another (identity P3)."""
    lab = copied(tiny, tmp_path / "home")
    parent = runs_of(lab, "adaptor")[0]
    record = a_student(lab, "proxyless_kd", parent)
    assert lessons(lab, record).inherited is not None
    learner, facts = load_learner(parent.folder / "weights")
    names = facts["identities"]
    turned = {**facts, "identities": names[7:] + names[:7]}
    save_model(parent.folder / "weights", learner, load_head(parent.folder / "weights"), turned)
    with pytest.raises(FairLabError, match=r"does not know these people.*\"centroids\""):
        lessons(lab, record)


def test_centroids_are_means_of_stored_embeddings(tiny: Workspace) -> None:
    """One for each person to train on, near their images, with the parent's scale."""
    parent = runs_of(tiny, "teacher")[0]
    given = lessons(tiny, a_student(tiny, "proxyless_kd", parent, classifier="centroids"))
    assert given.inherited is not None
    assert tuple(given.inherited.centres.shape) == (24, 16)
    assert given.inherited.scale == 16.0
    assert given.dims == (16,)
    dataset = open_dataset(tiny.dataset(parent.dataset))
    person = sorted(dataset.images["identity"][training_rows(dataset.images, Data(dataset=parent.dataset), 0)])[0]
    of = dataset.images.loc[(dataset.images["identity"] == person) & (dataset.images["split"] == "train"), "image_id"]
    mean = open_embeddings(parent.folder, parent.dataset, "plain").vectors[of.to_numpy()].mean(0)
    np.testing.assert_allclose(given.inherited.centres[0].numpy(), mean / np.linalg.norm(mean), atol=1e-6)


@pytest.mark.parametrize("role", ["teacher", "adaptor"])
def test_mean_embeddings_are_raw_or_unit_and_of_some_or_all(tiny: Workspace, role: str) -> None:
    """CLIP-Embed-KD's, over any space: each from its own people's images alone; 24 people with 6 images."""
    parent = runs_of(tiny, role)[0]
    store = open_embeddings(parent.folder, parent.dataset, "plain")
    raw = np.asarray(store.vectors) * np.asarray(store.norms)[:, None]

    def given(**about: Any) -> Lessons:
        return lessons(tiny, a_student(tiny, "clip_embed_kd", parent, **about))

    for about, vectors in (({}, raw), ({"centroid_mean": "unit"}, np.asarray(store.vectors))):
        found = given(**about)
        assert found.inherited is None
        assert found.centroids is not None
        assert found.dims == (16,)
        expected = [vectors[found.rows[found.labels == person]].mean(0) for person in range(24)]
        np.testing.assert_allclose(found.centroids.numpy(), expected, rtol=1e-5, atol=1e-6)
    one, again = (given(centroid_images=1) for _ in range(2))
    assert one.centroids is not None
    assert again.centroids is not None
    assert torch.equal(one.centroids, again.centroids)
    for person, centroid in enumerate(one.centroids.numpy()):
        of = raw[one.rows[one.labels == person]]
        assert np.isclose(of, centroid, rtol=1e-5, atol=1e-6).all(1).sum() == 1
    every = given(centroid_images=6)
    assert torch.equal(every.centroids, given().centroids)


def test_embeddings_of_earlier_data_are_refused(tiny: Workspace) -> None:
    """Of the same name, with another fingerprint: never stale (identity S8)."""
    parent = runs_of(tiny, "adaptor")[0]
    dataset = open_dataset(tiny.dataset(parent.dataset))
    changed: Dataset = replace(dataset, info={**dataset.info, "fingerprint": "0" * 64})
    if changed.fingerprint == dataset.fingerprint:
        pytest.fail("the fingerprint is kept elsewhere")
    assert len(fresh(parent, dataset).vectors) == len(dataset.images)
    with pytest.raises(FairLabError, match="earlier state of that data set"):
        fresh(parent, changed)


@pytest.mark.parametrize("role", ["teacher", "adaptor"])
def test_a_parent_at_work_gives_its_stored_embeddings(tiny: Workspace, role: str) -> None:
    """Of images as they are and of mirrored ones; the adaptor through its teachers."""
    parent = runs_of(tiny, role)[0]
    given = lessons(tiny, a_student(tiny, "eaf_kd", parent, online=True))
    stored = lessons(tiny, a_student(tiny, "eaf_kd", parent, view="matching"))
    assert given.dims == stored.dims == (16,)
    dataset = open_dataset(tiny.dataset(parent.dataset))
    positions, flip = np.arange(0, 40, 3), np.arange(0, 40, 3) % 2 == 0
    images = ImageInputs(dataset.pixels, given.rows).batch(positions, flip)
    for found, known in zip(
        given.targets().batch(positions, flip, images), stored.targets().batch(positions, flip, images), strict=True
    ):
        torch.testing.assert_close(found, known, atol=2e-5, rtol=1e-4)


def test_two_parents_are_one_too_many(tiny: Workspace) -> None:
    one, two = runs_of(tiny, "teacher")[:2]
    record = replace(a_student(tiny, "proxyless_kd", one), parents=(one.run_id, two.run_id))
    with pytest.raises(FairLabError, match=r"learns from exactly one space; .* has 2 parents"):
        lessons(tiny, record)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, tiny: Workspace) -> Workspace:
    """Two students, really trained: one with a teacher's classifier in the teacher's longer space, one with logits."""
    lab = copied(tiny, tmp_path_factory.mktemp("taught") / "home")
    teacher = next(run for run in runs_of(lab, "teacher") if run.config.data.groups == ("Group A",))
    records = [
        a_student(lab, "proxyless_kd", teacher, groups=("Group A",)),
        a_student(lab, "hinton_kd", runs_of(lab, "adaptor")[0], temperature=3.0),
    ]
    with pytest.MonkeyPatch.context() as mine:
        work_here(mine)
        wait_done(lab, [launch.start_one(lab, record) for record in records])
    return lab


def test_an_inherited_classifier_is_the_teachers_to_the_bit(taught: Workspace) -> None:
    """After a real training (identity P1); the same people in the same order (P3)."""
    student = next(run for run in runs_of(taught, "student") if run.method == "proxyless_kd")
    teacher = read_run(taught, student.parents[0])
    mine, theirs = (load_head(run.folder / "weights")["weight"] for run in (student, teacher))
    assert torch.equal(mine, theirs)
    assert len(mine) == 12
    assert read_facts(student.folder / "weights")["identities"] == read_facts(teacher.folder / "weights")["identities"]


def test_a_student_in_a_longer_space_is_built_again(taught: Workspace) -> None:
    """From its facts and weights alone: the embeddings that its run stored (identity P7)."""
    student = next(run for run in runs_of(taught, "student") if run.method == "proxyless_kd")
    learner, facts = load_learner(student.folder / "weights")
    assert facts["project_to"] == 16
    stored = open_embeddings(student.folder, student.dataset, "plain")
    assert stored.vectors.shape[1] == 16
    dataset = open_dataset(taught.dataset(student.dataset))
    with torch.inference_mode():
        raw = learner(ImageInputs(dataset.pixels, np.arange(5)).batch(np.arange(5), np.zeros(5, bool)))
    np.testing.assert_allclose(torch.nn.functional.normalize(raw).numpy(), stored.vectors[:5], atol=1e-5)
    assert spaces.embedded(student, dataset)


def test_a_student_of_logits_keeps_its_own_length(taught: Workspace) -> None:
    """8 beside its teacher's 16, with a classifier of its own over everybody."""
    student = next(run for run in runs_of(taught, "student") if run.method == "hinton_kd")
    learner, facts = load_learner(student.folder / "weights")
    assert "project_to" not in facts
    assert learner(torch.zeros(1, 3, 32, 32)).shape == (1, 8)
    assert set(load_head(student.folder / "weights")) == {"weight"}
    assert load_head(student.folder / "weights")["weight"].shape == (24, 8)
