"""What Slurm's states and reasons mean, in words for people."""

from __future__ import annotations

import re

from fairlab.queue.engines.slurm_script import NO_FOLDER, NO_PYTHON
from fairlab.store.remote import ENDED, RUNNING, WAITING

GOES_ON = "it continues from its last checkpoint"
NEVER = "DependencyNeverSatisfied"
ALREADY = 75
"""Exit code of a worker whose run another process has."""
_WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT")
_RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT")
_PENDING = {
    "Resources": "until nodes or processors are free",
    "Priority": "other jobs are ahead of it",
    "Dependency": "until its parents' jobs are done",
    "BeginTime": "Slurm lets a requeued job wait about two minutes",
    "JobHeldUser": "it is held; release it with `scontrol release`",
    "JobHeldAdmin": "an administrator holds it, or it was requeued too often",
    "PartitionTimeLimit": "it requests more time than its partition allows: lower slurm.time_limit",
    "PartitionNodeLimit": "it requests more nodes than its partition has: lower slurm.nodes",
    "PartitionDown": "its partition accepts no jobs now",
    "PartitionInactive": "its partition accepts no jobs now",
    "ReqNodeNotAvail": "a node that it needs is down or reserved",
    "launch failed requeued held": "Slurm could not start it on its node; stop it and resume it, or `scontrol release` it",
    "NodeDown": "a node that it needs is down",
    "QOSMaxGRESPerUser": "you have reached your GPU limit",
}


def stand(state: str) -> str:
    """waiting, running or ended, for a state as squeue names it."""
    return WAITING if state in _WAITING else RUNNING if state in _RUNNING else ENDED


def waiting(job: str, reason: str, status: str, said: str) -> str:
    """Why a job waits. status, said: what the run itself last said; it ran already when that is not its first wait."""
    words = _PENDING.get(reason.partition(",")[0], "")
    place = f"waits in Slurm's queue (job {job})"
    why = "" if reason in ("None", "") else f": {words} ({reason})" if words else f": {reason}"
    if status == "running":  # it was cut off without a word, and is here again
        return f"requeued after its node failed or the job was preempted; {GOES_ON}; {place}{why}"
    return f"{said}; {place}{why}" if said else f"{place}{why}"


def ended(job: str, state: str, facts: str) -> str:
    """Why a job ended before the run said its last word. facts: its line of `scontrol -o show job`, or ""."""
    code, _, signal = _fact(facts, "ExitCode", "0:0").partition(":")
    node = _fact(facts, "NodeList", "its node").replace("(null)", "its node")
    limit = _fact(facts, "TimeLimit", "")
    if state == "TIMEOUT":
        return f"its time limit in Slurm{f' ({limit})' if limit else ''} was reached; resume it: {GOES_ON}, or raise slurm.time_limit"
    if state == "OUT_OF_MEMORY":
        return f"Slurm ended it on {node} because it ran out of memory: raise slurm.memory_gb or lower training.batch_size, then resume it"
    if state in ("NODE_FAIL", "BOOT_FAIL"):
        return f"{node} failed; resume it: {GOES_ON}"
    if state == "PREEMPTED":
        return f"it was preempted and the cluster did not requeue it; resume it: {GOES_ON}"
    if state == "":
        return f"Slurm no longer knows job {job}, and the run left no final status; resume it: {GOES_ON}"
    if code == str(NO_FOLDER) or (code == "0" and signal == "53"):  # 53: slurmd could not open the log
        return f"{node} cannot write the run's folder: FairLab's workspace must be a shared folder, under the same path on every node"
    if code == str(NO_PYTHON):
        return f"{node} has no Python at this machine's path: name one that has FairLab: `fairlab settings config --set slurm.python=PATH`"
    if code == str(ALREADY):
        return "another process still has the run, perhaps on a node that Slurm lost; when that has ended, resume it"
    how = f"signal {signal}" if signal not in ("", "0") else f"code {code}"
    return f"its job {job} ended on {node} ({state}, {how}) without a message from the run; see its log, then resume it"


def _fact(facts: str, name: str, default: str) -> str:
    found = re.search(rf"(?:^|\s){name}=(\S+)", facts)
    return found.group(1) if found else default
