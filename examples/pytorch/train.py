"""Trains a language model in PyTorch through killed workers, with plans of shunt (options: -h;
docs/pytorch-training.md)."""

from __future__ import annotations

import os
import statistics
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
from options import Stop, options_of  # noqa: E402


def main() -> int:
    o = options_of(sys.argv[1:])
    o.ranks = o.pipelines * o.stages
    try:
        import inspect

        import torch
        import torch.distributed as dist
        from stages import train_alone
        from supervisor import Supervisor
        from worker import text_of, work_under_torchrun
    except ImportError as missing:
        raise Stop(f"{missing} (with {sys.executable})")
    alone = "RANK" in os.environ
    if not alone and "enable_reconfigure" not in inspect.signature(
            dist.init_process_group).parameters:
        raise Stop(f"PyTorch {torch.__version__} has no enable_reconfigure; 2.15 has")
    if o.backend == "nccl" and not torch.cuda.is_available():
        raise Stop("--backend nccl: there is no GPU")
    torch.set_num_threads(1)
    expected = train_alone(o, text_of(o)) if o.check or o.sweep else None
    if alone:
        if o.kill or o.join or o.random_kills or o.sweep:
            raise Stop("kills and joins need the supervisor; torchrun ends all workers with one")
        return report(work_under_torchrun(o), expected)
    if o.sweep:
        return sweep(o, expected, Supervisor)
    return report(Supervisor(o).run(), expected)


def report(losses, expected) -> int:
    if not losses:
        return 0
    print(f"losses: {losses[0]:.6f} at first, {losses[-1]:.6f} at last")
    if expected is None:
        return 0
    same = sum(a == b for a, b in zip(losses, expected))
    print(f"{same} of {len(expected)} are the same bits as in one process without failures")
    return 0 if same == len(expected) else 1


def sweep(o, expected, supervisor) -> int:
    finished, same, kills, times = 0, 0, 0, []
    for run in range(o.sweep):
        one = supervisor(o, lambda line: None)
        try:
            losses = one.run()
            finished, same = finished + 1, same + (losses == expected)
        except Stop as stop:
            print(f"seed {o.seed}: {stop}", file=sys.stderr)
        kills, times, o.seed = kills + one.kills, times + one.times, o.seed + 1
    print(f"{o.sweep} runs, {kills} kills, {finished} finished, {same} identical; from kill to next "
          f"finished step: median {statistics.median(times or [0]):.2f} s, "
          f"worst {max(times or [0]):.2f} s")
    return 0 if same == o.sweep else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Stop as stop:
        print(f"train.py: {stop}", file=sys.stderr)
        sys.exit(2)
