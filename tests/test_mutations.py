"""One bad file in a finished workspace: every command and every page says a sentence that names it, or does not need it.

All of it (every kind of file x 16 things in its place x 22 commands and 10 pages) takes an hour: FAIRLAB_THOROUGH=1.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from fairlab.files import app_root
from fairlab.workspace import Workspace
from tests import mutations
from tests.in_time import in_time
from tests.mutations import Case
from tests.thorough import THOROUGH

PAGES = ("home", "data", "models", "runs", "spaces", "verification", "fairness", "compare", "storage", "settings")
"""Launch starts a measurement of its own, which these copies do not outlive."""
ALWAYS = ("runs/*/run.json", "runs/*/status.json", "datasets/*/dataset.json", "studies/*/study.json")
SOME = ("closed", "list", "dangling", "deep", "folder")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder, and a configuration, that a user without rights can reach."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "config").mkdir()
        (Path(folder) / "config").chmod(0o755)  # whatever the umask
        monkeypatch.setenv("FAIRLAB_CONFIG", f"{folder}/config")
        yield Path(folder)


def chosen(home: Path, most: int, seed: int) -> list[Case]:
    """All cases, or in CI some: of the records always, of the rest a few."""
    everything = mutations.cases(home)
    if THOROUGH:
        return everything
    dice = random.Random(seed)
    few = [case for case in everything if case.replaced in SOME]
    records = [case for case in few if mutations.kind_of(case.name) in ALWAYS]
    return [*dice.sample(records, most), *dice.sample(few, most)]


def test_no_command_is_stopped_by_a_bad_file_or_silent_about_it(tiny: Workspace, place: Path) -> None:
    words = mutations.commands_of(tiny.home)
    some = chosen(tiny.home, 3, 1)
    asked = words if THOROUGH else [line for line in words if not {"forget", "launch", "disk", "prune"} & {*line[:2]}]
    faults = mutations.faults_of_commands(tiny.home, place / "copies", some, asked)
    assert faults == [], f"{len(faults)} of {len(some) * len(asked)}"


def test_no_page_is_stopped_by_a_bad_file(tiny: Workspace, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No exception, and an error names what is bad."""
    (place / "copies").mkdir(mode=0o755)
    (place / "copies").chmod(0o755)
    faults = []
    monkeypatch.setenv("FAIRLAB_HOME", str(tiny.home))
    app = AppTest.from_file(str(app_root() / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=300).run()
    for page in PAGES:  # all that pages import is there, also where Python itself is closed to other users
        app.switch_page(str(app_root() / "pages" / f"{page}.py")).run()
    for case in chosen(tiny.home, 1, 2):
        with mutations.copied(tiny.home, place / "copies") as lab:
            monkeypatch.setenv("FAIRLAB_HOME", str(lab.home))
            bad = mutations.changed_place(lab, case)
            with mutations.without_rights(), in_time(600):
                app = AppTest.from_file(
                    str(app_root() / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=300
                ).run()
                for page in PAGES:
                    app.switch_page(str(app_root() / "pages" / f"{page}.py")).run()
                    faults += [f"{case} {page}: {item.value}" for item in app.exception]
                    faults += [f"{case} {page}: {item.value}" for item in app.error if not named(item.value, bad)]
    assert faults == []


def named(sentence: str, place: Path) -> bool:
    """Does a sentence on a page, where marks are written with a backslash, name the place?"""
    return str(place) in sentence.replace("\\", "")
