"""A data set balanced by mass: whole identities removed by their soft group shares, and what that did to masses and counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset
from fairlab.data.mass_rules import LETTERS, Identities, Stop, removed
from fairlab.data.shares import Shares, balance, needed_shares, sums_of
from fairlab.errors import FairLabError
from fairlab.reading.table_text import one_of
from fairlab.settings.recipe import Recipe
from fairlab.tables import NUMBER, TEXT, WHOLE, Table

BEFORE_AND_AFTER = Table(
    group=TEXT,
    mass_before=NUMBER,
    mass_after=NUMBER,
    identities_before=WHOLE,
    identities_after=WHOLE,
    images_before=WHOLE,
    images_after=WHOLE,
)
"""A row is a group of the shares. mass: over the images of all identities; identities, images: of the group, as the rule saw it."""


def balanced(data: Dataset, pool: pd.DataFrame, recipe: Recipe) -> tuple[pd.DataFrame, dict[str, Any]]:
    """(the pool without the identities that the recipe's rule removes, facts). pool: image_id, identity, group.

    facts: rule, letter (its published name), groups (how identities got theirs), removed (group -> identities), and before
    and after, each with mass, identities and images (group -> number), and those of shares.balance. Raises FairLabError:
    no shares, identities without any, groups that have none, and what mass_rules.removed raises.
    """
    shares = needed_shares(data, "balance = mass")
    values = np.asarray(shares.values[pool["image_id"].to_numpy(np.int64)])
    people, members = _identities(data, pool, shares, values, recipe)
    rows = removed(people, recipe.mass_rule, _stop(recipe, len(people.names)))
    gone = np.zeros(len(people.names), bool)
    gone[rows] = True
    stays = ~gone[members]
    facts = {
        "rule": recipe.mass_rule,
        "letter": LETTERS[recipe.mass_rule],
        "groups": "largest" if recipe.mass_rule == "total_mass" else recipe.mass_groups,
        "shares": shares.fingerprint,
        "removed": _by_group(people, gone),
        "before": _described(people, members, values, np.ones(len(gone), bool)),
        "after": _described(people, members, values, ~gone),
    }
    return pool[stays], facts


def before_and_after(facts: dict[str, Any]) -> pd.DataFrame:
    """The facts of balanced() as a table: BEFORE_AND_AFTER; without a row where there are none."""
    if not facts:
        return BEFORE_AND_AFTER.build()
    rows = [
        {
            "group": group,
            **{
                f"{what}_{when}": facts[when][what][group]
                for what in ("mass", "identities", "images")
                for when in ("before", "after")
            },
        }
        for group in facts["before"]["mass"]
    ]
    return BEFORE_AND_AFTER.build(rows)


def sentence(facts: dict[str, Any]) -> str:
    """What the balance did, in words, with the measures before and after."""
    before, after = facts["before"], facts["after"]
    count = sum(facts["removed"].values())
    return (
        f"Balanced by mass with rule {facts['rule']} ({facts['letter']} in the published code): {count:,} identities removed. "
        f"Largest mass over smallest {_percent(before)} before, {_percent(after)} after; entropy of the masses "
        f"{before['mass_entropy']:.4f}, then {after['mass_entropy']:.4f} (1: equal); mean entropy of an image's shares "
        f"{before['image_entropy']:.4f}, then {after['image_entropy']:.4f} (0: one group each). The rule drops ambiguous and "
        f"small identities first, so groups become purer too: this is not fairness by itself."
    )


def _percent(facts: dict[str, Any]) -> str:
    excess = facts["largest_excess"]
    return "without limit" if excess is None or not np.isfinite(excess) else f"+{100 * excess:.2f} %"


def _stop(recipe: Recipe, count: int) -> Stop:
    if max(recipe.remove, recipe.keep) >= count:
        asked = f"remove {recipe.remove:,}" if recipe.remove else f"keep {recipe.keep:,}"
        raise FairLabError(f"{asked} identities requested, and data set {recipe.dataset} has {count:,} to choose from")
    if recipe.remove or recipe.keep:
        return Stop(recipe.remove or count - recipe.keep)
    return Stop(None, recipe.mass_gap)


def _identities(
    data: Dataset, pool: pd.DataFrame, shares: Shares, values: np.ndarray, recipe: Recipe
) -> tuple[Identities, np.ndarray]:
    """The pool's identities, and of each of its images whose it is."""
    names, first, members = np.unique(pool["identity"].to_numpy(dtype=str), return_index=True, return_inverse=True)
    sums, images = sums_of(values, members, len(names))
    if not images.all():
        lacking = names[images == 0]
        raise FairLabError(
            f"balance = mass: {len(lacking):,} identities of data set {data.dataset_id} have no image with shares, e.g. "
            f"{str(lacking[0])!r}; import a table that names them"
        )
    people = Identities(names, sums, images, np.zeros(len(names), np.int64), shares.groups)
    if recipe.mass_groups == "largest" or recipe.mass_rule == "total_mass":
        return people.relabelled(), members
    number = {group: place for place, group in enumerate(shares.groups)}
    given = pool["group"].to_numpy(dtype=object)[first]
    strangers = sorted({str(group) for group in given if group not in number})
    if strangers:
        raise FairLabError(
            f"mass_groups = given: data set {data.dataset_id} has the group {strangers[0]!r} without shares (there are shares of "
            f"{one_of(shares.groups)}); take mass_groups = largest"
        )
    return Identities(names, sums, images, np.array([number[group] for group in given]), shares.groups), members


def _by_group(people: Identities, rows: np.ndarray) -> dict[str, int]:
    counts = np.bincount(people.group[rows], minlength=len(people.groups))
    return dict(zip(people.groups, counts.tolist(), strict=True))


def _described(people: Identities, members: np.ndarray, values: np.ndarray, stays: np.ndarray) -> dict[str, Any]:
    of = stays[members]
    images = np.bincount(people.group[members[of]], minlength=len(people.groups))
    mass = people.sums[stays].sum(0)
    measures = {name: value if np.isfinite(value) else None for name, value in balance(values[of]).items()}
    return {
        "mass": dict(zip(people.groups, mass.tolist(), strict=True)),
        "identities": _by_group(people, stays),
        "images": dict(zip(people.groups, images.tolist(), strict=True)),
        **measures,
    }
