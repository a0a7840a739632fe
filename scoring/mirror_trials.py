"""Trials -> MLflow: a parent run a submission with its trials nested under it, and their learning curves."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scoring import escape
from scoring.mlflow_store import (
    NOTE,
    PARENT,
    VIEW,
    Experiment,
    Metric,
    Run,
    Store,
    digest,
    kind,
    legal,
    ms,
    readable,
    view,
)
from scoring.records import Evaluation, Outcome, Record, Stored, to_json


def board_of(record: Record) -> tuple[str, str, str]:
    """The suite, ruleset and hardware whose board a record belongs to."""
    return record.suite, record.ruleset, record.fingerprint


def mirror_trials(store: Store, trials: Sequence[Stored], over: Callable[[], bool]) -> tuple[int, int, int]:
    """Adds the trials that are missing, submission by submission, until `over`: how many it added, how many were
    there, and how many are still to come."""
    suites: dict[str, dict[str, dict[str, Stored]]] = defaultdict(lambda: defaultdict(dict))
    for each in trials:
        record = each.record
        group = digest(record.submission, record.ruleset, record.fingerprint)
        suites[record.suite][group][each.name] = each
    written = kept = behind = 0
    for suite, groups in suites.items():
        experiment = trials_experiment(store, suite).experiment_id
        parents = {run.data.tags["pacer.group"]: run for run in store.runs(experiment, kind("submission"))}
        for group, own in groups.items():
            # One tag on the parent says which trials are there, so that a call with nothing to do lists no trial.
            parent = parents.get(group)
            if parent is not None and parent.data.tags.get("pacer.state") == digest(*sorted(own)):
                kept += len(own)
            elif over():
                behind += len(own)
            else:
                added, there = _mirror_group(store, experiment, group, parent, own, over)
                written, kept, behind = written + added, kept + there, behind + len(own) - added - there
    return written, kept, behind


def _mirror_group(
    store: Store,
    experiment: str,
    group: str,
    parent: Run | None,
    trials: Mapping[str, Stored],
    over: Callable[[], bool],
) -> tuple[int, int]:
    """Adds the trials of one submission that are missing, until `over`; how many, and how many were there."""
    present = {
        run.data.tags["pacer.record"]: run for run in store.runs(experiment, f"tags.`pacer.member` = '{group}'")
    }
    parent_id = _write_parent(store, experiment, group, parent, [each.record for each in trials.values()])
    under = _Parent(experiment=experiment, group=group, run_id=parent_id)
    written = kept = 0
    for name, each in trials.items():
        run = present.get(name)
        if run is None and present:
            # Mirrored by a version that wrote the line otherwise, and named the run by what it would have written.
            run = present.get(digest(to_json(each.whole())))
        if run is not None and run.info.status != "RUNNING":
            kept += 1
            if run.data.tags.get(PARENT) != parent_id:  # someone deleted the former parent
                store.client.set_tag(run.info.run_id, PARENT, parent_id)
        elif over():
            break
        else:  # a run that still says RUNNING was left half-written: MLflow takes the same values again
            _write_trial(store, under, name, each.whole(), run)
            written += 1
    else:
        store.client.set_tag(parent_id, "pacer.state", digest(*sorted(trials)))
    return written, kept


def trials_experiment(store: Store, suite: str) -> Experiment:
    """The experiment that holds a suite's trials, created where it is missing."""
    columns = ("tags.`workload`", "tags.`outcome`", "metrics.`time_to_target_s`", "metrics.`best_validation`",
               "metrics.`reached`", "metrics.`trials`", "tags.`failure`")  # fmt: skip
    widths = {"tags.`workload`": 140, "metrics.`time_to_target_s`": 140, "tags.`failure`": 360}
    state = view(columns, "attributes.start_time", ascending=False, widths=widths)
    state["globalLineChartConfig"] |= {"xAxisKey": "metric", "selectedXAxisMetricKey": "curve/submission_s"}
    return store.experiment(
        f"pacer/{suite}",
        {
            "pacer.kind": "trials",
            "mlflow.experimentKind": "custom_model_development",  # else its page asks what the experiment is
            f"mlflow.sharedViewState.{VIEW}": json.dumps(state),
        },
    )


def _write_parent(store: Store, experiment: str, group: str, parent: Run | None, records: Sequence[Record]) -> str:
    first = records[0]
    if parent is None:
        parent = store.client.create_run(
            experiment,
            start_time=ms(min(r.started for r in records)),
            run_name=first.submission,
            tags={
                "pacer.kind": "submission",
                "pacer.group": group,
                "submission": first.submission,
                **_provenance(records),
            },
        )
    run_id = parent.info.run_id
    now = ms(time.time())
    counts = {"trials": len(records), "reached": sum(r.outcome is Outcome.REACHED for r in records)}
    store.log(run_id, [Metric(name, number, now, 0) for name, number in counts.items()])
    store.client.set_terminated(run_id, "FINISHED", ms(max(r.ended for r in records)))
    return run_id


@dataclass(frozen=True, kw_only=True)
class _Parent:
    """The run that a submission's trials are nested under. `group`: the digest that names its trials."""

    experiment: str
    group: str
    run_id: str


def _write_trial(store: Store, parent: _Parent, name: str, record: Record, run: Run | None) -> None:
    failure = record.failure
    tags = {
        PARENT: parent.run_id,
        "pacer.record": name,
        "pacer.member": parent.group,
        "submission": record.submission,
        "workload": record.workload,
        "outcome": str(record.outcome),
        "device": record.device,
        "workload_hash": record.workload_hash,
        "submission_hash": record.submission_hash,
        "ledger": _ledger(record),
        **_provenance([record]),
    }
    if record.reason is not None:
        tags["reason"] = escape.plain(record.reason)[:500]
    if failure is not None:
        where = f" ({failure.file}:{failure.line})" if failure.file else ""
        what = f"{failure.kind} in {failure.hook}{where}: {failure.message[:1000]}"
        tags["failure"] = escape.plain(what)[:500]
        tags[NOTE] = escape.markdown(what)
        if failure.traceback:  # its end says most, and a tag holds 8000 characters
            trace = failure.traceback[-5000:].replace("~~~", "~ ~ ~")  # a submission writes its own messages
            tags[NOTE] = f"{tags[NOTE]}\n\n~~~\n{trace}\n~~~\n"[-8000:]
    if run is None:
        run = store.client.create_run(
            parent.experiment,
            start_time=ms(record.started),
            run_name=f"{record.workload}, study {record.study}, trial {record.trial}",
            tags=tags,
        )
    run_id = run.info.run_id
    store.log(run_id, _curves(record) + _results(record), _settings(record))
    if failure is not None and failure.traceback:
        store.client.log_text(run_id, failure.traceback, "traceback.txt")
    status = "FAILED" if record.outcome is Outcome.ERROR else "FINISHED"
    store.client.set_terminated(run_id, status, ms(record.ended))


def _curves(record: Record) -> list[Metric]:
    """The learning curves, over steps and over submission time.

    The step of MLflow's charts is a whole number. `curve/validation` and `curve/train_loss` are over steps, and as
    `curve/submission_s` is logged at the same steps it can be picked as their x axis; `curve/validation_over_ms`,
    whose step is whole milliseconds, shows the curve over time with nothing to pick. Time stamps are submission
    time too, counted from the clock's start, so MLflow's "relative time" holds no evaluation either. The prefix
    puts the curves in a section of their own, above the bars of single results.
    """
    metrics = []
    for evaluation in record.evaluations:
        stamp = ms(record.clock_started + evaluation.time_s)
        for name, value in _values(evaluation):
            step = ms(evaluation.time_s) if name == "curve/validation_over_ms" else evaluation.step
            metrics.append(Metric(name, value, stamp, step))
    return metrics


def _values(evaluation: Evaluation) -> Iterator[tuple[str, float]]:
    yield "curve/submission_s", evaluation.time_s
    if evaluation.train_loss is not None and math.isfinite(evaluation.train_loss):
        yield "curve/train_loss", evaluation.train_loss
    if evaluation.value is not None:
        yield "curve/validation", evaluation.value
        yield "curve/validation_over_ms", evaluation.value
    for name, value in evaluation.extra_metrics.items():
        if value is not None:
            yield legal(f"curve/beside_{name}"), value


def _results(record: Record) -> list[Metric]:
    values = [e.value for e in record.evaluations if e.value is not None]
    crossing = record.crossing
    results = {
        "time_to_target_s": crossing and crossing.time_s,
        "steps_to_target": crossing and crossing.step,
        "examples_to_target": crossing and crossing.examples,
        "best_validation": (max(values) if record.higher_is_better else min(values)) if values else None,
        "test": record.test_value,
        "wall_s": record.wall_s,
    }
    stamp = ms(record.ended)
    return [
        Metric(legal(name), readable(value), stamp, 0)
        for name, value in results.items()
        if value is not None and math.isfinite(value)
    ]


def _ledger(record: Record) -> str:
    totals: dict[str, float] = defaultdict(float)
    for account, seconds in record.ledger:
        totals[account] += seconds
    return ", ".join(f"{account} {seconds:.2f} s" for account, seconds in totals.items())


def _settings(record: Record) -> dict[str, str]:
    settings: dict[str, Any] = {
        "workload": record.workload,
        "study": record.study,
        "trial": record.trial,
        "seed": record.seed,
        "batch_size": record.batch_size,
        "step_hint": record.step_hint,
        "budget_s": readable(record.budget_s),
        "metric": record.metric,
        "target": record.target,
        **{f"hp.{name}": value for name, value in record.hp.items()},
    }
    return {legal(name): str(value)[:6000] for name, value in settings.items()}


def _provenance(records: Sequence[Record]) -> dict[str, str]:
    """Where the records come from. A parent run gets the union of its trials' values."""
    versions = {f"{name} {version}" for record in records for name, version in record.versions.items()}
    return {
        "suite": records[0].suite,
        "ruleset": records[0].ruleset,
        "hardware": records[0].hardware,
        "fingerprint": records[0].fingerprint,
        "code": ", ".join(sorted({record.code for record in records}))[:5000],
        "versions": ", ".join(sorted(versions))[:5000],
    }
