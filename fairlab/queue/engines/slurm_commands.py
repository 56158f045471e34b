"""Slurm's own commands: how they are called, where they are, and what they say when they refuse."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fairlab.errors import FairLabError
from fairlab.queue.engines.base import Later

ANSWER_S = 20.0
"""A command that has not answered by then is ended; Slurm's own give up after 10 s (MessageTimeout)."""
LATER = re.compile(
    r"unable to contact|connect failure|connection refused|timed out|zero bytes|unable to establish|slurm_load|"
    r"backup controller|temporarily un|try again|MaxSubmitJob|job submit limit|dependency problem",
    re.IGNORECASE,
)
"""Refusals that pass: the controller is away, or the user has as many jobs as allowed, or a parent's job just ended."""
WAY = '`fairlab settings config --set slurm.commands=\'["ssh", "login1"]\'`'
UNCONFIGURED = re.compile(r"configuration source|fetch_config|process configuration file", re.IGNORECASE)
"""What Slurm's commands say on a machine that has them and knows no cluster."""


class Rejected(FairLabError):
    """What Slurm itself said when it refused."""


def require(commands: Sequence[str], name: str) -> str:
    """The program that is started to run one of Slurm's commands. Raises FairLabError when it is not here."""
    program = commands[0] if commands else name
    if shutil.which(program) is None:
        raise FairLabError(
            f"there is no {program} on this machine: start FairLab on a login node of the cluster, or name the way to "
            f"one: {WAY}"
        )
    return program


def call(commands: Sequence[str], *words: str) -> str:
    """What one of Slurm's commands prints. commands: words before it, e.g. ("ssh", "login1").

    Raises Rejected with Slurm's own words, Later where the same may succeed in a while, FairLabError where no cluster
    can be asked.
    """
    program = require(commands, words[0])
    through_shell = bool(commands) and Path(commands[0]).name == "ssh"  # ssh joins its words for a shell over there
    try:
        told = subprocess.run(
            [*commands, *(map(shlex.quote, words) if through_shell else words)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_S,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise Later(f"{words[0]} did not answer within {ANSWER_S:.0f} s") from error
    except OSError as error:
        raise FairLabError(f"{program} cannot be started: {error.strerror}") from error
    if told.returncode == 0:
        return told.stdout
    said = cleaned(told.stderr or told.stdout) or f"{words[0]} ended with code {told.returncode} and said nothing"
    if UNCONFIGURED.search(said):
        raise FairLabError(
            f"{program} on this machine belongs to no cluster: it finds no slurm.conf (SLURM_CONF, /etc/slurm); start "
            f"FairLab on a login node, or name the way to one: {WAY}"
        )
    raise (Later if LATER.search(said) or (through_shell and told.returncode == 255) else Rejected)(said)


def cleaned(words: str) -> str:
    """What Slurm said, without the program's name before each line, each sentence once."""
    lines = [re.sub(r"^\w+(: error: |: fatal: | error: |: )", "", line).strip() for line in words.splitlines()]
    return "; ".join(dict.fromkeys(line.removeprefix("Batch job submission failed: ") for line in lines if line))[:500]


def partitions(commands: Sequence[str]) -> list[str]:
    """Names of the cluster's partitions. Raises FairLabError."""
    return sorted(set(call(commands, "sinfo", "-h", "-o", "%R").split()))


def examine(commands: Sequence[str]) -> str:
    """Slurm's version and partitions in words, for `fairlab doctor`; never raises."""
    if shutil.which(commands[0] if commands else "sbatch") is None:
        return "no sbatch on this machine"
    try:
        version = call(commands, "sbatch", "--version").split()[-1]  # Debian's says slurm-wlm
        return f"{version}, partitions {', '.join(partitions(commands)) or 'none'}"
    except FairLabError as error:
        return f"does not answer: {error}"
