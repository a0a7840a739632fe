"""The proof that a trial takes as long on a busy machine as on a quiet one, by the clock of what it had.

Bounded is a submission that hashes, which needs nothing of a core but its time. One that trains is timed, too, and
what caches cost it, which are cold at the start of each of its turns, is printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import pytest

from harness.protocol.ending import EverySteps
from harness.protocol.trial import Trial
from harness.system import machine, processes
from harness.system.machine import Device
from harness.trial.referee import run_trial
from scoring.records import Record
from submissions.registry import SubmissionRef
from tests.cores import burning
from tests.faults.probe import probe

PAIRS, TRAINING_PAIRS = 7, 2
TRIES = 3
WITHIN, EACH_WITHIN = 0.10, 0.25
ENDING = EverySteps(every=40, last=160, budget_s=60.0, stop_at_target=False)
HASHES = SubmissionRef(
    name="probe",
    text=probe(top="import hashlib", update="hashlib.sha256(bytes(5_000_000)); return 0.0"),
    filename="probe.py",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        machine.core_time(machine.usable_cores()[0]) is None or processes.own_wait_s() is None,
        reason="here the clock is the wall's",
    ),
]

Pairs = Sequence[tuple[Record, Record]]


def run(order: Trial, device: Device, *, beside: bool) -> Record:
    """A trial, `beside` a program on each core that never rests."""
    with burning(*(machine.usable_cores() if beside else ())):
        return run_trial(order, [device])


def pairs_of(order: Trial, count: int) -> Pairs:
    """Quiet and busy ones, of which the other one goes first each time, so that drift favours none."""
    pairs: list[tuple[Record, Record]] = []
    with machine.exclusive_devices(1) as (device,):
        for number in range(count):
            busy_first = [run(order, device, beside=True)] if number % 2 else []
            quiet = run(order, device, beside=False)
            pairs.append((quiet, (busy_first or [run(order, device, beside=True)])[0]))
    for quiet, busy in pairs:
        assert [e.step for e in busy.evaluations] == [e.step for e in quiet.evaluations]
        assert [e.value for e in busy.evaluations] == [e.value for e in quiet.evaluations]
    return pairs


def ratios_of(what: str, pairs: Pairs) -> list[float]:
    """Busy over quiet by the clock, which is printed beside those by the wall."""
    ratios = [busy.evaluations[-1].time_s / quiet.evaluations[-1].time_s for quiet, busy in pairs]
    walls = [(busy.submission_s + busy.waited_s) / (quiet.submission_s + quiet.waited_s) for quiet, busy in pairs]
    print(
        f"\n{what}: busy / quiet in {len(pairs)} pairs by the clock {median(ratios):.3f} ({min(ratios):.3f} to "
        f"{max(ratios):.3f}), by the wall {median(walls):.2f}; others had "
        f"{median(busy.contention_share for _, busy in pairs):.0%} of the busy core"
    )
    return ratios


def agree(ratios: Sequence[float]) -> bool:
    """Within 10 % in the median and 25 % each."""
    each = all(1 / (1 + EACH_WITHIN) < ratio < 1 + EACH_WITHIN for ratio in ratios)
    return each and abs(median(ratios) - 1.0) <= WITHIN


@pytest.mark.usefixtures("own_core")
def test_times_and_steps_are_those_of_a_quiet_machine(order: Trial) -> None:
    """Where something else disturbs the quiet ones, too, all are run again: a wrong clock is wrong each time."""
    ratios: list[float] = []
    for _ in range(TRIES):
        pairs = pairs_of(replace(order, submission=HASHES, ending=ENDING), PAIRS)
        ratios = ratios_of("hashing", pairs)
        assert [e.step for e in pairs[0][0].evaluations] == [40, 80, 120, 160]
        assert min(busy.contention_share or 0.0 for _, busy in pairs) > 0.25, "the burner was there"
        if agree(ratios):
            break
    assert agree(ratios), ratios


@pytest.mark.usefixtures("own_core")
def test_what_caches_cost_is_printed(order: Trial) -> None:
    """And is far from what the burner takes of the wall's time."""
    pairs = pairs_of(replace(order, ending=replace(ENDING, every=100, last=300)), TRAINING_PAIRS)
    ratios = ratios_of("training", pairs)
    assert all(
        busy.evaluations[-1].time_s < 0.75 * (busy.evaluations[-1].time_s + busy.waited_s) for _, busy in pairs
    )
    assert max(ratios) < 5, "it is for people to read"
