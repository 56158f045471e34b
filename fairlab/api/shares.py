"""`lab.data[name].shares`: soft group shares of a data set's images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.mass_balance import BEFORE_AND_AFTER, before_and_after, sentence
from fairlab.data.shares import BALANCES, MASSES, balances, masses, needed_shares, shares_of
from fairlab.tables import NUMBER, Table
from fairlab.workspace import Workspace


class SoftShares:
    """How much of each group every image of a data set has, by a table that was imported for it.

    >>> lab.data["rfw"].shares.add("shares.csv")
    >>> lab.data["rfw"].shares.masses()
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._workspace, self.name = workspace, name

    def __repr__(self) -> str:
        return f"<soft group shares of {self.name}: {', '.join(self.groups) or 'none'}>"

    def __bool__(self) -> bool:
        return bool(self.groups)

    @property
    def _data(self) -> Dataset:
        return open_dataset(self._workspace.dataset(self.name))

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups that have shares; () where the data set has none."""
        shares = shares_of(self._data)
        return () if shares is None else shares.groups

    @property
    def fingerprint(self) -> str:
        """Hash of the shares, beside the data set's own, which they do not change; "" where there are none."""
        shares = shares_of(self._data)
        return "" if shares is None else shares.fingerprint

    def add(self, table: str | Path) -> pd.DataFrame:
        """Import a CSV or parquet table; earlier shares are replaced.

        table: a column image_id, image or path, and columns share/<group> (or named as the data's groups) whose values, 0..1,
        add up to 1 within 0.005 in every row. Images that it does not name have no shares. Returns masses(). Raises
        FairLabError, naming line and column, for a table that is wrong; then nothing is written.

        >>> lab.data["rfw"].shares.add("shares.csv")
        """
        from fairlab.jobs.data.sharing import add_shares

        add_shares(self._workspace, self.name, Path(table))
        return self.masses()

    def preview(self, table: str | Path) -> dict[str, Any]:
        """What add() would keep; nothing is written. Returns groups, images and without_shares; raises as add().

        >>> lab.data["rfw"].shares.preview("shares.csv")["without_shares"]
        0
        """
        from fairlab.jobs.data.sharing import check_shares

        groups, known, without = check_shares(self._workspace, self.name, Path(table))
        return {"groups": list(groups), "images": known, "without_shares": without}

    def table(self) -> pd.DataFrame:
        """Every image's shares. Returns a DataFrame by image_id with a column per group, missing where an image has none.

        Raises FairLabError where the data set has no shares.

        >>> lab.data["rfw"].shares.table().mean()
        """
        shares = needed_shares(self._data, "this table")
        columns = dict(zip(shares.groups, np.asarray(shares.values).T, strict=True))
        return Table(**dict.fromkeys(columns, NUMBER)).of(columns).rename_axis("image_id")

    def masses(self) -> pd.DataFrame:
        """The mass of every group, the sum of its share over the images, in every part; empty where there are no shares.

        Returns a DataFrame with split, group, mass, mass_share (0..1), images and identities (with this largest share).

        >>> lab.data["rfw"].shares.masses().pivot(index="split", columns="group", values="mass")
        """
        data = self._data
        shares = shares_of(data)
        return MASSES.build() if shares is None else masses(data, shares)

    def balance(self) -> pd.DataFrame:
        """How balanced every part is; empty where there are no shares.

        Returns a DataFrame with split, images, without_shares, mass_entropy (1: all masses equal), image_entropy (mean; 0: each
        image has one group alone) and largest_excess (of the largest mass over the smallest, a fraction).

        >>> lab.data["rfw"].shares.balance()
        """
        data = self._data
        shares = shares_of(data)
        return BALANCES.build() if shares is None else balances(data, shares)

    def change(self) -> pd.DataFrame:
        """Of a data set made with balance = mass: every group's mass, identities and images before and after.

        Returns a DataFrame with group and, each before and after, mass, identities and images; empty for other data sets.

        >>> lab.data.make("even", dataset="faces", balance="mass").wait()
        >>> lab.data["even"].shares.change()
        """
        facts = self._data.info.get("mass_balance")
        return BEFORE_AND_AFTER.build() if not facts else before_and_after(facts)

    def sentence(self) -> str:
        """change() in words, with both entropies before and after. Returns "" for any other data set.

        >>> print(lab.data["even"].shares.sentence())
        """
        facts = self._data.info.get("mass_balance")
        return sentence(facts) if facts else ""
