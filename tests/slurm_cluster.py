"""A real Slurm of two nodes on this machine: slurmctld, two slurmd and a munged of its own, in a folder of their own.

Debian's packages slurmctld, slurmd, slurm-client and munge (tests.install brings them); root, as slurmd demands.
Several may run beside each other. The nodes are n1 and n2; a requeued job waits 5 s instead of Slurm's 2 minutes.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

NODES = ("n1", "n2")
PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
CONF = """\
ClusterName=fairlab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
ReturnToService=2
SlurmctldTimeout=5
SlurmdTimeout=3
MessageTimeout=3
KillWait=15
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]},{ports[2]} CPUs=8 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=spare Nodes=ALL MaxTime=60 State=UP
"""


def missing() -> str:
    """Why no cluster can be started here, as a sentence; "" when one can."""
    names = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "scontrol", "srun")
    lacks = [name for name in names if shutil.which(name, path=PATH) is None]
    if lacks:
        return f"no Slurm here: {', '.join(lacks)} missing (python -m tests.install brings them where it may)"
    return "" if os.geteuid() == 0 else "slurmd must be started by root"


def free_ports(count: int) -> list[int]:
    """Numbers of ports that nobody listens on."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


class Cluster:
    """The daemons, to be started, killed and asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.conf = folder, folder / "slurm.conf"
        self.environment = {**os.environ, "SLURM_CONF": str(self.conf), "PATH": PATH}

    def start(self) -> None:
        (self.folder / "state").mkdir()
        ports = free_ports(3)
        text = CONF.format(
            folder=self.folder, host=socket.gethostname().split(".")[0], ports=ports, nodes=",".join(NODES)
        )
        self.conf.write_text(text)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        places = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        self._run("munged", *(f"--{option}={self.folder}/munge.{name}" for option, name in places.items()))
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        self.until_up(*NODES)

    def start_controller(self) -> None:
        self._run("slurmctld")

    def start_node(self, node: str, without: Path | None = None) -> None:
        """Start a node's slurmd; `without`: a folder that this node does not see, as if it were not mounted there."""
        if without is None:
            self._run("slurmd", "-N", node)
        else:
            hidden = 'mount -t tmpfs none "$1" && exec slurmd -N "$2"'
            self._run("unshare", "-m", "--propagation", "private", "sh", "-c", hidden, "sh", str(without), node)

    def stop_controller(self) -> None:
        """It saves what it knows of the jobs; killed, it would forget the last seconds."""
        self._kill("slurmctld.pid", signal.SIGTERM)
        until(lambda: not (self.folder / "slurmctld.pid").exists())

    def kill_node(self, node: str) -> None:
        """As if its power were cut: the node's daemon, its steps and all that they run."""
        self._kill(f"slurmd-{node}.pid")
        daemons_first = sorted(self.processes(node), key=lambda process: not _is_daemon(process))  # they tell no more
        for process in daemons_first:
            with suppress(psutil.Error):
                process.kill()

    def processes(self, node: str) -> list[psutil.Process]:
        """What this cluster's jobs run on a node, and the daemons of their steps."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                variables = process.environ()
                if variables.get("SLURMD_NODENAME") == node and variables.get("SLURM_CONF") == str(self.conf):
                    found += [process, *(up for up in process.parents() if _is_daemon(up))]
        return found

    def _kill(self, pid_file: str, number: int = signal.SIGKILL) -> None:
        with suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int((self.folder / pid_file).read_text()), number)

    def stop(self) -> None:
        self._kill("slurmctld.pid")
        for node in NODES:
            self.kill_node(node)
        for process in psutil.process_iter():  # a step's daemon outlives what it ran
            with suppress(psutil.Error):
                if process.environ().get("SLURM_CONF") == str(self.conf) and _is_daemon(process):
                    process.kill()
        self._kill("munge.pid")

    def until_up(self, *nodes: str) -> None:
        until(
            lambda: all(
                self.ask("sinfo", "-h", "-n", node, "-o", "%t").split()[:1] in (["idle"], ["mix"]) for node in nodes
            )
        )

    def ask(self, *words: str) -> str:
        """What one of Slurm's commands prints."""
        return self._run(*words).stdout

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        told = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60)
        assert told.returncode == 0, (words, told.stderr)
        return told


def _is_daemon(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.name().startswith("slurmstepd")
    return False


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait until it is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def running() -> Iterator[Cluster]:
    """A cluster, and SLURM_CONF and the path as its commands need them; for a fixture."""
    why = missing()
    if why:
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short: a socket's path may have 107 letters
    folder.chmod(0o755)
    cluster = Cluster(folder)
    with pytest.MonkeyPatch.context() as mine:
        mine.setenv("SLURM_CONF", str(cluster.conf))
        mine.setenv("PATH", PATH)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
            shutil.rmtree(folder, ignore_errors=True)
