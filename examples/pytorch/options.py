"""The command line of train.py, checked. Imports neither PyTorch nor the planner."""

from __future__ import annotations

import argparse
import re
from typing import List, NamedTuple


class Stop(Exception):
    """Why a run cannot begin or go on, in one line."""


class Event(NamedTuple):
    """A kill in the middle of an iteration, or a join before it."""

    pipeline: int
    stage: int
    iteration: int

    def __str__(self) -> str:
        return f"{self.pipeline}:{self.stage}@{self.iteration}"


def events_of(what: str, text: str, o: argparse.Namespace) -> List[Event]:
    """Reads pipeline:stage@iteration,... Returns them by iteration. Raises Stop."""
    events = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"(\d+):(\d+)@(\d+)", part)
        if not match:
            raise Stop(f"--{what}: '{part}' is no pipeline:stage@iteration")
        event = Event(*map(int, match.groups()))
        if event.pipeline >= o.pipelines or event.stage >= o.stages:
            raise Stop(f"--{what} {event}: there is no worker {event.pipeline}:{event.stage}; "
                       f"there are {o.pipelines} pipelines of {o.stages} stages")
        if event.iteration >= o.iterations:
            raise Stop(f"--{what} {event}: the last iteration is {o.iterations - 1}")
        events.append(event)
    return sorted(events, key=lambda e: e.iteration)


def check_history(o: argparse.Namespace) -> None:
    """Raises Stop where a kill finds no worker, a join finds one, or a stage is left without."""
    live = {(p, s) for p in range(o.pipelines) for s in range(o.stages)}
    history = [(e.iteration, 0, e) for e in o.join] + [(e.iteration, 1, e) for e in o.kill]
    for _, is_kill, e in sorted(history):
        worker = (e.pipeline, e.stage)
        if is_kill and worker not in live:
            raise Stop(f"--kill {e}: that worker is dead already")
        if not is_kill and worker in live:
            raise Stop(f"--join {e}: that worker lives; one killed in iteration k can join in k+1")
        (live.discard if is_kill else live.add)(worker)
        if not any(s == e.stage for _, s in live):
            raise Stop(f"--kill {e}: leaves stage {e.stage} without a worker")


def options_of(arguments: List[str]) -> argparse.Namespace:
    """Raises Stop. argparse itself ends with status 2."""
    app = argparse.ArgumentParser(
        description="Trains a byte-level language model in PyTorch on D x S processes that shunt "
        "plans for, through kills and joins. Exit status: 0, 1 where losses differ (--check), "
        "2 bad input, or a run that cannot go on.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for name, usual, what in (
            ("pipelines", 2, "data-parallel pipelines D"), ("stages", 2, "stages S of each"),
            ("microbatches", 4, "micro-batches of each pipeline in an iteration"),
            ("iterations", 12, "iterations to train"), ("seed", 1, "of model, data and kills"),
            ("width", 32, "of the activations"), ("context", 16, "bytes that a prediction sees"),
            ("batch", 4, "rows of a micro-batch"),
            ("rejoin", 0, "a lost worker joins again so many iterations later; 0: never"),
            ("sweep", 0, "so many runs with seeds from --seed on, and one summary line")):
        app.add_argument(f"--{name}", type=int, default=usual, help=what)
    app.add_argument("--random-kills", type=int, default=0, help="kills at random moments")
    app.add_argument("--rate", type=float, default=1e-3, help="AdamW's step size")
    app.add_argument("--kill", default="", help="pipeline:stage@iteration,...: SIGKILL in the "
                     "middle of the worker's list, or at --kill-at")
    app.add_argument("--kill-at", type=int, default=-1, help="instruction; -1: in the middle")
    app.add_argument("--join", default="", help="pipeline:stage@iteration,...")
    app.add_argument("--text", default="", help="file to train on; this program's source if empty")
    app.add_argument("--backend", default="gloo", help="of torch.distributed; only gloo has run")
    app.add_argument("--timeout", type=float, default=30, help="seconds; longer than the longest "
                     "wait of a healthy run")
    app.add_argument("--check", action="store_true", help="compare the losses with one process")
    o = app.parse_args(arguments)
    for name in ("pipelines", "stages", "microbatches", "iterations", "batch", "context"):
        if getattr(o, name) < 1:
            raise Stop(f"--{name}: must be at least 1, is {getattr(o, name)}")
    if o.width < 2 or o.width % 2:
        raise Stop(f"--width: must be even and at least 2, is {o.width}")
    if min(o.random_kills, o.rejoin, o.sweep) < 0 or o.timeout <= 0:
        raise Stop("--random-kills, --rejoin and --sweep must not be negative, --timeout above 0")
    o.kill, o.join = events_of("kill", o.kill, o), events_of("join", o.join, o)
    check_history(o)
    return o
