"""Every run has a job: the table of roles and methods names functions that are there, and a worker loads only its own."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from fairlab.errors import FairLabError
from fairlab.jobs.roles import EVERY, JOBS, function_of
from fairlab.plan import records
from fairlab.plan.plan import single
from fairlab.settings.study import Data, Role, Run
from fairlab.workspace import Workspace
from tests.conftest import ROOT


@pytest.mark.parametrize(("role", "method"), JOBS)
def test_every_entry_is_a_function(lab: Workspace, role: Role, method: str) -> None:
    record = single(lab, "A run", Run(role=role, method=method or "any", data=Data()), ())
    assert callable(function_of(record))


def test_every_role_has_a_job() -> None:
    assert {role for role, _ in JOBS} == set(get_args(Role))


def test_the_methods_that_plans_name_have_jobs() -> None:
    assert ("evaluation", records.METHOD) in JOBS
    assert {("model", method) for method in records.WITHOUT_NETWORK} <= JOBS.keys()
    assert ("projection", EVERY) in JOBS


def test_a_method_that_nobody_does_is_refused_with_those_there_are(lab: Workspace) -> None:
    record = single(lab, "A run", Run(role="dataset", method="knit", data=Data()), ())
    with pytest.raises(FairLabError, match="no job of role dataset does 'knit'; choose one of: add, inspect, overlap"):
        function_of(record)


def test_a_job_about_data_loads_no_torch() -> None:
    """Its worker would wait seconds for nothing."""
    modules = {place.partition(":")[0] for (role, _), place in JOBS.items() if role == "dataset"}
    code = (
        f"import sys, {', '.join(sorted(modules))}; print({{'torch', 'umap', 'numba', 'sklearn'}} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr[-2000:]
