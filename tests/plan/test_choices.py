"""What a study may name, read without loading torch."""

from __future__ import annotations

import subprocess
import sys

from fairlab.plan.choices import common_spaces
from tests.conftest import ROOT


def test_every_common_space_and_what_it_needs() -> None:
    """Trained adaptors, and rules; who must know the group."""
    found = {name: (bool(facts.get("rule")), bool(facts.get("needs_group"))) for name, facts in common_spaces().items()}
    assert found == {
        "dldpo": (False, False),
        "dul": (False, False),
        "encoding": (False, True),
        "gate": (False, False),
        "mean": (True, False),
        "own_teacher": (True, True),
        "positioning": (False, True),
        "sl": (False, False),
    }


def test_a_plan_asks_without_loading_torch() -> None:
    code = "import sys; from fairlab.plan.choices import common_spaces as c; c(); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr[-2000:]
