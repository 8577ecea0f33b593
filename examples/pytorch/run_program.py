"""Runs one rank's list of a program (docs/lowering.md) over torch.distributed, in list order.

A rank holds one stage. Buffers 0 to 3 of its list are the stage's state, kept state, sum of
gradients and flag; the others hold what operations and messages hand on.
"""
from datetime import timedelta

import torch
import torch.distributed as dist

KEPT, GRADIENT, FLAG = 1, 2, 3
REDUCTION, STATE, ROWS = 2, 3, 4  # tags of messages beside the program's channels 0 and 1


class Transport:
    """Messages between live ranks of a program. Every wait has the same time-out, in seconds."""

    def __init__(self, members, rank, timeout):
        self.rank, self.timeout = rank, timedelta(seconds=timeout)
        self.place = {member: place for place, member in enumerate(members)}
        self.pending = []  # sends under way, with what they send

    def send(self, tensor, peer, tag):
        tensor = tensor.contiguous()
        self.pending.append((dist.isend(tensor, self.place[peer], tag=tag), tensor))

    def receive(self, into, peer, tag):
        dist.irecv(into, self.place[peer], tag=tag).wait(self.timeout)
        return into

    def all_reduce(self, total, members):
        """Sums integers in place: member j sums part j of all, then sends it to all."""
        others = [member for member in members if member != self.rank]
        part = dict(zip(members, total.tensor_split(len(members))))  # some may be empty
        mine, filled = part[self.rank], [member for member in others if part[member].numel()]
        for peer in filled:
            self.send(part[peer], peer, REDUCTION)
        if mine.numel():
            for peer in others:
                mine += self.receive(torch.empty_like(mine), peer, REDUCTION)
            for peer in others:
                self.send(mine, peer, REDUCTION)
        for peer in filled:
            self.receive(part[peer], peer, REDUCTION)

    def exchange(self, rows, sent, received):
        """All-to-all: so many rows to each member and from each, in the order of members."""
        parts, arrived = rows.split(sent), []
        for member, part in zip(self.place, parts):
            if member != self.rank and len(part):
                self.send(part, member, ROWS)
        for member, part, count in zip(self.place, parts, received):
            if member != self.rank:
                part = rows.new_empty(count, *rows.shape[1:])
                if count:
                    self.receive(part, member, ROWS)
            arrived.append(part)
        return torch.cat(arrived)

    def flush(self):
        for work, _ in self.pending:
            work.wait(self.timeout)
        self.pending.clear()


def run(instructions, groups, stage, transport, data, before=lambda index, size: None):
    """Runs one iteration of a stage. `data(pipeline, microbatch)` are inputs and targets of a micro-batch;
    `before(index, size of the list)` is called before each instruction."""
    held = {GRADIENT: stage.gradient, FLAG: stage.flag}
    for index, i in enumerate(instructions):
        before(index, len(instructions))
        reads = [held.get(buffer) for buffer, _, _ in i["reads"]]
        writes = [buffer for buffer, _, _ in i["writes"]]
        if i["code"] == "compute":
            compute(i["op"], stage, reads, writes, held, data)
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


def run_on_bytes(instructions, memory, transport, before=lambda: None):
    """Runs a list that computes nothing: regions are bytes of `memory`, sums are of int64."""
    for index, i in enumerate(instructions):
        before()
        reads, writes = ([memory[buffer][begin:begin + size] for buffer, begin, size in i[key]]
                         for key in ("reads", "writes"))
        if i["code"] == "send":
            transport.send(reads[0], i["peer"], i["channel"])
        elif i["code"] == "receive":
            transport.receive(writes[0], i["peer"], i["channel"])
        elif i["code"] == "copy":
            writes[0].copy_(reads[0])
        elif i["code"] == "add" and i["type"] == "int64":
            writes[0].view(torch.int64).add_(reads[0].view(torch.int64))
        else:
            raise NotImplementedError(f"instruction {index}: {i}")
    transport.flush()


def compute(op, stage, reads, writes, held, data):
    """The operations, with the regions of lower/pipeline.hpp."""
    if op["kind"] == "forward":  # state, input -> output, stash
        batch = data(op["pipeline"], op["microbatch"])
        held[writes[0]], held[writes[1]] = stage.forward(reads[1], *batch)
    if op["kind"] in ("backward", "backward_input"):  # state, input, stash, output_gradient, ...
        held[writes[0]] = stage.backward_input(reads[2], reads[3])  # -> input_gradient, ...
    if op["kind"] in ("backward", "backward_weight"):  # the same, and the sums
        stage.backward_weight(reads[2])
    if op["kind"] == "step":
        stage.step()
