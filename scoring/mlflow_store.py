"""An MLflow store as the mirror uses it: few and large requests, quiet, and given up on within seconds."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

# Read by MLflow as it is imported: nothing that Pacer does may contact a host that the user did not name. Hence the
# other files of the mirror have MLflow's types from here.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ.get("MLFLOW_DISABLE_TELEMETRY", "true")
from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from pacer.errors import PacerError

VIEW = "board"  # the key of the shared view that a link opens
NOTE = "mlflow.note.content"  # the tag that MLflow shows as a description
PARENT = "mlflow.parentRunId"
_ERRORS = (MlflowException, SQLAlchemyError, OSError)  # what a broken store raises; those of requests are OSErrors
_BATCH = 1000  # metrics in one request, the most that MLflow takes
_SMALL_BATCH = 100  # parameters or tags in one request, likewise
_LOCK_PATIENCE_S = 120


class MirrorError(PacerError):
    """MLflow could not be reached or refused; the records are safe, and the next call mirrors what is missing."""


@dataclass(frozen=True)
class Store:
    """An MLflow store and the folder that its artifacts go to, None where its server knows."""

    client: MlflowClient
    artifacts: Path | None

    def experiment(self, name: str, tags: Mapping[str, str]) -> Experiment:
        """The experiment of that name with these tags, created or brought back from the bin where need be."""
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            folder = None if self.artifacts is None else str(self.artifacts / re.sub(r"\W+", "-", name))
            number = self.client.create_experiment(name, artifact_location=folder, tags=dict(tags))
            return self.client.get_experiment(number)
        if experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        self.tag_experiment(experiment, tags)
        return experiment

    def tag_experiment(self, experiment: Experiment, tags: Mapping[str, str]) -> None:
        """Sets the tags that are not so already."""
        for key, value in tags.items():
            if experiment.tags.get(key) != value:
                self.client.set_experiment_tag(experiment.experiment_id, key, value)

    def runs(self, experiment_id: str, condition: str) -> Iterator[Run]:
        """The runs of an experiment that meet a condition, oldest first; deleted ones are left out."""
        token = None
        while True:
            page = self.client.search_runs(
                [experiment_id], condition, ViewType.ACTIVE_ONLY, max_results=1000, page_token=token,
                order_by=["attributes.start_time ASC"],
            )  # fmt: skip
            yield from page
            token = page.token
            if not token:
                return

    def log(
        self, run_id: str, metrics: Sequence[Metric] = (), params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Logs any number of values in as few requests as MLflow allows."""
        metrics, labels = list(metrics), [RunTag(key, value) for key, value in (tags or {}).items()]
        settings = [Param(key, value) for key, value in (params or {}).items()]
        while metrics or settings or labels:
            few = _SMALL_BATCH
            room = _BATCH - len(settings[:few]) - len(labels[:few])  # 1000 is the limit on all three together too
            self.client.log_batch(run_id, metrics[:room], settings[:few], labels[:few])
            metrics, settings, labels = metrics[room:], settings[few:], labels[few:]


@contextmanager
def connected(tracking_uri: str) -> Iterator[Store]:
    """The store at an address, for this process alone where it is a file. Raises MirrorError."""
    database = sqlite_file(tracking_uri)
    try:
        with _patience(), _quiet(), _exclusive(database):
            artifacts = database.parent / "mlartifacts" if database else None
            yield Store(MlflowClient(tracking_uri, registry_uri=tracking_uri), artifacts)
    except _ERRORS as error:
        where, what = _without_password(tracking_uri), _without_password(_first_line(error))
        raise MirrorError(
            f"MLflow at {where} does not work: {what} The records are safe on disk. Check the address "
            "(MLFLOW_TRACKING_URI) and run the same command again: it mirrors what is missing."
        ) from error


def view(columns: Sequence[str], order: str, *, ascending: bool, widths: Mapping[str, int]) -> dict[str, Any]:
    """The state of MLflow's runs page, as its own "share" button stores it (read from the frontend of 3.17)."""
    return {
        "searchFilter": "",
        "orderByKey": order,
        "orderByAsc": ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns),
        "columnOrder": [*columns, "duration"],  # two columns cannot be hidden: "Created" stays first
        "columnWidths": {"runDateAndNestInfo": 125, **widths},
        "runsHiddenMode": "FIRST_10_RUNS",
        "viewMaximized": True,
        "hideEmptyCharts": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


def kind(kind: str) -> str:
    """The search condition for runs or experiments of this kind of ours."""
    return f"tags.`pacer.kind` = '{kind}'"


def digest(*parts: str) -> str:
    """32 hexadecimal digits that stand for these texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def ms(seconds: float) -> int:
    """Whole milliseconds."""
    return round(seconds * 1000)


def readable(value: float) -> float:
    """Three significant digits, and every digit before the point."""
    if value == 0:
        return 0.0
    return float(round(value, max(0, 2 - math.floor(math.log10(abs(value))))))


def legal(name: str) -> str:
    """The name with what MLflow does not allow in one replaced."""
    return re.sub(r"[^\w\-./ :]", "_", name, flags=re.ASCII)[:250]


def cut(text: str, length: int) -> str:
    """The text, cut at a line's end where it is longer than a tag can be."""
    if len(text) <= length:
        return text
    more = "\n\n(cut here: the whole is in board.md, beside the charts)"
    return text[: length - len(more)].rpartition("\n")[0] + more


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500].rstrip(".") + "."


def _without_password(uri: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", uri)


def sqlite_file(tracking_uri: str) -> Path | None:
    """The file of an SQLite store, None for another kind of store."""
    parts = urlsplit(tracking_uri)
    return Path(parts.path[1:]).resolve() if parts.scheme.split("+")[0] == "sqlite" else None


@contextmanager
def _exclusive(database: Path | None) -> Iterator[None]:
    """Two benches that end at once take turns: each would add what the other is just adding."""
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(database.with_name(f".{database.name}.lock"), timeout=_LOCK_PATIENCE_S):
            yield
    except Timeout as error:
        raise MirrorError(
            f"{database} was being written by another process for {_LOCK_PATIENCE_S} s. The records are safe on "
            "disk. Run the same command again once the other one has ended."
        ) from error


@contextmanager
def _patience() -> Iterator[None]:
    """MLflow's own settings try an address that is down for many minutes; ours give up within seconds.

    What the user has set stays. MLflow reads these at each request, and they are taken back at the end.
    """
    ours = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines a run otherwise
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    added = {name: value for name, value in ours.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the set-up of an SQLite store and retried requests from filling the terminal."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "mlflow.store.db.utils", "alembic", "urllib3")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
