"""What others take of a trial's cores is seen, and a trial that has them for itself is not blamed."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness.protocol.trial import Trial
from harness.system import machine
from harness.system.machine import Device
from harness.trial import contention
from harness.trial.contention import CoreContention
from harness.trial.referee import run_trial
from scoring.records import RecordStore, from_json, to_json
from tests.scoring.build import record

CORE = machine.usable_cores()[0]


def _burn(core: int, ready: object) -> None:
    machine.pin(core)
    ready.set()
    while True:
        pass


@contextmanager
def burning(core: int) -> Iterator[None]:
    """Another process that never rests on this core."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_burn, args=(core, ready), daemon=True)
    process.start()
    ready.wait()
    try:
        yield
    finally:
        process.kill()
        process.join()


def test_stretches_are_summed_while_the_clock_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    worked, own = iter([10.0, 14.0, 20.0, 21.0]), iter([1.0, 4.0, 5.0, 5.5])
    monkeypatch.setattr(contention, "core_worked_s", lambda core: next(worked))
    monkeypatch.setattr(contention.time, "process_time", lambda: 0.0)
    seen = CoreContention([Device(core=CORE)], lambda: next(own))
    assert seen.taken_s is None
    seen.resume(2.0)
    for _ in range(2):
        seen.clock_runs()
        seen.clock_stands()
    assert seen.taken_s == pytest.approx(2.0 + 1.0 + 0.5)


def test_a_gpu_or_any_core_tells_nothing() -> None:
    for place in (Device(gpu="GPU-1"), Device()):
        seen = CoreContention([place], lambda: 0.0)
        seen.clock_runs()
        seen.clock_stands()
        assert seen.taken_s is None


@pytest.mark.skipif(machine.core_worked_s(CORE) is None, reason="the system does not say what its cores do")
@pytest.mark.usefixtures("own_core")
def test_a_trial_beside_another_process_says_so(order: Trial) -> None:
    with machine.exclusive_devices(1) as (place,):
        assert place.core is not None
        with burning(place.core):
            before = machine.core_worked_s(place.core)
            time.sleep(0.5)
            assert machine.core_worked_s(place.core) - before > 0.2
            shared = run_trial(replace(order, ending=replace(order.ending, every=50, last=200)), [place])
    assert shared.contention_share > 0.2
    assert from_json(to_json(shared)) == shared


def test_it_is_read_back_in_brief_and_left_out_where_unknown(tmp_path: Path) -> None:
    store = RecordStore(tmp_path, "smoke")
    known, unknown = record(study=0, contention_s=0.25), record(study=1)
    store.extend([known, unknown])
    assert [each.record.contention_s for each in store.scan([])] == [0.25, None]
    assert "contention_s" in to_json(known)
    assert "contention_s" not in to_json(unknown)
