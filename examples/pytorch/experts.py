"""A model with mixture-of-experts layers, trained as SwiftMoE does: the experts of a layer live in
the slots of all ranks, placed anew in every iteration by the tokens they got; their optimizer's
state is cut over all ranks and stays. Programs of shunt move weights, gradients and state.

Experts compute on a grid: inputs, weights and gradients are whole multiples of a power of two, and
so small that sums of their products are exact in float64. So the bits do not depend on which rows
a slot has, and without a capacity losses are the same under every placement.
"""
import copy
import itertools

import torch
from shunt_planner import (InvalidProblem, collect_gradients, cut_shards, plan_experts,
                           restore_shards, scatter_weights, split_tokens)
from torch import nn

from options import Stop
from run_program import run_on_bytes
from stages import Block, Trained, batch_of, loss_of, text_of

# Bits: 17 of inputs and of weights, 23 of gradients, 13 of rows: 53 in the sums.
INPUT, WEIGHT, SLOPE = (2.0**-12, 2.0**5), (2.0**-14, 2.0**3), (2.0**-28, 2.0**-5)


def on_grid(values, grid):
    step, limit = grid
    return (values.double() / step).round_().clamp_(-limit / step, limit / step) * step


class Product(torch.autograd.Function):
    """x @ w.T on the grid. The gradient of w is exact, in float64 as w is."""

    @staticmethod
    def forward(ctx, x, w):
        x, w = on_grid(x, INPUT), on_grid(w, WEIGHT)
        ctx.save_for_backward(x, w)
        return (x @ w.T).float()

    @staticmethod
    def backward(ctx, gradient):
        x, w = ctx.saved_tensors
        gradient = on_grid(gradient, SLOPE)
        return (gradient @ w).float(), gradient.T @ x


def expert(x, weights):
    """Two layers: width to 4 x width and back. `weights` is flat."""
    first, second = weights.view(2, -1, x.shape[1])
    return Product.apply(Product.apply(x, first).relu(), second.T)


def initial(o, layer, number):
    draw = torch.Generator().manual_seed(o.seed * 1_000_003 + layer * o.experts + number + 1)
    return torch.randn(8 * o.width**2, generator=draw) * o.width**-0.5


class Model(nn.Module):
    """All but the experts."""

    def __init__(self, o):
        super().__init__()
        torch.manual_seed(o.seed * 1000)
        self.embedding, self.head = nn.Embedding(256, o.width), nn.Linear(o.width, 256)
        self.blocks = nn.ModuleList(Block(o.width) for _ in range(o.layers))
        self.norms = nn.ModuleList(nn.LayerNorm(o.width) for _ in range(o.layers))
        self.routers = nn.ModuleList(nn.Linear(o.width, o.experts) for _ in range(o.layers))


def adam(state, gradient, t):
    """Steps on the rows of `state`: parameters and both moments. Each operation is rounded alone,
    so it does not matter where in a shard a parameter stands."""
    p, m, v = state
    m.mul_(0.9).add_(gradient * 0.1)
    v.mul_(0.999).add_(gradient * gradient * 0.001)
    p.sub_(m / (1 - 0.9**t) / ((v / (1 - 0.999**t)).sqrt_() + 1e-8) * 0.001)


class DenseRank(Trained):
    """The parameters that every rank has, and the way of micro-batches through the model."""

    def __init__(self, o):
        self.o, self.text, self.model = o, text_of(o), Model(o)
        values = torch.cat([p.detach().flatten() for p in self.model.parameters()])
        self.dense = torch.stack([values, torch.zeros_like(values), torch.zeros_like(values)])
        self.begin(len(values), o.pipelines * o.microbatches, "cpu")

    def through(self, k, microbatches, experts):
        """Forward and backward. `experts(layer, rows, the expert of each)` returns their outputs.
        Each micro-batch has parameters of its own, so that its gradient is rounded alone."""
        sizes = [p.numel() for p in self.model.parameters()]
        for p, part in zip(self.model.parameters(), self.dense[0].split(sizes)):
            p.data.copy_(part.view_as(p))
        batches = [batch_of(self.o, self.text, k, *divmod(m, self.o.microbatches))
                   for m in microbatches]
        models = [copy.deepcopy(self.model) for _ in batches]
        xs = [m.embedding(inputs) for m, (inputs, _) in zip(models, batches)]
        for layer in range(self.o.layers):
            xs = [m.blocks[layer](x) for m, x in zip(models, xs)]
            rows = [m.norms[layer](x).flatten(0, 1) for m, x in zip(models, xs)]
            gates, chosen = zip(*(m.routers[layer](r).softmax(-1).max(-1)
                                  for m, r in zip(models, rows)))
            outputs = experts(layer, torch.cat(rows), torch.cat(chosen)).split(len(rows[0]))
            xs = [x + (gate[:, None] * y).view_as(x) for x, gate, y in zip(xs, gates, outputs)]
        losses = [loss_of(m.head(x), targets) for m, x, (_, targets) in zip(models, xs, batches)]
        sum(losses).backward()
        self.gradient.zero_(), self.flag.zero_()
        for m, loss in zip(models, losses):
            self.add(self.gradient, torch.cat([p.grad.flatten() for p in m.parameters()]))
            self.add(self.flag[1:], loss.detach())

    def step(self):
        adam(self.dense, self.mean(self.gradient), self.done + 1)
        self.done += 1


class Exchange(torch.autograd.Function):
    """Rows to other ranks; their gradients go the way back."""

    @staticmethod
    def forward(ctx, rows, sent, received, exchange):
        ctx.back = received, sent, exchange
        return exchange(rows, sent, received)

    @staticmethod
    def backward(ctx, gradient):
        received, sent, exchange = ctx.back
        return exchange(gradient.contiguous(), received, sent), None, None, None


def placed(o, loads, slots_per_rank):
    """The placement for these loads [layers, experts]. Raises Stop."""
    try:
        answer = plan_experts(layers=o.layers, experts=o.experts, loads=loads,
                              slots_per_rank=slots_per_rank, solver=o.placer)
    except InvalidProblem as wrong:
        raise Stop(f"--placer: {wrong}")
    if answer.plan is None:
        raise Stop(f"--placer {o.placer}: {answer.reason}")
    return answer.plan


def bytes_of(tensor):
    return tensor.view(-1).view(torch.uint8)


class ExpertRank(DenseRank):
    """One rank. What it holds of experts for good is `state`: per layer three rows, parameters and
    moments of its shards, by expert and begin."""

    def __init__(self, o, rank):
        super().__init__(o)
        self.rank, self.base = rank, None  # what was before the shards of lost ranks moved
        self.shards = cut_shards(experts=o.experts, ranks=o.ranks, elements=8 * o.width**2,
                                 copies=o.copies)
        parts = [(e, begin, end) for e, shards in enumerate(self.shards.shards)
                 for owner, begin, end, *mirrors in shards if rank in (owner, *mirrors)]
        self.state_of = [torch.stack([values, torch.zeros_like(values), torch.zeros_like(values)])
                         for values in (torch.cat([torch.empty(0)] + [
                             initial(o, layer, e)[begin:end] for e, begin, end in parts])
                             for layer in range(o.layers))]
        self.loads = torch.zeros(o.layers, o.experts, dtype=torch.int64)

    def state(self):
        return self.dense, self.state_of, self.loads

    def load(self, state, done):
        self.dense, self.state_of, self.loads = state
        self.done, self.kept = done, None

    def recover(self, live, start, transport):
        """Brings the shards of lost ranks back from their mirrors. Where that is interrupted, or no
        step follows, the next round begins with what was before."""
        if self.base and self.base[0] == start:
            _, self.shards, self.state_of = self.base
        dead = [rank for rank in range(self.o.ranks) if rank not in live]
        if not dead:
            return
        self.base = start, self.shards, self.state_of
        self.shards, program = restore_shards(self.shards, ranks=self.o.ranks, dead=dead, planes=3)
        after = [torch.empty(3, program.buffers(self.rank)[1] // 12) for _ in self.state_of]
        for old, new in zip(self.state_of, after):
            run_on_bytes(program.instructions(self.rank), {0: bytes_of(old), 1: bytes_of(new)},
                         transport)
        self.state_of = after

    def plan(self, live, transport):
        """Returns what runs an iteration on these ranks."""
        self.live, self.transport = live, transport
        self.slots_per_rank = [self.o.slots * (rank in live) for rank in range(self.o.ranks)]
        if sum(self.slots_per_rank) < self.o.experts:
            raise Stop(f"{sum(self.slots_per_rank)} slots are left for {self.o.experts} experts")

        def run(k, before):
            try:
                self.iterate(k, before)
            finally:  # a send under way would keep connections open, and peers unaware of a loss
                transport.pending.clear()
        return run

    def iterate(self, k, before):
        o, transport = self.o, self.transport
        self.placement = placed(o, self.loads, self.slots_per_rank)
        scatter, collect = (lowered(self.placement, self.shards)
                            for lowered in (scatter_weights, collect_gradients))
        lists = [program.instructions(self.rank) for program in (scatter, collect)]
        size, number = sum(map(len, lists)) + 4 * o.layers, itertools.count()
        self.point = lambda: before(next(number), size)

        weights = [torch.empty(o.slots, 8 * o.width**2) for _ in range(o.layers)]
        memory = [bytes_of(t) for pair in zip(weights, (s[0] for s in self.state_of)) for t in pair]
        run_on_bytes(lists[0], memory, transport, self.point)

        self.slots = [[slot.double().requires_grad_() for slot in layer] for layer in weights]
        self.counted, self.fullest, self.dropped = [], [], 0
        mine = [m for m in range(self.terms) if self.live[m % len(self.live)] == self.rank]
        self.through(k, mine, self.experts)
        sums = [torch.zeros(w.shape, dtype=torch.int64) for w in weights]
        for layer, of_slots in zip(self.slots, sums):
            for slot, total in zip(layer, of_slots):
                self.add(total, slot.grad)
        for total in (self.gradient, self.flag):
            transport.all_reduce(total, self.live)
        self.refuse_misfits()

        shards = [torch.empty(s.shape[1], dtype=torch.int64) for s in self.state_of]
        arriving = [torch.empty(size, dtype=torch.uint8)
                    for size in collect.buffers(self.rank)[2::3]]
        memory = [t for three in zip(map(bytes_of, sums), map(bytes_of, shards), arriving)
                  for t in three]
        run_on_bytes(lists[1], memory, transport, self.point)

        self.keep()
        for state, total in zip(self.state_of, shards):
            adam(state, self.mean(total), self.done + 1)
        self.loads = torch.stack(self.counted)
        self.step()
        if self.base and self.base[0] < k:
            self.base = None

    def exchange(self, rows, sent, received):
        self.point()
        return self.transport.exchange(rows, sent, received)

    def experts(self, layer, rows, chosen):
        """Sends rows to the slots of their experts, and the outputs back."""
        o, rank, live, placement = self.o, self.rank, self.live, self.placement
        own = torch.bincount(chosen, minlength=o.experts)
        counts = torch.zeros(o.ranks, o.experts, dtype=torch.int64)
        equal = [o.experts] * len(live)
        counts[live] = self.transport.exchange(own.repeat(len(live)), equal, equal).view(
            len(live), -1)
        tokens, drops = map(torch.from_numpy, split_tokens(
            counts.numpy(), placement, layer, capacity=o.capacity or None))
        by_rank = torch.stack([part.sum(1) for part in tokens.split(self.slots_per_rank, 1)], 1)
        taken = by_rank.sum(0)
        self.counted.append(counts.sum(0))
        self.fullest.append(float(taken.max() * len(live) / taken.sum()))
        self.dropped += int(drops.sum())

        # The rows of an expert fill its slots in order; those that drop come behind all slots.
        slots = torch.cat([torch.tensor(placement.expert_of[layer]), torch.arange(o.experts)])
        by_expert = slots.argsort(stable=True)
        slot_of = torch.empty_like(chosen)
        slot_of[chosen.argsort(stable=True)] = by_expert.repeat_interleave(
            torch.cat([tokens[rank], drops[rank]])[by_expert])
        order = slot_of.argsort(stable=True)[:int(tokens[rank].sum())]

        sent, received = by_rank[rank, live].tolist(), by_rank[live, rank].tolist()
        arrived = Exchange.apply(rows[order], sent, received, self.exchange)
        first = sum(self.slots_per_rank[:rank])
        here = tokens[live, first:first + o.slots]  # by source and slot, as they arrived
        by_slot = torch.arange(o.slots).repeat(len(live)).repeat_interleave(
            here.flatten()).argsort(stable=True)
        parts = arrived[by_slot].split(here.sum(0).tolist())
        outputs = torch.cat([expert(x, w) for x, w in zip(parts, self.slots[layer])])
        answers = Exchange.apply(outputs[by_slot.argsort()], received, sent, self.exchange)
        return torch.zeros_like(rows).index_copy(0, order, answers)

    def figures(self):
        return {**super().figures(), "fullest": sum(self.fullest) / len(self.fullest),
                "dropped": self.dropped}


def train_alone(o):
    """The losses in one process: no placement, no program, no messages."""
    rank, losses = DenseRank(o), []
    state = [[torch.stack([w, torch.zeros_like(w), torch.zeros_like(w)]) for w in (
        initial(o, layer, e) for e in range(o.experts))] for layer in range(o.layers)]
    for k in range(o.iterations):
        weights = [[s[0].double().requires_grad_() for s in layer] for layer in state]

        def experts(layer, rows, chosen):
            outputs = torch.zeros_like(rows)
            for e, w in enumerate(weights[layer]):
                to = (chosen == e).nonzero().flatten()
                outputs = outputs.index_copy(0, to, expert(rows[to], w))
            return outputs

        rank.through(k, range(rank.terms), experts)
        for s, w in zip(itertools.chain(*state), itertools.chain(*weights)):
            rank.add(total := torch.zeros(len(w), dtype=torch.int64), w.grad)
            adam(s, rank.mean(total), k + 1)
        rank.refuse_misfits()
        rank.step()
        losses.append(rank.figures()["loss"])
    return losses
