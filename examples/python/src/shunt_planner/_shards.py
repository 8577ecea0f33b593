"""What experts train with: shards of the optimizer's state, and the programs of an iteration."""

from __future__ import annotations

from typing import Any, Iterable, Optional, Tuple

from . import _core
from ._core import ExpertPlacement, Program, ShardMap
from ._experts import _array


def cut_shards(*, experts: int, ranks: int, elements: int, copies: int = 1) -> ShardMap:
    """Cuts the optimizer's state of each expert, of so many elements, over all ranks for good.

    Rank k owns shard k of every expert; the next `copies` - 1 ranks mirror it.
    Raises InvalidProblem.
    """
    return _core.cut_shards(experts, ranks, elements, copies)


def restore_shards(
    shards: ShardMap, *, ranks: int, dead: Iterable[int], planes: int = 1
) -> Tuple[ShardMap, Program]:
    """Returns the shards after a loss of ranks, and the program that moves a layer's state there.

    `dead` are all that are lost so far. A rank's state is `planes` arrays of 4-byte elements, each
    of its shards by expert and begin: buffer 0 before, buffer 1 after.
    Raises InvalidProblem where no live rank has a shard.
    """
    return _core.restore_shards(shards, ranks, list(dead), planes)


def scatter_weights(placement: ExpertPlacement, shards: ShardMap) -> Program:
    """Returns the program that sends the weights of shards to the slots of a placement.

    Layer l uses buffer 2 l, the rank's slots, and 2 l + 1, its shards, of 4-byte elements.
    Raises InvalidProblem.
    """
    return _core.scatter_weights(placement, shards)


def collect_gradients(placement: ExpertPlacement, shards: ShardMap) -> Program:
    """Returns the program that sums the gradients of slots, in int64, where shards are held.

    Layer l uses buffer 3 l, the rank's slots, 3 l + 1, its shards, and 3 l + 2 for parts on arrival.
    Raises InvalidProblem.
    """
    return _core.collect_gradients(placement, shards)


def split_tokens(
    counts: Any, placement: ExpertPlacement, layer: int = 0, *, capacity: Optional[int] = None
) -> Tuple[Any, Any]:
    """Splits a layer's tokens, `counts` [ranks, experts], over the slots of their experts.

    Returns the tokens that go from each rank to each slot, and those that drop, of each rank and
    expert, because slots take `capacity` at most. Raises InvalidProblem.
    """
    return _core.split_tokens(_array("counts", counts, "biu"), placement, layer, capacity)
