"""Studies are added to two submissions until one is surely ahead, or what may be spent on it is spent."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.protocol.settings import Settings
from harness.runs import decide
from harness.runs.bench_report import BenchReport
from harness.runs.decide import Until, until_decided
from harness.system import machine
from pacer.errors import UsageError
from scoring.records import RecordStore
from tests.scoring.build import record

CLUSTER = object()
LEVEL = [10.0, 11.0, 9.0, 10.5, 9.5, 10.0]


def decided(
    monkeypatch: pytest.MonkeyPatch, results: Path, times: dict[str, list[float]], until: Until
) -> tuple[list[BenchReport], str]:
    """The reports and what is printed, of benches whose trials take half an hour and have these times by study."""

    def bench(settings: Settings, _: Console, cluster: object) -> BenchReport:
        assert cluster is CLUSTER, "one for all benches"
        store = RecordStore(settings.results, settings.suite)
        before = {r.key for r in store.read()[0]}
        wanted = [
            record(name, "a", times[name][study], study=study, fingerprint=machine.hardware().fingerprint)
            for study in range(settings.studies)
            for name in (*settings.submissions, "nadamw")
        ]
        missing = [r for r in wanted if r.key not in before]
        store.extend(missing)
        return BenchReport(
            suite="mini",
            workloads=("a",),
            fingerprint=machine.hardware().fingerprint,
            started=0.0,
            wall_s=1.0,
            trials_run=len(missing),
            running_s=900.0,
            devices=2,
        )

    monkeypatch.setattr(decide, "bench", bench)
    monkeypatch.setattr(decide, "connected", lambda *_: contextlib.nullcontext(CLUSTER))
    printed = io.StringIO()
    settings = Settings(results=results, studies=2)
    reports = list(until_decided(settings, ("adamw", "adam"), until, Console(file=printed, width=200)))
    return reports, printed.getvalue()


def test_a_clear_difference_is_decided_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    times = {"nadamw": LEVEL, "adamw": [5.0] * 6, "adam": [20.0] * 6}
    reports, printed = decided(monkeypatch, tmp_path, times, Until())
    assert len(reports) == 1
    assert printed == "adamw against adam after 2 studies: 4.00x [4.00, 4.00] at 98.33%: adamw is ahead\n"


def test_equivalence_is_an_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    times = {"nadamw": LEVEL, "adamw": [10.0] * 6, "adam": [10.0, 10.02, 10.01, 9.99, 10.0, 10.0]}
    reports, printed = decided(monkeypatch, tmp_path, times, Until())
    assert len(reports) <= 2
    assert printed.endswith(": equivalent\n")


def test_studies_are_added_while_it_is_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    times = {
        "nadamw": LEVEL,
        "adamw": [10.0, 8.0, 8.0, 8.2, 8.1, 8.0],
        "adam": [11.0, 12.0, 12.1, 12.0, 12.3, 12.0],
    }
    reports, printed = decided(monkeypatch, tmp_path, times, Until(sure=0.9, budget_h=9.0))
    assert 2 <= len(reports) <= 5
    assert printed.count(": undecided; another one\n") == len(reports) - 1
    assert printed.endswith(": adamw is ahead\n")
    assert f" after {len(reports) + 1} studies: " in printed
    records = RecordStore(tmp_path, "mini").read()[0]
    assert len(records) == 3 * (len(reports) + 1), "one study a bench, beside the two of the first"


def test_the_budget_ends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reports, printed = decided(
        monkeypatch, tmp_path, {"nadamw": LEVEL, "adamw": LEVEL, "adam": LEVEL[::-1]}, Until(budget_h=1)
    )
    assert len(reports) == 2, "half an hour on two devices each"
    assert printed.endswith("60 min of device time are spent\n")


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((), "expected two: --until-decided adamw,lion"),
        (("adamw",), "1 submissions are to be decided between"),
        (("adamw", "adam", "lion"), "expected two"),
        (("adamw", "nope"), "known: adabelief"),
    ],
)
def test_two_submissions_are_expected(pair: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        next(until_decided(Settings(results=tmp_path), pair, Until(), Console()))


@pytest.mark.parametrize("setting", [{"sure": 0.5}, {"sure": 1.0}, {"budget_h": 0.0}, {"margin": 0.0}])
def test_settings_that_mean_nothing_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Until(**setting)
