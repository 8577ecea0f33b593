"""The supervising parent: holds the store, starts the workers, kills at random, and says after each
loss and before each join who is in and which iteration is next."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from datetime import timedelta
from typing import Any, Dict, List

import torch.distributed as dist

from options import Stop
from worker import plan_of, work

PHASES = ("detect", "agree", "re-plan, rebuild", "redo")
context = multiprocessing.get_context("forkserver")  # a server that has imported PyTorch forks
context.set_forkserver_preload(["torch.distributed.pipelining._backward", "shunt_planner"])


class Supervisor:
    def __init__(self, o: Any, say: Any = print) -> None:
        self.o, self.say, self.draw = o, say, random.Random(o.seed)
        self.store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False,
                                   timeout=timedelta(seconds=o.timeout))
        self.live: Dict[int, Any] = {}  # rank -> process
        self.lives = [0] * o.ranks  # processes that a rank has had before
        self.able: set = set()  # ranks that have their stage's state
        self.joins = [(e.iteration, e.pipeline * o.stages + e.stage) for e in o.join]
        self.open: List[Any] = []  # kills without a finished step since: (time, worker)
        self.lost: Dict[int, float] = {}  # killed at random, not noticed yet
        self.kills, self.due, self.times = 0, None, []

    def name(self, rank: int) -> str:
        return f"{rank // self.o.stages}:{rank % self.o.stages}"

    def start(self, rank: int, epoch: int) -> None:
        process = context.Process(
            target=work, args=(self.o, rank, self.lives[rank], self.store.port, epoch))
        process.start()
        self.live[rank] = process

    def run(self) -> List[float]:
        """Returns the losses. Raises Stop."""
        try:
            for rank in range(self.o.ranks):
                self.start(rank, 0)
            epoch, idle, last = 0, 0, None
            while True:
                members, error = self.agree(epoch)
                self.store.set(f"{epoch}/members", json.dumps(members))
                if "stop" in members:
                    break
                idle = idle + 1 if last == (members["start"], list(members["handles"])) else 0
                last = (members["start"], list(members["handles"]))
                if idle == 8:
                    raise Stop(f"iteration {members['start']} failed 8 times: {error}")
                self.limit = min(2.0**idle, self.o.timeout)
                self.members, self.stamps = members, [time.monotonic()]
                epoch += 1
            for process in self.live.values():
                process.join(self.o.timeout)
            return [float.fromhex(self.store.get(f"loss/{k}").decode())
                    for k in range(self.o.iterations)]
        finally:
            for process in self.live.values():
                process.kill()

    limit, members, stamps = 1.0, None, []

    def agree(self, epoch: int) -> Any:
        """Waits until all live workers are here: after a loss, at a join, at the end."""
        deadline = None
        hellos: Dict[int, Any] = {}
        while True:
            self.look_for_deaths()
            self.look_for_a_step(epoch - 1)
            self.kill_at_random()
            here = self.store.add(f"{epoch}/hellos", 0)
            if deadline is None and (here or self.open):
                deadline = time.monotonic() + 2 * self.o.timeout
            keys = [f"{epoch}/hello/{rank}.{self.lives[rank]}" for rank in self.live]
            if here >= len(keys) and self.store.check(keys):
                hellos = {rank: json.loads(self.store.get(key))
                          for rank, key in zip(list(self.live), keys)}
                start = self.start_of(hellos)
                joining = [rank for at, rank in self.joins if at <= start and rank not in self.live]
                if not joining or start == self.o.iterations:
                    break
                self.joins = [(at, r) for at, r in self.joins if r not in joining]
                for rank in joining:
                    self.start(rank, epoch)
                    self.say(f"join {self.name(rank)} before iteration {start}")
            elif deadline and time.monotonic() > deadline:
                for rank, key in zip(list(self.live), keys):
                    if not self.store.check([key]):
                        self.live[rank].kill()  # it stands still: from here on it is lost
                deadline = None
            time.sleep(0.002)
        error = next((h["error"] for h in hellos.values() if h["error"]), "")
        if start == self.o.iterations:
            return {"stop": ""}, error
        return self.members_of(hellos, start), error

    def start_of(self, hellos: Dict[int, Any]) -> int:
        """The first iteration that a worker has not completed."""
        done = {rank: h["done"] for rank, h in hellos.items() if h["done"] is not None}
        self.able = set(done)
        for stage in range(self.o.stages):
            if not any(rank % self.o.stages == stage for rank in done):
                raise Stop(f"stage {stage} has no live worker with its parameters")
        if max(done.values()) > min(done.values()) + 1:
            raise Stop(f"workers are at iterations {sorted(set(done.values()))}: two steps apart")
        return min(done.values())

    def members_of(self, hellos: Dict[int, Any], start: int) -> Dict[str, Any]:
        plan_of(self.o, [rank for rank in range(self.o.ranks) if rank not in hellos])
        if self.open:
            self.noticed = [max(h["noticed"] for h in hellos.values()), time.monotonic()]
        joins = [at for at, rank in self.joins if rank not in hellos and at > start]
        sources = {rank % self.o.stages: rank for rank in sorted(self.able, reverse=True)}
        return {"start": start, "pause": min(joins + [self.o.iterations]),
                "handles": {rank: hellos[rank]["handle"] for rank in sorted(hellos)},
                "joining": [(rank, sources[rank % self.o.stages]) for rank in sorted(hellos)
                            if rank not in self.able],
                "uuid": self.store.add("uuid", 1), "limit": self.limit}

    noticed: List[float] = []

    def look_for_deaths(self) -> None:
        for rank, process in list(self.live.items()):
            code = process.exitcode
            if code is None:
                continue
            if code >= 0:
                raise Stop(f"worker {self.name(rank)} ended by itself with status {code}")
            key = f"killed/{rank}.{self.lives[rank]}"
            when = self.lost.pop(rank, None) or (
                float(self.store.get(key)) if self.store.check([key]) else time.monotonic())
            self.open.append((when, self.name(rank)))
            del self.live[rank]
            self.able.discard(rank)
            self.lives[rank] += 1
            if self.o.rejoin and self.members:
                self.joins.append((self.members["start"] + self.o.rejoin, rank))

    def look_for_a_step(self, epoch: int) -> None:
        """After a loss: the time until all workers have finished a step."""
        if not self.members or not (self.open or self.due is None):
            return
        ranks = [rank for rank in map(int, self.members["handles"]) if rank in self.live]
        keys = [f"{epoch}/report/{rank}" for rank in ranks]
        if not self.store.check(keys):
            return
        self.able |= set(ranks)
        if self.due is None and self.kills < self.o.random_kills:
            self.due = time.monotonic() + self.draw.uniform(0, 0.8)
        kills = [kill for kill in self.open if kill[0] < self.noticed[0]] if self.noticed else []
        self.open = [kill for kill in self.open if kill not in kills]
        if not kills:
            return
        reports = zip(*(json.loads(self.store.get(key)) for key in keys))
        planned, rebuilt, stepped = map(max, reports)
        for when, worker in kills:
            marks = [when]
            for mark in (*self.noticed, rebuilt, stepped):
                marks.append(max(mark, marks[-1]))
            self.times.append(marks[-1] - when)
            phases = ", ".join(f"{phase} {1000 * (b - a):.0f}"
                               for phase, a, b in zip(PHASES, marks, marks[1:]))
            self.say(f"lost {worker}: iteration {self.members['start']} finished after "
                     f"{1000 * self.times[-1]:.0f} ms ({phases})")
        self.noticed = []

    def kill_at_random(self) -> None:
        """One in three follows the one before within its recovery."""
        if self.due is None or time.monotonic() < self.due or self.kills == self.o.random_kills:
            return
        stages = self.o.stages
        victims = [rank for rank in self.live if rank not in self.lost and any(
            other % stages == rank % stages for other in self.able - {rank} - set(self.lost))]
        if not victims:
            return
        victim = self.draw.choice(victims)
        self.lost[victim] = time.monotonic()
        self.live[victim].kill()
        self.kills += 1
        self.due = (time.monotonic() + self.draw.uniform(0, 0.3)
                    if self.draw.random() < 1 / 3 else None)
