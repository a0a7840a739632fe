"""What a bench takes beside its trials: this process and Ray's services, and none of Ray's workers."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from rich.console import Console

from harness.cluster import overhead, schedule
from harness.cluster.connect import connected
from harness.cluster.overhead import service_processes
from harness.cluster.ray_trials import TASK
from harness.protocol.plan import plan
from harness.protocol.settings import Settings
from harness.protocol.trial import Trial
from scoring.records import Record
from submissions.registry import resolve
from tests.scoring.build import record
from workloads import registry

WORKLOAD = registry.find("smoke", "mnist_mlp")


@dataclass
class Process:
    """A process of a made-up tree; `gone` once it has ended."""

    title: str
    below: list[Process] = field(default_factory=list)
    cpu_s: float = 1.0
    gone: bool = False

    def name(self) -> str:
        return self._there(self.title)

    def children(self) -> list[Process]:
        return self.below

    def cpu_times(self):
        return self._there(SimpleNamespace(user=self.cpu_s, system=self.cpu_s / 2))

    def _there(self, value):
        if self.gone:
            raise psutil.NoSuchProcess(1)
        return value


def test_workers_and_what_runs_in_them_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Process(f"ray::{TASK}", [Process("python")])
    raylet = Process("raylet", [trial, Process("ray::IDLE"), Process("ray::_DriverProcess.running")])
    driver = Process("python", [raylet, Process("gone", gone=True), Process("gcs_server")])
    monkeypatch.setattr(overhead.psutil, "Process", lambda: driver)
    titles = sorted(process.name() for process in service_processes())
    assert titles == ["gcs_server", "python", "ray::_DriverProcess.running", "raylet"]


def test_the_overhead_is_what_services_take_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    ending, raylet, trial = Process("gcs_server"), Process("raylet"), Process(f"ray::{TASK}")
    driver = Process("python", [raylet, trial, ending], cpu_s=10.0)
    monkeypatch.setattr(overhead.psutil, "Process", lambda: driver)
    with overhead.overhead() as taken:
        driver.cpu_s, raylet.cpu_s, trial.cpu_s = 12.0, 5.0, 99.0
        ending.gone = True
    assert taken == [pytest.approx(1.5 * (2.0 + 4.0))]


@pytest.mark.slow
@pytest.mark.usefixtures("own_core")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_ray_titles_its_workers_as_is_expected_of_it(tmp_path: Path) -> None:
    settings = Settings(suite="smoke", studies=3, results=tmp_path, data=tmp_path)

    def names_itself(trial: Trial, *_: object) -> Record:
        """Leaves the title of the process that it runs in. (Ray brings a function of a function to its workers.)"""
        (trial.data / str(os.getpid())).write_text(psutil.Process().name())
        return record(trial.submission.name, trial.workload, study=trial.study)

    trials = plan(settings, [WORKLOAD], [resolve("nadamw")], {WORKLOAD.name: 0.01}, (), "here")
    with connected(settings, Console(quiet=True)) as cluster:
        records = list(schedule.run(trials, cluster, run_one=names_itself))
        services = {process.pid for process in service_processes()}
    assert [r.reason for r in records if isinstance(r, schedule.LostTrial)] == []
    assert len(records) == 3
    titles = {int(path.name): path.read_text() for path in tmp_path.iterdir() if path.name.isdigit()}
    assert set(titles.values()) == {f"ray::{TASK}"}
    assert not services & set(titles)
    assert os.getpid() in services
    assert len(services) >= 3, "Ray's own services are among them"
