"""What is behind the rates at the operating point, the same on Verification and Fairness: pairs and people."""

from __future__ import annotations

from collections.abc import Sequence

from fairlab.data.dataset import Dataset
from fairlab.evaluation.operating import OperatingPoint
from fairlab.store.runs import RunRecord
from fairlab.ui.frame.pickers import title_of
from fairlab.ui.judge import pairs, people
from fairlab.ui.judge.evidence import Evidence
from fairlab.workspace import Workspace


def sections(
    lab: Workspace,
    found: Evidence,
    point: OperatingPoint,
    models: Sequence[RunRecord],
    data: Dataset,
    by: Sequence[str],
) -> None:
    """The errors as pairs of faces, and whose they are."""
    titles = {model.run_id: title_of(model, models) for model in models}
    asked = pairs.Asked(lab, found, point, data, models, titles, tuple(by))
    pairs.section(asked)
    people.section(asked)
