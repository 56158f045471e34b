"""Data sets by recipe: which rows of which other data sets, drawn the same for the same seed, whatever their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.attributes import UNKNOWN
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.kept_pixels import Borrowed
from fairlab.data.mass_balance import balanced
from fairlab.data.sampling import DRAWS, balanced_parts, shuffled
from fairlab.data.selections import SIDES, Chosen, inside, open_selection
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError
from fairlab.settings.study import Recipe
from fairlab.workspace import Workspace

KIND = "recipe"


def build_recipe(recipe: Recipe, folder: Path, dataset_id: str) -> Dataset:
    """Write the data set of a recipe; the data sets it names lie beside `folder`.

    Raises FairLabError, with the numbers, when they do not hold what is asked for.
    """
    names = [recipe.dataset, *([recipe.mix] if recipe.mix else [])]
    parents = [open_dataset(folder.with_name(name)) for name in dict.fromkeys(names)]
    first, second = parents[0], parents[-1]
    if first.image_px != second.image_px:
        raise FairLabError(
            f"data set {first.dataset_id} has images of {first.image_px} px, {second.dataset_id} of {second.image_px} px; "
            "add one of them again with the image_px of the other"
        )
    chosen = chosen_of(recipe, first)
    pools = [_pool(first, recipe.splits, recipe, chosen)]
    if recipe.mix:
        pools.append(_pool(second, recipe.mix_splits, recipe))
        _apart(first, second, recipe)
    facts: dict[str, Any] = {}
    if chosen is not None:
        facts["selection"] = dict(zip(("name", "hash", "selected"), chosen.key, strict=True))
    if recipe.balance == "mass":
        pools[0], facts["mass_balance"] = balanced(first, pools[0], recipe)
    drawn = _drawn(pools, recipe)
    images, pairs = _tables(recipe, parents, drawn, dataset_id)
    groups = dict.fromkeys([*first.groups, *second.groups])
    here = set(images["group"])
    return write_dataset(
        folder,
        NewDataset(
            dataset_id=dataset_id,
            kind=KIND,
            attribute=first.attribute,
            groups=tuple(group for group in groups if group in here),
            images=images.drop(columns=["parent", "row"]),
            pairs=pairs,
            pixels=Borrowed(tuple(parents), images["parent"].to_numpy(), images["row"].to_numpy()),
            recipe=recipe.model_dump(mode="json"),
            notes=_words(recipe, [len(rows) for rows in drawn]),
            facts=facts,
        ),
    )


def drawn_size(recipe: Recipe, folder: Path) -> int:
    """Images that the data set of a recipe will have to train on, without writing it; errors as build_recipe."""
    names = [recipe.dataset, *([recipe.mix] if recipe.mix else [])]
    parents = [open_dataset(folder.with_name(name)) for name in names]
    splits = (recipe.splits, recipe.mix_splits)
    sides = (chosen_of(recipe, parents[0]), None)
    pools = [_pool(data, part, recipe, side) for data, part, side in zip(parents, splits, sides, strict=False)]
    if recipe.balance == "mass":
        pools[0] = balanced(parents[0], pools[0], recipe)[0]
    return sum(map(len, _drawn(pools, recipe)))


def chosen_of(recipe: Recipe, data: Dataset) -> Chosen | None:
    """The selection of the recipe's first data set; None where it names none. Raises FairLabError for one that cannot be used."""
    if not recipe.selection:
        return None
    workspace = Workspace(data.folder.parent.parent)
    return Chosen(open_selection(workspace, data, recipe.selection), recipe.selected)


def _pool(data: Dataset, splits: tuple[str, ...], recipe: Recipe, of: Chosen | None = None) -> pd.DataFrame:
    """Images that may be drawn: of these parts and groups, this side of a selection, and the balanced part asked for."""
    images = data.images
    known = list(dict.fromkeys(images["split"]))
    for split in splits:
        if split not in known:
            raise FairLabError(f"data set {data.dataset_id} has no part {split!r}; it has: {', '.join(known)}")
    for group in recipe.groups:
        if group not in data.groups:
            raise FairLabError(
                f"data set {data.dataset_id} has no group {group!r}; it has: {', '.join(map(str, data.groups))}"
            )
    chosen = images[images["split"].isin(splits)]
    for group in recipe.groups:
        if group not in set(chosen["group"]):
            raise FairLabError(f"group {group!r} has no image in {', '.join(splits)} of data set {data.dataset_id}")
    if recipe.groups:
        chosen = chosen[chosen["group"].isin(recipe.groups)]
    if of is not None:
        chosen = _on_side(data, chosen, splits, of)
    if recipe.parts > 1:
        people = chosen.drop_duplicates("identity")
        part = balanced_parts(people["identity"].tolist(), people["group"].tolist(), recipe.parts, recipe.seed)
        chosen = chosen[chosen["identity"].isin(people["identity"].to_numpy()[part == recipe.part])]
    table = chosen[["image_id", "identity", "group", "location"]].astype({"identity": object, "group": object})
    # The location tells images of one person apart in the same way wherever they stand in the table.
    return table.assign(key=table["identity"] + "\0" + table["location"].astype(str))


def _on_side(data: Dataset, rows: pd.DataFrame, splits: tuple[str, ...], of: Chosen) -> pd.DataFrame:
    """The rows on one side of a selection. Raises FairLabError where that is none of them, or all, so that nothing was chosen."""
    kept = rows[inside(data, of)[rows["image_id"].to_numpy(np.int64)]]
    where = f"{', '.join(splits)} of data set {data.dataset_id}"
    if kept.empty:
        raise FairLabError(f"{of}: no image of {where} is left")
    if len(kept) == len(rows):
        raise FairLabError(f"{of}: every image of {where} is left, so the selection changes nothing there")
    return kept


def _apart(first: Dataset, second: Dataset, recipe: Recipe) -> None:
    both = sorted(set(recipe.splits) & set(recipe.mix_splits))
    if first.dataset_id == second.dataset_id and both:
        raise FairLabError(f"part {both[0]!r} of data set {first.dataset_id} cannot be mixed with itself")


def _drawn(pools: list[pd.DataFrame], recipe: Recipe) -> list[np.ndarray]:
    """Image ids (rising) drawn from every pool."""
    if len(pools) == 1 and not recipe.equal and not recipe.count:
        return [np.sort(pools[0]["image_id"].to_numpy())]
    unit = "identity" if recipe.unit == "identities" else "key"
    groups = list(dict.fromkeys(name for pool in pools for name in pool["group"])) if recipe.equal else [None]
    cells = {group: [pool if group is None else pool[pool["group"] == group] for pool in pools] for group in groups}
    there = {group: [int(cell[unit].nunique()) for cell in parts] for group, parts in cells.items()}
    total = recipe.count or min((most(counts, recipe) for counts in there.values()), default=0)
    if total == 0:
        raise FairLabError(f"nothing can be drawn: {_said(there, recipe)}")
    wanted = _split(total, recipe)
    if any(have < want for counts in there.values() for have, want in zip(counts, wanted, strict=True)):
        asked = " and ".join(
            f"{want:,} {recipe.unit} of {name}" for want, name in zip(wanted, _names(recipe), strict=True)
        )
        raise FairLabError(f"{asked}{' in each group' if recipe.equal else ''} requested: {_said(there, recipe)}")
    result = []
    for number, want in enumerate(wanted):
        rows = []
        for group in groups:
            cell = cells[group][number]
            names = cell[unit].unique()
            taken = names[shuffled(names, recipe.seed, DRAWS)[:want]]
            rows.append(cell.loc[cell[unit].isin(taken), "image_id"].to_numpy())
        result.append(np.sort(np.concatenate(rows)))
    return result


def _names(recipe: Recipe) -> list[str]:
    return [recipe.dataset, *([recipe.mix] if recipe.mix else [])]


def _split(total: int, recipe: Recipe) -> list[int]:
    """How many of `total` come from each data set: the second's share, rounded to the nearest whole number."""
    if not recipe.mix:
        return [total]
    second = int(np.floor(total * recipe.share + 0.5))
    return [total - second, second]


def most(counts: Sequence[int], recipe: Recipe) -> int:
    """The largest total that can be split as the recipe says, where its data sets hold `counts` (one or two numbers)."""
    if len(counts) == 1:
        return counts[0]
    total = int(min(counts[0] / (1 - recipe.share), counts[1] / recipe.share)) + 1
    while total and any(have < want for have, want in zip(counts, _split(total, recipe), strict=True)):
        total -= 1
    return total


def _said(there: Mapping[str | None, list[int]], recipe: Recipe) -> str:
    """What there is, in words."""
    said = []
    for group, counts in there.items():
        parts = [f"{count:,} in {name}" for count, name in zip(counts, _names(recipe), strict=True)]
        said.append(("" if group is None else f"group {group!r} has ") + " and ".join(parts))
    return "; ".join(said) + f" ({recipe.unit})"


def _tables(
    recipe: Recipe, parents: list[Dataset], drawn: list[np.ndarray], dataset_id: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(tables.IMAGES with parent and row, tables.PAIRS): what was drawn as 'train', and the first set's held-out parts."""
    first, second = parents[0], parents[-1]
    pieces = [_borrow(first, 0, drawn[0], dataset_id, bool(recipe.mix)).assign(split="train")]
    if recipe.mix:
        pieces.append(_borrow(second, len(parents) - 1, drawn[1], dataset_id, True).assign(split="train"))
    pairs = first.pairs.iloc[:0]
    if recipe.held_out:
        taken = set(recipe.splits) | (set(recipe.mix_splits) if recipe.mix == recipe.dataset else set())
        pairs, kept = _held_out(first, taken, recipe.groups)
        pieces.append(_borrow(first, 0, kept, dataset_id, bool(recipe.mix)))
    images = pd.concat(pieces, ignore_index=True)
    images["image_id"] = np.arange(len(images))
    new = np.full(len(first.images), -1, np.int64)
    if recipe.held_out:
        new[kept] = np.arange(len(images) - len(kept), len(images))
    pairs = pairs.assign(
        pair_id=np.arange(len(pairs)),
        image_a=new[pairs["image_a"].to_numpy(np.int64)],
        image_b=new[pairs["image_b"].to_numpy(np.int64)],
    )
    for column in ("dataset", "split", "source", "identity", "group"):
        images[column] = images[column].astype("category")
    further = [name for name in images if str(name).startswith("attribute.")]
    images[further] = images[further].fillna(UNKNOWN)  # of the two sets only one says it
    return images, pairs


def _held_out(data: Dataset, taken: set[str], groups: tuple[str, ...]) -> tuple[pd.DataFrame, np.ndarray]:
    """(pairs that stand on parts that are not taken, all images of these parts, rising), of these groups or all."""
    pairs = data.pairs.reset_index(drop=True)
    if pairs.empty:
        return pairs, np.zeros(0, np.int64)
    split = data.images["split"].astype(object).to_numpy()
    allowed = ~np.isin(split, list(taken))
    if groups:
        allowed &= data.images["group"].isin(groups).to_numpy()
    a, b = (pairs[side].to_numpy(np.int64) for side in ("image_a", "image_b"))
    free = allowed[a] & allowed[b]
    parts = set(split[a[free]]) | set(split[b[free]])
    return pairs[free].reset_index(drop=True), np.flatnonzero(allowed & np.isin(split, list(parts)))


def _borrow(data: Dataset, parent: int, rows: np.ndarray, dataset_id: str, prefix: bool) -> pd.DataFrame:
    """These rows of a data set as rows of ours; `prefix` sets the people of two data sets apart."""
    table = data.images.iloc[rows].reset_index(drop=True)
    for column in ("split", "source", "identity", "group"):
        table[column] = table[column].astype(object)
    if prefix:
        table["identity"] = f"{data.dataset_id}/" + table["identity"]
    places = f"{data.dataset_id}#" + pd.Series(rows, dtype=object).astype(str)
    return table.assign(dataset=dataset_id, location=places, parent=parent, row=rows)


def _words(recipe: Recipe, counts: list[int]) -> str:
    """The recipe in a sentence."""
    parts = [
        f"{count:,} images of {name} ({', '.join(splits)})"
        for count, name, splits in zip(counts, _names(recipe), (recipe.splits, recipe.mix_splits), strict=False)
    ]
    said = [" and ".join(parts)]
    if recipe.groups:
        said.append(f"groups {', '.join(recipe.groups)}")
    if recipe.selection:
        said.append(f"{SIDES[recipe.selected]}: selection {recipe.selection}")
    if recipe.parts > 1:
        said.append(f"balanced part {recipe.part} of {recipe.parts}")
    if recipe.balance == "mass":
        said.append(f"balanced by mass ({recipe.mass_rule})")
    if recipe.equal:
        said.append(f"equal {recipe.unit} in each group")
    return "By recipe, not copied: " + "; ".join(said)
