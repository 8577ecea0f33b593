"""Trains a language model in PyTorch through killed workers, with plans of shunt. -h lists the
options; docs/pytorch-training.md explains."""
import inspect
import os
import sys

from options import Stop, options_of

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # no word about waits that may run out


def main():
    o = options_of(sys.argv[1:])
    try:
        import torch
        import torch.distributed as dist
        import experts
        import stages
        from random_kills import RandomKills, sweep
        from worker import work_under_torchrun
    except ImportError as missing:
        raise Stop(f"{missing}, with {sys.executable}")
    launched = "RANK" in os.environ
    if launched and (o.kill or o.join or o.random_kills or o.sweep):
        raise Stop("kills and joins need the supervisor: torchrun ends all workers with one")
    if not launched and "enable_reconfigure" not in inspect.signature(
            dist.init_process_group).parameters:
        raise Stop(f"PyTorch {torch.__version__} has no enable_reconfigure; 2.15 has")
    if o.backend == "nccl" and not torch.cuda.is_available():
        raise Stop("--backend nccl: there is no GPU")
    torch.set_num_threads(1)
    stages.text_of(o)
    if o.experts:
        experts.placed(o, [[0] * o.experts] * o.layers, [o.slots] * o.ranks)
    alone = experts.train_alone if o.experts else stages.train_alone
    expected = alone(o) if o.check or o.sweep else None
    if o.sweep:
        return sweep(o, expected)
    supervisor = None if launched else RandomKills(o, o.seed)
    losses = supervisor.run() if supervisor else work_under_torchrun(o)
    if o.experts and supervisor:
        print("tokens of the fullest rank over the mean {:.3f}, dropped {:.0f}, in an iteration"
              .format(*(sum(supervisor.figures(name)) / o.iterations
                        for name in ("fullest", "dropped"))))
    if losses:
        print(f"loss {losses[0]:.6f} in the first iteration, {losses[-1]:.6f} in the last")
    if not losses or expected is None:
        return 0
    same = sum(a == b for a, b in zip(losses, expected))
    print(f"{same} of {len(expected)} losses are the same bits as in one process")
    return 0 if same == len(expected) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Stop, OSError, RuntimeError) as stop:
        print(f"train.py: {str(stop).splitlines()[0]}", file=sys.stderr)
        sys.exit(2)
