"""What `run.quality()` and `run.causes()` return: tables, sentences and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from fairlab.compare import causes as behind_causes
from fairlab.compare.pairs import Where
from fairlab.compare.quality import quality_behind, sentences
from fairlab.evaluation.causes import Causes, Outcome
from fairlab.evaluation.discard import Discard, Rule
from fairlab.evaluation.error_pairs import ErrorKind
from fairlab.store.runs import RunRecord

if TYPE_CHECKING:
    from fairlab.plots.colours import Figure


@dataclass(frozen=True)
class Quality:
    """areas, curves, gaps: see evaluation.discard; sentences: what they say."""

    areas: pd.DataFrame
    curves: pd.DataFrame
    gaps: pd.DataFrame
    sentences: tuple[str, ...]
    rate: str

    def figure(self) -> Figure:
        """A curve per group: its error rate as more of its worst pairs are left out."""
        from fairlab.plots.discard import discard_figure
        from fairlab.tables import ALL_GROUPS

        groups = [group for group in self.areas["group"] if group != ALL_GROUPS]
        return discard_figure(self.curves, groups, self.rate)


def quality_of(record: RunRecord, where: Where, asked: tuple[str, ErrorKind, Rule, float]) -> Quality:
    """asked: trait, kind, rule and most. Raises as compare.quality.quality_behind."""
    return shown(quality_behind(record, where, *asked), asked[1], asked[0])


def shown(found: Discard, kind: ErrorKind, trait: str) -> Quality:
    """The curves with what they say."""
    said = tuple(sentences(found, kind, trait))
    return Quality(found.areas, found.curves, found.gaps, said, "FNMR" if kind == "false-non-match" else "FMR")


@dataclass(frozen=True)
class Reasons:
    """gaps, effects, shares: see evaluation.causes; sentences: what they say; notes: what is doubtful and why."""

    gaps: pd.DataFrame
    effects: pd.DataFrame
    shares: pd.DataFrame
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    rate: str

    def figure(self) -> Figure:
        """Every group's gap as it is and with traits held equal."""
        from fairlab.plots.causes import gaps_figure

        return gaps_figure(self.gaps, self.rate)

    def effects_figure(self) -> Figure:
        """The effect of every trait."""
        from fairlab.plots.causes import effects_figure

        return effects_figure(self.effects, self.rate)


def causes_of(record: RunRecord, where: Where, asked: tuple[tuple[str, ...], ErrorKind, Outcome]) -> Reasons:
    """asked: traits, kind and outcome. Raises as compare.causes.causes_behind."""
    return explained(behind_causes.causes_behind(record, where, *asked), asked[1], asked[2])


def explained(found: Causes, kind: ErrorKind, outcome: Outcome) -> Reasons:
    """The tables with what they say."""
    rate = "score" if outcome == "score" else "FNMR" if kind == "false-non-match" else "FMR"
    said = tuple(behind_causes.sentences(found, kind, outcome))
    return Reasons(found.gaps, found.effects, found.shares, said, found.notes, rate)
