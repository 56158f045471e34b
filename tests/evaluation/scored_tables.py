"""Tables of scored pairs as anybody may bring them, for several tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

GOLDEN = Path(__file__).with_name("fixtures") / "golden_scores.csv"


def golden() -> pd.DataFrame:
    """18,240 pairs of four groups of 24 people with 4 images; people are numbered anew in each group."""
    return pd.read_csv(GOLDEN)


def small(groups: str = "AB", people: int = 6, images: int = 3, seed: int = 0, gap: float = 2.0) -> pd.DataFrame:
    """All pairs within each group; names of people say their group."""
    random = np.random.default_rng(seed)
    rows = []
    for group in groups:
        faces = [(f"{group}{person}", image) for person in range(people) for image in range(images)]
        rows += [
            (group, one, first, two, second, int(one == two))
            for at, (one, first) in enumerate(faces)
            for two, second in faces[at + 1 :]
        ]
    table = pd.DataFrame(rows, columns=["group", "id1", "img1", "id2", "img2", "label"])
    return table.assign(score=(random.normal(size=len(table)) + gap * table["label"]).round(4))


def across(groups: str = "AB", people: int = 6, seed: int = 0) -> pd.DataFrame:
    """Impostors of one group against another: everybody's first image against everybody's."""
    random = np.random.default_rng(seed)
    rows = [
        (a, b, f"{a}{one}", f"{b}{two}", 0, 0, 0)
        for at, a in enumerate(groups)
        for b in groups[at + 1 :]
        for one in range(people)
        for two in range(people)
    ]
    table = pd.DataFrame(rows, columns=["group1", "group2", "id1", "id2", "img1", "img2", "label"])
    return table.assign(score=random.normal(size=len(table)).round(4))


def both(groups: str = "AB", people: int = 6, seed: int = 0) -> pd.DataFrame:
    """Pairs within and across groups, with a group for each image."""
    within = small(groups, people, seed=seed).rename(columns={"group": "group1"})
    table = pd.concat([within.assign(group2=within["group1"]), across(groups, people, seed + 1)])
    return table.reset_index(drop=True)
