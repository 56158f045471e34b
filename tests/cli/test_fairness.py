"""`fairlab fairness` on tables of scored pairs: its JSON, its tables, and one sentence for everything that is wrong."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fairlab.cli.main import main
from fairlab.evaluation import FAIRNESS_METRICS
from fairlab.evaluation.score_frames import DEFECTS
from tests.evaluation.scored_tables import GOLDEN, both, small


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Call the command in this process: (code, what it printed, what it complained of)."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["--home", str(tmp_path / "home"), "fairness", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "scores.csv"
    both("ABC").to_csv(path, index=False)
    return path


def strict(text: str) -> Any:
    """JSON as the standard has it: no NaN, no Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_of_the_golden_scores(run: Any) -> None:
    """The contract: names that other programs read, and bob's, pyeer's and fairlearn's numbers under them."""
    code, out, err = run(GOLDEN, "--at-fmr", "0.01", "--json", "--draws", "200")
    assert (code, err) == (0, "")
    found = strict(out)
    assert found["threshold"] == pytest.approx(0.692826, abs=1e-12)
    assert list(found["groups"]) == ["African", "Asian", "Caucasian", "Indian"]
    counts = {"false_matches": (145, 18, 2, 11), "false_non_matches": (65, 95, 110, 102)}
    for number, row in enumerate(found["groups"].values()):
        assert (row["genuine_pairs"], row["impostor_pairs"]) == (144, 4416)
        assert row["false_matches"] == counts["false_matches"][number]
        assert row["false_non_matches"] == counts["false_non_matches"][number]
        assert row["fmr"] == pytest.approx(row["false_matches"] / 4416, abs=1e-12)
        assert row["fnmr"] == pytest.approx(row["false_non_matches"] / 144, abs=1e-12)
        assert row["fmr_low"] <= row["fmr"] <= row["fmr_high"]
        assert row["fnmr_low"] <= row["fnmr"] <= row["fnmr_high"]
    wanted = {
        "gini_fmr": 0.8257575757575757,
        "gini_fnmr": 0.1272401433691756,
        "garbe": 0.4764988595633756,
        "fdr": 0.8275588768115942,
        "ir": 11.076655979685732,
        "max_geomean_fmr": 9.36703634192121,
        "max_min_fmr": 72.5,
        "demographic_parity_difference": 0.0412280701754386,
    }
    for name, value in wanted.items():
        assert found["metrics"][name]["value"] == pytest.approx(value, abs=1e-12), name
        assert {"value", "low", "high"} <= set(found["metrics"][name])
    assert set(found["metrics"]) == {name for name in FAIRNESS_METRICS if FAIRNESS_METRICS[name].of == "rates"}
    assert found["auc"] == pytest.approx(0.9387830651324728, abs=1e-9)
    assert found["eer"] == pytest.approx(0.13710560084541062, abs=1e-15)


def test_json_where_a_group_shows_no_error(run: Any) -> None:
    found = strict(run(GOLDEN, "--at-fmr", "0.001", "--json", "--draws", "200")[1])
    assert found["threshold"] == pytest.approx(0.764848, abs=1e-12)
    assert found["metrics"]["ir"] == {
        "value": None,
        "low": None,
        "high": None,
        "fair_value": 1.0,
        "fair_p95": None,
        "p": None,
        "p_adjusted": None,
        "beyond": None,
    }
    assert found["metrics"]["equalized_odds_ratio"]["value"] == 0.0
    assert found["metrics"]["max_geomean_fmr"]["value"] == pytest.approx(3.1778827101628875, abs=1e-12)
    assert found["groups"]["Indian"]["fmr_high"] == pytest.approx(1 - 0.05 ** (1 / 4416), abs=1e-12)


def test_thresholds_given_and_of_each_group(run: Any) -> None:
    fixed = strict(run(GOLDEN, "--threshold", "0.692826", "--json", "--draws", "50")[1])
    assert fixed["groups"]["African"]["false_matches"] == 145
    own = strict(run(GOLDEN, "--at-own-fmr", "0.01", "--json", "--draws", "50")[1])
    assert own["threshold"] is None
    assert all(0.0095 < row["fmr"] <= 0.01 for row in own["groups"].values())


def test_for_people(run: Any) -> None:
    """Sentences first, then every group with counts, the metrics with formulas, method and notes."""
    code, out, _ = run(GOLDEN, "--draws", "50")
    assert code == 0
    assert out.startswith("At one threshold for all groups")
    for word in ("African", "4,416", "Gini of FMR", "n/(n-1)", "threshold 0.692826", "people resampled", "note: "):
        assert word in out, word


def test_csv_tables(run: Any, table: Path) -> None:
    for name, rows in (("groups", 3), ("matrix", 6), ("metrics", 18)):
        found = pd.read_csv(io.StringIO(run(table, "--at-fmr", "0.1", "--csv", name, "--draws", "50")[1]))
        assert len(found) == rows, name


def test_comparisons_across_groups(run: Any, table: Path) -> None:
    cells = strict(run(table, "--at-fmr", "0.1", "--json", "--draws", "50")[1])["cross_group"]
    assert [(cell["group_a"], cell["group_b"]) for cell in cells if cell["group_a"] != cell["group_b"]] == [
        ("A", "B"), ("A", "C"), ("B", "C")
    ]  # fmt: skip
    assert all(cell["impostor_pairs"] == 36 for cell in cells if cell["group_a"] != cell["group_b"])


def test_left_out_lines_are_in_the_json(run: Any, tmp_path: Path) -> None:
    rows, path = small().astype({"score": object}), tmp_path / "bad.csv"
    rows.loc[3, "score"] = "oops"
    rows.to_csv(path, index=False)
    code, out, err = run(path, "--json")
    assert (code, out) == (2, "")
    assert err == f"fairlab: {path} has 1 scores that are not finite numbers: line 5; fix them or exclude 'scores'\n"
    code, out, _ = run(path, "--json", "--exclude", "scores", "duplicates", "--draws", "50")
    found = strict(out)
    assert found["excluded"] == ["duplicates", "scores"]
    assert found["defects"] == [{"kind": "scores", "count": 1, "lines": [5], "excluded": True}]
    assert strict(run(path, "--json", "--exclude", "all", "--draws", "50")[1])["defects"] == found["defects"]


def test_bobs_and_bfws_columns(run: Any, tmp_path: Path) -> None:
    rows = both("AB")
    bob = pd.DataFrame({"probe_subject_id": rows["id2"], "bio_ref_subject_id": rows["id1"], "score": rows["score"]})
    bob = bob.assign(probe_race=rows["group2"], bio_ref_race=rows["group1"], probe_age=1, bio_ref_age=1)
    faces = {f"p{side}": rows[f"id{side}"] + "_" + rows[f"img{side}"].astype(str) for side in (1, 2)}
    bfw = pd.DataFrame({**faces, "label": rows["label"], "resnet50": rows["score"]})
    bfw = bfw.assign(att1=rows["group1"], att2=rows["group2"])
    found = []
    for name, form, more in (
        ("plain", rows, ()),
        ("bob", bob, ("--by", "race")),
        ("bfw", bfw, ("--score", "resnet50")),
    ):
        path = tmp_path / f"{name}.csv"
        form.to_csv(path, index=False)
        found.append(strict(run(path, "--at-fmr", "0.1", "--json", "--draws", "50", *more)[1]))
    rates = [[(row["fmr"], row["impostor_pairs"]) for row in item["groups"].values()] for item in found]
    assert rates[0] == rates[1] == rates[2]


@pytest.mark.parametrize("kind", [*DEFECTS, "all"])
def test_every_kind_can_be_asked_for(run: Any, table: Path, kind: str) -> None:
    code, out, _ = run(table, "--at-fmr", "0.1", "--json", "--draws", "20", "--exclude", kind)
    assert code == 0
    assert set(strict(out)["excluded"]) == (set(DEFECTS) if kind == "all" else {kind})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.csv"], "there is no file nothing.csv"),
        (["nobody"], "there is no run 'nobody'"),
        (["nobody", "--exclude", "all"], "--exclude, --score and --distances belong to a table of scores"),
        ([GOLDEN, "--at-fmr", "2"], "an FMR lies between 0 and 1, not 2"),
        ([GOLDEN, "--threshold", "nan"], "a threshold is a finite number, not nan"),
        ([GOLDEN, "--draws", "0"], "give a whole number from 1 to 100000, not '0'"),
        ([GOLDEN, "--exclude", "outliers"], "'outliers' cannot be left out"),
        ([GOLDEN, "--score", "cosine"], "has no column 'cosine' with scores"),
        ([GOLDEN, "--by", "race"], "has no column 'race'; expected 'group'"),
    ],
)
def test_wrong_calls_end_with_one_sentence(run: Any, arguments: list[str | Path], said: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_two_models_on_the_same_pairs(run: Any, tmp_path: Path) -> None:
    """Differences with interval and p, and what could not be seen; tables and JSON."""
    good, poor = small("AB", 10, gap=3.0), small("AB", 10, gap=1.0, seed=5)
    for name, rows in (("good", good), ("poor", poor)):
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    call = (tmp_path / "good.csv", "--against", tmp_path / "poor.csv", "--at-fmr", "0.1", "--draws", "200")
    found = strict(run(*call, "--json")[1])
    rows = {(row["group"], row["metric"]): row for row in found["differences"]}
    assert found["operating_point"] == "fmr=0.1"
    row = rows["A", "fnmr"]
    assert row["low"] <= row["difference"] <= row["high"] < 0
    assert row["p"] < 0.05
    assert "garbe" in {metric for _, metric in rows}
    code, out, _ = run(*call)
    assert code == 0
    assert "cannot be detected: it would reach p < 0.05 in fewer than 80 of 100 cases" in " ".join(out.split())
    several = f"{tmp_path}/good.csv,{tmp_path}/good.csv"
    assert run(several, "--against", several, "--at-fmr", "0.1", "--draws", "50")[0] == 0


def test_other_pairs_cannot_be_compared(run: Any, tmp_path: Path) -> None:
    one = small("AB", 6)
    for name, rows in (("one", one), ("short", one.iloc[1:]), ("other", one.iloc[::-1])):
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    for name, said in (
        ("short", "do not hold the same pairs: 306 and 305"),
        ("other", "is not the same pair as line 2 of"),
    ):
        code, _, err = run(tmp_path / "one.csv", "--against", tmp_path / f"{name}.csv")
        assert code == 2
        assert said in err
    assert "cannot be paired" in run(f"{tmp_path}/one.csv,{tmp_path}/one.csv", "--against", tmp_path / "one.csv")[2]


def test_a_file_that_ends_within_a_line_is_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A score that lost its last digits is still a number."""
    whole = small().to_csv(index=False)
    path = tmp_path / "cut.csv"
    for text, said in ((whole, False), (whole[:-3], True)):
        path.write_text(text)
        assert main(["--home", str(tmp_path / "home"), "fairness", str(path), "--json"]) == 0
        notes = json.loads(capsys.readouterr().out)["notes"]
        assert any("was the file cut off" in note for note in notes) == said


def test_the_groups_of_a_table_are_of_one_attribute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scores.csv"
    small().to_csv(path, index=False)
    assert main(["--home", str(tmp_path / "home"), "fairness", str(path), "--by", "one", "two"]) == 2
    assert "one attribute" in capsys.readouterr().err


def test_p_values_are_adjusted_and_never_rounded_to_the_draws(run: Any) -> None:
    """Golden scores at 1 %: Gini of FMR (.826) is shown by none of 1,000 fair test sets, so p is "< 0.001" and no number."""
    code, out, _ = run(GOLDEN, "--draws", "100")
    assert code == 0
    assert "< 0.001" in out
    assert "Holm" not in out
    assert "(Holm)" in run(GOLDEN, "--draws", "100", "--adjust", "holm")[1]
