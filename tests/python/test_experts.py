"""rebalance_experts: EPLB's answer to the bit, and the laws of what is beyond it."""

import pickle
import random
import sys
import types
import unittest

import numpy as np
import shunt_planner
from eplb_in_numpy import rebalance_experts as eplb
from shunt_planner import InvalidProblem, rebalance_experts

# The example of EPLB's README and its answer.
README = [
    [90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86],
    [20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27],
]
README_ANSWER = [
    [5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1],
    [7, 10, 6, 8, 6, 11, 8, 9, 2, 4, 5, 1, 5, 0, 3, 1],
]
SIZES = (16, 4, 2, 8)


def case(seed):
    """Random weights and sizes; every third has groups that nodes do not divide."""
    draw = random.Random(seed)
    nodes = draw.choice([1, 1, 2, 3, 4])
    gpus = nodes * draw.randint(1, 4)
    groups = nodes * draw.randint(1, 3)
    experts = groups * draw.randint(1, 4)
    if nodes > 1 and seed % 3 == 0:
        groups = nodes * draw.randint(1, 3) + 1
    slots = -(-experts // gpus) + draw.randint(0, 3)
    layers = draw.randint(1, 3)
    kind = seed % 5
    if kind == 0:  # many ties
        weight = [[draw.randint(0, 4) for _ in range(experts)] for _ in range(layers)]
    elif kind == 1:
        weight = [[draw.expovariate(1e-3) for _ in range(experts)] for _ in range(layers)]
    elif kind == 2:  # beyond 2^24
        weight = [[draw.randint(0, 2**40) for _ in range(experts)] for _ in range(layers)]
    else:
        weight = [[int(draw.lognormvariate(6, 2)) for _ in range(experts)] for _ in range(layers)]
    return np.array(weight), (gpus * slots, groups, nodes, gpus)


def gpu_loads(weight, result, gpus):
    """Even shares of the loads on each GPU, in float64: [layers, gpus]."""
    phy2log, _, logcnt = result
    share = np.asarray(weight, np.float64) / np.asarray(logcnt)
    held = np.take_along_axis(share, np.maximum(phy2log, 0), -1) * (np.asarray(phy2log) >= 0)
    return held.reshape(len(held), gpus, -1).sum(-1)


class Maps(unittest.TestCase):
    def assert_consistent(self, result, experts):
        """The three maps agree and hold every expert."""
        phy2log, log2phy, logcnt = result
        for layer, row in enumerate(phy2log):
            for expert in range(experts):
                slots = [s for s in log2phy[layer, expert] if s >= 0]
                self.assertEqual(sorted(slots), np.flatnonzero(row == expert).tolist())
                self.assertEqual(len(slots), logcnt[layer, expert])
                self.assertGreater(len(slots), 0)
                self.assertTrue((log2phy[layer, expert, len(slots):] == -1).all())

    def assert_equal_maps(self, found, wanted):
        for a, b in zip(found, wanted):
            self.assertEqual(a.dtype, np.int64)
            np.testing.assert_array_equal(a, b)

    def assert_refused(self, field, part, *arguments, **more):
        with self.assertRaises(InvalidProblem) as caught:
            rebalance_experts(*arguments, **more)
        self.assertEqual(caught.exception.field, field)
        self.assertIn(part, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))


class Eplb(Maps):
    def test_readme(self):
        found = rebalance_experts(README, *SIZES, solver="eplb")
        self.assertEqual(found[0].tolist(), README_ANSWER)
        self.assert_equal_maps(found, eplb(README, *SIZES))
        self.assertEqual(found.log2phy.shape, (2, 12, 5))

    def test_equals_the_rule_in_1000_cases(self):
        for seed in range(1000):
            weight, sizes = case(seed)
            with self.subTest(seed=seed):
                found = rebalance_experts(weight, *sizes, solver="eplb")
                self.assert_equal_maps(found, eplb(weight, *sizes))

    def test_default_is_never_fuller_in_1000_cases(self):
        fuller = np.zeros(2)  # layers less full, and all
        for seed in range(1000):
            weight, sizes = case(seed)
            found = rebalance_experts(weight, *sizes, effort=2000 if seed % 10 == 0 else 0)
            loads = gpu_loads(weight, found, sizes[3])
            most, limit = loads.max(-1), gpu_loads(weight, eplb(weight, *sizes), sizes[3]).max(-1)
            with self.subTest(seed=seed):
                self.assert_consistent(found, weight.shape[1])
                self.assertTrue((most <= limit * (1 + 1e-9)).all())
                mean = np.where(loads.mean(-1) == 0, 1, loads.mean(-1))
                ratio = np.where(loads.sum(-1) == 0, 1, most / mean)
                np.testing.assert_allclose(found.imbalance, ratio, rtol=1e-9)
                self.assertTrue((found.bound <= found.imbalance * (1 + 1e-9)).all())
            fuller += (most < limit * (1 - 1e-9)).sum(), len(most)
        self.assertGreater(fuller[0], fuller[1] / 20)  # and often less full

    def test_dead_gpus_are_left_to_the_global_policy(self):
        weight, live = np.array(README), [0, 2, 3, 5, 6, 7]
        found = rebalance_experts(weight, *SIZES, solver="eplb", active_ranks=live)
        wanted = eplb(weight, 12, 1, 1, 6)[0].reshape(2, 6, 2)
        np.testing.assert_array_equal(found.phy2log.reshape(2, 8, 2)[:, live], wanted)
        self.assertTrue((found.phy2log.reshape(2, 8, 2)[:, [1, 4]] == -1).all())
        self.assert_consistent(found, 12)


class Beyond(Maps):
    def test_inputs(self):
        wanted = rebalance_experts(README, *SIZES)
        for kind in (np.int32, np.uint64, np.float16, np.float64, np.int64):
            array = np.asfortranarray(np.array(README, kind))
            self.assert_equal_maps(rebalance_experts(array, *SIZES), wanted)

        class Shared:  # DLPack alone
            def __dlpack__(self, **more):
                return np.array(README).__dlpack__(**more)
            def __dlpack_device__(self):
                return np.array(README).__dlpack_device__()

        self.assert_equal_maps(rebalance_experts(Shared(), *SIZES), wanted)

    def test_scaled_loads_give_the_same_answer(self):
        weight, sizes = case(3)
        wanted = rebalance_experts(weight, *sizes)
        for factor in (2.0**-70, 2.0**60):
            self.assert_equal_maps(rebalance_experts(weight * factor, *sizes), wanted)

    def test_torch_in_torch_out(self):
        class Tensor:
            __module__ = "torch"
            def __init__(self, array):
                self.array = array
            def detach(self):
                return self
            cpu = detach
            def is_floating_point(self):
                return self.array.dtype.kind == "f"
            def float(self):
                return Tensor(self.array.astype(np.float32))
            def numpy(self):
                return self.array

        fake = types.ModuleType("torch")
        fake.from_numpy = Tensor
        before = sys.modules.get("torch")
        sys.modules["torch"] = fake
        try:
            found = rebalance_experts(Tensor(np.array(README, float)), *SIZES, solver="eplb")
        finally:
            sys.modules.pop("torch")
            if before:
                sys.modules["torch"] = before
        self.assertIsInstance(found[0], Tensor)
        self.assertEqual(found[0].array.tolist(), README_ANSWER)

    def test_every_solver_covers_every_expert(self):
        old = eplb(README, *SIZES)[0]
        for solver in ("balanced", "swift_moe", "uniform", "eplb", "spilled_groups", "incremental",
                       "elastic", "lazarus", "flexmoe", "shadow", "exact_placement"):
            for live in (None, [True] * 6 + [False] * 2):
                effort = 1000 if solver == "exact_placement" else 0
                with self.subTest(solver=solver, live=live):
                    found = rebalance_experts(README, *SIZES, solver=solver, effort=effort,
                                              active_ranks=live, old_map=old if live is None
                                              else None)
                    self.assert_consistent(found, 12)

    def test_effort_helps_and_the_seed_decides(self):
        weight = np.random.default_rng(1).lognormal(5, 1, (4, 64))
        quick = rebalance_experts(weight, 80, 1, 1, 16)
        searched = rebalance_experts(weight, 80, 1, 1, 16, effort=150_000)
        self.assertTrue((searched.imbalance <= quick.imbalance).all())
        self.assertLess(searched.imbalance.mean(), quick.imbalance.mean())
        again = rebalance_experts(weight, 80, 1, 1, 16, effort=150_000, seed=1)
        self.assert_equal_maps(again, searched)

    def test_dead_gpus_hold_nothing_and_moves_say_where_from(self):
        old = rebalance_experts(README, *SIZES).phy2log
        mask = np.array([True] * 8)
        mask[[1, 6]] = False
        found = rebalance_experts(README, *SIZES, active_ranks=mask, old_map=old)
        self.assert_consistent(found, 12)
        self.assert_moves(old, found, mask)
        for layer, expert, _, source in found.moves:
            held = np.repeat(mask, 2) & (old[layer] == expert)
            self.assertEqual(source < 0, not held.any())
        np.testing.assert_array_equal(found.fetched, found.moves[found.moves[:, 3] == -1])
        self.assertGreater(len(found.fetched), 0)

    def assert_moves(self, old, found, mask):
        """After the moves the old map is the new one; sources live and hold the expert."""
        after = np.where(np.repeat(mask, old.shape[1] // len(mask)), old, -1)
        for layer, expert, slot, source in found.moves:
            after[layer, slot] = expert
            if source >= 0:
                self.assertEqual(old[layer, source], expert)
                self.assertTrue(mask[source // (old.shape[1] // len(mask))])
        np.testing.assert_array_equal(after, found.phy2log)

    def test_budget(self):
        draw = np.random.default_rng(2)
        for budget in (0, 1, 3, 10):
            weight = draw.lognormal(5, 1, (5, 32))
            old = rebalance_experts(draw.lognormal(5, 1, (5, 32)), 48, 1, 1, 8).phy2log
            found = rebalance_experts(weight, 48, 1, 1, 8, old_map=old, move_budget=budget)
            self.assert_consistent(found, 32)
            self.assert_moves(old, found, np.ones(8, bool))
            far = {(m[0], m[1], m[2] // 6) for m in found.moves.tolist()
                   if m[3] < 0 or m[3] // 6 != m[2] // 6}
            for layer in range(5):
                self.assertLessEqual(sum(m[0] == layer for m in far), budget)

    def test_a_dead_gpu_of_32(self):
        """Fewest moves without a budget, none from outside where a copy lives, 1.01 with one."""
        weight = np.round(1e6 / (1.0 + np.arange(256) * 37 % 256) ** 1.2)[None]
        sizes, mask = (288, 1, 1, 32), np.arange(32) != 7
        old = rebalance_experts(weight, *sizes, solver="balanced", effort=150_000).phy2log
        lost = set(range(256)) - set(old[0][np.repeat(mask, 9)].tolist())
        before = None
        for budget in (0, 20, 80):
            found = rebalance_experts(weight, *sizes, active_ranks=mask, old_map=old,
                                      move_budget=budget)
            self.assert_consistent(found, 256)
            self.assert_moves(old, found, mask)
            self.assertEqual(set(found.fetched[:, 1].tolist()), lost)
            self.assertLessEqual(len(found.moves), max(budget, len(lost)))
            self.assertTrue(before is None or found.imbalance[0] <= before)
            before = found.imbalance[0]
        self.assertLessEqual(before, 1.01)

    def test_the_map_in_force_stays_where_loads_do(self):
        weight = np.random.default_rng(3).lognormal(5, 1, (3, 32))
        old = rebalance_experts(weight, 48, 1, 1, 8).phy2log
        shuffled = old.reshape(3, 8, 6)[:, [3, 1, 7, 0, 2, 6, 5, 4]].reshape(3, 48)
        found = rebalance_experts(weight, 48, 1, 1, 8, old_map=shuffled)
        self.assertEqual(len(found.moves), 0)

    def test_empty_slots_are_filled(self):
        old = np.full((2, 16), -1)
        old[:, :12] = np.arange(12)
        found = rebalance_experts(README, *SIZES, old_map=old, move_budget=0)
        self.assertTrue((found.phy2log >= 0).all())
        self.assertEqual(len(found.fetched), 0)

    def test_sources_bring_experts_near_tokens(self):
        draw = np.random.default_rng(4)
        tokens = draw.integers(0, 100, (2, 8, 12)) * (draw.random((2, 8, 12)) < 0.3)
        found = rebalance_experts(tokens.sum(1), 16, 1, 1, 8, source_loads=tokens)
        plain = rebalance_experts(tokens.sum(1), 16, 1, 1, 8)
        np.testing.assert_allclose(found.imbalance, plain.imbalance)

        def near(result):
            rows = result.phy2log.reshape(2, 8, 2)
            return sum(tokens[l, g, e] / result.logcnt[l, e]
                       for l in range(2) for g in range(8) for e in set(rows[l, g]))

        self.assertGreater(near(found), near(plain))

    def test_result_is_a_triple_that_pickles(self):
        found = rebalance_experts(README, *SIZES)
        self.assertEqual((isinstance(found, tuple), len(found)), (True, 3))
        again = pickle.loads(pickle.dumps(found))
        self.assert_equal_maps(again, found)
        np.testing.assert_array_equal(again.bound, found.bound)
        self.assertEqual(found.moves.shape, (0, 4))


class Refused(Maps):
    def test_arrays(self):
        bad = [row[:] for row in README]
        bad[1][3] = -5
        self.assert_refused("weight[1][3]", "is -5", bad, *SIZES)
        bad[1][3] = float("nan")
        self.assert_refused("weight[1][3]", "is nan", bad, *SIZES)
        bad[1][3] = float("inf")
        self.assert_refused("weight[1][3]", "is inf", bad, *SIZES)
        self.assert_refused("weight", "has (12)", README[0], *SIZES)
        self.assert_refused("weight", "is no array", [[1, 2], [3]], *SIZES)
        self.assert_refused("weight", "holds <U1", [["a"]], *SIZES)
        self.assert_refused("weight", "holds object", object(), *SIZES)
        self.assert_refused("weight", "has (0, 12)", np.zeros((0, 12)), *SIZES)

    def test_sizes(self):
        self.assert_refused("num_replicas", "multiple of the 8 GPUs", README, 17, 4, 2, 8)
        self.assert_refused("num_replicas", "at least the 12 experts", README, 8, 4, 2, 8)
        self.assert_refused("num_groups", "do not divide", README, 16, 8, 2, 8)
        self.assert_refused("num_gpus", "multiple of the 3 nodes", README, 16, 3, 3, 8)
        self.assert_refused("num_nodes", "at least 1", README, 16, 4, 0, 8)
        self.assert_refused("num_gpus", "whole number", README, 16, 4, 2, 8.0)
        self.assert_refused("num_replicas", "too large", README, 2**28, 4, 2, 8)

    def test_options(self):
        self.assert_refused("solver", "'best' is none of", README, *SIZES, solver="best")
        self.assert_refused("effort", "does not search", README, *SIZES, solver="eplb", effort=1)
        self.assert_refused("effort", "is -1", README, *SIZES, effort=-1)
        self.assert_refused("move_budget", "needs old_map", README, *SIZES, move_budget=1)
        self.assert_refused("move_budget", "eplb keeps to none", README, *SIZES, move_budget=1,
                            solver="eplb", old_map=README_ANSWER)
        self.assert_refused("old_map", "has (1, 16)", README, *SIZES, old_map=README_ANSWER[:1])
        wrong = np.array(README_ANSWER)
        wrong[1, 4] = 12
        self.assert_refused("old_map[1][4]", "is 12", README, *SIZES, old_map=wrong)
        self.assert_refused("old_map", "whole numbers", README, *SIZES, old_map=wrong + 0.5)
        self.assert_refused("source_loads", "shape (2, 8, 12)", README, *SIZES,
                            source_loads=np.zeros((2, 12), int))
        self.assert_refused("source_loads[0]", "its load is 90", README, *SIZES,
                            source_loads=np.zeros((2, 8, 12), int))

    def test_masks(self):
        self.assert_refused("active_ranks", "4 slots for 12", README, *SIZES, active_ranks=[0, 1])
        self.assert_refused("active_ranks[1]", "is 8", README, *SIZES, active_ranks=[0, 8])
        self.assert_refused("active_ranks[2]", "again", README, *SIZES,
                            active_ranks=[1, 0, 1, 1, 1, 1, 1, 1])
        self.assert_refused("active_ranks", "masks 3", README, *SIZES, active_ranks=[True] * 3)
        self.assert_refused("active_ranks", "no live", README, *SIZES, active_ranks=[])


if __name__ == "__main__":
    unittest.main()
