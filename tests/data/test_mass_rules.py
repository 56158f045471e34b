"""Removal by mass against the published selection functions, and against closed forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlab.data.mass_rules import LETTERS, Identities, Stop, removed
from fairlab.data.shares import sums_of
from fairlab.errors import FairLabError
from fairlab.settings.recipe import MassRule

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "fixtures" / "mass_rules.json").read_text())
PUBLISHED: dict[str, tuple[MassRule, bool]] = {
    "a": ("mean_share", False),
    "d": ("mean_mass", False),
    "e": ("group_mass", False),
    "a_relabel": ("mean_share", True),
    "d_relabel": ("mean_mass", True),
    "e_relabel": ("group_mass", True),
    "multiple_forces": ("total_mass", True),
}
"""The function of the published code -> (rule, whether identities get the group of their largest share)."""
GROUPS = ("X", "Y")


def of_images(images: list[list[Any]], relabel: bool) -> Identities:
    names, members = np.unique([name for _, name, _ in images], return_inverse=True)
    group = {name: GOLDEN["groups"].index(folder) for folder, name, _ in images}
    sums, counts = sums_of(np.array([values for *_, values in images]), members, len(names))
    people = Identities(names, sums, counts, np.array([group[name] for name in names]), tuple(GOLDEN["groups"]))
    return people.relabelled() if relabel else people


def two_groups(x: list[float], y: list[float], names: str = "") -> Identities:
    """Identities of one image each that have these shares of their group; named a, b, c ... or by `names`."""
    own = np.array([*x, *y])
    of_x = np.arange(len(own)) < len(x)
    sums = np.stack([np.where(of_x, own, 1 - own), np.where(of_x, 1 - own, own)], axis=1)
    labels = np.array(list(names or "abcdefghijklmnop"[: len(own)]))
    return Identities(labels, sums, np.ones(len(own), int), np.where(of_x, 0, 1), GROUPS)


@pytest.mark.parametrize("function", PUBLISHED)
@pytest.mark.parametrize("case", range(len(GOLDEN["cases"])))
def test_the_published_functions_remove_the_same_identities(function: str, case: int) -> None:
    """In the same order (G25's rules; the expectations were made by running the published functions on these images)."""
    given = GOLDEN["cases"][case]
    rule, relabel = PUBLISHED[function]
    people = of_images(given["images"], relabel)
    assert people.names[removed(people, rule, Stop(given["count"]))].tolist() == given["removed"][function]


def test_the_rules_differ_on_these_images() -> None:
    """Or the test above could pass with one rule for all."""
    for rule in PUBLISHED:
        others = [name for name in PUBLISHED if name != rule]
        assert all(
            any(case["removed"][rule] != case["removed"][other] for case in GOLDEN["cases"]) for other in others
        ), rule


def test_every_rule_has_its_published_name() -> None:
    assert set(LETTERS) == {rule for rule, _ in PUBLISHED.values()}


def test_until_the_masses_differ_by_less_than_the_gap() -> None:
    """X has 0.6 + 0.7 + 0.8 + 0.9 = 3.0, Y has 1.0 + 0.9: without 0.6 and 0.7, X has 1.7 and Y, 1.9, is the largest."""
    people = two_groups([0.9, 0.8, 0.7, 0.6], [1.0, 0.9])
    assert people.names[removed(people, "group_mass", Stop(None, 0.3))].tolist() == ["d"]  # 2.4 / 1.9 - 1 = 0.26
    assert people.names[removed(people, "group_mass", Stop(None, 0.26))].tolist() == ["d", "c"]  # 1.9 / 1.7 - 1 = 0.12
    assert removed(people, "group_mass", Stop(None, 0.6)).tolist() == []  # 3.0 / 1.9 - 1 = 0.58


def test_total_mass_counts_the_shares_of_all() -> None:
    """X: 3 x 0.6 + 0.9 = 2.7 of 5; a removed one takes its share of Y away too."""
    people = two_groups([0.6, 0.6, 0.6], [0.1, 1.0])
    assert people.relabelled().group.tolist() == [0, 0, 0, 0, 1]
    assert people.sums.sum(0) == pytest.approx([2.7, 2.3], abs=1e-12)
    rows = removed(people.relabelled(), "total_mass", Stop(2))
    assert people.names[rows].tolist() == ["a", "e"] or people.names[rows].tolist() == ["a", "b"]
    assert people.sums.sum(0) - people.sums[0] == pytest.approx([2.1, 1.9], abs=1e-12), "X is still the largest"
    assert people.names[rows].tolist() == ["a", "b"]


def test_ties_go_to_the_first_group_and_the_first_name() -> None:
    """The published code would give a tie to African, whichever groups are tied."""
    people = two_groups([0.5, 0.5], [0.5, 0.5])
    assert people.names[removed(people, "group_mass", Stop(2))].tolist() == ["a", "c"]
    assert people.names[removed(people, "mean_share", Stop(1))].tolist() == ["a"]


def test_a_group_keeps_its_last_identity() -> None:
    """One sentence with the rule, the group and the numbers."""
    people = two_groups([0.9, 0.8], [0.3])
    with pytest.raises(
        FairLabError, match=r"group_mass would remove the last of 2 identities of group 'X' after 1 rem"
    ):
        removed(people, "group_mass", Stop(None, 0.01))
    lonely = two_groups([0.9, 0.8, 0.2], [])
    with pytest.raises(FairLabError, match=r"would remove the last of 2 identities of group 'X'"):
        removed(lonely.relabelled(), "total_mass", Stop(2))


def test_a_group_with_mass_and_no_identity_is_refused() -> None:
    """Three groups: none has its largest share in Z, which yet has the largest mass."""
    sums = np.array([[0.6, 0.0, 0.4], [0.0, 0.6, 0.4]])
    people = Identities(np.array(["a", "b"]), sums, np.ones(2, int), np.zeros(2, int), ("X", "Y", "Z")).relabelled()
    with pytest.raises(FairLabError, match=r"group 'Z' has the largest mass and no identity of its own to lose"):
        removed(people, "total_mass", Stop(1))
