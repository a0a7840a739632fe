"""AlgoPerf's published logs -> records of a suite of their own, such as `algoperf-0.6-external`.

Nothing is guessed. What is missing, is no number or goes back in time is a fault that the report names, and it
never helps a submission:
* a trial without a readable file, or without one evaluation, is a miss;
* a metric that is no finite number reaches no target;
* a row that is behind an earlier one in time or steps (as after a restart) is left out, so that it reaches nothing;
* a workload or study without logs stays without: the board counts the former as a miss.

A log does not say why its trial ended: one that ends with a metric that is no number is booked as diverged, any
other miss as out of budget. Nor does it say when: every trial is booked as if it had ended at the import.

1,009,280 evaluations in 6,384 files took 15 s of a core (2-core cloud machine, busy besides, n = 1).
"""

from __future__ import annotations

import csv
import json
import re
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from harness.algoperf_facts import Leaderboard, Workload, all_leaderboards
from harness.errors import UsageError
from harness.machine import ROOT
from harness.records import Evaluation, Failure, Outcome, Record, RecordStore, finite
from scoring.selection import some

FILE = "eval_measurements.csv"
HYPERPARAMETERS = "hparams.json"
_LAYOUT = "SUBMISSION/study_N/WORKLOAD_(jax|pytorch)/trial_M/eval_measurements.csv"
_DEPTH = 4  # folders between the one that is named and the submissions
_SHOWN = 3  # places that a fault names

Array = NDArray[np.float64]
Faults = dict[str, list[str]]
"""What is wrong, and the places where it is."""


@dataclass(frozen=True, kw_only=True)
class TrialLog:
    """Where the log of one trial is, and what its place says about it."""

    submission: str
    study: int
    workload: str
    framework: str
    trial: int
    folder: Path

    @property
    def place(self) -> str:
        """The trial's folder below that of the submissions."""
        return "/".join(self.folder.parts[-4:])


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an import did. `present`: trials that had been imported before. `faults`: a line a kind."""

    suite: str
    submissions: tuple[str, ...]
    trials: int
    present: int
    evaluations: int
    faults: tuple[str, ...]

    def as_text(self) -> str:
        """The report for a terminal."""
        named = ", ".join(self.submissions)
        lines = [
            f"{self.suite}: {self.trials} trials with {self.evaluations} evaluations imported, {self.present} were "
            f"there; {len(self.submissions)} submissions: {named}"
        ]
        if self.faults:
            lines += ["faults of the logs:", *(f"  {fault}" for fault in self.faults)]
        return "\n".join(lines)


def import_logs(folder: Path, facts: Leaderboard, results: Path, console: Console) -> Report:
    """Adds the trials of the leaderboard in or below `folder` that are not among the results yet.

    Raises UsageError where no such leaderboard is found.
    """
    faults: Faults = defaultdict(list)
    trials = _trials(find_submissions(folder, facts.ruleset), facts, faults)
    store = RecordStore(results, facts.suite)
    present = {record.key for record in store.read()[0]}
    added: list[int] = []

    def fresh() -> Iterator[Record]:
        for trial in track(
            trials, "reading logs", console=console, transient=True, disable=not console.is_terminal
        ):
            record = _record(trial, facts, faults)
            if record.key not in present:
                added.append(len(record.evaluations))
                yield record

    store.extend(fresh())
    return Report(
        suite=facts.suite,
        submissions=tuple(dict.fromkeys(trial.submission for trial in trials)),
        trials=len(added),
        present=len(trials) - len(added),
        evaluations=sum(added),
        faults=tuple(f"{what} ({len(places)}): {some(places, _SHOWN)}" for what, places in faults.items()),
    )


def find_submissions(folder: Path, ruleset: str) -> Path:
    """The folder that holds the submissions, which is `folder` or one below it.

    Raises UsageError where there is none, or more than one of the ruleset.
    """
    expected = f"expected a folder with {_LAYOUT} in it, or one above it such as logs/{ruleset}_tuning"
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; {expected}")
    if _numbered(folder, "study"):
        raise UsageError(f"{folder} is one submission; name the folder above: {folder.resolve().parent}")
    found = list(submission_folders(folder))
    if not found:
        there = some(sorted(path.name for path in folder.iterdir()), _SHOWN) or "nothing"
        raise UsageError(f"{folder} holds no logs, it has: {there}; {expected}")
    # The published logs say in a folder's name which ruleset they are of: another's are not taken for this one.
    fitting = [path for path in found if path.name == f"{ruleset}_tuning" or not path.name.endswith("_tuning")]
    if len(fitting) != 1:
        which = "none of them" if not fitting else "more than one"
        raise UsageError(
            f"{folder} has logs under {some([str(path) for path in found], _SHOWN)}, and {which} fits the ruleset "
            f"{ruleset}; name one of them, with its ruleset"
        )
    return fitting[0]


@contextmanager
def published() -> Iterator[Path]:
    """A folder with the published logs that come with Pacer, unpacked while the context lasts."""
    with tempfile.TemporaryDirectory() as unpacked:
        with tarfile.open(ROOT / "tests" / "data" / "algoperf_logs.tar.xz") as archive:
            archive.extractall(unpacked, filter="data")
        yield Path(unpacked)


def leaderboards(folder: Path) -> list[tuple[Leaderboard, Path]]:
    """The leaderboards below `folder` whose place says what they are, as `algoperf_v06/logs/external_tuning` does.

    Raises UsageError where there is none.
    """
    found = [
        (facts, path)
        for facts in all_leaderboards()
        for path in (submission_folders(folder.resolve()) if folder.is_dir() else ())
        if path.name == f"{facts.ruleset}_tuning"
        and any(name.endswith((facts.version, f"v{facts.version.replace('.', '')}")) for name in path.parts)
    ]
    if not found:
        raise UsageError(
            f"{folder} has no logs whose folders say what they are; expected some such as "
            "algoperf_v06/logs/external_tuning/SUBMISSION/study_0 below it. To say it yourself, type: "
            ".venv/bin/python -m harness import-algoperf DIR --version 0.6 --ruleset external"
        )
    return found


def submission_folders(folder: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """The folders that hold submissions, among `folder` and those below it."""
    below = _folders(folder)
    if any(_numbered(path, "study") for path in below):
        yield folder
    elif depth:
        for path in below:
            yield from submission_folders(path, depth - 1)


def _trials(root: Path, facts: Leaderboard, faults: Faults) -> list[TrialLog]:
    """The trials of all submissions on the leaderboard's workloads; what does not belong there is a fault."""
    trials: list[TrialLog] = []
    for submission in _folders(root):
        own = list(_of_submission(submission, facts, faults))
        if own:
            trials += own
            _count(submission.name, own, facts, faults)
        else:
            faults["no trials in the folder of a submission, left out"].append(submission.name)
    return trials


def _of_submission(folder: Path, facts: Leaderboard, faults: Faults) -> Iterator[TrialLog]:
    seen: dict[tuple[int, str], str] = {}
    for study, study_folder in _numbered(folder, "study", faults):
        for path in _folders(study_folder):
            workload, _, framework = path.name.rpartition("_")
            place = f"{folder.name}/{study_folder.name}/{path.name}"
            if framework not in ("jax", "pytorch") or workload not in facts.workloads:
                faults[f"no workload of AlgoPerf {facts.version}, left out"].append(place)
            elif workload not in facts.used:
                faults["a variant that is not part of this leaderboard, left out"].append(place)
            elif (study, workload) in seen:
                faults[f"a second framework for the same workload, left out beside {seen[study, workload]}"].append(
                    place
                )
            else:
                seen[study, workload] = framework
                for trial, trial_folder in _numbered(path, "trial", faults):
                    yield TrialLog(
                        submission=folder.name,
                        study=study,
                        workload=workload,
                        framework=framework,
                        trial=trial,
                        folder=trial_folder,
                    )


def _count(submission: str, trials: Sequence[TrialLog], facts: Leaderboard, faults: Faults) -> None:
    """Names the workloads without logs, and those with more or fewer studies or trials than the rules ask for."""
    studies: dict[str, dict[int, int]] = {name: defaultdict(int) for name in facts.used}
    for trial in trials:
        studies[trial.workload][trial.study] += 1
    for workload, counts in studies.items():
        place = f"{submission} on {workload}"
        if not counts:
            if workload not in facts.added:
                faults["no logs, a miss"].append(place)
        elif len(counts) != facts.studies:
            faults[f"{len(counts)} studies instead of {facts.studies}"].append(place)
        for study, count in counts.items():
            if count != facts.trials:
                faults[f"{count} trials a study instead of {facts.trials}"].append(f"{place}, study {study}")


def _record(trial: TrialLog, facts: Leaderboard, faults: Faults) -> Record:
    """The record of one trial."""
    workload = facts.workloads[trial.workload]
    hp = _hyperparameters(trial, facts, faults)
    sizes = (hp.get("global_batch_size"), hp.get("batch_size"))
    batch_size = next((size for size in sizes if isinstance(size, int)), 0)
    rows, broken = _rows(trial, workload, faults)
    values, tests = rows["value"], rows["test"]
    met = np.flatnonzero(values >= workload.target if workload.higher_is_better else values <= workload.target)
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
        evaluations=_evaluations(rows, batch_size, beside=f"test_{workload.metric}"),
        metric=workload.metric,
        higher_is_better=workload.higher_is_better,
        target=workload.target,
        test_value=finite(tests[met[0]]) if len(met) else None,
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


def _rows(trial: TrialLog, workload: Workload, faults: Faults) -> tuple[dict[str, Array], str | None]:
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
        faults[broken].append(trial.place)
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
    told = (step >= 0) & (step % 1 == 0) & (seconds >= 0)
    furthest = [np.maximum.accumulate(np.where(told, row, 0.0)) for row in (step, seconds)]
    kept = told & (step >= furthest[0]) & (seconds >= furthest[1])
    unknown = kept & np.isnan(rows["value"])
    for what, count in (
        (f"rows without a {columns['step']} or a {columns['training']}, left out", (~told).sum()),
        ("rows that go back in time or steps, left out", (told & ~kept).sum()),
        (f"evaluations whose {columns['value']} is no number, which reach no target", unknown.sum()),
    ):
        if count:
            faults[what].append(f"{trial.place} ({count} of {len(step)})")
    return {name: row[kept] for name, row in rows.items()}


def _evaluations(rows: Mapping[str, Array], batch_size: int, beside: str) -> tuple[Evaluation, ...]:
    """The rows as evaluations, their test metric beside them under the name `beside`, if there is one."""
    tested = not np.isnan(rows["test"]).all()
    listed = (rows[name].tolist() for name in ("step", "training", "value", "test"))
    return tuple(
        Evaluation(
            step=int(step),
            examples=int(step) * batch_size,
            time_s=seconds,
            value=finite(value),
            train_loss=None,
            beside={beside: finite(test)} if tested else {},
        )
        for step, seconds, value, test in zip(*listed, strict=True)
    )


def _missed(values: Array) -> Outcome:
    return Outcome.DIVERGED if np.isnan(values[-1]) else Outcome.BUDGET


def _hyperparameters(trial: TrialLog, facts: Leaderboard, faults: Faults) -> dict[str, Any]:
    """What the trial was run at; nothing where there is no file, which the self ruleset has none of by rights."""
    try:
        found = json.loads((trial.folder / HYPERPARAMETERS).read_text(), parse_constant=str)
    except FileNotFoundError:
        if facts.ruleset == "external":
            faults[f"no {HYPERPARAMETERS}"].append(trial.place)
        return {}
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        faults[f"{HYPERPARAMETERS} cannot be read"].append(trial.place)
        return {}
    return found


def _last(row: Array) -> float:
    """The last number of a column of running totals, 0 where there is none."""
    return finite(row[-1]) or 0.0 if len(row) else 0.0


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder by name, hidden ones aside; none where it may not be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except PermissionError:
        return []


def _numbered(folder: Path, kind: str, faults: Faults | None = None) -> list[tuple[int, Path]]:
    """The folders `study_3` or `trial_1` with their numbers, in the order of these; others are faults."""
    found = []
    for path in _folders(folder):
        if match := re.fullmatch(rf"{kind}_(\d+)", path.name):
            found.append((int(match[1]), path))
        elif faults is not None:
            faults[f"no {kind}_N, left out"].append(f"{folder.name}/{path.name}")
    return sorted(found)
