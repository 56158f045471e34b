"""Where a run works and what it may take there. Never part of what a run is: its result and id are the same anywhere.

A placement lies in the workspace, which may come from somebody else, so it names no program: see user_settings.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ConfigDict, Field

from fairlab.settings.base import Name, Settings

log = logging.getLogger(__name__)


class Slurm(Settings):
    """What a job asks of a Slurm cluster; what is empty is left to the cluster."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # a time limit of 60 minutes, an account 4711

    partition: Name = Field("", description="Partition; empty: the cluster's default.")
    time_limit: Name = Field(
        "", description="Longest time, as sbatch takes it, e.g. 1-12:00:00; empty: the partition's."
    )
    nodes: int = Field(1, ge=1, le=100_000, description="Nodes that the processes of one run are spread over.")
    cpus: int = Field(4, ge=1, le=10_000, description="Processors for each process.")
    memory_gb: float | None = Field(
        None, gt=0, le=1_000_000, description="Memory on each node in GB. Empty: no request, the cluster decides."
    )
    gpu: Name = Field(
        "",
        description="What a process that trains or runs a network asks for, e.g. gpu:1 or gpu:a100:1 (sbatch's --gres); "
        "an adaptor and an evaluation ask for none. Empty: no GPU.",
    )
    account: Name = Field("", description="Account that is charged.")


class Placement(Settings):
    """Which engine carries out a run, and by how many processes."""

    engine: Name = Field("local", description="local: on this machine; slurm: on a cluster.")
    devices: int = Field(
        1, ge=1, le=10_000, description="Processes that share the work of one run, one GPU each where there are GPUs."
    )
    slurm: Slurm = Slurm()


PERSONAL = ("commands", "python", "options")
"""Of slurm: what runs, or reaches, programs. Only the user's configuration has it."""


def without_programs(raw: Any) -> tuple[Any, str]:
    """A placement as a workspace has it, without programs that it names, and a sentence about those ("" for none)."""
    slurm = raw.get("slurm") if isinstance(raw, Mapping) else None
    named = [name for name in PERSONAL if isinstance(slurm, Mapping) and slurm.get(name)]
    if not isinstance(slurm, Mapping) or not set(slurm) & set(PERSONAL):
        return raw, ""
    clean = {**raw, "slurm": {name: value for name, value in slurm.items() if name not in PERSONAL}}
    words = ", ".join(f"slurm.{name}" for name in named)
    return clean, (
        f"{words} {'is' if len(named) == 1 else 'are'} ignored, because a workspace may name no program; set what is yours for "
        f"your account, with `fairlab settings config --set slurm.{named[0]}=...`"
        if named
        else ""
    )


@cache
def warn_once(where: str, sentence: str) -> None:
    """Say it on the terminal or in the log, however often the file is read."""
    if sentence:
        log.warning("%s: %s", where, sentence)
