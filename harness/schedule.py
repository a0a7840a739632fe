"""Places trials on devices through Ray, a task a trial on an exclusive core. The one file that imports ray."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Both are read when ray is imported. Nothing of ours reports to another host; and `ray start` guards its clusters
# with a token that a driver shows only if told to.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
if (Path.home() / ".ray" / "auth_token").exists():
    os.environ.setdefault("RAY_AUTH_MODE", "token")

import ray
from ray.exceptions import RayError, RayTaskError

from harness import machine
from harness.errors import PacerError, UsageError
from harness.plan import Trial
from harness.player_process import Disturbed
from harness.records import Record
from harness.stopping import StopRule
from harness.trial import run_trial
from workloads.datasets.base import Dataset, DatasetError

_RETRIES = 3
"""How often a trial is run again whose worker or node died, or whose measurement was spoilt."""

_PATIENCE_S = 10.0
_SHIPPED_NOT = [".venv", ".data", ".git", "results", "**/__pycache__"]


class ClusterError(PacerError):
    """No cluster could be started."""


@dataclass(frozen=True)
class Lost:
    """A trial that left no record, through no fault of its submission; the next bench runs it again."""

    trial: Trial
    reason: str


@contextmanager
def cluster(address: str | None) -> Iterator[int]:
    """Connects to a Ray cluster, or starts one on this machine's cores; yields the number of devices.

    Within another such context it is that one's cluster. Raises UsageError where there is none at `address`,
    ClusterError where none starts.
    """
    if ray.is_initialized():
        yield _devices()
        return
    on_term = signal.getsignal(signal.SIGTERM)
    common = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        cores = len(machine.usable_cores())
        try:
            # Ray nices its workers by 15 unless told otherwise; trials must not give way to anything.
            ray.init(
                address="local",
                num_cpus=cores,
                include_dashboard=False,
                object_store_memory=100 * 2**20,
                _system_config={"worker_niceness": 0},
                **common,
            )
        except Exception as error:  # Ray raises no narrower one
            raise ClusterError(
                f"Ray did not start on this machine ({error}); where it is merely busy, type the same command again"
            ) from error
    else:
        try:
            _knock(address)
            ray.init(
                address=address,
                runtime_env={"working_dir": str(machine.ROOT), "excludes": _SHIPPED_NOT},
                **common,
            )
        except (OSError, RayError, ValueError) as error:
            raise UsageError(
                f"no Ray cluster answers at {address} ({error}); start one with: ray start --head, "
                "or leave RAY_ADDRESS unset to use this machine"
            ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_term)  # Ray has put its own there, which ends this process without a word
    try:
        yield _devices()
    finally:
        ray.shutdown()


def _devices() -> int:
    return int(ray.cluster_resources().get("CPU", 0)) or 1


def _knock(address: str) -> None:
    """Raises OSError where nobody listens at HOST:PORT; Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S).close()


def prepare(datasets: Sequence[Dataset], cache: Path) -> Iterator[tuple[str, bool]]:
    """Makes datasets in the cache, as many at once as there are cores, and those that are damaged anew.

    Yields their names as they are ready, and whether each was damaged. Raises DatasetError where that fails.
    """
    cache = cache.absolute()
    making = {_prepare.remote(dataset, cache): dataset.name for dataset in datasets}
    while making:
        done, _ = ray.wait(list(making), num_returns=1)
        for reference in done:
            name = making.pop(reference)
            try:
                damaged = ray.get(reference)
            except RayTaskError as error:
                raise error.cause from None
            except RayError as error:
                raise DatasetError(f"dataset {name}: the process that made it died: {error}") from error
            yield name, damaged


def run(
    trials: Sequence[Trial],
    devices: int,
    rule: Callable[[Trial], StopRule] | None = None,
    repeated: Callable[[Trial, str], None] | None = None,
    perform: Callable[[Trial, int], Record] = run_trial,
) -> Iterator[Record | Lost]:
    """Runs trials as devices fall free and yields their records as they come, in any order.

    `rule` is asked when a trial is about to start, and may know of all records that were yielded before. `repeated`
    is told of each trial that has to be run again, and why. `perform` runs a trial on a core. Of the trials, only
    those that run are held.
    """
    coming, again = iter(trials), deque[Trial]()
    running: dict[ray.ObjectRef, Trial] = {}
    attempts: Counter[tuple[int, str, int, int]] = Counter()
    while True:
        while len(running) < 2 * devices:  # a queue as long as the cluster, so that no device waits
            trial = again.popleft() if again else next(coming, None)
            if trial is None:
                break
            if rule is not None:
                trial = dataclasses.replace(trial, rule=rule(trial))
            running[_run.remote(trial, perform)] = trial
        if not running:
            return
        done, _ = ray.wait(list(running), num_returns=1)
        for reference in done:
            trial = running.pop(reference)
            try:
                yield ray.get(reference)
            except RayError as error:
                number = id(trial.submission), trial.workload, trial.study, trial.trial
                attempts[number] += 1
                if attempts[number] > _RETRIES or not _passing(error):
                    yield Lost(trial, str(error).strip())
                    continue
                # Ray would do this by itself, but silently.
                again.append(trial)
                if repeated is not None:
                    repeated(trial, str(getattr(error, "cause", error)).strip())


def _passing(error: RayError) -> bool:
    """Whether what happened need not happen again: it was neither the submission's doing nor a mistake of ours."""
    return isinstance(error.cause, Disturbed) if isinstance(error, RayTaskError) else True


@ray.remote(num_cpus=1)
def _prepare(dataset: Dataset, cache: Path) -> bool:
    return dataset.repair(cache)


@ray.remote(num_cpus=1, max_retries=0)
def _run(trial: Trial, perform: Callable[[Trial, int], Record]) -> Record:
    with machine.exclusive_core() as core:
        return perform(trial, core)
