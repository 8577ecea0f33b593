"""The options of examples/pytorch, without PyTorch."""

import contextlib
import io
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "pytorch"))
from options import Event, Stop, options_of  # noqa: E402


class Options(unittest.TestCase):
    def test_events_come_by_iteration(self):
        o = options_of("--pipelines 3 --kill 1:0@6,2:1@3 --join 2:1@5".split())
        self.assertEqual(o.kill, [Event(2, 1, 3), Event(1, 0, 6)])
        self.assertEqual(o.join, [Event(2, 1, 5)])
        self.assertEqual((o.ranks, o.timeout, o.kill_at), (6, 30, -1))

    def test_no_events(self):
        o = options_of([])
        self.assertEqual((o.kill, o.join), ([], []))

    def test_a_worker_may_die_again(self):
        o = options_of("--kill 1:1@2,1:1@4 --join 1:1@4".split())
        self.assertEqual([e.iteration for e in o.kill], [2, 4])

    def test_bad_input_is_named(self):
        for arguments, words in (
                ("--kill 1:1", "--kill: '1:1' is no pipeline:stage@iteration"),
                ("--kill 1:1@-2", "is no pipeline:stage@iteration"),
                ("--kill 2:0@1", "--kill 2:0@1: there are 2 pipelines of 2 stages"),
                ("--join 0:2@1", "--join 0:2@1: there are 2 pipelines of 2 stages"),
                ("--kill 0:0@12", "--kill 0:0@12: the last iteration is 11"),
                ("--kill 0:0@1,0:0@2", "--kill 0:0@2: that worker is dead already"),
                ("--join 0:0@1", "--join 0:0@1: that worker lives"),
                ("--kill 0:0@3 --join 0:0@3", "--join 0:0@3: that worker lives"),
                ("--kill 0:1@1,1:1@2", "--kill 1:1@2: leaves stage 1 without a worker"),
                ("--pipelines 1 --kill 0:0@1", "leaves stage 0 without a worker"),
                ("--stages 0", "--stages: must be at least 1, is 0"),
                ("--timeout 0", "--timeout: must be at least 1, is 0"),
                ("--experts 4", "--experts with this --stages: takes --stages 1"),
                ("--stages 1 --experts 4 --join 0:0@2 --kill 0:0@1", "--join: no worker can join"),
                ("--stages 1 --experts 5", "--slots: needs a slot for each expert"),
                ("--stages 1 --experts 4 --copies 3", "--copies: there are 2 ranks"),
                ("--stages 1 --experts 4 --backend nccl", "--backend: runs over gloo"),
                ("--stages 1 --experts 4 --batch 80", "has 10240 tokens, at most 8192"),
                ("--stages 1 --experts 4 --capacity 9 --check", "--check: what drops depends"),
                ("--experts -1", "--experts: must be at least 0, is -1"),
                ("--kill-at -2", "--kill-at: must be at least -1, is -2")):
            with self.subTest(arguments), self.assertRaises(Stop) as stop:
                options_of(arguments.split())
            self.assertIn(words, str(stop.exception))
            self.assertNotIn("\n", str(stop.exception))

    def test_no_number(self):
        with self.assertRaises(SystemExit) as end, contextlib.redirect_stderr(io.StringIO()):
            options_of(["--stages", "two"])
        self.assertEqual(end.exception.code, 2)


if __name__ == "__main__":
    unittest.main()
