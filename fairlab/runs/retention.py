"""How long data sets may be kept: an age limit beside each, what is over it, and letting that go. The log says no names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fairlab.data.base import open_dataset
from fairlab.errors import Damaged, FairLabError
from fairlab.files import MANIFEST, read_json, write_json
from fairlab.runs.forget import forget_all
from fairlab.workspace import Workspace

FILE, LOG = "keep.json", "retention.log"


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


def keep(workspace: Workspace, dataset_id: str, days: int | None) -> None:
    """Limit how long a data set is kept, from when it was added; None lifts the limit. Nothing is deleted by itself."""
    folder = workspace.dataset(dataset_id)
    open_dataset(folder)
    if days is None:
        (folder / FILE).unlink(missing_ok=True)
        return
    if days < 1:
        raise FairLabError(f"a data set is kept for 1 day or more, not {days}; delete it with `fairlab data delete`")
    write_json(folder / FILE, {"days": days, "added_at": _added(folder).isoformat()})


def _added(folder: Path) -> datetime:
    """When the data set was added: what an earlier limit noted, or when its manifest was written."""
    if (folder / FILE).exists():
        return _read(folder).added_at
    return datetime.fromtimestamp((folder / MANIFEST).stat().st_mtime, UTC)


def _read(folder: Path, at: datetime | None = None) -> Limit:
    try:
        raw = read_json(folder / FILE)
        added, days = datetime.fromisoformat(raw["added_at"]), int(raw["days"])
        over = at is not None and at > added + timedelta(days=days)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Damaged(f"{folder / FILE} is no age limit: {error}; set it again with `fairlab data keep`") from error
    return Limit(folder.name, days, added, over)


def limits(workspace: Workspace, at: datetime | None = None) -> list[Limit]:
    """The limits of all data sets that have one, soonest over first; at: the time it is (default: now)."""
    at = at or datetime.now(UTC)
    found = [_read(path.parent, at) for path in workspace.datasets_folder.glob(f"*/{FILE}") if ".tmp." not in str(path)]
    return sorted(found, key=lambda limit: limit.until)


def forget_expired(workspace: Workspace, at: datetime | None = None, heads: bool = False) -> list[Limit]:
    """Delete every data set that is over its limit, with all that forget_all() reaches; returns their limits.

    A line in retention.log says when, which data set, and how many images: nothing of what was in it.
    """
    at = at or datetime.now(UTC)
    over = [limit for limit in limits(workspace, at) if limit.over]
    for limit in over:
        images = len(open_dataset(workspace.dataset(limit.dataset)).images)
        forget_all(workspace, limit.dataset, heads)
        with open(workspace.home / LOG, "a", encoding="utf-8") as log:
            log.write(f"{at.isoformat(timespec='seconds')} {limit.dataset}: {images} images, kept {limit.days} days\n")
    return over
