"""A zoo of small workspaces, as users come to have them; built by the real commands, each once per session.

Nothing in them waits to start: what a page does by itself starts no work. Do not change one: copy it (`animal`).
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from fairlab.jobs.data.starts import add_data
from fairlab.jobs.evaluate.starts import evaluate
from fairlab.jobs.models.starts import add_model
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.queue import edit, launch
from fairlab.settings.study import ModelFile, Source, changed
from fairlab.storage.archive import Choice, archive
from fairlab.storage.archive_reading import bring_in
from fairlab.store.runs import write_status
from fairlab.store.studies import read_study, studies
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import copied_home
from tests.data.trees import face, grouped
from tests.fixtures import onnx_models
from tests.in_process import work_here
from tests.waiting import entered

FORMATS = Path(__file__).parent / "fixtures" / "formats"
LONG = "a name of two hundred letters " * 6 + "that goes on a bit"
ODD = ("🦊 fox 👩🏽‍🔬", "مجموعة أولى", "<b>bold</b> ![x](http://example.invalid/x.png) [a](b) $x$", LONG)
"""Names that a page must show letter by letter: emoji, right to left, markup, and very long."""


def _copy(tiny: Workspace, home: Path) -> Workspace:
    copied_home(tiny.home, home)
    (home / "finished").unlink(missing_ok=True)
    return open_workspace(home)


def _study(lab: Workspace) -> str:
    return str(studies(lab)["study_id"].iloc[0])


def _run(lab: Workspace, start: str) -> str:
    return next(path.name for path in sorted(lab.runs_folder.iterdir()) if path.name.startswith(start))


def _folder(home: Path, name: str, **tree: object) -> Workspace:
    """A workspace whose only data set is an own folder of images."""
    lab = open_workspace(home)
    add_data(lab, Source(path=str(grouped(home.parent / f"{home.name} files", **tree)), image_px=32), name)  # type: ignore[arg-type]
    return lab


def empty(home: Path, _tiny: Workspace) -> None:
    open_workspace(home)


def done(home: Path, tiny: Workspace) -> None:
    _copy(tiny, home)


def half_done(home: Path, tiny: Workspace) -> None:
    """Teachers are done, the common space was stopped, the students have not begun and are held."""
    lab = _copy(tiny, home)
    for start, status in (("common", "stopped"), ("concat", "queued"), ("student-eaf", "queued"), ("maps", "queued")):
        folder = lab.run(_run(lab, start))
        for part in ("checkpoints", "embeddings", "results", "projections"):
            shutil.rmtree(folder / part, ignore_errors=True)
        write_status(folder, "stopped", reason="")
        if status == "queued":
            write_status(folder, "queued", reason="")
            edit.hold(lab, [folder.name])


def groups_without_pairs(home: Path, _tiny: Workspace) -> None:
    _folder(home, "faces", groups=("North", "South", "West"), people=4, each=3)


def one_group(home: Path, _tiny: Workspace) -> None:
    _folder(home, "faces", groups=("Everybody",), people=5, each=2)


def no_groups(home: Path, _tiny: Workspace) -> None:
    """<identity>/<image>, and nothing about groups."""
    root = home.parent / f"{home.name} files"
    for person in range(5):
        for number in range(3):
            face(root / f"person {person}" / f"{number}.jpg", 40_000 + 10 * person + number)
    add_data(open_workspace(home), Source(path=str(root), image_px=32), "faces")


def one_image_each(home: Path, _tiny: Workspace) -> None:
    _folder(home, "faces", people=6, each=1)


def embeddings_only(home: Path, _tiny: Workspace) -> None:
    """Vectors with people and groups, no pairs."""
    dice = np.random.default_rng(1)
    vectors = np.repeat(dice.normal(size=(6, 8)), 3, axis=0) + 0.1 * dice.normal(size=(18, 8))
    np.save(home.parent / "mine.npy", vectors.astype(np.float32))
    rows = [f"p{p}/p{p}_{n:04d}.jpg,p{p},{'left' if p < 3 else 'right'}" for p in range(6) for n in range(1, 4)]
    (home.parent / "mine.csv").write_text("image,identity,group\n" + "\n".join(rows) + "\n")
    add_model(open_workspace(home), ModelFile(path=str(home.parent / "mine.npy")), "Mine")


def added_models(home: Path, _tiny: Workspace) -> None:
    """An ONNX graph and a .pth, judged on a pack of two pairs."""
    import torch

    from fairlab.models.base import BACKBONES
    from fairlab.settings.study import Backbone

    lab = open_workspace(home)
    shutil.copy(FORMATS / "py2_p2.bin", home.parent / "lfw.bin")
    add_data(lab, Source(path=str(home.parent / "lfw.bin")), "lfw")
    (home.parent / "graph.onnx").write_bytes(onnx_models.network().SerializeToString())
    torch.manual_seed(1)
    torch.save(BACKBONES["mbf"](Backbone(name="mbf"), 112).state_dict(), home.parent / "mbf.pth")
    for file in ("graph.onnx", "mbf.pth"):
        for run_id in add_model(lab, ModelFile(path=str(home.parent / file)), file.partition(".")[0]):
            evaluate(lab, run_id, "lfw")


def scores_only(home: Path, _tiny: Workspace) -> None:
    _scores(home, ("A", "B", "C"), "my model")


def odd_names(home: Path, _tiny: Workspace) -> None:
    """Groups, people, models and a study's title in letters that nobody expected."""
    lab = _scores(home, ODD, f"{ODD[2]} {ODD[0]}")
    _folder(home, "faces", groups=tuple(name.replace("/", "⁄")[:100] for name in ODD), people=2)
    entered(lab, LONG, status="failed")
    entered(lab, ODD[1], status="stopped")


def _scores(home: Path, groups: tuple[str, ...], model: str) -> Workspace:
    """A table of scored pairs, as bfw has it; six people of four images in each group."""
    path, dice = home.parent / f"{home.name}.csv", np.random.default_rng(5)
    with open(path, "w", newline="", encoding="utf-8") as handle:
        rows = csv.writer(handle)
        rows.writerow(["fold", "p1", "p2", "label", "att1", "att2", model])
        for g, group in enumerate(groups):
            faces = [(person, number) for person in range(6) for number in range(4)]
            for at, (one, first) in enumerate(faces):
                for two, second in faces[at + 1 :]:
                    same = one == two
                    names = [f"g{g}/n{who:06d}/{image:04d}.jpg" for who, image in ((one, first), (two, second))]
                    score = dice.normal(0.6 - 0.05 * g if same else 0.1, 0.15)
                    rows.writerow([(one * 7 + two) % 5 + 1, *names, int(same), group, group, f"{score:.4f}"])
    lab = open_workspace(home)
    add_model(lab, ModelFile(path=str(path)))
    return lab


def archive_without_data(home: Path, tiny: Workspace) -> None:
    """A study of somebody else, with the ticks that are set at first."""
    packed = home.parent / "study.tar"
    archive(tiny, _study(tiny), packed, Choice())
    bring_in(open_workspace(home), packed)


def data_gone(home: Path, tiny: Workspace) -> None:
    lab = _copy(tiny, home)
    for folder in lab.datasets_folder.iterdir():
        shutil.rmtree(folder)


def two_studies(home: Path, tiny: Workspace) -> None:
    """Of the same runs: the second has one teacher less and another title."""
    lab = _copy(tiny, home)
    dials = {"title": "Without any student", "students": ()}
    launch.start(lab, expand(changed(load_preset("tiny"), dials), "tiny", lab))


def ended_badly(home: Path, tiny: Workspace) -> None:
    """Beside a finished study another whose runs failed, were stopped, crashed, and are held."""
    lab = _copy(tiny, home)
    entered(lab, "Failed", status="failed")
    entered(lab, "Stopped", status="stopped")
    crashed = entered(lab, "Crashed", status="stopped")
    write_status(crashed.folder, "running", reason="")
    held = entered(lab, "Held")
    edit.hold(lab, [held.run_id])


ZOO: dict[str, Callable[[Path, Workspace], None]] = {
    builder.__name__: builder
    for builder in (
        empty, done, half_done, groups_without_pairs, one_group, no_groups, one_image_each, embeddings_only, added_models,
        scores_only, odd_names, archive_without_data, data_gone, two_studies, ended_badly,
    )
}  # fmt: skip


def built(name: str, tiny: Workspace) -> Workspace:
    """A workspace of the zoo, built beside the session's `tiny` when it is first asked for."""
    home = tiny.home.parent / "fairlab-zoo" / name / "home"
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{home.parent}.lock"):
        if not (home.parent / "built").exists():
            with pytest.MonkeyPatch.context() as here:
                work_here(here)
                here.setitem(os.environ, "FAIRLAB_HOME", str(home))
                ZOO[name](home, tiny)
            (home.parent / "built").touch()
    return open_workspace(home)


def animal(name: str, tiny: Workspace, into: Path) -> Workspace:
    """A copy of a workspace of the zoo, to be walked in."""
    shutil.copytree(built(name, tiny).home, into / name)
    return open_workspace(into / name)


def titles(lab: Workspace) -> list[str]:
    """What its studies are called."""
    return [read_study(lab, name).title for name in studies(lab)["study_id"]]
