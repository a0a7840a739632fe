"""Real trials on the smallest workload: what is measured, what repeats, and what a submission's mistakes cost."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import psutil
import pytest

from harness.protocol.ending import AtSteps, EverySteps
from harness.protocol.trial import Trial
from harness.trial.clock import CLOCK_TOLERANCE
from harness.trial.evaluator import Evaluator
from harness.trial.player_handle import EXIT, MeasurementInvalid
from harness.trial.referee import run_trial
from scoring.records import Outcome, Record
from scoring.stopping import Until
from submissions.registry import resolve
from workloads.metrics import EvalResult

Run = Callable[..., Record]

SGD = """
import torch
from submissions.base import Submission, TrainingComplete

class Probe(Submission):
    name = "probe"

    def configure(self, model, workload, hp):
        {configure}
        return torch.optim.SGD(model.parameters(), lr=0.1)
"""


def sgd(configure: str = "pass", **hooks: str) -> str:
    """A submission's source with the bodies of some hooks given."""
    arguments = {"select": "training, batches", "update": "training, batch"}
    text = SGD.format(configure=configure)
    for hook, body in hooks.items():
        text += f"\n    def {hook}(self, {arguments.get(hook, 'training')}):\n        {body}\n"
    return text


def test_the_same_seed_gives_the_same_losses_bit_for_bit(order: Trial) -> None:
    first, second = run_trial(order), run_trial(order)
    assert [e.step for e in first.evaluations] == [20, 40, 60]
    assert [e.train_loss for e in first.evaluations] == [e.train_loss for e in second.evaluations]
    assert [e.value for e in first.evaluations] == [e.value for e in second.evaluations]


def test_another_study_starts_elsewhere(order: Trial) -> None:
    first, other = run_trial(order), run_trial(replace(order, study=1))
    assert first.evaluations[0].train_loss != other.evaluations[0].train_loss


def test_submissions_start_from_the_same_weights_and_see_the_same_batches(run_source: Run) -> None:
    report = "return training.loss(batch).detach()"
    still = run_source(sgd(update=report))
    renamed = run_source(sgd(update=report).replace('"probe"', '"other"'))
    assert [e.train_loss for e in still.evaluations] == [e.train_loss for e in renamed.evaluations]


def test_the_ledger_adds_up_to_the_wall_time(order: Trial) -> None:
    record = run_trial(order)
    assert sum(seconds for _, seconds in record.ledger) == pytest.approx(record.wall_s, rel=CLOCK_TOLERANCE)
    assert {account for account, _ in record.ledger} >= {"start", "setup", "training", "evaluation", "paused"}
    assert record.submission_s == pytest.approx(record.evaluations[-1].time_s, rel=1e-6)


def test_the_target_ends_a_trial_and_is_tested_once(order: Trial) -> None:
    record = run_trial(replace(order, ending=EverySteps(every=50, last=2000, budget_s=10.0)))
    assert record.outcome is Outcome.REACHED
    assert record.crossing == record.evaluations[-1]
    assert record.test_value is not None


def test_without_a_last_step_the_clock_ends_a_trial(order: Trial) -> None:
    endless = resolve("torch.optim:Adam@constant")
    ending = EverySteps(every=20, budget_s=0.5, period_s=0.1, stop_at_target=False)
    record = run_trial(replace(order, submission=endless, ending=ending))
    assert record.outcome is Outcome.BUDGET
    assert record.evaluations[-1].time_s >= 0.5
    assert [e.step for e in record.evaluations[:-1]] == [20 * n for n in range(1, len(record.evaluations))]
    assert (record.budget_s, record.evaluation_period_s) == (0.5, 0.1)


def test_a_trial_that_is_slower_than_its_study_is_stopped(order: Trial) -> None:
    record = run_trial(order.under(Until(1e-6, Outcome.OUTRUN)))
    assert record.outcome is Outcome.OUTRUN
    assert len(record.evaluations) == 1


def test_a_rule_has_its_say_between_evaluations_too(order: Trial) -> None:
    stop_rule = Until(0.5, Outcome.CUT)
    ending = EverySteps(every=10**6, budget_s=10.0, period_s=5.0, stop_at_target=False, stop_rule=stop_rule)
    record = run_trial(replace(order, submission=resolve("torch.optim:Adam@constant"), ending=ending))
    assert record.outcome is Outcome.CUT
    assert len(record.evaluations) == 1
    assert 0.5 <= record.evaluations[0].time_s < 5.0


def test_a_trial_that_need_not_start_does_not(order: Trial) -> None:
    record = run_trial(order.under(Until(0.0, Outcome.SETTLED)))
    assert record.outcome is Outcome.SETTLED
    assert record.evaluations == ()
    assert record.hp
    assert record.submission_s == 0.0


def test_setup_is_on_the_clock_and_loading_is_not(run_source: Run) -> None:
    source = "import time\ntime.sleep(0.3)\n" + sgd(configure="import time; time.sleep(0.4)")
    record = run_source(source)
    accounts = dict.fromkeys(("start", "setup"), 0.0)
    for account, seconds in record.ledger:
        if account in accounts:
            accounts[account] += seconds
    assert accounts["setup"] >= 0.4
    assert accounts["start"] >= 0.3
    assert record.evaluations[0].time_s >= 0.4


def test_before_and_after_eval_are_on_the_clock_and_their_weights_are_judged(run_source: Run) -> None:
    zero = "import torch; self.kept = [p.detach().clone() for p in training.model.parameters()]; " + (
        "torch._foreach_zero_([p.data for p in training.model.parameters()])"
    )
    back = "[p.data.copy_(k) for p, k in zip(training.model.parameters(), self.kept)]"
    judged = run_source(sgd(before_eval=zero, after_eval=back))
    plain = run_source(sgd())
    assert judged.evaluations[-1].value > 0.8  # a network of zeros guesses one digit
    assert judged.evaluations[-1].train_loss == plain.evaluations[-1].train_loss


@pytest.mark.parametrize(
    "hook", ["select", "update", "before_eval", "after_eval", "configure", "load", "batch_size"]
)
def test_an_exception_is_reported_by_hook_and_line(run_source: Run, hook: str) -> None:
    raises = "raise ValueError('on purpose')"
    if hook == "load":
        source = raises
    elif hook == "batch_size":
        source = sgd() + f"\n    def batch_size(self, workload):\n        {raises}\n"
    else:
        source = sgd(**{hook: raises})
    record = run_source(source)
    assert record.outcome is Outcome.ERROR
    assert record.failure is not None
    assert (record.failure.hook, record.failure.kind, record.failure.message) == (hook, "ValueError", "on purpose")
    assert record.failure.file == "probe.py"
    assert source.splitlines()[record.failure.line - 1].strip() == raises
    assert "on purpose" in record.failure.traceback


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("def broken(:", "SyntaxError", "invalid syntax"),
        ("import no_such_module", "ModuleNotFoundError", "no_such_module"),
        ("x = 1", "TypeError", "0 subclasses.*expected exactly one"),
        (sgd(update="import os; os._exit(3)"), "PlayerExit", "exited with code 3"),
        (sgd(update="import sys; sys.exit(4)"), "SystemExit", "4"),
        (sgd(update="import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"), "PlayerExit", "SIGSEGV"),
        (sgd(update="return training.loss(batch).repeat(2)"), "TypeError", r"shape \[2\], expected one number"),
        (
            sgd(configure="model.register_parameter('x', torch.nn.Parameter(torch.ones(1)))"),
            "RuntimeError",
            "1 tensors",
        ),
        (
            sgd(before_eval="training.model.double()"),
            "RuntimeError",
            "tensors of the model were replaced.*in place",
        ),
    ],
)
def test_mistakes_are_explained(run_source: Run, source: str, kind: str, message: str) -> None:
    record = run_source(source)
    assert record.outcome is Outcome.ERROR
    assert record.failure is not None
    assert record.failure.kind == kind
    assert re.search(message, record.failure.message)


def test_weights_that_are_not_numbers_end_the_trial_as_diverged(run_source: Run) -> None:
    bad = "[p.data.fill_(float('nan')) for p in training.model.parameters()]; return training.loss(batch).detach()"
    record = run_source(sgd(update=bad))
    assert record.outcome is Outcome.DIVERGED
    assert record.evaluations[-1].value is None
    assert record.evaluations[-1].train_loss is None


def test_a_step_that_never_returns_is_ended_and_a_miss(run_source: Run) -> None:
    sleep = "import time; time.sleep(1000)"
    record = run_source(sgd(update=sleep), ending=EverySteps(every=20, budget_s=0.2, period_s=0.1))
    assert record.outcome is Outcome.BUDGET
    assert record.failure is not None
    assert "did not come back from update" in record.failure.message


def test_a_submission_may_end_its_trial(run_source: Run) -> None:
    ends = "if training.step == 7: raise TrainingComplete()\n        return super().update(training, batch)"
    record = run_source(sgd(update=ends))
    assert record.outcome is Outcome.COMPLETE
    assert record.evaluations[-1].step == 7


@pytest.mark.parametrize(("spec", "last"), [("nadamw", 300), ("torch.optim:Adam@constant", 320)])
def test_a_trial_ends_with_its_schedule(order: Trial, spec: str, last: int) -> None:
    """The workload's step hint is 300; a rate that never falls has no end of its own."""
    record = run_trial(replace(order, submission=resolve(spec), ending=replace(order.ending, every=160, last=320)))
    assert record.outcome is Outcome.COMPLETE
    assert [e.step for e in record.evaluations] == [160, last]


def test_examples_are_counted_as_used(run_source: Run) -> None:
    twice = "batches.next(16)\n        return batches.next(16)"
    record = run_source(sgd(select=twice))
    assert [e.examples for e in record.evaluations] == [640, 1280, 1920]


def test_a_repeat_is_evaluated_at_given_steps_whatever_the_clock_says(order: Trial) -> None:
    record = run_trial(replace(order, ending=AtSteps(steps=(7, 30, 31), budget_s=1e-3, period_s=1e-3)))
    assert [e.step for e in record.evaluations] == [7, 30, 31]
    assert record.outcome is Outcome.COMPLETE


LID = """
import os, signal, sys, time
import psutil
time.sleep(1.0)
family = [psutil.Process(os.getppid()), *psutil.Process(os.getppid()).children(recursive=True)]
others = [process for process in family if process.pid != os.getpid()]
for process in others:
    process.suspend()
time.sleep(3.5)
for process in others:
    process.resume()
"""


def test_a_machine_that_stood_still_is_noticed(order: Trial) -> None:
    """Every process is stopped for a while, as by a laptop's lid or a virtual machine's host."""
    ending = replace(order.ending, every=10**6, last=10**6)
    endless = replace(order, submission=resolve("torch.optim:Adam@constant"), ending=ending)
    lid = subprocess.Popen([sys.executable, "-c", LID])
    try:
        with pytest.raises(MeasurementInvalid, match=r"stood still for \d"):
            run_trial(endless)
    finally:
        lid.wait()


def test_nothing_of_a_player_stays_behind(run_source: Run) -> None:
    spawn = "import subprocess; subprocess.Popen(['sleep', '321.5'])"
    run_source(sgd(configure=spawn))
    assert not [p for p in psutil.process_iter(["cmdline"]) if "321.5" in (p.info["cmdline"] or [])]


def test_a_player_that_is_killed_while_it_stands_still_did_not_cheat(
    order: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = Evaluator.validated

    def killing(judge: Evaluator) -> EvalResult:
        stopped = [p for p in psutil.Process().children(recursive=True) if p.status() == psutil.STATUS_STOPPED]
        assert len(stopped) == 1
        stopped[0].kill()
        return judged(judge)

    monkeypatch.setattr(Evaluator, "validated", killing)
    record = run_trial(order)
    assert record.outcome is Outcome.ERROR
    assert (record.failure.kind, record.failure.message) == (EXIT, "the player was killed by SIGKILL")
