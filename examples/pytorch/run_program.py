"""Runs one rank's list of a program (docs/lowering.md) over torch.distributed, in list order.

A rank holds one stage. Buffers 0 to 3 of its list are the stage's state, kept state, sum of
gradients and flag; the others hold what operations and messages hand on.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Callable, Dict, List

import torch
import torch.distributed as dist

KEPT, GRADIENT, FLAG = 1, 2, 3
REDUCTION, STATE = 2, 3  # tags of messages beside the program's channels 0 and 1


class Transport:
    """Messages between the ranks of a program that live. Every wait has the same time-out."""

    def __init__(self, members: List[int], rank: int, timeout: float) -> None:
        self.rank, self.timeout = rank, timedelta(seconds=timeout)
        self.place = {member: place for place, member in enumerate(members)}
        self.pending: List[Any] = []  # sends under way, with what they send

    def send(self, tensor: torch.Tensor, peer: int, tag: int) -> None:
        tensor = tensor.contiguous()
        self.pending.append((dist.isend(tensor, self.place[peer], tag=tag), tensor))

    def receive(self, into: torch.Tensor, peer: int, tag: int) -> torch.Tensor:
        dist.irecv(into, self.place[peer], tag=tag).wait(self.timeout)
        return into

    def all_reduce(self, total: torch.Tensor, members: List[int]) -> None:
        """Sums integers in place: member j sums part j of all, then sends it to all."""
        others = [member for member in members if member != self.rank]
        part = dict(zip(members, total.tensor_split(len(members))))  # some may be empty
        mine = part[self.rank]
        for peer in others:
            if part[peer].numel():
                self.send(part[peer], peer, REDUCTION)
        if mine.numel():
            for peer in others:
                mine += self.receive(torch.empty_like(mine), peer, REDUCTION)
            for peer in others:
                self.send(mine, peer, REDUCTION)
        for peer in others:
            if part[peer].numel():
                self.receive(part[peer], peer, REDUCTION)

    def flush(self) -> None:
        for work, _ in self.pending:
            work.wait(self.timeout)
        self.pending.clear()


def run(
    instructions: List[Dict[str, Any]],
    groups: List[List[int]],
    stage: Any,
    transport: Transport,
    data: Callable[[int, int], Any],
    before: Callable[[int], None] = lambda index: None,
) -> None:
    """Runs one iteration. `data(pipeline, microbatch)` are the inputs and targets of a
    micro-batch, `before(index)` is called before each instruction."""
    held: Dict[int, Any] = {GRADIENT: stage.gradient, FLAG: stage.flag}
    for index, i in enumerate(instructions):
        before(index)
        reads = [held.get(buffer) for buffer, _, _ in i["reads"]]
        writes = [buffer for buffer, _, _ in i["writes"]]
        if i["code"] == "compute":
            _compute(i["op"], stage, reads, writes, held, data)
        elif i["code"] == "send":
            transport.send(reads[0], i["peer"], i["channel"])
        elif i["code"] == "receive":
            held[writes[0]] = transport.receive(stage.message(), i["peer"], i["channel"])
        elif i["code"] == "fill":
            held[writes[0]].zero_()
        elif i["code"] == "all_reduce":
            transport.all_reduce(reads[0], groups[i["group"]])
        elif i["code"] == "copy" and writes == [KEPT]:
            stage.keep()
        else:
            raise NotImplementedError(f"instruction {index}: {i}")
    transport.flush()


def _compute(op: Dict[str, Any], stage: Any, reads: List[Any], writes: List[int],
             held: Dict[int, Any], data: Callable[[int, int], Any]) -> None:
    """Reads and writes are those of lower/pipeline.hpp."""
    kind = op["kind"]
    if kind == "forward":  # state, input -> output, stash
        batch = data(op["pipeline"], op["microbatch"])
        held[writes[0]], held[writes[1]] = stage.forward(reads[1], *batch)
    elif kind == "step":
        stage.step()
    else:  # state, input, stash, output_gradient, ... -> input_gradient, ...
        if kind in ("backward", "backward_input"):
            held[writes[0]] = stage.backward_input(reads[2], reads[3])
        if kind in ("backward", "backward_weight"):
            stage.backward_weight(reads[2])
