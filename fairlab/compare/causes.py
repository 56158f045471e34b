"""What goes with a run's errors: traits of the images behind them, and what of a group's gap remains when these are held equal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fairlab.compare.pairs import Where, images_of
from fairlab.compare.scored import scored
from fairlab.compare.traits import NORM, number_of, of_templates, traits_behind
from fairlab.errors import FairLabError
from fairlab.evaluation.causes import Causes, Outcome, causes
from fairlab.evaluation.error_pairs import ErrorKind, decided
from fairlab.store.runs import RunRecord

NOT_A_CAUSE = (
    "This is association: a trait may stand for something that nobody measured, and a group's images may be harder in other "
    "ways."
)
"""Said wherever such numbers are shown."""


def causes_behind(
    record: RunRecord,
    where: Where,
    traits: Sequence[str] = (),
    kind: ErrorKind = "false-non-match",
    outcome: Outcome = "error",
) -> Causes:
    """What goes with a run's errors at an operating point. traits: none named means usual_traits().

    Raises FairLabError where the run has no scores on these pairs, and for a trait that there is not.
    """
    table = decided(scored(record, where.dataset, where.protocol, where.by), where.point)
    return of_decisions(record, where, table, (tuple(traits), kind, outcome))


def usual_traits(record: RunRecord, where: Where) -> tuple[str, ...]:
    """The data set's traits that are numbers, or where it has none the norm of the run's embeddings. Raises FairLabError where there is neither.

    The norm is not among the data's: a model makes it of the same image, so it may hide what the image does.
    """
    traits = traits_behind(record, where.dataset)
    numbers = [name for name, trait in traits.items() if trait.numeric and trait.known.any()]
    own = tuple(name for name in numbers if name != NORM) or tuple(numbers)
    if not own:
        name = where.dataset.dataset_id
        raise FairLabError(
            f"data set {name} has no traits: measure some (`fairlab data traits {name} --measure`) or import a table"
        )
    return own


def of_decisions(
    record: RunRecord, where: Where, table: pd.DataFrame, asked: tuple[tuple[str, ...], ErrorKind, Outcome]
) -> Causes:
    """The same of pairs that have been decided (error_pairs.DECIDED)."""
    traits, kind, outcome = asked
    known, sides = traits_behind(record, where.dataset), {}
    images = np.stack([*images_of(table, record, where.dataset, where.protocol).values()], axis=1)
    for name in traits or usual_traits(record, where):
        found = of_templates(where.dataset, number_of(known, name, where.dataset))
        sides[name] = found.values[images]
    return causes(table, sides, kind, outcome)


def sentences(found: Causes, kind: ErrorKind, outcome: Outcome = "error") -> list[str]:
    """Of every group's gap beyond chance, what remains; which traits go with errors; and that this is no cause."""
    what = "score" if outcome == "score" else "FNMR" if kind == "false-non-match" else "FMR"
    held = _listed(found.traits)
    said = []
    for row in found.gaps.to_dict("records"):
        if row["reason"]:
            said.append(f"n/a: {row['reason']}.")
            break
        if not (row["gap_low"] > 0 or row["gap_high"] < 0):
            continue
        unit = "" if outcome == "score" else " points"
        said.append(
            f"Of the gap of {row['group']} in {what} to the other groups, {_size(row, 'gap', outcome)}{unit}, "
            f"{_size(row, 'remains', outcome)} remain when {held} are held equal; {_size(row, 'goes', outcome)} go with them."
        )
    if not said and len(found.gaps) > 1:
        said.append(f"No group's {what} differs from the others' by more than chance, so there is no gap to explain.")
    beyond = found.effects[(found.effects["p_adjusted"] < 0.05).to_numpy()]
    if len(beyond):
        names = [f"{row['trait']} ({_of(row)})" for row in beyond.to_dict("records")]
        verb, of = "goes" if len(names) == 1 else "go", "the score" if outcome == "score" else "errors"
        said.append(f"Beyond chance, {_listed(names)} {verb} with {of}.")
    elif len(found.effects):
        said.append("No trait goes with errors by more than chance.")
    return [*said, NOT_A_CAUSE]


def _of(row: dict[str, object]) -> str:
    more = "higher" if float(str(row["effect"])) > 0 else "lower"
    of = "is larger" if row["of"] == "level" else "differs more between the two images"
    return f"{more} where it {of}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _size(row: dict[str, float], name: str, outcome: Outcome) -> str:
    times, digits = (1, 3) if outcome == "score" else (100, 1)
    value, low, high = (times * row[key] for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
