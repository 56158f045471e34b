"""A whole report on a table of scored pairs: right on the golden scores, plain on tables that cannot say much."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fairlab.errors import FairLabError
from fairlab.evaluation import FAIRNESS_METRICS, FairnessReport, fairness_report
from fairlab.tables import ALL_GROUPS
from tests.conftest import ROOT
from tests.evaluation.scored_tables import across, both, golden, small


@pytest.fixture(scope="module")
def report() -> FairnessReport:
    return fairness_report(golden(), 0.01, draws=200)


def quick(table: pd.DataFrame, **options: object) -> FairnessReport:
    found = fairness_report(table, **{"at_fmr": 0.1, "draws": 60, **options})  # type: ignore[arg-type]
    json.dumps(found.as_json(), allow_nan=False)
    return found


def test_the_report_has_bobs_rates_and_areas(report: FairnessReport) -> None:
    """AUC of scikit-learn to 1e-9, EER of bob and d' of pyeer, of each group and of all together."""
    groups = report.groups.set_index("group")
    assert groups["false_matches"].tolist() == [145, 18, 2, 11]
    assert groups["false_non_matches"].tolist() == [65, 95, 110, 102]
    areas = [0.9413810889694042, 0.9565138763083735, 0.9846077395330113, 0.9674023122987117]
    assert groups["auc"].tolist() == pytest.approx(areas, abs=1e-9)
    errors = [0.125, 0.10979015700483091, 0.04876207729468599, 0.08873037439613526]
    assert groups["eer"].tolist() == pytest.approx(errors, abs=1e-15)
    assert report.overall["auc"] == pytest.approx(0.9387830651324728, abs=1e-9)
    assert report.overall["eer"] == pytest.approx(0.13710560084541062, abs=1e-15)
    assert report.overall["d_prime"] == pytest.approx(2.091181716437448, abs=1e-9)
    assert (groups["identities"] == 24).all()


def test_every_metric_stands_with_its_formula_fair_value_and_what_chance_shows(report: FairnessReport) -> None:
    metrics = report.metrics.set_index("metric")
    assert set(metrics.index) == {name for name in FAIRNESS_METRICS if FAIRNESS_METRICS[name].of == "rates"}
    assert metrics.loc["gini_fmr", "value"] == pytest.approx(0.8257575757575757, abs=1e-12)
    assert metrics["fair_p95"].notna().all()
    assert (metrics["formula"].str.len() > 5).all()
    known = metrics.dropna(subset=["low"])
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).all()


def test_the_summary_names_the_groups_and_says_what_is_beyond_chance(report: FairnessReport) -> None:
    text = " ".join(report.summary)
    assert "most often in African (3.3 %" in text
    assert "least often in Caucasian (0.045 %" in text
    assert "more than chance would show" in text
    assert "Gini of FMR" in text.partition("Beyond what a perfectly fair model")[2]


def test_a_group_may_be_called_this_and_that() -> None:
    """Words of the sentence and words of a name do not mix."""
    table = small().replace({"group": {"A": "black and white"}})
    said = " ".join(quick(table, at_fmr=0.1).summary)
    assert "black and white (" in said
    assert "black, least often" not in said


def test_few_impostors_are_said_first() -> None:
    report = quick(small(), at_fmr=0.01)
    assert report.summary[0].startswith("FMR 0.01 is not measurable: with 270 impostor pairs")
    assert report.notes[0].startswith("FMR 0.01 is not measurable")
    assert report.as_json()["measurable"] is False


def test_folds_bring_the_papers_accuracies() -> None:
    table = small().assign(fold=lambda rows: np.arange(len(rows)) % 10)
    metrics = quick(table).metrics.set_index("metric")
    assert {"std_points", "ser", "gap_points", "worst_accuracy"} <= set(metrics.index)
    assert "has no column 'fold'" in " ".join(quick(small()).notes)


def test_constant_scores_are_pointed_out() -> None:
    report = quick(small().assign(score=0.5))
    assert "A: all scores are 0.5, so genuine and impostor pairs cannot be separated" in report.notes
    assert report.overall["auc"] == 0.5
    assert report.as_json()["metrics"]["gini_fmr"]["value"] is None


def test_swapped_labels_are_pointed_out() -> None:
    report = quick(small().assign(score=lambda rows: -rows["score"]))
    assert any("A: AUC is below one half; are genuine and impostor swapped" in note for note in report.notes)


@pytest.mark.parametrize(("missing", "rate"), [(1, "FNMR"), (0, "FMR")])
def test_a_group_without_pairs_of_a_kind_keeps_its_other_rate(missing: int, rate: str) -> None:
    table = small("ABC")
    table = table[(table["group"] != "C") | (table["label"] != missing)]
    report = quick(table)
    assert f"C: no {'genuine' if missing else 'impostor'} pair, so its {rate} is n/a" in report.notes
    rows = report.groups.set_index("group")
    assert np.isnan(rows.loc["C", rate.lower()])
    assert not np.isnan(rows.loc["C", "fnmr" if rate == "FMR" else "fmr"])
    assert np.isnan(rows.loc["C", "auc"])
    found = report.as_json()
    assert found["groups"]["C"][rate.lower()] is None
    other = "fmr" if rate == "FNMR" else "fnmr"
    assert found["metrics"][f"gini_{rate.lower()}"]["value"] is None
    assert found["metrics"]["garbe"]["value"] is None
    assert found["metrics"][f"max_mean_{other}"]["value"] is not None
    assert any(
        "has no genuine or no impostor pairs: the measures that need them are n/a" in note for note in report.notes
    )


def test_one_group_and_one_identity() -> None:
    alone = quick(small("A"))
    assert alone.as_json()["metrics"]["garbe"]["value"] is None
    assert "fewer than two groups" in alone.summary[0]
    table = pd.concat([small("A", people=6), small("B", people=1)])
    report = quick(table)
    assert "B: no impostor pair, so its FMR is n/a" in report.notes
    assert "B: only 1 identities, intervals are indicative" in report.notes
    row = report.groups.set_index("group").loc["B"]
    if 0 < row["fnmr"] < 1:
        assert np.isnan(row["fnmr_low"]), "of other people nothing is known"


def test_nobody_within_a_group_is_refused() -> None:
    with pytest.raises(FairLabError, match="the table has no pairs within a group"):
        quick(across())


def test_impostors_across_groups_make_the_matrix() -> None:
    """Counted again by hand, at the threshold that the impostors within groups set; they enter no group's rate."""
    table = both("ABC")
    report = quick(table)
    threshold = report.at.thresholds[0]
    rows = report.matrix.set_index(["group_a", "group_b"])
    assert set(rows.index) == {("A", "A"), ("B", "B"), ("C", "C"), ("A", "B"), ("A", "C"), ("B", "C")}
    for (a, b), row in rows.iterrows():
        of = table[(table["group1"] == a) & (table["group2"] == b) & (table["label"] == 0)]
        assert row["impostor_pairs"] == len(of)
        assert row["false_matches"] == (of["score"] >= threshold).sum()
        assert row["low"] <= row["fmr"] <= row["high"]
    within = quick(table[table["group1"] == table["group2"]])
    pd.testing.assert_frame_equal(within.groups, report.groups)
    assert [row["fmr"] for row in report.as_json()["cross_group"]] == rows["fmr"].tolist()


def test_what_was_left_out_is_stored_with_the_result() -> None:
    table = small().astype({"score": object})
    table.loc[5, "score"] = "?"
    table.loc[len(table)] = table.loc[0]
    found = quick(table, exclude=["all"]).as_json()
    assert found["defects"] == [
        {"kind": "scores", "count": 1, "lines": [5], "excluded": True},
        {"kind": "duplicates", "count": 1, "lines": [len(table) - 1], "excluded": True},
    ]
    assert {"scores", "duplicates", "two_groups"} <= set(found["excluded"])
    kept = quick(table, exclude=["scores"]).as_json()
    assert kept["excluded"] == ["scores"]
    assert [(item["kind"], item["excluded"]) for item in kept["defects"]] == [("scores", True), ("duplicates", False)]
    assert any("1 pairs that appear more than once" in note for note in kept["notes"])


def test_without_names_the_intervals_are_over_pairs_and_said_to_be() -> None:
    report = quick(small().drop(columns=["id1", "id2"]))
    assert "the table names no people" in report.method
    assert any("intervals are over pairs" in note for note in report.notes)
    assert report.groups["identities"].isna().all()
    named = quick(small())
    assert "people resampled within each group" in named.method
    assert report.groups["fmr"].tolist() == named.groups["fmr"].tolist()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"at_fmr": 0.1, "threshold": 0.2}, "give one of"),
        ({"at_fmr": 1.5}, "an FMR lies between 0 and 1, not 1.5"),
        ({"at_fmr": None, "own_fmr": -1.0}, "an FMR lies between 0 and 1"),
        ({"at_fmr": None, "threshold": np.nan}, "a threshold is a finite number"),
        ({"draws": 0}, "at least one draw"),
        ({"seed": -1}, "a seed of 0 or more"),
    ],
)
def test_impossible_wishes_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(FairLabError, match=said):
        quick(small(), **options)


def test_the_hash_is_of_the_pairs() -> None:
    """The same pairs, the same hash; another score, another hash."""
    assert quick(small()).pairs_hash == quick(small(), at_fmr=0.3).pairs_hash
    changed = small()
    changed.loc[3, "score"] += 1e-9
    assert quick(changed).pairs_hash != quick(small()).pairs_hash
    assert ALL_GROUPS not in quick(small()).groups["group"].tolist()


PLAIN = """
import sys, sysconfig
sysconfig.get_config_vars()
ALLOWED = {'fairlab', 'numpy', 'pandas', 'scipy', 'dateutil', 'six', 'pytz', 'tzdata'} | set(sys.stdlib_module_names)
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] not in ALLOWED:
            raise ModuleNotFoundError(f'{name} is blocked')
sys.meta_path.insert(0, Blocked())
import pandas
import fairlab.evaluation as evaluation
report = evaluation.fairness_report(pandas.read_csv(sys.argv[1]), 0.01, draws=100)
print(report.as_json()['metrics']['gini_fmr']['value'])
print({'torch', 'streamlit', 'pydantic', 'pyarrow', 'rich'} & set(sys.modules))
try:
    import pyarrow
except ModuleNotFoundError:
    print('pyarrow is missing')
"""


def test_it_needs_numpy_pandas_and_scipy_only() -> None:
    """In a fresh interpreter in which every other package is missing: import, and a report on a table in memory."""
    path = ROOT / "tests" / "evaluation" / "fixtures" / "golden_scores.csv"
    result = subprocess.run([sys.executable, "-c", PLAIN, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    lines = result.stdout.splitlines()
    assert float(lines[0]) == pytest.approx(0.8257575757575757, abs=1e-12)
    assert lines[1:] == ["set()", "pyarrow is missing"]


def test_p_values_of_many_measures_are_adjusted_on_request(report: FairnessReport) -> None:
    """Holm: never below the plain p, at most so many times as large; without it the summary says how many chance would show."""
    adjusted = report.adjusted("holm")
    plain, after = (found.metrics.dropna(subset=["p_adjusted"]).set_index("metric") for found in (report, adjusted))
    assert (after["p_adjusted"] >= plain["p"] - 1e-12).all()
    smallest = plain["p"].min()
    assert after["p_adjusted"].min() == pytest.approx(min(1.0, smallest * len(plain)))
    assert (
        f"of {len(plain)} measures are beyond chance; in a perfectly fair model about {0.05 * len(plain):.1f} would be"
        in " ".join(report.summary)
    )
    assert f"adjusted for {len(plain)} measures (Holm)" in " ".join(adjusted.summary)
    with pytest.raises(FairLabError, match="expected holm"):
        report.adjusted("bonferroni")
    assert adjusted.as_json()["adjust"] == "holm"


def test_one_sentence_says_why_there_are_several_worst_groups(report: FairnessReport) -> None:
    """Golden scores: African has the highest FMR, Caucasian (2 of 4,416 false matches) the highest FNMR at one threshold."""
    said = [sentence for sentence in report.summary if "has the highest FMR" in sentence]
    assert len(said) == 1
    assert said[0].startswith(
        "African has the highest FMR and Caucasian has the highest FNMR: at one threshold for all, a group with higher "
    )
