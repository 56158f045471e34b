"""The numbers that a page shows are those that the command prints for the same choices: Fairness, Verification, Compare.

The page is read as its visitor reads it (sentences, table cells); the command's JSON is rounded here, by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from streamlit.testing.v1 import AppTest

from fairlab.ui.frame.page import plain
from fairlab.workspace import Workspace
from tests.conftest import command

OPTIONS = {"fmr": "--at-fmr", "own_fmr": "--at-own-fmr", "threshold": "--threshold"}
BASELINE = "baseline"


class Differs(AssertionError):
    """A page and the command disagree."""


def printed(lab: Workspace, words: Sequence[str]) -> Any:
    """What the command prints as JSON. Raises Differs if it refuses what the page shows."""
    told = command(lab.home, *words)
    if told.returncode:
        raise Differs(f"the page has numbers where {' '.join(words)} ends with {told.stderr!r}")
    return json.loads(told.stdout)


def fairness_words(run: str, data: str, pairs: str, point: str, adjust: str = "none") -> list[str]:
    """`fairlab fairness` for an operating point as links name it, e.g. "fmr=0.01"."""
    rule, _, value = point.partition("=")
    words = ["fairness", run, "--data", data, "--pairs", pairs, f"{OPTIONS[rule]}={value}"]
    return [*words, "--adjust", adjust, "--json"]


def same_sentences(app: AppTest, lab: Workspace, words: Sequence[str]) -> None:
    """Fairness: its sentences."""
    wanted = "\n".join(f"- {plain(sentence)}" for sentence in printed(lab, words)["summary"])
    if wanted not in [item.value for item in app.info]:
        raise Differs(f"the page says other numbers than {' '.join(words)}, which prints {wanted!r}")


def same_groups(app: AppTest, lab: Workspace, words: Sequence[str]) -> None:
    """Verification: the table at the operating point, a row per group."""
    groups = printed(lab, words)["groups"]
    tables = [item.value for item in app.table if "Threshold" in item.value]
    if not tables:
        raise Differs("the page has no table at the operating point")
    rows = tables[0].to_dict("records")
    if len(rows) != len(groups):
        raise Differs(f"the page shows {len(rows)} groups, {' '.join(words)} has {len(groups)}")
    for row, (name, facts) in zip(rows, groups.items(), strict=True):
        for column, expected in _of_group(facts).items():
            shown = _numbers(row[column])
            if shown[: len(expected)] != expected:
                raise Differs(f"{name}, {column}: the page shows {shown}, {' '.join(words)} prints {expected}")


def _of_group(facts: Mapping[str, Any]) -> dict[str, list[str]]:
    """The numbers of a group's cells, as they are rounded on the page."""
    rates = {name: _percent([facts[f"{name}{end}"] for end in ("", "_low", "_high")], 2) for name in ("fmr",)}
    missed = [facts["fnmr"], facts["fnmr_high"], facts["fnmr_low"]]
    accepted = _percent([None if value is None else 1 - value for value in missed], 1)
    return {
        "Genuine pairs": [f"{facts['genuine_pairs']}"],
        "Impostor pairs": [f"{facts['impostor_pairs']}"],
        "Threshold": [] if facts["threshold"] is None else [f"{facts['threshold']:.4f}"],
        "FMR, %": [*rates["fmr"], *([f"{facts['false_matches']}"] if rates["fmr"] else [])],
        "TAR, %": [*accepted, *([f"{facts['false_non_matches']}"] if accepted else [])],
    }


def same_table(app: AppTest, lab: Workspace, words: Sequence[str]) -> None:
    """Compare: each model's accuracies, mean, STD, SER, difference and p."""
    table = {row["run_id"]: row for row in printed(lab, words)}
    shown = [json.loads(item.proto.json or item.proto.mixed.json) for item in _components(app, "fairlab_table")]
    if not shown:
        raise Differs("the page has no table of models")
    for row in shown[0]["rows"]:
        facts = table.get(row["run"])
        if facts is None:
            raise Differs(f"{row['run']} is on the page, and not in {' '.join(words)}")
        for name, cell in row["cells"].items():
            expected = _of_model(facts, name, _digits(name))
            if expected is not None and cell["text"] != expected:
                raise Differs(f"{row['run']}, {name}: the page shows {cell['text']!r}, the command prints {expected!r}")


def _digits(name: str) -> int:
    return 2 if name == "ser" else 1


def _of_model(facts: Mapping[str, Any], name: str, digits: int) -> str | None:
    """A cell of Compare; None where it holds no number of the comparison."""
    if name == "difference" and facts["run_id"] == facts["baseline"]:
        return BASELINE
    if name not in ("mean", "std", "ser", "worst", "difference") and not name.startswith("accuracy:"):
        return None
    value = facts.get(name)
    if value is None:
        return "n/a"
    return f"{value:+.1f}" if name == "difference" else f"{value:.{digits}f}"


def _components(app: AppTest, name: str) -> list[Any]:
    """The app's own elements of one kind; AppTest has no word for them."""
    found, open_ = [], [app.main]
    while open_:
        node = open_.pop()
        open_ += getattr(node, "children", {}).values()
        if getattr(node, "type", "") == "bidi_component" and node.proto.component_name == name:
            found.append(node)
    return found


def _numbers(cell: str) -> list[str]:
    """The numbers of a cell in Markdown, in their order; none of "n/a"."""
    return re.findall(r"-?\d+(?:\.\d+)?", str(cell).replace("\\", "").replace(",", ""))


def _percent(values: Sequence[float | None], digits: int) -> list[str]:
    return [f"{100 * value:.{digits}f}" for value in values if value is not None]
