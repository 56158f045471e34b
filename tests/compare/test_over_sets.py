"""A study over several data sets: trained, evaluated on both by the study itself, and read by command, page and Python."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from fairlab import Lab
from fairlab.compare.compare import compare
from fairlab.compare.over_sets import over_sets, sets_of
from fairlab.data.dataset import open_dataset
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.settings.study import changed
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command, copied_home
from tests.in_process import carry_out_all


@pytest.fixture(scope="module")
def both(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """The tiny study's models also on "same", its test images and pairs under another name, and on "one", all in one group."""
    home = copied_home(tiny.home, tmp_path_factory.mktemp("sets") / "home")
    lab = open_workspace(home)
    [name] = [path.name for path in lab.datasets_folder.iterdir() if (path / "dataset.json").exists()]
    faces = open_dataset(lab.dataset(name))
    test = faces.pairs_of("test")
    rows = np.unique(test[["image_a", "image_b"]].to_numpy())
    images = faces.images.iloc[rows].reset_index(drop=True)
    pairs = test.assign(
        pair_id=np.arange(len(test)),
        image_a=np.searchsorted(rows, test["image_a"]),
        image_b=np.searchsorted(rows, test["image_b"]),
    )
    for name, groups in (("same", faces.groups), ("one", ("all of them",))):
        alone = {"group": groups[0]} if len(groups) == 1 else {}
        new = NewDataset(
            name, "test", faces.attribute, groups, images.assign(image_id=np.arange(len(rows)), dataset=name, **alone),
            pairs.assign(**alone), np.asarray(faces.pixels)[rows], {},
        )  # fmt: skip
        write_dataset(lab.dataset(name), new)
    plan = expand(changed(load_preset("tiny"), {"tested_on": ["same", "one"], "grid.maps": "none"}), "tiny", lab)
    assert {run.record.role for run in plan.new} == {"evaluation"}
    carry_out_all(lab, plan)
    return lab, plan.study_id


def test_a_set_with_the_same_pairs_has_the_same_numbers(both: tuple[Workspace, str]) -> None:
    lab, study = both
    own, *others = sets_of(lab, study)
    assert others == ["same", "one"]
    table = over_sets(lab, study).set_index("model")
    usual = compare(lab, study).set_index("model")
    assert set(table.index) == set(usual.index)
    for name in (own, "same"):
        np.testing.assert_allclose(table[f"mean:{name}"], usual.loc[table.index, "mean"], atol=1e-9)
        np.testing.assert_allclose(table[f"std:{name}"], usual.loc[table.index, "std"], atol=1e-9)
    assert "std:one" not in table
    assert table["mean:one"].notna().all()


def test_sets_are_chosen_and_unknown_ones_refused(both: tuple[Workspace, str]) -> None:
    lab, study = both
    assert [name for name in over_sets(lab, study, ["one"]) if name.startswith("mean:")] == ["mean:one"]
    with pytest.raises(FairLabError, match=r"no model of .* is evaluated on 'sane' \(did you mean 'same'\?\)"):
        over_sets(lab, study, ["sane"])


def test_command_and_python_say_the_same(both: tuple[Workspace, str]) -> None:
    lab, study = both
    table = Lab(lab).studies[study].over_sets("same", "one")
    printed = command(lab.home, "compare", study, "--sets", "same", "one", "--json")
    assert printed.returncode == 0, printed.stderr
    pd.testing.assert_frame_equal(pd.DataFrame(json.loads(printed.stdout)), table, check_dtype=False)
    shown = command(lab.home, "compare", study, "--sets").stdout
    assert "same" in shown
    assert "Student EAF-KD" in shown
    refused = command(lab.home, "compare", study, "--sets", "--front", "std")
    assert refused.returncode != 0
    assert "--sets is a table of its own" in refused.stderr


def test_the_page_has_a_column_for_each(both: tuple[Workspace, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.test_pages import fine, opened

    lab, study = both
    page = opened(monkeypatch, lab, "compare", study=study)
    fine(page)
    assert "On all data sets" in [head.value for head in page.subheader]
    frames = [frame.value for frame in page.dataframe]
    [table] = [frame for frame in frames if "same" in frame and "one" in frame]
    usual = compare(lab, study).set_index("model")["mean"]
    assert {row["Model"].replace("\\", ""): row["same"].split()[0] for row in table.to_dict("records")} == {
        name: f"{value:.1f}" for name, value in usual.items()
    }
