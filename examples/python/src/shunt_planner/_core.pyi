"""The compiled part: values with a JSON form, and functions behind those of the package."""

from typing import Any, Dict, List, Optional, Tuple, Type, TypeVar, Union, overload

version: str

_V = TypeVar("_V")

class _Value:
    def __init__(self, **fields: Any) -> None: ...
    def to_json(self) -> str: ...
    @classmethod
    def from_json(cls: Type[_V], text: str) -> _V: ...
    def __eq__(self, other: object) -> bool: ...

_PerStage = Union[int, List[int]]

class PipelineJob(_Value):
    pipelines: int
    stages: int
    microbatches: _PerStage
    costs: Dict[str, _PerStage]
    transfer: Union[int, Dict[str, int]]
    layout: Union[str, Dict[str, Any]]
    stash: Dict[str, _PerStage]
    memory: Union[str, int, List[int]]
    dead: List[List[int]]
    ranks: int

class PipelineSchedule(_Value):
    order: List[List[Dict[str, Any]]]
    staggered_step: bool
    overlapped: List[List[int]]

class Program(_Value):
    ranks: List[Dict[str, Any]]
    groups: List[List[int]]
    def __len__(self) -> int: ...
    def buffers(self, rank: int) -> List[int]: ...
    def instructions(self, rank: int) -> List[Dict[str, Any]]: ...

class ExpertLayers(_Value):
    layers: int
    experts: int
    loads: List[List[int]]
    slots_per_rank: List[int]
    ranks_per_node: int
    groups: int
    previous: List[List[int]]
    history: List[List[List[int]]]
    sources: List[List[List[int]]]

class ExpertPlacement(_Value):
    layers: int
    experts: int
    first_slot: List[int]
    expert_of: List[List[int]]

class ShardMap(_Value):
    elements: int
    shards: List[List[List[int]]]

class Search:
    def __init__(
        self, solver: str, effort: int, seed: int, moves: Optional[int], /
    ) -> None: ...

@overload
def check(problem: PipelineJob, plan: PipelineSchedule, /) -> List[str]: ...
@overload
def check(problem: ExpertLayers, plan: ExpertPlacement, /) -> List[str]: ...
@overload
def check(program: Program, /) -> List[str]: ...
def layout_for(solver: str, /) -> Any: ...
def plan_pipeline(
    job: PipelineJob, solver: str, effort: int, reroute: bool, split: bool, stagger: bool, /
) -> Tuple[Any, ...]: ...
def plan_experts(layers: ExpertLayers, how: Search, /) -> Tuple[Any, ...]: ...
def lower(
    job: PipelineJob,
    plan: PipelineSchedule,
    activation: int,
    stash: int,
    gradient: int,
    state: int,
    /,
) -> Program: ...
def measure_pipeline(job: PipelineJob, plan: PipelineSchedule, /) -> Tuple[Any, ...]: ...
def measure_experts(layers: ExpertLayers, plan: ExpertPlacement, /) -> Tuple[Any, ...]: ...
def rebalance(*arguments: Any) -> Tuple[Any, ...]: ...
def cut_shards(experts: int, ranks: int, elements: int, copies: int, /) -> ShardMap: ...
def restore_shards(
    shards: ShardMap, ranks: int, dead: List[int], planes: int, /
) -> Tuple[ShardMap, Program]: ...
def scatter_weights(placement: ExpertPlacement, shards: ShardMap, /) -> Program: ...
def collect_gradients(placement: ExpertPlacement, shards: ShardMap, /) -> Program: ...
def split_tokens(
    counts: Any, placement: ExpertPlacement, layer: int, capacity: Optional[int], /
) -> Tuple[Any, Any]: ...
