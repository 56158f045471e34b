"""The grid of a study: every combination once, data mixed as the recipe says, given models as teachers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fairlab.compare.compare import compare
from fairlab.data.dataset import open_dataset
from fairlab.data.recipes import drawn_size
from fairlab.errors import FairLabError
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.settings.study import Recipe, Study, changed
from fairlab.store.runs import read_run
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import copied_home
from tests.in_process import carry_out_all


@pytest.fixture
def copy(tiny: Workspace, tmp_path: Path) -> Workspace:
    copied_home(tiny.home, tmp_path / "copy")
    return open_workspace(tmp_path / "copy")


def demo(**dials: object) -> Study:
    return changed(load_preset("demo_mst_kd"), dials)


def students(study: Study, lab: Workspace) -> list[str]:
    return [run.record.title for run in expand(study, "x", lab).runs if run.record.role == "student"]


def test_students_of_every_network_loss_and_portion(lab: Workspace) -> None:
    """3 networks x 2 losses x 3 portions x (plain, of two common spaces, of the one teacher of that loss)."""
    grid = {
        "grid.backbones": ("tiny", "iresnet18", "mobilefacenet"),
        "grid.losses": ("elastic_arcface", "adaface"),
        "grid.learn_from": ("real", "synthetic", "mixed"),
        "grid.relatives": ("eaf_kd",),
    }
    plan = expand(demo(**grid), "x", lab)
    roles = Counter(run.record.role for run in plan.runs)
    assert roles["student"] == 3 * 2 * 3 * (1 + 2 + 1)
    assert len({run.record.title for run in plan.runs}) == len(plan.runs)
    teachers = [run.record for run in plan.runs if run.record.title.startswith("Teacher of everyone")]
    assert {teacher.config.loss.name for teacher in teachers if teacher.config.loss} == {"elastic_arcface", "adaface"}
    by_id = {run.record.run_id: run.record for run in plan.runs}
    for run in plan.runs:
        parents = [by_id[name] for name in run.record.parents]
        one = [parent for parent in parents if parent in teachers]
        if run.record.role == "student" and one:
            assert run.record.config.loss is not None
            assert one[0].config.loss is not None
            assert run.record.config.loss.name == one[0].config.loss.name


def test_a_study_without_a_grid_is_what_it_was(lab: Workspace) -> None:
    assert students(demo(), lab) == [
        "Student EAF-KD (DLDPO, specialised)",
        "Student EAF-KD (DLDPO, balanced)",
        "Student without KD",
    ]


def test_students_are_taught_by_the_chosen_spaces_only(lab: Workspace) -> None:
    titles = students(demo(adaptors=("sl", "dul"), **{"grid.distil_from": ("dul",)}), lab)
    assert titles == ["Student EAF-KD (DuL, specialised)", "Student EAF-KD (DuL, balanced)", "Student without KD"]


def test_maps_of_the_first_seed_or_none(lab: Workspace) -> None:
    def maps(which: str) -> list[int]:
        plan = expand(demo(seeds=(3, 4), **{"grid.maps": which}), "x", lab)
        return [run.record.seed for run in plan.runs if run.record.role == "projection"]

    assert [maps(which) for which in ("all", "first seed", "none")] == [[3, 4], [3], []]


@pytest.mark.parametrize("unit", ["identities", "images"])
@pytest.mark.parametrize("share", [0.3, 0.125])
def test_the_size_of_a_mixture_is_known_before_it_is_made(
    tiny: Workspace, lab: Workspace, unit: str, share: float
) -> None:
    """From the settings of faces that do not exist yet, and from the tables of those that do: the same number."""
    study = changed(
        load_preset("tiny"), {"grid.learn_from": ("mixed",), "grid.mix_share": share, "grid.mix_unit": unit}
    )
    planned = [
        next(run for run in expand(study, "tiny", where).runs if run.record.title.startswith("Student without"))
        for where in (lab, tiny)
    ]
    assert planned[0].steps == planned[1].steps > 0
    recipe = next(
        run.record.config.recipe for run in expand(study, "tiny", tiny).runs if run.record.title == "Mixed faces"
    )
    assert isinstance(recipe, Recipe)
    training = study.student.training
    images = drawn_size(recipe, tiny.datasets_folder / "new")
    assert planned[0].steps == images // training.batch_size * training.epochs


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"grid.backbones": ("vgg",)}, "grid.backbones: there is no 'vgg'; choose one of: "),
        ({"grid.losses": ("triplet",)}, "grid.losses: there is no 'triplet'; choose one of: "),
        ({"grid.relatives": ("classifier",)}, "grid.relatives: there is no 'classifier'; choose one of: "),
        ({"grid.given": ("nobody",)}, "nobody"),
        (
            {"grid.learn_from": ("synthetic",), "demo.synthetic_identities": 0},
            "demo.synthetic_identities must be 2 or more",
        ),
        ({"grid.learn_from": ("synthetic",), "grid.synthetic": "none-such"}, "there is no data set 'none-such'"),
    ],
)
def test_what_the_grid_cannot_do_is_one_sentence(lab: Workspace, dials: dict[str, object], said: str) -> None:
    with pytest.raises(FairLabError) as refusal:
        expand(demo(**dials), "x", lab)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        (
            {"student.training.pair_identities": 8, "student.training.batch_size": 30},
            "pair_images is 32 and batch_size 30",
        ),
        (
            {"grid.training.eaf_kd.pair_identities": 8},
            "grid.training.eaf_kd: pair_identities x pair_images is 32 and batch",
        ),
        (
            {"grid.training.rkd.epochs": 3},
            "grid.training.rkd is set, and the study trains no rkd student; it trains: eaf_kd, ",
        ),
        ({"grid.training.eaf_kd.epocs": 3}, "there is no setting 'grid.training.eaf_kd.epocs'"),
        ({"grid.training.eaf_kd.epochs": "much"}, "grid.training.eaf_kd: epochs: Input should be a valid integer"),
        (
            {"grid.training.eaf_kd.epochs": None},
            "grid.training.eaf_kd.epochs: a number, or true or false, belongs here",
        ),
        (
            {"teacher.training.pair_identities": 151, "teacher.training.batch_size": 620},
            "Teacher Group A: training.pair_identities is 151, and 150 of its identities have two images or more",
        ),
    ],
)
def test_batches_with_pairs_that_cannot_be_are_one_sentence(
    lab: Workspace, dials: dict[str, object], said: str
) -> None:
    with pytest.raises(FairLabError) as refusal:
        expand(demo(**dials), "x", lab)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_training_settings_of_one_method_reach_its_students_alone(lab: Workspace) -> None:
    """Theirs are other runs with other steps: 6,000 images in steps of 16 general ones; everything else is as before."""
    relatives = {"grid.relatives": ("ekd", "rkd")}
    pairs = {"grid.training.ekd.pair_identities": 4, "grid.training.classifier.epochs": 3}
    before, after = (
        {run.record.title: run for run in expand(demo(**dials), "x", lab).runs}
        for dials in (relatives, relatives | pairs)
    )
    changed_titles = {title for title in before if before[title].record.run_id != after[title].record.run_id}
    assert changed_titles == {"Student EKD", "Student without KD", "Maps"}
    training = after["Student EKD"].record.config.training
    assert training is not None
    assert (training.pair_identities, training.general_rows) == (4, 16)
    assert after["Student EKD"].steps == 6000 // 16 * training.epochs
    assert before["Student EKD"].steps == 6000 // 32 * training.epochs
    assert after["Student without KD"].steps == 6000 // 32 * 3


def test_settings_of_a_preset_go_with_the_students_that_the_dials_take_away() -> None:
    """Or every other choice of relatives would need a second dial; what is asked for is still refused."""
    preset = load_preset("all_methods_demo")
    assert changed(preset, {"grid.relatives": ("rkd",)}).grid.training == {}
    assert changed(preset, {"grid.relatives": ("ekd",)}).grid.training == preset.grid.training
    with pytest.raises(FairLabError, match=r"grid\.training\.ekd is set, and the study trains no ekd student"):
        changed(preset, {"grid.relatives": ("rkd",), "grid.training.ekd.epochs": 3})


def test_given_models_and_other_faces_for_real(copy: Workspace) -> None:
    """Two trained teachers stand for models from elsewhere; students learn from synthetic and mixed faces; all are
    judged on the study's own pairs and stand in its table.
    """
    teachers = sorted(path.name for path in copy.runs_folder.glob("teacher-*"))
    study = changed(
        load_preset("tiny"),
        {
            "arms": (),
            "grid.given": tuple(teachers),
            "grid.relatives": ("eaf_kd",),
            "grid.learn_from": ("synthetic", "mixed"),
            "student.training.batch_size": 4,
            "student.training.epochs": 1,
            "teacher.training.epochs": 1,
            "grid.maps": "none",
        },
    )
    plan = expand(study, "tiny", copy)
    carry_out_all(copy, plan)
    study_id = plan.study_id
    table = compare(copy, study_id)
    assert sorted(table.loc[table["role"] == "student", "model"]) == sorted(
        f"Student {kind}"
        for portion in ("synthetic", "mixed")
        for kind in (f"EAF-KD (SL, given; {portion})", f"EAF-KD ({portion})", f"without KD ({portion})")
    )
    demo_name = next(path.name for path in copy.datasets_folder.glob("demo-*"))
    for run_id in table.loc[table["role"] == "student", "run_id"]:
        record = read_run(copy, run_id)
        assert (record.folder / "results" / demo_name / "manifest.json").exists()
    mixed = open_dataset(next(copy.datasets_folder.glob("mixed-*")))
    train = mixed.images[mixed.images["split"] == "train"]
    assert set(train["source"]) == {"real", "synthetic"}


def test_what_does_not_go_together_is_left_out_with_a_note(lab: Workspace) -> None:
    """Spaces that need a group's own teacher, over balanced ones; a classifier of other people, or none at all."""
    study = demo(
        adaptors=("own_teacher",),
        students=("proxyless_kd",),
        **{"grid.relatives": ("hinton_kd",), "grid.learn_from": ("real", "synthetic")},
    )
    plan = expand(study, "x", lab)
    assert plan.notes == (
        "Own teacher is left out over balanced teachers: it needs one teacher that is specialised on each group",
        "Student ProxylessKD (Own teacher, specialised; real) is left out: its teacher has no classifier to inherit",
        "Student ProxylessKD (Own teacher, specialised; synthetic) is left out: its teacher has no classifier to inherit",
        "Student Hinton-KD (synthetic) is left out: its teacher's classifier does not know the people of the synthetic faces",
    )
    assert [title for title in students(study, lab) if "without" not in title] == ["Student Hinton-KD (real)"]
    centroids = changed(
        study, {f"student.distillation.{name}.classifier": "centroids" for name in ("proxyless_kd", "hinton_kd")}
    )
    assert len(expand(centroids, "x", lab).notes) == 1


def test_students_are_judged_against_their_teacher_s_gallery(lab: Workspace) -> None:
    """Each against the space that taught it, the plain one against the same; none where lengths differ."""
    grid = {"grid.relatives": ("a_kd", "rkd"), "grid.cross_model": True}
    study = demo(arms=(), students=(), **grid)

    def crossed(study: Study) -> list[tuple[str, ...]]:
        plan = expand(study, "x", lab)
        titles = {run.record.run_id: run.record.title for run in plan.runs}
        return [
            tuple(titles[name] for name in run.record.parents) for run in plan.runs if run.record.role == "evaluation"
        ]

    assert crossed(study) == [
        ("Teacher of everyone", name) for name in ("Student a-KD", "Student RKD", "Student without KD")
    ]
    shorter = changed(study, {"student.backbone.embedding_dim": 32})
    assert crossed(shorter) == [("Teacher of everyone", "Student a-KD")]
    assert expand(shorter, "x", lab).notes == tuple(
        f"Student {name} is not evaluated against a gallery by Teacher of everyone: their embedding lengths are 32 and 64"
        for name in ("RKD", "without KD")
    )


def test_plain_students_of_every_loss_are_judged_against_the_teacher_of_that_loss(lab: Workspace) -> None:
    grid = {"grid.relatives": ("a_kd",), "grid.losses": ("arcface", "cosface"), "grid.cross_model": True}
    plan = expand(demo(arms=(), students=(), **grid), "x", lab)
    titles = {run.record.run_id: run.record.title for run in plan.runs}
    crossed = [[titles[name] for name in run.record.parents] for run in plan.runs if run.record.role == "evaluation"]
    assert crossed == [
        [f"Teacher of everyone ({loss})", f"Student {kind} ({loss})"]
        for loss in ("ArcFace", "CosFace")
        for kind in ("a-KD", "without KD")
    ]


def test_given_teachers_of_one_group_each_are_own_teachers(copy: Workspace) -> None:
    """Who is specialised on what is read from the runs; a given set is embedded once, whatever the seeds."""
    teachers = tuple(sorted(path.name for path in copy.runs_folder.glob("teacher-*")))
    dials = {"arms": (), "grid.given": teachers, "adaptors": ("own_teacher",), "students": (), "seeds": (0, 1)}
    plan = expand(changed(load_preset("tiny"), dials), "tiny", copy)
    assert plan.notes == ()
    assert [run.record.title for run in plan.runs].count("Embeddings (given)") == 1
    fewer = expand(changed(load_preset("tiny"), dials | {"grid.given": teachers[:1]}), "tiny", copy)
    assert "Own teacher is left out over given teachers" in fewer.notes[0]


def test_a_run_that_is_no_model_cannot_teach(copy: Workspace) -> None:
    data = next(path.name for path in copy.runs_folder.glob("demo-faces-*"))
    for grid in ({"grid.relatives": ("a_kd",)}, {}):
        study = changed(load_preset("tiny"), {"arms": (), "students": (), "grid.given": (data,), **grid})
        with pytest.raises(FairLabError, match=f"{data} is not a model: its role is dataset"):
            expand(study, "tiny", copy)


def test_people_held_out_are_held_out_of_every_run(lab: Workspace) -> None:
    """A fifth fewer images for teachers, adaptors and students; nothing where it is not asked for."""
    usual, fewer = expand(demo(), "x", lab), expand(demo(held_out=0.2), "x", lab)
    for before, after in zip(usual.runs, fewer.runs, strict=True):
        training = after.record.config.training
        if training is None:
            assert after.record.config.data.held_out is None
            continue
        assert (before.record.config.data.held_out, after.record.config.data.held_out) == (None, 0.2)
        images = 1200 if after.record.role == "teacher" else 4800
        assert after.steps == images // training.batch_size * training.epochs
