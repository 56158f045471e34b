"""Models over models, whatever they are: trained here or brought in, of other sizes and dims, with or without groups."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from torch.nn import functional

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.errors import FairLabError, Stopped
from fairlab.files import sha256
from fairlab.jobs import roles
from fairlab.jobs.embed import spaces
from fairlab.jobs.job import Job
from fairlab.jobs.progress import Moment, Span
from fairlab.models.files.checkpoints import load_learner
from fairlab.plan.plan import single
from fairlab.presets import load_preset
from fairlab.settings.study import Adaptor, Data, DemoData, ModelFile, Role, Run, Study
from fairlab.store.database import list_runs
from fairlab.store.embeddings import EmbeddingWriter, open_embeddings
from fairlab.store.events import read_events
from fairlab.store.results import read_results
from fairlab.store.runs import RunRecord, create_run, read_run
from fairlab.tables import IMAGES
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import copied_home
from tests.fixtures import onnx_models


class Stages(Moment):
    """What a job says of its progress, kept."""

    def __init__(self) -> None:
        super().__init__()
        self.stages: list[tuple[str, float]] = []
        self.ends = 0.0

    def begin(self, stage: str, unit: str, start: float, share: float) -> None:
        self.stages.append((stage, start))
        self.ends = start + share

    def advance(self, done: int, total: int, rate: float = 0.0) -> None:
        assert done <= total


def carried_out(lab: Workspace, title: str, config: Run, parents: Sequence[RunRecord] = ()) -> RunRecord:
    """A run in this process, as a worker does it; its progress must rise from 0 to 1."""
    record = single(lab, title, config, tuple(parent.run_id for parent in parents))
    create_run(lab, record)
    moment = Stages()
    roles.carry_out(Job(lab, record, progress=Span(moment)))
    starts = [start for _, start in moment.stages]
    assert starts == sorted(starts)
    assert moment.ends == pytest.approx(1.0)
    return record


@pytest.fixture(scope="module")
def lab(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("spaces") / "copy"
    copied_home(tiny.home, home)
    return open_workspace(home)


@pytest.fixture(scope="module")
def faces(lab: Workspace) -> Dataset:
    (folder,) = lab.datasets_folder.iterdir()
    return open_dataset(folder)


@pytest.fixture(scope="module")
def teachers(lab: Workspace) -> list[RunRecord]:
    """Of Group A and of Group B, in this order."""
    table = list_runs(lab).set_index("title")["run_id"]
    return [read_run(lab, table[f"Teacher Group {name}"]) for name in "AB"]


@pytest.fixture(scope="module")
def graph(lab: Workspace, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """A network of another dim (8) that takes faces of another size (16 px), as it came from a file."""
    path = tmp_path_factory.mktemp("files") / "zoo.onnx"
    path.write_bytes(onnx_models.network().SerializeToString())
    config = Run(role="model", method="import", data=Data(), model=ModelFile(path=str(path), sha256=sha256(path)))
    return carried_out(lab, "Zoo", config)


def settings(faces: Dataset, role: Role, method: str, adaptor: str = "") -> Run:
    """A short run on the faces with the settings of the tiny study."""
    study: Study = load_preset("tiny")
    data, short = Data(dataset=faces.dataset_id), {"epochs": 2, "drop_epochs": ()}
    if role == "baseline":
        return Run(role=role, method=method, data=data, evaluation=study.evaluation)
    part = study.student if role == "student" else study.adaptor
    return Run(
        role=role,
        method=method,
        data=data,
        backbone=study.student.backbone if role == "student" else None,
        adaptor=Adaptor(name=adaptor, embedding_dim=16) if adaptor else None,
        loss=None if method == "a_kd" else part.loss,
        training=part.training.model_copy(update=short),
        evaluation=study.evaluation,
    )


def vectors(space: RunRecord, faces: Dataset, view: str = "plain") -> np.ndarray:
    return np.array(open_embeddings(space.folder, faces.dataset_id, view).vectors)


def accuracy(space: RunRecord, faces: Dataset) -> float:
    table = read_results(space.folder, faces.dataset_id, "metrics")
    return float(table[(table["metric"] == "mean_accuracy") & (table["protocol"] == "test")]["value"].iloc[0])


def by_hand(adaptor: RunRecord, inputs: np.ndarray) -> np.ndarray:
    """Unit outputs of the network in a run's folder."""
    learner, _ = load_learner(adaptor.folder / "weights")
    with torch.inference_mode():
        return functional.normalize(learner(torch.from_numpy(inputs))).numpy()


@pytest.mark.slow
def test_a_common_space_over_any_models_and_a_student_of_it(
    lab: Workspace, faces: Dataset, teachers: list[RunRecord], graph: RunRecord
) -> None:
    """A teacher of ours (16 dims) and somebody's graph (8): embedded first, side by side in the recorded order (A1), the
    same inputs in training and export (A9), and neither is touched (A8).
    """
    parents = [teachers[0], graph]
    files = [path for parent in parents for path in (parent.folder / "weights").iterdir()]
    files += list((teachers[0].folder / "embeddings").rglob("vectors.npy"))
    before = [sha256(path) for path in files]
    adaptor = carried_out(lab, "Any teachers", settings(faces, "adaptor", "common_space", "sl"), parents)
    assert [sha256(path) for path in files] == before
    for view in spaces.VIEWS:
        side_by_side = np.concatenate([vectors(parent, faces, view) for parent in parents], axis=1)
        assert side_by_side.shape == (len(faces.images), 16 + onnx_models.DIM)
        np.testing.assert_allclose(np.linalg.norm(side_by_side, axis=1), np.sqrt(2), atol=1e-6)
        found = vectors(adaptor, faces, view)
        np.testing.assert_allclose(found, by_hand(adaptor, side_by_side), atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    student = carried_out(lab, "Its student", settings(faces, "student", "eaf_kd"), [adaptor])
    events = read_events(student.folder)
    assert (events[events["name"] == "distillation"]["value"] > 0).all()
    assert 0 < accuracy(student, faces) < 1
    assert vectors(student, faces).shape == (len(faces.images), 16)


@pytest.mark.slow
def test_embeddings_of_earlier_data_are_made_anew(
    lab: Workspace, faces: Dataset, teachers: list[RunRecord], graph: RunRecord
) -> None:
    """A parent whose stored vectors are of other pixels under the same name is not believed."""
    before = carried_out(lab, "Before", settings(faces, "baseline", "concatenation"), [graph])
    right = vectors(graph, faces)
    ids, facts = np.arange(len(right)), {"fingerprint": "of other pixels"}
    with EmbeddingWriter(graph.folder, faces.dataset_id, "plain", ids, facts) as sink:
        sink.add(right[::-1], np.ones(len(right), np.float32))
    assert not np.array_equal(vectors(graph, faces), right)
    both = carried_out(lab, "Anew", settings(faces, "baseline", "concatenation"), [graph, teachers[0]])
    assert np.array_equal(vectors(graph, faces), right)
    np.testing.assert_allclose(
        vectors(both, faces)[:, : onnx_models.DIM] * np.sqrt(2), vectors(before, faces), atol=1e-6
    )


@pytest.mark.slow
def test_spaces_that_know_the_group_are_used_like_any_other(
    lab: Workspace, faces: Dataset, teachers: list[RunRecord]
) -> None:
    """Own teacher and mean are what they say (A7), parents of students, and look at other faces, groups by name."""
    groups = faces.images["group"].to_numpy()
    stored = [vectors(teacher, faces) for teacher in teachers]
    expected = np.where((groups == "Group A")[:, None], *stored)
    own = carried_out(lab, "Own", settings(faces, "baseline", "own_teacher"), teachers)
    np.testing.assert_allclose(vectors(own, faces), expected, atol=1e-6)
    turned = carried_out(lab, "Own, turned", settings(faces, "baseline", "own_teacher"), teachers[::-1])
    assert np.array_equal(vectors(turned, faces), vectors(own, faces))
    mean = carried_out(lab, "Mean", settings(faces, "baseline", "mean"), teachers)
    bisector = stored[0] + stored[1]
    bisector /= np.linalg.norm(bisector, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors(mean, faces), bisector, atol=1e-6)
    student = carried_out(lab, "Student of own", settings(faces, "student", "a_kd"), [own])
    assert 0 < accuracy(student, faces) < 1
    numbers = (groups == "Group B").astype(np.float32)[:, None]
    adaptors = {
        name: carried_out(lab, name, settings(faces, "adaptor", "common_space", name), teachers)
        for name in ("positioning", "encoding", "gate")
    }
    for name, adaptor in adaptors.items():
        inputs = [*stored, numbers] if name != "gate" else stored
        np.testing.assert_allclose(vectors(adaptor, faces), by_hand(adaptor, np.concatenate(inputs, 1)), atol=1e-6)
    events = read_events(adaptors["gate"].folder)
    assert len(events[events["name"] == "balance"])

    other = rendered(lab, ("Group B",))
    for space in (own, turned, adaptors["positioning"]):
        spaces.embed_elsewhere(Job(lab, space, other, progress=Span(Stages())), space)
    there = vectors(teachers[1], other)
    np.testing.assert_allclose(vectors(own, other), there, atol=1e-6)
    np.testing.assert_allclose(vectors(turned, other), there, atol=1e-6)
    everyone = np.ones((len(there), 1), np.float32)
    inputs = np.concatenate([vectors(teachers[0], other), there, everyone], axis=1)
    np.testing.assert_allclose(
        vectors(adaptors["positioning"], other), by_hand(adaptors["positioning"], inputs), atol=1e-6
    )
    strangers = rendered(lab, ("Group C", "Group A"))
    with pytest.raises(FairLabError, match=r"'Group C' of data set .* needs exactly one teacher"):
        spaces.embed_elsewhere(Job(lab, own, strangers), own)


def rendered(lab: Workspace, groups: tuple[str, ...]) -> Dataset:
    """A few generated faces of these groups."""
    few = load_preset("tiny").demo
    assert few is not None
    values = few.model_dump() | {"groups": groups, "train_identities": 2, "train_images": 2, "synthetic_identities": 0}
    name = f"of-{len(groups)}"
    config = Run(role="dataset", method="render", data=Data(dataset=name), demo=DemoData.model_validate(values))
    carried_out(lab, name, config)
    return open_dataset(lab.dataset(name))


@pytest.mark.slow
def test_what_has_no_network_is_no_parent(
    lab: Workspace, faces: Dataset, teachers: list[RunRecord], graph: RunRecord
) -> None:
    """One sentence, before anything is embedded."""
    shutil.rmtree(graph.folder / "embeddings", ignore_errors=True)
    for method in ("scores", "embeddings"):
        table = single(lab, f"Of {method}", Run(role="model", method=method, data=Data(), model=ModelFile()), ())
        create_run(lab, table)
        with pytest.raises(FairLabError, match=f"{table.run_id} came as {method}, without its network"):
            carried_out(lab, "No", settings(faces, "baseline", "concatenation"), [graph, table])
        assert not (graph.folder / "embeddings").exists()
    with pytest.raises(FairLabError, match="equally long; these have 16, 8 dims"):
        carried_out(lab, "No", settings(faces, "baseline", "mean"), [teachers[0], graph])
    with pytest.raises(FairLabError, match="'Group B' of data set"):
        carried_out(lab, "No", settings(faces, "baseline", "own_teacher"), [teachers[0], teachers[0]][:1])


def test_the_own_teacher_of_every_image(tmp_path: Path) -> None:
    """Any number of groups, parents in any order; who was trained on no one group, or one that is not here, is nobody's."""
    groups = ["x", "z", "y", "x", "w"]
    blank = {name: [""] * len(groups) for name in IMAGES}
    table = pd.DataFrame(blank).assign(group=groups, image_id=range(len(groups)))
    empty = open_workspace(tmp_path / "home")
    table.to_parquet(tmp_path / "images.parquet")
    data = Dataset(tmp_path, {"dataset_id": "four"})

    def parents(*trained_on: tuple[str, ...]) -> list[RunRecord]:
        runs = [Run(role="teacher", method="classifier", data=Data(groups=names)) for names in trained_on]
        return [single(empty, f"Teacher {number}", run, ()) for number, run in enumerate(runs)]

    found = spaces.own_teachers(parents(("z",), (), ("w",), ("q",), ("x",), ("x", "y"), ("y",)), data)
    assert found.tolist() == [4, 0, 6, 4, 2]
    for trained_on, said in (
        (
            [("x",), ("y",), ("z",)],
            "group 'w' of data set four needs exactly one .* 0 of the parents were: Teacher 0, ",
        ),
        ([("x",), ("y",), ("z",), ("w",), ("z",)], "group 'z' of data set four needs exactly one .* 2 of the parents"),
        ([(), (), (), ()], "group 'x' .* 0 of the parents"),
    ):
        with pytest.raises(FairLabError, match=said):
            spaces.own_teachers(parents(*trained_on), data)


def test_two_runs_do_not_write_one_models_embeddings_at_once(tmp_path: Path) -> None:
    """The second waits, and hears when it is to stop."""
    empty = open_workspace(tmp_path / "home")
    record = single(empty, "Shared", Run(role="model", method="import", data=Data(), model=ModelFile(path="/x")), ())
    create_run(empty, record)
    job = Job(empty, record, stop=lambda: True)
    with FileLock(record.folder / "embedding.lock"), pytest.raises(Stopped), spaces._alone(job, record):
        raise AssertionError("it did not wait")
    with spaces._alone(job, record):  # free: nobody is asked
        pass
