"""Every function that returns a table is called with nothing, and its table has the columns and types of its schema."""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import json
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairlab import tables
from fairlab.compare import model_rows, models, published, repairs
from fairlab.data import mass_balance, selections
from fairlab.data.inspect import changes
from fairlab.data.readers import rfw_lists
from fairlab.errors import FairLabError
from fairlab.evaluation import menagerie, paired, people, routing
from fairlab.jobs.data import overlap
from fairlab.plots import training
from fairlab.queue import edit
from fairlab.storage import disk, prune
from fairlab.store import studies
from fairlab.tables import TEXT, WHOLE, Table, matches, rows_as_json, rows_where
from fairlab.ui.runs import live
from fairlab.ui.runs import queue as ui_queueing
from fairlab.ui.spaces import summary
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import ROOT

RETURNED = {
    "fairlab.data.inspect.changes.seen": changes.SEEN,
    "fairlab.data.selections.list_selections": selections.SELECTIONS,
    "fairlab.ui.spaces.saved._shown": Table(
        **dict.fromkeys(("Selection", "Images", "People", "Saved (UTC)", "Note"), TEXT)
    ),
    "fairlab.data.mass_balance.before_and_after": mass_balance.BEFORE_AND_AFTER,
    "fairlab.evaluation.menagerie.differ": menagerie.DIFFER,
    "fairlab.evaluation.people.errors_by_person": people.PEOPLE,
    "fairlab.evaluation.routing.measures_by_epoch": routing.MEASURES,
    "fairlab.evaluation.routing.shares_by_group": routing.SHARES,
    "fairlab.data.readers.rfw_lists.rfw_images": rfw_lists.RFW_IMAGES,
    "fairlab.evaluation.neighbourhoods.most_moved": tables.MOVED_IMAGES,
    "fairlab.evaluation.paired.paired_seeds": paired.DIFFERENCES,
    "fairlab.plots.training.pulls": training.PULLS,
    "fairlab.plots.training._thin": tables.EVENTS,
    "fairlab.compare.compare.compare": model_rows.compared(()),
    "fairlab.compare.paired_runs.numbers": tables.METRICS,
    "fairlab.compare.side_by_side.differing": Table(setting=TEXT),
    "fairlab.ui.runs.beside.gathered": tables.EVENTS,
    "fairlab.store.studies.studies": studies.STUDIES,
    "fairlab.storage.disk.usage": disk.USAGE,
    "fairlab.compare.models.list_models": models.MODELS,
    "fairlab.compare.repairs.methods": repairs.METHODS,
    "fairlab.jobs.data.overlap.origins": overlap.ORIGINS,
    "fairlab.storage.prune.prunable": prune.PRUNABLE,
    "fairlab.storage.prune.prune": prune.PRUNABLE,
    "fairlab.compare.published.read_published": published.PUBLISHED,
    "fairlab.queue.edit.queue_table": edit.QUEUE,
    "fairlab.jobs.protocols.lists.with_impostors": tables.LISTED,
    "fairlab.store.database.list_runs": tables.LIVE_RUNS,
    "fairlab.store.database.metrics": tables.METRICS,
    "fairlab.store.events.read_events": tables.EVENTS,
    "fairlab.ui.frame.cached.curves": tables.EVENTS,
    "fairlab.tables.texts": Table(),
    "fairlab.data.demo.pairs.draw_pairs": tables.PAIRS,
    "fairlab.ui.frame.cached.comparison": model_rows.compared(()),
    "fairlab.ui.judge.counted.search_table": Table(Group=TEXT),
    "fairlab.ui.fairness.differing._by_group": Table(
        Group=TEXT, **dict.fromkeys(("Accuracy, points", "FMR, points", "FNMR, points"), TEXT)
    ),
    "fairlab.ui.fairness.differing._measures": Table(Measure=TEXT, Difference=TEXT),
    "fairlab.ui.runs.finding.find": tables.LIVE_RUNS,
    "fairlab.store.finding.matching": tables.LIVE_RUNS,
    "fairlab.ui.runs.finding.newest": tables.LIVE_RUNS,
    "fairlab.ui.spaces.summary.summary": summary.SUMMARY,
    "fairlab.ui.spaces.maps._jobs": tables.LIVE_RUNS,
    "fairlab.ui.runs.live.table_of": live.SHOWN.without("Star", "Tags", "Doing", "Left", "Speed", "CPU"),
    "fairlab.ui.runs.queue.shown": ui_queueing.SHOWN,
    "fairlab.ui.verification.figures.tar_table": Table(Group=TEXT),
}
"""What each function returns that takes nothing but a workspace, a folder, names and tables."""
FRAMES = {
    "runs": tables.LIVE_RUNS, "events": tables.EVENTS, "metrics": tables.METRICS, "images": tables.IMAGES,
    "pairs": tables.PAIRS, "templates": tables.TEMPLATES,
}  # fmt: skip
OF_TABLE = {
    "fairlab.evaluation.neighbourhoods.most_moved": tables.MOVED_IMAGES,
    "fairlab.plots.training._thin": tables.EVENTS, "fairlab.ui.fairness.differing._by_group": paired.DIFFERENCES,
    "fairlab.ui.fairness.differing._measures": paired.DIFFERENCES, "fairlab.ui.runs.queue.shown": edit.QUEUE,
    "fairlab.ui.spaces.saved._shown": selections.SELECTIONS,
}  # fmt: skip
"""What the parameter `table` of a function is."""


@cache
def returning_tables() -> dict[str, ast.FunctionDef]:
    """By module.name, all functions of modules, in fairlab, that are annotated to return a data frame."""
    found = {}
    for path in sorted(ROOT.glob("fairlab/**/*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.returns and ast.unparse(node.returns) == "pd.DataFrame":
                found[f"{module}.{node.name}"] = node
    return found


def nothing(name: str, node: ast.FunctionDef, workspace: Workspace) -> dict[str, Any] | None:
    """Arguments that hold nothing, for a function that takes only such as can; otherwise None."""
    found: dict[str, Any] = {}
    for argument in node.args.args[: len(node.args.args) - len(node.args.defaults)]:
        kind = ast.unparse(argument.annotation) if argument.annotation else ""
        if kind == "Workspace":
            found[argument.arg] = workspace
        elif kind == "pd.DataFrame" and (argument.arg in FRAMES or name in OF_TABLE):
            found[argument.arg] = FRAMES.get(argument.arg, OF_TABLE.get(name, tables.PAIRS)).build()
        elif kind.startswith(("Sequence[", "Iterable[", "list[", "tuple[str", "dict[", "Mapping[")):
            found[argument.arg] = {} if kind.startswith(("dict", "Mapping")) else []
        elif kind == "set[str]":
            found[argument.arg] = {"nobody"}
        elif kind in ("str", "int", "Path"):
            found[argument.arg] = {"str": "", "int": 0, "Path": workspace.home}[kind]
        else:
            return None
    return found


OF_FILES = {
    "fairlab.data.readers.attribute_sets._in_parts": "hands on the table that it is given, whose attributes are the user's own columns",
    "fairlab.data.names.parts.with_parts": "hands on the table that it is given, whose attributes are the user's own columns",
    "fairlab.ui.help.chapter._table": "has the columns of a table of the manual, which always has a first line",
    "fairlab.evaluation.score_reading._parquet": "reads a table of scores under the names that its file has",
}
"""Functions whose columns are somebody's own, with the reason: there is no schema to keep."""
CALLED = [
    name
    for name, node in returning_tables().items()
    if name not in OF_FILES and nothing(name, node, Workspace(Path("nowhere"))) is not None
]


@pytest.mark.parametrize("name", CALLED)
def test_a_table_of_nothing_has_its_columns_and_types(name: str, tmp_path: Path) -> None:
    """A sentence of ours says why there is no table, or the table is its schema's."""
    workspace = open_workspace(tmp_path / "home")
    arguments = nothing(name, returning_tables()[name], workspace)
    module, _, function = name.rpartition(".")
    called = inspect.unwrap(getattr(importlib.import_module(module), function))
    try:
        table = called(**(arguments or {}))
    except FairLabError:
        return
    assert name in RETURNED, f"{name} returns a table: say here which"
    assert matches(table, RETURNED[name]), f"{name}: {dict(table.dtypes)}"


def test_every_exemption_is_needed_and_has_its_reason() -> None:
    assert set(OF_FILES) <= set(returning_tables())
    assert all(frames_without_columns(ROOT / name) for name in ARRAYS_ONLY)
    assert all(len(reason) > 20 for reason in (*OF_FILES.values(), *ARRAYS_ONLY.values()))


def test_all_that_is_said_here_is_called() -> None:
    assert set(RETURNED) <= set(returning_tables())
    assert {"fairlab.storage.prune.prune", "fairlab.ui.spaces.maps._jobs", "fairlab.store.database.list_runs"} <= set(
        CALLED
    )


def test_a_table_knows_its_columns_and_types_whatever_its_rows() -> None:
    table = Table(name=TEXT, images=WHOLE, share="float64", known="bool")
    for rows in ([], [("a", 1, 0.5, True)], [{"name": "a", "images": 1, "known": False}]):
        assert matches(table.build(rows), table)
    assert matches(table.of({"name": "a", "images": [], "share": [], "known": True}), table)
    assert table.build([{"name": "a", "images": 1, "known": False}])["share"].isna().all()
    assert copy.deepcopy(table) == table == pickle.loads(pickle.dumps(table))
    assert pickle.loads(pickle.dumps(table)).types == table.types


def test_a_table_refuses_what_is_not_its_own() -> None:
    table = Table(name=TEXT, images=WHOLE, known="bool")
    for rows in ([{"nmae": "a"}], [("a", 1)], [("a", "many", True)], [("a", 1, None)], [("a", None, True)]):
        with pytest.raises((ValueError, TypeError)):
            table.build(rows)
    with pytest.raises(ValueError, match="known"):
        table.of({"name": "a", "images": [1]})


def test_json_keeps_every_digit_and_says_null() -> None:
    """A p of 1e-12 stays one, 61.250000000000007 does not become 61.25, and what is not known is null."""
    table = pd.DataFrame({"p": [1e-12, np.nan], "mean": [61.250000000000007, np.inf], "name": ["é", None], "n": [3, 4]})
    assert json.loads(rows_as_json(table)) == [
        {"p": 1e-12, "mean": 61.250000000000007, "name": "é", "n": 3},
        {"p": None, "mean": None, "name": None, "n": 4},
    ]


def test_no_row_is_chosen_of_none() -> None:
    """`frame[[]]` chooses no columns: that was the KeyError of `prune` and of the page Spaces."""
    empty = Table(name=TEXT, bytes=WHOLE).build()
    assert list(empty[rows_where(name == "a" for name in empty["name"])]) == ["name", "bytes"]
    assert list(empty[[name == "a" for name in empty["name"]]]) == []  # what pandas does


def frames_without_columns(path: Path) -> list[int]:
    """Lines where a frame is made from a list, whose columns hang on what is in it, or rows are chosen by a list."""
    lines = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pd.DataFrame":
            first = node.args[0] if node.args else None
            given = {word.arg for word in node.keywords}
            if not isinstance(first, ast.Dict | ast.DictComp) and not {"columns", "dtype"} <= given:
                lines.append(node.lineno)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.ListComp):
            element = node.slice.elt
            if isinstance(element, ast.Compare | ast.BoolOp) or (
                isinstance(element, ast.UnaryOp) and isinstance(element.op, ast.Not)
            ):
                lines.append(node.lineno)
    return lines


ARRAYS_ONLY = {
    "fairlab/data/demo/people.py": "chooses entries of a numpy array, where an empty list chooses none",
    "fairlab/data/readers/parquet_images.py": "the columns are those of somebody's file, named by a dictionary, or none and only rows",
}
"""Files where that is right, with the reason."""


def test_frames_of_rows_come_from_the_one_constructor() -> None:
    files = [*ROOT.glob("fairlab/**/*.py"), *ROOT.glob("pages/*.py")]
    found = {str(path.relative_to(ROOT)): frames_without_columns(path) for path in files}
    assert found.pop("fairlab/tables.py")
    assert {name: lines for name, lines in found.items() if lines and name not in ARRAYS_ONLY} == {}


def test_what_made_them_is_forbidden(tmp_path: Path) -> None:
    path = tmp_path / "made.py"
    path.write_text(
        "a = pd.DataFrame(rows)\nb = pd.DataFrame()\nc = runs[[name in wanted for name in names]]\n"
        "d = pd.DataFrame(rows, columns=names)\ne = pd.DataFrame(rows, columns=names, dtype=object)\n"
    )
    assert sorted(frames_without_columns(path)) == [1, 2, 3, 4]
    assert isinstance(pd.DataFrame([]), pd.DataFrame)
