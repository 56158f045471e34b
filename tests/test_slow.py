"""The list of slow tests: it names tests that exist, and is read from a report as pytest writes it."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.conftest import ROOT
from tests.slow import measured, slow_tests

REPORT = """<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest">
<testcase classname="tests.losses.test_arcface" name="test_quick" time="0.2"/>
<testcase classname="tests.losses.test_arcface" name="test_some_are_slow[a.b-1]" time="0.2"/>
<testcase classname="tests.losses.test_arcface" name="test_some_are_slow[c[0]]" time="1.2"/>
<testcase classname="tests.models.test_contract.TestEveryBackbone" name="test_slow[tiny]" time="30.0"/>
</testsuite></testsuites>"""


def test_a_test_is_slow_if_one_of_its_cases_took_more_than_a_second(tmp_path: Path) -> None:
    (tmp_path / "all.xml").write_text(REPORT)
    assert measured(tmp_path / "all.xml") == [
        "tests/losses/test_arcface.py::test_some_are_slow",
        "tests/models/test_contract.py::TestEveryBackbone::test_slow",
    ]


def test_every_test_that_is_listed_is_there() -> None:
    """Otherwise a test that was renamed would slow the quick loop again, unseen."""
    known: dict[str, set[str]] = {}
    for name in slow_tests():
        file, *_, function = name.split("::")
        if file not in known:
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            known[file] = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert function in known[file], name
