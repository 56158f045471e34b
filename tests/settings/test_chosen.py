"""Settings that a name chooses: each loss and method has its own, keeps what another one shares, and refuses the rest."""

from __future__ import annotations

from typing import Any

import pytest

from fairlab.errors import FairLabError
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.registry import declared_facts
from fairlab.settings.backbone import OWN, Backbone, PatchEchoSettings, backbone_settings
from fairlab.settings.distillation import DISTILLATIONS, OF_TEACHERS, Distillations, EAFKDSettings
from fairlab.settings.loss import LOSSES, AdaFaceSettings, ArcFaceSettings, ElasticArcFaceSettings, for_loss
from fairlab.settings.study import Data, Run, Study, changed, laid_over, parse
from fairlab.workspace import Workspace

STUDY = {"dataset": "d"}


def study(**dials: Any) -> Study:
    return changed(parse(Study, STUDY, "test"), dials)


def test_the_defaults_are_each_papers() -> None:
    """The figures that a reader would look up in each paper."""
    margins = {
        name: getattr(kind(), "margin_cos", getattr(kind(), "margin_rad", None)) for name, kind in LOSSES.items()
    }
    assert margins == {
        "adaface": 0.4, "arcface": 0.5, "cosface": 0.35, "curricularface": 0.5, "elastic_arcface": 0.5,
        "elastic_arcface_plus": 0.5, "elastic_cosface": 0.35, "elastic_cosface_plus": 0.35, "magface": None,
        "norm_softmax": None,
    }  # fmt: skip
    weights = {name: getattr(kind(), "kd_weight", None) for name, kind in DISTILLATIONS.items()}
    assert weights == dict.fromkeys(DISTILLATIONS, 1.0) | {
        "a_kd": 10_000, "eaf_kd": 10_000, "proxyless_kd": 0, "adadistill": None, "margin_distillation": None,
        "clip_embed_kd": 0.5, "clip_teacher_kd": 0.5,
    }  # fmt: skip


def test_what_can_be_set_is_registered() -> None:
    """Every loss has settings; of methods those that learn from one space may, and a new one does without."""
    assert list(declared_facts("LOSSES", "losses")) == list(LOSSES)
    methods = declared_facts("METHODS", "methods")
    of_teachers = {n for n, facts in methods.items() if facts["parents"] == "teachers" and "student" in facts["roles"]}
    assert set(OF_TEACHERS) == of_teachers
    assert set(DISTILLATIONS) <= of_teachers | {n for n, facts in methods.items() if facts.get("parents") == "space"}
    assert set(Distillations.model_fields) == set(DISTILLATIONS)
    for name, kind in DISTILLATIONS.items():
        assert Distillations().of(name) == kind()
        assert ("classifier" in kind.model_fields) == bool(methods[name].get("inherits"))
    assert Distillations().of("classifier") is None


@pytest.mark.parametrize("name", list(LOSSES))
def test_the_name_chooses_the_settings(name: str) -> None:
    found = study(**{"student.loss.name": name}).student.loss
    assert found == LOSSES[name]()
    assert parse(Study, {**STUDY, "student": {"loss": {"name": name}}}, "test").student.loss == found


def test_a_table_without_a_name_is_the_usual_loss() -> None:
    found = parse(Study, {**STUDY, "teacher": {"loss": {"scale": 32}}}, "test")
    assert found.teacher.loss == ElasticArcFaceSettings(scale=32.0)


def test_the_name_chooses_the_settings_of_a_network() -> None:
    """Any name without settings of its own is taken by one class; a table without a name is the usual network."""
    for name in (*OWN, "tiny", "mbf", "of_tomorrow"):
        found = study(**{"student.backbone.name": name}).student.backbone
        assert found == backbone_settings(name)
        assert type(found) is OWN.get(name, Backbone)
        assert parse(Study, {**STUDY, "student": {"backbone": {"name": name}}}, "test").student.backbone == found
    assert parse(Study, {**STUDY, "teacher": {"backbone": {"dropout": 0.4}}}, "t").teacher.backbone == Backbone(
        dropout=0.4
    )
    with pytest.raises(ValueError, match="patch_echo has settings of its own: name, embedding_dim, patch_px"):
        Backbone(name="patch_echo")


@pytest.mark.parametrize("turned", [False, True])
def test_another_network_keeps_what_was_set_and_both_know(turned: bool) -> None:
    """The length stays, widths and dropout go; there and back; in any order of dials; in a preset too."""
    before = study(
        **{"student.backbone.name": "tiny", "student.backbone.embedding_dim": 64, "student.backbone.widths": (4, 8)}
    )
    dials = {"student.backbone.name": "patch_echo", "student.backbone.patch_px": 8}
    after = changed(before, dict(reversed(dials.items())) if turned else dials)
    assert after.student.backbone == PatchEchoSettings(embedding_dim=64, patch_px=8)
    back = changed(after, {"student.backbone.name": "mbf"}).student.backbone
    assert back == Backbone(name="mbf", embedding_dim=64)
    same = changed(before, {"student.backbone.name": "mbf"}).student.backbone
    assert same == Backbone(name="mbf", embedding_dim=64, widths=(4, 8))
    assert (
        laid_over(before.model_dump(), {"student": {"backbone": {"name": "patch_echo"}}})["student"]["backbone"]
        == PatchEchoSettings(embedding_dim=64).model_dump()
    )
    whole = {"student.backbone": {"name": "patch_echo"}, "student.backbone.units": 64}
    assert changed(before, whole).student.backbone == PatchEchoSettings(units=64)


def test_a_grid_of_networks_gives_each_its_settings(lab: Workspace) -> None:
    dials = {"grid.backbones": ("tiny", "patch_echo", "iresnet50"), "students": (), "arms": (), "adaptors": ()}
    plan = expand(changed(load_preset("tiny"), dials), "tiny", lab)
    found = {
        run.record.config.backbone.name: run.record.config.backbone for run in plan.runs if run.record.config.backbone
    }
    assert found["patch_echo"] == PatchEchoSettings(embedding_dim=16)
    assert found["tiny"] == Backbone(name="tiny", embedding_dim=16, widths=(8, 12, 16))
    assert found["iresnet50"] == Backbone(name="iresnet50", embedding_dim=16, widths=(8, 12, 16), dropout=0.4)


@pytest.mark.parametrize("turned", [False, True])
def test_another_loss_keeps_what_was_set_and_both_know(turned: bool) -> None:
    """Scale and margin stay, the spread goes, and what stood at its default becomes the other's; in any order of dials."""
    before = study(**{"student.loss.scale": 24.0, "student.loss.margin_rad": 0.25, "student.loss.sigma_rad": 0.0125})
    dials = {"student.loss.name": "arcface", "student.loss.sample_rate": 0.5}
    after = changed(before, dict(reversed(dials.items())) if turned else dials).student.loss
    assert after == ArcFaceSettings(scale=24.0, margin_rad=0.25, sample_rate=0.5)
    assert changed(before, {"student.loss.name": "adaface"}).student.loss == AdaFaceSettings(scale=24.0)
    for name in LOSSES:
        other = changed(before, {"student.loss.name": name})
        assert changed(other, {"student.loss.name": name}) == other


def test_a_setting_is_not_carried_to_one_that_only_has_its_name() -> None:
    """compat of the + losses is an order of margins, of AdaFace a loss that is CosFace; ema_weight is of lengths or cosines."""
    plus = study(**{"student.loss.name": "elastic_arcface_plus", "student.loss.compat": True})
    assert changed(plus, {"student.loss.name": "adaface"}).student.loss == AdaFaceSettings()
    assert changed(plus, {"student.loss.name": "elastic_cosface_plus"}).student.loss.compat is True
    curricular = study(**{"student.loss.name": "curricularface", "student.loss.ema_weight": 0.5})
    assert changed(curricular, {"student.loss.name": "adaface"}).student.loss == AdaFaceSettings()


def test_a_loss_given_whole_takes_single_settings_too() -> None:
    dials = {"student.loss": {"name": "adaface"}, "student.loss.margin_cos": 0.3}
    assert study(**dials).student.loss == AdaFaceSettings(margin_cos=0.3)


def test_losses_of_three_parts_change_at_once() -> None:
    dials = {f"{part}.loss.name": "arcface" for part in ("teacher", "adaptor", "student")}
    found = study(**dials)
    assert found.teacher.loss == found.adaptor.loss == found.student.loss == ArcFaceSettings()


def test_a_preset_that_names_another_loss_brings_its_settings() -> None:
    whole = {"loss": ElasticArcFaceSettings(scale=24.0, sigma_rad=0.01).model_dump(), "name": "x"}
    assert laid_over(whole, {"loss": {"name": "arcface", "margin_rad": 0.3}}) == {
        "loss": ArcFaceSettings(scale=24.0, margin_rad=0.3).model_dump(),
        "name": "x",
    }
    assert laid_over(whole, {"loss": {"scale": 8.0}})["loss"] == {**whole["loss"], "scale": 8.0}  # type: ignore[dict-item]


def test_names_that_are_no_loss_are_left_to_be_refused() -> None:
    for name in ("triplet", None, [], {}, 3):
        assert for_loss(ArcFaceSettings().model_dump(), name) == {"name": name}


MST = "student.distillation.mst_distill"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"student.loss.name": "arcface", "student.loss.sigma_rad": 0.1},
     "student.loss.sigma_rad: arcface has no setting 'sigma_rad'; it knows: scale, sample_rate, margin_rad"),
    ({"student.loss.margin_red": 0.1}, "(did you mean 'margin_rad'?)"),
    ({"student.loss.name": "arcfase"}, "there is no 'arcfase'; choose one of: adaface, arcface, cosface"),
    ({"student.loss.name": "arcfase"}, "(did you mean 'arcface'?)"),
    ({"student.loss.name": "adaface", "student.loss.compat": True, "student.loss.ema_weight": 0.5},
     "adaface with compat has an ema_weight of 1"),
    ({"student.loss.name": "magface", "student.loss.norm_low": 500}, "student.loss: magface needs norm_low below norm_high"),
    ({"student.distillation.eaf_kd.temperature": 3}, "eaf_kd has no setting 'temperature'; it knows: view, online, kd_weight"),
    ({"student.distillation.kd_weight": 3}, "there is no setting 'student.distillation.kd_weight'; known here: a_kd, eaf_kd"),
    ({"student.distillation.hinton_kd.temperature": 3},
     "student.distillation.hinton_kd is set, and the study trains no hinton_kd student; it trains: eaf_kd"),
    ({"student.distillation.eaf_kd.online": True, "student.distillation.eaf_kd.view": "mean"}, "leave view at plain"),
    ({"grid.relatives": ("proxyless_kd",), "student.distillation.proxyless_kd.online": True},
     "proxyless_kd reads targets only with a kd_weight above 0"),
    ({"grid.relatives": ("clip_embed_kd",), "student.distillation.clip_embed_kd.view": "mean"},
     "clip_embed_kd learns from the identities' mean embeddings and reads no target of an image"),
    ({"grid.relatives": ("clip_embed_kd",), "student.distillation.clip_embed_kd.centroid_images": 0},
     "student.distillation.clip_embed_kd.centroid_images: Input should be greater than or equal to 1"),
    ({"grid.relatives": ("clip_embed_kd",), "student.distillation.clip_embed_kd.soft_targets": False},
     "clip_embed_kd has no setting 'soft_targets'; it knows: view, online, kd_weight, contrast_scale"),
    ({"student.backbone.name": "tiny", "student.backbone.patch_px": 8},
     "student.backbone.patch_px: tiny has no setting 'patch_px'; it knows: embedding_dim, widths, dropout"),
    ({"student.backbone.name": "patch_echo", "student.backbone.widths": (4,)},
     "student.backbone.widths: patch_echo has no setting 'widths'; it knows: embedding_dim, patch_px, token_dim"),
    ({"student.backbone.name": "patch_echo", "student.backbone.leak": 0},
     "student.backbone.leak: Input should be greater than 0"),
    ({"student.backbone": 3}, "student.backbone: Input should be a valid dictionary"),
    ({"grid.loss.cosface.margin_cos": 0.3}, "grid.loss.cosface is set, and grid.losses does not name 'cosface'; it names: none"),
    ({"grid.losses": ("adaface",), "grid.loss.adaface.margin_rad": 0.3},
     "grid.loss.adaface.margin_rad: adaface has no setting 'margin_rad'; it knows: scale, sample_rate, margin_cos"),
    ({"grid.losses": ("adaface",), "grid.loss.adaface.name": 0.3}, "adaface has no setting 'name'"),
    ({"grid.losses": ("adaface",), "grid.loss.adaface.margin_cos": 3}, "grid.loss.adaface: margin_cos: Input should be less"),
    ({"grid.losses": ("adaface",), "grid.loss.adaface": 3}, "grid.loss.adaface"),
    ({"student.loss": 3}, "student.loss: a table with a name belongs here; the names are: adaface"),
    ({"student.loss.name": "adafac", "student.loss.margin_cos": 0.3}, "(did you mean 'adaface'?)"),
    ({"grid.losses": ("adaface",), "grid.loss.adaface.margin_cos": "much"},
     "grid.loss.adaface.margin_cos: a number, or true or false, belongs here"),
    ({"adaptor.adaptor.name": "dul"}, "adaptor.adaptor.name is not used in a study: name the common spaces in adaptors"),
    ({"adaptor.adaptor.dropout": 0.5}, "only dldpo uses adaptor.adaptor.dropout, and it is not among adaptors"),
    ({"adaptor.adaptor.hidden_dim": 64}, "only dul and dldpo use adaptor.adaptor.hidden_dim, and they are not among adaptors"),
    ({"adaptors": ("sl", "dldpo"), "adaptor.adaptor.top_k": 2}, "only gate uses adaptor.adaptor.top_k"),
    ({"student.training.epocs": 3}, "(did you mean 'epochs'?)"),
    ({"students": ("mst_distill",), "arms": ()},
     "students: mst_distill learns from all teachers of an arm, and there are none: choose arms, or name models in grid.given"),
    ({"grid.relatives": ("mst_distill",)},
     "grid.relatives: mst_distill learns from all teachers of an arm, not from one: name it in students"),
    ({"students": ("mst_distill",), f"{MST}.warm_epochs": 52},
     "mst_distill routes only after 52 epochs (warm_epochs and mask_epochs), and the training has 52: raise training.epochs"),
    ({"students": ("mst_distill",), f"{MST}.mask": "mlp", f"{MST}.mask_epochs": 51}, "mst_distill routes only after 52 epochs"),
    ({"students": ("mst_distill",), f"{MST}.mask_epochs": 2}, "mask_epochs is used only with masks: choose mask diagonal or mlp"),
    ({"students": ("mst_distill",), f"{MST}.surest_temperature": 2}, "is used only with gate_learns right"),
    ({"students": ("mst_distill",), f"{MST}.balance": "cv", f"{MST}.as_published": True}, "as_published is about the balance kl"),
    ({f"{MST}.top_k": 2}, "student.distillation.mst_distill is set, and the study trains no mst_distill student"),
]  # fmt: skip


@pytest.mark.parametrize(("dials", "said"), REFUSED, ids=[said[:60] for _, said in REFUSED])
def test_what_would_do_nothing_is_refused_in_one_sentence(dials: dict[str, Any], said: str) -> None:
    with pytest.raises(FairLabError) as refusal:
        study(**dials)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_with_a_setting_of_another_loss_is_refused_with_the_same_words() -> None:
    values = {**STUDY, "teacher": {"loss": {"name": "arcface", "sigma_rad": 0.1}}}
    with pytest.raises(
        FairLabError, match=r"^mine\.toml: teacher\.loss\.sigma_rad: arcface has no setting 'sigma_rad'; it knows"
    ):
        parse(Study, values, "mine.toml")
    with pytest.raises(
        FairLabError, match=r"student\.distillation\.cc\.tau: cc has no setting 'tau'; it knows: view, online"
    ):
        parse(Study, {**STUDY, "student": {"distillation": {"cc": {"tau": 1}}}}, "mine.toml")


def test_each_method_of_a_study_has_its_own_table() -> None:
    found = study(
        **{
            "grid.relatives": ("hinton_kd", "grouped_kd"),
            "student.distillation.hinton_kd.temperature": 3,
            "student.distillation.grouped_kd.temperature": 2,
            "student.distillation.eaf_kd.kd_weight": 5_000,
        }
    )
    tables = found.student.distillation
    assert (tables.hinton_kd.temperature, tables.grouped_kd.temperature) == (3.0, 2.0)
    assert tables.eaf_kd == EAFKDSettings(kd_weight=5_000.0)


def test_a_distillation_without_a_name_is_refused_with_the_names() -> None:
    with pytest.raises(FairLabError, match="distillation: a table with a name belongs here; the names are: a_kd"):
        parse(Run, {"role": "student", "method": "a_kd", "data": {}, "distillation": {}}, "run.json")


def test_an_adaptor_that_is_named_has_its_settings() -> None:
    found = study(**{"adaptors": ("dldpo", "gate"), "adaptor.adaptor.dropout": 0.5, "adaptor.adaptor.top_k": 2})
    assert (found.adaptor.adaptor.dropout, found.adaptor.adaptor.top_k) == (0.5, 2)


def test_the_name_is_written_also_where_only_differences_are() -> None:
    """Or two losses with nothing but defaults would be the same run."""
    run = Run(role="student", method="eaf_kd", data=Data(), loss=ArcFaceSettings(), distillation=EAFKDSettings())
    dump = run.model_dump(mode="json", exclude_defaults=True)
    assert dump["loss"] == {"name": "arcface"}
    assert dump["distillation"] == {"name": "eaf_kd"}
    assert "backbone" not in dump
    reservoir = Run(role="student", method="a_kd", data=Data(), backbone=PatchEchoSettings())
    assert reservoir.model_dump(mode="json", exclude_defaults=True)["backbone"] == {"name": "patch_echo"}
    usual = Run(role="student", method="a_kd", data=Data(), backbone=Backbone())
    assert usual.model_dump(mode="json", exclude_defaults=True)["backbone"] == {}  # as it was when ids were first given
    assert parse(Run, dump, "test") == run
    assert parse(Run, run.model_dump(mode="json"), "test") == run
