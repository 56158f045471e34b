"""A study's numbers in the papers' layout: filters, cells with intervals and colours, exports, other people's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from fairlab.compare.compare import imported
from fairlab.compare.exports import FORMATS, LOWER_IS_BETTER, best_of, exported, measured
from fairlab.compare.model_rows import Model
from fairlab.compare.published import family, read_published
from fairlab.compare.varied import PREFIX, headings, shown
from fairlab.data.dataset import Dataset
from fairlab.evaluation.intervals import p_words
from fairlab.files import app_root
from fairlab.formatting import duration
from fairlab.tables import NUMBER, Table
from fairlab.ui.frame.numbers import span, text
from fairlab.ui.frame.page import plain
from fairlab.ui.frame.pickers import ADDED, choose, choose_many
from fairlab.ui.frame.table import Cell, Column, Row, show
from fairlab.workspace import Workspace

BEYOND_CHANCE = 0.05
HELP = {
    "mean": "Mean of the groups' accuracies.",
    "std": "Sample standard deviation of the groups' accuracies, in points. Underlined: more than a perfectly fair model "
    "would show by chance.",
    "ser": "Skewed error ratio: largest error divided by smallest error. Underlined: more than chance would show.",
    "worst": "Accuracy of the least accurate group. Its interval allows for any group being the worst.",
    "cross": "Mean accuracy with the gallery embedded by another model and the probe by this one.",
}
FILES = {
    "csv": ("CSV", "csv", "text/csv"),
    "latex": ("LaTeX", "tex", "text/x-tex"),
    "markdown": ("Markdown", "md", "text/markdown"),
}
ALL_SEEDS = "mean"


def pick_seed(models: Sequence[Model]) -> int | None:
    """One seed of the reader's choice, or None for the mean of all, which comes first."""
    seeds = sorted({seed for model in models if not model.elsewhere for seed in model.runs})
    if len(seeds) < 2:
        return None
    names = {ALL_SEEDS: f"mean of {len(seeds)} seeds"} | {str(seed): f"seed {seed}" for seed in seeds}
    about = "The study was repeated with each seed; the mean has intervals over people and seeds."
    chosen = choose("Seed", list(names), "seed", names, help=about)
    return None if chosen == ALL_SEEDS else int(chosen)


def pick_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that pass the reader's filters by role, method and text."""
    left, middle, right = st.columns([2, 2, 2])
    roles, methods = (list(dict.fromkeys(table[name])) for name in ("role", "method"))
    with left:
        role = choose_many("Roles", roles, "roles", {}, placeholder="all")
    with middle:
        method = choose_many("Methods", methods, "methods", {}, placeholder="all")
    with right:
        words = st.text_input("Name contains", key="compare words", placeholder="all")
    return filtered(table, role, method, words)


def filtered(table: pd.DataFrame, roles: Sequence[str], methods: Sequence[str], words: str) -> pd.DataFrame:
    """Rows of these roles and methods (none named: all) whose model's name has every one of the words."""
    keep = table["role"].isin(roles or table["role"]) & table["method"].isin(methods or table["method"])
    for word in words.lower().split():
        keep &= table["model"].str.lower().str.contains(word, regex=False)
    return table[keep]


def papers_table(lab: Workspace, table: pd.DataFrame, whole: pd.DataFrame, study_id: str) -> None:
    """The table; a row opens its run on the Runs page. whole: all rows, which decide what is best."""
    opened = show(columns_of(whole), rows_of(table, whole), "papers table")
    if opened:
        alone = not study_id or opened in {model.run_id for model in imported(lab)}
        study = ADDED if alone else study_id
        st.switch_page(app_root() / "pages" / "runs.py", query_params={"study": study, "run": opened})


def columns_of(table: pd.DataFrame) -> list[Column]:
    """The papers' columns: model, accuracy of each group, mean, STD, SER, worst group; difference, p, cost."""
    ends = _ends(table, "mean")
    columns = [Column("model", "Model", "Click a name to open its run.", lower=True)]
    columns += [
        Column(name, heading, f"The study varies {name.removeprefix(PREFIX)}.", lower=True)
        for name, heading in headings(table).items()
    ]
    for name, heading, _ in measured(table):
        lower, meaning = (
            name in LOWER_IS_BETTER,
            HELP.get(name, "Accuracy in %, ten folds, at the group's own threshold."),
        )
        columns.append(Column(name, heading, meaning, lower, ends if name == "mean" else None))
    columns += [
        Column("difference", "Difference", "Difference in mean accuracy from the baseline, in points.", range=_ends(table, "difference")),
        Column("p", "p", "How often chance alone would show a difference this large.", lower=True),
        Column("cpu", "CPU", "Processor time of a run; in small print, with all the runs it builds on.", lower=True),
    ]  # fmt: skip
    if "published" in table and table["published"].notna().any():
        columns.append(
            Column("published", "Published by others", "Same method, backbone and test set; not measured here.")
        )
    return columns


def _ends(table: pd.DataFrame, name: str) -> tuple[float, float] | None:
    """From the lowest to the highest end of a column's intervals; a difference's bars have zero among them."""
    low, high = table[f"{name}_low"].min(), table[f"{name}_high"].max()
    if low != low or high != high or low >= high:
        return None
    return (min(low, 0.0), max(high, 0.0)) if name == "difference" else (float(low), float(high))


def rows_of(table: pd.DataFrame, whole: pd.DataFrame) -> list[Row]:
    """Every row of `table` with its cells; the best of `whole` is marked."""
    best, columns, varied = best_of(whole), measured(whole), headings(whole)
    published = "published" in whole and bool(whole["published"].notna().any())
    rows = []
    for row in table.to_dict("records"):
        cells = {"model": Cell(row["model"], row["model"].lower(), _about(row), help=row["run_id"])}
        cells |= {name: _setting(row[name]) for name in varied}
        for name, _, digits in columns:
            cells[name] = _number(row, name, digits, best[name])
        cells |= {"difference": _difference(row), "p": _chance(row), "cpu": _cost(row)}
        if published:
            cells["published"] = _published(row)
        names = zip(row["seeds"].split(", "), row["run_ids"].split(", "), strict=True) if row["runs"] > 1 else ()
        rows.append(Row(row["run_id"], cells, tuple(names), "baseline" if row["run_id"] == row["baseline"] else ""))
    return rows


def _about(row: dict[str, Any]) -> str:
    seeds = "" if not row["seeds"] else f" · seed {row['seeds']}" if row["runs"] == 1 else f" · {row['runs']} seeds"
    return f"{row['role']} · {row['method']}{seeds}"


def _setting(value: Any) -> Cell:
    """The value of a varied setting; numbers are sorted as numbers."""
    return Cell(shown(value), None if pd.isna(value) else value)


def _known(value: Any) -> float | None:
    return None if value != value else float(value)


def _number(row: dict[str, Any], name: str, digits: int, best: float) -> Cell:
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if value != value:
        return Cell("" if name == "cross" else "n/a", None, tone="quiet")
    tone, help_ = "best" if value == best else "", ""
    if name in LOWER_IS_BETTER and row[f"{name}_fair_p95"] == row[f"{name}_fair_p95"]:
        limit = row[f"{name}_fair_p95"]
        tone += " beyond" if value > limit else ""
        help_ = f"A perfectly fair model of this accuracy would show up to {limit:.{digits}f} by chance."
    if name == "cross":
        help_ = f"Gallery by {row['cross_gallery']}; seeds: {row['cross_seeds']}."
    return Cell(
        text(value, digits), float(value), span(low, high, digits), tone.strip(), help_, _known(low), _known(high)
    )


def _difference(row: dict[str, Any]) -> Cell:
    value, low, high = (row[f"difference{end}"] for end in ("", "_low", "_high"))
    if row["run_id"] == row["baseline"]:
        return Cell("baseline", 0.0, tone="quiet")
    if value != value:
        return Cell("n/a", None, tone="quiet", help="No seed in common with the baseline.")
    tone = ("better" if value > 0 else "worse") if row["p"] < BEYOND_CHANCE else "quiet"
    said = "beyond chance" if row["p"] < BEYOND_CHANCE else "within chance"
    help_ = f"{said}; pairs of runs: {row['paired_seeds']}"
    return Cell(text(value, signed=True), value, span(low, high, signed=True), tone, help_, _known(low), _known(high))


def _chance(row: dict[str, Any]) -> Cell:
    value = row["p"]
    return (
        Cell("", None)
        if value != value
        else Cell(p_words(value, row.get("p_draws", 0)), value, tone="" if value < BEYOND_CHANCE else "quiet")
    )


def _cost(row: dict[str, Any]) -> Cell:
    value, total = row["cpu_s"], row["total_cpu_s"]
    if value != value:  # of a model that was trained elsewhere it is not known
        return Cell("n/a", None, tone="quiet")
    return Cell(duration(value), value, duration(total) if round(total) > round(value) else "")


def _published(row: dict[str, Any]) -> Cell:
    said = row["published"]
    if said != said:
        return Cell("", None)
    return Cell(said.split(" (")[0], said, row["published_source"], help=f"{said}. {row['published_source']}")


def downloads(table: pd.DataFrame, said: str, name: str) -> None:
    """The shown rows as files for a spreadsheet, a paper, a README, with the caption `said`."""
    with st.container(horizontal=True):
        for kind in FORMATS:
            label, ending, mime = FILES[kind]
            content = exported(table, kind, said)
            st.download_button(label, content, f"{name}.{ending}", mime, icon=":material/download:", key=f"as {kind}")


def published_note(table: pd.DataFrame, data: Dataset) -> None:
    """Other people's numbers apart, with their sources, and why none of them stands in the table."""
    beside = "published" in table and bool(table["published"].notna().any())
    if not beside:
        why = (
            "No published number matches the method and backbone of a model here"
            if family(data)
            else "No published numbers exist for this data set"
        )
        st.caption(plain(f"{why}."))
    with st.expander("Published numbers", icon=":material/menu_book:"):
        st.caption(
            "As printed by their authors, in %; measured on other pairs, with other training, by other code. Papers "
            "without an accessible table are missing."
        )
        known = read_published()
        sets = dict.fromkeys(name for row in known["accuracy"] for name in row)
        each = Table(**dict.fromkeys(sets, NUMBER)).build(known["accuracy"])
        shown = known[["paper", "row", "test_set", "trained_on", "mean", "std", "ser"]].join(each).join(known["source"])
        st.dataframe(shown.dropna(axis=1, how="all").rename(columns=str.capitalize), hide_index=True)
