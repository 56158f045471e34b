"""What is known of train and test data sets that overlap: verdicts on disk, as pages and command line tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from fairlab.data.dataset import INFO, fingerprint_of
from fairlab.errors import FairLabError
from fairlab.files import digest, read_json, write_json
from fairlab.settings.base import Name, Text
from fairlab.settings.kept import Count, FolderName, Kept, checked
from fairlab.workspace import Workspace, checked_name

Likeness = Annotated[float, Field(ge=-1e6, le=1e6)]
"""A score, or a difference of pixels: cosines are at most 1, and no pixel is farther from another than 65,535."""
Example = tuple[Count, Count, Likeness]


class _Side(Kept):
    dataset: FolderName
    fingerprint: Name
    splits: tuple[Name, ...] = Field(max_length=1000)
    images: Count


class _Names(Kept):
    shared: Count
    comparable: Count
    people: Count
    examples: tuple[tuple[Text, Text], ...] = Field((), max_length=1000)


class _Images(Kept):
    same: Count
    exact: Count
    without_images: Name | None = None
    examples: tuple[Example, ...] = Field((), max_length=1000)


class _Neighbours(Kept):
    model: Name
    threshold: Likeness
    expected: Annotated[float, Field(ge=0, le=1e15)]
    flagged: Count
    examples: tuple[Example, ...] = Field((), max_length=1000)


class VerdictFile(Kept):
    """overlaps/*.json, as far as it is shown."""

    train: _Side
    test: _Side
    names: _Names
    images: _Images
    neighbours: _Neighbours | None = None


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check. facts: train, test, settings, names, images, neighbours, created_at, run_id (see
    runs.overlap); stale: the data set that is not the checked one any more, or "".
    """

    facts: Mapping[str, Any]
    stale: str = ""

    @property
    def found(self) -> bool:
        """Is a person or a photograph in both? Nearest faces are candidates and prove nothing."""
        return bool(self.facts["names"]["shared"] or self.facts["images"]["same"])


def path_of(workspace: Workspace, train_id: str, test_id: str) -> Path:
    """Where the verdict on two data sets lies (it may not exist)."""
    names = (checked_name(name, "data set") for name in (train_id, test_id))
    return workspace.home / "overlaps" / f"{'--'.join(names)}.json"


def write_verdict(workspace: Workspace, facts: Mapping[str, Any]) -> None:
    """Keep a verdict in place of an older one on the same two data sets."""
    write_json(
        path_of(workspace, facts["train"]["dataset"], facts["test"]["dataset"]), {**facts, "check": digest(dict(facts))}
    )


def verdict(workspace: Workspace, train_id: str, test_id: str) -> Verdict | None:
    """What the last check of these two data sets found; None when there was none (or its file is damaged: check anew)."""
    path = path_of(workspace, train_id, test_id)
    if not path.exists():
        return None
    try:
        facts = read_json(path)
        if facts.pop("check") != digest(facts):
            return None
        checked(VerdictFile, facts, path)
    except (FairLabError, KeyError):
        return None
    for side in ("train", "test"):
        name = facts[side]["dataset"]
        if fingerprint(workspace, name) != facts[side]["fingerprint"]:
            return Verdict(facts, name)
    return Verdict(facts)


def fingerprint(workspace: Workspace, dataset_id: str) -> str:
    """Of the data set as it is now; "" when it is gone."""
    try:
        return fingerprint_of(read_json(workspace.dataset(dataset_id) / INFO))
    except (FairLabError, KeyError, TypeError):
        return ""


def sentence(found: Verdict | None, train_id: str, test_id: str) -> str:
    """The verdict in a sentence or three; how to get one where there is none."""
    command = f"fairlab data overlap {train_id} {test_id}"
    if found is None:
        return f"Train/test overlap not checked yet: {command}"
    facts = found.facts
    train, test = (f"{facts[side]['dataset']} ({', '.join(facts[side]['splits'])})" for side in ("train", "test"))
    said = [] if found.found else [f"No overlap was found between {train} and {test}."]
    if found.found:
        said.append(f"{test} overlaps with {train}, so its numbers are too good:")
    said += [_names(facts["names"]), _images(facts["images"], facts["test"]["images"])]
    if facts["neighbours"]:
        said.append(_neighbours(facts["neighbours"]))
    if found.stale:
        said.append(f"But data set {found.stale} has changed since: check again with {command}")
    return " ".join(said)


def _names(names: Mapping[str, Any]) -> str:
    if not names["comparable"]:
        return "Names show nothing: the two sets name people in different ways."
    part = "" if names["comparable"] == names["people"] else f"; the names of the other {_rest(names)} show nothing"
    share = f"{len_of(names['shared'])} of {names['comparable']:,} people"
    return f"By name, {share} in the test set are also in the training set{part}."


def _rest(names: Mapping[str, Any]) -> str:
    return f"{names['people'] - names['comparable']:,}"


def len_of(count: int) -> str:
    """A count in words for the start of a share: none, or the number."""
    return f"{count:,}" if count else "none"


def _images(images: Mapping[str, Any], of: int) -> str:
    if images.get("without_images"):
        return f"Images show nothing: {images['without_images']} came as a table, without images."
    return f"By their pixels, {len_of(images['same'])} of {of:,} test images are also in the training set" + (
        f" ({images['exact']:,} as the same file)." if images["exact"] else "."
    )


def _neighbours(near: Mapping[str, Any]) -> str:
    return (
        f"{near['flagged']:,} test images have a training image closer than cosine {near['threshold']:.3f} in "
        f"{near['model']} (about {near['expected']:,.0f} expected by chance): candidates to check, not proof."
    )
