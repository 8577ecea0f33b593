"""The code of docs/python.md."""

# docs/python.md {
import numpy as np
from shunt_planner import check, lower, measure, plan_pipeline, rebalance_experts
from shunt_planner import cut_shards, plan_experts, scatter_weights

tokens = np.random.default_rng(1).lognormal(5, 1, (4, 64)).round()  # layers x experts
phy2log, log2phy, logcnt = rebalance_experts(tokens, 80, 1, 1, 16)  # as EPLB is called

# GPU 3 dies: every expert keeps a slot, and at most four of a layer go to another GPU unless more
# were lost.
live = [gpu for gpu in range(16) if gpu != 3]
after = rebalance_experts(
    tokens, 80, 1, 1, 16, active_ranks=live, old_map=phy2log, move_budget=4
)
for layer, expert, slot, source in after.moves[:3]:
    print(f"layer {layer}: expert {expert} goes to slot {slot} from slot {source}")
print(f"largest over mean load: {after.imbalance.mean():.3f}, at best {after.bound.mean():.3f}")
print(f"on no live GPU: {len(after.fetched)} experts")

# Worker 1:2 of three pipelines dies: its peers compute its micro-batches.
answer = plan_pipeline(pipelines=3, stages=4, microbatches=6, costs={"step": 3}, dead=[(1, 2)])
assert check(answer.problem, answer.plan) == []
print(answer.problem, answer.status, measure(answer.problem, answer.plan).period)

program = lower(answer.problem, answer.plan)
for instruction in program.instructions(2)[:3]:  # dictionaries and lists
    print(instruction["code"], instruction.get("op"))

# Experts placed by their tokens: their weights go from shards of the optimizer's state to slots.
placement = plan_experts(
    layers=1, experts=4, loads=[[700, 200, 60, 40]], slots_per_rank=[2] * 4, solver="swift_moe"
).plan
shards = cut_shards(experts=4, ranks=4, elements=1000, copies=2)
to_slots = scatter_weights(placement, shards)
print(to_slots, [i["code"] for i in to_slots.instructions(2)])
# }

assert len(after.phy2log[0]) == 80 and (after.phy2log.reshape(4, 16, 5)[:, 3] == -1).all()
assert measure(answer.problem, answer.plan).period == 30
assert to_slots.buffers(2) == [2 * 4000, 2 * 4000]  # slots; of four experts two quarters each
