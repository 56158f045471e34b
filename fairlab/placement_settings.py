"""Where a run works and what it may take there. Never part of what a run is: its result and id are the same anywhere."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from fairlab.settings import Name, PathText, Settings, Text


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
        None, gt=0, le=1_000_000, description="Memory on each node in GB; empty: the cluster's default."
    )
    gpu: Name = Field(
        "",
        description="What a process that trains or runs a network asks for, e.g. gpu:1 or gpu:a100:1 (sbatch's --gres); "
        "an adaptor and an evaluation ask for none. Empty: no GPU.",
    )
    account: Name = Field("", description="Account that is charged.")
    options: tuple[Text, ...] = Field(
        (), max_length=100, description="Further options of sbatch, e.g. --constraint=a100."
    )
    commands: tuple[PathText, ...] = Field(
        (),
        max_length=100,
        description="Words before sbatch, squeue and scancel where this machine has none, e.g. ssh login1.",
    )
    python: PathText = Field("", description="Python with FairLab on the nodes; empty: the one that runs here.")


class Placement(Settings):
    """Which engine carries out a run, and by how many processes."""

    engine: Name = Field("local", description="local: on this machine; slurm: on a cluster.")
    devices: int = Field(
        1, ge=1, le=10_000, description="Processes that share the work of one run, one GPU each where there are GPUs."
    )
    slurm: Slurm = Slurm()
