"""A handle of a model's repaired scores: the numbers of a model, and what the repair was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fairlab.api.model import Model
from fairlab.api.run import placed
from fairlab.settings.placement import Placement
from fairlab.store.runs import read_run

if TYPE_CHECKING:
    from fairlab.evaluation.score_frames import ScoredPairs


class Repaired(Model):
    """A model whose scores were repaired without training. scores(), metrics(), fairness(), roc() are those after the repair.

    >>> after = model.repair("M3").wait()
    >>> after.difference(at_fmr=0.01)
    """

    @property
    def before(self) -> Model:
        """The model whose scores were repaired."""
        return Model(self._workspace, self.record.parents[0])

    @property
    def fit(self) -> dict[str, Any]:
        """What the repair was fitted on: cohort, people (by group), images, genuine_pairs, impostor_pairs, checks, notes.

        checks: against whom the cohort was compared, and how many people are in both. Empty before the job is done.

        >>> after.fit["people"]
        {'Group A': 20, 'Group B': 20}
        """
        from fairlab.jobs.repair.fitted import read_facts

        return read_facts(self.folder)

    @property
    def fitted(self) -> dict[str, np.ndarray]:
        """What the repair learnt, arrays by name: means and deviations of groups, curves, cluster centres, or the cohort itself.

        Raises FairLabError before the job is done.

        >>> after.fitted["mean"]
        """
        from fairlab.jobs.repair.fitted import read_fitted

        return dict(read_fitted(self.folder).arrays)

    def difference(self, at_fmr: float = 0.01, dataset: str = "", pairs: str = "test") -> pd.DataFrame:
        """After minus before, on the same pairs with the same resampled people.

        at_fmr: false match rate 0..1 at which both thresholds are set, on the impostors of all groups. Returns a DataFrame with
        group, metric, difference, low, high (95 %) and p; rates are fractions. Raises FairLabError where the model before was
        not evaluated on these pairs.

        >>> after.difference().query("metric == 'fmr'")
        """
        from fairlab.compare.repairs import after_minus_before
        from fairlab.evaluation.fairness_report import point_of

        point = point_of(at_fmr, None, None)
        return after_minus_before(self._workspace, self.record, self._judged(dataset), point, pairs)

    def apply(
        self,
        to: str | Path | pd.DataFrame | ScoredPairs,
        where: Placement | Mapping[str, Any] | None = None,
    ) -> Repaired | pd.DataFrame:
        """Use the repair as it was fitted, without a new fit.

        to: the name of a data set with pairs, or a table of scored pairs (a path, a DataFrame) where the method needs scores
        only. Returns the job for a data set; for a table its rows with score repaired and raw_score as it was. Raises
        FairLabError for a method that needs embeddings, a group that the cohort lacks, and a cohort that the new test shares
        people with.

        >>> after.apply("scores.csv")[["group", "raw_score", "score"]]
        """
        from fairlab.evaluation.score_frames import ScoredPairs, scored_pairs
        from fairlab.jobs.repair.applying import apply_to_table
        from fairlab.jobs.repair.starts import apply_to_data

        if isinstance(to, str) and not (Path(to).suffix or "/" in to):
            job = apply_to_data(self._workspace, self.run_id, to, placed(self._workspace, where))
            return Repaired(self._workspace, job)
        pairs = to if isinstance(to, ScoredPairs) else scored_pairs(to)
        return apply_to_table(read_run(self._workspace, self.run_id), pairs)
