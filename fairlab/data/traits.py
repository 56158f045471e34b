"""Traits of images: what is known of each beside whose it is, such as pose, age, blur, sharpness or brightness.

They come with the data (columns attribute.*), from a table, from measured pixels, or from the generator of the demo. All but
the first lie in one file beside the data set (data.kept_beside). A data set by recipe borrows its lenders'.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa

from fairlab.data.attributes import UNKNOWN
from fairlab.data.dataset import INFO, Dataset
from fairlab.data.kept_beside import TRAITS_FILE, borrows, keep
from fairlab.data.record_file import TraitFacts
from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.files import digest
from fairlab.settings.kept import checked
from fairlab.tables import NUMBER, TEXT, WHOLE, Table

SOURCES = {
    "attribute": "came with the data",
    "table": "imported from a table",
    "measured": "measured from the pixels",
    "generator": "set by the generator of the demo faces",
    "model": "of one model's embeddings",
}
"""Source of a trait -> what that means."""
OF_MODELS = ("norm", "agreement")
"""Names of traits that a model gives to images (compare.traits)."""
MOST = 1000
"""Traits of a data set."""
SUMMARY = Table(
    trait=TEXT, source=TEXT, kind=TEXT, group=TEXT, images=WHOLE, known=WHOLE, low=NUMBER, median=NUMBER, high=NUMBER,
    values=TEXT, meaning=TEXT,
)  # fmt: skip
"""A row is a trait in a group. kind: "number" or "text"; known: images that have it; low, median, high: least, middle and
largest number, NaN of a text; values: the most frequent texts with their counts, "" of a number."""
LEVELS = ("low", "median", "high")
FEW = 5
"""Texts that a summary names."""


@dataclass(frozen=True, eq=False)
class Trait:
    """One trait of all N images of a data set."""

    name: str
    """Shown as the data has it."""
    source: str
    """A key of SOURCES."""
    meaning: str
    """What a larger value means, with its unit; "" where nobody said."""
    values: np.ndarray
    """(N,) float64 with NaN where unknown, or (N,) object of str with "" where unknown."""

    @property
    def numeric(self) -> bool:
        """Is it a number of each image? Otherwise it is a text."""
        return self.values.dtype != object

    @property
    def known(self) -> np.ndarray:
        """(N,) bool: has the image the trait?"""
        return ~np.isnan(self.values) if self.numeric else self.values != ""


def traits_of(data: Dataset) -> dict[str, Trait]:
    """Name -> trait: those that came with the data, then those kept beside it; of a recipe, its lenders'.

    Raises Damaged for a file that is not what was written, FairLabError for a lender that is gone.
    """
    beside = _borrowed(data) if borrows(data) else _kept(data)
    return {**_attributes(data), **beside}


def names_beside(data: Dataset) -> tuple[str, ...]:
    """Names of the traits beside a data set, without reading them; of a recipe, those of traits_of that its lenders have."""
    if borrows(data):
        lent = [name for parent in data.parents() for name in names_beside(parent)]
        return tuple(name for name in traits_of(data) if name in lent) if lent else ()
    return tuple(data.info["traits"]["names"]) if "traits" in data.info else ()


def needed_trait(traits: dict[str, Trait], name: str, data: Dataset) -> Trait:
    """A trait by its name. Raises FairLabError naming those that there are."""
    if name not in traits:
        known = ", ".join(traits) or "none"
        raise FairLabError(
            f"data set {data.dataset_id} has no trait {name!r}; it has: {known}. `fairlab data traits "
            f"{data.dataset_id} --measure` measures some, `--table FILE` imports others"
        )
    return traits[name]


def traits_fingerprint(data: Dataset) -> str:
    """Hash of the traits beside a data set, which its own fingerprint does not hold; "" where there are none."""
    if borrows(data):
        lent = [traits_fingerprint(parent) for parent in data.parents()]
        return digest([data.fingerprint, lent]) if any(lent) else ""
    return str(data.info["traits"]["fingerprint"]) if "traits" in data.info else ""


def keep_traits(data: Dataset, traits: Iterable[Trait]) -> None:
    """Keep traits with a data set. Those of the same name and source are replaced, the others stay; whole or as before.

    Raises Refused for a name that a trait of another source has, FairLabError for a data set that borrows its images, too many
    traits, and when the disk refuses.
    """
    new = {trait.name: trait for trait in traits}
    check_names(data, [(trait.name, trait.source) for trait in new.values()])
    _write(data, {**_kept(data), **new})


def check_names(data: Dataset, wanted: Sequence[tuple[str, str]]) -> None:
    """Raise as keep_traits does for (name, source) of traits to keep."""
    there = {**_attributes(data), **_kept(data)}
    for name, source in wanted:
        if name in OF_MODELS:
            raise Refused(f"{name!r} is the name of a trait that models give to images; rename the column")
        if name in there and there[name].source != source:
            how = (
                f"remove it first: `fairlab data traits {data.dataset_id} --remove {name}`"
                if there[name].source != "attribute"
                else "rename the column"
            )
            raise Refused(
                f"data set {data.dataset_id} has a trait {name!r} already, which {_was(there[name].source)}; {how}"
            )
    if len({*there, *(name for name, _ in wanted)}) > MOST:
        raise FairLabError(f"data set {data.dataset_id} would have over {MOST:,} traits; import fewer columns")


def _was(source: str) -> str:
    return SOURCES[source] if source == "attribute" else f"was {SOURCES[source]}"


def remove_traits(data: Dataset, names: Collection[str]) -> None:
    """Remove traits that are kept beside a data set. Raises FairLabError for those that are not."""
    kept = _kept(data)
    for name in names:
        if name not in kept:
            raise FairLabError(
                f"data set {data.dataset_id} has no trait {name!r} to remove; it has: {', '.join(kept) or 'none'}"
            )
    _write(data, {name: trait for name, trait in kept.items() if name not in names})


def without_measured(data: Dataset, rows: np.ndarray) -> pd.DataFrame | None:
    """The file's table with what was measured of the images `rows`, which are others now, unknown; None where nothing was."""
    measured = [trait.name for trait in _kept(data).values() if trait.source == "measured"]
    if not measured:
        return None
    table = pd.read_parquet(data.folder / TRAITS_FILE)
    table.loc[rows, measured] = np.nan
    return table


def _write(data: Dataset, traits: dict[str, Trait]) -> None:
    kinds = {name: NUMBER if trait.numeric else TEXT for name, trait in traits.items()}
    columns = {"image_id": np.arange(len(data.images)), **{name: trait.values for name, trait in traits.items()}}
    table = Table(image_id=WHOLE, **kinds).of(columns)
    facts = {
        "names": list(traits),
        "sources": [trait.source for trait in traits.values()],
        "meanings": [trait.meaning for trait in traits.values()],
    }
    keep(data, "traits", facts, lambda path: table.to_parquet(path, index=False))


def _kept(data: Dataset) -> dict[str, Trait]:
    """Those in the data set's own file."""
    if "traits" not in data.info:
        return {}
    facts = checked(TraitFacts, data.info["traits"], data.folder / INFO)
    path = data.folder / TRAITS_FILE
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise Damaged(f"{path} is missing or damaged: {error}; import or measure the traits again") from error
    if list(table) != ["image_id", *facts.names] or len(table) != len(data.images):
        raise Damaged(
            f"{path} holds {len(table):,} rows of {len(table.columns) - 1} traits, expected {len(data.images):,} images and "
            f"{len(facts.names)} traits"
        )
    said = zip(facts.names, facts.sources, facts.meanings, strict=True)
    return {name: Trait(name, source, meaning, _as_values(table[name])) for name, source, meaning in said}


def _as_values(column: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(np.float64)
    return column.astype(object).fillna("").to_numpy(dtype=object)


def _attributes(data: Dataset) -> dict[str, Trait]:
    """Those that came with the data: numbers where every known value is one."""
    found = {}
    for column in (name for name in map(str, data.images) if name.startswith("attribute.")):
        name = column.removeprefix("attribute.")
        texts = data.images[column].astype(object).fillna("").astype(str).str.strip().replace(UNKNOWN, "")
        codes, distinct = pd.factorize(texts)
        numbers = pd.to_numeric(pd.Series(distinct, dtype=object).replace("", np.nan), errors="coerce").to_numpy(float)
        if np.isfinite(numbers[distinct != ""]).all() and (distinct != "").any():
            found[name] = Trait(name, "attribute", "", numbers[codes])
        else:
            found[name] = Trait(name, "attribute", "", texts.to_numpy(dtype=object))
    return found


def _borrowed(data: Dataset) -> dict[str, Trait]:
    """The lenders' traits: unknown for images of a lender without it; one that is a number here and a text there is none."""
    parents = data.parents()
    lent = [{name: trait for name, trait in traits_of(one).items() if trait.source != "attribute"} for one in parents]
    parent, row = data.borrowed()
    found = {}
    for name in dict.fromkeys(name for traits in lent for name in traits):
        one = next(traits[name] for traits in lent if name in traits)
        if any(traits[name].numeric != one.numeric for traits in lent if name in traits):
            continue
        values = np.full(len(row), np.nan) if one.numeric else np.full(len(row), "", dtype=object)
        for number, traits in enumerate(lent):
            if name in traits:
                here = parent == number
                values[here] = traits[name].values[row[here]]
        found[name] = replace(one, values=values)
    return found


def summary(data: Dataset, traits: dict[str, Trait]) -> pd.DataFrame:
    """Every trait in every group: SUMMARY."""
    groups = data.images["group"].astype(str).to_numpy()
    rows = []
    for trait in traits.values():
        for group in data.groups:
            of = trait.values[groups == group]
            known = of[~np.isnan(of)] if trait.numeric else of[of != ""]
            numbers = trait.numeric and len(known) > 0
            rows.append(
                {
                    "trait": trait.name,
                    "source": trait.source,
                    "kind": "number" if trait.numeric else "text",
                    "group": group,
                    "images": len(of),
                    "known": len(known),
                    **(dict(zip(LEVELS, np.quantile(known, (0, 0.5, 1)), strict=True)) if numbers else {}),
                    "values": "" if trait.numeric else _frequent(known),
                    "meaning": trait.meaning,
                }
            )
    return SUMMARY.build(rows)


def _frequent(texts: np.ndarray) -> str:
    counts = pd.Series(texts, dtype=object).value_counts()
    named = ", ".join(f"{text}: {count:,}" for text, count in counts.head(FEW).items())
    return named + (f" and {len(counts) - FEW:,} others" if len(counts) > FEW else "")
