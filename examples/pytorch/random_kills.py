"""A supervisor that kills workers at random moments, and runs of it."""
import random
import statistics
import sys
import time

from options import Stop
from supervisor import Supervisor


class RandomKills(Supervisor):
    """One kill in three comes within 0.3 s of the one before, the others after a step of all. Each
    stage keeps a worker with its state. With experts all come after a step, for until then a shard
    may have one copy."""

    def __init__(self, o, seed, **more):
        super().__init__(o, **more)
        self.draw, self.kills, self.victims = random.Random(seed), 0, []
        self.due, self.calm = None, 0  # when the next is, or the epoch with a step before it

    def interfere(self, epoch):
        if self.kills == self.o.random_kills:
            return
        if self.due is None and self.seen >= self.calm:
            self.due = time.monotonic() + self.draw.uniform(0, 0.8)
        if self.due is None or time.monotonic() < self.due:
            return
        dying = [rank for rank, process in self.live.items() if process in self.victims]
        possible = [rank for rank in self.live if rank not in dying and any(
            peer % self.o.stages == rank % self.o.stages for peer in self.able - {rank, *dying})]
        if possible:
            rank = self.draw.choice(possible)
            self.store.set(f"killed/{rank}.{self.lives[rank]}", str(time.monotonic()))
            self.live[rank].kill()
            self.victims.append(self.live[rank])
            self.kills, self.due, self.calm = self.kills + 1, None, epoch
            if self.draw.random() < 1 / 3 and not self.o.experts:
                self.due = time.monotonic() + self.draw.uniform(0, 0.3)


def sweep(o, expected):
    """Prints one line about o.sweep runs. Returns the exit status."""
    finished, same, kills, times = 0, 0, 0, []
    for seed in range(o.seed, o.seed + o.sweep):
        one = RandomKills(o, seed, say=lambda line: None)
        try:
            losses = one.run()
            finished, same = finished + 1, same + (losses == expected)
        except Stop as stop:
            print(f"seed {seed}: {stop}", file=sys.stderr)
        kills, times = kills + one.kills, times + one.times
    print(f"{o.sweep} runs, {kills} kills, {finished} finished, {same} identical; from kill to "
          "next finished step: median {:.2f} s, worst {:.2f} s".format(
              statistics.median(times or [0]), max(times or [0])))
    return 0 if same == o.sweep else 1
