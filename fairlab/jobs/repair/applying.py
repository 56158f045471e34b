"""A repair as it was fitted, on a table of scored pairs that is in no workspace."""

from __future__ import annotations

import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation.repair.base import REPAIRS, Scored
from fairlab.evaluation.score_frames import ScoredPairs
from fairlab.jobs.repair.fitted import made, read_fitted
from fairlab.jobs.repair.repairing import applied
from fairlab.store.runs import RunRecord


def apply_to_table(record: RunRecord, pairs: ScoredPairs) -> pd.DataFrame:
    """The pairs of a table with repaired scores: its columns, score replaced, and raw_score, the score before.

    group is taken as the reference's and other as the probe's. Raises FairLabError for a repair that needs embeddings, and for
    a group that its cohort lacks.
    """
    settings = record.config.repair
    if settings is None:
        raise FairLabError(f"{record.run_id} is not a repair; `fairlab repair MODEL --method M3` makes one")
    if REPAIRS[settings.name].facts.needs == "embeddings":
        raise FairLabError(
            f"{REPAIRS[settings.name].facts.title} needs embeddings, and a table has scores only: apply it to a data set "
            "(--data DATA)"
        )
    fitted = read_fitted(record.folder)
    frame = pairs.frame
    test = Scored(
        frame["score"].to_numpy(dtype=float),
        probe_groups=frame["other"].to_numpy(dtype=str),
        reference_groups=frame["group"].to_numpy(dtype=str),
    )
    scores = applied(made(settings), fitted, test)
    return frame.assign(raw_score=frame["score"], score=scores)
