"""Stages of a small byte-level language model, and what each does in an iteration.

Gradients are summed as whole multiples of 2^-40 in int64, so that a sum has the same bits in any
order and whichever worker computed a term (the library's train/fixed_point.hpp).
"""

from __future__ import annotations

import copy
import io
from dataclasses import dataclass
from typing import Any, Iterator, List, Optional, Tuple

import torch
from torch import nn
from torch.distributed.pipelining._backward import stage_backward_input, stage_backward_weight
from torch.nn import functional

ONE, LIMIT = 2.0**40, 64.0


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.mixed = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.joined = nn.Linear(width, width)
        self.dense = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(),
                                   nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.mixed(self.norm(x)).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        heads = functional.scaled_dot_product_attention(*parts, is_causal=True)
        x = x + self.joined(heads.transpose(1, 2).flatten(2))
        return x + self.dense(x)


def make_module(o: Any, stage: int) -> nn.Module:
    """The embedding first, the head last, a block everywhere."""
    torch.manual_seed(o.seed * 1000 + stage)
    parts: List[nn.Module] = [nn.Embedding(256, o.width)] if stage == 0 else []
    parts.append(Block(o.width))
    if stage == o.stages - 1:
        parts += [nn.LayerNorm(o.width), nn.Linear(o.width, 256)]
    return nn.Sequential(*parts)


def loss_of(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def batch_of(o: Any, text: torch.Tensor, iteration: int, pipeline: int, microbatch: int) -> Any:
    """Inputs and targets belong to the iteration and the micro-batch, never to a worker."""
    number = (iteration * o.pipelines + pipeline) * o.microbatches + microbatch
    draw = torch.Generator().manual_seed(o.seed * 1_000_003 + number)
    starts = torch.randint(len(text) - o.context, (o.batch, 1), generator=draw)
    rows = text[starts + torch.arange(o.context + 1)]
    return rows[:, :-1], rows[:, 1:]


def fixed_point(values: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """The terms, and the number of values that do not fit: they count as 0."""
    fits = values.abs() < LIMIT  # a NaN does not
    terms = torch.where(fits, values, 0).double().mul_(ONE).round_().to(torch.int64)
    return terms, (~fits).sum()


@dataclass
class Stash:
    """What a micro-batch leaves at a stage from its forward to its backward_weight."""

    input: torch.Tensor
    output: torch.Tensor
    gradient: Optional[torch.Tensor] = None
    groups: Any = None


class Stage:
    def __init__(self, o: Any, stage: int, device: torch.device) -> None:
        self.first, self.last = stage == 0, stage == o.stages - 1
        self.terms = o.pipelines * o.microbatches
        self.shape, self.device = (o.batch, o.context, o.width), device
        self.module = make_module(o, stage).to(device)
        self.parameters = list(self.module.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=o.rate)
        size = sum(p.numel() for p in self.parameters)
        self.gradient = torch.zeros(size, dtype=torch.int64, device=device)
        #: values that did not fit, sum of losses
        self.flag = torch.zeros(2, dtype=torch.int64, device=device)
        self.done: Optional[int] = 0  # steps taken; None: the state is still to come
        self.kept: Any = None  # the state one step before

    def message(self) -> torch.Tensor:
        return torch.empty(self.shape, device=self.device)

    def forward(self, x: Any, inputs: torch.Tensor, targets: torch.Tensor) -> Any:
        x = inputs.to(self.device) if self.first else x.requires_grad_()
        output = self.module(x)
        if self.last:
            output = loss_of(output, targets.to(self.device))
        return output.detach(), Stash(x, output)

    def backward_input(self, stash: Stash, gradient: Optional[torch.Tensor]) -> Any:
        """PyTorch makes no weight gradients later where the input needs no gradient, so the first
        stage leaves all of its backward to `backward_weight`."""
        stash.gradient = None if self.last else gradient
        if self.first:
            return None
        inputs, stash.groups = stage_backward_input(
            [stash.output], None if self.last else [gradient], [stash.input], self._weights())
        return inputs[0]

    def backward_weight(self, stash: Stash) -> None:
        if self.first:
            torch.autograd.backward(stash.output, stash.gradient)
        else:
            stage_backward_weight(self._weights(), stash.groups)
        self.add_gradients()
        if self.last:
            self._add(self.flag[1:], stash.output.detach())

    def add_gradients(self) -> None:
        """Moves the parameters' gradients to the sum."""
        self._add(self.gradient, torch.cat([p.grad.flatten() for p in self.parameters]))
        self.optimizer.zero_grad()

    def _weights(self) -> Iterator[nn.Parameter]:
        return iter(self.parameters)

    def _add(self, total: torch.Tensor, values: torch.Tensor) -> None:
        terms, unfit = fixed_point(values)
        total += terms
        self.flag[0] += unfit

    def step(self) -> None:
        if self.flag[0]:
            raise ValueError(f"step {self.done}: {int(self.flag[0])} gradients or losses are not "
                             f"finite, or not below {LIMIT:g}")
        mean = (self.gradient.double() / (ONE * self.terms)).float()
        for p, part in zip(self.parameters, mean.split([p.numel() for p in self.parameters])):
            p.grad = part.view_as(p)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.done += 1

    def loss(self) -> float:
        return int(self.flag[1]) / (ONE * self.terms)

    def state(self) -> Any:
        return {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: Any, done: int) -> None:
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done, self.kept = done, None

    def keep(self) -> None:
        self.kept = copy.deepcopy(self.state())

    def undo(self) -> None:
        self.load(self.kept, self.done - 1)

    def as_bytes(self) -> torch.Tensor:
        file = io.BytesIO()
        torch.save(self.state(), file)
        return torch.frombuffer(file.getbuffer(), dtype=torch.uint8).to(self.device)

    def from_bytes(self, data: torch.Tensor, done: int) -> None:
        self.load(torch.load(io.BytesIO(data.cpu().numpy().tobytes()), self.device), done)


def train_alone(o: Any, text: torch.Tensor) -> List[float]:
    """The losses of the whole model in one process: no program, no messages, no split backward."""
    stages = [Stage(o, s, torch.device("cpu")) for s in range(o.stages)]
    losses = []
    for iteration in range(o.iterations):
        for stage in stages:
            stage.gradient.zero_(), stage.flag.zero_()
        for pipeline in range(o.pipelines):
            for microbatch in range(o.microbatches):
                x, targets = batch_of(o, text, iteration, pipeline, microbatch)
                for stage in stages:
                    x = stage.module(x)
                loss = loss_of(x, targets)
                loss.backward()
                stages[-1]._add(stages[-1].flag[1:], loss.detach())
                for stage in stages:
                    stage.add_gradients()
        for stage in stages:
            stage.step()
        losses.append(stages[-1].loss())
    return losses
