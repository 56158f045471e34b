"""Numbers of other people: only with a source, only beside the same thing, never what was not obtained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlab.compare.published import FAMILIES, FILE, accuracies, published_beside, read_published, words
from fairlab.data.dataset import Dataset
from fairlab.files import asset
from fairlab.plan.plan import single
from fairlab.registry import declared
from fairlab.settings.study import Backbone, Data, Run
from fairlab.store.runs import RunRecord
from fairlab.workspace import Workspace

RFW = ("African", "Asian", "Caucasian", "Indian")


def model(lab: Workspace, method: str, backbone: str, **data: Any) -> RunRecord:
    config = Run(role="student", method=method, data=Data(dataset="d", **data), backbone=Backbone(name=backbone))
    return single(lab, "S", config, ())


def faces(kind: str, groups: tuple[str, ...] = RFW) -> Dataset:
    return Dataset(Path("d"), {"dataset_id": "d", "kind": kind, "groups": list(groups)})


def test_the_rows_agree_with_themselves() -> None:
    """Printed means, STD (n-1) and SER follow from the printed accuracies, to the digits printed; every row has a source."""
    table = read_published()
    assert len(table) == 75
    assert (table["source"] != "").all()
    rfw = table[table["test_set"] == "RFW"]
    assert len(rfw) == 15
    for row in rfw.to_dict("records"):
        values = np.array([row["accuracy"][name.lower()] for name in RFW])
        assert row["mean"] == pytest.approx(values.mean(), abs=0.0051)
        assert row["std"] == pytest.approx(values.std(ddof=1), abs=0.0051)
        assert row["ser"] == pytest.approx((100 - values.min()) / (100 - values.max()), abs=0.0051)


def test_what_was_not_obtained_is_no_number() -> None:
    """The three seed papers have no table here, and the file says so."""
    assert asset(FILE).read_text(encoding="utf-8").count("NOT OBTAINED") == 3
    table = read_published()
    assert not table["row"].str.contains("NOT OBTAINED").any()
    assert not table["paper"].str.contains("2408.16563|2408.17399|2011.00265").any()


def test_the_mapping_names_what_exists() -> None:
    """Backbones are ours, test sets are those that a data set can be."""
    table = read_published()
    mapped = table[table["method"] != ""]
    assert len(mapped) == 27
    assert set(mapped["backbone"]) <= set(declared("BACKBONES", "models/backbones"))
    assert set(table["test_set"]) == set(FAMILIES.values())
    assert not mapped["row"].str.contains("8bit|6bit").any()


def test_the_plain_network_on_rfw_has_its_published_twin(lab: Workspace) -> None:
    """iResNet-34 trained on BUPT-Balancedface: 94.63, STD 1.40, SER 1.95."""
    run = model(lab, "classifier", "iresnet34")
    (row,) = published_beside([run], faces("rfw"))[run.run_id]
    assert words(row, RFW) == (
        "mean 94.62, STD 1.40, SER 1.95 (African 93.37, Asian 94.03, Caucasian 96.60, Indian 94.50); "
        "trained on BUPT-Balancedface"
    )
    assert "Quantization-and-Racial-Bias" in row["source"]


@pytest.mark.parametrize(
    ("method", "backbone", "kind", "data"),
    [
        ("classifier", "iresnet34", "demo", {}),
        ("classifier", "iresnet34", "folders", {}),
        ("classifier", "iresnet34", "packs", {}),
        ("classifier", "tiny", "rfw", {}),
        ("eaf_kd", "iresnet34", "rfw", {}),
        ("classifier", "iresnet34", "rfw", {"groups": ("African",)}),
        ("classifier", "iresnet34", "rfw", {"parts": 4}),
    ],
)
def test_anything_else_has_none(lab: Workspace, method: str, backbone: str, kind: str, data: dict[str, Any]) -> None:
    """Other data (generated faces above all), another method or network, a teacher of one group or part."""
    assert published_beside([model(lab, method, backbone, **data)], faces(kind)) == {}


def test_packs_are_found_by_their_names(lab: Workspace) -> None:
    """Where a pack is missing from the row, no mean is claimed."""
    run = model(lab, "fitnet", "mobilefacenet")
    groups = ("lfw", "cfp_fp", "agedb_30")
    rows = published_beside([run], faces("packs", groups))[run.run_id]
    assert [accuracies(row, groups) for row in rows] == [
        {"lfw": 99.47, "cfp_fp": 91.3, "agedb_30": 96.18},
        {"lfw": 99.47, "cfp_fp": 91.3, "agedb_30": 96.18},
    ]
    assert words(rows[0], ("lfw", "other")) == "lfw 99.47; trained on MS1MV2"
