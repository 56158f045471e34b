"""The operating point: one choice for the pages Verification and Fairness, kept in the link."""

from __future__ import annotations

import math

import numpy as np
import streamlit as st

from fairlab.errors import FairLabError
from fairlab.evaluation.fairness_report import FairnessReport
from fairlab.evaluation.operating import OperatingPoint, Rule
from fairlab.evaluation.verification import measurable
from fairlab.ui.evidence import Evidence, report
from fairlab.ui.numbers import span
from fairlab.ui.page import plain

LADDER = tuple(step * 10.0**-power for power in range(6, 0, -1) for step in (1, 2, 5))
"""FMRs that the slider offers, 0.000001 to 0.5."""
RULES: dict[Rule, str] = {
    "pooled": "One threshold for all",
    "own": "One for each group",
    "threshold": "This threshold",
}
USUAL = 0.01
LINK, RULE, FMR, THRESHOLD, KEPT = "point", "point rule", "point fmr", "point threshold", "chosen point"


def rate_text(rate: float) -> str:
    """A fraction in percent, with as many digits as it needs."""
    return f"{100 * rate:.4g} %"


def _far(rate: float) -> float:
    """How far a rate is from the usual one."""
    return abs(math.log(rate / USUAL))


def pick_operating_point(found: Evidence) -> tuple[OperatingPoint, FairnessReport]:
    """Rule and slider, and what the point means there: threshold, achieved rates, counts. Says what cannot be measured."""
    scores = np.concatenate([group.scores for group in found.groups])
    impostors = sum(group.counts[1] for group in found.groups)
    rungs = [rate for rate in LADDER if rate * impostors >= 1] or [LADDER[-1]]
    low, high = math.floor(100 * scores.min()) / 100, math.ceil(100 * scores.max()) / 100 + 0.01
    usual = OperatingPoint(
        "pooled", min([rate for rate in rungs if measurable(rate, impostors)] or rungs[-1:], key=_far)
    )
    _prepare(rungs, low, high, usual)
    with st.container(border=True):
        left, middle, right = st.columns([1.4, 2.2, 2.2], vertical_alignment="center")
        with left:
            rule: Rule = st.selectbox("Operating point", list(RULES), format_func=lambda item: RULES[item], key=RULE)
        with middle:
            if rule == "threshold":
                value = st.slider("Threshold", low, high, step=0.001, format="%.3f", key=THRESHOLD)
            else:
                value = st.select_slider("False match rate, at most", rungs, format_func=rate_text, key=FMR)
        point = OperatingPoint(rule, float(value))
        st.session_state[KEPT] = "" if point == usual else point.name
        if point == usual:
            st.query_params.pop(LINK, None)
        else:
            st.query_params[LINK] = point.name
        at = report(found, point)
        with right:
            _meaning(at)
    if at.at.missing:
        st.warning(
            plain(f"{at.at.missing}: the rates below rest on few errors and say little."), icon=":material/warning:"
        )
    return point, at


def _prepare(rungs: list[float], low: float, high: float, usual: OperatingPoint) -> None:
    """Set the widgets before they are drawn: to what a new link asks for, or what was chosen before, or the default."""
    asked, kept = st.query_params.get(LINK), st.session_state.get(KEPT)
    wanted = OperatingPoint.of(kept) if kept else usual
    new = asked is not None and asked != kept
    if new:
        try:
            wanted = OperatingPoint.of(str(asked))
        except FairLabError as error:
            st.warning(plain(error))
            st.query_params.pop(LINK, None)
            new = False
    new = new or RULE not in st.session_state  # the page is entered: values set for a slider that was not drawn are old
    if new:
        st.session_state[RULE] = wanted.rule
    rate = wanted.value if wanted.rule != "threshold" else st.session_state.get(FMR, usual.value)
    if new or FMR not in st.session_state or st.session_state[FMR] not in rungs:
        st.session_state[FMR] = min(rungs, key=lambda rung: abs(math.log(rung / max(rate, 1e-9))))
    threshold = wanted.value if wanted.rule == "threshold" else st.session_state.get(THRESHOLD, (low + high) / 2)
    if new or THRESHOLD not in st.session_state or not low <= st.session_state[THRESHOLD] <= high:
        st.session_state[THRESHOLD] = min(max(threshold, low), high)


def _meaning(at: FairnessReport) -> None:
    """Threshold and rates of everybody together at the point, with counts and intervals."""
    alone = at.numbers[at.numbers["group"] == "all"].set_index("metric")
    errors, pairs = at.at.errors.sum(1), at.at.pairs.sum(1)
    if at.at.point.rule == "own":
        said = [
            f"thresholds **{plain(f'{at.at.thresholds.min():.4f}')}** to **{plain(f'{at.at.thresholds.max():.4f}')}**"
        ]
    else:
        said = [f"threshold **{plain(f'{at.at.thresholds[0]:.4f}')}**"]
    for number, kind in enumerate(("fmr", "fnmr")):
        row = alone.loc[kind]
        between = span(row["low"], row["high"], 3 if kind == "fmr" else 1, 100)
        said.append(
            f"{kind.upper()} of everybody **{plain(rate_text(row['value'])) if row['value'] == row['value'] else 'n/a'}** "
            f":small[:gray[{plain(between)}{' · ' if between else ''}{errors[number]:,} of {pairs[number]:,} pairs]]"
        )
    st.markdown("  \n".join(said))
