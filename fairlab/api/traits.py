"""`lab.data[name].traits`: what is known of each image of a data set beside whose it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fairlab.api.run import Run
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.traits import Trait, needed_trait, summary, traits_fingerprint, traits_of
from fairlab.tables import NUMBER, TEXT, Table
from fairlab.workspace import Workspace


class Traits:
    """Traits of a data set's images, such as pose, age, blur, sharpness or brightness, by name.

    >>> lab.data["rfw"].traits.measure().wait()
    >>> lab.data["rfw"].traits.add("ofiq.csv")
    >>> lab.data["rfw"].traits.summary()
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._workspace, self.name = workspace, name

    def __repr__(self) -> str:
        return f"<traits of {self.name}: {', '.join(self) or 'none'}>"

    def __len__(self) -> int:
        return len(self._traits)

    def __iter__(self) -> Iterator[str]:
        return iter(self._traits)

    def __getitem__(self, name: str) -> Trait:
        """A trait by its name: name, source, meaning, values, numeric. Raises FairLabError naming those that there are."""
        return needed_trait(self._traits, name, self._data)

    @property
    def _data(self) -> Dataset:
        return open_dataset(self._workspace.dataset(self.name))

    @property
    def _traits(self) -> dict[str, Trait]:
        return traits_of(self._data)

    @property
    def fingerprint(self) -> str:
        """Hash of the traits kept beside the data set, whose own they do not change; "" where there are none."""
        return traits_fingerprint(self._data)

    def add(self, table: str | Path, columns: Sequence[str] = (), skip_unknown: bool = False) -> pd.DataFrame:
        """Import a CSV or parquet table; imported traits of the same name are replaced, others stay.

        table: a column image_id, image or path, and a column of numbers or texts per trait; gaps are allowed. columns: only
        these. skip_unknown: leave out rows of images that the data set does not have. Returns summary(). Raises FairLabError, naming line and column, for a table that is wrong, and Refused for a
        name that a trait of another source has; then nothing is written.

        >>> lab.data["rfw"].traits.add("ofiq.csv", columns=["UnifiedQualityScore"])
        """
        from fairlab.jobs.data.importing_traits import add_traits

        add_traits(self._workspace, self.name, Path(table), columns, skip_unknown)
        return self.summary()

    def preview(self, table: str | Path, columns: Sequence[str] = (), skip_unknown: bool = False) -> dict[str, Any]:
        """What add() would keep; nothing is written. Returns images with a value, by trait; raises as add().

        >>> lab.data["rfw"].traits.preview("ofiq.csv")
        {'UnifiedQualityScore': 24000}
        """
        from fairlab.jobs.data.importing_traits import read

        _, traits = read(self._workspace, self.name, Path(table), columns, skip_unknown)
        return {trait.name: int(trait.known.sum()) for trait in traits}

    def measure(self) -> Run:
        """Start the job that measures sharpness, brightness, contrast, skin luminance and, by landmarks, size.

        Of data that were generated here, it adds what the generator chose. Returns the job. Raises FairLabError for a data set
        without images, or by recipe: its lenders are measured.

        >>> lab.data["rfw"].traits.measure().wait()
        """
        from fairlab.jobs.data.starts import measure_traits

        return Run(self._workspace, measure_traits(self._workspace, self.name))

    def remove(self, *names: str) -> None:
        """Remove traits that were imported, measured or generated. Raises FairLabError for those that are not there.

        >>> lab.data["rfw"].traits.remove("contrast")
        """
        from fairlab.jobs.data.importing_traits import take_away

        take_away(self._workspace, self.name, names)

    def summary(self) -> pd.DataFrame:
        """Every trait in every group.

        Returns a DataFrame with trait, source, kind ("number" or "text"), group, images, known (images that have it), low, median,
        high (NaN of a text), values (frequent texts with counts, "" of a number) and meaning.

        >>> lab.data["rfw"].traits.summary().pivot(index="trait", columns="group", values="median")
        """
        data = self._data
        return summary(data, traits_of(data))

    def table(self) -> pd.DataFrame:
        """Every image's traits. Returns a DataFrame by image_id with a column per trait: NaN or "" where it is unknown.

        >>> lab.data["rfw"].traits.table()["sharpness"].describe()
        """
        traits = self._traits
        table = Table(**{name: NUMBER if trait.numeric else TEXT for name, trait in traits.items()})
        return table.of({name: trait.values for name, trait in traits.items()}).rename_axis("image_id")
