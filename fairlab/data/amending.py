"""Some files of a data set written anew, the others as they are: whole, or after a kill as before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.files import amend_manifest, explain, make_folder, place_folder
from fairlab.machine.temporaries import beside


def amend(data: Dataset, write: Callable[[Path], None], names: Iterable[str]) -> None:
    """Replace the files `names`, which write(folder) puts into a folder. Raises FairLabError when the disk refuses."""
    temporary = beside(data.folder.with_name(data.dataset_id))
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        make_folder(temporary)
        write(temporary)
        amend_manifest(data.folder, temporary, names)
        for path in data.folder.iterdir():
            if not (temporary / path.name).exists():
                _take_along(path, temporary / path.name)
        place_folder(temporary, data.folder)
    except OSError as error:
        raise FairLabError(explain(error, data.folder)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_along(path: Path, to: Path) -> None:
    """The same file under a second name; a copy where the file system has no such thing."""
    try:
        os.link(path, to)
    except OSError:
        shutil.copytree(path, to) if path.is_dir() else shutil.copy2(path, to)
