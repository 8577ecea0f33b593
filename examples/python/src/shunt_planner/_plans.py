"""Plans as values: problems, solutions, measures, programs."""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Union, overload

from . import _core
from ._core import ExpertLayers, ExpertPlacement, PipelineJob, PipelineSchedule, Program
from ._errors import InvalidProblem


class Solution(NamedTuple):
    """A solver's answer. `plan` is None where `status` is "infeasible" or "limit_reached"."""

    problem: Any  #: PipelineJob or ExpertLayers
    plan: Any  #: PipelineSchedule or ExpertPlacement
    status: str  #: "optimal", "feasible", "infeasible" or "limit_reached"
    objective: float  #: period in ticks, or mean over layers of max/mean load
    lower_bound: float
    reason: str  #: why there is no plan


class PipelineMeasures(NamedTuple):
    """Ticks, and what each rank stashes at most, in units of the job's stash weights."""

    makespan: int
    period: int
    makespan_bound: int
    period_bound: int
    bubble_share: float
    stash_peak: List[int]


class ExpertMeasures(NamedTuple):
    """For each layer: largest rank load over the mean, and a bound that no placement is below."""

    imbalance: List[float]
    bound: List[float]


def _problem(kind: type, given: Any, fields: dict) -> Any:
    if given is None:
        return kind(**fields)
    if not isinstance(given, kind):
        raise TypeError(f"expects a {kind.__name__}, not a {type(given).__name__}")
    if fields:
        raise TypeError(f"{next(iter(fields))}: belongs to the {kind.__name__} that is given")
    return given


def plan_pipeline(
    job: Optional[PipelineJob] = None,
    /,
    *,
    solver: str = "slipstream",
    effort: int = 2_000_000,
    reroute: bool = True,
    split: bool = True,
    stagger: bool = True,
    **fields: Any,
) -> Solution:
    """Plans one iteration of a job, or of the job with these fields.

    Fields without a layout get the one that the solver is for. `effort`, `reroute`, `split` and
    `stagger` are slipstream's, which plans around the workers of `dead`.
    Raises InvalidProblem.
    """
    layout = _core.layout_for(solver)
    if job is None and layout != "linear":
        fields.setdefault("layout", layout)
    problem = _problem(PipelineJob, job, fields)
    return Solution(
        problem, *_core.plan_pipeline(problem, solver, effort, reroute, split, stagger)
    )


def plan_experts(
    problem: Optional[ExpertLayers] = None,
    /,
    *,
    solver: str = "balanced",
    effort: int = 150_000,
    seed: int = 1,
    **fields: Any,
) -> Solution:
    """Places the experts of these layers, or of the layers with these fields.

    `effort` and `seed` are of the solvers that search. Raises InvalidProblem.
    """
    searches = solver in ("balanced", "incremental", "spilled_groups")
    problem = _problem(ExpertLayers, problem, fields)
    how = _core.Search(solver, effort if searches else 0, seed, None)
    return Solution(problem, *_core.plan_experts(problem, how))


@overload
def measure(problem: PipelineJob, plan: PipelineSchedule) -> PipelineMeasures: ...
@overload
def measure(problem: ExpertLayers, plan: ExpertPlacement) -> ExpertMeasures: ...
def measure(problem: Any, plan: Any) -> Union[PipelineMeasures, ExpertMeasures]:
    """Measures a plan of a problem. Raises ValueError where it is none."""
    if isinstance(problem, PipelineJob):
        return PipelineMeasures(*_core.measure_pipeline(problem, plan))
    return ExpertMeasures(*_core.measure_experts(problem, plan))


def lower(
    job: PipelineJob,
    plan: PipelineSchedule,
    *,
    activation: int = 8,
    stash: int = 8,
    gradient: int = 8,
    state: int = 8,
) -> Program:
    """Returns the program of one iteration: a list of instructions a rank.

    The sizes are bytes of a stage's tensors. Raises InvalidProblem and InvalidProgram.
    """
    for rule in _core.check(job, plan):
        raise InvalidProblem("plan", rule)
    return _core.lower(job, plan, activation, stash, gradient, state)
