"""Times rebalance_experts beside EPLB's rule in NumPy, and as SGLang's wheel has it where that is
installed (`pip install --no-deps sglang`, and PyTorch). Where PyTorch is, tensors go in and out."""

import importlib.util
import pathlib
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


def sglang():
    """EPLB's call in SGLang's wheel, without SGLang's dependencies; None where it is not."""
    found = importlib.util.find_spec("sglang")
    if found is None:
        return None
    folder = pathlib.Path(found.submodule_search_locations[0])
    file = folder / "srt/eplb/eplb_algorithms/deepseek.py"
    module = importlib.util.module_from_spec(
        spec := importlib.util.spec_from_file_location("deepseek", file)
    )
    spec.loader.exec_module(module)
    return module.rebalance_experts


def main():
    torch = importlib.util.find_spec("torch") and importlib.import_module("torch")
    theirs = sglang() if torch else None
    weight = np.random.default_rng(1).lognormal(5, 1, (58, 256)).round()
    print("58 layers x 256 experts, 288 slots on 32 GPUs: least and median ms, mean max/mean load")
    for groups, nodes in ((1, 1), (8, 4)):
        sizes = (288, groups, nodes, 32)
        share = weight / eplb(weight, *sizes)[2]
        loads = np.take_along_axis(share, eplb(weight, *sizes)[0], -1).reshape(58, 32, 9).sum(-1)
        rows = [("EPLB in NumPy", lambda: eplb(weight, *sizes), 3)]
        given = torch.from_numpy(weight) if torch else weight
        if theirs:
            rows.append(("EPLB in SGLang", lambda: theirs(given, *sizes, groups > 1), 3))
        rows += [
            (f"shunt {how}", lambda how=how: rebalance_experts(given, *sizes, **how), 50)
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
