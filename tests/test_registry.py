"""Registries: one file, one registration, and the right words when a name is wrong."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from fairlab.errors import FairLabError
from fairlab.registry import Registry, declared, declared_facts


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package on disk whose modules register in `shelf_of_tests.box.BOX`."""
    package = tmp_path / "shelf_of_tests"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "box.py").write_text(
        "from fairlab.registry import Registry\nBOX = Registry('thing', 'shelf_of_tests')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield package
    for name in [name for name in sys.modules if name.startswith("shelf_of_tests")]:
        del sys.modules[name]


def add(shelf: Path, module: str, name: str, more: str = "", entry: str = "build") -> None:
    (shelf / f"{module}.py").write_text(
        f"{more}\nfrom shelf_of_tests.box import BOX\n@BOX.register({name!r}, unit='m')\ndef {entry}(): return {module!r}\n"
    )


def box() -> Registry[object]:
    from shelf_of_tests.box import BOX  # type: ignore[import-not-found]

    return BOX  # type: ignore[no-any-return]


def test_adding_a_file_is_enough(shelf: Path) -> None:
    add(shelf, "b", "second")
    add(shelf, "a", "first")
    assert list(box()) == ["first", "second"]
    assert "first" in box()
    assert box().facts("second") == {"unit": "m"}


def test_a_wrong_name_is_answered_with_the_right_ones(shelf: Path) -> None:
    add(shelf, "a", "first")
    add(shelf, "b", "second")
    with pytest.raises(FairLabError, match="there is no thing 'frist'; choose one of: first, second"):
        box()["frist"]


def test_two_files_with_one_name_are_refused_even_if_their_functions_are_called_alike(shelf: Path) -> None:
    """What happens when somebody copies a file as a start and forgets to change the name."""
    add(shelf, "a", "same")
    add(shelf, "b", "same")
    with pytest.raises(ValueError, match="'same' is registered twice"):
        box().names()


def test_a_file_that_cannot_be_imported_says_so_every_time(shelf: Path) -> None:
    """Not a short list on the second question."""
    add(shelf, "a", "first")
    add(shelf, "b", "second", more="import a_module_that_is_not_there")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
            box().names()


def test_a_second_thread_waits_for_the_whole_list(shelf: Path) -> None:
    """Pages of two browser tabs ask at the same time; neither may see a half-filled registry."""
    add(shelf, "a", "first", more="import time; time.sleep(0.3)")
    add(shelf, "b", "second", more="import time; time.sleep(0.3)")
    registry, seen = box(), []
    threads = [threading.Thread(target=lambda: seen.append(registry.names())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [["first", "second"]] * 6


def test_names_can_be_read_without_importing_anything() -> None:
    """Pages offer losses and networks; importing them would import torch."""
    assert "elastic_arcface" in declared("LOSSES", "losses")
    assert "eaf_kd" in declared("METHODS", "methods")
    assert declared("NOTHING", "losses") == ()
    with pytest.raises(FileNotFoundError):
        declared("LOSSES", "no/such/room")


@pytest.mark.parametrize(
    ("registry", "folder", "module"),
    [
        ("LOSSES", "losses", "losses.base"),
        ("METHODS", "methods", "methods.base"),
        ("BACKBONES", "models/backbones", "models.base"),
        ("ADAPTORS", "models/adaptors", "models.base"),
        ("READERS", "data/readers", "data.listing"),
    ],
)
def test_reading_finds_what_importing_finds(registry: str, folder: str, module: str) -> None:
    import importlib

    found = getattr(importlib.import_module(f"fairlab.{module}"), registry)
    assert set(declared(registry, folder)) <= set(found.names())
    assert declared(registry, folder) == tuple(found.names())
    for name, facts in declared_facts(registry, folder).items():
        assert facts == {fact: value for fact, value in found.facts(name).items() if fact in facts}
        assert facts.get("needs_group") == found.facts(name).get("needs_group")
