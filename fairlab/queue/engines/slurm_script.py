"""The batch script of a run: what it asks of the cluster, and how its processes start on the nodes.

Nothing from a setting reaches a shell unquoted: settings are checked or quoted, paths travel as arguments.
"""

from __future__ import annotations

import re
import shlex
import sys

from fairlab import __version__
from fairlab.errors import FairLabError
from fairlab.settings.placement import Placement
from fairlab.settings.user import user_settings
from fairlab.store.runs import RunRecord
from fairlab.workspace import Workspace

FILE = "job.sbatch"
GPU_ROLES = ("teacher", "student", "embedding")
"""Runs that train or run a network on images; an adaptor or an evaluation would only keep a GPU from others."""
ANNOUNCED_S = 120
"""So long before its time limit a run is told, to save and to go to the end of the queue."""
NO_FOLDER, NO_PYTHON = 66, 69
"""Exit codes of a job one of whose nodes sees no run folder, or has no Python (EX_NOINPUT, EX_UNAVAILABLE)."""
_PLAIN = re.compile(r"[\w.,:+@%/=*-]+", re.ASCII)

# A step of its own, on every node: where one process ends the others, srun's code need not be that one's.
_CHECK = f"""\
[ -d "$1" ] || {{ echo "[fairlab] node $(hostname) does not see the folder $1" >&2; exit {NO_FOLDER}; }}
command -v "$2" >/dev/null || {{ echo "[fairlab] node $(hostname) has no program $2" >&2; exit {NO_PYTHON}; }}
"""
# A signal that comes before Python is ready must not end it: a stop also has its file, and a time limit comes anyway.
_TASK = 'trap "" INT USR1\nexec "$@"\n'
_RANKED = 'export RANK="$SLURM_PROCID" WORLD_SIZE="$SLURM_NTASKS" LOCAL_RANK="$SLURM_LOCALID"\n'
# The address by which Slurm itself reaches the first node: its name alone need not resolve.
_MEET = """\
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(scontrol show node "$first" | sed -n 's/.*NodeAddr=\\([^ ]*\\).*/\\1/p' | head -n 1)
export MASTER_ADDR="${address:-$first}" MASTER_PORT=$((15000 + SLURM_JOB_ID % 15000))
"""
_THREADS = "OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1"


def job_script(workspace: Workspace, record: RunRecord, placement: Placement) -> str:
    """Text of job.sbatch for a run. Raises FairLabError for a placement that no cluster could carry out."""
    several = placement.devices > 1
    python = user_settings().slurm.python or sys.executable
    command = [python, "-m", "fairlab", "--home", str(workspace.home), "work", record.run_id]
    step = ["srun", f"--cpus-per-task={placement.slurm.cpus}"]
    check = [*step, "bash", "-c", _CHECK, "fairlab", str(record.folder), python]
    work = [*step, "--kill-on-bad-exit=1", "bash", "-c", (_RANKED if several else "") + _TASK, "fairlab", *command]
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH {option}" for option in _options(record, placement)),
            f"export FAIRLAB_ENGINE=slurm FAIRLAB_VERSION={shlex.quote(__version__)} {_THREADS}",
            "unset RANK WORLD_SIZE LOCAL_RANK MASTER_ADDR MASTER_PORT",
            f"{shlex.join(check)} || exit $?",
            *([_MEET] if several else []),
            shlex.join(work),
            "",
        ]
    )


def _options(record: RunRecord, placement: Placement) -> list[str]:
    slurm, nodes = placement.slurm, placement.slurm.nodes
    if placement.devices % nodes:
        raise FairLabError(
            f"{placement.devices} processes cannot be spread evenly over {nodes} nodes: make devices a multiple of slurm.nodes"
        )
    on_node = placement.devices // nodes
    options = [
        f"--job-name={record.run_id}",
        f"--nodes={nodes}",
        f"--ntasks={placement.devices}",
        f"--ntasks-per-node={on_node}",
        f"--cpus-per-task={slurm.cpus}",
        "--open-mode=append",
        "--requeue",
        f"--signal=USR1@{ANNOUNCED_S}",
    ]
    for name, value in (("partition", slurm.partition), ("time", slurm.time_limit), ("account", slurm.account)):
        if value:
            options.append(f"--{name}={_plain(name, value)}")
    if slurm.memory_gb:
        options.append(f"--mem={max(1, round(slurm.memory_gb * 1e9 / 2**20))}M")
    if slurm.gpu and record.role in GPU_ROLES and not record.elsewhere:
        options.append(f"--gres={_gres(slurm.gpu, on_node)}")
    return options


def _gres(gpu: str, processes: int) -> str:
    """Slurm counts gres on each node; the setting says it for one process."""
    name, _, count = _plain("gpu", gpu).rpartition(":")
    if not count.isdigit():
        name, count = gpu, "1"
    return f"{name}:{int(count) * processes}"


def _plain(name: str, value: str) -> str:
    if not _PLAIN.fullmatch(value):
        field = "time_limit" if name == "time" else name
        raise FairLabError(
            f"slurm.{field}: {value[:60]!r} is not a word that sbatch takes: no spaces, quotes or line breaks"
        )
    return value
