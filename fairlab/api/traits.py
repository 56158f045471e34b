"""`lab.data[name].traits`: numbers of a data set's images that may go with errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.traits import SUMMARY, Traits, summary, traits_of
from fairlab.tables import NUMBER, Table
from fairlab.workspace import Workspace


class TraitsOfData:
    """What is known of every image of a data set beside its people and groups: quality scores, pose, blur.

    >>> lab.data["rfw"].traits.measure()
    >>> lab.data["rfw"].traits.add("ofiq.csv", columns=["UnifiedQualityScore"])
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._workspace, self.name = workspace, name

    def __repr__(self) -> str:
        return f"<traits of {self.name}: {', '.join(self.names) or 'none'}>"

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def _opened(self) -> tuple[Dataset, Traits]:
        data = open_dataset(self._workspace.dataset(self.name))
        return data, traits_of(data)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the traits; () where the data set has none."""
        return self._opened[1].names

    def add(self, table: str | Path, columns: Sequence[str] = ()) -> pd.DataFrame:
        """Import a CSV or parquet table; traits of the same name are replaced, others stay.

        table: a column image_id, image or path, and a column of numbers per trait; an empty cell is unknown. columns: only these.
        Returns summary(). Raises FairLabError, naming line and column, for a table that is wrong; then nothing is written.

        >>> lab.data["rfw"].traits.add("ofiq.csv")
        """
        from fairlab.jobs.data.traits import add_traits

        add_traits(self._workspace, self.name, Path(table), columns)
        return self.summary()

    def preview(self, table: str | Path, columns: Sequence[str] = ()) -> dict[str, int]:
        """What add() would keep: the images with a value of each trait; nothing is written. Raises as add().

        >>> lab.data["rfw"].traits.preview("ofiq.csv")
        {'UnifiedQualityScore': 40607}
        """
        from fairlab.jobs.data.traits import check_traits

        return check_traits(self._workspace, self.name, Path(table), columns)

    def measure(self, progress: Callable[[int, int], None] = lambda _done, _total: None) -> pd.DataFrame:
        """Measure brightness, contrast, sharpness, skin brightness and uneven light in the pixels of all images.

        progress: called with images done and in all. Returns summary(). Raises FairLabError where the data set has no images.

        >>> lab.data["rfw"].traits.measure()
        """
        from fairlab.jobs.data.traits import measure_traits

        measure_traits(self._workspace, self.name, progress)
        return self.summary()

    def remove(self, name: str) -> None:
        """Take a trait away. Raises FairLabError for one that there is not.

        >>> lab.data["rfw"].traits.remove("contrast")
        """
        from fairlab.jobs.data.traits import remove_trait

        remove_trait(self._workspace, self.name, name)

    def table(self) -> pd.DataFrame:
        """Every image's traits. Returns a DataFrame by image_id with a column per trait, missing where an image has none.

        >>> lab.data["rfw"].traits.table().corr()
        """
        data, traits = self._opened
        columns = {name: traits.of(name) for name in traits.names}
        table = Table(**dict.fromkeys(columns, NUMBER)).of(columns)
        return table.reindex(range(len(data.images))).rename_axis("image_id")

    def summary(self) -> pd.DataFrame:
        """What the values of every trait are in every group.

        Returns a DataFrame with trait, origin, group, images (with a value), unknown, low, median and high (5, 50 and 95 %
        points); empty where there are no traits.

        >>> lab.data["rfw"].traits.summary().pivot(index="trait", columns="group", values="median")
        """
        data, traits = self._opened
        return summary(data, traits) if traits.names else SUMMARY.build()
