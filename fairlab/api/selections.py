"""`lab.data[name].selections` and `lab.data.selections`: images of a data set that were saved under a name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fairlab.api.arguments import Progress, run_ids, silent
from fairlab.api.run import Run
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.selections import (
    Chosen,
    Selection,
    delete_selection,
    ids_of_people,
    list_selections,
    names,
    open_selection,
    read_selection,
    save_selection,
)
from fairlab.errors import Damaged
from fairlab.files import not_there
from fairlab.settings.recipe import Selected
from fairlab.workspace import Workspace

if TYPE_CHECKING:
    from fairlab.compare.selection_files import Format


class SavedSelection:
    """Images of a data set under a name, with a note.

    >>> hard = lab.data["rfw"].selections["hard"]
    >>> model.fairness(at_fmr=0.01, dataset="rfw", chosen=hard.side("without"))
    """

    def __init__(self, workspace: Workspace, dataset: str, name: str) -> None:
        self._workspace, self.dataset, self.name = workspace, dataset, name

    def __repr__(self) -> str:
        return f"<selection {self.name} of {self.dataset}: {len(self):,} images of {self._kept.people:,} people>"

    def __len__(self) -> int:
        return len(self._kept.ids)

    @property
    def _kept(self) -> Selection:
        return read_selection(self._workspace, self.dataset, self.name)

    @property
    def _data(self) -> Dataset:
        return open_dataset(self._workspace.dataset(self.dataset))

    @property
    def ids(self) -> np.ndarray:
        """(N,) numbers of the images, rising; also where the data set is gone."""
        return self._kept.ids

    @property
    def note(self) -> str:
        """What was written beside it."""
        return self._kept.note

    @property
    def images(self) -> pd.DataFrame:
        """The rows of the data set's images. Raises FairLabError where the selection does not fit the data set any more."""
        data = self._data
        return data.images.iloc[open_selection(self._workspace, data, self.name).ids].reset_index(drop=True)

    def side(self, selected: Selected = "only") -> Chosen:
        """A side of the selection, for scores() and fairness() of a model.

        selected: only (its people with all their images), without (everybody else), only_images or without_images. Returns
        it; raises FairLabError where the selection cannot be used.

        >>> model.scores("rfw", chosen=lab.data["rfw"].selections["hard"].side("only"))
        """
        return Chosen(open_selection(self._workspace, self._data, self.name), selected)

    def export(
        self,
        path: str | Path,
        kind: Format = "csv",
        spaces: Sequence[str | Run] = (),
        overwrite: bool = False,
        progress: Progress = silent,
    ) -> Path:
        """Write the images as a file of other tools.

        kind: csv; parquet, with vector_RUN, x_RUN and y_RUN of these spaces, as embedding-atlas reads them; fiftyone, a
        folder with data/ and labels.json for fiftyone.types.FiftyOneImageClassificationDataset. progress: called with images
        (done, total). Returns the path. Raises Refused for a file that exists, unless `overwrite`, and FairLabError for a
        space without embeddings of the data set.

        >>> lab.data["rfw"].selections["hard"].export("hard.parquet", "parquet", [model])
        """
        from fairlab.compare.selection_files import write_selection_files
        from fairlab.store.runs import read_run

        out, data = Path(path).expanduser().absolute(), self._data
        if kind != "fiftyone":
            not_there(out, overwrite)
        records = [read_run(self._workspace, name) for name in run_ids(spaces)]
        write_selection_files(data, open_selection(self._workspace, data, self.name), out, kind, records, progress)
        return out

    def delete(self) -> None:
        """Delete the selection; its images stay in the data set.

        >>> lab.data["rfw"].selections["hard"].delete()
        """
        delete_selection(self._workspace, self.dataset, self.name)


class SelectionsOfData:
    """The saved selections of one data set, by name; they stay when the data set is deleted.

    >>> lab.data["rfw"].selections.save("hard", ids=[3, 17, 18], note="false matches of two networks")
    >>> lab.data["rfw"].selections.table()
    """

    def __init__(self, workspace: Workspace, dataset: str) -> None:
        self._workspace, self.dataset = workspace, dataset

    def __repr__(self) -> str:
        return f"<selections of {self.dataset}: {', '.join(self.names()) or 'none yet'}>"

    def __len__(self) -> int:
        return len(self.names())

    def __iter__(self) -> Iterator[SavedSelection]:
        return (SavedSelection(self._workspace, self.dataset, name) for name in self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __getitem__(self, name: str) -> SavedSelection:
        """A selection by name. Raises FairLabError, naming the existing ones, when there is none.

        One whose file is damaged can be had too, to delete it.
        """
        with contextlib.suppress(Damaged):
            read_selection(self._workspace, self.dataset, name)
        return SavedSelection(self._workspace, self.dataset, name)

    def _ipython_key_completions_(self) -> list[str]:
        return self.names()

    def names(self) -> list[str]:
        """Names of the selections. Returns a sorted list.

        >>> lab.data["rfw"].selections.names()
        ['hard']
        """
        return names(self._workspace, self.dataset)

    def table(self) -> pd.DataFrame:
        """The selections of the data set. Returns a DataFrame with dataset, selection, images, identities, created_at, note, state.

        >>> lab.data["rfw"].selections.table().set_index("selection")["images"]
        """
        return list_selections(self._workspace, self.dataset)

    def save(
        self, name: str, *, ids: Sequence[int] | np.ndarray = (), people: Sequence[str] = (), note: str = ""
    ) -> SavedSelection:
        """Save images under a new name.

        ids: numbers of images; people: names of people, with all their images; note: up to 2,000 letters. Returns the
        selection. Raises Refused for a name that is taken, FairLabError for no image, and for an image or person that the data
        set does not have.

        >>> lab.data["rfw"].selections.save("hard", people=["m.0c7mh2"], note="always confused")
        """
        data = self._data
        given = np.asarray(ids, dtype=np.int64 if not len(ids) else None)
        if people:
            given = np.concatenate([given, ids_of_people(data, list(people))])
        return self._saved(data, name, given, note)

    def save_table(self, name: str, table: str | Path, note: str = "") -> SavedSelection:
        """Save the images that a CSV or parquet file names, under a new name.

        table: a column image_id, image or path, or identity (all images of that person). Returns the selection. Raises as
        save(), naming the line.

        >>> lab.data["rfw"].selections.save_table("hard", "hard.csv")
        """
        from fairlab.data.selection_tables import read_ids

        data = self._data
        return self._saved(data, name, read_ids(Path(table), data), note)

    @property
    def _data(self) -> Dataset:
        return open_dataset(self._workspace.dataset(self.dataset))

    def _saved(self, data: Dataset, name: str, ids: np.ndarray, note: str) -> SavedSelection:
        save_selection(self._workspace, data, name, ids, note)
        return SavedSelection(self._workspace, self.dataset, name)


class Selections:
    """The saved selections of all data sets, those of data sets that are gone too.

    >>> lab.data.selections.table()
    >>> lab.data.selections["rfw"]["hard"].ids
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __repr__(self) -> str:
        return f"<selections: {len(self.table())} of all data sets; table(), [data set][name]>"

    def __getitem__(self, dataset: str) -> SelectionsOfData:
        """The selections of a data set, also of one that is gone."""
        return SelectionsOfData(self._workspace, dataset)

    def _ipython_key_completions_(self) -> list[str]:
        return list(dict.fromkeys(self.table()["dataset"]))

    def table(self) -> pd.DataFrame:
        """All selections. Returns a DataFrame with dataset, selection, images, identities, created_at, note, and state (why a
        selection cannot be used, "" where it can).

        >>> lab.data.selections.table().query("state != ''")
        """
        return list_selections(self._workspace)
