"""The table of common spaces that a plan asks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fairlab.config import Adaptor, Data, Run
from fairlab.errors import FairLabError
from fairlab.registry import declared_facts
from fairlab.runs.common_spaces import common_space, common_spaces, needs_group
from tests.conftest import ROOT


def test_all_adaptors_and_all_spaces_without_parameters_are_in_it() -> None:
    """Name, role and method as a run of it has them; who needs groups."""
    found = {name: (kind.role, kind.method, kind.trains, kind.needs_group) for name, kind in common_spaces().items()}
    assert found == {
        "dldpo": ("adaptor", "common_space", True, False),
        "dul": ("adaptor", "common_space", True, False),
        "encoding": ("adaptor", "common_space", True, True),
        "gate": ("adaptor", "common_space", True, False),
        "positioning": ("adaptor", "common_space", True, True),
        "sl": ("adaptor", "common_space", True, False),
        "concatenation": ("baseline", "concatenation", False, False),
        "mean": ("baseline", "mean", False, False),
        "own_teacher": ("baseline", "own_teacher", False, True),
    }
    with pytest.raises(FairLabError, match="no common space 'mlp'; choose one of: dldpo, dul, "):
        common_space("mlp")


def test_facts_read_without_importing_are_those_registered() -> None:
    from fairlab.methods.base import METHODS
    from fairlab.models.base import ADAPTORS

    for name, facts in declared_facts("ADAPTORS", "models").items():
        assert facts == ADAPTORS.facts(name)
    for name, facts in declared_facts("METHODS", "methods").items():
        assert facts == METHODS.facts(name)


def test_what_a_run_needs_is_that_of_its_adaptor_or_method() -> None:
    def run(method: str, adaptor: str = "") -> Run:
        found = Adaptor(name=adaptor) if adaptor else None
        return Run(role="adaptor", method=method, data=Data(), adaptor=found)

    assert needs_group(run("common_space", "encoding"))
    assert needs_group(run("own_teacher"))
    assert not needs_group(run("common_space", "gate"))
    assert not needs_group(run("classifier"))


def test_a_plan_asks_without_loading_torch() -> None:
    code = "import sys; from fairlab.runs.common_spaces import common_spaces as c; c(); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr[-2000:]
