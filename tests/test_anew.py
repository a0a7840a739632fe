"""The records behind docs/validity.md say what the pages show."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.protocol.defaults import DEFAULT_WORKLOADS
from scoring.ladder import climb
from scoring.noise import noise_of
from scoring.query import BoardQuery
from scoring.records import Record, RecordStore
from scoring.reliability import reliability
from scoring.selection import select
from scoring.validity import all_sizes, spend_alarms
from scoring.validity.intervals import complete
from tests.folders import ROOT

KEPT = ROOT / "results" / "anew"
QUERY = BoardQuery(suite="mini")
PAGE = (ROOT / "docs" / "validity.md").read_text()
pytestmark = pytest.mark.xdist_group("anew")  # they share what is read


@pytest.fixture(scope="module")
def records() -> list[Record]:
    assert (KEPT / "mini" / "trials.jsonl.gz").stat().st_size < 1_000_000
    found, warnings = RecordStore(KEPT, "mini").read()
    assert not warnings
    return found


@pytest.fixture(scope="module")
def whole(records: list[Record]) -> list[Record]:
    """Those at the plain horizon."""
    return [record for record in records if record.layout.horizon == 1.0]


def test_ten_submissions_have_five_studies_and_four_of_them_twenty(whole: list[Record]) -> None:
    studies = Counter((record.submission, record.workload) for record in whole)
    rows = {name for name, _ in studies}
    assert len(rows) == 10
    assert set(studies) == {(row, workload) for row in rows for workload in DEFAULT_WORKLOADS}
    many = {"nadamw", "adamw", "nesterov", "schedule_free_adamw"}
    assert all(count == (20 if name in many else 5) for (name, _), count in studies.items())


def test_the_default_score_has_twice_the_signal_to_noise_of_the_anchored(whole: list[Record]) -> None:
    made = reliability([r for r in whole if r.study < 5], QUERY, ["ladder", "anchored"])
    ladder, anchored = made.scores["ladder"].signal_to_noise, made.scores["anchored"].signal_to_noise
    assert ladder is not None
    assert anchored is not None
    assert made.default == "ladder"
    assert ladder > 2 * anchored
    assert f"| ladder | {ladder:.2f} |" in (ROOT / "docs" / "reliability.md").read_text()


def test_intervals_hold_what_they_say(whole: list[Record]) -> None:
    climbed = climb(select(whole, QUERY), "nadamw")
    found = list(all_sizes(climbed, "steps"))
    by_time = list(all_sizes(climbed, "time"))
    assert [each.studies for each in found] == [3, 5, 10]
    for steps, time in zip(found, by_time, strict=True):
        assert 0.90 <= steps.coverage.value <= 0.98
        assert 0.90 <= time.coverage.value <= 0.98
        assert 0.02 <= steps.false_alarms.value <= 0.10
        shares = (time.coverage, steps.coverage, time.false_alarms, steps.false_alarms)
        row = " | ".join(f"{share.value:.1%}".replace("%", " %") for share in shares)
        assert f"| {steps.studies} | {row} |" in PAGE


def test_adaptive_benches_are_wrong_no_more_often_than_they_say(whole: list[Record]) -> None:
    logs, rows = complete(climb(select(whole, QUERY), "nadamw"), "steps")
    assert len(rows) == 4
    assert spend_alarms(logs, 0, draws=20).false_alarms.value <= 0.05


def test_the_noise_is_that_of_the_page(whole: list[Record]) -> None:
    made = noise_of(whole, QUERY)
    for name, own in [*made.workloads.items(), ("over all", made.overall)]:
        smallest = " | ".join(f"{value:.2f}x" for value in own.smallest.values() if value)
        assert f"| {name} | {100 * (own.noise or 0):.1f} % | {smallest} |" in PAGE
