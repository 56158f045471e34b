"""How long data sets may be kept: an age limit beside each, what is over it, and letting that go. The log says no names."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fairlab.data.dataset import open_dataset
from fairlab.data.forgetting import added_at
from fairlab.errors import Damaged, FairLabError
from fairlab.files import explain, read_json, write_json
from fairlab.machine.temporaries import sweep
from fairlab.queue.launch import borrowers
from fairlab.storage.people.forget import forget_all
from fairlab.workspace import Workspace

FILE, LOG = "keep.json", "retention.log"
MOST_DAYS = 36_500
"""A hundred years; a date beyond the year 9999 is none."""


@dataclass(frozen=True)
class Limit:
    """A data set may be kept `days` from added_at on; over: it is older than that."""

    dataset: str
    days: int
    added_at: datetime
    over: bool

    @property
    def until(self) -> datetime:
        return self.added_at + timedelta(days=self.days)


@dataclass(frozen=True)
class Expired:
    """gone: limits of data sets that were deleted; left: those that are over their limit, or may be, and why they stay."""

    gone: list[Limit]
    left: dict[str, str]


def keep(workspace: Workspace, dataset_id: str, days: int | None) -> None:
    """Limit how long a data set is kept, from when it was added; None lifts the limit. Nothing is deleted by itself."""
    folder = workspace.dataset(dataset_id)
    open_dataset(folder)
    sweep(folder)  # what a kill left
    if days is None:
        (folder / FILE).unlink(missing_ok=True)
        return
    if not 1 <= days <= MOST_DAYS:
        raise FairLabError(
            f"a data set is kept for 1 to {MOST_DAYS:,} days, not {days}; delete it with `fairlab data delete`"
        )
    write_json(folder / FILE, {"days": days, "added_at": _added(folder).isoformat()})


def _added(folder: Path) -> datetime:
    """When the data set was added: what an earlier limit noted, or as the data set says."""
    with contextlib.suppress(FairLabError):  # none, or a damaged one that is being replaced
        return _read(folder).added_at
    return datetime.fromisoformat(added_at(open_dataset(folder)))


def _read(folder: Path, at: datetime | None = None) -> Limit:
    try:
        raw = read_json(folder / FILE)
        added, days = datetime.fromisoformat(raw["added_at"]), int(raw["days"])
        over = at is not None and at > added + timedelta(days=days)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Damaged(f"{folder / FILE} is not an age limit: {error}; set it again with `fairlab data keep`") from error
    return Limit(folder.name, days, added, over)


def limits(workspace: Workspace, at: datetime | None = None) -> list[Limit]:
    """The limits of all data sets that have one, soonest over first; at: the time it is (default: now).

    One that cannot be read hinders no other: damaged() names it.
    """
    return _all(workspace, at)[0]


def damaged(workspace: Workspace) -> dict[str, str]:
    """Data sets whose limit cannot be read, and what is wrong with it."""
    return _all(workspace, None)[1]


def _all(workspace: Workspace, at: datetime | None) -> tuple[list[Limit], dict[str, str]]:
    found, wrong = [], {}
    for path in sorted(workspace.datasets_folder.glob(f"*/{FILE}")):
        if ".tmp." in str(path.relative_to(workspace.home)):
            continue
        try:
            found.append(_read(path.parent, at or datetime.now(UTC)))
        except FairLabError as error:
            wrong[path.parent.name] = str(error)
    return sorted(found, key=lambda limit: limit.until), wrong


def forget_expired(workspace: Workspace, at: datetime | None = None, heads: bool = False) -> Expired:
    """Delete every data set that is over its limit, with all that forget_all() reaches: those that borrow images before
    those that lend them. One that cannot go hinders no other.

    A line in retention.log says when, which data set, and how many images: nothing of what was in it.
    """
    at = at or datetime.now(UTC)
    known, left = _all(workspace, at)
    gone: list[Limit] = []
    waiting = [limit for limit in known if limit.over]
    while waiting:
        names = {limit.dataset for limit in waiting}
        lend = [limit for limit in waiting if names & set(borrowers(workspace, limit.dataset))]
        limit = next((limit for limit in waiting if limit not in lend), waiting[0])
        waiting.remove(limit)
        try:
            images = len(open_dataset(workspace.dataset(limit.dataset)).images)
            forget_all(workspace, limit.dataset, heads)
            gone.append(limit)
            with open(workspace.home / LOG, "a", encoding="utf-8") as log:
                log.write(
                    f"{at.isoformat(timespec='seconds')} {limit.dataset}: {images} images, kept {limit.days} days\n"
                )
        except FairLabError as error:
            left[limit.dataset] = str(error)
        except OSError as error:
            raise FairLabError(explain(error, workspace.home / LOG)) from error
    return Expired(gone, left)
