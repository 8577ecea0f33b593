"""rebalance_experts: EPLB's call, and more."""

from __future__ import annotations

import operator
from typing import Any, Iterable, List, Optional

import numpy as np

from . import _core
from ._errors import InvalidProblem


class Rebalanced(tuple):
    """The triple (phy2log, log2phy, logcnt) of EPLB, and what else is known of the placement."""

    moves: Any  #: int64 [moves, 4]: layer, expert, slot, and the slot it comes from or -1
    bound: Any  #: float64 [layers]: no placement has a lower imbalance
    imbalance: Any  #: float64 [layers]: largest GPU load over the mean of live GPUs

    def __new__(cls, maps: Iterable[Any], **more: Any) -> "Rebalanced":
        self = super().__new__(cls, maps)
        self.__dict__.update(more)
        return self

    phy2log = property(operator.itemgetter(0), doc="int64 [layers, slots], -1 on a dead GPU")
    log2phy = property(
        operator.itemgetter(1), doc="int64 [layers, experts, slots - experts + 1], -1 behind"
    )
    logcnt = property(operator.itemgetter(2), doc="int64 [layers, experts]: replicas")

    @property
    def fetched(self) -> Any:
        """The moves whose expert no live GPU held."""
        return self.moves[self.moves[:, 3] < 0]


def _is_torch(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch"


def _array(name: str, value: Any, kinds: str) -> np.ndarray:
    """An array of one of these kinds of numbers, on the host."""
    try:
        if _is_torch(value):
            value = value.detach().cpu()
            value = (value.float() if value.is_floating_point() else value).numpy()
        elif not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
            value = np.from_dlpack(value)
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        raise InvalidProblem(name, f"is no array: {str(error).splitlines()[0]}") from None
    if array.dtype.kind not in kinds:
        wanted = "numbers" if "f" in kinds else "whole numbers"
        raise InvalidProblem(name, f"must hold {wanted}, holds {array.dtype}")
    return array


def _live(active_ranks: Any, num_gpus: int) -> List[bool]:
    """Which GPUs live: from a mask of booleans, or from the numbers of the live GPUs."""
    if active_ranks is None:
        return []
    if isinstance(active_ranks, (set, frozenset, range)):
        active_ranks = sorted(active_ranks)
    array = _array("active_ranks", active_ranks, "biuf")
    if not array.any() and (array.size == 0 or array.dtype.kind == "b"):
        raise InvalidProblem("active_ranks", "names no live GPU")
    if array.dtype.kind == "f":
        raise InvalidProblem("active_ranks", f"must hold whole numbers, holds {array.dtype}")
    if array.ndim != 1:
        raise InvalidProblem("active_ranks", f"must have one dimension, has {array.ndim}")
    if array.dtype.kind == "b":
        if array.size != num_gpus:
            raise InvalidProblem("active_ranks", f"masks {array.size} GPUs of {num_gpus}")
        return array.tolist()
    live = [False] * num_gpus
    for i, gpu in enumerate(array.tolist()):
        if not 0 <= gpu < num_gpus:
            raise InvalidProblem(f"active_ranks[{i}]", f"must be a GPU below {num_gpus}, is {gpu}")
        if live[gpu]:
            raise InvalidProblem(
                f"active_ranks[{i}]", f"names GPU {gpu} again; a mask must be of booleans"
            )
        live[gpu] = True
    return live


def rebalance_experts(
    weight: Any,
    num_replicas: int,
    num_groups: int,
    num_nodes: int,
    num_gpus: int,
    *,
    solver: Optional[str] = None,
    effort: int = 0,
    seed: int = 1,
    active_ranks: Any = None,
    old_map: Any = None,
    move_budget: Optional[int] = None,
    source_loads: Any = None,
) -> Rebalanced:
    """Places the experts of each layer in the slots of GPUs; docs/python.md has the details.

    The five arguments and the triple are those of DeepSeek's EPLB. `solver="eplb"` answers as EPLB
    does, to the bit. The default, `"balanced"`, never has a larger GPU load than EPLB; with
    `effort` (steps a layer) it searches. `active_ranks` is a mask of booleans or the numbers of
    the live GPUs. `old_map` is the phy2log in force, -1 in empty slots; `move_budget` limits the
    experts a layer that GPUs newly receive (`"incremental"`; with `active_ranks` `"elastic"`). `source_loads` [layers, gpus,
    experts] are the tokens by the GPU that has them; the GPUs are dealt so that most stay local.

    Raises InvalidProblem, which names argument, index and value.
    """
    numbers = []
    for name, number in (
        ("num_replicas", num_replicas),
        ("num_groups", num_groups),
        ("num_nodes", num_nodes),
        ("num_gpus", num_gpus),
        ("effort", effort),
        ("seed", seed),
        ("move_budget", 0 if move_budget is None else move_budget),
    ):
        try:
            number = operator.index(number)
        except TypeError:
            raise InvalidProblem(name, f"must be a whole number, is {number!r}") from None
        most = 2**64 if name == "seed" else 2**63 if name == "effort" else 2**31
        if not 0 <= number < most:
            raise InvalidProblem(name, f"must be from 0 to {most - 1}, is {number}")
        numbers.append(number)
    *sizes, effort, seed, budget = numbers
    if solver is None:
        solver = "incremental" if active_ranks is None else "elastic"
        solver = "balanced" if move_budget is None else solver
    how = _core.Search(solver, effort, seed, None if move_budget is None else budget)
    live = _live(active_ranks, sizes[3])
    try:
        arrays = _core.rebalance(
            _array("weight", weight, "biuf"),
            *sizes,
            how,
            live,
            None if old_map is None else _array("old_map", old_map, "iu"),
            None if source_loads is None else _array("source_loads", source_loads, "biu"),
        )
    except InvalidProblem as error:  # the library's word for it
        if not error.field.startswith("sources"):
            raise
        field = error.field.replace("sources", "source_loads", 1)
        raise InvalidProblem(field, error.args[1]) from None
    if _is_torch(weight):
        import torch

        arrays = [torch.from_numpy(array) for array in arrays]
    return Rebalanced(arrays[:3], moves=arrays[3], bound=arrays[4], imbalance=arrays[5])
