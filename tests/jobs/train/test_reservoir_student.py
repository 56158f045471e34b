"""A student that learns little, taught by CLIP-Embed-KD over a common space and by CLIP-Teacher-KD: data to numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from fairlab.api import Lab
from fairlab.cli.main import main
from fairlab.models.backbones.patch_echo import drawn
from fairlab.models.files.checkpoints import load_learner
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.settings.backbone import PatchEchoSettings
from fairlab.settings.study import changed
from fairlab.store.results import read_results
from fairlab.workspace import Workspace
from tests.in_process import carry_out_all
from tests.test_pages import fine, opened

SETTINGS = {"patch_px": 8, "token_dim": 6, "units": 20}
FEW = {
    "demo.train_identities": 6, "demo.train_images": 4, "demo.validation_identities": 2, "demo.test_identities": 6,
    "demo.test_images": 4, "demo.test_pairs": 20, "demo.validation_pairs": 10, "demo.synthetic_identities": 0,
    "students": ("clip_embed_kd",), "grid.relatives": ("clip_teacher_kd",), "plain_student": False, "concatenation": False,
    "grid.maps": "none", "evaluation.bootstrap": 100, "student.backbone.name": "patch_echo",
    **{f"student.backbone.{name}": value for name, value in SETTINGS.items()},
    "student.distillation.clip_embed_kd.centroid_images": 2, "student.training.ema_decay": 0.9,
    **{f"{part}.training.{name}": value for part in ("teacher", "adaptor", "student")
       for name, value in (("epochs", 1), ("drop_epochs", ()))},
}  # fmt: skip
L, D, N, DIMS = 16, 6, 20, 16
TRAINED = 3 * 8**2 * D + D + L * D + 2 * D + 2 * 2 * N + 2 * N * DIMS + DIMS
FROZEN = N * D + N**2 + N


def test_it_learns_is_judged_and_says_what_of_it_learnt(
    lab: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights on the disk, the table of models, the Python API, the command and the page agree; the reservoir is as it was drawn."""
    plan = expand(changed(load_preset("tiny"), FEW), "tiny", lab)
    assert plan.notes == ()
    carry_out_all(lab, plan)
    students = [run.record for run in plan.runs if run.record.role == "student"]
    assert {record.method for record in students} == {"clip_embed_kd", "clip_teacher_kd"}
    fixed = drawn(PatchEchoSettings(embedding_dim=DIMS, patch_px=8, token_dim=D, units=N))
    for record in students:
        network, facts = load_learner(record.folder / "weights")
        names = ("input.weight", "input.bias", "recurrent.weight")
        kept = [network.get_parameter(f"reservoir.{name}") for name in names]
        assert all(torch.equal(one, two) for one, two in zip(kept, fixed, strict=True))
        assert (facts["trained_parameters"], facts["frozen_parameters"]) == (TRAINED, FROZEN)
        table = read_results(record.folder, record.dataset, "metrics")
        assert np.isfinite(table.loc[table["metric"] == "accuracy", "value"].to_numpy(float)).all()
    assert any(record.parents[0].startswith("common-space") for record in students)
    api = Lab(lab).models
    row = api.table().set_index("run_id").loc[students[0].run_id]
    assert row[["network", "trained_parameters", "frozen_parameters"]].tolist() == ["patch_echo", TRAINED, FROZEN]
    assert row["flops"] == 2 * (L * D * 3 * 8**2 + (L + 2) * (N * D + N**2) + 2 * N * DIMS)
    about = api[students[0].run_id].about
    assert about["frozen_parameters"] == FROZEN
    capsys.readouterr()
    assert main(["--home", str(lab.home), "models", "show", students[0].run_id]) in (None, 0)
    assert f"frozen parameters: {FROZEN:,}" in capsys.readouterr().out
    assert main(["--home", str(lab.home), "models", "show", students[0].run_id, "--json"]) in (None, 0)
    assert json.loads(capsys.readouterr().out) == about
    page = opened(monkeypatch, lab, "models")
    fine(page)
    shown = page.dataframe[0].value.set_index("Run").loc[students[0].run_id]
    assert shown[["Parameters trained", "Parameters frozen", "FLOPs"]].tolist() == [TRAINED, FROZEN, row["flops"]]
