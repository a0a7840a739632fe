"""The proof that a trial takes as long on a busy machine as on a quiet one, by the clock of what it had."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import pytest

from harness.protocol.ending import EverySteps
from harness.protocol.trial import Trial
from harness.system import machine, processes
from harness.system.machine import Device
from harness.trial.referee import run_trial
from scoring.records import Record
from tests.cores import burning

PAIRS = 7
WITHIN, EACH_WITHIN = 0.10, 0.25
ENDING = EverySteps(every=150, last=600, budget_s=60.0, stop_at_target=False)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        machine.core_time(machine.usable_cores()[0]) is None or processes.own_wait_s() is None,
        reason="here the clock is the wall's",
    ),
]


def run(order: Trial, device: Device, *, beside: bool) -> Record:
    """A trial, `beside` a program on each core that never rests."""
    with burning(*(machine.usable_cores() if beside else ())):
        return run_trial(replace(order, ending=ENDING), [device])


@pytest.mark.usefixtures("own_core")
def test_times_and_steps_are_those_of_a_quiet_machine(order: Trial) -> None:
    """In pairs, of which the other one goes first each time, so that drift favours none."""
    pairs: list[tuple[Record, Record]] = []
    with machine.exclusive_devices(1) as (device,):
        for number in range(PAIRS):
            busy_first = [run(order, device, beside=True)] if number % 2 else []
            quiet = run(order, device, beside=False)
            pairs.append((quiet, (busy_first or [run(order, device, beside=True)])[0]))
    ratios = [busy.evaluations[-1].time_s / quiet.evaluations[-1].time_s for quiet, busy in pairs]
    walls = [(busy.submission_s + busy.waited_s) / quiet.submission_s for quiet, busy in pairs]
    shares = [busy.contention_share for _, busy in pairs]
    print(
        f"\nbusy / quiet over {PAIRS} pairs: by the clock {median(ratios):.3f} ({min(ratios):.3f} to "
        f"{max(ratios):.3f}), by the wall {median(walls):.2f}; others had {median(shares):.0%} of the core"
    )
    for quiet, busy in pairs:
        assert [(e.step, e.value) for e in busy.evaluations] == [(e.step, e.value) for e in quiet.evaluations]
        assert [e.step for e in busy.evaluations] == [150, 300, 450, 600]
    assert min(shares) > 0.25, "the burner was there"
    assert median(ratios) == pytest.approx(1.0, abs=WITHIN)
    assert all(1 / (1 + EACH_WITHIN) < ratio < 1 + EACH_WITHIN for ratio in ratios), ratios
