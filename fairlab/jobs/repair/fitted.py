"""What a repair learnt, on disk: repair/ in its run's folder, arrays as .npy and facts, whole or not there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from fairlab.errors import Damaged, FairLabError
from fairlab.evaluation.repair.base import REPAIRS, Fitted, Repair
from fairlab.files import (
    MANIFEST,
    explain,
    make_folder,
    place_folder,
    read_json,
    read_manifest,
    verify_manifest,
    write_json,
    write_manifest,
)
from fairlab.machine.temporaries import beside
from fairlab.settings import repair as settings_of
from fairlab.settings.base import Name, Text
from fairlab.settings.kept import Count, Kept, checked
from fairlab.workspace import checked_name

FOLDER, FACTS = "repair", "facts.json"
OF_PEOPLE = ("vectors", "centres")
"""Arrays of faces: the cohort's embeddings, or the middles of groups of them, which may be groups of one."""
MOST = 100_000_000
"""Numbers in an array: a cohort of 195,000 images of 512."""


class _Check(Kept):
    against: Text
    people: Count
    shared: Count
    note: Text = ""


class FactsFile(Kept):
    """repair/facts.json, as far as it is shown."""

    repair: Name
    title: Name
    model: Name
    cohort: Text
    cohort_dataset: Name
    cohort_fingerprint: Name
    people: dict[Name, Count] = Field(max_length=10_000)
    images: Count
    genuine_pairs: Count
    impostor_pairs: Count
    arrays: tuple[Name, ...] = Field(max_length=100)
    notes: tuple[Text, ...] = Field((), max_length=10_000)
    checks: tuple[_Check, ...] = Field((), max_length=10_000)


def made(chosen: settings_of.Repair) -> Repair:
    """The formula that these settings name, with the method's own settings."""
    return REPAIRS[chosen.name](**settings_of.own_settings(chosen))


def write_fitted(run_folder: Path, fitted: Fitted, facts: dict[str, Any]) -> None:
    """Keep what was fitted, with the facts of its cohort, in place of what is there."""
    folder = run_folder / FOLDER
    temporary = beside(folder)
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        make_folder(temporary)
        for name, values in fitted.arrays.items():
            np.save(temporary / f"{name}.npy", np.asarray(values), allow_pickle=False)
        whole = {**facts, "repair": fitted.repair, "arrays": sorted(fitted.arrays), "notes": list(fitted.notes)}
        write_json(temporary / FACTS, whole)
        write_manifest(temporary, sorted(path.name for path in temporary.iterdir()))
        place_folder(temporary, folder)
    except OSError as error:
        raise FairLabError(explain(error, folder)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_facts(run_folder: Path) -> dict[str, Any]:
    """What is known of a repair's cohort and fit; {} for a run that fitted none. Raises Damaged."""
    folder = run_folder / FOLDER
    if not (folder / MANIFEST).exists():
        return {}
    facts: dict[str, Any] = read_json(folder / FACTS)
    checked(FactsFile, facts, folder / FACTS)
    return facts


def read_fitted(run_folder: Path) -> Fitted:
    """What a repair learnt. Raises FairLabError for a run that fitted none, Damaged for files that differ from their manifest."""
    facts, folder = read_facts(run_folder), run_folder / FOLDER
    if not facts:
        raise FairLabError(f"{run_folder.name} is not a finished repair; `fairlab repair MODEL --method M3` makes one")
    verify_manifest(folder)
    arrays = {}
    for name in facts["arrays"]:
        path = folder / f"{checked_name(name, 'array')}.npy"
        if path.name not in read_manifest(folder)["files"]:
            raise Damaged(f"{folder} does not list {path.name}")
        try:
            values: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise Damaged(f"{path} is missing or damaged: {error}") from error
        if values.size > MOST or values.dtype.kind not in "fiuU":
            raise Damaged(f"{path} does not hold numbers or names of a repair")
        arrays[name] = values if values.nbytes > 1 << 20 else np.array(values)
    return Fitted(str(facts["repair"]), arrays, tuple(facts["notes"]))


def holds_templates(run_folder: Path) -> bool:
    """Is there a face in what a repair learnt?"""
    return any((run_folder / FOLDER / f"{name}.npy").exists() for name in OF_PEOPLE)
