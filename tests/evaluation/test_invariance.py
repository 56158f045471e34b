"""What must not matter does not, and nothing crashes or lies, over hundreds of small tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlab.errors import FairLabError
from fairlab.evaluation import (
    OperatingPoint,
    ScoredPairs,
    at_point,
    auc,
    count_errors,
    eer,
    fairness_report,
    threshold_at_fmr,
)  # fmt: skip
from fairlab.evaluation.fairness_report import groups_of
from fairlab.evaluation.intervals import share_interval
from fairlab.evaluation.verification import rates
from tests.evaluation.scored_tables import small
from tests.thorough import several

MANY = settings(max_examples=several(100, 500), deadline=None, suppress_health_check=list(HealthCheck))
POINT = OperatingPoint("pooled", 0.25)
DRAWS = 16
SCORES = np.array([-0.5, 0.0, 0.125, 0.25, 0.5, 0.75, 1.0])


def pairs_of(seed: int) -> pd.DataFrame:
    """Checked pairs of two or three groups, with many ties and few people; every image is another one."""
    random = np.random.default_rng(seed)
    count = int(random.integers(8, 40))
    group = random.choice(list("ABC")[: random.integers(2, 4)], count)
    one, two = random.integers(0, 5, (2, count))
    genuine = random.random(count) < 0.4
    genuine[0] = False
    two = np.where(genuine, one, np.where(two == one, (two + 1) % 5, two))
    frame = {"score": random.choice(SCORES, count), "genuine": genuine, "group": group, "other": group}
    people = {f"id{side}": np.char.add(group, codes.astype(str)) for side, codes in ((1, one), (2, two))}
    return pd.DataFrame({**frame, **people, "repeated": False}).astype({"group": object, "other": object})


def numbers(frame: pd.DataFrame) -> dict[str, list[object]]:
    """Of each group, and of all together: errors, redrawn rates and intervals at the point; all that metrics stand on."""
    groups = sorted(groups_of(ScoredPairs(frame), DRAWS, 0), key=lambda group: group.name)
    at = at_point(groups, POINT)
    found: dict[str, list[object]] = {}
    for number, (group, count) in enumerate(zip(groups, at.counts, strict=True)):
        drawn = at.fmr[:, number], at.fnmr[:, number]
        found[group.name] = [
            (count.fmr, count.fnmr),
            *(rates.tolist() for rates in drawn),
            share_interval(
                count.fmr, float(np.var(at.fixed[0][:, number])), group.bootstrap.identities, group.trials[1]
            ),
            share_interval(count.fnmr, float(np.var(drawn[1])), group.bootstrap.identities, group.trials[0]),
        ]
    return found


def same(one: object, other: object) -> bool:
    """Bit by bit, NaN being itself."""
    return repr(one) == repr(other)


@MANY
@given(st.integers(0, 10**9))
def test_order_of_pairs_and_groups_and_sides_do_not_matter(seed: int) -> None:
    """Rates and their intervals stay bit by bit: the draws hang on names."""
    frame = pairs_of(seed)
    random = np.random.default_rng(seed)
    turned = frame.iloc[random.permutation(len(frame))].reset_index(drop=True)
    side = random.random(len(turned)) < 0.5
    turned["id1"], turned["id2"] = turned["id1"].where(side, turned["id2"]), turned["id2"].where(side, turned["id1"])
    assert same(numbers(frame), numbers(turned))


@MANY
@given(st.integers(0, 10**9), st.sampled_from([lambda x: 3 * x - 7, lambda x: x**3 + x, np.exp]))
def test_rising_maps_of_the_scores_do_not_matter(seed: int, bend: Callable[[np.ndarray], np.ndarray]) -> None:
    """Rates at an FMR with their intervals, ROC, EER and AUC know only the order."""
    frame = pairs_of(seed)
    scores, genuine = frame["score"].to_numpy(), frame["genuine"].to_numpy()
    bent = bend(scores)
    assert same(numbers(frame), numbers(frame.assign(score=bent)))
    assert same((auc(scores, genuine), eer(scores, genuine)), (auc(bent, genuine), eer(bent, genuine)))
    one, other = (rates(values, genuine, np.unique(values)) for values in (scores, bent))
    assert np.array_equal(one, other)


@MANY
@given(st.integers(0, 10**9), st.integers(2, 4))
def test_every_pair_listed_several_times_changes_no_rate_and_no_interval(seed: int, times: int) -> None:
    """Copies are no evidence: neither redrawn people nor the exact bounds of groups without an error grow surer."""
    frame = pairs_of(seed)
    copies = pd.concat([frame, *[frame.assign(repeated=True)] * (times - 1)], ignore_index=True)
    assert same(numbers(frame), numbers(copies))


def test_so_it_is_from_a_table_to_the_report() -> None:
    """The whole way, once each: shuffled, turned, bent and copied tables give the same groups and metrics."""
    table = small("ABC")
    sides = {"id1": "id2", "id2": "id1", "img1": "img2", "img2": "img1"}
    copies = pd.concat([table, table.sample(frac=1, random_state=1)])
    ours = fairness_report(table, 0.1, draws=100)
    for other in (table.sample(frac=1, random_state=0), table.rename(columns=sides), copies):
        theirs = fairness_report(other, 0.1, draws=100)
        rows = [report.groups.set_index("group").sort_index() for report in (ours, theirs)]
        kept = ["fmr", "fmr_low", "fmr_high", "fnmr", "fnmr_low", "fnmr_high", "threshold", "auc", "eer"]
        pd.testing.assert_frame_equal(rows[0][kept], rows[1][kept], check_exact=True)
        assert theirs.metrics["value"].tolist() == pytest.approx(ours.metrics["value"].tolist(), abs=1e-12, nan_ok=True)
    quiet = fairness_report(copies.assign(score=copies["label"] + 0.0), 0.0, draws=100)
    once = fairness_report(table.assign(score=table["label"] + 0.0), 0.0, draws=100)
    assert quiet.groups["fmr_high"].tolist() == once.groups["fmr_high"].tolist()


@MANY
@given(st.integers(0, 10**9), st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0]))
def test_a_lower_threshold_accepts_no_fewer(seed: int, target: float) -> None:
    """The threshold at an FMR keeps it; below any other threshold FMR only rises and FNMR only falls."""
    table = pairs_of(seed)
    scores, genuine = table["score"].to_numpy(), table["genuine"].to_numpy()
    threshold = threshold_at_fmr(scores[~genuine], target)
    here, below = (count_errors(scores, genuine, at) for at in (threshold, threshold - 0.1))
    assert here.fmr <= target
    assert below.false_matches >= here.false_matches
    assert below.false_non_matches <= here.false_non_matches


@st.composite
def odd_tables(draw: st.DrawFn) -> pd.DataFrame:
    """Tiny and degenerate: one or two pairs, one kind, one person, one group, constant or few scores, no names, folds."""
    random = np.random.default_rng(draw(st.integers(0, 10**9)))
    count, groups, people = draw(st.integers(1, 14)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    group = random.integers(0, groups, count).astype(str)
    one, two = (random.integers(0, people, count).astype(str) for _ in range(2))
    scores = np.full(count, 0.3) if draw(st.booleans()) else random.choice(SCORES, count)
    table = pd.DataFrame({"score": scores, "group": group})
    if draw(st.booleans()):
        table = table.assign(id1=np.char.add(group, one), id2=np.char.add(group, two))
        if draw(st.booleans()):
            table = table.assign(img1=random.integers(0, 2, count), img2=random.integers(0, 2, count))
    else:
        share = draw(st.sampled_from([0.0, 0.5, 1.0]))
        table = table.assign(label=(random.random(count) < share).astype(int))
    return table.assign(fold=random.integers(0, 2, count)) if draw(st.booleans()) else table


REASONS = ("n/a", "nothing to compare", "only", "not measurable", "no interval", "no column 'fold'", "Not defined here")


@settings(max_examples=several(100, 1000), deadline=None, suppress_health_check=list(HealthCheck))
@given(odd_tables(), st.sampled_from(["pooled", "threshold", "own"]), st.sampled_from([0.0, 0.1, 0.5]))
def test_tiny_and_degenerate_tables_never_crash_and_never_lie(table: pd.DataFrame, rule: str, value: float) -> None:
    """1,000 of them: a report or one sentence; a rate is a share of pairs that are there, without pairs there is none;
    no interval is [0, 0]; nothing is infinite; what is n/a has a reason; the JSON is valid."""
    point = {"pooled": "at_fmr", "threshold": "threshold", "own": "own_fmr"}[rule]
    report, refused = None, ""
    try:
        report = fairness_report(table, **{point: value}, draws=8)  # type: ignore[arg-type]
    except FairLabError as error:
        refused = str(error)
    if report is None:
        assert re.fullmatch(r"(there|group \d+) (is|has) no impostor pair, so [^\n]*", refused)
        return
    found = report.as_json()
    json.dumps(found, allow_nan=False)
    assert not np.isinf(report.numbers[["value", "low", "high"]].to_numpy(float)).any()
    for row in found["groups"].values():
        for kind, wrong, of in (
            ("fmr", "false_matches", "impostor_pairs"),
            ("fnmr", "false_non_matches", "genuine_pairs"),
        ):
            if row[of] == 0:
                assert row[kind] is row[f"{kind}_low"] is None
            else:
                assert row[kind] == row[wrong] / row[of]
            if row[f"{kind}_low"] is not None and row[kind] in (0.0, 1.0):
                assert row[f"{kind}_high"] > row[f"{kind}_low"], "certain without a doubt"
    several = len(found["groups"]) > 1
    for name, metric in found["metrics"].items():
        assert metric["value"] is None or several or name == "worst_accuracy", f"{name} of a single group"
    if any(metric["value"] is None for metric in found["metrics"].values()):
        assert any(reason in sentence for reason in REASONS for sentence in (*report.notes, *report.summary))
