"""What a checkpoint that fits no known network comes closest to, and the first names in which it differs."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache

from fairlab.models.base import BACKBONES
from fairlab.models.files.layouts import LAYOUTS
from fairlab.models.shapes import shapes_only
from fairlab.settings.backbone import backbone_settings

SHOWN = 3
NEAR = 0.3
"""Share of names that both have, of those that one of them has, from which on a layout is worth a word."""
_NUMBER = re.compile(r"(?<=body\.)\d+|(?<=blocks\.)\d+|(?<=layer\d\.)\d+|(?<=\.model\.)\d+")
"""Numbers of units: a network may have more or fewer of them. Other numbers say which layer of a unit it is."""


def unknown(keys: Collection[str], where: str) -> str:
    """The sentence for a state dict of another architecture: what it is closest to, in what it differs, what is there."""
    begin = f"{', '.join(list(keys)[:5])}{' ...' if len(keys) > 5 else ''} ({len(keys)} keys)" if keys else "no tensors"
    backbone, share, prefix = max(_compared(keys), key=lambda entry: entry[1], default=("", 0.0, ""))
    if share < NEAR:
        known = "; ".join(dict.fromkeys(f"{layout.family}: {layout.signs[0]}" for layout in LAYOUTS))
        lacking = [
            f"; {layout.signs[0]} is there, but not {', '.join(key for key in layout.signs if key not in keys)}"
            for layout in LAYOUTS
            if layout.signs[0] in keys
        ]
        return f"{where} is none of the known backbones ({known}); found: {begin}{''.join(lacking[:1])}"
    mine = {key[len(prefix) :] if key.startswith(prefix) else key for key in keys}
    theirs = _keys(backbone)
    shapes = {_shape(key) for key in mine}, {_shape(key) for key in theirs}
    parts = [
        f"it lacks {_few([key for key in theirs if _shape(key) not in shapes[0]])}",
        f"{backbone} has no {_few([key for key in mine if _shape(key) not in shapes[1]])}",
    ]
    differences = [part for part in parts if not part.endswith(" ")] or [
        "all names of its layers are known, but not in these numbers"
    ]
    return (
        f"{where} is none of the known backbones; the closest is {backbone} ({share:.0%} of the names): "
        f"{'; '.join(differences)}; found: {begin}"
    )


def _compared(keys: Collection[str]) -> list[tuple[str, float, str]]:
    """(backbone, share of names in common, prefix taken off) of every layout; numbers of blocks do not count."""
    compared = []
    for backbone in dict.fromkeys(name for layout in LAYOUTS for name in layout.like):
        theirs = {_shape(key) for key in _keys(backbone)}
        for prefix in ("", *_prefixes(keys)):
            mine = {_shape(key.removeprefix(prefix)) for key in keys}
            compared.append((backbone, len(mine & theirs) / max(len(mine | theirs), 1), prefix))
    return compared


def _prefixes(keys: Collection[str]) -> list[str]:
    """Beginnings that most keys share: "model.", "module.backbone."."""
    prefixes = []
    for depth in (1, 2, 3):
        starts = [".".join(key.split(".")[:depth]) + "." for key in keys if key.count(".") >= depth]
        if starts:
            most = max(set(starts), key=starts.count)
            if starts.count(most) * 2 > len(keys):
                prefixes.append(most)
    return prefixes


@cache
def _keys(backbone: str) -> tuple[str, ...]:
    with shapes_only():
        return tuple(BACKBONES[backbone](backbone_settings(backbone), 112).state_dict())


def _shape(key: str) -> str:
    """A key without the numbers of its blocks."""
    return _NUMBER.sub("N", key)


def _few(keys: list[str]) -> str:
    ordered = sorted(keys, key=lambda key: key.endswith(("num_batches_tracked", "running_mean", "running_var")))
    more = f" ... ({len(ordered)} in all)" if len(ordered) > SHOWN else ""
    return ", ".join(ordered[:SHOWN]) + more
