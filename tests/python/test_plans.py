"""Plans of pipelines and of experts as values."""

import pickle
import unittest

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
                sp.plan_experts(layers).plan]

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


class Experts(unittest.TestCase):
    def test_a_placement_with_its_bound(self):
        answer = sp.plan_experts(layers=1, experts=4, loads=[[700, 200, 60, 40]],
                                 slots_per_rank=[2] * 4, solver="swift_moe")
        self.assertEqual(sp.check(answer.problem, answer.plan), [])
        self.assertEqual(sorted(answer.plan.expert_of[0]), [0, 0, 0, 0, 0, 1, 2, 3])
        found = sp.measure(answer.problem, answer.plan)
        self.assertAlmostEqual(found.imbalance[0], answer.objective)
        self.assertLessEqual(found.bound[0], found.imbalance[0])


if __name__ == "__main__":
    unittest.main()
