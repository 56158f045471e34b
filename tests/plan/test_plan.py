"""A study becomes the right runs, whatever the groups; what cannot work is refused with the reason."""

from __future__ import annotations

import shutil
from collections import Counter

import numpy as np
import pytest

from fairlab.data.dataset import open_dataset
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError
from fairlab.plan.grid import expand
from fairlab.plan.plan import data_of, slug
from fairlab.presets import load_preset, preset_names
from fairlab.settings.study import Study, changed
from fairlab.workspace import Workspace


def demo(**dials: object) -> Study:
    return changed(load_preset("demo_mst_kd"), dials)


def test_the_demo_has_four_and_four_teachers_two_spaces_and_three_students(lab: Workspace) -> None:
    roles = Counter(run.record.role for run in expand(demo(), "demo_mst_kd", lab).runs)
    assert roles == {"dataset": 1, "teacher": 8, "adaptor": 2, "baseline": 2, "student": 3, "projection": 1}


@pytest.mark.parametrize(
    "groups", [("one",), ("a", "b"), ("日本", "العربية", "Ünïcode"), tuple(f"g{n}" for n in range(7))]
)
def test_groups_are_data(lab: Workspace, groups: tuple[str, ...]) -> None:
    """Any number and any names: one specialised and one balanced teacher for each."""
    plan = expand(demo(**{"demo.groups": groups}), "demo_mst_kd", lab)
    teachers = [run.record for run in plan.runs if run.record.role == "teacher"]
    assert len(teachers) == 2 * len(groups)
    assert [teacher.config.data.groups for teacher in teachers[: len(groups)]] == [(group,) for group in groups]
    assert [(teacher.config.data.part, teacher.config.data.parts) for teacher in teachers[len(groups) :]] == [
        (number, len(groups)) for number in range(len(groups))
    ]
    assert len({run.record.run_id for run in plan.runs}) == len(plan.runs)


def test_parents_come_first_and_students_read_the_common_space(lab: Workspace) -> None:
    seen: set[str] = set()
    by_id = {run.record.run_id: run.record for run in expand(demo(), "demo_mst_kd", lab).runs}
    for run_id, record in by_id.items():
        assert set(record.parents) <= seen
        seen.add(run_id)
        if record.method == "eaf_kd":
            assert [by_id[parent].role for parent in record.parents] == ["adaptor"]
        if record.role == "adaptor":
            assert [by_id[parent].role for parent in record.parents] == ["teacher"] * 4


def test_the_same_settings_are_the_same_runs_and_a_changed_student_keeps_its_teachers(lab: Workspace) -> None:
    first = {run.record.run_id for run in expand(demo(), "demo_mst_kd", lab).runs}
    assert first == {run.record.run_id for run in expand(demo(), "demo_mst_kd", lab).runs}
    changed_student = {
        run.record.run_id for run in expand(demo(**{"student.training.epochs": 11}), "demo_mst_kd", lab).runs
    }
    assert len(first - changed_student) == 3 + 1  # the students, and the maps that show them


@pytest.mark.parametrize(
    ("loss", "runs"),
    [
        ("elastic_arcface", ["d864861e", "ff09ae68", "f95a5941", "da5e075d", "22bcf4ac", "186de48f"]),
        ("arcface", ["9b67f8e2", "4ee96135", "eb8f4df0", "4e14aa75", "fb9c0f11", "a55a6479"]),
    ],
)
def test_ids_are_those_of_earlier_versions(lab: Workspace, loss: str, runs: list[str]) -> None:
    """Written down when ids began to hash what differs from the defaults: old runs are found, not trained again."""
    dials = {f"{part}.loss.name": loss for part in ("teacher", "adaptor", "student")}
    plan = expand(changed(load_preset("tiny"), dials), "tiny", lab)
    assert [run.record.run_id.rpartition("-")[2] for run in plan.runs[1:-1]] == runs


def test_a_default_that_is_written_out_is_the_same_run(lab: Workspace) -> None:
    """All classes and stored targets are the defaults; a share of the classes is another run."""

    def ids(**dials: object) -> list[str]:
        return [run.record.run_id for run in expand(demo(**dials), "demo_mst_kd", lab).runs]

    assert ids(**{"student.distillation.eaf_kd.online": False, "teacher.loss.sample_rate": 1}) == ids()
    assert ids(**{"teacher.loss.sample_rate": 0.5}) != ids()


def test_seeds_repeat_all_but_the_data(lab: Workspace) -> None:
    runs = expand(demo(seeds=(0, 1, 2)), "demo_mst_kd", lab).runs
    assert len(runs) == 1 + 3 * 16


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"student.backbone.name": "resnet"}, "student.backbone.name: there is no 'resnet'; choose one of: "),
        ({"adaptors": ("mlp",)}, "there is no 'mlp'; choose one of: dldpo, dul, "),
        ({"teacher.loss.name": "triplet"}, "choose one of: adaface, arcface, "),
        ({"teacher.training.batch_size": 5000}, "Teacher Group A: 1500 training images do not fill one batch of 5000"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(lab: Workspace, dials: dict[str, object], said: str) -> None:
    with pytest.raises(FairLabError) as refusal:
        expand(demo(**dials), "demo_mst_kd", lab)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"grid.distil_from": ("dul",)}, "grid.distil_from names 'dul', which is not among adaptors"),
        ({"seeds": (1, 1)}, "seeds must differ"),
        ({"arms": ()}, "a distilled student needs an arm of teachers"),
        ({"student.training.epochz": 3}, "there is no setting 'student.training.epochz'"),
        ({"student.training.epochs": "many"}, "student.training.epochs"),
        ({"student.training.drop_epochs": (5, 3)}, "drop_epochs must rise"),
        ({"demo.groups": ("x", "x")}, "groups must have different, non-empty names"),
    ],
)
def test_settings_that_do_not_go_together_are_one_sentence(dials: dict[str, object], said: str) -> None:
    with pytest.raises(FairLabError) as refusal:
        demo(**dials)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_data_set_that_is_named_takes_the_place_of_generated_faces(lab: Workspace, tiny: Workspace) -> None:
    faces = next(tiny.datasets_folder.glob("*/manifest.json")).parent
    shutil.copytree(faces, lab.dataset(faces.name))
    plan = expand(changed(load_preset("tiny"), {"dataset": faces.name}), "tiny", lab)
    assert plan.study.demo is None
    assert data_of(plan) == faces.name
    assert {run.record.dataset for run in plan.runs} == {faces.name}
    assert not [run for run in plan.runs if run.record.title == "Demo faces"]
    with pytest.raises(FairLabError, match=f"there is no data set 'other'; this workspace has {faces.name}"):
        expand(changed(load_preset("tiny"), {"dataset": "other"}), "tiny", lab)
    with pytest.raises(FairLabError, match="exclude each other"):
        changed(load_preset("tiny"), {"dataset": faces.name, "demo.seed": 3})


def test_an_unknown_data_set_is_said(lab: Workspace) -> None:
    with pytest.raises(FairLabError, match="there is no data set 'name-of-your-data-set'"):
        expand(load_preset("mst_kd"), "mst_kd", lab)


def test_a_group_without_images_is_named(lab: Workspace, tiny: Workspace) -> None:
    """A list that names a group of which no face came along."""
    faces = open_dataset(next(tiny.datasets_folder.glob("*/manifest.json")).parent)
    gone = faces.groups[-1]
    keep = ((faces.images["group"] != gone) | (faces.images["split"] != "train")).to_numpy()
    images = faces.images[keep].reset_index(drop=True)
    images["image_id"] = range(len(images))
    write_dataset(
        lab.dataset("mine"),
        NewDataset(
            dataset_id="mine",
            kind="folders",
            attribute="group",
            groups=faces.groups,
            images=images,
            pairs=faces.pairs.iloc[:0],
            pixels=np.asarray(faces.pixels)[keep],
            recipe={},
        ),
    )
    with pytest.raises(FairLabError, match=f"data set mine: group '{gone}' has no training image; remove the group"):
        expand(demo(demo=None, dataset="mine"), "demo_mst_kd", lab)


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_states_what_it_is_and_needs(preset: str) -> None:
    study = load_preset(preset)
    assert all((study.title, study.summary, study.paper, study.needs))


def test_the_paper_preset_has_the_papers_settings() -> None:
    """MST-KD, section 4 and its official configuration."""
    study = load_preset("mst_kd")
    assert (study.teacher.backbone.name, study.teacher.backbone.embedding_dim) == ("iresnet34", 512)
    assert (study.teacher.loss.scale, study.teacher.loss.margin_rad, study.teacher.loss.sigma_rad) == (64, 0.5, 0.05)
    assert study.teacher.training.base_lr * study.teacher.training.batch_size / 512 == 0.025
    assert study.adaptor.training.base_lr * study.adaptor.training.batch_size / 512 == 0.25
    assert (study.adaptor.loss.sigma_rad, study.adaptor.training.epochs) == (0.0125, 26)
    assert (study.teacher.training.epochs, study.teacher.training.clip_norm) == (52, 5.0)


def test_slugs_are_names_of_folders() -> None:
    assert [slug(text) for text in ("Teacher Group A", "日本", "a/../b", " -- ")] == [
        "teacher-group-a",
        "x",
        "a-b",
        "x",
    ]
