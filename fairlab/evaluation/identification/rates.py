"""Who is this? Probes searched in a gallery (1:N), per group and for all at one threshold.

Closed set: does a probe whose identity is enrolled rank it among the first k? Open set, names as in ISO/IEC 19795-1:
FPIR(t), the share of probes of people who are not enrolled for whom anybody scores >= t; FNIR(t), the share of probes
of enrolled people whose own identity scores below t, or ranks behind `rank_limit` although it does not. Ties count
against the probe (search.Searched). Thresholds follow verification.threshold_at_fmr: at most the target, set on the probes of
all groups together. Intervals are 95 %, over redrawn people among the probes, group by group, thresholds set anew in every draw; the gallery stays.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation import verification
from fairlab.evaluation.identification.enrolment import GallerySplit
from fairlab.evaluation.identification.search import Progress, Searched, Stop, search
from fairlab.evaluation.intervals import FEW_IDENTITIES, share_interval, variance_of
from fairlab.evaluation.moving import Steps, move, targets_around
from fairlab.tables import ALL_GROUPS, METRICS, NUMBER, TEXT, WHOLE, Table

IDENTIFICATION_CURVE = Table(
    run_id=TEXT, protocol=TEXT, group=TEXT, threshold=NUMBER, fpir=NUMBER, fnir=NUMBER, low=NUMBER, high=NUMBER,
    false_positives=WHOLE, false_negatives=WHOLE, mated_probes=WHOLE, unmated_probes=WHOLE,
)  # fmt: skip
"""A row is a point of a group's open-set curve; low/high: 95 % of fnir. Every group is given at the same thresholds."""
CMC = Table(
    run_id=TEXT, protocol=TEXT, group=TEXT, rank=WHOLE, rate=NUMBER, low=NUMBER, high=NUMBER, mated_probes=WHOLE
)
"""A row: the share of a group's probes that rank their own identity at `rank` or better."""
CURVE_POINTS = 60
DRAWN_AT_ONCE = 256
NOTHING = (float("nan"),) * 3


@dataclass(frozen=True)
class Identification:
    """metrics: tables.METRICS (genuine_pairs: probes of enrolled people, impostor_pairs: of others); cmc: CMC;
    curves: IDENTIFICATION_CURVE; notes: what could not be measured and why."""

    metrics: pd.DataFrame
    cmc: pd.DataFrame
    curves: pd.DataFrame
    notes: list[str]


@dataclass(frozen=True)
class IdentificationSettings:
    """ranks, fpir_targets: what is reported; rank_limit: behind it an enrolled identity is not found (None: any rank
    will do, NIST's FNIR(N, L, T)); max_rank: end of the CMC; bootstrap, seed: draws of people."""

    ranks: tuple[int, ...] = (1, 5, 10)
    fpir_targets: tuple[float, ...] = (0.1, 0.01, 0.001)
    rank_limit: int | None = 1
    max_rank: int = 50
    bootstrap: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        whole = (*self.ranks, self.max_rank, self.bootstrap, 1 if self.rank_limit is None else self.rank_limit)
        if any(number < 1 for number in whole) or any(not 0 < target < 1 for target in self.fpir_targets):
            raise FairLabError("identification needs ranks and draws of 1 or more, and FPIRs between 0 and 1")


@dataclass
class _Probes:
    """Probes of one group and kind (n,): their places among all, and the draws of their people."""

    name: str
    where: np.ndarray
    people: np.ndarray
    seed: list[int]

    def redrawn(self, errors: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray]:
        """(errors (draws, K), probes (draws, 1)) with people drawn anew, of errors (n, K)."""
        codes = np.unique(self.people.astype(str), return_inverse=True)[1]
        count = int(codes.max(initial=-1)) + 1
        of = np.zeros((count, errors.shape[1] + 1))
        np.add.at(of, codes, np.concatenate([errors, np.ones((len(errors), 1))], axis=1))
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed)))
        sums = np.zeros((draws, of.shape[1]))
        for start in range(0, draws if count else 0, DRAWN_AT_ONCE):
            some = min(DRAWN_AT_ONCE, draws - start)
            chosen = random.integers(0, count, (some, count)) + count * np.arange(some)[:, None]
            times = np.bincount(chosen.ravel(), minlength=some * count).reshape(some, count)
            sums[start : start + some] = times.astype(np.float64) @ of
        return sums[:, :-1], sums[:, -1:]


@dataclass(frozen=True)
class _Rates:
    """Of one group, or all: errors (K,) of `probes` of so many people, and their redrawn rates (draws, K)."""

    errors: np.ndarray
    probes: int
    people: int
    drawn: np.ndarray

    def rate(self, number: int, drawn: np.ndarray | None = None) -> tuple[float, float, float]:
        """(rate, low, high) of error `number`; NaN without a probe. drawn (draws,): redrawn rates, if not those at hand."""
        if not self.probes:
            return (float("nan"),) * 3
        wrong = int(self.errors[number])
        drawn = self.drawn[:, number] if drawn is None else drawn
        return wrong / self.probes, *share_interval(wrong / self.probes, variance_of(drawn), self.people, self.probes)


def _rates(groups: list[_Probes], errors: np.ndarray, draws: int) -> dict[str, _Rates]:
    """Errors (M, K) of all probes, by group, and for ALL_GROUPS of all together."""
    found: dict[str, _Rates] = {}
    sums, probes = np.zeros((draws, errors.shape[1])), np.zeros((draws, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        for group in groups:
            mine = errors[group.where]
            more, of = group.redrawn(mine, draws)
            sums, probes = sums + more, probes + of
            found[group.name] = _Rates(mine.sum(0), len(mine), len(pd.unique(group.people)), more / of)
        every = [found[group.name] for group in groups]
        total = np.sum([rates.errors for rates in every], axis=0) if every else np.zeros(errors.shape[1])
        found[ALL_GROUPS] = _Rates(
            total, sum(rates.probes for rates in every), sum(rates.people for rates in every), sums / probes
        )
    return found


def identify(
    run_id: str,
    protocol: str,
    images: pd.DataFrame,
    vectors: np.ndarray,
    ids: np.ndarray,
    split: GallerySplit,
    settings: IdentificationSettings | None = None,
    progress: Progress = lambda _done, _total: None,
    stop: Stop = lambda: False,
) -> Identification:
    """Everything that is reported of a search of the split's probes in its gallery.

    images: tables.IMAGES; vectors (N, D) unit, ids (N,) their image ids, in any order. Per group and for all: rank1, rank5 ..., and at
    "fpir=x" fpir and fnir; for all: threshold. What is not measurable is NaN and has a note. Raises FairLabError for an image
    without embedding or row of the table, Stopped when `stop` says so (progress, stop: search.search).
    """
    settings = settings or IdentificationSettings()
    gallery, probes = (_rows(ids, wanted, "has no embedding") for wanted in (split.gallery, split.probes))
    at = _rows(images["image_id"].to_numpy(), split.probes, "is not in the images table")
    enrolled = _rows(images["image_id"].to_numpy(), split.gallery, "is not in the images table")
    identities, groups = (images[column].to_numpy(dtype=object) for column in ("identity", "group"))
    for what, values, wanted in (
        ("identity", identities[enrolled], split.gallery),
        ("identity", identities[at], split.probes),
        ("group", groups[at], split.probes),
    ):
        if pd.isna(values).any():
            raise FairLabError(f"image {wanted[pd.isna(values)][0]} has no {what}")
    if ALL_GROUPS in groups[at]:
        raise FairLabError(f"a group cannot be called {ALL_GROUPS!r}: the name is reserved for all groups together")
    found = search(vectors, gallery, identities[enrolled], probes, identities[at], progress, stop)
    people = len(pd.unique(identities[enrolled]))
    return _Report(run_id, protocol, settings, found, identities[at], groups[at], people, list(split.notes)).told()


def _rows(known: np.ndarray, wanted: np.ndarray, problem: str) -> np.ndarray:
    """Places (K,) of the wanted image ids among the known ones."""
    index = pd.Index(known)
    if not index.is_unique:
        raise FairLabError(f"image {index[index.duplicated()][0]} is given twice")
    at = index.get_indexer(pd.Index(wanted))
    if (at < 0).any():
        raise FairLabError(f"image {np.asarray(wanted)[at < 0][0]} {problem}")
    return at


class _Report:
    """Rows of one search, as they are found."""

    def __init__(
        self, run_id: str, protocol: str, settings: IdentificationSettings, found: Searched,
        identities: np.ndarray, groups: np.ndarray, people: int, notes: list[str],
    ) -> None:  # fmt: skip
        self.key, self.settings, self.found, self.people, self.notes = (
            (run_id, protocol),
            settings,
            found,
            people,
            notes,
        )
        names = [str(name) for name in dict.fromkeys(groups)]
        mated = found.rank > 0
        self.mated, self.unmated = (
            [
                # The draws hang on the group's name and its people's, so no order changes an interval.
                _Probes(name, at, identities[at], [settings.seed, zlib.crc32(name.encode()), int(kind)])
                for name in names
                for at in [np.flatnonzero((groups.astype(str) == name) & (mated == kind))]
            ]
            for kind in (True, False)
        )
        self.names = [*names, ALL_GROUPS]
        self.rows: list[dict[str, Any]] = []
        for kind, parts in (("enrolled", self.mated), ("unknown", self.unmated)):
            for part in parts:
                some = len(pd.unique(part.people))
                if not some:
                    self.notes.append(f"{part.name}: no probe of {kind} people, so their rates are n/a")
                elif some < FEW_IDENTITIES:
                    self.notes.append(
                        f"{part.name}: only {some} {kind} people among the probes, intervals are indicative"
                    )
        self.counts = {
            name: (len(one.where), len(two.where))
            for name, one, two in zip(names, self.mated, self.unmated, strict=True)
        }
        self.counts[ALL_GROUPS] = (int(mated.sum()), int((~mated).sum()))

    def told(self) -> Identification:
        """Ranks, operating points, curves."""
        if not self.people:
            self.notes.append("nobody is enrolled, so nobody can be found: every rate is n/a")
        cmc, curves = self._ranks(), self._open_set()
        return Identification(METRICS.build(self.rows), cmc, curves, self.notes)

    def _add(self, group: str, metric: str, value: tuple[float, float, float], point: str = "") -> None:
        row = (*self.key, group, metric, point, *value, *self.counts[group])
        self.rows.append(dict(zip(METRICS, row, strict=True)))

    def _ranks(self) -> pd.DataFrame:
        """rank-k of every group, and its CMC. Among k enrolled people everybody ranks k or better: that is n/a."""
        last = max(0, min(max(self.settings.max_rank, *self.settings.ranks), self.people - 1))
        ranks = np.arange(1, last + 1)
        missed = _rates(self.mated, self.found.rank[:, None] > ranks, self.settings.bootstrap)
        for k in self.settings.ranks:
            if self.people and k > last:
                self.notes.append(f"rank {k} is n/a: {_people(self.people)} enrolled")
            for name in self.names:
                self._add(name, f"rank{k}", _turned(missed[name].rate(k - 1)) if k <= last else NOTHING)
        rows = [
            (*self.key, name, int(k), *_turned(missed[name].rate(k - 1)), missed[name].probes)
            for name in self.names
            for k in ranks[: self.settings.max_rank]
            if missed[name].probes
        ]
        return CMC.build(rows)

    def _open_set(self) -> pd.DataFrame:
        """FPIR and FNIR of every group at the thresholds where all groups' strangers reach the targets at most; the curve."""
        strangers = self.found.stranger[self.found.rank == 0] if self.people else np.empty(0)
        count = len(strangers)
        targets = [target for target in self.settings.fpir_targets if verification.measurable(target, count)]
        along = np.unique(np.round(np.geomspace(1, count, CURVE_POINTS)).astype(int)) / count if count else np.empty(0)
        set_at = [verification.threshold_at_fmr(strangers, target) for target in targets]
        curve = np.unique([verification.threshold_at_fmr(strangers, target) for target in along])[::-1]
        thresholds = np.concatenate([set_at, curve])
        behind = self.found.rank > (self.settings.rank_limit or np.inf)
        draws = self.settings.bootstrap
        missed = _rates(self.mated, (self.found.mate[:, None] < thresholds) | behind[:, None], draws)
        taken = _rates(self.unmated, self.found.stranger[:, None] >= thresholds, draws)
        for target in self.settings.fpir_targets:
            self._operating_point(target, targets, thresholds, missed, taken, count)
        rows = [
            (
                *self.key, name, thresholds[at], taken[name].rate(at)[0], *missed[name].rate(at),
                int(taken[name].errors[at]), int(missed[name].errors[at]), missed[name].probes, taken[name].probes,
            )
            for name in self.names
            for at in range(len(targets), len(thresholds))
        ]  # fmt: skip
        return IDENTIFICATION_CURVE.build(rows)

    def _operating_point(
        self, target: float, measured: list[float], thresholds: np.ndarray,
        missed: dict[str, _Rates], taken: dict[str, _Rates], count: int,
    ) -> None:  # fmt: skip
        point, needed = f"fpir={target:g}", verification.EXPECTED_ERRORS
        at = measured.index(target) if target in measured else None
        if at is None:
            self.notes.append(
                f"FPIR {target:g} is not measurable: with {count:,} probes of people who are not enrolled only about "
                f"{target * count:.1f} false positives are expected; at least {needed} are needed"
            )
        few = [part.name for part in self.unmated if 0 < target * len(part.where) < needed]
        if at is not None and few:
            self.notes.append(
                f"at FPIR {target:g} fewer than {needed} false positives are expected of: {', '.join(few)}"
            )
        self._add(ALL_GROUPS, "threshold", NOTHING if at is None else (float(thresholds[at]), np.nan, np.nan), point)
        if at is None:
            for name in self.names:
                self._add(name, "fpir", NOTHING, point)
                self._add(name, "fnir", NOTHING, point)
            return
        drawn = [{name: rates[name].drawn[:, at] for name in self.names} for rates in (taken, missed)]
        false, lost = self._moved(target, float(thresholds[at]), *drawn)
        for name in self.names:
            self._add(name, "fpir", taken[name].rate(at, false[name]), point)
            self._add(name, "fnir", missed[name].rate(at, lost[name]), point)

    def _moved(
        self, target: float, threshold: float, taken: dict[str, np.ndarray], missed: dict[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Redrawn FPIR and FNIR (draws,) by group with the threshold set anew in every draw (see moving); the FPIR that the
        threshold is set by, of all groups or of the only one with strangers, stays at the threshold as it is.
        """
        names = self.names[:-1]
        strangers = [self.found.stranger[part.where] for part in self.unmated]
        behind = self.found.rank > (self.settings.rank_limit or np.inf)
        mates = [np.where(behind, -np.inf, self.found.mate)[part.where] for part in self.mated]
        counts = np.array([len(scores) for scores in strangers], dtype=float)
        fpir, fnir = (np.stack([drawn[name] for name in names], axis=1) for drawn in (taken, missed))
        near = verification.thresholds_at_fmr(np.concatenate(strangers), targets_around(target, taken[ALL_GROUPS]))
        at = np.unique(np.append(near, threshold))
        reached = [1 - np.searchsorted(np.sort(scores), at, side="left") / max(len(scores), 1) for scores in strangers]
        below = [np.searchsorted(np.sort(scores), at, side="left") / max(len(scores), 1) for scores in mates]
        steps = Steps(at, np.array(reached), np.array(below), int(np.searchsorted(at, threshold)))
        moved = move(steps, counts / counts.sum(), target, fpir, fnir)
        enrolled = np.array([len(scores) for scores in mates], dtype=float)
        some = enrolled > 0
        together = np.average(moved[1][:, some], axis=1, weights=enrolled[some]) if some.any() else missed[ALL_GROUPS]
        false = dict(zip(names, (fpir if (counts > 0).sum() == 1 else moved[0]).T, strict=True))
        lost = dict(zip(names, moved[1].T, strict=True))
        return false | {ALL_GROUPS: taken[ALL_GROUPS]}, lost | {ALL_GROUPS: together}


def _turned(rate: tuple[float, float, float]) -> tuple[float, float, float]:
    """What is right, from what is wrong."""
    return 1 - rate[0], 1 - rate[2], 1 - rate[1]


def _people(count: int) -> str:
    return "only one person is" if count == 1 else f"only {count} people are"
