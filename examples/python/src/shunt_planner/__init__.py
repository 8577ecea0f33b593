"""Plans of the library shunt: where experts live, and in which order pipelines compute."""

from pathlib import Path as _Path

try:
    from . import _core  # noqa: F401
except ImportError as error:
    built = [p.name for p in _Path(__file__).parent.glob("_core.*") if p.suffix != ".pyi"]
    raise ImportError(f"{error}; built is {', '.join(built) or 'none'}") from None
from ._core import (
    ExpertLayers,
    ExpertPlacement,
    PipelineJob,
    PipelineSchedule,
    Program,
    ShardMap,
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
from ._shards import (
    collect_gradients,
    cut_shards,
    restore_shards,
    scatter_weights,
    split_tokens,
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
    "ShardMap",
    "Solution",
    "check",
    "collect_gradients",
    "cut_shards",
    "lower",
    "measure",
    "plan_experts",
    "plan_pipeline",
    "rebalance_experts",
    "restore_shards",
    "scatter_weights",
    "split_tokens",
]
