"""`python -m harness trial`: one trial of a bench, here and now, by a process that needs neither Ray nor MLflow."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from harness.protocol.choose import chosen_submissions, listed_workloads
from harness.protocol.plan import plan
from harness.protocol.settings import Settings
from harness.protocol.step_time import measure_step_time
from harness.report.words import describe, duration
from harness.system import machine
from harness.trial.referee import run_trial
from scoring.records import Record


def run_single(settings: Settings, study: int, point: int, console: Console) -> Record:
    """The trial that a bench of these settings would run as point `point` of study `study`, on the settings' one
    workload with their last submission. The reference's step time on this machine is measured first where it is not
    known. A workload without a target is trained to the end of the budget.

    Raises UsageError for settings that cannot be run, StepTimeError where the reference breaks, DatasetError where
    data cannot be had.
    """
    settings = replace(settings, studies=study + 1, trials=point + 1)
    (workload,), fingerprint = (
        listed_workloads(settings),
        machine.hardware(settings.layout).fingerprint,
    )
    submission = chosen_submissions(settings)[-1]
    with machine.exclusive_devices(settings.layout.devices) as devices:
        with console.status(f"preparing {workload.dataset.name}"):
            workload.dataset.prepare(settings.data)
        with console.status("calibrating: the reference's seconds per step on this machine"):
            step_times = measure_step_time(
                settings,
                (workload,),
                fingerprint,
                1,
                lambda trials: (run_trial(trial, devices) for trial in trials),
                warn=lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True),
            )
        trial = plan(settings, (workload,), (submission,), step_times, (), fingerprint)[-1]
        name = str(trial.id)
        with console.status(f"{name}: at most {duration(trial.budget_s)} of submission time"):
            record = run_trial(trial, devices)
    console.print(f"{name}: {describe(record)}", markup=False, highlight=False, soft_wrap=True)
    return record
