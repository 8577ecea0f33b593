"""Times rebalance_experts, arrays in and out, beside EPLB's rule in NumPy."""

import time

import numpy as np
from eplb_in_numpy import rebalance_experts as eplb
from shunt_planner import rebalance_experts


def milliseconds(call, times):
    """The least and the median time of a call."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken) * 1e3, sorted(taken)[times // 2] * 1e3


def main():
    weight = np.random.default_rng(1).lognormal(5, 1, (58, 256)).round()
    print("58 layers x 256 experts, 288 slots on 32 GPUs: least and median ms, mean max/mean load")
    for groups, nodes in ((1, 1), (8, 4)):
        sizes = (288, groups, nodes, 32)
        share = weight / eplb(weight, *sizes)[2]
        loads = np.take_along_axis(share, eplb(weight, *sizes)[0], -1).reshape(58, 32, 9).sum(-1)
        rows = [("EPLB in NumPy", lambda: eplb(weight, *sizes), 3)]
        rows += [
            (f"shunt {how}", lambda how=how: rebalance_experts(weight, *sizes, **how), 50)
            for how in ({"solver": "eplb"}, {}, {"effort": 20_000})
        ]
        print(f"{groups} groups, {nodes} nodes")
        for name, call, times in rows:
            found = call()
            balance = getattr(found, "imbalance", loads.max(-1) / loads.mean(-1)).mean()
            least, median = milliseconds(call, times)
            print(f"  {name:28} {least:9.3f} {median:9.3f} {balance:8.4f}")


if __name__ == "__main__":
    main()
