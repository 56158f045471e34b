"""Every method, from data to numbers, whatever the number of groups: nothing knows that there are four."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab.plan import choices
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.settings.study import changed
from fairlab.store.results import read_results
from fairlab.store.runs import SPACES
from fairlab.workspace import Workspace
from tests.in_process import carry_out_all


@pytest.mark.parametrize("count", [1, 5])  # two: the tiny study
def test_every_method_and_common_space_with_any_number_of_groups(lab: Workspace, count: int) -> None:
    """One pass each, in this process, in the order of the plan; all are judged on every group, all numbers are finite."""
    groups = tuple(f"Group {number}" for number in range(count))
    faces = {
        "train_identities": 6,
        "train_images": 4,
        "validation_identities": 2,
        "test_identities": 6,
        "test_images": 4,
    }
    pairs = {"test_pairs": 20, "validation_pairs": 10, "synthetic_identities": 0, "groups": groups}
    study = changed(
        load_preset("tiny"),
        {
            **{f"demo.{name}": value for name, value in (faces | pairs).items()},
            "adaptors": tuple(choices.common_spaces()),
            "students": ("a_kd", "eaf_kd", *choices.methods_of_teachers()),
            "student.distillation.mst_distill.warm_epochs": 0,
            "grid.distil_from": ("sl",),
            "grid.relatives": tuple(choices.student_methods()),
            "grid.cross_model": True,
            "grid.maps": "none",
            "teacher.training.epochs": 1,
            "teacher.training.drop_epochs": (),
            "adaptor.training.epochs": 1,
            "adaptor.training.drop_epochs": (),
            "student.training.epochs": 1,
            "student.training.drop_epochs": (),
            "evaluation.bootstrap": 100,
        },
    )
    plan = expand(study, "tiny", lab)
    assert plan.notes == ()
    seen = set()
    carry_out_all(lab, plan)
    for run in plan.runs:
        if run.record.role in SPACES:
            seen.add(run.record.method)
            metrics = read_results(run.record.folder, run.record.dataset, "metrics")
            accuracy = metrics[(metrics["metric"] == "accuracy") & (metrics["protocol"] == "test")]
            assert set(groups) <= set(accuracy["group"])
            assert np.isfinite(accuracy["value"].astype(float)).all()
    assert seen >= {
        "classifier",
        "common_space",
        *choices.all_student_methods(),
        "mean",
        "own_teacher",
        "concatenation",
    }
