"""Every run has a job: the table of roles and methods names functions that are there, and a worker loads only its own."""

from __future__ import annotations

import ast
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


def test_the_jobs_that_are_started_one_by_one_are_in_the_table() -> None:
    """Each call that starts a run of its own names its job by a role and a method, and a typing slip would show late."""
    named = set()
    for path in (ROOT / "fairlab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Run":
                given = {word.arg: word.value for word in node.keywords}
                role, method = given.get("role"), given.get("method")
                if isinstance(role, ast.Constant) and isinstance(method, ast.Constant):
                    named.add((role.value, method.value))
    assert len(named) > 5
    missing = {(role, method) for role, method in named if not {(role, method), (role, EVERY)} & JOBS.keys()}
    assert not missing


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
