"""What a deletion reaches, takes along and leaves behind, in sentences for terminal and page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairlab.formatting import room, some
from fairlab.storage.deleting import Goes
from fairlab.storage.people.forget_survey import Found


def reached(found: Found, files: bool = False) -> list[str]:
    """What a deletion reaches (storage.people.forget.Found), in sentences; also what it does not."""
    lines = [f"data set {item['dataset']}: {item['images']} images, {item['pairs']} pairs" for item in found.data]
    vectors = sum(max(item["vectors"], 0) for item in found.embeddings)
    stale = [item for item in found.embeddings if item["vectors"] < 0]
    runs = _runs(found.embeddings)
    if found.embeddings:
        lines.append(f"embeddings: {vectors} vectors of {len(runs)} runs, with their indexes")
    if stale:
        lines.append(f"embeddings of an earlier state of the data, deleted as a whole: {some(_runs(stale))}")
    if found.maps:
        lines.append(f"maps: {sum(item['maps'] for item in found.maps)} of {len(found.maps)} runs")
    lines += [
        f"saved selection {item['selection']} of {item['dataset']}: {item['images']} of its {item['of']} images"
        for item in found.selections
    ]
    for how in ("recomputed", "marked", "deleted"):
        named = [
            f"{item['run']}{' by ' + item['protocol'] if item['protocol'] else ''}"
            for item in found.numbers
            if item["how"] == how
        ]
        what = {"marked": "marked as made before", "deleted": "deleted (of an earlier state of the data)"}.get(how, how)
        lines += [f"numbers {what}: {some(named)}"] if named else []
    lines += [f"made again when needed: {some(found.deleted)}"] if found.deleted else []
    if found.archives:
        lines.append(
            f"archives, deleted with all that is in them (what stays can be archived again): {some(found.archives)}"
        )
    lines += [f"the name is taken out of: {some(found.mentions)}"] if found.mentions else []
    if found.stays:
        lines.append(
            f"the name stays in: {some(found.stays)} (settings and hashes of runs never change: delete the runs)"
        )
    for item in found.templates:
        does = "row zeroed" if item["zeroed"] else "contains a template, stays (zero it with --heads)"
        lines.append(f"classifier of {item['run']} in {some(item['places'])}: {does}")
    if found.sources:
        lines.append(
            f"your own files, {'deleted where they are single images' if files else 'not touched'}: {some(found.sources)}"
        )
    if found.elsewhere:
        lines.append(f"a person of that name is also in other data sets: {some(found.elsewhere)}")
    return [*lines, *(f"note: {note}" for note in found.notes)]


def goes(found: Goes) -> list[str]:
    """What a deletion takes along and who needs it (storage.deleting.Goes), in sentences."""
    lines = [f"{room(found.bytes)} go:"]
    for kind, names in (("run", found.runs), ("data set", found.datasets), ("study", found.studies)):
        lines += [f"  {kind} {name}" for name in names]
    lines += [f"stays: {name}, which {why}" for name, why in found.kept.items()]
    lines += [f"needed by {name}, which {how}" for name, how in found.needed_by.items()]
    return lines


def _runs(items: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(item["run"] for item in items))
