"""What plan_pipeline writes for torch.distributed.pipelining, PyTorch loads and trains with; what
PyTorch dumps, plan_pipeline reads.
    python torch_csv.py PLAN_PIPELINE
Ends with status 77 and a line where PyTorch can't be imported.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
try:
    import torch
    import torch.distributed as dist
    from torch.distributed.pipelining import PipelineStage
    from torch.distributed.pipelining import schedules as torch_schedules
except ImportError as missing:
    print(f"skipped: no PyTorch for {sys.executable} ({missing})")
    sys.exit(77)

RELEASE = "2.15" if hasattr(torch_schedules, "WAIT_SEND_F") else "2.14"
WIDTH, MICROBATCHES, RANKS = 8, 4, 2
# Solver, stages on two ranks, options.
PLANS = [
    ("gpipe", 2, []),
    ("one_f_one_b", 2, []),
    ("zb_h1", 2, []),
    ("slipstream", 2, ["--no-stagger"]),
    ("interleaved_one_f_one_b", 4, ["--chunks", "2"]),
    ("interleaved_zero_bubble", 4, ["--chunks", "2"]),
    ("looped_bfs", 4, ["--chunks", "2"]),
    ("dual_pipe_v", 4, ["--overlap-gain", "1"]),
    ("zb_v", 4, []),
    ("v_half", 4, []),
    ("hanayo", 4, ["--chunks", "2"]),
]
CLASSES = ["LoopedBFS", "Interleaved1F1B", "InterleavedZeroBubble", "ZBVZeroBubble", "DualPipeV"]


class NoStage:
    """As much of a PipelineStage as a schedule asks for before it runs."""

    def __init__(self, stage, stages, ranks, rank):
        self.stage_index, self.num_stages = stage, stages
        self.group_size, self.group_rank, self.group = ranks, rank, None
        self.is_first, self.is_last, self.has_backward = stage == 0, stage == stages - 1, True
        self.submod, self.device = torch.nn.Identity(), torch.device("cpu")


def call(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def write_plans(program, folder):
    for solver, stages, options in PLANS:
        call(program, "--solver", solver, "--stages", str(stages), "--microbatches",
             str(MICROBATCHES), *options, "--torch", RELEASE, "--csv-out",
             f"{folder}/{solver}.csv", "--csv-comms", f"{folder}/{solver}-comms.csv")


def rows_of(path):
    return [line.split(",") for line in Path(path).read_text().split()]


def stages_of(row):
    """The stages that a row names, ascending; they have one digit here."""
    return sorted({int(part[0]) for cell in row
                   for part in cell.strip("(").split(")")[0].split(";")})


def module_of(stage):
    torch.manual_seed(stage)
    return torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH), torch.nn.Tanh())


def data():
    torch.manual_seed(100)
    return torch.randn(MICROBATCHES * 2, WIDTH), torch.randn(MICROBATCHES * 2, WIDTH)


def whole_gradients(stages):
    modules = [module_of(s) for s in range(stages)]
    x, y = data()
    for part, target in zip(x.chunk(MICROBATCHES), y.chunk(MICROBATCHES)):
        for module in modules:
            part = module(part)
        torch.nn.functional.mse_loss(part, target).backward()
    return [[p.grad / MICROBATCHES for p in module.parameters()] for module in modules]


def train(folder, rank):
    """One step of every plan on this rank, compared with the model in one process."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank,
                            world_size=RANKS)
    x, y = data()
    for solver, stages, _ in PLANS:
        expected = whole_gradients(stages)
        for comms in (False, True):
            path = Path(folder) / f"{solver}{'-comms' if comms else ''}.csv"
            own = stages_of(rows_of(path)[rank])
            modules = {s: module_of(s) for s in own}
            held = [PipelineStage(modules[s], s, stages, torch.device("cpu")) for s in own]
            schedule = torch_schedules._PipelineScheduleRuntime(
                held, MICROBATCHES, loss_fn=torch.nn.functional.mse_loss)
            schedule._load_csv(str(path), format="compute_comms" if comms else "compute_only")
            schedule.step(*([x] if 0 in own else []),
                          **({"target": y} if stages - 1 in own else {}))
            for s in own:
                for got, wanted in zip(modules[s].parameters(), expected[s]):
                    if not torch.equal(got.grad, wanted):
                        raise SystemExit(f"{path.name}: another gradient at stage {s}")
    dist.destroy_process_group()


def dumps_read(program, folder):
    """Every lowered dump of every class reads as a plan."""
    read = 0
    for ranks, microbatches in ((2, 4), (3, 6), (4, 8), (8, 32)):
        for name in CLASSES:
            v_shaped = name in ("ZBVZeroBubble", "DualPipeV")
            own = [0, 2 * ranks - 1] if v_shaped else [0, ranks]
            schedule = torch_schedules.get_schedule_class(name)(
                [NoStage(s, 2 * ranks, ranks, 0) for s in own], microbatches,
                loss_fn=torch.nn.functional.mse_loss)
            for form in ("compute_only", "compute_comms"):
                path = f"{folder}/dump.csv"
                schedule._dump_csv(path, format=form)
                answer = json.loads(call(program, "--csv-in", path))
                assert len(answer["workers"]) == ranks, (name, ranks)
                read += 1
    return read


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        write_plans(program, folder)
        own = [subprocess.Popen([sys.executable, __file__, "--rank", str(rank), folder])
               for rank in range(RANKS)]
        if any([process.wait() for process in own]):
            raise SystemExit("a rank failed")
        read = dumps_read(program, folder)
        print(f"PyTorch {torch.__version__}: {2 * len(PLANS)} files loaded and trained with, "
              f"{read} dumps read")


if sys.argv[1] == "--rank":
    train(sys.argv[3], int(sys.argv[2]))
else:
    main(sys.argv[1])
