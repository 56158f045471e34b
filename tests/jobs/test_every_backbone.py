"""Every kind of network that can be trained, as a student by the command: a few steps, embedded and judged."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from fairlab.models.base import BACKBONES
from fairlab.models.files.checkpoints import load_learner
from fairlab.models.files.layouts import recognise
from fairlab.models.shapes import shapes_only
from fairlab.plan import choices
from fairlab.settings.backbone import backbone_settings
from fairlab.store.database import list_runs
from fairlab.store.results import read_results
from fairlab.workspace import Workspace
from tests.conftest import command
from tests.thorough import THOROUGH

KINDS = {"patch_echo", "mbf", "edgeface_xxs", "ghostfacenet_v1_s2", "ghostfacenet_v2_s2", "tiny"}
"""The small ones; with FAIRLAB_THOROUGH=1 every network, as checkpoints of 100 MB take their time. That the others learn is
tested in tests/models/test_contract.py."""
TRAINED = [name for name in choices.backbones() if name in KINDS or THOROUGH]
SHORT = {
    "demo.train_identities": 4, "demo.train_images": 3, "demo.validation_identities": 5, "demo.test_identities": 4,
    "demo.test_images": 3, "demo.synthetic_identities": 0, "demo.test_pairs": 10, "demo.validation_pairs": 10, "demo.hard_impostors": 1,
    "students": ["a_kd"], "plain_student": False, "grid.maps": "none", "grid.backbones": TRAINED, "evaluation.bootstrap": 100,
    "teacher.training.epochs": 1, "teacher.training.drop_epochs": [], "adaptor.training.epochs": 1, "adaptor.training.drop_epochs": [],
    "student.training.epochs": 1, "student.training.drop_epochs": [], "student.training.batch_size": 8,
    "student.training.base_lr": 0.01,
}  # fmt: skip


@pytest.mark.usefixtures("here")
def test_each_learns_embeds_and_is_judged_by_one_command(lab: Workspace) -> None:
    """One study, the network being what its students differ in. Two steps; what they learn is tested elsewhere."""
    dials = [
        f"--set={name}={json.dumps(value) if not isinstance(value, str) else value}" for name, value in SHORT.items()
    ]
    result = command(lab.home, "launch", "tiny", *dials)
    assert result.returncode == 0, result.stdout + result.stderr
    runs = list_runs(lab)
    students = runs[runs["role"] == "student"]
    assert set(students["status"]) == {"done"}, students[["title", "reason"]].to_dict("records")
    trained = {}
    for run_id in students["run_id"]:
        network, facts = load_learner(lab.run(run_id) / "weights")
        trained[facts["settings"]["name"]] = network
        table = read_results(lab.run(run_id), students["dataset"].iloc[0], "metrics")
        accuracy = table[(table["protocol"] == "test") & (table["metric"] == "mean_accuracy")]["value"]
        assert len(accuracy)
        assert np.isfinite(accuracy.to_numpy(float)).all()
    assert set(trained) == set(TRAINED)
    for name, network in trained.items():
        assert all(bool(torch.isfinite(tensor).all()) for tensor in network.state_dict().values()), name


def test_the_families_of_the_models_page_are_those_that_are_recognised() -> None:
    """Of each family the smallest network: the keys of its own weights are recognised, and those for training alone are not."""
    of_family: dict[str, str] = {}
    for name in BACKBONES.names():
        title, known = str(BACKBONES.facts(name)["title"]), choices.published_families()
        matching = [family for family in known if choices.family(title) == family]
        assert len(matching) == (not BACKBONES.facts(name).get("no_files")), name
        label = matching[0] if matching else title
        of_family[label] = min(name, of_family.get(label, name), key=lambda name: BACKBONES.facts(name)["parameters"])
    for name in of_family.values():
        if BACKBONES.facts(name)["parameters"] > 8e6 and not THOROUGH:
            continue  # seconds each, even without their weights
        with shapes_only():
            state = BACKBONES[name](backbone_settings(name), 112).state_dict()
        found = recognise({key: tuple(tensor.shape) for key, tensor in state.items()}, name)
        assert (found is None) == bool(BACKBONES.facts(name).get("no_files")), name


@pytest.mark.parametrize("name", ["cvlface_vit_s_kprpe", "timm_vit_b16_clip"])
def test_networks_of_files_alone_cannot_be_trained(lab: Workspace, name: str) -> None:
    result = command(lab.home, "launch", "tiny", "--set", f"student.backbone.name={name}", "--dry-run")
    assert result.returncode != 0
    assert f"there is no '{name}'; choose one of" in " ".join(result.stderr.split())
