"""Several processes that train one run: each passes its share of a step's images, and all know the same loss.

The network is whole in each, its gradients are averaged while they are computed (DistributedDataParallel); embeddings
and targets are gathered, so that every loss sees the batch that one process would; the classifier is shared out by class.
What one process would have is what a checkpoint holds. One process alone is left as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.nn.parallel import DistributedDataParallel

from fairlab.errors import FairLabError
from fairlab.losses.base import MarginHead
from fairlab.losses.columns import share
from fairlab.methods.base import Method, Shared
from fairlab.training.checkpoint import Stateful
from fairlab.training.whole_batch import over_whole_batch
from fairlab.training.world import World


class Together:
    """The processes of `world` that train `method`; made before the optimisers, since it shares the classifier out.

    head: what a checkpoint holds of the classifier, the whole of it.
    """

    def __init__(self, method: Method, world: World) -> None:
        self.method, self.world = method, world
        self.head: Stateful | None = method.head
        if world.size > 1 and method.head is not None and not method.whole_head:
            method.head.share_out(world)
            self.head = _WholeHead(method.head, world)
        shared_out = {method.head.weight} if isinstance(self.head, _WholeHead) and method.head is not None else set()
        self._alike = {weight for weight in method.parameters() if weight.requires_grad} - shared_out
        self._alike -= set(method.learner.parameters())

    def solvers(self, solvers: Mapping[str, optim.Optimizer]) -> dict[str, Stateful]:
        """What a checkpoint holds of the optimisers."""
        head = self.method.head
        if not isinstance(self.head, _WholeHead) or head is None or "head" not in solvers:
            return dict(solvers)
        return {**solvers, "head": _WholeSolver(solvers["head"], head, self.world)}

    @contextmanager
    def training(self) -> Iterator[None]:
        """Inside, the method's training passes are shared; its network is the same object with the same keys."""
        method, world = self.method, self.world
        if world.size == 1:
            yield
            return
        with over_whole_batch(method.learner, world):
            passed = _Passed(method.learner, method.passed)
            with warnings.catch_warnings():  # the next torch's name of the argument is unknown to the last ones
                warnings.simplefilter("ignore", FutureWarning)
                parallel = DistributedDataParallel(passed, broadcast_buffers=False)
            method.shared = Shared(parallel, world.gather)
            try:
                yield
            finally:
                method.shared = None

    def mine(self, part: np.ndarray) -> np.ndarray:
        """This process's share of the positions of a batch."""
        size = len(part) // self.world.size
        return part[self.world.rank * size : (self.world.rank + 1) * size]

    @torch.no_grad()
    def even_out(self, scaled: bool) -> None:
        """After the backward pass: the gradients of what is whole in each process, but no part of the network.

        They are equal but for rounding, which must not add up, or come from this process's images alone; the mean is
        right for both. scaled: an overflow of fp16 in one share of the classifier is one of the classifier.
        """
        if self.world.size == 1:
            return
        for weight in self.method.parameters():
            if weight in self._alike and weight.grad is not None:
                weight.grad = self._mean(weight.grad)
        head = self.method.head
        if scaled and isinstance(self.head, _WholeHead) and head is not None and head.weight.grad is not None:
            gradient = head.weight.grad.coalesce().values() if head.weight.grad.is_sparse else head.weight.grad
            if self.world.any(not bool(gradient.isfinite().all())):
                head.weight.grad = torch.full_like(head.weight, torch.inf)

    def _mean(self, gradient: Tensor) -> Tensor:
        if not gradient.is_sparse:
            return self.world.sum(gradient) / self.world.size
        gradient = gradient.coalesce()  # of the same rows everywhere, drawn alike
        values = self.world.sum(gradient.values()) / self.world.size
        return torch.sparse_coo_tensor(gradient.indices(), values, gradient.shape)

    def length(self, gradients: list[Tensor]) -> float:
        """The length of a gradient with respect to embeddings, of which every process has its rows."""
        squares = torch.stack([gradient.square().sum() for gradient in gradients]).sum()
        return float(self.world.sum(squares)) ** 0.5 / self.world.size

    def check_same_start(self, step: int) -> None:
        """Raise FairLabError unless all go on from the same checkpoint."""
        at = torch.tensor([step, -step])
        if self.world.any(bool((self.world.most(at) != at).any())):
            raise FairLabError(
                f"the processes of this run see different checkpoints (process {self.world.rank}: step {step}); its folder "
                "must be the same for all of them"
            )

    def finish(self) -> None:
        """The network of the first process for all, and the whole classifier for the first."""
        if self.world.size == 1:
            return
        for tensor in self.method.learner.state_dict().values():
            self.world.tell(tensor)
        if isinstance(self.head, _WholeHead) and self.method.head is not None:
            whole = self.head.state_dict()["weight"]
            if self.world.leads:
                self.method.head.make_whole(whole)


class _Passed(nn.Module):
    """What is run in parallel: the network, as the method passes images through it."""

    def __init__(self, learner: nn.Module, passed: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.learner, self.passed = learner, passed

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        return self.passed(inputs)


class _WholeHead:
    """A classifier that is shared out, as one process would save it: all processes ask, the first gets all centres."""

    def __init__(self, head: MarginHead, world: World) -> None:
        self.head, self.world = head, world
        self.places = [share(head.classes, world, rank) for rank in range(world.size)]

    def state_dict(self) -> dict[str, Any]:
        return {**self.head.state_dict(), "weight": self.world.bring(self.head.weight, self.places)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        mine = self.places[self.world.rank]
        self.head.load_state_dict({**state, "weight": state["weight"][mine]})


class _WholeSolver:
    """Its optimiser likewise: what it keeps for each centre, e.g. momentum, is brought together and shared out again."""

    def __init__(self, solver: optim.Optimizer, head: MarginHead, world: World) -> None:
        self.solver, self.head, self.world = solver, head, world
        self.places = [share(head.classes, world, rank) for rank in range(world.size)]
        weights = solver.param_groups[0]["params"]
        self.number = next(number for number, weight in enumerate(weights) if weight is head.weight)

    def state_dict(self) -> dict[str, Any]:
        here = len(self.head.weight)
        return self._changed(
            self.solver.state_dict(),
            lambda kept: self.world.bring(kept, self.places) if kept.shape[:1] == (here,) else kept,
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        mine = self.places[self.world.rank]
        self.solver.load_state_dict(
            self._changed(state, lambda kept: kept[mine] if kept.shape[:1] == (self.head.classes,) else kept)
        )

    def _changed(self, state: Mapping[str, Any], change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        kept = state["state"].get(self.number, {})
        new = {name: change(value) if isinstance(value, Tensor) else value for name, value in kept.items()}
        return {**state, "state": {**state["state"], **({self.number: new} if kept else {})}}
