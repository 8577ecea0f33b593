"""Stages of a small byte-level language model, and what each does in an iteration.

Gradients are summed as whole multiples of 2^-40 in int64, so a sum has the same bits in any order
and whichever worker computed a term (the library's train/fixed_point.hpp).
"""
import copy
import io
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.distributed.pipelining._backward import stage_backward_input, stage_backward_weight
from torch.nn import functional

from options import Stop

ONE, LIMIT = 2.0**40, 64.0


class Block(nn.Module):
    """Attention and a dense part, with residuals."""

    def __init__(self, width):
        super().__init__()
        self.norm, self.mixed = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.dense = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(),
                                   nn.Linear(4 * width, width))

    def forward(self, x):
        parts = self.mixed(self.norm(x)).chunk(3, -1)
        x = x + functional.scaled_dot_product_attention(*parts, is_causal=True)
        return x + self.dense(x)


def text_of(o):
    data = Path(o.text or __file__).read_bytes()
    if len(data) <= o.context:
        raise Stop(f"--text: has {len(data)} bytes, --context {o.context} needs more")
    return torch.tensor(list(data))


def batch_of(o, text, iteration, pipeline, microbatch):
    """Inputs and targets. They belong to iteration and micro-batch, never to a worker."""
    number = (iteration * o.pipelines + pipeline) * o.microbatches + microbatch
    draw = torch.Generator().manual_seed(o.seed * 1_000_003 + number)
    starts = torch.randint(len(text) - o.context, (o.batch, 1), generator=draw)
    rows = text[starts + torch.arange(o.context + 1)]
    return rows[:, :-1], rows[:, 1:]


def loss_of(logits, targets):
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


@dataclass
class Stash:
    """What a micro-batch leaves at a stage from its forward to its backward_weight."""
    input: torch.Tensor
    output: torch.Tensor
    gradient: torch.Tensor | None = None
    groups: list | None = None


class Trained:
    """Sums of an iteration in fixed point, and the step that can be undone. `flag` counts values
    out of range, and sums losses."""

    def begin(self, parameters, terms, device):
        self.gradient = torch.zeros(parameters, dtype=torch.int64, device=device)
        self.flag = torch.zeros(2, dtype=torch.int64, device=device)
        self.terms, self.device = terms, device
        self.done = 0  # steps taken; None: the state is still to come
        self.kept = None  # the state before the last step

    def add(self, total, values):
        fits = values.abs() < LIMIT  # a NaN does not
        total += torch.where(fits, values, 0).double().mul_(ONE).round_().to(torch.int64)
        self.flag[0] += (~fits).sum()

    def mean(self, total):
        return (total.double() / (ONE * self.terms)).float()

    def refuse_misfits(self):
        if self.flag[0]:
            raise Stop(f"iteration {self.done}: {self.flag[0]} gradients or losses are not finite "
                       f"or not below {LIMIT:g}")

    def figures(self):
        """What the supervisor is told of an iteration."""
        return {"loss": int(self.flag[1]) / (ONE * self.terms)}

    def keep(self):
        self.kept = copy.deepcopy(self.state())

    def undo(self):
        self.load(self.kept, self.done - 1)


class Stage(Trained):
    """The embedding first, the head and the loss last, a block everywhere."""

    def __init__(self, o, stage, device="cpu"):
        self.first, self.last = stage == 0, stage == o.stages - 1
        self.shape = (o.batch, o.context, o.width)
        torch.manual_seed(o.seed * 1000 + stage)
        parts = [nn.Embedding(256, o.width)] if self.first else []
        parts += [Block(o.width)] + ([nn.Linear(o.width, 256)] if self.last else [])
        self.module = nn.Sequential(*parts).to(device)
        self.parameters = list(self.module.parameters())
        self.sizes = [p.numel() for p in self.parameters]
        self.optimizer = torch.optim.AdamW(self.parameters)
        self.begin(sum(self.sizes), o.pipelines * o.microbatches, device)

    def message(self):
        return torch.empty(self.shape, device=self.device)

    def forward(self, x, inputs, targets):
        x = inputs.to(self.device) if self.first else x.requires_grad_()
        output = self.module(x)
        if self.last:
            output = loss_of(output, targets.to(self.device))
        return output.detach(), Stash(x, output)

    def backward_input(self, stash, gradient):
        """Where the input needs no gradient PyTorch would make no weight gradients later. So the
        first stage leaves its whole backward to `backward_weight`."""
        stash.gradient = None if self.last else gradient
        if self.first:
            return None
        inputs, stash.groups = stage_backward_input(
            [stash.output], None if self.last else [gradient], [stash.input],
            iter(self.parameters))
        return inputs[0]

    def backward_weight(self, stash):
        if self.first:
            torch.autograd.backward(stash.output, stash.gradient)
        else:
            stage_backward_weight(iter(self.parameters), stash.groups)
        self.collect(stash.output.detach())

    def collect(self, loss):
        """Moves the parameters' gradients, and the loss, to the sums."""
        self.add(self.gradient, torch.cat([p.grad.flatten() for p in self.parameters]))
        self.optimizer.zero_grad()
        if self.last:
            self.add(self.flag[1:], loss)

    def step(self):
        self.refuse_misfits()
        for p, part in zip(self.parameters, self.mean(self.gradient).split(self.sizes)):
            p.grad = part.view_as(p)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.done += 1

    def figures(self):
        return super().figures() if self.last else {}

    def state(self):
        return {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state, done):
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done, self.kept = done, None

    def as_bytes(self):
        torch.save(self.state(), file := io.BytesIO())
        return torch.frombuffer(file.getbuffer(), dtype=torch.uint8).to(self.device)

    def from_bytes(self, data, done):
        self.load(torch.load(io.BytesIO(data.cpu().numpy().tobytes()), self.device), done)


def train_alone(o):
    """The losses in one process: no program, no messages, no split backward."""
    stages, text, losses = [Stage(o, s) for s in range(o.stages)], text_of(o), []
    for k in range(o.iterations):
        for stage in stages:
            stage.gradient.zero_(), stage.flag.zero_()
        for number in range(o.pipelines * o.microbatches):
            x, targets = batch_of(o, text, k, *divmod(number, o.microbatches))
            for stage in stages:
                x = stage.module(x)
            loss = loss_of(x, targets)
            loss.backward()
            for stage in stages:
                stage.collect(loss.detach())
        for stage in stages:
            stage.step()
        losses.append(stages[-1].figures()["loss"])
    return losses
