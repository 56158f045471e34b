"""A comparison as CSV, LaTeX or Markdown: numbers with intervals, and a caption that says what they stand on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from fairlab.compare.varied import headings, shown
from fairlab.data.formats.spreadsheets import disarmed
from fairlab.errors import FairLabError
from fairlab.evaluation.intervals import p_words
from fairlab.formatting import duration

FORMATS = ("csv", "latex", "markdown")
LOWER_IS_BETTER = ("std", "ser")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "[": "{[}", "]": "{]}", "*": "{*}",
}  # fmt: skip
"""Also brackets and stars: at the start of a row LaTeX takes them for options of the line break before."""
_MARKDOWN = re.compile(r"([\\`*_\[\]!|<>$~&])")


def groups_of(table: pd.DataFrame) -> list[str]:
    """The groups that a table of runs.compare has accuracies of, in its order."""
    names = [name.removeprefix("accuracy:") for name in table if name.startswith("accuracy:")]
    return [name for name in names if f"accuracy:{name}_low" in table]


def measured(table: pd.DataFrame) -> list[tuple[str, str, int]]:
    """(column, heading, digits) of every number that a comparison shows with an interval, in the papers' order."""
    columns = [(f"accuracy:{group}", group, 1) for group in groups_of(table)]
    columns += [("mean", "Mean", 1), ("std", "STD", 1), ("ser", "SER", 2), ("worst", "Worst group", 1)]
    if "cross" in table and table["cross"].notna().any():
        columns.append(("cross", "Against a teacher's gallery", 1))
    return columns


def best_of(table: pd.DataFrame) -> dict[str, float]:
    """The best value of every measured column: the largest accuracy, the smallest STD and SER."""
    return {
        name: float(table[name].min() if name in LOWER_IS_BETTER else table[name].max())
        for name, _, _ in measured(table)
    }


def caption(table: pd.DataFrame, dataset_id: str, protocol: str = "test") -> str:
    """What the numbers stand on: data set, pairs, seeds, the rule of the intervals, the baseline and the fair band."""
    row = table.iloc[0]
    baselines = table.loc[table["run_id"] == row["baseline"], "model"]
    fair = row["std_fair_p95"]
    chance = "" if fair != fair else (
        f" A perfectly fair model as accurate as {row['model']} would show STD up to {fair:.1f} by chance."
    )  # fmt: skip
    return (
        f"Accuracy in %, ten folds, a threshold for each group, on the {protocol} pairs of {dataset_id}: "
        f"{row['genuine_pairs']:,} genuine and {row['impostor_pairs']:,} impostor pairs. {seeds_sentence(table)} STD and SER are "
        f"those of the row's accuracies. Difference: points of mean accuracy against {''.join(baselines) or 'the baseline'}, "
        f"same pairs, people and seeds; p: how often chance alone would show as much.{chance}"
    )


def seeds_sentence(table: pd.DataFrame) -> str:
    """How many trainings stand behind a number, and so what its interval is over."""
    counts = sorted({int(count) for count in table.loc[table["seeds"] != "", "runs"]}) or [1]
    if counts == [1]:
        return "One seed: 95 % intervals over people alone. They say nothing about other training runs."
    many = f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds (see the column)"
    few = " So few seeds make them wide." if counts[0] < 5 else ""
    return f"Means of {many}: 95 % intervals over people and seeds.{few}"


def as_csv(table: pd.DataFrame) -> str:
    """Every column as a plain number; text that a spreadsheet would run is disarmed."""
    safe = table.map(lambda value: disarmed(value) if isinstance(value, str) else value)
    return str(safe.rename(columns=disarmed).to_csv(index=False))


def as_latex(table: pd.DataFrame, said: str) -> str:
    """A table for a paper (package booktabs), with the caption `said`: intervals small, the best of a column bold."""
    heads, rows = _cells(table, latex, "\\textbf{%s}", " {\\scriptsize [%s, %s]}", "$-$")
    lines = [
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{latex(said)}}}",
        f"  \\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        "    \\toprule",
        f"    {' & '.join(heads)} \\\\",
        "    \\midrule",
        *(f"    {' & '.join(row)} \\\\" for row in rows),
        "    \\bottomrule",
        "  \\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def as_markdown(table: pd.DataFrame, said: str) -> str:
    """A table for a README, with `said` beneath: intervals in brackets, the best of a column bold."""
    heads, rows = _cells(table, markdown, "**%s**", " [%s, %s]", "-")
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{body}\n\n{markdown(said)}\n"


def exported(table: pd.DataFrame, kind: str, said: str) -> str:
    """The table as one of FORMATS, with the caption `said`, where the format has one."""
    if kind == "csv":
        return as_csv(table)
    if kind not in FORMATS:
        raise FairLabError(f"there is no format {kind!r}; choose one of: {', '.join(FORMATS)}")
    return (as_latex if kind == "latex" else as_markdown)(table, said)


def latex(text: object) -> str:
    """Text from data as LaTeX shows it letter by letter."""
    return "".join(_LATEX.get(letter, letter) for letter in str(text).replace("\n", " "))


def markdown(text: object) -> str:
    """Text from data as Markdown shows it letter by letter."""
    return _MARKDOWN.sub(r"\\\1", str(text).replace("\n", " ").replace("\r", " "))


def _cells(
    table: pd.DataFrame, escaped: Callable[[object], str], strong: str, between: str, minus: str
) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table for reading; strong, between, minus: the dress of a best value, an interval, a sign."""
    columns, best = measured(table), best_of(table)
    published = "published" in table and bool(table["published"].notna().any())
    varied = headings(table)
    heads = ["Model", *varied.values(), "Seeds", *(head for _, head, _ in columns), "Difference", "p", "CPU"]
    heads += ["Published by others", "Source"] if published else []

    def said(value: float, form: str) -> str:
        return format(value, form).replace("-", minus)

    def interval(row: Mapping[str, Any], name: str, form: str) -> str:
        ends = [row[f"{name}{end}"] for end in ("_low", "_high")]
        return "" if any(pd.isna(end) for end in ends) else between % tuple(said(end, form) for end in ends)

    def number(row: Mapping[str, Any], name: str, digits: int) -> str:
        if pd.isna(row[name]):
            return "" if name == "cross" else "n/a"
        shown = said(row[name], f".{digits}f")
        return (strong % shown if row[name] == best[name] else shown) + interval(row, name, f".{digits}f")

    rows = []
    for row in table.to_dict("records"):
        cells = [escaped(row["model"]), *(escaped(shown(row[name])) for name in varied)]
        cells.append(str(row["runs"]) if row["seeds"] else "-")
        cells += [number(row, name, digits) for name, _, digits in columns]
        if row["run_id"] == row["baseline"]:
            cells.append("baseline")
        elif pd.isna(row["difference"]):
            cells.append("n/a")
        else:
            cells.append(said(row["difference"], "+.1f") + interval(row, "difference", "+.1f"))
        cells += [escaped(p_words(row["p"], row.get("p_draws", 0))), duration(row["cpu_s"]) or "n/a"]
        if published:
            cells += ["" if pd.isna(row[name]) else escaped(row[name]) for name in ("published", "published_source")]
        rows.append(cells)
    return [escaped(head) for head in heads], rows
