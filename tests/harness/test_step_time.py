"""The reference step time: the median of its seconds per step, measured once for each hardware."""

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
    """Pretends to run trials with these seconds per step between evaluations, after a set-up of five seconds."""

    def run(trials: Sequence[Trial]) -> list[Record]:
        seen.extend(trials)
        return [made(trial) for trial in trials]

    def made(trial: Trial) -> Record:
        step, time_s, evaluations = 0, 5.0, []
        template = record().evaluations[0]
        for step_s in (9.9, *seconds_per_step):
            step += trial.ending.every
            time_s += trial.ending.every * step_s
            evaluations.append(replace(template, step=step, examples=step, time_s=time_s))
        return replace(record(workload=trial.workload), evaluations=tuple(evaluations), failure=None)

    return run


def test_it_is_the_median_without_the_set_up(tmp_path: Path) -> None:
    seen: list[Trial] = []
    step_times = measure_step_time(Settings(results=tmp_path), WORKLOADS, "here", 2, runner([0.2, 0.1, 0.4], seen))
    assert step_times == {w.name: pytest.approx(0.2) for w in WORKLOADS}
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


def test_a_busy_machine_is_warned_of(tmp_path: Path) -> None:
    lines: list[str] = []
    calm = runner([0.2], [])

    def busy(trials: Sequence[Trial]) -> list[Record]:
        return [replace(each, contention_s=0.5 * each.evaluations[-1].time_s) for each in calm(trials)]

    measure_step_time(Settings(results=tmp_path / "calm"), WORKLOADS, "here", 1, calm, lines.append)
    assert not lines
    measure_step_time(Settings(results=tmp_path / "busy"), WORKLOADS, "here", 1, busy, lines.append)
    (text,) = lines
    assert "other work took 50%" in text
    assert all(workload.name in text for workload in WORKLOADS)
    assert str(tmp_path / "busy" / "calibration.json") in text
    assert "so that budgets there are too long" in text


def test_of_a_clock_that_does_not_count_others_only_the_rest_is_warned_of(tmp_path: Path) -> None:
    lines: list[str] = []
    calm = runner([0.2], [])

    def busy(trials: Sequence[Trial]) -> list[Record]:
        took = [each.evaluations[-1].time_s for each in calm(trials)]
        return [replace(each, contention_s=s, waited_s=s) for each, s in zip(calm(trials), took, strict=True)]

    measure_step_time(Settings(results=tmp_path), WORKLOADS, "here", 1, busy, lines.append)
    (text,) = lines
    assert "other work took 50%" in text
    assert "which is off its clock; for what shared caches and a lower turbo cost budgets may be a little" in text


def test_a_reference_that_breaks_is_reported(tmp_path: Path) -> None:
    broken = record(message="no", outcome="error")
    with pytest.raises(StepTimeError, match=r"could not be timed on .*: no; type: make check"):
        measure_step_time(Settings(results=tmp_path), WORKLOADS[:1], "here", 1, lambda trials: [broken])


def test_a_file_that_cannot_be_read_is_explained(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text("{")
    with pytest.raises(StepTimeError, match="delete it"):
        StepTimeStore(tmp_path).read("here")


def test_each_device_gets_a_trial_of_its_own_on_each_workload(tmp_path: Path) -> None:
    seen: list[Trial] = []
    measure_step_time(Settings(results=tmp_path, seed=7), WORKLOADS, "here", 3, runner([0.2], seen))
    assert sorted((t.workload, t.study) for t in seen) == sorted((w.name, n) for w in WORKLOADS for n in range(3))
    assert {(t.submission.name, t.ruleset, t.seed, t.trial) for t in seen} == {("nadamw", "self", 7, 0)}


def test_the_samples_of_all_devices_count(tmp_path: Path) -> None:
    """Three samples of one device and three of the other: the median is that of six."""
    slow, fast = runner([0.8, 0.8, 0.8], []), runner([0.2, 0.3, 0.4], [])

    def run(trials: Sequence[Trial]) -> list[Record]:
        return slow(trials[:1]) + fast(trials[1:])

    times = measure_step_time(Settings(results=tmp_path), WORKLOADS[:1], "here", 2, run)
    assert times == {WORKLOADS[0].name: pytest.approx(0.6)}
    (samples,) = (StepTimeStore(tmp_path).samples("here", w.suite, w.name) for w in WORKLOADS[:1])
    assert sorted(samples) == pytest.approx([0.2, 0.3, 0.4, 0.8, 0.8, 0.8])
    assert StepTimeStore(tmp_path).samples("elsewhere", "smoke", WORKLOADS[0].name) == []
    assert StepTimeStore(tmp_path).samples("here", "mini", WORKLOADS[0].name) == []


def test_one_evaluation_is_too_few_and_two_are_enough(tmp_path: Path) -> None:
    settings = Settings(results=tmp_path)
    with pytest.raises(StepTimeError, match="could not be timed"):
        measure_step_time(settings, WORKLOADS[:1], "here", 1, runner([], []))
    assert known_step_times(settings, WORKLOADS, "here") == {}
    measure_step_time(settings, WORKLOADS[:1], "here", 1, runner([0.5], []))
    assert known_step_times(settings, WORKLOADS, "here") == {WORKLOADS[0].name: pytest.approx(0.5)}


def test_the_first_that_were_measured_stay(tmp_path: Path) -> None:
    """Two benches that measure at once: the second must not change the budgets of the first."""
    store = StepTimeStore(tmp_path)
    store.add("here", {"w": [0.1, 0.3]})
    store.add("here", {"w": [9.0], "v": [0.5]})
    store.add("there", {"w": [4.0]})
    assert store.read("here") == {"w": pytest.approx(0.2), "v": 0.5}
    assert store.read("there") == {"w": 4.0}
    assert store.read("nowhere") == {}


@pytest.mark.parametrize("change", [{"target": 0.123}, {"step_hint": 7}], ids=str)
def test_a_workload_that_changed_is_timed_again(change: dict, tmp_path: Path) -> None:
    settings, seen = Settings(results=tmp_path), []
    measure_step_time(settings, WORKLOADS[:1], "here", 1, runner([0.2], seen))
    changed = replace(WORKLOADS[0], **change)
    measure_step_time(settings, [changed], "here", 1, runner([0.3], seen))
    timed_again = changed.definition() != WORKLOADS[0].definition()
    assert len(seen) == 1 + timed_again
    assert timed_again == ("step_hint" in change), "a target is no part of what a step takes"


def test_a_warning_names_the_worst_of_its_trials(tmp_path: Path) -> None:
    lines: list[str] = []
    calm = runner([0.2], [])

    def run(trials: Sequence[Trial]) -> list[Record]:
        shares = iter((0.3, 0.6, 0.2))
        return [replace(each, contention_s=next(shares) * each.evaluations[-1].time_s) for each in calm(trials)]

    measure_step_time(Settings(results=tmp_path), WORKLOADS[:1], "here", 3, run, lines.append)
    (text,) = lines
    assert "other work took 60%" in text


def test_it_is_timed_over_two_evaluation_periods(tmp_path: Path) -> None:
    """Every half period, four times: short beside a trial, and the set-up is in the first of them alone."""
    seen: list[Trial] = []
    measure_step_time(Settings(results=tmp_path), WORKLOADS, "here", 1, runner([0.2], seen))
    for trial, workload in zip(seen, WORKLOADS, strict=True):
        assert trial.ending.every == max(2, round(workload.steps_per_evaluation / 2))
        assert trial.ending.last == 4 * trial.ending.every
        assert not trial.ending.stop_at_target
