"""Reports how a bench goes: in its own terminal, and in the file that other terminals read."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from types import TracebackType
from typing import Self

from harness.cluster.cluster import Cluster
from harness.cluster.driver_services import RunningTrial
from harness.cluster.schedule import ScheduleListener
from harness.protocol.settings import Settings
from harness.protocol.trial import Trial
from harness.report import status
from harness.report.progress import TrialProgress
from harness.report.status import DeviceStatus, Status
from scoring.records import Record


class Reporter:
    """Follows the trials of one bench. As a context manager it reports when the bench has ended."""

    def __init__(self, settings: Settings, cluster: Cluster, progress: TrialProgress) -> None:
        self._results = settings.results
        self._cluster = cluster
        self._progress = progress
        self._repeated: Counter[str] = Counter()
        self._status = Status(
            suite=settings.suite,
            hardware=str(cluster.hardware),
            started=time.time(),
            total=progress.total,
            done=0,
            devices=cluster.devices,
            left_s=progress.seconds_left(),
        )

    @property
    def listener(self) -> ScheduleListener:
        """What the schedule calls."""
        return ScheduleListener(repeated=self._again, running=self._running)

    def __enter__(self) -> Self:
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(ended=True, running=())

    def ended(self, record: Record) -> None:
        """A trial has ended."""
        self._progress.ended(record)
        self._status = replace(self._status, done=self._status.done + 1)

    def lost(self, trial: Trial, reason: str) -> None:
        """A trial left no record."""
        self._progress.lost(trial, reason)
        self._status = replace(self._status, lost=self._status.lost + 1)

    def _again(self, trial: Trial, reason: str, node: str | None) -> None:
        self._repeated[node or "unknown"] += 1
        self._progress.repeated(trial, reason, node)

    def _running(self, running: Collection[RunningTrial], devices: int) -> None:
        shown = tuple(
            DeviceStatus(node=self._cluster.name(r.node), device=r.device, trial=str(r.trial), since=r.since)
            for r in running
        )
        self._progress.running(shown, devices)
        self._write(running=shown, devices=devices)

    def _write(self, **changes: object) -> None:
        left_s, repeated = self._progress.seconds_left(), dict(self._repeated)
        self._status = replace(self._status, left_s=left_s, repeated=repeated, updated=time.time(), **changes)
        with contextlib.suppress(OSError):  # a bench that cannot write its status can still run
            status.write(self._results, self._status)
