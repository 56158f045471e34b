"""What `run.quality()` and `run.causes()` return: tables, sentences and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from fairlab.compare.pairs import Where
from fairlab.compare.quality import quality_behind, sentences
from fairlab.evaluation.discard import Discard, Rule
from fairlab.evaluation.error_pairs import ErrorKind
from fairlab.store.runs import RunRecord

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class Quality:
    """areas, curves, gaps: see evaluation.discard; sentences: what they say."""

    areas: pd.DataFrame
    curves: pd.DataFrame
    gaps: pd.DataFrame
    sentences: tuple[str, ...]
    rate: str

    def figure(self) -> go.Figure:
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
