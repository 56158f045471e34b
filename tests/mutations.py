"""Every kind of file of a finished workspace, replaced by what does not belong there, and looked at by commands and pages."""

from __future__ import annotations

import os
import re
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fairlab.workspace import Workspace
from tests.conftest import command
from tests.in_time import Hangs, in_time

NOBODY = 65_534
"""A user without rights, where the tests run as root: nothing is forbidden to root."""
SECONDS = 60
"""More than any look may take, also on a machine that is busy."""
DEEP = b"[" * 200_000 + b"]" * 200_000


def _sparse(path: Path) -> None:
    path.unlink()
    with open(path, "wb") as handle:
        handle.truncate(2 << 30)


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nothing is here")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _closed(path: Path) -> None:
    path.chmod(0)


def _holds(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


REPLACED: dict[str, Callable[[Path], None]] = {
    "list": _holds(b"[]"),
    "object": _holds(b"{}"),
    "null": _holds(b"null"),
    "text": _holds(b'"x"'),
    "huge": _holds(b"1e400"),
    "deep": _holds(DEEP),
    "binary": _holds(bytes(range(256)) * 16),
    "utf16": _holds('{"a": 1}'.encode("utf-16")),
    "empty": _holds(b""),
    "sparse": _sparse,
    "gone": Path.unlink,
    "dangling": _nowhere,
    "circle": _loop,
    "folder": _folder,
    "pipe": _pipe,
    "closed": _closed,
}
"""What may be in a file's place."""
FOLDERS: dict[str, Callable[[Path], None]] = {
    "file": lambda path: (shutil.rmtree(path), path.write_bytes(b"x")),  # type: ignore[dict-item,return-value]
    "dangling": lambda path: (shutil.rmtree(path), path.symlink_to("nothing is here")),  # type: ignore[dict-item,return-value]
    "gone": lambda path: shutil.rmtree(path),
    "closed": _closed,
    "unlisted": lambda path: path.chmod(0o300),
}
"""What may be in a folder's place."""


def kind_of(name: str) -> str:
    """A file's name without what differs between runs, e.g. runs/*/checkpoints/*/trainer.pt."""
    parts = name.split("/")
    if len(parts) > 2 and parts[0] in ("runs", "studies", "datasets"):
        parts[1] = "*"
    parts = ["*" if re.search(r"[0-9a-f]{8}|^step-", part) else part for part in parts[:-1]] + parts[-1:]
    stem, dot, end = parts[-1].rpartition(".")
    parts[-1] = f"*{dot}{end}" if re.fullmatch(r"[0-9a-f]{8,}", stem) else parts[-1]
    return "/".join(parts)


def one_of_each(home: Path, run: str = "student-without") -> list[str]:
    """Names below a workspace, one for each kind of file and then of folder; of `run` where it has such a file."""
    kinds: dict[str, str] = {}
    for folders in (False, True):
        for path in sorted(home.rglob("*"), key=lambda path: (f"/{run}" not in str(path), str(path))):
            name = str(path.relative_to(home))
            if path.is_dir() == folders and not name.startswith(("catalogue", "finished")):
                kinds.setdefault(kind_of(f"{name}/" if folders else name), name)
    return list(kinds.values())


@dataclass(frozen=True)
class Case:
    """A place in a workspace, and what is put there."""

    name: str
    replaced: str


def cases(home: Path) -> list[Case]:
    return [
        Case(name, replaced)
        for name in one_of_each(home)
        for replaced in (FOLDERS if (home / name).is_dir() else REPLACED)
    ]


@contextmanager
def copied(base: Path, into: Path) -> Iterator[Workspace]:
    """A copy of a workspace that a user without rights may change; deleted afterwards."""
    home = into / "home"
    shutil.copytree(base, home, symlinks=True)
    for path in (home, *home.rglob("*")):
        os.chown(path, NOBODY, NOBODY) if os.geteuid() == 0 else None
    try:
        yield Workspace(home)
    finally:
        for folder, _, _ in os.walk(home):
            os.chmod(folder, 0o700)
        shutil.rmtree(home)


@contextmanager
def without_rights() -> Iterator[None]:
    """As a user to whom a file can be closed; root becomes one meanwhile (and all threads of this process)."""
    if os.geteuid() != 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    said: str
    trouble: str = ""
    """An exception that nobody caught."""
    seconds: float = 0.0


def ask(home: Path, words: Sequence[str]) -> Answer:
    """What a command answers, asked by a user without rights."""
    began = time.monotonic()
    try:
        with without_rights(), in_time(SECONDS):
            done = command(home, *words)
    except (Exception, Hangs) as error:  # the point of the test
        end = traceback.extract_tb(error.__traceback__)
        ours = next((f for f in reversed(end) if "/fairlab/" in f.filename and ".venv" not in f.filename), end[-1])
        where = f"{ours.filename.rpartition('/fairlab/')[2]}:{ours.lineno} {ours.line}"
        return Answer(-1, "", "", f"{type(error).__name__}: {str(error)[:150]} at {where}", time.monotonic() - began)
    return Answer(done.returncode, done.stdout, done.stderr, "", time.monotonic() - began)


def commands_of(base: Path) -> list[list[str]]:
    """Every command that looks; OUT stands for a file to write."""
    study = next((base / "studies").iterdir()).name
    run = next(path.name for path in (base / "runs").iterdir() if path.name.startswith("student-without"))
    data = next((base / "datasets").iterdir()).name
    return [
        ["runs", "list"], ["runs", "show", run], ["runs", "log", run], ["runs", "queue"], ["watch", "--once"], ["models", "list"],
        ["data", "list"], ["data", "show", data], ["studies", "list"], ["compare"], ["fairness", run], ["storage", "disk"],
        ["storage", "prune"], ["doctor"], ["doctor", "--verify"],
        ["launch", "--clone", study, "--dry-run"], ["runs", "delete", run, "--dry-run", "--force"],
        ["studies", "delete", study, "--dry-run"], ["data", "delete", data, "--dry-run", "--force"],
        ["storage", "forget", data, "Group A test 001", "--dry-run"], ["storage", "archive", study, "--out", "OUT"],
        ["models", "scores", run, "--out", "OUT"], ["settings", "loggers"],
    ]  # fmt: skip


CHANGES_BY_ITSELF = ("disk", "doctor", "archive", "prune")
"""Commands whose answer holds sizes, times and places, which differ from copy to copy; as do plans of deletions."""


def settled(text: str, home: Path) -> str:
    return text.replace(str(home), "HOME")


def asked(home: Path, words: Sequence[str]) -> Answer:
    out = home / "out.x"
    answer = ask(home, [str(out) if word == "OUT" else word for word in words])
    out.unlink(missing_ok=True)
    return answer


def fault(before: Answer, now: Answer, words: Sequence[str], place: Path, home: Path) -> str:
    """What is wrong with an answer about a workspace with a bad file; "" when nothing is."""
    text = now.out + now.said
    if now.trouble:
        return now.trouble
    if now.code not in (0, 1, 2) or "Traceback" in text or "Warning:" in text:
        return f"code {now.code}: {text[-300:]}"
    if now.code == 2 and len(now.said.strip().splitlines()[-1]) > 900:
        return f"a sentence of {len(now.said)} letters"
    if now.seconds > SECONDS / 2:
        return f"{now.seconds:.0f} s"
    changed = now.code != before.code or settled(now.out, home) != before.out
    if not {*CHANGES_BY_ITSELF} & {*words[:2]} and "--dry-run" not in words[-2:] and changed and str(place) not in text:
        return (
            f"code {now.code}, another answer than before, and the path is not named: {settled(now.said, home)[:300]}"
        )
    return ""


UNNAMED = re.compile(
    r"lock$|heartbeat\.json$|process\.json$|log\.txt$|probes/|index\.(json|faiss)$|events\.jsonl$|^runs/[^/]+$|projections"
)
"""What is made anew, or says nothing that lasts: `doctor` may pass over what is in them, but not over what cannot be read."""


def changed_place(lab: Workspace, case: Case) -> Path:
    """Put the bad thing in its place."""
    place = lab.home / case.name
    (FOLDERS if place.is_dir() else REPLACED)[case.replaced](place)
    if os.geteuid() == 0 and os.path.lexists(place):
        os.lchown(place, NOBODY, NOBODY)
    return place


def faults_of_commands(
    base: Path, into: Path, some: Sequence[Case], words: Sequence[Sequence[str]], say: Callable[[str], object] = print
) -> list[str]:
    """Everything that commands answer wrongly about copies of a workspace with one bad file each."""
    into.mkdir(exist_ok=True)
    into.chmod(0o755)
    found = []
    with copied(base, into) as lab:
        for line in words:
            command(lab.home, *[str(lab.home / "out.x") if word == "OUT" else word for word in line])
            (lab.home / "out.x").unlink(missing_ok=True)
        for path in lab.home.rglob("*"):
            os.chown(path, NOBODY, NOBODY) if os.geteuid() == 0 else None
        before = [asked(lab.home, line) for line in words]
        before = [replace(answer, out=settled(answer.out, lab.home)) for answer in before]
        found += [f"whole: {line}: {answer}" for line, answer in zip(words, before, strict=True) if answer.code]
    for case in some:
        with copied(base, into) as lab:
            place = changed_place(lab, case)
            for line, answer in zip(words, before, strict=True):
                if wrong := fault(answer, asked(lab.home, line), line, place, lab.home):
                    found.append(f"{case.name} {case.replaced}: {' '.join(line)}: {wrong}")
                    say(found[-1])
    return found
