"""The operating point: one choice for the pages Verification and Fairness, kept in the link."""

from __future__ import annotations

import math

import numpy as np
import streamlit as st

from fairlab.errors import FairLabError
from fairlab.evaluation.fairness_report import FairnessReport
from fairlab.evaluation.operating import OperatingPoint, Rule
from fairlab.evaluation.verification import measurable
from fairlab.ui.frame import choices
from fairlab.ui.frame.numbers import span
from fairlab.ui.frame.page import plain
from fairlab.ui.judge.evidence import Evidence, report

LADDER = tuple(step * 10.0**-power for power in range(6, 0, -1) for step in (1, 2, 5))
"""FMRs that the slider offers, 0.000001 to 0.5."""
RULES: dict[Rule, str] = {
    "pooled": "One threshold for all",
    "own": "One for each group",
    "threshold": "This threshold",
}
USUAL = 0.01
LINK, RULE, FMR, THRESHOLD = "point", "point rule", "point fmr", "point threshold"


def rate_text(rate: float) -> str:
    """A fraction in percent, with as many digits as it needs."""
    return f"{100 * rate:.4g} %"


def _far(rate: float) -> float:
    """How far a rate is from the usual one."""
    return abs(math.log(rate / USUAL))


def pick_operating_point(found: Evidence) -> tuple[OperatingPoint, FairnessReport]:
    """Rule and slider, and what the point means there: threshold, achieved rates, counts. Says what cannot be measured,
    and what a saved selection leaves out of the pairs.
    """
    if found.chosen is not None:
        st.info(plain("; ".join(found.pairs.notes) + "."), icon=":material/filter_alt:")
    scores = np.concatenate([group.scores for group in found.groups])
    impostors = sum(group.counts[1] for group in found.groups)
    rungs = [rate for rate in LADDER if rate * impostors >= 1] or [LADDER[-1]]
    low, high = math.floor(100 * scores.min()) / 100, math.ceil(100 * scores.max()) / 100 + 0.01
    usual = OperatingPoint(
        "pooled", min([rate for rate in rungs if measurable(rate, impostors)] or rungs[-1:], key=_far)
    )
    shown = _asked(rungs, (low, high), usual)
    with st.container(border=True):
        left, middle, right = st.columns([1.4, 2.2, 2.2], vertical_alignment="center")
        with left:
            choices.place(RULE, shown.rule)
            rule: Rule = st.selectbox(
                "Operating point",
                list(RULES),
                format_func=lambda item: RULES[item],
                key=RULE,
                on_change=_rule_chosen,
                args=(rungs, low, high),
            )
            choices.placed(RULE)
        with middle:
            point = OperatingPoint(rule, _value(rule, shown, rungs, (low, high)))
        choices.show(LINK, [point.name])
        at = report(found, point)
        with right:
            _meaning(at)
    if at.at.missing:
        st.warning(
            plain(f"{at.at.missing}: the rates below rest on few errors and say little."), icon=":material/warning:"
        )
    return point, at


def _value(rule: Rule, shown: OperatingPoint, rungs: list[float], span: tuple[float, float]) -> float:
    """The slider of a rule: a threshold, or a false match rate."""
    if rule == "threshold":
        choices.place(THRESHOLD, shown.value, span)
        value = st.slider(
            "Threshold", *span, step=0.001, format="%.3f", key=THRESHOLD, on_change=_value_chosen, args=(rule,)
        )
        choices.placed(THRESHOLD, span)
    else:
        choices.place(FMR, shown.value)
        value = st.select_slider(
            "False match rate, at most", rungs, format_func=rate_text, key=FMR, on_change=_value_chosen, args=(rule,)
        )
        choices.placed(FMR)
    return float(value)


def _value_chosen(rule: Rule) -> None:
    """Callback of both sliders."""
    value = float(st.session_state[THRESHOLD if rule == "threshold" else FMR])
    choices.choose(LINK, [OperatingPoint(rule, value).name])


def _rule_chosen(rungs: list[float], low: float, high: float) -> None:
    """Callback of the rule: a rate stays as it is; a threshold begins in the middle, a rate after it at the usual one."""
    rule: Rule = st.session_state[RULE]
    if rule == "threshold":
        value = round((low + high) / 2, 3)
    else:
        value = float(st.session_state.get(FMR, USUAL))
        value = min(rungs, key=lambda rung: abs(math.log(rung / value)))
    choices.choose(LINK, [OperatingPoint(rule, value).name])


def _asked(rungs: list[float], span: tuple[float, float], usual: OperatingPoint) -> OperatingPoint:
    """The point that is asked for, the nearest one that these pairs allow (which is said), or the usual one."""
    asked = choices.asked(LINK)
    if not asked:
        return usual
    try:
        point = OperatingPoint.of(asked[-1])
    except FairLabError as error:
        st.warning(plain(error), icon=":material/link_off:")
        return usual
    if point.rule == "threshold":
        value = min(max(point.value, span[0]), span[1])
        told = f"A threshold of {point.value:g} is outside these scores; {value:g} is shown."
    else:
        value = min(rungs, key=lambda rung: abs(math.log(rung / max(point.value, 1e-9))))
        told = f"The slider has no step at an FMR of {rate_text(point.value)}; {rate_text(value)} is shown."
    shown = OperatingPoint(point.rule, value)
    if shown.name != point.name and choices.by_hand():
        choices.keep(LINK, [shown.name])
    elif shown.name != point.name:
        st.caption(f":material/info: {plain(told)}")
    return shown


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
            f"Overall {kind.upper()} **{plain(rate_text(row['value'])) if row['value'] == row['value'] else 'n/a'}** "
            f":small[:gray[{plain(between)}{' · ' if between else ''}{errors[number]:,} of {pairs[number]:,} pairs]]"
        )
    st.markdown("  \n".join(said))
