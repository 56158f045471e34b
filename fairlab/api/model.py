"""A handle of a model: a run that maps images to embeddings, trained here or added from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fairlab.api.run import Run, placed
from fairlab.errors import FairLabError
from fairlab.jobs.evaluate import starts
from fairlab.settings.placement import Placement
from fairlab.settings.study import Evaluation, Protocols
from fairlab.store.embeddings import embedded_sets, open_embeddings
from fairlab.store.results import judged_on, read_results, results_facts
from fairlab.tables import ALL_GROUPS, MAYBE_WHOLE, NUMBER, TEXT, WHOLE, Table, json_values

if TYPE_CHECKING:
    from fairlab.api.repaired import Repaired
    from fairlab.data.dataset import Dataset
    from fairlab.data.selections import Chosen
    from fairlab.evaluation.fairness_report import FairnessReport
    from fairlab.evaluation.score_frames import ScoredPairs
    from fairlab.plots.colours import Figure
    from fairlab.settings.repair import Repair
    from fairlab.store.projections import StoredMap

FAIRNESS = Table(
    group=TEXT, metric=TEXT, value=NUMBER, low=NUMBER, high=NUMBER, errors=MAYBE_WHOLE, genuine_pairs=WHOLE,
    impostor_pairs=WHOLE, fair_value=NUMBER, fair_p95=NUMBER, p=NUMBER,
)  # fmt: skip
"""A row is a rate of a group (fraction 0..1, with its errors) or, of group "all", a fairness metric in its own unit."""


class Model(Run):
    """A model. Without the name of a data set its methods take the one that it was trained on.

    >>> model = lab.models["student-eaf-kd-s0-1f2e3d4c"]
    >>> model.fairness(at_fmr=0.01)
    """

    @property
    def about(self) -> dict[str, Any]:
        """The model's row of lab.models.table(): network, embedding_dim, trained_parameters, frozen_parameters, flops ...

        What is not known is None. Raises FairLabError for a model that is not finished.

        >>> model.about["frozen_parameters"]
        """
        from fairlab.compare.models import list_models

        table = list_models(self._workspace)
        rows = table[table["run_id"] == self.run_id]
        if rows.empty:
            raise FairLabError(f"{self.run_id} is not finished; `fairlab models list` lists the models that are")
        found: dict[str, Any] = json_values(rows.to_dict("records"))[0]
        return found

    @property
    def embedded(self) -> list[str]:
        """Data sets that the model has embedded."""
        return embedded_sets(self.folder)

    @property
    def evaluated(self) -> list[str]:
        """Data sets that the model was evaluated on."""
        return judged_on(self.folder)

    def embed(self, dataset: str, where: Placement | Mapping[str, Any] | None = None) -> Run:
        """Start the job that embeds a data set.

        where: a placement, or dotted settings of it, e.g. {"engine": "slurm"}. Returns the job. Raises FairLabError for a
        data set that does not exist.

        >>> model.embed("rfw").wait()
        """
        return Run(self._workspace, starts.embed(self._workspace, self.run_id, dataset, placed(self._workspace, where)))

    def evaluate(
        self,
        dataset: str = "",
        *,
        settings: Evaluation | None = None,
        gallery: str = "",
        protocols: Protocols | Sequence[str] = (),
        where: Placement | Mapping[str, Any] | None = None,
    ) -> Run:
        """Start the job that evaluates the model on a data set's pairs, and embeds the data set first if needed.

        gallery: run id of the model that embeds the first image of each pair. protocols: names, or settings, of protocols to
        use instead of the data set's own pairs. where: as in embed(). Returns the job. Raises FairLabError for a data set
        without pairs, an unknown protocol, and a gallery whose embeddings have another length.

        >>> model.evaluate("rfw").wait()
        >>> model.evaluate("rfw", protocols=["all_pairs"]).wait()
        """
        placement = placed(self._workspace, where)
        job = starts.evaluate(
            self._workspace, self.run_id, dataset, starts.Judging(settings, gallery, protocols), placement
        )
        return Run(self._workspace, job)

    def repair(
        self,
        method: str = "",
        dataset: str = "",
        cohort: str = "",
        *,
        settings: Repair | None = None,
        where: Placement | Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Repaired:
        """Start the job that repairs the model's scores on a data set's pairs without training.

        method: e.g. "M1.1", "M3", "fair_normalisation", "faircal"; lab.models.repair_methods() lists them. cohort: data set of
        people outside the test and the training (default: the validation people). changes: further settings, e.g.
        clusters=20. Returns the job, by which the repaired scores are known. Raises FairLabError for an unknown method, and for
        a cohort that shares people with the test or the training data.

        >>> model.repair("M1.1").wait().difference()
        """
        from fairlab.api.repaired import Repaired
        from fairlab.jobs.repair.starts import repair
        from fairlab.settings.repair import repair_settings

        given = {**changes, **({"cohort": cohort} if cohort else {})}
        asked = repair_settings(method, settings, given)
        placement = placed(self._workspace, where)
        return Repaired(self._workspace, repair(self._workspace, self.run_id, asked, dataset, placement=placement))

    def embeddings(self, dataset: str = "") -> tuple[np.ndarray, np.ndarray]:
        """The stored embeddings of a data set. Returns ((N, D) unit vectors, (N,) image ids), read-only.

        Raises FairLabError where the model has not embedded it.

        >>> vectors, image_ids = model.embeddings("rfw")
        """
        found = open_embeddings(self.folder, self._judged(dataset).dataset_id)
        return found.vectors, found.ids

    def scores(
        self, dataset: str = "", pairs: str = "test", by: Sequence[str] = (), chosen: Chosen | None = None
    ) -> pd.DataFrame:
        """The scored pairs of one pair list or protocol.

        by: attributes whose values together make the groups. chosen: pairs on this side of a saved selection alone, e.g.
        lab.data["rfw"].selections["hard"].side("without"). Returns a DataFrame with score (cosine), group, other, id1,
        id2, genuine, fold. Raises FairLabError where the model was not evaluated on them.

        >>> model.scores("rfw").groupby(["group", "genuine"])["score"].mean()
        """
        return self.scored(dataset, pairs, by, chosen).frame

    def scored(
        self, dataset: str = "", pairs: str = "test", by: Sequence[str] = (), chosen: Chosen | None = None
    ) -> ScoredPairs:
        """As scores(), as the object that fairness_report takes. Returns the pairs; raises FairLabError as scores().

        >>> fairness_report(model.scored("rfw"), at_fmr=0.001)
        """
        from fairlab.compare.scored import scored

        return scored(self.record, self._judged(dataset), pairs, by, chosen)

    def metrics(self, dataset: str = "", pairs: str = "") -> pd.DataFrame:
        """The numbers that were stored when the model was evaluated.

        pairs: only those of this pair list or protocol. Returns a DataFrame with protocol, group, metric, operating_point,
        value, low, high (95 %), genuine_pairs and impostor_pairs; rates are fractions. It is empty before an evaluation.

        >>> model.metrics("rfw").query("metric == 'accuracy'")
        """
        from fairlab.store.database import metrics

        table = metrics(self._workspace, [self.run_id], self._judged(dataset).dataset_id)
        return table[table["protocol"] == pairs] if pairs else table

    def fairness(
        self, at_fmr: float = 0.01, dataset: str = "", pairs: str = "test", chosen: Chosen | None = None
    ) -> pd.DataFrame:
        """The rates of every group and the fairness metrics, at one threshold for all.

        at_fmr: false match rate 0..1 that all groups' impostors together reach at most. chosen: as in scores(). Returns a DataFrame with group,
        metric, value, low, high (95 %), errors, genuine_pairs, impostor_pairs, and for metrics fair_value, fair_p95 (what a
        fair model shows by chance) and p. Rates are fractions. Raises FairLabError where the model was not evaluated.

        >>> model.fairness(at_fmr=0.01).query("metric == 'fnmr'")[["group", "value", "low", "high", "errors"]]
        """
        return fairness_table(self.fairness_report(at_fmr, dataset, pairs, chosen))

    def fairness_report(
        self, at_fmr: float = 0.01, dataset: str = "", pairs: str = "test", chosen: Chosen | None = None
    ) -> FairnessReport:
        """As fairness(), with all it rests on. Returns a FairnessReport: summary, groups, metrics, matrix, notes.

        People are resampled as often, and with the same seed, as when the model was evaluated.

        >>> print("\\n".join(model.fairness_report(at_fmr=0.001).summary))
        """
        from fairlab.evaluation.fairness_report import fairness_report

        asked = self._settings(dataset)
        return fairness_report(
            self.scored(dataset, pairs, chosen=chosen), at_fmr, draws=asked.bootstrap, seed=asked.seed
        )

    def roc(self, dataset: str = "", pairs: str = "test") -> Figure:
        """ROC of every group, with its 95 % band. Returns a plotly figure. Raises FairLabError without an evaluation.

        >>> model.roc("rfw").show()
        """
        from fairlab.plots.verification import roc_figure

        return roc_figure(self._curves(dataset, pairs), self._judged(dataset).groups)

    def det(self, dataset: str = "", pairs: str = "test") -> Figure:
        """DET of every group: both error rates in probits. Returns a plotly figure; raises FairLabError as roc().

        >>> model.det("rfw").write_html("det.html")
        """
        from fairlab.plots.det import det_figure

        return det_figure(self._curves(dataset, pairs), self._judged(dataset).groups)

    def map(self, dataset: str = "", colour_by: str = "group") -> Figure:
        """The newest map of the model's space over a data set: a picture, not evidence.

        colour_by: a column of the images or of the space: see columns(). Returns a plotly figure. Raises FairLabError without
        a map; lab.models.project() draws one.

        >>> model.map(colour_by="centroid").show()
        """
        from fairlab.compare.columns.base import labels
        from fairlab.plots.spaces import map_figure

        data, points = self._judged(dataset), self.map_points(dataset)
        ids = points["image_id"].to_numpy()
        points = points.assign(**{colour_by: self._column(data, colour_by, ids)})
        return map_figure(points, colour_by, data.groups, title=labels(data)[colour_by])

    def columns(self, names: Sequence[str] = (), dataset: str = "") -> pd.DataFrame:
        """What can be said of every embedded image in this space: the columns that maps are coloured by.

        names: e.g. "norm" (length of the raw embedding), "centroid" (cosine to the mean of the person's other images, NaN
        where there is none), "nearest" (text: same person, another person, or not searched); () for all of a space. Returns
        a DataFrame with image_id, identity, group, split and these. Raises FairLabError for an unknown name, and where the
        model has not embedded the data set.

        >>> model.columns(["centroid"]).groupby("group")["centroid"].mean()
        """
        from fairlab.compare.columns.base import COLUMNS

        data = self._judged(dataset)
        ids = open_embeddings(self.folder, data.dataset_id).ids
        table = data.images.iloc[ids][["image_id", "identity", "group", "split"]].reset_index(drop=True)
        return table.assign(**{name: self._column(data, name, ids) for name in names or COLUMNS.names()})

    def _column(self, data: Dataset, name: str, ids: np.ndarray) -> np.ndarray:
        from fairlab.compare.columns.base import Space, values

        return values(Space(self._workspace, self.record, data), name, ids)

    def map_points(self, dataset: str = "") -> pd.DataFrame:
        """The points of map(), with the columns of their images. Returns a DataFrame: x, y, image_id, identity, group ...

        Raises FairLabError without a map.

        >>> model.map_points().plot.scatter("x", "y")
        """
        data = self._judged(dataset)
        return self._newest_map(data).points.merge(data.images, on="image_id", how="inner")

    def map_facts(self, dataset: str = "") -> dict[str, Any]:
        """What is known of map(): shown and of (images), people, method, trustworthiness, notes ...

        Returns a dict; made: how its images were chosen and laid out, as sentences. Raises FairLabError without a map.

        >>> model.map_facts()["trustworthiness"]
        """
        from fairlab.store.projections import how_made

        facts = self._newest_map(self._judged(dataset)).facts
        return {**facts, "made": how_made(facts)}

    def _newest_map(self, data: Dataset) -> StoredMap:
        from fairlab.store.projections import list_projections

        maps = [item for item in list_projections(self.folder, data.dataset_id) if item.whole]
        if not maps:
            raise FairLabError(
                f"{self.run_id} has no map of {data.dataset_id}; `fairlab models project {self.run_id}` draws one"
            )
        return maps[0]

    def _settings(self, dataset: str) -> Evaluation:
        """How the model was evaluated there."""
        facts = results_facts(self.folder, self._judged(dataset).dataset_id)
        return Evaluation.model_validate(facts["settings"])

    def _curves(self, dataset: str, pairs: str) -> pd.DataFrame:
        curves = read_results(self.folder, self._judged(dataset).dataset_id, "curves")
        curves = curves[curves["protocol"] == pairs]
        if curves.empty:
            raise FairLabError(f"{self.run_id} has no curves on the {pairs} pairs of {dataset or self.dataset}")
        return curves


def fairness_table(report: FairnessReport) -> pd.DataFrame:
    """A report as one table: FAIRNESS. Rates of every group come first, then the metrics over all groups."""
    rows: list[dict[str, Any]] = []
    for row in report.groups.to_dict("records"):
        counts = {name: row[name] for name in ("genuine_pairs", "impostor_pairs")}
        for metric, errors in (("fmr", "false_matches"), ("fnmr", "false_non_matches")):
            ends = {"low": row[f"{metric}_low"], "high": row[f"{metric}_high"]}
            about = {"group": row["group"], "metric": metric, "value": row[metric], "errors": row[errors]}
            rows.append({**about, **ends, **counts})
    total = {name: int(report.groups[name].sum()) for name in ("genuine_pairs", "impostor_pairs")}
    for row in report.metrics.to_dict("records"):
        kept = ("metric", "value", "low", "high", "fair_value", "fair_p95", "p")
        rows.append({"group": ALL_GROUPS, **{name: row[name] for name in kept}, **total})
    return FAIRNESS.build(rows)
