"""EPLB's rule restated in NumPy: float32, stable descending order, the first on ties."""

import numpy as np


def balanced_packing(weight, packs):
    """Deals the items of each row to packs of equally many."""
    rows, items = weight.shape
    room = items // packs
    if room == 1:
        return np.tile(np.arange(items), (rows, 1)), np.zeros((rows, items), np.int64)
    pack = np.full((rows, items), -1)
    place = np.full((rows, items), -1)
    for row, order in enumerate(np.argsort(-weight, axis=-1, kind="stable")):
        load = [np.float32(0)] * packs
        held = [0] * packs
        for item in order:
            least = min((p for p in range(packs) if held[p] < room), key=load.__getitem__)
            pack[row, item] = least
            place[row, item] = held[least]
            load[least] = load[least] + weight[row, item]
            held[least] += 1
    return pack, place


def replicate(weight, slots):
    """Gives each next replica to the largest weight / replicas."""
    rows, experts = weight.shape
    expert_of = np.tile(np.arange(slots), (rows, 1))
    rank = np.zeros((rows, slots), np.int64)
    count = np.ones((rows, experts), np.int64)
    every = np.arange(rows)
    for slot in range(experts, slots):
        expert = (weight / count.astype(np.float32)).argmax(-1)
        expert_of[:, slot] = expert
        rank[:, slot] = count[every, expert]
        count[every, expert] += 1
    return expert_of, rank, count


def inverse(permutation):
    result = np.empty_like(permutation)
    np.put_along_axis(
        result, permutation, np.tile(np.arange(permutation.shape[1]), (len(permutation), 1)), -1
    )
    return result


def rebalance_experts(weight, num_replicas, num_groups, num_nodes, num_gpus):
    """EPLB's call: phy2log, log2phy, logcnt."""
    weight = np.asarray(weight).astype(np.float32)
    layers, experts = weight.shape
    groups, nodes = (num_groups, num_nodes) if num_groups % num_nodes == 0 else (1, 1)
    size = experts // groups

    # groups to nodes
    of_group = np.zeros((layers, groups), np.float32)
    for i in range(size):  # from left to right
        of_group += weight.reshape(layers, groups, size)[:, :, i]
    pack, place = balanced_packing(of_group, nodes)
    first = (pack * (groups // nodes) + place) * size
    log2mlog = (first[:, :, None] + np.arange(size)).reshape(layers, experts)
    mlog2log = inverse(log2mlog)

    # replicas within nodes
    of_node = np.take_along_axis(weight, mlog2log, -1).reshape(-1, experts // nodes)
    phy2mlog, rank, count = replicate(of_node, num_replicas // nodes)

    # replicas to GPUs
    share = np.take_along_axis(of_node / count.astype(np.float32), phy2mlog, -1)
    pack, place = balanced_packing(share, num_gpus // nodes)
    order = inverse(pack * (num_replicas // num_gpus) + place)
    mlog = np.take_along_axis(phy2mlog, order, -1).reshape(layers, nodes, -1)
    mlog = mlog + (np.arange(nodes) * (experts // nodes))[None, :, None]
    phy2log = np.take_along_axis(mlog2log, mlog.reshape(layers, -1), -1)
    rank = np.take_along_axis(rank, order, -1).reshape(layers, -1)
    logcnt = np.take_along_axis(count.reshape(layers, -1), log2mlog, -1)

    depth = num_replicas - experts + 1
    log2phy = np.full((layers, experts * depth), -1)
    np.put_along_axis(
        log2phy, phy2log * depth + rank, np.tile(np.arange(num_replicas), (layers, 1)), -1
    )
    return phy2log, log2phy.reshape(layers, experts, depth), logcnt
