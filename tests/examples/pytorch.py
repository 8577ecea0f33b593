"""examples/pytorch with the PyTorch at hand: a run with a kill and a join, one in torchrun's
environment, and runs that cannot go on. Ends with status 77 and a line where it can't run."""
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

try:
    import inspect

    import shunt_planner  # noqa: F401
    import torch.distributed as dist
except ImportError as missing:
    print(f"skipped: {sys.executable}: {missing}")
    sys.exit(77)
if "enable_reconfigure" not in inspect.signature(dist.init_process_group).parameters:
    print("skipped: this PyTorch has no enable_reconfigure")
    sys.exit(77)

TRAIN = Path(__file__).parents[2] / "examples" / "pytorch" / "train.py"
SIZES = ["--iterations", "6", "--microbatches", "3"]


def started(*arguments, **more):
    return subprocess.Popen([sys.executable, TRAIN, *SIZES, *arguments], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, **more})


def ended(process, status):
    try:
        out, err = process.communicate(timeout=600)  # also waits for all its workers
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == status, (process.returncode, out, err)
    return out, err


def a_kill_and_a_join():
    out, err = ended(started("--kill", "1:1@1,0:0@3", "--join", "1:1@3", "--check"), 0)
    for line in ("lost 1:1: iteration 1 finished after", "join 1:1 before iteration 3",
                 "lost 0:0: iteration 3 finished after", "6 of 6 losses are the same bits"):
        assert line in out, (line, out, err)


def under_torchrun():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks = [started("--pipelines", "1", "--check", RANK=rank, WORLD_SIZE="2", MASTER_PORT=port,
                     MASTER_ADDR="127.0.0.1") for rank in "01"]
    assert ended(ranks[0], 0)[0] == ""
    assert "6 of 6 losses are the same bits" in ended(ranks[1], 0)[0]


def one_line(process, words):
    out, err = ended(process, 2)
    lines = [line for line in err.splitlines() if line.startswith("train.py: ")]
    assert len(lines) == 1 and words in lines[0], err
    assert "Traceback" not in err, err


def a_store_that_dies():
    process = started("--iterations", "100000", "--kill", "0:0@3")
    while "lost" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGKILL)
    begin = time.monotonic()
    err = ended(process, -signal.SIGKILL)[1]
    assert time.monotonic() - begin < 300
    assert all(f"rank {rank}: " in err for rank in (1, 2, 3)) and "Traceback" not in err, err


a_kill_and_a_join()
under_torchrun()
one_line(started("--kill", "3:0@1"), "there are 2 pipelines of 2 stages")
one_line(started(RANK="0", WORLD_SIZE="3"), "3 processes for 4 workers")
one_line(started("--kill", "0:0@1", RANK="0", WORLD_SIZE="4"), "need the supervisor")
one_line(started("--text", "/nowhere"), "/nowhere")
a_store_that_dies()
