"""What the folders of MST-KD's official code say of the checkpoints in them: role, group, network, adaptor, step.

Read from paths alone; a file never says whose teacher it is. The names are those of EduardaCaldeira/MST-KD e8b2817:
<Ethnicity>/<network>/epochs_52/, teacher_baseline/<quarter>/.., EArcAdapter/[baseline/][dropout_]dual_layer_512/<network>/
lr_1_ep_26/fusion/, KD/EArc/.. (EAF-KD) and KD/no_CEL/EArc/.. (a-KD), each with <step>backbone.pth and <step>header.pth.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fairlab.errors import FairLabError
from fairlab.files import ordinary
from fairlab.settings.study import StudyFolder

BACKBONE, HEADER = re.compile(r"(\d{0,9})backbone(\.\w+)+"), re.compile(r"(\d{1,9})header(\.\w+)+")
DUAL = re.compile(r"(dropout_)?dual_layer(_\d+)?")
SETTING = re.compile(r"(lr_|ep_|epochs?_).*")
"""Folders that name a learning rate or a number of epochs."""
VARIANTS = {"fusion": "sl", "positioning": "positioning", "encoding": "encoding"}
BEGINNINGS = ("teacher_baseline", "earcadapter", "kd")
ADAPTORS = {"sl": "SL", "dul": "DuL", "dldpo": "DLDPO", "positioning": "positioning", "encoding": "encoding"}
STUDENTS = {"eaf_kd": "EAF-KD", "a_kd": "a-KD"}
ARMS = {True: "balanced", False: "specialised"}
STEPS = {"african": 2532, "asian": 2532, "caucasian": 2547, "indian": 2144}
"""Steps of 128 images in a pass of a specialised teacher."""
BEST = {
    "34": {"caucasian": 18, "african": 16, "asian": 17, "indian": 16},
    "50": {"caucasian": 16, "african": 20, "asian": 17, "indian": 17},
}
"""Passes of the specialised teachers in the official configuration (config.py, best_model), by the depth of the iResNet."""
CHOSEN_ON = "RFW test"
"""On what the authors chose these passes: every pass was evaluated there."""
MOST_ENTRIES = 200_000


@dataclass(frozen=True)
class Kept:
    """A folder with checkpoints, understood. `path`: of the chosen backbone; head: of its header, or None."""

    folder: str
    """Below the folder that is imported, with slashes."""
    role: str
    method: str
    arm: str
    group: str
    network: str
    adaptor: str
    """Of an adaptor, or of the common space that a student learned from; "" for teachers."""
    others: tuple[str, ...] = ()
    """Further folder names, which tell it from its neighbours."""
    path: Path = field(default_factory=Path)
    head: Path | None = None
    step: int = 0
    steps: tuple[int, ...] = ()
    why: str = ""
    chosen_on: str = ""

    @property
    def title(self) -> str:
        """What the model is called; no two of a folder have one title."""
        words = ", ".join([*((ADAPTORS[self.adaptor],) if self.adaptor else ()), self.arm, self.network, *self.others])
        if self.role == "teacher":
            return f"Teacher {self.group} ({words})"
        return f"Common space ({words})" if self.role == "adaptor" else f"Student {STUDENTS[self.method]} ({words})"


def read_names(settings: StudyFolder) -> list[Kept]:
    """Every checkpoint that is to be imported, teachers first, then adaptors, then students.

    Raises FairLabError for no folder, none of these checkpoints, folders that are not known, two candidates for one
    model, and an adaptor one of whose teachers is missing.
    """
    root = ordinary(Path(settings.path).expanduser().absolute())
    if not settings.path or not root.is_dir():
        raise FairLabError(f"there is no folder {root}; name the folder of the checkpoints")
    found: dict[str, Kept] = {}
    for folder, files in _folders(root):
        kept = _chosen(_understood(folder, settings.order, root), files, settings.step)
        if kept.title in found:
            raise FairLabError(
                f"{found[kept.title].folder} and {folder} in {root} both hold {kept.title}; leave one of them"
            )
        found[kept.title] = kept
    if not found:
        raise FairLabError(
            f"{root} holds no <step>backbone.pth in folders such as {settings.order[0]}/<network>/epochs_52 or EArcAdapter"
        )
    order = ("teacher", "adaptor", "student")
    models = sorted(found.values(), key=lambda kept: (order.index(kept.role), kept.arm != "specialised", kept.title))
    _check_teachers(models, settings.order, root)
    return models


def _folders(root: Path) -> Iterator[tuple[str, dict[str, Path]]]:
    """(folder below root, its backbones and headers by name) where there are backbones, sorted."""
    entries = 0
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        entries += len(names) + len(folders)
        if entries > MOST_ENTRIES:
            raise FairLabError(f"{root} holds over {MOST_ENTRIES:,} files; name the folder of the checkpoints alone")
        files = {
            name: Path(place) / name for name in sorted(names) if BACKBONE.fullmatch(name) or HEADER.fullmatch(name)
        }
        if any(BACKBONE.fullmatch(name) for name in files):
            yield Path(place).relative_to(root).as_posix(), files


def _understood(folder: str, order: Sequence[str], root: Path) -> Kept:
    """What a folder's names say. Raises FairLabError for one that is none of the authors'."""
    parts, groups = Path(folder).parts, {name.lower(): name for name in order}
    lower = [part.lower() for part in parts]
    start = next((at for at, part in enumerate(lower) if part in BEGINNINGS or part in groups), None)
    unknown = FairLabError(
        f"{root / folder} is not a folder of MST-KD's tree; known are <Ethnicity>/<network>/.. ({', '.join(order)}), "
        f"teacher_baseline/<quarter>/<network>/.., EArcAdapter/.. and KD/..; move it elsewhere, or name its group in order"
    )
    if start is None:
        raise unknown
    first, rest = lower[start], parts[start + 1 :]
    if first in groups or first == "teacher_baseline":
        named = parts[start:] if first in groups else rest
        if not named or named[0].lower() not in groups or not (words := _words(named[1:])):
            raise unknown
        baseline = first == "teacher_baseline"
        group = groups[named[0].lower()]
        return Kept(folder, "teacher", "classifier", ARMS[baseline], group, words[0], "", tuple(words[1:]))
    words, marks = _words(rest), [part.lower() for part in rest]
    method = "common_space" if first == "earcadapter" else "a_kd" if "no_cel" in marks else "eaf_kd"
    if not words or (first == "kd" and "earc" not in marks):
        raise unknown
    role = "adaptor" if first == "earcadapter" else "student"
    arm = ARMS["baseline" in marks or "teacher_baseline" in marks]
    return Kept(folder, role, method, arm, "", words[0], _adaptor(marks), tuple(words[1:]))


def _adaptor(marks: Sequence[str]) -> str:
    dual = next((mark for mark in marks if DUAL.fullmatch(mark)), "")
    if dual:
        return "dldpo" if dual.startswith("dropout") else "dul"
    return next((VARIANTS[mark] for mark in marks if mark in VARIANTS), "sl")


def _words(parts: Sequence[str]) -> list[str]:
    """The names that are neither settings nor marks: the network, and what else tells a folder from its neighbours."""
    marks = {"baseline", "teacher_baseline", "earc", "no_cel", *VARIANTS}
    return [
        part
        for part in parts
        if part.lower() not in marks and not DUAL.fullmatch(part.lower()) and not SETTING.fullmatch(part.lower())
    ]


def _chosen(kept: Kept, files: Mapping[str, Path], rule: str) -> Kept:
    """With the step that is taken, and why."""
    backbones: dict[int, Path] = {}
    for name, path in files.items():
        match = BACKBONE.fullmatch(name)
        if match and not match[1]:
            raise FairLabError(f"{path} does not begin with its step, as 45846backbone.pth does")
        if match and int(match[1]) in backbones:
            raise FairLabError(f"{backbones[int(match[1])]} and {path} are one step; leave one of them")
        if match:
            backbones[int(match[1])] = path
    steps = tuple(sorted(backbones))
    best = _published(kept)
    step = best if rule == "published" and best in steps else steps[-1]
    heads = [path for name, path in files.items() if (match := HEADER.fullmatch(name)) and int(match[1]) == step]
    if len(heads) > 1:
        raise FairLabError(f"{heads[0]} and {heads[1]} are the header of one step; leave one of them")
    why = "the only step" if len(steps) == 1 else f"the last of {len(steps)} steps"
    if rule == "published" and best == step:
        why = "the step of the official configuration"
    elif best and len(steps) > 1 and rule == "published":
        why += f"; step {best} of the official configuration is not there"
    chosen_on = CHOSEN_ON if best == step else ""
    head = heads[0] if heads else None
    return replace(kept, path=backbones[step], head=head, step=step, steps=steps, why=why, chosen_on=chosen_on)


def _published(kept: Kept) -> int:
    """The step that the official configuration names for a teacher; 0 where it names none that is known."""
    depth = re.fullmatch(r"i?(?:resnet|r)_?(\d+)", kept.network.lower())
    group = kept.group.lower()
    if kept.role != "teacher" or kept.arm != "specialised" or depth is None or group not in STEPS:
        return 0
    return STEPS[group] * BEST.get(depth[1], {}).get(group, 0)


def _check_teachers(models: Sequence[Kept], order: Sequence[str], root: Path) -> None:
    """Raise FairLabError for an adaptor one of whose teachers is missing."""
    for kept in models:
        if kept.role == "adaptor":
            teachers_of(kept, models, order, root)


def teachers_of(kept: Kept, models: Sequence[Kept], order: Sequence[str], root: Path) -> list[Kept]:
    """The teachers of an adaptor in the order of its blocks. Raises FairLabError for one that is missing."""
    found = []
    for group in order:
        alike = [
            model
            for model in models
            if (model.role, model.arm, model.group, model.network) == ("teacher", kept.arm, group, kept.network)
        ]
        if not alike:
            place = "teacher_baseline/" if kept.arm == "balanced" else ""
            raise FairLabError(
                f"{kept.title} in {root / kept.folder} takes the teachers of {', '.join(order)}, and there is none of {group}: "
                f"put it at {place}{group}/{kept.network}/epochs_52/<step>backbone.pth"
            )
        if len(alike) > 1:
            raise FairLabError(
                f"{alike[0].folder} and {alike[1].folder} in {root} are both the teacher of {group} that {kept.title} "
                "takes; leave one of them"
            )
        found.append(alike[0])
    return found
