"""Random walks through a zoo of workspaces: whatever is pressed, chosen and typed, the app stays right."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from fairlab.queue.engines.local import LocalEngine
from fairlab.workspace import Workspace
from tests.thorough import several
from tests.walker import PAGES, Fault, Step, Walk
from tests.zoo import ZOO, animal

STEPS = int(os.environ.get("FAIRLAB_WALK_STEPS", several("300", "50000")))
"""Over the whole zoo. A step takes .3 s of processor: 2,000 would take CI over its time; nightly 50,000."""
SEED = int(os.environ.get("FAIRLAB_WALK_SEED", "1"))
FULL = ("done", "two_studies", "ended_badly")
"""Their pages have most to press: they are walked in twice as long."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + STEPS)]


@pytest.fixture(autouse=True)
def _nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is started waits for ever: no process begins."""
    monkeypatch.setattr(LocalEngine, "submit", lambda *_: None)
    monkeypatch.setattr("fairlab.ui.launch.plans.request_probe", lambda *_: None)


def visitor(monkeypatch: pytest.MonkeyPatch, lab: Workspace) -> Walk:
    monkeypatch.setenv("FAIRLAB_HOME", str(lab.home))
    return Walk(lab)


@pytest.mark.parametrize("name", list(ZOO))
def test_every_page_opens_in_every_workspace(
    monkeypatch: pytest.MonkeyPatch, tiny: Workspace, tmp_path: Path, name: str
) -> None:
    """No exception, no error that is no sentence of ours, and the link says what is shown."""
    walk = visitor(monkeypatch, animal(name, tiny, tmp_path))
    for page in PAGES:
        walk.do(("page", page))


@pytest.mark.parametrize("name", list(ZOO))
def test_random_walk(monkeypatch: pytest.MonkeyPatch, tiny: Workspace, tmp_path: Path, name: str) -> None:
    """Each failure says seed, workspace, and the fewest last steps that repeat it."""
    lab = animal(name, tiny, tmp_path)
    seed = f"{SEED}:{name}"
    count = round(STEPS / (len(ZOO) + len(FULL)) * (2 if name in FULL else 1))
    walk, dice = visitor(monkeypatch, lab), random.Random(seed)
    for _ in range(count):
        try:
            walk.do(walk.options(dice))
        except Fault as fault:
            steps = _shrunk(monkeypatch, tiny, tmp_path, name, walk.steps)
            told = "\n".join(f"    {step!r}," for step in steps)
            pytest.fail(
                f"seed {seed}, workspace {name}, step {len(walk.steps)}: {fault}\nsteps that repeat it:\n{told}"
            )


def _shrunk(
    monkeypatch: pytest.MonkeyPatch, tiny: Workspace, tmp_path: Path, name: str, steps: list[Step]
) -> list[Step]:
    """The shortest of a few ends of the walk that fails by itself; all steps if none does."""
    for last in (1, 2, 3, 5, 8, 13, 21):
        if last >= len(steps):
            break
        pages = [step[1] for step in steps[:-last] if step[0] == "page"]
        short = [("page", pages[-1] if pages else "home"), *steps[-last:]]
        fresh = tmp_path / f"shrunk-{last}"
        fresh.mkdir()
        try:
            walk = visitor(monkeypatch, animal(name, tiny, fresh))
            for step in short:
                walk.do(step)
        except Fault:
            return short
        except (KeyError, IndexError, ValueError):
            continue
    return steps
