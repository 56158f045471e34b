"""The processes that share the work of one run, as torchrun or srun started them; one alone needs nothing of this.

No torch before it is needed: a worker takes its lock before it loads anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fairlab.errors import FairLabError, Stopped

if TYPE_CHECKING:
    from torch import Tensor

TIMEOUT_S = 300
"""So long the processes look for each other, and wait for one that is late in a step. Without an end, a process that was
killed while the others look for it leaves them waiting for ever."""
PATIENCE = timedelta(days=7)
"""So long they wait while the first one does what it does alone: validating, writing. When it dies they know at once."""

OF_A_WORLD = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables of the environment by which torchrun, or whoever starts the processes, says who is who."""


@dataclass(frozen=True)
class World:
    """This process's number among `size` (0 leads: it alone writes status, readings and checkpoints), and on its machine.

    Everything but the numbers is for processes that have joined, and is called by all of them in the same order.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes have come here, however long the first one takes."""
        if self.size > 1:
            from torch import distributed

            distributed.barrier(_patient[0])

    def any(self, flag: bool) -> bool:
        """True in all processes when it is in one."""
        if self.size == 1:
            return flag
        import torch

        return bool(self.most(torch.tensor([int(flag)])).item())

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of all processes' tensors of one shape, in each; its gradient is the sum of theirs."""
        from fairlab.training.collectives import summed

        return tensor if self.size == 1 else summed(tensor)

    def most(self, tensor: Tensor) -> Tensor:
        """The largest of all processes' tensors, element by element, without a gradient."""
        from fairlab.training.collectives import largest

        return tensor if self.size == 1 else largest(tensor)

    def gather(self, tensor: Tensor) -> Tensor:
        """All processes' rows (B, ...), as many from each, in order; the gradient of a row is the sum of theirs."""
        from fairlab.training.collectives import gathered

        return tensor if self.size == 1 else gathered(tensor)

    def tell(self, tensor: Tensor) -> None:
        """Overwrite all processes' tensors by the first one's."""
        if self.size > 1:
            from torch import distributed

            distributed.broadcast(tensor, 0)

    def bring(self, part: Tensor, places: list[slice]) -> Tensor:
        """On the first process the rows of all, process r's at places[r], in the processor's memory; elsewhere the part."""
        from fairlab.training.collectives import brought_together

        return brought_together(part, places)

    @contextmanager
    def joined(self, kind: str) -> Iterator[None]:
        """Inside, the processes know each other; kind: "cuda" (then this one takes a GPU of its own) or "cpu".

        Raises FairLabError when they do not find each other in time, when there is no GPU for each, and in place of
        whatever is raised because another process has ended.
        """
        if self.size == 1:
            yield
            return
        if kind == "cuda":
            self._take_gpu()
        self._meet(kind)
        try:
            yield
        except Stopped:
            self._part()
            raise
        except RuntimeError as error:
            if not _of_another(error):
                raise
            print(f"[fairlab] process {self.rank}: {error}", flush=True)
            raise FairLabError(
                f"another of the {self.size} processes of this run ended or hung; the log says which and why, then resume it"
            ) from error
        else:
            self._part()

    def _take_gpu(self) -> None:
        import torch

        count = torch.cuda.device_count()
        own = count == 1 and "TORCHELASTIC_RUN_ID" not in os.environ  # a cluster shows each process its own alone
        if not own and self.local_rank >= count:
            raise FairLabError(
                f"this machine has {count} GPUs, and process {self.local_rank + 1} of this run has none; let fewer share "
                "the run, or set training.device to 'cpu'"
            )
        torch.cuda.set_device(0 if own else self.local_rank)

    def _meet(self, kind: str) -> None:
        from torch import distributed

        # Flags and waiting go through the processors also where gradients go from GPU to GPU.
        backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
        try:
            distributed.init_process_group(
                backend, rank=self.rank, world_size=self.size, timeout=timedelta(seconds=TIMEOUT_S)
            )
            _patient.append(distributed.new_group(backend="gloo", timeout=PATIENCE))
        except (RuntimeError, ValueError) as error:
            raise FairLabError(
                f"the {self.size} processes of this run did not find each other (this is process {self.rank}, at "
                f"{os.environ.get('MASTER_ADDR', 'no address')}): {str(error).splitlines()[0]}"
            ) from error

    def _part(self) -> None:
        from torch import distributed

        _patient.clear()
        distributed.destroy_process_group()


ALONE = World()
_patient: list[Any] = []
"""The group that waits, while the processes are joined."""


def _of_another(error: RuntimeError) -> bool:
    """Is this what a process hears that talks to one that has gone?"""
    from torch import distributed

    return isinstance(error, distributed.DistError) or any(
        word in str(error).lower() for word in ("gloo", "nccl", "connection")
    )


def from_environment() -> World:
    """The world that the variables of torchrun describe; ALONE without them."""
    names = OF_A_WORLD[:3]
    return World(*(int(os.environ[name]) for name in names)) if all(name in os.environ for name in names) else ALONE


def check_shares(batch_size: int, size: int) -> None:
    """Raise FairLabError for a batch that `size` processes cannot share equally."""
    if batch_size % size:
        raise FairLabError(
            f"training.batch_size {batch_size} cannot be shared equally by {size} processes; take a multiple of {size}, or "
            "as many processes as divide it"
        )


def leave_environment() -> None:
    """Take what describes this world out of the environment, before this process starts others that are not of it."""
    for name in list(os.environ):
        if name in OF_A_WORLD or name.startswith(("TORCHELASTIC_", "GROUP_", "ROLE_")):
            del os.environ[name]
