"""The supervising parent. It holds the store and starts the workers. When all live ones have come
(after a loss, before a join, at the end) it says who is in and which iteration is next."""
import json
import multiprocessing
import time
from datetime import timedelta

import torch.distributed as dist

from options import Stop
from worker import plan_of, work

PHASES = ("detect", "agree", "rebuild", "re-plan", "redo")
context = multiprocessing.get_context("forkserver")  # imports PyTorch once; workers fork from it
context.set_forkserver_preload(["torch.distributed.pipelining._backward", "shunt_planner"])


class Supervisor:
    def __init__(self, o, say=print):
        self.o, self.say = o, say
        self.store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False,
                                   timeout=timedelta(seconds=o.timeout))
        self.live = {}  # rank -> process
        self.lives = [0] * o.ranks  # processes that a rank had before
        self.able = set()  # ranks that have their stage's state
        self.joins = [(e.iteration, e.pipeline * o.stages + e.stage) for e in o.join]
        self.members = None  # as last agreed
        self.whole = self.seen = -1  # last epoch with an answer to this, with a step of all
        self.open, self.closing = [], []  # (time, rank) of kills, and those a new plan answers
        self.times = []  # seconds from a kill to the next step that all workers have finished

    def run(self):
        """Returns the losses. Raises Stop."""
        try:
            for rank in range(self.o.ranks):
                self.start(rank, 0)
            epoch = tries = 0
            while True:
                start, hellos = self.hellos_of(epoch)
                if start == self.o.iterations:
                    break
                now = (start, sorted(hellos))
                then = (self.members["start"], self.members["ranks"]) if self.members else None
                tries = tries + 1 if now == then else 0
                if tries == 8:
                    errors = [h["error"] for h in hellos.values() if h["error"]]
                    raise Stop(f"iteration {start} failed {tries} times: {(errors + ['?'])[0]}")
                self.members = self.members_of(start, hellos, min(0.3 * 2**tries, self.o.timeout))
                self.store.set(f"{epoch}/members", json.dumps(self.members))
                epoch += 1
            self.store.set(f"{epoch}/members", '{"stop": true}')
            for process in self.live.values():
                process.join(1)
            return self.figures("loss")
        finally:
            for process in self.live.values():
                process.kill()

    def figures(self, name):
        return [float.fromhex(self.store.get(f"{name}/{k}").decode())
                for k in range(self.o.iterations)]

    def start(self, rank, epoch):
        self.live[rank] = context.Process(
            target=work, args=(self.o, rank, self.lives[rank], self.store.port, epoch))
        self.live[rank].start()

    def hellos_of(self, epoch):
        """Waits until all live workers are here, and starts those that join. Returns the first
        iteration that a worker has not completed, and what the workers say."""
        deadline = None
        while True:
            self.look_for_deaths()
            self.look_for_a_group(epoch - 1)
            self.look_for_a_step(epoch - 1)
            self.interfere(epoch)
            keys = {rank: f"{epoch}/hello/{rank}.{self.lives[rank]}" for rank in self.live}
            here = self.store.add(f"{epoch}/hellos", 0)
            if not here and len(self.open) == len(self.closing):
                deadline = None  # all is well
            elif deadline is None:
                deadline = time.monotonic() + 2 * self.o.timeout
            if here >= len(keys) and self.store.check(list(keys.values())):
                hellos = {rank: json.loads(self.store.get(key)) for rank, key in keys.items()}
                start = self.first_of(hellos)
                joining = [r for at, r in self.joins if at <= start and r not in self.live]
                if not joining or start == self.o.iterations:
                    return start, hellos
                self.joins = [(at, r) for at, r in self.joins if r not in joining]
                for rank in joining:
                    self.say(f"join {self.name(rank)} before iteration {start}")
                    self.start(rank, epoch)
            elif deadline and time.monotonic() > deadline:
                for rank, key in keys.items():
                    if not self.store.check([key]):
                        self.live[rank].kill()  # it stands still, and must not come back
                deadline = None
            time.sleep(0.002)

    def name(self, rank):
        return "{}:{}".format(*divmod(rank, self.o.stages))

    def first_of(self, hellos):
        done = {rank: h["done"] for rank, h in hellos.items() if h["done"] is not None}
        self.able = set(done)
        for stage in range(self.o.stages):
            if not any(rank % self.o.stages == stage for rank in done):
                raise Stop(f"stage {stage} has no live worker with its parameters")
        if max(done.values()) > min(done.values()) + 1:
            raise Stop(f"workers are two steps apart: {sorted(set(done.values()))}")
        return min(done.values())

    def members_of(self, start, hellos, limit):
        ranks = sorted(hellos)
        if not self.o.experts:
            plan_of(self.o, ranks)
        if self.open:
            self.closing = self.open[:]
            self.marks = [max(h["noticed"] for h in hellos.values()), time.monotonic()]
        joins = [at for at, rank in self.joins if rank not in hellos and at > start]
        source = {rank % self.o.stages: rank for rank in sorted(self.able, reverse=True)}
        return {"start": start, "pause": min(joins + [self.o.iterations]), "ranks": ranks,
                "handles": [hellos[rank]["handle"] for rank in ranks],
                "joining": [(rank, source[rank % self.o.stages]) for rank in ranks
                            if rank not in self.able],
                "uuid": self.store.add("uuid", 1), "limit": limit}

    def interfere(self, epoch):
        """Called every 2 ms or so."""

    def look_for_deaths(self):
        for rank, process in list(self.live.items()):
            if process.exitcode is None:
                continue
            if process.exitcode >= 0:
                raise Stop(f"worker {self.name(rank)} gave up with status {process.exitcode}")
            key, now = f"killed/{rank}.{self.lives[rank]}", time.monotonic()
            self.open.append((float(self.store.get(key)) if self.store.check([key]) else now, rank))
            del self.live[rank]
            self.able.discard(rank)
            self.lives[rank] += 1
            if self.o.rejoin and self.members:
                self.joins.append((self.members["start"] + self.o.rejoin, rank))

    def look_for_a_group(self, epoch):
        """Says whether all members have made the new group, or one has died or given up."""
        if not self.members or self.whole == epoch:
            return
        ranks = self.members["ranks"]
        broken = self.store.add(f"{epoch + 1}/hellos", 0) or set(ranks) - set(self.live)
        if broken or self.store.add(f"{epoch}/rebuilt", 0) == len(ranks):
            self.store.set(f"{epoch}/whole", "0" if broken else "1")
            self.whole = epoch

    def look_for_a_step(self, epoch):
        """Reports the losses behind which all workers have finished a step."""
        if not self.members or self.seen == epoch:
            return
        ranks = [rank for rank in self.members["ranks"] if rank in self.live]
        keys = [f"{epoch}/report/{rank}" for rank in ranks]
        if not self.store.check(keys):
            return
        self.able |= set(ranks)
        self.seen = epoch
        for kill in self.closing:
            marks = [kill[0]]
            for mark in self.marks + [max(all) for all in zip(
                    *(json.loads(self.store.get(key)) for key in keys))]:
                marks.append(max(mark, marks[-1]))
            self.open.remove(kill)
            self.times.append(marks[-1] - kill[0])
            phases = ", ".join(f"{phase} {1000 * (b - a):.0f}"
                               for phase, a, b in zip(PHASES, marks, marks[1:]))
            self.say(f"lost {self.name(kill[1])}: iteration {self.members['start']} finished "
                     f"after {1000 * self.times[-1]:.0f} ms ({phases})")
        self.closing = []
