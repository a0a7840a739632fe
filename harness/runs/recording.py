"""The records of a bench: what is there already, and what comes as its trials end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console

from harness.cluster.schedule import LostTrial
from harness.protocol.plan import Recorded, checkpoint_path
from harness.protocol.racing import Race
from harness.protocol.settings import Settings
from harness.report.reporter import Reporter
from harness.trial import checkpoint_store
from scoring.records import Record, RecordStore, files
from submissions.registry import SubmissionRef
from workloads.base import Workload


def find_recorded(
    settings: Settings,
    workloads: Sequence[Workload],
    submissions: Sequence[SubmissionRef],
    fingerprint: str,
    store: RecordStore,
    console: Console,
) -> tuple[Recorded, Race]:
    """Which of the trials that the settings ask for are recorded, and what the race knows from them.

    Reads the records one by one and holds none. Removes the checkpoints of finished trials, left where a bench was
    killed between the two.
    """
    recorded = Recorded(settings, workloads, submissions, fingerprint)
    race = Race(settings, workloads, submissions, fingerprint)
    left = set((settings.results.absolute() / settings.suite / "checkpoints").glob("*.checkpoint"))
    warnings: list[str] = []
    for each in store.scan(warnings):
        key = each.record.key
        recorded.add(key)
        race.remember(each)
        if left and (path := checkpoint_path(settings, key)) in left:
            checkpoint_store.discard(path)
    for warning in warnings:
        console.print(f"warning: {warning}", markup=False)
    return recorded, race


def record_results(
    results: Iterable[Record | LostTrial],
    settings: Settings,
    store: RecordStore,
    race: Race,
    reporter: Reporter,
) -> tuple[float, int]:
    """Records each trial as it ends; the submission time of all of them, and how many were lost."""
    submission_s, lost = 0.0, 0
    for result in results:
        if isinstance(result, LostTrial):
            lost += 1
            reporter.lost(result.trial, result.reason)
            continue
        store.append(result)
        checkpoint_store.discard(checkpoint_path(settings, result.key))
        race.note(result)
        submission_s += result.submission_s
        reporter.ended(result)
    return submission_s, lost


def keep_sources(settings: Settings, submissions: Iterable[SubmissionRef]) -> None:
    """Keeps each submission's text beside the records that name its hash, so that a result can be traced."""
    folder = settings.results / settings.suite / "sources"
    for ref in submissions:
        path = folder / f"{ref.hash}.txt"
        if not path.exists():
            text = f"# {ref.name} {ref.filename or ''} {ref.environment}\n{ref.source}"
            files.replace(path, text.encode())
