"""Calibration: medians of the reference's seconds per step, measured once for each hardware."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.protocol.settings import Settings
from harness.protocol.step_time import StepTimeError, StepTimeStore, known_step_times, measure_step_time
from harness.protocol.trial import Trial
from scoring.records import Record
from tests.scoring.build import record
from workloads import registry

WORKLOADS = registry.suite("smoke")[:2]


def runner(seconds_per_step: Sequence[float], seen: list[Trial]):
    """Pretends to run trials whose evaluations come at these paces, after a set-up of five seconds."""

    def run(trials: Sequence[Trial]) -> list[Record]:
        seen.extend(trials)
        return [made(trial) for trial in trials]

    def made(trial: Trial) -> Record:
        step, time_s, evaluations = 0, 5.0, []
        template = record().evaluations[0]
        for pace in (9.9, *seconds_per_step):
            step += trial.ending.every
            time_s += trial.ending.every * pace
            evaluations.append(replace(template, step=step, examples=step, time_s=time_s))
        return replace(record(workload=trial.workload), evaluations=tuple(evaluations), failure=None)

    return run


def test_the_pace_is_the_median_without_the_set_up(tmp_path: Path) -> None:
    seen: list[Trial] = []
    pace = measure_step_time(Settings(results=tmp_path), WORKLOADS, "here", 2, runner([0.2, 0.1, 0.4], seen))
    assert pace == {w.name: pytest.approx(0.2) for w in WORKLOADS}
    assert len(seen) == 2 * len(WORKLOADS), "one on each device"


def test_it_is_measured_once_for_each_hardware(tmp_path: Path) -> None:
    settings, seen = Settings(results=tmp_path), []
    measure_step_time(settings, WORKLOADS, "here", 1, runner([0.2], seen))
    assert measure_step_time(settings, WORKLOADS, "here", 1, runner([9.0], seen)) == known_step_times(
        settings, WORKLOADS, "here"
    )
    assert len(seen) == len(WORKLOADS)
    measure_step_time(settings, WORKLOADS, "there", 1, runner([0.3], seen))
    assert known_step_times(settings, WORKLOADS, "there")[WORKLOADS[0].name] == pytest.approx(0.3)
    assert known_step_times(settings, WORKLOADS, "here")[WORKLOADS[0].name] == pytest.approx(0.2)


def test_a_busy_machine_is_told_of(tmp_path: Path) -> None:
    told: list[str] = []
    calm = runner([0.2], [])

    def busy(trials: Sequence[Trial]) -> list[Record]:
        return [replace(each, contention_s=0.5 * each.evaluations[-1].time_s) for each in calm(trials)]

    measure_step_time(Settings(results=tmp_path / "calm"), WORKLOADS, "here", 1, calm, told.append)
    assert not told
    measure_step_time(Settings(results=tmp_path / "busy"), WORKLOADS, "here", 1, busy, told.append)
    (text,) = told
    assert "other work took 50%" in text
    assert all(workload.name in text for workload in WORKLOADS)
    assert str(tmp_path / "busy" / "calibration.json") in text


def test_a_reference_that_breaks_is_reported(tmp_path: Path) -> None:
    broken = record(message="no", outcome="error")
    with pytest.raises(StepTimeError, match=r"could not be timed on .*: no; type: make check"):
        measure_step_time(Settings(results=tmp_path), WORKLOADS[:1], "here", 1, lambda trials: [broken])


def test_a_file_that_cannot_be_read_is_explained(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text("{")
    with pytest.raises(StepTimeError, match="delete it"):
        StepTimeStore(tmp_path).read("here")
