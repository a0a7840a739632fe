"""An adaptive bench: one study of each, then studies where they decide, until enough is decided or spent."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.protocol.settings import Settings
from harness.runs import adaptive
from harness.runs.adaptive import Enough
from harness.runs.bench_report import BenchReport
from harness.system import machine
from scoring.records import RecordStore
from submissions.registry import resolve
from tests.scoring.build import record

HERE = machine.hardware().fingerprint
WORKLOADS = ("mnist_mlp",)
NOISE = [0.0, 0.1, -0.1, 0.05, -0.05, 0.02, 0.08, -0.02, 0.0, 0.04]


@dataclass
class Cluster:
    devices: int = 2
    hardware: object = field(default_factory=machine.hardware)


@dataclass
class Benches:
    """Benches whose trials take half an hour each, and have these times by submission and study."""

    times: dict[str, Sequence[float | None]]
    calls: list[tuple[tuple[str, ...], int]] = field(default_factory=list)
    lost: frozenset[str] = frozenset()

    def bench(self, settings: Settings, _: Console, cluster: object) -> BenchReport:
        assert isinstance(cluster, Cluster), "one for all benches"
        self.calls.append((settings.submissions, settings.studies))
        store = RecordStore(settings.results, settings.suite)
        before = {r.key for r in store.read()[0]}
        wanted = [
            replace(
                record(name, "mnist_mlp", self.times[name][study], study=study),
                suite="smoke",
                fingerprint=HERE,
                submission_hash=resolve(name).hash,
                wall_s=1800.0,
            )
            for study in range(settings.studies)
            for name in dict.fromkeys((*settings.submissions, "nadamw"))
            if name not in self.lost
        ]
        missing = [r for r in wanted if r.key not in before]
        store.extend(missing)
        return BenchReport(
            suite="smoke",
            workloads=WORKLOADS,
            fingerprint=HERE,
            started=0.0,
            wall_s=1.0,
            trials_run=len(missing),
            running_s=900.0 * len(missing),
            devices=2,
        )


def run(
    monkeypatch: pytest.MonkeyPatch,
    results: Path,
    benches: Benches,
    enough: Enough | None = None,
    studies: int = 10,
) -> list[str]:
    """The lines that are printed."""
    monkeypatch.setattr(adaptive, "bench", benches.bench)
    monkeypatch.setattr(adaptive, "connected", lambda *_: contextlib.nullcontext(Cluster()))
    monkeypatch.setattr(adaptive, "prepared", lambda *_: {"mnist_mlp": 0.01})
    printed = io.StringIO()
    names = tuple(name for name in benches.times if name != "nadamw")
    settings = Settings(
        suite="smoke", workloads=WORKLOADS, results=results, data=results, studies=studies, submissions=names
    )
    reports = list(adaptive.adaptive(settings, enough or Enough(), Console(file=printed, width=300)))
    assert len(reports) == len(benches.calls)
    return printed.getvalue().splitlines()


def around(time: float, turn: int = 0) -> list[float]:
    return [time * (1 + NOISE[(k + turn) % 10] / 10) for k in range(10)]


def test_clear_pairs_get_few_studies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    benches = Benches({"nadamw": around(10), "adamw": around(20, 3), "adam": around(5, 5), "lion": around(14, 7)})
    lines = run(monkeypatch, tmp_path, benches)
    assert benches.calls[0] == (("nadamw", "adamw", "adam", "lion"), 1)
    assert all(studies == 2 for _, studies in benches.calls[1:])
    assert lines[0].startswith("adaptive forecast: a study of each takes 4 trials, about ")
    assert "all 10 studies 40 trials, about " in lines[0]
    assert lines[0].endswith("it ends in between, once 80% of the pairs are decided")
    assert lines[1].startswith("adaptive: 0 of ")
    assert " pairs decided (0%), 4 studies, 2.0 h of device time; about " in lines[1]
    assert lines[1].endswith(" more to 80%")
    assert "(100%)" in lines[-1] or "(80%)" in lines[-1] or "(83%)" in lines[-1]


def test_studies_go_to_the_pair_that_is_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    benches = Benches(
        {"nadamw": around(10), "adamw": around(40, 3), "adam": around(5.0, 5), "lion": around(5.15, 2)}
    )
    lines = run(monkeypatch, tmp_path, benches, Enough(decided=1.0))
    counts = {name: len({r.study for r in RecordStore(tmp_path, "smoke").read()[0] if r.submission == name})
              for name in benches.times}  # fmt: skip
    assert counts["adamw"] <= 2
    assert counts["nadamw"] == max(counts["adam"], counts["lion"]) >= counts["adamw"]
    assert lines[-1].startswith("adaptive: ")


def test_a_budget_ends_it_and_what_is_open_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    benches = Benches({"nadamw": around(10), "adamw": around(10.4, 3), "adam": around(10.8, 5)})
    lines = run(monkeypatch, tmp_path, benches, Enough(decided=1.0, budget_h=2.6))
    assert lines[0].endswith("once 100% of the pairs are decided or 2.6 h of device time are spent")
    assert "; undecided: " in lines[-1]
    assert len(RecordStore(tmp_path, "smoke").read()[0]) <= 5


def test_what_was_stopped_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    times = {"nadamw": around(10), "adamw": around(20, 3), "adam": around(5, 5)}
    run(monkeypatch, tmp_path, Benches(times))
    again = Benches(times)
    lines = run(monkeypatch, tmp_path, again)
    assert len(lines) == 2, "a forecast, and where it stands"
    assert {studies for _, studies in again.calls} == {2, 1} or {studies for _, studies in again.calls} == {2}
    assert " 0 s of device time" in lines[-1]


def test_trials_that_are_lost_end_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    benches = Benches(
        {"nadamw": around(10), "adamw": around(20, 3), "adam": around(5, 5)}, lost=frozenset({"adam"})
    )
    lines = run(monkeypatch, tmp_path, benches, Enough(decided=1.0))
    assert len(benches.calls) < 30
    assert lines[-1].startswith("adaptive: ")


def test_pairs_are_claims_and_what_is_from_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    lines = ['"""Mine.\n\nAgainst: adam\n"""', "from submissions.base import Submission", "class Mine(Submission):"]
    path.write_text("\n".join([*lines, '    name = "mine"\n']))
    specs = ["nadamw", "adam", "adamw", "lion", "lion@literature", str(path), "torch.optim:RMSprop"]
    refs = [resolve(spec) for spec in specs]
    names = sorted(ref.name for ref in refs)
    found = {frozenset((names[a], names[b])) for a, b in adaptive._of_interest(refs, names)}
    assert found >= {
        frozenset({"lion", "adamw"}),
        frozenset({"mine", "adam"}),
        frozenset({"torch.optim:RMSprop", "nadamw"}),
    }
    assert not any("lion@literature" in pair for pair in found), "adamw@literature is not here"
    assert all(a != b for a, b in map(tuple, found))
