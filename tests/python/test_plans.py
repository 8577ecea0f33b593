"""Plans of pipelines and of experts as values, and the programs of experts."""

import pickle
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import shunt_planner as sp

JOB = dict(pipelines=3, stages=4, microbatches=6, costs={"step": 3}, dead=[(1, 2)])


class Pipelines(unittest.TestCase):
    def test_a_plan_around_a_dead_worker(self):
        answer = sp.plan_pipeline(**JOB)
        self.assertEqual((answer.objective, answer.lower_bound), (30, 30))
        self.assertEqual(answer.status, "optimal")
        self.assertEqual(sp.check(answer.problem, answer.plan), [])
        found = sp.measure(answer.problem, answer.plan)
        self.assertEqual((found.period, found.period_bound), (30, 30))
        self.assertEqual(len(found.stash_peak), answer.problem.ranks)
        order = answer.plan.order
        self.assertEqual(order[6], [])  # the dead rank
        rerouted = [op for rank in (2, 10) for op in order[rank] if op["pipeline"] == 1]
        self.assertEqual(sum(op["kind"] == "forward" for op in rerouted), 6)
        self.assertTrue(all(op["stage"] == 2 for op in rerouted))

    def test_every_solver_brings_its_layout(self):
        for solver, stages in (("one_f_one_b", 4), ("interleaved_one_f_one_b", 8), ("zb_v", 8),
                               ("dual_pipe", 4), ("hanayo", 8), ("slipstream", 4)):
            with self.subTest(solver=solver):
                answer = sp.plan_pipeline(pipelines=2, stages=stages, microbatches=8,
                                          solver=solver)
                self.assertIn(answer.status, ("optimal", "feasible"), answer.reason)
                self.assertEqual(sp.check(answer.problem, answer.plan), [])

    def test_no_plan(self):
        answer = sp.plan_pipeline(pipelines=1, stages=2, microbatches=2, dead=[(0, 1)])
        self.assertEqual((answer.plan, answer.status), (None, "infeasible"))
        self.assertTrue(answer.reason)

    def test_program(self):
        answer = sp.plan_pipeline(**JOB)
        program = sp.lower(answer.problem, answer.plan, activation=64)
        self.assertEqual(sp.check(program), [])
        self.assertEqual(len(program), 12)
        lists = [program.instructions(rank) for rank in range(12)]
        self.assertEqual(lists[6], [])
        codes = [i["code"] for i in lists[2]]
        kinds = [i.get("op", {}).get("kind") for i in lists[2] if i["code"] == "compute"]
        self.assertEqual(kinds.count("step"), 1)
        self.assertIn("receive", codes)
        sends = [i for i in lists[1] if i["code"] == "send"]
        self.assertTrue(all(size == 64 for i in sends for _, _, size in i["reads"]))
        with self.assertRaises(IndexError):
            program.instructions(12)

    def test_a_broken_schedule_has_no_program(self):
        answer = sp.plan_pipeline(**JOB)
        other = sp.PipelineJob(pipelines=3, stages=4, microbatches=6)
        with self.assertRaises(sp.InvalidProblem):
            sp.lower(other, answer.plan)
        self.assertNotEqual(sp.check(other, answer.plan), [])


class Values(unittest.TestCase):
    def values(self):
        answer = sp.plan_pipeline(**JOB)
        layers = sp.ExpertLayers(layers=1, experts=4, loads=np.array([[700, 200, 60, 40]]),
                                 slots_per_rank=[2] * 4)
        return [answer.problem, answer.plan, sp.lower(answer.problem, answer.plan), layers,
                sp.plan_experts(layers).plan,
                sp.cut_shards(experts=4, ranks=4, elements=10, copies=2)]

    def test_equal_after_json_and_pickle(self):
        for value in self.values():
            with self.subTest(value=repr(value)):
                self.assertEqual(type(value).from_json(value.to_json()), value)
                self.assertEqual(pickle.loads(pickle.dumps(value)), value)
                self.assertNotEqual(value, 1)
                self.assertLess(len(repr(value)), 200)

    def test_a_job_shows_what_makes_it(self):
        job = sp.PipelineJob(pipelines=3, stages=4, microbatches=6, dead=[(1, 2)])
        text = "PipelineJob(pipelines=3, stages=4, microbatches=6, dead=[[1, 2]])"
        self.assertEqual(repr(job), text)
        self.assertEqual(eval(text, {"PipelineJob": sp.PipelineJob}), job)
        self.assertEqual((job.stages, job.dead, job.memory), (4, [[1, 2]], "none"))

    def test_refusals_name_the_field(self):
        for fields, field in (
            (dict(pipelines=0, stages=4, microbatches=6), "pipelines"),
            (dict(pipelines=1, microbatches=6), "stages"),
            (dict(pipelines=1, stages=4, microbatches=6, costs={"forward": 0}), "costs.forward"),
            (dict(pipelines=1, stages=4, microbatches=6, stage=1), "stage"),
        ):
            with self.assertRaises(sp.InvalidProblem) as caught:
                sp.plan_pipeline(**fields)
            self.assertEqual(caught.exception.field, field)
        with self.assertRaises(sp.InvalidProblem):
            sp.PipelineJob.from_json("{")
        with self.assertRaises(sp.InvalidProblem):
            sp.plan_pipeline(**JOB, solver="best")
        with self.assertRaises(TypeError):
            sp.plan_pipeline(sp.PipelineJob(**JOB), stages=5)
        error = pickle.loads(pickle.dumps(sp.InvalidProblem("a[1]", "is 2")))
        self.assertEqual((str(error), error.field), ("a[1]: is 2", "a[1]"))


class Package(unittest.TestCase):
    def test_built_for_another_python(self):
        with tempfile.TemporaryDirectory() as folder:
            package = Path(folder) / "shunt_planner"
            shutil.copytree(Path(sp.__file__).parent, package)
            for built in package.glob("_core.*.so"):
                built.rename(package / "_core.cpython-399-x86_64-linux-gnu.so")
            ended = subprocess.run([sys.executable, "-c", "import shunt_planner"], cwd=folder,
                                   capture_output=True, text=True, env={"PYTHONPATH": folder})
        self.assertEqual(ended.returncode, 1)
        self.assertTrue(ended.stderr.endswith("built is _core.cpython-399-x86_64-linux-gnu.so\n"),
                        ended.stderr)


class Experts(unittest.TestCase):
    def test_a_placement_with_its_bound(self):
        answer = sp.plan_experts(layers=1, experts=4, loads=[[700, 200, 60, 40]],
                                 slots_per_rank=[2] * 4, solver="swift_moe")
        self.assertEqual(sp.check(answer.problem, answer.plan), [])
        self.assertEqual(sorted(answer.plan.expert_of[0]), [0, 0, 0, 0, 0, 1, 2, 3])
        found = sp.measure(answer.problem, answer.plan)
        self.assertAlmostEqual(found.imbalance[0], answer.objective)
        self.assertLessEqual(found.bound[0], found.imbalance[0])

    RANKS, EXPERTS, ELEMENTS = 4, 3, 10

    def placed(self, slots=(2, 2, 2, 2)):
        return sp.plan_experts(layers=1, experts=self.EXPERTS, loads=[[60, 30, 10]],
                               slots_per_rank=slots, solver="swift_moe").plan

    def shards(self, copies=2):
        return sp.cut_shards(experts=self.EXPERTS, ranks=self.RANKS, elements=self.ELEMENTS,
                             copies=copies)

    def held(self, shards, rank, value):
        """value(expert, element) of what a rank holds, by expert and begin."""
        return np.array([value(e, x) for e, parts in enumerate(shards.shards)
                         for owner, begin, end, *mirrors in parts if rank in (owner, *mirrors)
                         for x in range(begin, end)], dtype=np.int64)

    def run_all(self, program, memory):
        """All ranks' lists on bytes, each as far as its messages have come."""
        lists = [program.instructions(rank) for rank in range(len(program))]
        self.assertEqual(sp.check(program), [])
        box, at = {}, [0] * len(lists)
        while any(at[r] < len(lists[r]) for r in range(len(lists))):
            before = list(at)
            for rank, todo in enumerate(lists):
                def part(region):
                    return memory[rank][region[0]][region[1]:region[1] + region[2]]

                while at[rank] < len(todo):
                    i = todo[at[rank]]
                    if i["code"] == "send":
                        way = (rank, i["peer"], i["channel"])
                        box.setdefault(way, []).append(part(i["reads"][0]).copy())
                    elif i["code"] == "receive":
                        way = (i["peer"], rank, i["channel"])
                        if not box.get(way):
                            break
                        part(i["writes"][0])[:] = box[way].pop(0)
                    elif i["code"] == "copy":
                        part(i["writes"][0])[:] = part(i["reads"][0])
                    else:
                        self.assertEqual((i["code"], i["type"]), ("add", "int64"))
                        part(i["writes"][0]).view(np.int64)[:] += part(i["reads"][0]).view(np.int64)
                    at[rank] += 1
            self.assertNotEqual(at, before, "nobody can go on")

    def test_weights_go_from_shards_to_slots(self):
        plan, shards = self.placed(), self.shards()
        program = sp.scatter_weights(plan, shards)
        number = lambda e, x: 100 * e + x  # noqa: E731
        memory = []
        for rank in range(self.RANKS):
            mine = self.held(shards, rank, number).astype(np.float32).view(np.uint8)
            self.assertEqual(program.buffers(rank), [2 * self.ELEMENTS * 4, mine.size])
            memory.append([np.zeros(program.buffers(rank)[0], np.uint8), mine])
        self.run_all(program, memory)
        slots = np.concatenate([m[0].view(np.float32) for m in memory]).reshape(-1, self.ELEMENTS)
        self.assertEqual(slots.tolist(), [[number(e, x) for x in range(self.ELEMENTS)]
                                          for e in plan.expert_of[0]])

    def test_gradients_of_slots_are_summed_at_all_holders(self):
        plan, shards = self.placed(), self.shards()
        program = sp.collect_gradients(plan, shards)
        gradient = np.random.default_rng(1).integers(-2**40, 2**40, (8, self.ELEMENTS))
        memory = []
        for rank in range(self.RANKS):
            memory.append([np.zeros(size, np.uint8) for size in program.buffers(rank)])
            memory[rank][0].view(np.int64)[:] = gradient[2 * rank:2 * rank + 2].ravel()
        self.run_all(program, memory)
        total = [gradient[np.array(plan.expert_of[0]) == e].sum(0) for e in range(self.EXPERTS)]
        for rank in range(self.RANKS):
            self.assertEqual(memory[rank][1].view(np.int64).tolist(),
                             self.held(shards, rank, lambda e, x: total[e][x]).tolist())

    def test_a_lost_rank_s_shards_come_from_mirrors(self):
        before = self.shards()
        after, program = sp.restore_shards(before, ranks=self.RANKS, dead=[1], planes=2)
        planes = lambda e, x: 100 * e + x  # noqa: E731
        memory = []
        for rank in range(self.RANKS):
            if rank == 1:
                memory.append([])
                continue
            mine = np.concatenate([self.held(before, rank, planes) + p for p in (0, 5000)])
            memory.append([mine.astype(np.int32).view(np.uint8),
                           np.zeros(program.buffers(rank)[1], np.uint8)])
        self.run_all(program, memory)
        for rank in (0, 2, 3):
            got = memory[rank][1].view(np.int32).reshape(2, -1)
            for p in (0, 1):
                want = self.held(after, rank, planes) + 5000 * p
                self.assertEqual(got[p].tolist(), want.tolist())
        for part in sum(after.shards, []):
            self.assertEqual(len(part), 4)  # two copies again
            self.assertNotIn(1, (part[0], part[3]))

    def test_tokens_are_split_over_the_slots_of_their_expert(self):
        plan = self.placed((2, 0, 2, 2))
        counts = np.array([[7, 2, 1], [0, 0, 0], [5, 0, 4], [9, 3, 0]])
        tokens, drops = sp.split_tokens(counts, plan)
        self.assertEqual((tokens.shape, drops.sum()), ((4, 6), 0))
        by_expert = np.zeros_like(counts)
        for slot, e in enumerate(plan.expert_of[0]):
            by_expert[:, e] += tokens[:, slot]
        self.assertEqual(by_expert.tolist(), counts.tolist())
        tokens, drops = sp.split_tokens(counts.tolist(), plan, capacity=3)
        self.assertEqual(tokens.sum() + drops.sum(), counts.sum())
        self.assertEqual(tokens.sum(0).max(), 3)

    def test_programs_refuse_by_name(self):
        plan, shards = self.placed(), self.shards()
        broken = sp.ShardMap(elements=10, shards=[[[0, 0, 4], [9, 4, 10]]] * 3)
        other = sp.cut_shards(experts=4, ranks=4, elements=10)
        unplaced = sp.ExpertPlacement(layers=1, experts=3, first_slot=[0, 2], expert_of=[[0, 7]])
        for call, field, words in (
            (lambda: sp.cut_shards(experts=3, ranks=2, elements=10, copies=3), "copies", "3"),
            (lambda: sp.cut_shards(experts=0, ranks=2, elements=10), "experts", "0"),
            (lambda: sp.scatter_weights(plan, broken), "shards", "9"),
            (lambda: sp.collect_gradients(plan, other), "placement.experts", "3"),
            (lambda: sp.scatter_weights(unplaced, shards), "placement", "7"),
            (lambda: sp.restore_shards(shards, ranks=4, dead=[1, 2]), "dead", "1, 2"),
            (lambda: sp.restore_shards(shards, ranks=4, dead=[4]), "dead[0]", "4"),
            (lambda: sp.restore_shards(shards, ranks=4, dead=[1], planes=0), "state_bytes", "0"),
            (lambda: sp.split_tokens([[1, 2]], plan), "counts", "(4, 3)"),
            (lambda: sp.split_tokens(-np.ones((4, 3), int), plan), "counts[0][0]", "-1"),
            (lambda: sp.split_tokens([[0.5] * 3] * 4, plan), "counts", "float64"),
            (lambda: sp.split_tokens(np.ones((4, 3), int), plan, 1), "layer", "1"),
            (lambda: sp.split_tokens(np.ones((4, 3), int), plan, capacity=-1), "capacity", "-1"),
        ):
            with self.subTest(field=field, words=words):
                with self.assertRaises(sp.InvalidProblem) as caught:
                    call()
                self.assertEqual(caught.exception.field, field)
                self.assertIn(words, str(caught.exception))
                self.assertNotIn("\n", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
