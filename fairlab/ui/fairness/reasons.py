"""On Fairness: what goes with the errors, and what leaving out the worst images does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from fairlab.api.reasons import Quality, Reasons, explained, shown
from fairlab.compare import causes, quality
from fairlab.compare.pairs import Where
from fairlab.compare.traits import NORM, traits_behind
from fairlab.data.dataset import Dataset
from fairlab.data.traits import Trait, names_beside, traits_fingerprint
from fairlab.errors import FairLabError
from fairlab.evaluation.causes import Outcome
from fairlab.evaluation.discard import RULES, Rule
from fairlab.evaluation.error_pairs import ErrorKind
from fairlab.evaluation.operating import OperatingPoint
from fairlab.files import app_root
from fairlab.plots.discard import discard_figure
from fairlab.store.runs import RunRecord
from fairlab.tables import ALL_GROUPS, texts
from fairlab.ui.frame import choices
from fairlab.ui.frame.numbers import download
from fairlab.ui.frame.page import chart, plain, show_error
from fairlab.ui.frame.pickers import choose, choose_many
from fairlab.ui.judge.evidence import Evidence
from fairlab.ui.judge.pairs import decisions
from fairlab.workspace import Workspace

KINDS: dict[ErrorKind, str] = {"false-non-match": "False non-matches", "false-match": "False matches"}
OUTCOMES: dict[Outcome, str] = {"error": "errors at the operating point", "score": "scores"}
MOST = {"0.1": "10 %", "0.2": "20 %", "0.5": "50 %"}


@dataclass(frozen=True)
class Asked:
    """What the page shows: workspace, evidence, operating point, run and data."""

    lab: Workspace
    found: Evidence
    point: OperatingPoint
    run: RunRecord
    data: Dataset

    @property
    def where(self) -> Where:
        return Where(self.data, self.found.protocol, self.point)

    @property
    def key(self) -> tuple[str, ...]:
        return (*self.found.key, self.point.name, traits_fingerprint(self.data))


def panel(lab: Workspace, found: Evidence, point: OperatingPoint, run: RunRecord, data: Dataset) -> None:
    """Causes, then quality. Each is drawn again by itself."""
    asked = Asked(lab, found, point, run, data)
    try:
        names = [name for name, trait in _traits(asked.key, asked).items() if trait.numeric and trait.known.any()]
    except FairLabError as error:
        show_error(error)
        return
    for title, part in (("Causes", _causes), ("Quality", _quality)):
        st.subheader(title, anchor=False)
        _drawn(part, asked, names)
    if not names_beside(data):
        where = " or measure some" if data.has_images else ""
        st.caption(
            f"The images of this data set have no traits yet: import a table (pose, age, a quality score){where} on the Data page."
        )
        st.page_link(app_root() / "pages" / "data.py", label="Traits on the Data page", icon=":material/straighten:")


@st.cache_resource(max_entries=8, show_spinner="Reading traits ...")
def _traits(key: tuple[str, ...], _asked: Asked) -> dict[str, Trait]:
    return traits_behind(_asked.run, _asked.data)


@st.fragment
def _drawn(part: Callable[[Asked, list[str]], None], asked: Asked, names: list[str]) -> None:
    try:
        part(asked, names)
    except FairLabError as error:
        show_error(error)
    choices.finish_part()


def _causes(asked: Asked, names: list[str]) -> None:
    """Which traits go with errors, and what of each gap they leave."""
    if not names:
        st.caption("n/a: neither the images' traits nor the length of their embeddings are known.")
        return
    left, middle, right = st.columns([2, 1, 1])
    with left:
        traits = choose_many(
            "Traits held equal", names, "traits", {}, placeholder=", ".join(causes.usual_traits(asked.run, asked.where))
        )
    with middle:
        kind: ErrorKind = choose("Errors", list(KINDS), "cause errors", KINDS)  # type: ignore[arg-type, assignment]
    with right:
        outcome: Outcome = choose("Explain", list(OUTCOMES), "outcome", OUTCOMES)  # type: ignore[arg-type, assignment]
    found = _explained(asked.key, tuple(traits), kind, outcome, asked)
    for sentence in found.sentences:
        st.markdown(f"- {plain(sentence)}")
    for note in found.notes:
        st.caption(plain(note))
    known = found.gaps["gap"].notna().any()
    if known:
        chart(found.figure(), "causes:gaps", "Gap of each group, as it is and with traits held equal", found.gaps)
    if len(found.effects):
        chart(found.effects_figure(), "causes:effects", "Effect of each trait per standard deviation", found.effects)
        with st.expander("Each trait in each group's gap"):
            st.dataframe(found.shares, hide_index=True)
            st.caption(
                "alone: what goes with the trait where it is the only one; last: beside all others. Traits that vary together "
                "share what goes with them, so the rows do not add up."
            )
            download(found.shares, "causes")


@st.cache_resource(max_entries=16, show_spinner="Fitting ...")
def _explained(
    key: tuple[str, ...], traits: tuple[str, ...], kind: ErrorKind, outcome: Outcome, _asked: Asked
) -> Reasons:
    table = decisions(_asked.found, _asked.point)
    found = causes.of_decisions(_asked.run, _asked.where, table, (traits, kind, outcome))
    return explained(found, kind, outcome)


def _quality(asked: Asked, names: list[str]) -> None:
    """Rates as the pairs of the worst images are left out."""
    if not names:
        st.caption("n/a: no quality of the images is known.")
        return
    signed = [sign + name for name in names for sign in ("", "-")]
    labels = {name: f"{name[1:]}, less is better" if name[0] == "-" else f"{name}, more is better" for name in signed}
    first, second, third, fourth = st.columns([2, 1.3, 1.5, 1])
    with first:
        trait = choose("Quality", signed, "quality", labels, signed.index(NORM) if NORM in names else 0)
    with second:
        kind: ErrorKind = choose("Errors", list(KINDS), "quality errors", KINDS)  # type: ignore[arg-type, assignment]
    with third:
        rule: Rule = choose("Leave out", list(RULES), "discard", RULES)  # type: ignore[arg-type, assignment]
    with fourth:
        most = float(choose("At most", list(MOST), "most", MOST, 1))
    found = _discarded(asked.key, (trait, kind, rule, most), asked)
    for sentence in found.sentences:
        st.markdown(f"- {plain(sentence)}")
    groups = tuple(name for name in asked.found.names if name in set(found.areas["group"]))
    chart(
        discard_figure(found.curves, groups, found.rate),
        "error-discard",
        f"{found.rate} of each group as more of its worst pairs are left out",
        found.curves,
    )
    st.dataframe(_areas(found.areas), hide_index=True)
    st.caption(
        "Area: the mean rate from nothing left out to the most; ideal: where wrong pairs go first. Quality that tells nothing "
        "leaves the rate as it is. Bands and brackets: 95 %, over people, at the cuts as they are."
    )
    download(found.gaps, "gaps by discard")


@st.cache_resource(max_entries=16, show_spinner="Leaving out pairs ...")
def _discarded(key: tuple[str, ...], wanted: tuple[str, ErrorKind, Rule, float], _asked: Asked) -> Quality:
    found = quality.of_decisions(_asked.run, _asked.where, decisions(_asked.found, _asked.point), wanted)
    return shown(found, wanted[1], wanted[0])


def _areas(areas: pd.DataFrame) -> pd.DataFrame:
    """The areas as people read them."""
    rows = [
        {
            "Group": "all groups" if row["group"] == ALL_GROUPS else row["group"],
            "Pairs": f"{row['pairs']:,}",
            "Errors": f"{row['errors']:,}",
            "Rate, %": f"{100 * row['rate']:.2f}",
            "Area, %": f"{100 * row['area']:.2f} [{100 * row['low']:.2f}, {100 * row['high']:.2f}]",
            "Ideal, %": f"{100 * row['ideal']:.2f}",
            "Gain, points": f"{100 * row['gain']:+.2f} [{100 * row['gain_low']:+.2f}, {100 * row['gain_high']:+.2f}]",
            "Unknown quality": f"{row['unknown']:,}",
        }
        for row in areas.to_dict("records")
    ]
    return texts(rows, "Group")
