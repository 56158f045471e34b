"""Tables for papers and spreadsheets: every name as it is, every number with its interval."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest

from fairlab.compare.exports import as_csv, as_latex, as_markdown, caption, exported, latex, markdown, seeds_sentence
from fairlab.errors import FairLabError


def _row(name: str, mean: float, difference: float, runs: int = 3, **more: object) -> dict[str, object]:
    row: dict[str, object] = {"run_id": name, "baseline": "plain", "model": name, "role": "student", "runs": runs}
    row |= {"seeds": "0, 1, 2"[: 3 * runs - 2], "p": 0.01, "cpu_s": 90.0, "genuine_pairs": 1200, "impostor_pairs": 1300}
    for column, value in (("accuracy:A", mean), ("mean", mean), ("std", 10 - mean / 10), ("ser", 1.5), ("worst", mean)):
        row |= {column: value, f"{column}_low": value - 1, f"{column}_high": value + 1}
    row |= {"difference": difference, "difference_low": difference - 1, "difference_high": difference + 1}
    return row | {"std_fair_p95": 2.4} | more


TABLE = pd.DataFrame(
    [
        _row("plain", 80.0, 0.0, difference_low=np.nan, difference_high=np.nan, p=np.nan),
        _row("KD_50% & #1", 85.5, 5.5),
        _row("=1+1|`x`", 70.25, -9.75),
    ]
)


def test_latex_means_what_it_says() -> None:
    """Ten letters that LaTeX reads as commands, and those that a row must not begin with."""
    assert latex(r"a\b&c%d$e#f_g{h}i~j^k") == (
        r"a\textbackslash{}b\&c\%d\$e\#f\_g\{h\}i\textasciitilde{}j\textasciicircum{}k"
    )
    assert latex("[2pt]*\n<x>|") == r"{[}2pt{]}{*} \textless{}x\textgreater{}\textbar{}"


def test_a_latex_table_is_whole() -> None:
    lines = as_latex(TABLE, caption(TABLE, "my_set")).splitlines()
    rows = [line for line in lines if line.endswith(r" \\")]
    assert len(rows) == 4
    assert {line.replace(r"\&", "").count("&") for line in rows} == {9}
    assert lines[3].strip() == r"\begin{tabular}{lrrrrrrrrr}"
    assert r"KD\_50\% \& \#1 & 3 & \textbf{85.5} {\scriptsize [84.5, 86.5]}" in rows[2]
    assert r"$-$9.8 {\scriptsize [$-$10.8, $-$8.8]} & 0.010 & 1 min 30 s" in rows[3]
    assert r"my\_set: 1,200 genuine and 1,300 impostor pairs. Means of 3 seeds" in lines[2]
    assert lines[2].count("{") == lines[2].count("}")


def test_a_markdown_table_is_whole() -> None:
    lines = as_markdown(TABLE, "x").splitlines()
    assert [line.replace("\\|", "").count("|") for line in lines[:5]] == [11] * 5
    assert lines[1] == "| --- |" + " ---: |" * 9
    assert lines[3].startswith(r"| KD\_50% \& #1 | 3 | **85.5** [84.5, 86.5] |")
    assert lines[4].startswith(r"| =1+1\|\`x\` | 3 |")
    assert "| baseline |  | 1 min 30 s |" in lines[2]
    assert markdown("![x](http://e)\n# a") == r"\!\[x\](http://e) # a"


def test_csv_holds_plain_numbers_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(TABLE))))
    assert [row["model"] for row in rows] == ["plain", "KD_50% & #1", "'=1+1|`x`"]
    assert float(rows[2]["difference"]) == -9.75
    assert as_csv(TABLE.rename(columns={"accuracy:A": "=A"})).splitlines()[0].count("'=A") == 1


def test_the_caption_names_pairs_seeds_data_and_baseline() -> None:
    said = caption(TABLE, "faces", "validation")
    for part in (
        "validation pairs of faces",
        "1,200 genuine",
        "Means of 3 seeds",
        "against plain",
        "up to 2.4 by chance",
    ):
        assert part in said, part


def test_one_seed_is_said_to_be_one() -> None:
    """And a mix of counts points to the column; models from files have no seed."""
    assert seeds_sentence(TABLE.assign(runs=1)).startswith("One seed: 95 % intervals over people alone")
    assert "2 to 3 seeds" in seeds_sentence(TABLE.assign(runs=[2, 3, 3]))
    assert "3 seeds" in seeds_sentence(TABLE.assign(runs=[1, 3, 3], role=["model", "student", "student"]))
    assert "wide" not in seeds_sentence(TABLE.assign(runs=8))


def test_a_number_that_is_not_defined_is_said() -> None:
    shown = as_markdown(TABLE.assign(ser=np.nan, ser_low=np.nan, ser_high=np.nan), "x")
    assert shown.count("| n/a |") == 3


def test_other_people_s_numbers_have_a_column_of_their_own() -> None:
    said = TABLE.assign(published=["mean 94.6 | x", np.nan, np.nan], published_source=["Somebody 2023", np.nan, np.nan])
    lines = as_markdown(said, "x").splitlines()
    assert lines[0].endswith("| CPU | Published by others | Source |")
    assert lines[2].endswith(r"| mean 94.6 \| x | Somebody 2023 |")
    assert lines[3].endswith("|  |  |")


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(FairLabError, match="there is no format 'pdf'; choose one of: csv, latex, markdown"):
        exported(TABLE, "pdf", "")
