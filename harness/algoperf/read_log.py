"""The log of one trial of AlgoPerf -> its record. What is missing is named, and never helps a submission."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.csv
from numpy.typing import NDArray

from harness.algoperf.facts import Leaderboard, WorkloadFacts
from harness.algoperf.find_logs import Faults, TrialLog
from scoring.records import Evaluation, Failure, Outcome, Record, finite

FILE = "eval_measurements.csv"
HYPERPARAMETERS = "hparams.json"

Array = NDArray[np.float64]


def record_of(trial: TrialLog, facts: Leaderboard, faults: Faults) -> Record:
    """The record of one trial."""
    workload = facts.workloads[trial.workload]
    hp = _hyperparameters(trial, facts, faults)
    sizes = (hp.get("global_batch_size"), hp.get("batch_size"))
    batch_size = next((size for size in sizes if isinstance(size, int)), 0)
    rows, broken = _rows(trial, workload, faults)
    values, tests = rows["value"], rows["test"]
    met = np.flatnonzero([workload.reaches(value) for value in values])
    wall_s, now = _last(rows["wall"]), time.time()
    return Record(
        suite=facts.suite,
        workload=trial.workload,
        submission=trial.submission,
        ruleset=facts.ruleset,
        seed=0,
        study=trial.study,
        trial=trial.trial,
        workload_hash=f"algoperf-{facts.version}",
        submission_hash=f"algoperf-{facts.version}",
        outcome=Outcome.ERROR if broken else Outcome.REACHED if len(met) else _missed(values),
        evaluations=_evaluations(rows, batch_size, extra_metrics=f"test_{workload.metric}"),
        metric=workload.metric,
        higher_is_better=workload.higher_is_better,
        target=workload.target,
        test_value=finite(float(tests[met[0]])) if len(met) else None,
        hp=hp,
        step_hint=workload.step_hint,
        batch_size=batch_size,
        budget_s=workload.budget_s,
        evaluation_period_s=0.0,
        ledger=tuple((name, _last(rows[name])) for name in ("training", "evaluation", "logging")),
        wall_s=wall_s,
        started=now - wall_s,
        clock_started=now - wall_s,
        ended=now,
        device="",
        hardware=f"the machines of AlgoPerf {facts.version}, as published",
        fingerprint=f"algoperf-{facts.version}",
        versions={"algoperf": facts.version, "framework": trial.framework},
        code=f"AlgoPerf {facts.version}",
        failure=Failure(hook="import", kind="NoLog", message=broken) if broken else None,
        variant_of=facts.held_out.get(trial.workload),
    )


def _rows(trial: TrialLog, workload: WorkloadFacts, faults: Faults) -> tuple[dict[str, Array], str | None]:
    """The trial's evaluations by column, none that goes back in time, NaN for what is no finite number; and what
    makes the trial a miss whatever they say, None where nothing does."""
    columns = {
        "step": "global_step",
        "training": "score",
        "evaluation": "accumulated_eval_time",
        "logging": "accumulated_logging_time",
        "wall": "total_duration",
        "value": f"validation/{workload.metric}",
        "test": f"test/{workload.metric}",
    }
    try:
        rows = _numbers(trial.folder / FILE, columns)
    except FileNotFoundError:
        rows, broken = {}, f"no {FILE}, a miss"
    except (OSError, ValueError, csv.Error) as error:
        rows, broken = {}, f"{FILE} cannot be read, a miss: {str(error).splitlines()[0]}"
    else:
        rows = _in_order(rows, columns, trial, faults)
        broken = None if len(rows["step"]) else f"no evaluation in {FILE}, a miss"
    if broken:
        faults[broken].append(trial.path)
        rows = dict.fromkeys(columns, np.empty(0))
    return rows, broken


def _numbers(path: Path, columns: Mapping[str, str]) -> dict[str, Array]:
    """The columns of a file, NaN where a field is empty or not finite. Raises ValueError or csv.Error."""
    with open(path, newline="") as file:
        present = next(csv.reader(file), [])
    if absent := [columns[name] for name in ("step", "training", "value") if columns[name] not in present]:
        raise ValueError(f"no column {absent[0]}" if present else "it is empty")
    table = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=list(columns.values()),
            include_missing_columns=True,
            column_types=dict.fromkeys(columns.values(), pyarrow.float64()),
        ),
    )
    rows = {name: table[column].to_numpy() for name, column in columns.items()}
    return {name: np.where(np.isfinite(row), row, np.nan) for name, row in rows.items()}


def _in_order(
    rows: Mapping[str, Array], columns: Mapping[str, str], trial: TrialLog, faults: Faults
) -> dict[str, Array]:
    """The rows that have a step and a time, and are behind no earlier one in either."""
    step, seconds = rows["step"], rows["training"]
    valid = (step >= 0) & (step % 1 == 0) & (seconds >= 0)
    furthest = [np.maximum.accumulate(np.where(valid, row, 0.0)) for row in (step, seconds)]
    kept = valid & (step >= furthest[0]) & (seconds >= furthest[1])
    unknown = kept & np.isnan(rows["value"])
    for what, count in (
        (f"rows without a {columns['step']} or a {columns['training']}, left out", (~valid).sum()),
        ("rows that go back in time or steps, left out", (valid & ~kept).sum()),
        (f"evaluations whose {columns['value']} is no number, which reach no target", unknown.sum()),
    ):
        if count:
            faults[what].append(f"{trial.path} ({count} of {len(step)})")
    return {name: row[kept] for name, row in rows.items()}


def _evaluations(rows: Mapping[str, Array], batch_size: int, extra_metrics: str) -> tuple[Evaluation, ...]:
    """The rows as evaluations, their test metric beside them under the name `extra_metrics`, if there is one."""
    tested = not np.isnan(rows["test"]).all()
    listed = (rows[name].tolist() for name in ("step", "training", "value", "test"))
    return tuple(
        Evaluation(
            step=int(step),
            examples=int(step) * batch_size,
            time_s=seconds,
            value=finite(value),
            train_loss=None,
            extra_metrics={extra_metrics: finite(test)} if tested else {},
        )
        for step, seconds, value, test in zip(*listed, strict=True)
    )


def _missed(values: Array) -> Outcome:
    return Outcome.DIVERGED if np.isnan(values[-1]) else Outcome.BUDGET


def _hyperparameters(trial: TrialLog, facts: Leaderboard, faults: Faults) -> dict[str, object]:
    """What the trial was run at; nothing where there is no file, which the self ruleset has none of by rights."""
    try:
        hp = json.loads((trial.folder / HYPERPARAMETERS).read_text(), parse_constant=str)
    except FileNotFoundError:
        if facts.ruleset == "external":
            faults[f"no {HYPERPARAMETERS}"].append(trial.path)
        return {}
    except (OSError, ValueError):
        hp = None
    if not isinstance(hp, dict):
        faults[f"{HYPERPARAMETERS} cannot be read"].append(trial.path)
        return {}
    return hp


def _last(row: Array) -> float:
    """The last number of a column of running totals, 0 where there is none."""
    return finite(row[-1]) or 0.0 if len(row) else 0.0
