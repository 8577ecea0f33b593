"""A worker: one stage of one pipeline. It runs iterations until a peer is lost; then it agrees with
the others on members and iteration, makes a group and a plan with them, and goes on."""
import json
import os
import signal
import sys
import time
from datetime import timedelta

import torch
import torch.distributed as dist
from shunt_planner import InvalidProblem, lower, plan_pipeline
from torch.distributed import distributed_c10d as c10d

from options import Stop
from run_program import STATE, Transport, run
from experts import ExpertRank
from stages import Stage, batch_of, text_of


def plan_of(o, live):
    """The program of an iteration on these ranks. Raises Stop where there is none."""
    dead = [divmod(rank, o.stages) for rank in range(o.ranks) if rank not in live]
    answer = plan_pipeline(pipelines=o.pipelines, stages=o.stages, microbatches=o.microbatches,
                           costs={"step": 1}, dead=dead)
    if answer.plan is None:
        raise Stop(f"no plan without {dead}: {answer.reason}")
    return lower(answer.problem, answer.plan)


def stage_of(o, rank):
    if o.experts:
        return ExpertRank(o, rank)
    if o.backend == "nccl":
        torch.cuda.set_device(rank % torch.cuda.device_count())
    return Stage(o, rank % o.stages, "cuda" if o.backend == "nccl" else "cpu")


def iteration_of(o, rank, live, stage, transport):
    """Plans on these ranks. Returns a function that runs an iteration, with what is to be called
    before each instruction."""
    if o.experts:
        return stage.plan(live, transport)
    program, text = plan_of(o, live), text_of(o)
    instructions = program.instructions(rank)
    return lambda k, before: run(instructions, program.groups, stage, transport,
                                 lambda p, m: batch_of(o, text, k, p, m), before)


class Worker:
    def __init__(self, o, rank, life, port, epoch):
        """`life`: number of processes that had this rank before. `epoch`: of agreement."""
        self.o, self.rank, self.life, self.epoch = o, rank, life, epoch
        mine = [e.iteration for e in o.kill if e[:2] == divmod(rank, o.stages)]
        self.last = (mine + [None] * (life + 1))[life]  # the iteration that it is killed in
        limit = timedelta(seconds=o.timeout)
        self.store = dist.TCPStore("127.0.0.1", port, is_master=False, timeout=limit)
        dist.init_process_group(o.backend, store=dist.PrefixStore("group", self.store),
                                world_size=o.ranks, rank=rank + life * o.ranks, timeout=limit,
                                enable_reconfigure=True)
        self.stage = stage_of(o, rank)
        if life:
            self.stage.done = None

    def __call__(self):
        error = ""
        while "stop" not in (members := self.agree(error)):
            error = ""
            try:
                self.take_part(members)
            except RuntimeError as lost:
                error = str(lost).splitlines()[0]
            if error:  # behind `except`, where nothing holds on to failed operations
                self.noticed = time.monotonic()
                # A group of one has no connections: closing them tells the others.
                self.reconfigure([c10d._get_reconfigure_handle()], self.store.add("uuid", 1),
                                 members["limit"])
            self.epoch += 1

    noticed = 0.0

    def reconfigure(self, handles, uuid, limit):
        """PyTorch waits for an address for `limit` seconds, for a connection five times that."""
        c10d._reconfigure(uuid=uuid, handles=handles, timeout=timedelta(seconds=limit)).wait()

    def agree(self, error):
        hello = {"handle": c10d._get_reconfigure_handle(), "done": self.stage.done, "error": error,
                 "noticed": self.noticed}
        self.store.set(f"{self.epoch}/hello/{self.rank}.{self.life}", json.dumps(hello))
        self.store.add(f"{self.epoch}/hellos", 1)
        self.store.wait([f"{self.epoch}/members"], timedelta(seconds=4 * self.o.timeout))
        return json.loads(self.store.get(f"{self.epoch}/members"))

    def take_part(self, members):
        o, stage, start, live = self.o, self.stage, members["start"], members["ranks"]
        if stage.done == start + 1:
            stage.undo()
        self.reconfigure(members["handles"], members["uuid"], members["limit"])
        # A connection that its peer gave up while it was made may look whole and never close.
        self.store.add(f"{self.epoch}/rebuilt", 1)
        self.store.wait([f"{self.epoch}/whole"], timedelta(seconds=4 * o.timeout))
        if self.store.get(f"{self.epoch}/whole") != b"1":
            raise RuntimeError("a worker is missing in the new group")
        transport = Transport(live, self.rank, o.timeout)
        if o.experts:
            stage.recover(live, start, transport)
        self.share_state(transport, members["joining"], start)
        stamps = [time.monotonic()]
        iterate = iteration_of(o, self.rank, live, stage, transport)
        stamps.append(time.monotonic())

        def before(index, size):
            if k == self.last and index == (size // 2 if o.kill_at < 0 else o.kill_at):
                self.store.set(f"killed/{self.rank}.{self.life}", str(time.monotonic()))
                os.kill(os.getpid(), signal.SIGKILL)

        for k in range(start, members["pause"]):
            iterate(k, before)
            for name, value in stage.figures().items():
                self.store.set(f"{name}/{k}", float(value).hex())
            if k == start:
                self.store.set(f"{self.epoch}/report/{self.rank}",
                               json.dumps([*stamps, time.monotonic()]))

    def share_state(self, transport, joining, start):
        """Who joins gets parameters and optimizer state from a peer of its stage."""
        size = torch.zeros(1, dtype=torch.int64, device=self.stage.device)
        for to, source in joining:
            if self.rank == source:
                data = self.stage.as_bytes()
                transport.send(size + len(data), to, STATE)
                transport.send(data, to, STATE)
            if self.rank == to:
                size = int(transport.receive(size, source, STATE))
                data = torch.empty(size, dtype=torch.uint8, device=self.stage.device)
                self.stage.from_bytes(transport.receive(data, source, STATE), start)
        transport.flush()


def work(*arguments):
    """The process that the supervisor starts."""
    torch.set_num_threads(1)
    try:
        Worker(*arguments)()
    except (Stop, InvalidProblem, RuntimeError) as error:
        print(f"rank {arguments[1]}: {str(error).splitlines()[0]}", file=sys.stderr)
        sys.exit(2)


def work_under_torchrun(o):
    """Returns the losses, of the last stage alone. No failures: torchrun ends all with one."""
    rank, world, losses = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), []
    if world != o.ranks:
        raise Stop(f"{world} processes for {o.ranks} workers")
    dist.init_process_group(o.backend, timeout=timedelta(seconds=o.timeout))
    stage = stage_of(o, rank)
    live = list(range(world))
    iterate = iteration_of(o, rank, live, stage, Transport(live, rank, o.timeout))
    for k in range(o.iterations):
        iterate(k, lambda index, size: None)
        losses.append(stage.figures().get("loss"))
    dist.destroy_process_group()
    return losses if rank == world - 1 else []
