"""Which tests are slow: those that took more than a second in a run of all of them, listed in slow.txt.

`pytest -m "not slow and not browser"` leaves them out, for the loop of somebody who changes the code. To measure anew:

    python -m pytest -n 2 --junitxml=all.xml; python -m tests.slow all.xml
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

LISTED = Path(__file__).with_name("slow.txt")
LIMIT_S = 1.0


def slow_tests() -> frozenset[str]:
    """Node ids of the slow tests, without parameters: tests/losses/test_arcface.py::test_name."""
    return frozenset(LISTED.read_text(encoding="utf-8").split())


def measured(report: Path) -> list[str]:
    """Node ids, without parameters, of the functions of which one case took longer than LIMIT_S, from a JUnit report."""
    slow = set()
    for case in ElementTree.parse(report).iter("testcase"):
        if float(case.get("time", 0)) > LIMIT_S:
            parts = case.get("classname", "").split(".")
            classes = [part for part in parts if part.startswith("Test")]
            file = "/".join(parts[: len(parts) - len(classes)]) + ".py"
            slow.add("::".join([file, *classes, case.get("name", "").partition("[")[0]]))
    return sorted(slow)


if __name__ == "__main__":
    names = measured(Path(sys.argv[1]))
    LISTED.write_text("\n".join(names) + "\n", encoding="utf-8")
    print(f"{len(names)} slow test functions are in {LISTED}")
