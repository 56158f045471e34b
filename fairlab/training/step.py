"""One update of the weights: forward, backward, clipping, and what there is to read from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, optim

from fairlab.methods.base import Batch, Method
from fairlab.settings.study import Training
from fairlab.training.together import Together


@dataclass(frozen=True)
class Updates:
    """How the weights of a method are changed, step by step."""

    method: Method
    solvers: Mapping[str, optim.Optimizer]
    settings: Training
    scaler: torch.amp.GradScaler | None = None
    """Of fp16."""
    together: Together | None = None
    """The processes that make a step, each with its share of the batches' images."""
    groups: Sequence[str] = ()
    """Names of the images' groups, by their number: readings that are counts bear them."""

    def update(self, batches: Sequence[Batch], rate: float, compare: bool = False) -> dict[str, float]:
        """One step from the mean of the `batches`' losses: its terms, the method's readings and the gradient's norm.

        The norm is that before clipping.
        compare: also the readings of `gradients`, of the last batch. With a NaN or infinite term the weights stay as they
        are. So they do where only an fp16 gradient overflows: then the scale is lowered, "skipped" is 1 and the norm 0.
        Parts of the method that its stage freezes keep every bit, whatever their optimiser remembers.
        """
        for name, solver in self.solvers.items():
            for group in solver.param_groups:
                group["lr"] = rate * self.method.rate if name == "method" else rate
            solver.zero_grad(set_to_none=True)
        values, apart = self._backward(batches, compare)
        finite = all(map(math.isfinite, values.values()))
        norm = self._gradient()
        values |= {"grad_norm": norm}
        if self.scaler is not None and finite:
            overflow = not math.isfinite(norm)
            values |= {"grad_norm": 0.0 if overflow else norm, "skipped": float(overflow)}
            for solver in self._moving():
                if not overflow:
                    self.scaler.step(solver)
            self.scaler.update()
        elif finite and math.isfinite(norm):
            for solver in self._moving():
                solver.step()
        return values | apart

    def _moving(self) -> list[optim.Optimizer]:
        """The optimisers of what has a gradient: of a frozen part there is none, and fp16's scaler refuses such a one."""
        return [
            solver
            for solver in self.solvers.values()
            if any(weight.grad is not None for group in solver.param_groups for weight in group["params"])
        ]

    def _freeze(self) -> None:
        """No gradient for what does not train in this stage."""
        for name in self.method.now.frozen:
            for weight in self.method.get_submodule(name).parameters():
                weight.grad = None

    def _backward(self, batches: Sequence[Batch], compare: bool) -> tuple[dict[str, float], dict[str, float]]:
        """Forward and backward pass of all batches: (mean of each term and the method's readings, those of `gradients`)."""
        values: dict[str, float] = {}
        apart: dict[str, float] = {}
        embeddings: list[Tensor] = []
        for number, batch in enumerate(batches):
            if compare and number == len(batches) - 1:
                watch = self.method.learner.register_forward_hook(lambda _module, _inputs, out: embeddings.append(out))
                terms = self.method(batch)
                watch.remove()
                apart = gradients(terms, embeddings, self.together)
            else:
                terms = self.method(batch)
            loss = terms["loss"] if len(batches) == 1 else terms["loss"] / len(batches)
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()
            for name, value in {**terms, **self.method.readings()}.items():
                values[name] = values.get(name, 0.0) + float(value.detach()) / len(batches)
            for name, count in counted(self.method.counts, self.groups).items():
                values[name] = values.get(name, 0.0) + count
        self._freeze()
        return values, apart

    def _gradient(self) -> float:
        """Clip the network's gradient; its norm before, NaN where what is not clipped has one that is not finite."""
        if self.together is not None:
            self.together.even_out(self.scaler is not None)
        if self.scaler is not None:
            for solver in self.solvers.values():
                self.scaler.unscale_(solver)
        norm = float(torch.nn.utils.clip_grad_norm_(self.method.learner.parameters(), self.settings.clip_norm))
        infinite = not _finite_beside(self.method)  # each process sees its own share of the classifier
        if self.together is not None:
            infinite = self.together.world.any(infinite)
        return math.nan if infinite else norm


def seed_step(number: int, device: torch.device) -> None:
    """Seed what a step draws. On the CPU its generator alone: torch.manual_seed formats a stack for each other device."""
    torch.default_generator.manual_seed(number)
    if device.type != "cpu":
        torch.manual_seed(number)


def counted(tables: Mapping[str, Tensor], groups: Sequence[str]) -> dict[str, float]:
    """A method's counts as readings: "<name>/<group>", and of a table with columns "<name>/<group>/<column from 1>"."""
    found: dict[str, float] = {}
    for name, table in tables.items():
        for group, row in zip(groups, table.tolist(), strict=False):  # a batch may lack the last groups
            columns = row if isinstance(row, list) else None
            if columns is None:
                found[f"{name}/{group}"] = float(row)
            else:
                found |= {f"{name}/{group}/{number}": float(count) for number, count in enumerate(columns, 1)}
    return found


def _finite_beside(method: Method) -> bool:
    """Are the gradients of what is not clipped, the classifier and what else learns, finite too?"""
    clipped = {id(weight) for weight in method.learner.parameters()}
    others = [weight.grad for weight in method.parameters() if weight.grad is not None and id(weight) not in clipped]
    values = [gradient._values() if gradient.is_sparse else gradient for gradient in others]
    return not values or bool(torch.isfinite(torch.nn.utils.get_total_norm(values)))


def gradients(
    terms: Mapping[str, Tensor], embeddings: Sequence[Tensor], together: Together | None = None
) -> dict[str, float]:
    """How hard each loss term that is not zero pulls: "gradient/<term>", the length of its gradient, () each.

    With respect to the batch's embeddings (B, D) as they leave the network: all terms act on the weights through them,
    and to go so far costs a pass back through classifier and loss alone; through the network each term would cost a
    whole backward pass. Nothing for a single term, which nothing can drown.
    """
    watched = [embedding for embedding in embeddings if embedding.requires_grad]
    pulling = {
        name: term for name, term in terms.items() if name != "loss" and term.requires_grad and float(term.detach())
    }
    if len(pulling) < 2 or not watched:
        return {}
    lengths = {}
    for name, term in pulling.items():
        found = torch.autograd.grad(term, watched, retain_graph=True, allow_unused=True)
        parts = [part for part in found if part is not None]
        if together is not None and together.world.size > 1:
            lengths[f"gradient/{name}"] = together.length(parts)
        else:
            lengths[f"gradient/{name}"] = math.sqrt(sum(float(part.square().sum()) for part in parts))
    return lengths
