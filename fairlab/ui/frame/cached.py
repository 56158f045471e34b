"""What pages read again and again, kept in memory until the files behind it change."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from fairlab.compare import compare
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.traits import Trait, traits_fingerprint, traits_of
from fairlab.store.embeddings import Embeddings, open_embeddings
from fairlab.store.events import Curves
from fairlab.store.index import Index, open_index
from fairlab.store.projections import StoredMap, list_projections
from fairlab.store.results import manifests, read_results, results_folder
from fairlab.workspace import Workspace


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@st.cache_resource(max_entries=8, show_spinner=False)
def _dataset(home: str, name: str, version: int) -> Dataset:
    return open_dataset(Workspace(Path(home)).dataset(name))


def dataset(lab: Workspace, name: str) -> Dataset:
    """A data set, with its tables in memory."""
    return _dataset(str(lab.home), name, _stamp(lab.dataset(name) / "manifest.json"))


def datasets(lab: Workspace) -> list[str]:
    """Names of the workspace's data sets, newest first."""
    found = sorted(lab.datasets_folder.glob("*/manifest.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [path.parent.name for path in found if ".tmp." not in path.parent.name]


@st.cache_data(max_entries=64, show_spinner=False)
def _table(folder: str, dataset_id: str, name: str, version: tuple[int, ...]) -> pd.DataFrame:
    return read_results(Path(folder), dataset_id, name)


def results(lab: Workspace, run_id: str, dataset_id: str, name: str) -> pd.DataFrame:
    """A table of a run's numbers on a data set: "metrics", "curves" or "scores". Raises FairLabError without any."""
    folder = lab.run(run_id)
    stamp = _stamp(results_folder(folder, dataset_id) / f"{name}.parquet"), *map(_stamp, manifests(folder))
    return _table(str(folder), dataset_id, name, stamp)


def protocol_metrics(lab: Workspace, run_id: str, dataset_id: str, protocol: str) -> pd.DataFrame:
    """A run's stored numbers on one protocol of a data set."""
    table = results(lab, run_id, dataset_id, "metrics")
    return table[table["protocol"] == protocol]


def stamp_of_results(lab: Workspace, run_id: str, dataset_id: str) -> int:
    """Changes when a run's numbers on a data set do."""
    return int(stamp_of_numbers(lab.run(run_id), dataset_id))


def stamp_of_numbers(folder: Path, dataset_id: str) -> str:
    """The same of a run's folder, as text."""
    return str(sum(map(_stamp, [results_folder(folder, dataset_id) / "manifest.json", *manifests(folder)])))


@st.cache_resource(max_entries=64, show_spinner=False)
def _curves(folder: str) -> Curves:
    return Curves(Path(folder))


def curves(folder: Path) -> pd.DataFrame:
    """A run's readings, thinned for drawing (tables.EVENTS); each look reads only what is new."""
    return _curves(str(folder)).table()


@st.cache_resource(max_entries=16, show_spinner=False)
def _embeddings(folder: str, name: str, version: int) -> tuple[Embeddings, Index]:
    found = open_embeddings(Path(folder), name, "plain")
    return found, open_index(found)


def space(lab: Workspace, run_id: str, name: str) -> tuple[Embeddings, Index]:
    """A run's stored embeddings of a data set, and the index over them."""
    folder = lab.run(run_id)
    return _embeddings(str(folder), name, _stamp(folder / "embeddings" / name / "plain" / "manifest.json"))


@st.cache_resource(max_entries=4, show_spinner=False)
def _traits(folder: str, version: str, _data: Dataset) -> dict[str, Trait]:
    return traits_of(_data)


def traits(data: Dataset) -> dict[str, Trait]:
    """The traits of a data set's images, read once until they change."""
    return _traits(str(data.folder), f"{data.fingerprint} {traits_fingerprint(data)}", data)


@st.cache_data(max_entries=32, show_spinner=False)
def _maps(folder: str, name: str, version: int) -> list[StoredMap]:
    return list_projections(Path(folder), name)


def maps(lab: Workspace, run_id: str, name: str) -> list[StoredMap]:
    """A run's maps of a data set, newest first."""
    folder = lab.run(run_id)
    return _maps(str(folder), name, _stamp(folder / "projections"))


@st.cache_data(max_entries=16, show_spinner="Comparing models: same pairs, same resampled people ...")
def _comparison(
    home: str, study: str, baseline: str | None, protocol: str, dataset_id: str, seed: int | None, version: str
) -> pd.DataFrame:
    return compare.compare(Workspace(Path(home)), study, baseline, protocol, dataset_id, seed)


def comparison(
    lab: Workspace,
    study: str,
    baseline: str | None = None,
    protocol: str = "test",
    dataset_id: str = "",
    seed: int | None = None,
) -> pd.DataFrame:
    """A study as a table, see runs.compare."""
    return _comparison(str(lab.home), study, baseline, protocol, dataset_id, seed, compare.stamp(lab, study))
