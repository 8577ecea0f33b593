"""Plans of the library shunt: where experts live, and in which order pipelines compute."""

from ._core import (
    ExpertLayers,
    ExpertPlacement,
    PipelineJob,
    PipelineSchedule,
    Program,
    check,
    version as __version__,
)
from ._errors import InvalidProblem, InvalidProgram
from ._experts import Rebalanced, rebalance_experts
from ._plans import (
    ExpertMeasures,
    PipelineMeasures,
    Solution,
    lower,
    measure,
    plan_experts,
    plan_pipeline,
)

__all__ = [
    "ExpertLayers",
    "ExpertMeasures",
    "ExpertPlacement",
    "InvalidProblem",
    "InvalidProgram",
    "PipelineJob",
    "PipelineMeasures",
    "PipelineSchedule",
    "Program",
    "Rebalanced",
    "Solution",
    "check",
    "lower",
    "measure",
    "plan_experts",
    "plan_pipeline",
    "rebalance_experts",
]
