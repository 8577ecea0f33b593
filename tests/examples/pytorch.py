"""The Python package and examples/pytorch with the PyTorch at hand: rebalance_experts on tensors, a
run with a kill and a join, one in torchrun's environment, experts placed anew through kills, and
runs that cannot go on. Ends with status 77 and a line where it can't run."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

try:
    import inspect

    import shunt_planner
    import torch
    import torch.distributed as dist
except ImportError as missing:
    print(f"skipped: {sys.executable}: {missing}")
    sys.exit(77)

LOADS = torch.tensor([[90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86],
                      [20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27]])


def rebalanced(weight, **more):
    return shunt_planner.rebalance_experts(weight, 16, 4, 2, 8, **more)


def tensors_in_and_out():
    wanted = rebalanced(LOADS.tolist())
    strided = LOADS.t().contiguous().t()
    for weight in [LOADS.to(kind) for kind in (torch.int64, torch.int32, torch.float32,
                                               torch.float64, torch.bfloat16, torch.float16)] + [
            strided, LOADS.float().requires_grad_(), torch.nn.Parameter(LOADS.float())]:
        found = rebalanced(weight)
        exact = weight.dtype != torch.bfloat16  # 8 bits: 165 and 183 are rounded
        for tensor, array in zip(found, wanted):
            assert (tensor.dtype, tensor.device.type) == (torch.int64, "cpu"), tensor
            assert tensor.shape == array.shape
            assert not exact or (tensor.numpy() == array).all(), weight.dtype
        assert found.bound.dtype == found.imbalance.dtype == torch.float64
        assert found.moves.dtype == torch.int64 and found.fetched.shape == (0, 4)
    mask = torch.ones(8, dtype=torch.bool)
    mask[1] = False
    found = rebalanced(LOADS, active_ranks=mask, old_map=rebalanced(LOADS).phy2log)
    assert (found.phy2log[:, 2:4] == -1).all() and (found.phy2log[:, 4:] >= 0).all()
    listed = rebalanced(LOADS, active_ranks=torch.tensor([0, 2, 3, 4, 5, 6, 7]))
    assert (listed.phy2log[:, 2:4] == -1).all()

    class Shared:  # DLPack alone
        def __init__(self, tensor):
            self.tensor = tensor

        def __dlpack__(self, **more):
            return self.tensor.__dlpack__(**more)

        def __dlpack_device__(self):
            return self.tensor.__dlpack_device__()

    for kind in (torch.int32, torch.float64):
        assert (rebalanced(Shared(LOADS.to(kind)))[0] == wanted[0]).all()

    def changed(value):
        weight = LOADS.double()
        weight[1, 3] = value
        return weight

    whole = torch.zeros(2, 8, 12, dtype=torch.int64)
    for field, words, weight, more in (
            ("weight", "no data", LOADS.to("meta"), {}),
            ("weight", "meta", Shared(LOADS.to("meta")), {}),
            ("weight", "dtype", Shared(LOADS.bfloat16()), {}),
            ("weight", "complex64", LOADS.to(torch.complex64), {}),
            ("weight", "Sparse", LOADS.to_sparse(), {}),
            ("weight", "has (12)", LOADS[0], {}),
            ("weight", "has (0, 12)", LOADS[:0], {}),
            ("weight[1][3]", "is -5", changed(-5), {}),
            ("weight[1][3]", "is nan", changed(float("nan")), {}),
            ("weight[1][3]", "is inf", changed(float("inf")), {}),
            ("old_map", "float32", LOADS, {"old_map": torch.zeros(2, 16)}),
            ("old_map", "has (1, 16)", LOADS, {"old_map": torch.zeros(1, 16, dtype=torch.int64)}),
            ("source_loads", "no data", LOADS, {"source_loads": whole.to("meta")}),
            ("source_loads[0]", "its load is 90", LOADS, {"source_loads": whole}),
            ("active_ranks", "masks 7", LOADS, {"active_ranks": mask[1:]}),
            ("active_ranks[1]", "is 8", LOADS, {"active_ranks": torch.tensor([0, 8])})):
        try:
            rebalanced(weight, **more)
        except shunt_planner.InvalidProblem as refused:
            text = str(refused)
            assert refused.field == field and words in text and "\n" not in text, text
        else:
            raise AssertionError((field, words))


def tests_of_the_package():
    """With PyTorch's NumPy, which may be newer than the one that the package is built with."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(root / "examples" / "python")])
    for script in sorted((root / "tests" / "python").glob("*.py")):
        subprocess.run([sys.executable, script], check=True, env={**os.environ, "PYTHONPATH": path})


tensors_in_and_out()
tests_of_the_package()
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


def experts_through_kills():
    job = ["--pipelines", "4", "--stages", "1", "--microbatches", "1", "--experts", "6",
           "--slots", "3", "--layers", "1"]
    # A kill among exchanges, one amid the scatter of weights, and a placer that moves most.
    out, err = ended(started(*job, "--kill", "1:0@1", "--placer", "balanced", "--check"), 0)
    for line in ("lost 1:0: iteration 1 finished after", "6 of 6 losses are the same bits"):
        assert line in out, (line, out, err)
    out, err = ended(started(*job, "--kill", "0:0@2,2:0@4", "--kill-at", "1", "--check"), 0)
    for line in ("lost 0:0: iteration 2 finished after", "lost 2:0: iteration 4 finished after",
                 ", dropped 0, ", "6 of 6 losses are the same bits"):
        assert line in out, (line, out, err)
    out, err = ended(started(*job, "--random-kills", "2", "--seed", "21", "--timeout", "400"), 0)
    detected = [int(part.split(",")[0]) for part in out.split("(detect ")[1:]]
    assert detected and max(detected) < 200_000, out  # by connections, not by the time-out
    out, err = ended(started(*job, "--capacity", "20"), 0)
    assert "dropped" in out and ", dropped 0, " not in out, (out, err)
    one_line(started(*job, "--placer", "best"), "--placer: solver: 'best' is none of")
    process = started(*job, "--kill", "0:0@2,1:0@2")  # the mirror of 0:0's shards
    err = ended(process, 2)[1]
    assert "dead: no live rank holds" in err and "Traceback" not in err, err


def another_pytorch_or_python():
    old = ("import runpy, sys, torch.distributed as d; d.init_process_group = lambda: 0; "
           f"sys.argv = ['train.py']; sys.path.insert(0, {str(TRAIN.parent)!r}); "
           f"runpy.run_path({str(TRAIN)!r}, run_name='__main__')")
    one_line(subprocess.Popen([sys.executable, "-c", old], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE), "has no enable_reconfigure; 2.15 has")
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "shunt_planner"
        shutil.copytree(Path(shunt_planner.__file__).parent, package)
        for built in package.glob("_core.*.so"):
            built.rename(package / "_core.cpython-399.so")
        one_line(started(PYTHONPATH=folder), "built is _core.cpython-399.so, with")


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
experts_through_kills()
another_pytorch_or_python()
a_store_that_dies()
