"""A worker: one stage of one pipeline. Iterations until a peer is lost, then agreement, a new plan
and a new group, and on."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable, Dict, List

import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d as c10d

import shunt_planner
from options import Stop
from run_program import STATE, Transport, run
from stages import Stage, batch_of


def text_of(o: Any) -> torch.Tensor:
    data = Path(o.text or __file__).read_bytes()
    if len(data) <= o.context:
        raise Stop(f"--text {o.text}: has {len(data)} bytes, --context needs {o.context + 1}")
    return torch.tensor(list(data))


def plan_of(o: Any, dead: List[int]) -> shunt_planner.Program:
    """The program of an iteration without these ranks. Raises Stop where there is none."""
    workers = [(rank // o.stages, rank % o.stages) for rank in dead]
    answer = shunt_planner.plan_pipeline(pipelines=o.pipelines, stages=o.stages, dead=workers,
                                         microbatches=o.microbatches, costs={"step": 1})
    if answer.plan is None:
        raise Stop(f"there is no plan without {workers}: {answer.reason}")
    return shunt_planner.lower(answer.problem, answer.plan)


def stage_of(o: Any, rank: int) -> Stage:
    if o.backend != "nccl":
        return Stage(o, rank % o.stages, torch.device("cpu"))
    torch.cuda.set_device(rank % torch.cuda.device_count())
    return Stage(o, rank % o.stages, torch.device("cuda"))


def train(o: Any, rank: int, stage: Stage, program: shunt_planner.Program, transport: Transport,
          iterations: range, before: Callable[[int, int], None],
          after: Callable[[int], None]) -> None:
    instructions, text = program.instructions(rank), text_of(o)
    for k in iterations:
        run(instructions, program.groups, stage, transport,
            lambda p, m: batch_of(o, text, k, p, m), lambda index: before(k, index))
        after(k)


class Worker:
    def __init__(self, o: Any, rank: int, life: int, port: int, epoch: int) -> None:
        """`life`: how many workers had this place before."""
        self.o, self.rank, self.life, self.epoch = o, rank, life, epoch
        self.kills = [e.iteration for e in o.kill if (e.pipeline, e.stage) ==
                      divmod(rank, o.stages)][life:][:1]
        self.store = dist.TCPStore("127.0.0.1", port, is_master=False,
                                   timeout=timedelta(seconds=o.timeout))
        dist.init_process_group(
            o.backend, store=dist.PrefixStore("group", self.store), world_size=o.ranks,
            rank=rank + life * o.ranks, timeout=timedelta(seconds=o.timeout),
            enable_reconfigure=True)
        self.stage = stage_of(o, rank)
        if life:
            self.stage.done = None  # a peer has the state

    def __call__(self) -> None:
        error, noticed = "", time.monotonic()
        while True:
            members = self.agree(error, noticed)
            if "stop" in members:
                return
            error = ""
            try:
                self.take_part(members)
            except RuntimeError as lost:
                error = str(lost).splitlines()[0]
            # Outside of `except` nothing holds on to the operations that failed. Alone in its
            # group a worker has no connections, so that its peers notice too.
            noticed = time.monotonic()
            self.reconfigure([c10d._get_reconfigure_handle()], self.store.add("uuid", 1), 5)
            self.epoch += 1

    def reconfigure(self, handles: List[str], uuid: int, timeout: float) -> None:
        limit = timedelta(seconds=timeout)
        c10d._reconfigure(uuid=uuid, handles=handles, timeout=limit).wait()

    def agree(self, error: str, noticed: float) -> Dict[str, Any]:
        hello = {"handle": c10d._get_reconfigure_handle(), "done": self.stage.done,
                 "error": error, "noticed": noticed}
        self.store.set(f"{self.epoch}/hello/{self.rank}.{self.life}", json.dumps(hello))
        self.store.add(f"{self.epoch}/hellos", 1)
        self.store.wait([f"{self.epoch}/members"], timedelta(seconds=4 * self.o.timeout))
        return json.loads(self.store.get(f"{self.epoch}/members"))

    def take_part(self, members: Dict[str, Any]) -> None:
        o, stage, start = self.o, self.stage, members["start"]
        handles = {int(rank): handle for rank, handle in members["handles"].items()}
        program = plan_of(o, [rank for rank in range(o.ranks) if rank not in handles])
        stamps = [time.monotonic()]
        if stage.done == start + 1:
            stage.undo()
        self.reconfigure(list(handles.values()), members["uuid"], members["limit"])
        transport = Transport(list(handles), self.rank, o.timeout)
        self.share_state(transport, members["joining"], start)
        stamps.append(time.monotonic())
        middle = len(program.instructions(self.rank)) // 2 if o.kill_at < 0 else o.kill_at

        def before(k: int, index: int) -> None:
            if k in self.kills and index == middle:
                self.store.set(f"killed/{self.rank}.{self.life}", str(time.monotonic()))
                os.kill(os.getpid(), signal.SIGKILL)

        def after(k: int) -> None:
            if stage.last:
                self.store.set(f"loss/{k}", float(stage.loss()).hex())
            if k == start:
                stamps.append(time.monotonic())
                self.store.set(f"{self.epoch}/report/{self.rank}", json.dumps(stamps))

        train(o, self.rank, stage, program, transport, range(start, members["pause"]), before,
              after)

    def share_state(self, transport: Transport, joining: List[List[int]], start: int) -> None:
        """Each of the joining gets parameters and optimizer state from a peer of its stage."""
        for to, source in joining:
            if self.rank == source:
                data = self.stage.as_bytes()
                transport.send(torch.tensor([len(data)], device=data.device), to, STATE)
                transport.send(data, to, STATE)
            if self.rank == to:
                size = torch.zeros(1, dtype=torch.int64, device=self.stage.device)
                size = int(transport.receive(size, source, STATE))
                data = torch.empty(size, dtype=torch.uint8, device=self.stage.device)
                self.stage.from_bytes(transport.receive(data, source, STATE), start)
        transport.flush()


def work(*arguments: Any) -> None:
    """The body of a process that the supervisor starts."""
    torch.set_num_threads(1)
    rank = arguments[1]
    try:
        Worker(*arguments)()
    except (Stop, ValueError, RuntimeError) as error:
        print(f"rank {rank}: {str(error).splitlines()[0]}", file=sys.stderr)
        sys.exit(2)


def work_under_torchrun(o: Any) -> List[float]:
    """One run without failures, in torchrun's environment. Returns the losses on the last rank."""
    torch.set_num_threads(1)
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if world != o.ranks:
        raise Stop(f"{world} processes for {o.ranks} workers")
    dist.init_process_group(o.backend, timeout=timedelta(seconds=o.timeout))
    stage, losses = stage_of(o, rank), []
    train(o, rank, stage, plan_of(o, []), Transport(list(range(world)), rank, o.timeout),
          range(o.iterations), lambda k, index: None, lambda k: losses.append(stage.loss()))
    dist.destroy_process_group()
    return losses if rank == world - 1 else []
