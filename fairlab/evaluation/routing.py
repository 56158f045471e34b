"""Where a gate sent the images of each group: shares, how even they are, and whether the gate tells groups apart.

A student of several teachers (MST-Distill, arXiv 2507.07015) logs counts: images of a group, "seen/<group>", and times
that they were routed to a teacher, "routed/<group>/<teacher from 1>". Counts add up over steps; shares are made here. Of
these numbers the paper has the overall share alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fairlab.tables import NUMBER, TEXT, WHOLE, Table

ROUTED, SEEN = "routed/", "seen/"
SHARES = Table(epoch=WHOLE, group=TEXT, teacher=TEXT, images=WHOLE, routed=WHOLE, share=NUMBER)
"""A row is a group and a teacher in an epoch, from 1. images: of the group; routed: times that they were routed to the
teacher; share: of all routings of the group, NaN where it had no image."""
MEASURES = Table(
    epoch=WHOLE,
    entropy=NUMBER,
    information_bits=NUMBER,
    own_rate=NUMBER,
    chance=NUMBER,
    chosen_kl=NUMBER,
    other_kl=NUMBER,
    chosen_ce=NUMBER,
    other_ce=NUMBER,
)
"""A row is an epoch, from 1. entropy: of the overall shares over log n, 1 when all teachers are used alike, NaN for one;
information_bits: what the group says about the teacher, 0 when the gate ignores groups; own_rate: share of routings to
the group's own teacher, NaN where groups have none; chance: 1 / n; chosen_*, other_*: mean divergence of the student from
the teachers that were chosen or not, and their cross-entropy on the image's identity."""
READINGS = ("chosen_kl", "other_kl", "chosen_ce", "other_ce")


def shares_by_group(events: pd.DataFrame, teachers: Sequence[str]) -> pd.DataFrame:
    """SHARES of a run's readings (tables.EVENTS); teachers: their names, in the run's order. Empty before routing."""
    names = events["name"].astype(str)
    counts = events[names.str.startswith((ROUTED, SEEN))]
    summed = counts.groupby(["epoch", "name"], sort=True)["value"].sum()
    rows = []
    for (epoch, name), images in summed.items():
        if not name.startswith(SEEN):
            continue
        group = name.removeprefix(SEEN)
        routed = [int(summed.get((epoch, f"{ROUTED}{group}/{place}"), 0)) for place in range(1, len(teachers) + 1)]
        for teacher, times in zip(teachers, routed, strict=True):
            share = times / sum(routed) if sum(routed) else np.nan
            rows.append((int(epoch) + 1, group, teacher, int(images), times, share))
    return SHARES.build(rows)


def measures_by_epoch(events: pd.DataFrame, teachers: Sequence[str], own: Mapping[str, str]) -> pd.DataFrame:
    """MEASURES of a run's readings; own: the teacher of each group, where every group has one of its own."""
    shares = shares_by_group(events, teachers)
    means = events[events["name"].isin(READINGS)].groupby(["epoch", "name"])["value"].mean()
    rows = []
    for epoch, part in shares.groupby("epoch"):
        counts = part.pivot(index="group", columns="teacher", values="routed").reindex(columns=list(teachers))
        rows.append(
            {
                "epoch": int(epoch),
                "entropy": entropy_share(counts.to_numpy().sum(0)),
                "information_bits": information_bits(counts.to_numpy()),
                "own_rate": own_rate(counts, own),
                "chance": 1 / len(teachers),
                **{name: float(means.get((epoch - 1, name), np.nan)) for name in READINGS},
            }
        )
    return MEASURES.build(rows)


def entropy_share(counts: np.ndarray) -> float:
    """Entropy of the shares over log n, 0..1, from counts (n,): 1 where all are alike; NaN without counts or for n = 1."""
    if len(counts) < 2 or not counts.sum():
        return np.nan
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(len(counts)))


def information_bits(counts: np.ndarray) -> float:
    """Mutual information of group and teacher in bits, from counts (groups, n), all groups weighed by their counts.

    Of counts, so above 0 by chance alone: about (groups - 1)(n - 1) / (2 N ln 2) bits of N routings (Miller, 1955).
    """
    total = counts.sum()
    if not total:
        return np.nan
    joint = counts / total
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log2(joint[some] / apart[some])).sum())


def own_rate(counts: pd.DataFrame, own: Mapping[str, str]) -> float:
    """Share of routings that went to the group's own teacher; counts: a row per group, a column per teacher."""
    total = counts.to_numpy().sum()
    if not total or not set(counts.index) <= own.keys():
        return np.nan
    return float(sum(counts.loc[group, own[group]] for group in counts.index) / total)
