"""The command line of train.py. Imports neither PyTorch nor the planner."""
import argparse
import re
from collections import namedtuple

Event = namedtuple("Event", "pipeline stage iteration")  # a kill in it, or a join before it


class Stop(Exception):
    """Why a run cannot begin or go on, in one line."""


def events_of(what, text, o):
    """Reads pipeline:stage@iteration,... Returns Events by iteration. Raises Stop."""
    events = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"(\d+):(\d+)@(\d+)", part)
        if not match:
            raise Stop(f"--{what}: '{part}' is no pipeline:stage@iteration")
        event = Event(*map(int, match.groups()))
        if event.pipeline >= o.pipelines or event.stage >= o.stages:
            raise Stop(f"--{what} {part}: there are {o.pipelines} pipelines of {o.stages} stages")
        if event.iteration >= o.iterations:
            raise Stop(f"--{what} {part}: the last iteration is {o.iterations - 1}")
        events.append(event)
    return sorted(events, key=lambda e: e.iteration)


def check_history(o):
    """Raises Stop where a kill finds no worker, a join finds one, or a stage is left without."""
    live = {(p, s) for p in range(o.pipelines) for s in range(o.stages)}
    for _, kill, e in sorted([(e[2], 0, e) for e in o.join] + [(e[2], 1, e) for e in o.kill]):
        name = "--{} {}:{}@{}".format("kill" if kill else "join", *e)
        if kill != (e[:2] in live):
            raise Stop(name + (": that worker is dead already" if kill else
                               ": that worker lives; one killed in iteration k can join in k+1"))
        live ^= {e[:2]}
        if not any(stage == e.stage for _, stage in live):
            raise Stop(f"{name}: leaves stage {e.stage} without a worker")


def check_experts(o):
    tokens = o.pipelines * o.microbatches * o.batch * o.context
    for name, wrong, what in (
            ("stages", o.stages > 1, "takes --stages 1: a rank has the whole model but its experts"),
            ("join", o.join or o.rejoin, "no worker can join"),
            ("backend", o.backend != "gloo", "runs over gloo"),
            ("slots", o.slots * o.ranks < o.experts, "needs a slot for each expert"),
            ("copies", o.copies > o.ranks, f"there are {o.ranks} ranks"),
            ("context", tokens > 2**13, f"an iteration has {tokens} tokens, at most {2**13} add "
             "exactly"),
            ("check", o.check and o.capacity, "what drops depends on the placement")):
        if wrong:
            raise Stop(f"--experts with this --{name}: {what}")


def options_of(arguments):
    """Raises Stop. argparse itself ends with status 2."""
    app = argparse.ArgumentParser(
        description="Trains a byte-level language model in PyTorch on D x S processes, through "
        "kills and joins, with plans of shunt. Exit status: 0; 1 where losses differ (--check); "
        "2 for bad input and for a run that cannot go on.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for name, usual, least, what in (
            ("pipelines", 2, 1, "data-parallel pipelines D"), ("stages", 2, 1, "stages S of each"),
            ("microbatches", 4, 1, "of each pipeline in an iteration"),
            ("iterations", 12, 1, "to train"), ("batch", 4, 1, "rows of a micro-batch"),
            ("context", 16, 1, "bytes of a row"), ("width", 32, 1, "of the activations"),
            ("seed", 1, 0, "of parameters, data and random kills"),
            ("kill-at", -1, -1, "instruction before which a worker is killed; -1: in the middle"),
            ("random-kills", 0, 0, "kills at random moments"),
            ("rejoin", 0, 0, "a lost worker joins so many iterations later; 0: never"),
            ("sweep", 0, 0, "so many runs with other random kills, and one line about them"),
            ("experts", 0, 0, "of a layer with a mixture of experts; 0: a pipeline without"),
            ("layers", 2, 1, "with experts"), ("slots", 2, 1, "of a rank in a layer with experts"),
            ("capacity", 0, 0, "tokens that a slot takes; 0: all"),
            ("copies", 2, 1, "of each shard of the experts' state"),
            ("timeout", 30, 1, "seconds, longer than any wait of a healthy run")):
        app.add_argument(f"--{name}", type=int, default=usual, help=what).least = least
    app.add_argument("--kill", default="", help="pipeline:stage@iteration,...: ends by SIGKILL")
    app.add_argument("--join", default="", help="pipeline:stage@iteration,...")
    app.add_argument("--placer", default="swift_moe", help="solver that places experts")
    app.add_argument("--text", default="", help="file to train on; the default is this program")
    app.add_argument("--backend", default="gloo", help="of torch.distributed; gloo alone has run")
    app.add_argument("--check", action="store_true", help="compare losses with one process")
    o = app.parse_args(arguments)
    for option in app._actions:
        value = getattr(o, option.dest, None)
        if hasattr(option, "least") and value < option.least:
            raise Stop(f"{option.option_strings[0]}: must be at least {option.least}, is {value}")
    o.kill, o.join = events_of("kill", o.kill, o), events_of("join", o.join, o)
    check_history(o)
    o.ranks = o.pipelines * o.stages
    if o.experts:
        check_experts(o)
    return o
