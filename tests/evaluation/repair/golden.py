"""Values computed with the papers' official code, and by hand (arXiv 2407.14087, 2106.03761, 2002.03592)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fairlab.evaluation.repair.base import Cohort, Images, Scored

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "fixtures" / "repair_golden.json").read_text(encoding="utf-8")
)
RAW = GOLDEN["G17"]["inputs"]["raw"]
"""(probe, its group, reference, its group, score)."""


def normalisation_set() -> tuple[Cohort, Scored]:
    """The five comparisons and their cohort, with vectors whose dot products are the table's scores.

    Each test image is a unit axis; a cohort vector's coordinate on it is their score. Probes and references of one name are
    different pictures, as the table has different scores for them.
    """
    inputs = GOLDEN["G17"]["inputs"]
    strangers = {(row[0], row[1]): None for row in inputs["z_cohort_cohort_probes_x_test_references"]}
    references = {(row[2], row[3]): None for row in inputs["z_cohort_cohort_probes_x_test_references"]}
    probes = {(row[0], row[1]): None for row in inputs["t_cohort_test_probes_x_cohort_references"]}
    axis = {("probe", name): row for row, (name, _) in enumerate(probes)}
    axis |= {("reference", name): len(probes) + row for row, (name, _) in enumerate(references)}
    vectors = np.zeros((len(strangers), len(axis)))
    at = {name: row for row, (name, _) in enumerate(strangers)}
    for stranger, _, name, _, score in inputs["z_cohort_cohort_probes_x_test_references"]:
        vectors[at[stranger], axis["reference", name]] = score
    for name, _, stranger, _, score in inputs["t_cohort_test_probes_x_cohort_references"]:
        vectors[at[stranger], axis["probe", name]] = score
    images = Images(np.eye(len(axis)), np.array([group for _, group in [*probes, *references]]))
    test = Scored(
        np.array([row[4] for row in RAW]),
        np.array([row[1] for row in RAW]),
        np.array([row[3] for row in RAW]),
        probe=np.array([axis["probe", row[0]] for row in RAW]),
        reference=np.array([axis["reference", row[2]] for row in RAW]),
        images=images,
    )
    rows = inputs["cohort_x_cohort"]
    pairs = Scored(
        np.array([row[4] for row in rows]),
        np.array([row[1] for row in rows]),
        np.array([row[3] for row in rows]),
        genuine=np.array([row[0] == row[2] for row in rows]),
    )
    return Cohort(pairs, Images(vectors, np.array([group for _, group in strangers]))), test
