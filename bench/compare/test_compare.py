"""Tests the comparison with only our worker: test_compare.py PATH/TO/compare_unroll."""
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

import numpy as np

import compare
import problems
import reference
import table
from contender import Contender, Failure

WORKER = sys.argv.pop(1)
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "compare.sh")
TINY = ["--ours", WORKER, "--peers", "", "--size", "3,5,2,9", "--threads", "1", "--rounds", "2",
        "--batch", "2"]


def run(*arguments):
    """The table and the report."""
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(said):
        path = os.path.join(folder, "report.json")
        compare.main([*TINY, "--json", path, *arguments])
        with open(path) as file:
            return said.getvalue(), json.load(file)


class Driver(unittest.TestCase):
    def test_every_op_has_a_row_of_the_promised_form(self):
        said, report = run("--op", "lstm", "--op", "gru", "--op", "rnn", "--op", "lengths")
        ops = ["lstm", "gru", "rnn", "lstm uniform lengths", "lstm geometric lengths"]
        self.assertEqual({(row["op"], row["pass"]) for row in report["rows"]},
                         {(op, pass_) for op in ops for pass_ in ("forward", "step")})
        for row in report["rows"]:
            self.assertEqual(row["size"], [3, 5, 2, 9])
            self.assertEqual(row["threads"], 1)
            self.assertGreater(row["ms"], 0)
            self.assertGreater(row["percent_of_peak"], 0)
            self.assertLess(row["percent_of_peak"], 100)
            self.assertLess(row["error"], compare.TOLERANCE)
            self.assertIsNone(row["ratio_best_peer"])
            self.assertIn(f"| {row['op']} | {row['pass']} | 3,5,2,9 | 1 |", said)

    def test_attention_agrees_too(self):
        _, report = run("--op", "attention")
        self.assertEqual([row["pass"] for row in report["rows"]], ["forward", "step"])

    def test_a_wrong_result_is_caught_whatever_the_op(self):
        for op in ("lstm", "gru", "rnn", "lengths", "attention"):
            for pass_ in problems.PASSES:
                with self.assertRaisesRegex(Failure, "our result is wrong: off by"):
                    run("--op", op, "--pass", pass_, "--spoil")

    def test_a_wrong_peer_is_left_out_and_a_right_one_is_not(self):
        problem = problems.Problem("lstm", "step", (3, 5, 2, 9))
        with contextlib.closing(Contender([WORKER], 1)) as right, \
                contextlib.closing(Contender([WORKER], 1, spoil=True)) as wrong:
            with contextlib.redirect_stderr(io.StringIO()) as said, problem.folder() as folder:
                left = compare.prepare_peers([right, wrong], problem, folder)
        self.assertEqual(list(left), [right])
        self.assertIn("left out", said.getvalue())

    def test_runs_give_medians(self):
        _, report = run("--op", "rnn", "--pass", "forward", "--runs", "3")
        self.assertEqual(report["runs"], 3)
        self.assertEqual(len(report["rows"]), 1)

    def test_a_missing_worker_is_one_line(self):
        done = subprocess.run([sys.executable, "compare.py", "--ours", "no/such", "--peers", ""],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^compare: no no/such: build .*\n$")

    def test_bad_numbers_and_names_are_refused(self):
        for wrong in (["--rounds", "0"], ["--runs", "0"], ["--batch", "nan"], ["--batch", "inf"], ["--batch", "0"],
                      ["--threads", "0"], ["--threads", "1,x"], ["--size", "1,2,3"], ["--size", "1,2,3,0"],
                      ["--peers", "tensorflow"]):
            for program in (["compare.py", *TINY], ["command_line.py"], [SCRIPT]):
                command = ([] if program == [SCRIPT] else [sys.executable]) + program + wrong
                done = subprocess.run(command, capture_output=True, text=True)
                self.assertEqual((done.returncode, done.stdout), (2, ""), command)
                self.assertIn(wrong[0], done.stderr)

    def test_the_script_shows_its_help_at_once(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([SCRIPT, "--quick", "--help"], capture_output=True, text=True,
                                  env={**os.environ, "UNROLL_BUILD_DIR": os.path.join(folder, "build")})
            self.assertEqual((done.returncode, done.stderr, os.listdir(folder)), (0, "", []))
        self.assertIn("--onednn", done.stdout)

    def test_a_report_is_whole_or_not_there(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as said:
            path = os.path.join(folder, "report.json")
            with self.assertRaises(OSError):
                compare.main([*TINY, "--op", "rnn", "--json", os.path.join(folder, "none", "report.json")])
            self.assertEqual(said.getvalue(), "")  # nothing was measured
            with open(path, "w") as file:
                file.write("before")
            with self.assertRaises(Failure):
                compare.main([*TINY, "--op", "rnn", "--spoil", "--json", path])
            self.assertEqual(os.listdir(folder), ["report.json"])
            with open(path) as file:
                self.assertEqual(file.read(), "before")

    def test_an_interrupt_leaves_no_worker(self):
        driver = subprocess.Popen([sys.executable, "compare.py", *TINY, "--op", "lstm", "--rounds", "100000"],
                                  stdout=subprocess.PIPE, text=True)
        children = f"/proc/{driver.pid}/task/{driver.pid}/children"
        if not os.path.exists(children):
            driver.kill()
            self.skipTest("no list of children here")
        with driver.stdout:
            workers = []
            while not workers and driver.poll() is None:
                time.sleep(0.05)
                with open(children) as file:
                    workers = file.read().split()
            driver.send_signal(signal.SIGINT)
            self.assertEqual(driver.wait(20), 130)
        self.assertTrue(workers)
        end = time.monotonic() + 10  # one whose driver has gone ends by itself
        while any(os.path.exists(f"/proc/{pid}") for pid in workers) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertFalse([pid for pid in workers if os.path.exists(f"/proc/{pid}")])


class Worker(unittest.TestCase):
    def test_it_says_what_it_cannot_do(self):
        with contextlib.closing(Contender([WORKER], 1)) as worker:
            for line in ("run 1", "nonsense", "prepare lstm step 1 2", "prepare lstm step 1 2 3 4 no/such"):
                with self.assertRaises(Failure):
                    worker.ask(line)
            self.assertGreater(float(worker.ask("peak")), 0)

    def test_the_end_of_a_worker_is_noticed(self):
        with contextlib.closing(Contender([WORKER], 1)) as worker:
            worker.process.kill()
            with self.assertRaisesRegex(Failure, "ended"):
                worker.ask("peak")
        with self.assertRaisesRegex(Failure, "is no worker: it said 'hello'"):
            Contender(["echo", "hello"], 1)
        with self.assertRaisesRegex(Failure, "ended: .*sorry"):
            Contender([sys.executable, "-c", "import sys; sys.exit('sorry')"], 1)

    def test_one_that_is_not_ready_is_waited_for_aloud(self):
        with mock.patch("contender.QUIET", 0.2), contextlib.redirect_stderr(io.StringIO()) as said:
            with self.assertRaisesRegex(Failure, "not ready in 0.4 s"):
                Contender(["sleep", "60"], 1, patience=0.4)
        self.assertIn("waiting for 60 to be ready", said.getvalue())


class Reference(unittest.TestCase):
    """Gradients against central differences of y . u."""

    def check(self, problem):
        inputs = {name: x if name == "lengths" else x.astype(float) for name, x in problem.inputs().items()}
        wanted = reference.reference(problem.op, inputs, step=True)
        draw, small = np.random.default_rng(1), 1e-5
        for name in inputs.keys() - {"u", "lengths"}:
            along = draw.standard_normal(inputs[name].shape)

            def objective(x):
                y = reference.reference(problem.op, {**inputs, name: x}, step=False)["y"]
                return (y * inputs["u"]).sum()

            difference = objective(inputs[name] + small * along) - objective(inputs[name] - small * along)
            exact = (wanted["d" + name] * along).sum()
            self.assertAlmostEqual(difference / (2 * small), exact, delta=1e-7 * max(1, abs(exact)))

    def test_gradients(self):
        for op in (*problems.OPS, "attention"):
            self.check(problems.Problem(op, "step", (3, 6, 2, 4)))
        self.check(problems.Problem("lstm", "step", (3, 6, 2, 4), "uniform"))

    def test_a_missing_result_is_an_error(self):
        step = problems.Problem("lstm", "step", (3, 6, 2, 4))
        results = dict(reference.reference("lstm", step.inputs(), step=True))
        self.assertEqual(step.error_of(results), 0)
        del results["db_hh"]  # has a twin
        self.assertEqual(step.error_of(results), 0)
        del results["dw_hh"]
        self.assertEqual(step.error_of(results), float("inf"))

    def test_errors_are_of_the_worst_result(self):
        wanted = {"y": np.array([1.0, -2.0]), "h_n": np.array([100.0])}
        self.assertEqual(reference.error_of({"y": wanted["y"], "h_n": np.array([101.0])}, wanted), 0.01)
        self.assertEqual(reference.error_of({"y": np.array([1.0, -2.5])}, wanted), 0.25)
        self.assertEqual(reference.error_of({"y": np.array([1.0, np.nan])}, wanted), float("inf"))
        self.assertEqual(reference.error_of({"y": np.array([1.0])}, wanted), float("inf"))


    def test_cancelled_sums_are_not_called_wrong(self):
        for op in problems.OPS:
            problem = problems.Problem(op, "step", (1, 40, 1, 1))
            inputs = problem.inputs()
            exact = reference.reference(op, inputs, step=True)
            spreads = reference.spreads_of(op, inputs, step=True)
            for name, value in exact.items():
                self.assertGreater(spreads[name], 0)
                rounding = 2.0**-23 * spreads[name]
                self.assertLess(problem.error_of({**exact, name: value + rounding}), reference.TOLERANCE)
                wrong = problem.error_of({**exact, name: value + 1e-3 * max(spreads[name], abs(value).max())})
                self.assertGreater(wrong, reference.TOLERANCE)
        # A gradient that is nearly zero, of terms that are not.
        wanted, off = {"dw": np.array([1e-9])}, {"dw": np.array([1e-9 + 1e-8])}
        self.assertGreater(reference.error_of(off, wanted), 1)
        self.assertLess(reference.error_of(off, wanted, lambda: {"dw": 1.0}), reference.TOLERANCE)


class Rows(unittest.TestCase):
    def row(self, problem, ms, **peers):
        figures = {"unroll": {"ms": ms, "error": 1e-6, "disturbed": 0.0, "counts": False}}
        for name, (peer_ms, counts) in peers.items():
            figures[name] = {"ms": peer_ms, "error": 2e-6, "disturbed": 0.1, "counts": counts}
        return table.row_of(problem, 2, 100.0, figures)

    def test_the_best_peer_that_counts_is_the_bar(self):
        tuned = problems.Problem("lstm", "step", (8, 100, 64, 128))  # target 2.3
        row = self.row(tuned, 1.0, torch=(5.0, True), onednn=(2.2, True), onnxruntime=(0.1, False))
        self.assertEqual((row["best_peer"], row["ratio_best_peer"]), ("onednn", 2.2))
        self.assertTrue(row["met"])  # 0.95 x 2.3 = 2.185
        self.assertFalse(self.row(tuned, 1.0, torch=(2.18, True))["met"])
        self.assertIsNone(self.row(tuned, 1.0)["met"])

    def test_untuned_sizes_and_forward_passes_have_bars(self):
        untuned = problems.Problem("gru", "step", (5, 37, 29, 100))
        self.assertTrue(self.row(untuned, 1.0, torch=(0.96, True))["met"])
        self.assertFalse(self.row(untuned, 1.0, torch=(0.94, True))["met"])
        large = problems.Problem("rnn", "forward", (64, 50, 512, 512))
        self.assertTrue(self.row(large, 1.0, torch=(0.96, True))["met"])
        self.assertEqual(large.target(1), 1.05)

    def test_percent_of_peak(self):
        problem = problems.Problem("lstm", "step", (2, 3, 5, 7))
        self.assertEqual(problem.flops(), 3 * 2 * 2 * 3 * 28 * 12)
        self.assertAlmostEqual(self.row(problem, 1e-3)["percent_of_peak"], 12096 / 1000)  # of 100 GFLOP/s

    def test_lengths_are_held_against_their_share(self):
        problem = problems.Problem("lstm", "forward", (16, 1000, 32, 64), "uniform")
        share = problem.share()
        self.assertTrue(0.5 < share < 1)
        for cost, met in ((1.14, True), (1.16, False)):
            row = self.row(problem, cost * share, **{"full batch": (1.0, False)})
            self.assertAlmostEqual(row["cost_over_share"], cost)
            self.assertEqual(row["met"], met)

    def test_medians(self):
        problem = problems.Problem("lstm", "step", (8, 100, 64, 128))
        rows = [self.row(problem, ms, torch=(2.0, True)) for ms in (1.0, 0.5, 0.8)]
        row = table.median_row(rows)
        self.assertEqual((row["ms"], row["ratio_best_peer"], row["met"]), (0.8, 2.5, True))

    def test_numbers(self):
        self.assertEqual([table.number(x) for x in (0.012345, 1.2345, 1234.5, 0, None)],
                         ["0.0123", "1.23", "1234", "0", "-"])


if __name__ == "__main__":
    unittest.main()
