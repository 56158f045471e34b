"""Numbers of runs side by side, and the paired difference of each from one of them."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab import Lab
from fairlab.api.beside import SideBySide
from fairlab.compare.paired_runs import FROM_BASELINE, judged_lists, numbers, reasons
from fairlab.errors import FairLabError
from fairlab.evaluation.paired import DIFFERENCES
from fairlab.tables import matches
from fairlab.workspace import Workspace


@pytest.fixture(scope="module")
def both(tiny: Workspace) -> SideBySide:
    """The two students of the study tiny, its maps (which have no numbers), and a teacher."""
    runs = Lab(tiny).runs
    titles = {run.title: run.run_id for run in runs}
    wanted = ("Student without KD", "Student EAF-KD (SL, specialised)", "Maps", "Teacher Group A")
    return runs.compare([titles[title] for title in wanted])


def test_a_difference_is_the_difference_of_the_stored_numbers(both: SideBySide) -> None:
    """Each accuracy minus that of the first, to the last digit; its interval holds it; what cannot be told says why."""
    table, stored = both.differences(at_fmr=0.1), both.numbers()
    assert matches(table, FROM_BASELINE)
    first, student, maps, teacher = both.titles
    accuracy = stored[stored["metric"] == "accuracy"].set_index(["run_id", "group"])["value"]
    for run in (student, teacher):
        own = table[(table["run_id"] == run) & (table["metric"] == "accuracy")].set_index("group")
        for group in ("Group A", "Group B"):
            assert own.loc[group, "difference"] == pytest.approx(accuracy[run, group] - accuracy[first, group])
        mean = own.loc[["Group A", "Group B"], "difference"].mean()
        assert own.loc["all", "difference"] == pytest.approx(mean)
        assert (own["low"] <= own["difference"]).all()
        assert (own["difference"] <= own["high"]).all()
    without = table[table["run_id"] == maps]
    assert len(without) == 1
    assert without["difference"].isna().all()
    assert "no numbers on" in without["why"].iloc[0]


def test_the_other_way_round_is_the_same_with_the_other_sign(both: SideBySide) -> None:
    first, student, *_ = both.titles
    one = both.differences(at_fmr=0.1)
    other = both.differences(baseline=student, at_fmr=0.1)
    values = [
        table[(table["run_id"] == run) & (table["metric"] == "fnmr")]["difference"].to_numpy()
        for table, run in ((one, student), (other, first))
    ]
    assert np.allclose(values[0], -values[1])


def test_a_baseline_without_numbers_is_said_of_every_run(both: SideBySide) -> None:
    maps = next(name for name in both.titles if name.startswith("maps"))
    table = both.differences(baseline=maps)
    assert len(table) == 3
    assert table["difference"].isna().all()
    assert table["why"].str.contains("no numbers on").all()
    with pytest.raises(FairLabError, match="'nobody' is not one of the runs"):
        both.differences(baseline="nobody")
    with pytest.raises(FairLabError, match="test of demo-"):
        both.numbers("no-such-data")


def test_the_lists_that_most_runs_have_numbers_on_come_first(both: SideBySide) -> None:
    data = both.lists[0][0]
    assert both.lists == [(data, "test"), (data, "validation")] == judged_lists(both._records)
    table = numbers(both._records, data, "test")
    assert set(table["run_id"]) == set(both.titles) - {name for name in both.titles if name.startswith("maps")}
    assert not table["metric"].str.contains("/|_p$|fair_p95").any()


def test_what_has_no_number_or_no_interval_says_why() -> None:
    row = {"group": "A", "metric": "fmr", "p": np.nan, "detectable": np.nan, "draws": 10}
    table = DIFFERENCES.build(
        [
            {**row, "difference": 0.1, "low": 0.0, "high": 0.2},
            {**row, "difference": 0.1, "low": np.nan, "high": np.nan},
            {**row, "difference": np.nan, "low": np.nan, "high": np.nan},
        ]
    )
    told = reasons(table)
    assert told[0] == ""
    assert told[1].startswith("no interval")
    assert told[2] == "not measurable on these pairs"


def test_curves_of_named_readings(both: SideBySide) -> None:
    figure = both.curves("loss", "lr", smoothing=0.5, across="epoch")
    assert {trace.legendgroup for trace in figure.data} == {name for name in both.titles if not name.startswith("maps")}
    with pytest.raises(FairLabError, match="readings of 'los'; there are: loss"):
        both.curves("los")
