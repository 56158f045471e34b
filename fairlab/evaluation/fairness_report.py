"""What a table of scored pairs says about fairness at one threshold: rates, metrics, intervals, and a plain summary."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab import __version__
from fairlab.errors import FairLabError
from fairlab.evaluation import verification
from fairlab.evaluation.accuracies import over_accuracies
from fairlab.evaluation.groups import GroupPairs, redrawn_people, seed_of
from fairlab.evaluation.intervals import FEW_IDENTITIES, PairBootstrap, p_words, share_interval, variance_of
from fairlab.evaluation.metrics import FAIRNESS_METRICS
from fairlab.evaluation.moving import carried, straightened
from fairlab.evaluation.operating import NUMBERS, AtPoint, OperatingPoint, at_point, numbers_at
from fairlab.evaluation.score_frames import ScoredPairs, scored_pairs, suspected
from fairlab.evaluation.spread import DRAWS
from fairlab.evaluation.summary import ADJUST, ALPHA, adjusted, summary
from fairlab.tables import ALL_GROUPS, MAYBE, MAYBE_WHOLE, NUMBER, TEXT, WHOLE, Table, json_values

MATRIX = Table(
    group_a=TEXT, group_b=TEXT, impostor_pairs=WHOLE, false_matches=WHOLE, fmr=NUMBER, low=NUMBER, high=NUMBER
)
"""A row is a pair of groups: impostors of one against the other at the one threshold."""
FACTS = Table(fair_value=NUMBER, unit=TEXT, title=TEXT, formula=TEXT, source=TEXT, trap=TEXT)
"""What is told of a metric beside its numbers."""
MEASURES = Table(
    metric=TEXT,
    value=NUMBER,
    low=NUMBER,
    high=NUMBER,
    fair_p95=NUMBER,
    p=NUMBER,
    p_adjusted=NUMBER,
    beyond=MAYBE,
    **FACTS.types,
)
"""A row is a fairness metric; fair_p95: what chance alone would show."""
SEPARATION = Table(group=TEXT, auc=NUMBER, eer=NUMBER, d_prime=NUMBER)
"""A row is a group: how well its scores part genuine from impostor pairs."""
BY_GROUP = Table(
    group=TEXT, genuine_pairs=WHOLE, impostor_pairs=WHOLE, false_matches=WHOLE, false_non_matches=WHOLE, fmr=NUMBER,
    fmr_low=NUMBER, fmr_high=NUMBER, fnmr=NUMBER, fnmr_low=NUMBER, fnmr_high=NUMBER, threshold=NUMBER,
    identities=MAYBE_WHOLE, **SEPARATION.without("group").types,
)  # fmt: skip
"""A row is a group at the operating point; identities: unknown where the table names no people."""
METHOD = {
    True: "95 % intervals: Korn-Graubard, variance over people resampled within each group (dyadic clusters), "
    "thresholds set again in each of {draws} resamples, seed {seed}; no errors: exact one-sided bound",
    False: "95 % intervals: over pairs, thresholds set again in each of {draws} resamples, seed {seed} (the table "
    "names no people); no errors: exact one-sided bound",
}


@dataclass(frozen=True)
class FairnessReport:
    """numbers: operating.NUMBERS of the point; matrix: MATRIX; auc, eer, d_prime: of all groups' pairs together;
    by_group: the same of each; summary: sentences; notes: what is wrong or missing and why; warning: what makes every
    number doubtful, also the first sentence of the summary.
    """

    pairs: ScoredPairs
    at: AtPoint
    numbers: pd.DataFrame
    matrix: pd.DataFrame
    overall: dict[str, float]
    by_group: pd.DataFrame
    summary: tuple[str, ...]
    notes: tuple[str, ...]
    method: str
    pairs_hash: str
    adjust: str = ""
    warning: str = ""

    @property
    def metrics(self) -> pd.DataFrame:
        """A row per fairness metric: metric, value, low, high, fair_value, fair_p95 (what chance shows), p (how often a fair
        model shows as much), p_adjusted, beyond, title, formula ...; fair_value: of WERM, at the rate of all groups.
        """
        return MEASURES.build(self._of_metrics())

    def _of_metrics(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for name, metric in sorted(FAIRNESS_METRICS.items(), key=lambda item: item[1].of):  # accuracy first
            if (ALL_GROUPS, name) not in self._found:
                continue
            fair = self._found.get((ALL_GROUPS, f"{name}_fair_p95"), (np.nan,) * 3)[0]
            row = dict(zip(("value", "low", "high"), self._found[ALL_GROUPS, name], strict=True))
            facts = {fact: getattr(metric, fact) for fact in FACTS}
            level = [self._found[ALL_GROUPS, kind][0] for kind in ("fmr", "fnmr")]
            facts["fair_value"] = metric.fair_at(*level)
            p = self._found.get((ALL_GROUPS, f"{name}_p"), (np.nan,) * 3)[0]
            about: dict[str, Any] = {"metric": name, **row, "fair_p95": fair, "p": p, **facts}
            rows.append(about)
        limited = {str(item["metric"]): float(item["p"]) for item in rows if item["fair_p95"] == item["fair_p95"]}
        known = adjusted(limited, self.adjust)
        for item in rows:
            after = known.get(str(item["metric"]), np.nan)
            item |= {"p_adjusted": after, "beyond": None if after != after else after <= ALPHA}
        return rows

    def adjusted(self, adjust: str) -> FairnessReport:
        """The same with p values of the measures adjusted for being many: "holm", or "" as they are."""
        if adjust not in ADJUST:
            raise FairLabError(f"there is no adjustment {adjust!r}; expected holm, or none")
        names = [group.name for group in self.at.groups]
        said = summary(self.numbers, names, self.at.point, self.at.missing, adjust)
        return replace(self, adjust=adjust, summary=_after(self.warning, said))

    @cached_property
    def _found(self) -> dict[tuple[str, str], tuple[float, float, float]]:
        """(value, low, high) by (group, metric)."""
        keys, ends = self.numbers[["group", "metric"]], self.numbers[["value", "low", "high"]]
        return dict(zip(map(tuple, keys.to_numpy()), map(tuple, ends.to_numpy(float).tolist()), strict=True))

    @property
    def groups(self) -> pd.DataFrame:
        """BY_GROUP: counts, FMR and FNMR with their 95 % intervals, threshold, AUC, EER, d'."""
        return BY_GROUP.build(self._of_groups())

    def _of_groups(self) -> list[dict[str, Any]]:
        rows, more = [], self.by_group.to_dict("records")
        for number, (group, found) in enumerate(zip(self.at.groups, self.at.counts, strict=True)):
            row: dict[str, Any] = {
                "group": group.name,
                "genuine_pairs": found.genuine,
                "impostor_pairs": found.impostor,
            }
            row |= {"false_matches": found.false_matches, "false_non_matches": found.false_non_matches}
            for kind in ("fmr", "fnmr"):
                row |= dict(zip((kind, f"{kind}_low", f"{kind}_high"), self._found[group.name, kind], strict=True))
            row["threshold"] = self.at.thresholds[number]
            row["identities"] = group.bootstrap.identities if self.pairs.named else None
            rows.append(row | more[number])
        return rows

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON values; what is not defined is null."""
        kept = ("value", "low", "high", "fair_value", "fair_p95", "p", "p_adjusted", "beyond")
        metrics = {row["metric"]: {name: row[name] for name in kept} for row in self._of_metrics()}
        by_name = {row.pop("group"): row for row in self._of_groups()}
        one = float(self.at.thresholds[0]) if self.at.point.rule != "own" else None
        said = {
            "threshold": one,
            "operating_point": self.at.point.name,
            "measurable": not self.at.missing,
            "adjust": self.adjust or None,
            "groups": by_name,
            "metrics": metrics,
            **self.overall,
            "cross_group": self.matrix.to_dict("records"),
            "summary": list(self.summary),
            "notes": list(self.notes),
            "defects": [
                {"kind": item.kind, "count": item.count, "lines": list(item.lines), "excluded": item.excluded}
                for item in self.pairs.defects
            ],
            "excluded": list(self.pairs.excluded),
            "method": self.method,
            "pairs_hash": self.pairs_hash,
            "code_version": __version__,
        }
        plain: dict[str, Any] = json_values(said)
        return plain


def fairness_report(
    table: pd.DataFrame | Path | str | ScoredPairs,
    at_fmr: float | None = None,
    *,
    threshold: float | None = None,
    own_fmr: float | None = None,
    exclude: Collection[str] = (),
    attribute: str = "",
    score: str = "",
    distances: bool = False,
    draws: int = 1000,
    seed: int = 0,
    adjust: str = "",
) -> FairnessReport:
    """Judge scored pairs (see score_frames.scored_pairs for the columns) at one operating point.

    at_fmr (the default, 0.01): FMR that all groups' impostors together reach at most; or a threshold, or own_fmr: each
    group at its own FMR. distances: a smaller score means more alike. Pairs of two groups go into the matrix only. Raises FairLabError for what cannot be judged.
    """
    point = point_of(at_fmr, threshold, own_fmr)
    pairs = table if isinstance(table, ScoredPairs) else scored_pairs(table, exclude, attribute, score, distances)
    return report_on(pairs, groups_of(pairs, draws, seed), point, draws, seed).adjusted(adjust)


def point_of(at_fmr: float | None, threshold: float | None, own_fmr: float | None) -> OperatingPoint:
    """The one of the three that is given; pooled FMR 0.01 where none is. Raises FairLabError for two."""
    if sum(value is not None for value in (at_fmr, threshold, own_fmr)) > 1:
        raise FairLabError("give one of at_fmr, threshold and own_fmr")
    if threshold is not None:
        return OperatingPoint("threshold", threshold)
    return (
        OperatingPoint("own", own_fmr)
        if own_fmr is not None
        else OperatingPoint("pooled", 0.01 if at_fmr is None else at_fmr)
    )


def report_on(
    pairs: ScoredPairs, groups: list[GroupPairs], point: OperatingPoint, draws: int = 1000, seed: int = 0
) -> FairnessReport:
    """As fairness_report, for pairs whose groups_of(pairs, draws, seed) is at hand already: quick enough for a slider."""
    at = at_point(groups, point)
    numbers, notes = numbers_at(at, seed)
    notes = [*pairs.notes, *map(str, pairs.defects), *notes]
    if at.missing:
        notes.insert(0, at.missing)
    notes += _odd(groups, pairs)
    numbers = pd.concat([numbers, _accuracies(groups, pairs, seed, notes)], ignore_index=True)
    scores, genuine = (np.concatenate([getattr(group, what) for group in groups]) for what in ("scores", "genuine"))
    warning = suspected(scores, genuine)
    named = pairs.named
    return FairnessReport(
        pairs,
        at,
        numbers,
        _matrix(pairs, at, draws, seed),
        _separation(scores, genuine),
        SEPARATION.build({"group": group.name, **_separation(group.scores, group.genuine)} for group in groups),
        _after(warning, summary(numbers, [group.name for group in groups], point, at.missing)),
        tuple(dict.fromkeys(notes)),
        METHOD[named].format(draws=draws, seed=seed),
        hashlib.sha256(
            pd.util.hash_pandas_object(pairs.frame.drop(columns="line"), index=False).to_numpy().tobytes()
        ).hexdigest(),
        warning=warning,
    )


def _after(warning: str, said: Iterable[str]) -> tuple[str, ...]:
    return (warning, *said) if warning else tuple(said)


def groups_of(pairs: ScoredPairs, draws: int, seed: int) -> list[GroupPairs]:
    """The pairs within each group, with their people (or, where the table names none, the pairs) redrawn."""
    if draws < 1 or seed < 0:
        raise FairLabError(f"there must be at least one draw and a seed of 0 or more, not {draws} and {seed}")
    found = []
    frame = pairs.frame
    for name, part in frame[frame["group"] == frame["other"]].groupby("group", sort=False):
        genuine = part["genuine"].to_numpy(dtype=bool)
        start = seed_of(str(name), seed)
        if pairs.named:
            bootstrap = redrawn_people(part["id1"].to_numpy(), part["id2"].to_numpy(), genuine, draws, start)
        else:
            bootstrap = PairBootstrap(genuine, draws, start)
        folds = part["fold"].to_numpy() if "fold" in part else np.zeros(len(part))
        repeated = part["repeated"].to_numpy(dtype=bool) if "repeated" in part else None
        where = part.index.to_numpy()
        found.append(GroupPairs(str(name), part["score"].to_numpy(), genuine, folds, bootstrap, where, repeated))
    if not found:
        raise FairLabError(f"{pairs.name} has no pairs within a group")
    return found


def _separation(scores: np.ndarray, genuine: np.ndarray) -> dict[str, float]:
    return {
        "auc": verification.auc(scores, genuine),
        "eer": verification.eer(scores, genuine),
        "d_prime": verification.d_prime(scores, genuine),
    }


def _odd(groups: list[GroupPairs], pairs: ScoredPairs) -> list[str]:
    """What looks wrong without being impossible."""
    notes = []
    for group in groups:
        if len(group.scores) > 1 and np.ptp(group.scores) == 0:
            notes.append(
                f"{group.name}: all scores are {group.scores[0]:g}, so genuine and impostor pairs cannot be separated"
            )
        elif verification.auc(group.scores, group.genuine) < 0.5:
            notes.append(
                f"{group.name}: AUC is below one half; are genuine and impostor swapped, or distances used as scores?"
            )
        for count, kind in zip(group.counts, ("genuine", "impostor"), strict=True):
            if not count:
                notes.append(f"{group.name}: no {kind} pair, so its {'FNMR' if kind == 'genuine' else 'FMR'} is n/a")
        if pairs.named and group.bootstrap.identities < FEW_IDENTITIES:
            notes.append(f"{group.name}: only {group.bootstrap.identities} identities, intervals are indicative")
    return notes


def _accuracies(groups: list[GroupPairs], pairs: ScoredPairs, seed: int, notes: list[str]) -> pd.DataFrame:
    """Accuracy per group over the table's folds, and STD, SER ... of them."""
    if "fold" not in pairs.frame:
        notes.append("the table has no column 'fold': accuracies and their STD, SER and gap are n/a")
        return NUMBERS.build()
    numbers, more = over_accuracies(groups, seed)
    notes += more
    return numbers


def _matrix(pairs: ScoredPairs, at: AtPoint, draws: int, seed: int) -> pd.DataFrame:
    """FMR between any two groups at the one threshold, as far as the table compares them."""
    rows: list[tuple[Any, ...]] = []
    if at.point.rule != "own":
        redrawn = at.fixed[0] if at.sets_fmr else at.fmr
        for number, (group, found) in enumerate(zip(at.groups, at.counts, strict=True)):
            spread, people = variance_of(redrawn[:, number]), group.bootstrap.identities
            between = share_interval(found.fmr, spread, people, group.trials[1])
            rows.append((group.name, group.name, found.impostor, found.false_matches, found.fmr, *between))
        frame = pairs.frame[(pairs.frame["group"] != pairs.frame["other"]) & ~pairs.frame["genuine"]]
        both = np.sort(frame[["group", "other"]].to_numpy(dtype=str), axis=1)
        for (one, two), part in frame.groupby([both[:, 0], both[:, 1]], sort=True) if len(frame) else ():
            genuine, match = np.zeros(len(part), dtype=bool), part["score"].to_numpy() >= at.thresholds[0]
            start = seed_of(f"{one}\n{two}", seed)
            if pairs.named:
                one_side, other_side = (
                    (part[of] + "\n" + part[where]).to_numpy() for of, where in (("id1", "group"), ("id2", "other"))
                )
                bootstrap = redrawn_people(one_side, other_side, genuine, draws, start)
            else:
                bootstrap = PairBootstrap(genuine, draws, start)
            wrong = int(match.sum())
            drawn = bootstrap.narrowed(match, False)
            if at.steps is not None and at.step is not None:
                reached = _reached(part["score"].to_numpy(), at.steps.thresholds)
                drawn = carried(drawn, straightened(reached, at.along, at.steps.at), at.steps.at, at.step)
                drawn = drawn if np.isfinite(at.fmr).any() else np.full(len(drawn), np.nan)
            trials = int((~part["repeated"].astype(bool)).sum()) if "repeated" in part else len(part)
            between = share_interval(wrong / len(part), variance_of(drawn), bootstrap.identities, trials)
            rows.append((one, two, len(part), wrong, wrong / len(part), *between))
    return MATRIX.build(rows)


def _reached(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Share of the scores at or above each threshold."""
    return 1 - np.searchsorted(np.sort(scores), thresholds, side="left") / max(len(scores), 1)


def metric_p(p: float, adjusted: float) -> str:
    """A measure's p as text; "< 0.001" where no fair test set shows as much, times the factor of the adjustment."""
    if adjusted != adjusted:
        return p_words(p, DRAWS)
    return p_words(p, DRAWS, adjusted / p) if p * DRAWS < 1 else p_words(adjusted, DRAWS)
