"""The processes that share the work of one run, as torchrun or srun started them; one alone needs nothing of this.

No torch before it is needed: a worker joins before it loads anything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """This process's number among `size` (0 leads: it alone writes status, readings and checkpoints), and on its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.size > 1:
            from torch import distributed

            distributed.barrier()

    def any(self, flag: bool) -> bool:
        """True in all processes when it is in one."""
        if self.size == 1:
            return flag
        import torch
        from torch import distributed

        told = torch.tensor([int(flag)])
        distributed.all_reduce(told, op=distributed.ReduceOp.MAX)
        return bool(told.item())


ALONE = World()


def from_environment() -> World:
    """The world that the variables of torchrun describe; ALONE without them."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    return World(*(int(os.environ[name]) for name in names)) if all(name in os.environ for name in names) else ALONE
