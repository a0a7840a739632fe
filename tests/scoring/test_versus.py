"""One submission against another."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pacer.errors import RecordsError, UsageError
from scoring.query import BoardQuery
from scoring.records import Outcome
from scoring.reliability import Reliability, reliability, signal_to_noise
from scoring.versus import Verdict, versus
from tests.scoring.build import table

QUERY = BoardQuery(suite="mini")
TIMES = {
    "nadamw": {"a": [10.0, 11.0, 10.5], "b": [20.0, 22.0, 21.0]},
    "quick": {"a": [5.0, 5.5, 5.2], "b": [10.0, 11.1, 10.4]},
    "same": {"a": [10.05, 11.0, 10.45], "b": [20.1, 21.9, 21.1]},
    "noisy": {"a": [8.0, 14.0, 10.0], "b": [18.0, 22.0, 25.0]},
}


def test_what_is_common_to_both_cancels() -> None:
    found = versus(table(TIMES), "quick", "same", QUERY)
    assert found.overall.speedup == pytest.approx(2.0, rel=0.03)
    assert (found.overall.low or 0.0) > 1.9
    assert (found.overall.verdict, found.winner, found.overall.more_studies) == (Verdict.BETTER, "quick", 0)
    turned = versus(table(TIMES), "same", "quick", QUERY)
    assert (turned.overall.verdict, turned.winner) == (Verdict.BETTER, "quick")
    assert turned.overall.speedup == pytest.approx(1 / found.overall.speedup)


def test_equivalent_and_undecided() -> None:
    same = versus(table(TIMES), "same", "nadamw", QUERY)
    assert (same.overall.verdict, same.winner, same.overall.more_studies) == (Verdict.EQUIVALENT, None, 0)
    assert versus(table(TIMES), "same", "nadamw", QUERY, margin=0.001).overall.verdict is not Verdict.EQUIVALENT
    open_ = versus(table(TIMES), "noisy", "nadamw", QUERY)
    assert open_.overall.verdict is Verdict.UNDECIDED
    assert (open_.overall.more_studies or 0) > 3


def test_json_has_the_fields() -> None:
    plain = json.loads(json.dumps(versus(table(TIMES), "quick", "noisy", QUERY).as_json(), allow_nan=False))
    assert {"a", "b", "speedup", "low", "high", "verdict", "more_studies", "workloads"} <= set(plain)
    assert set(plain["workloads"]) == {"a", "b"}
    assert {"speedup", "low", "high", "verdict", "more_studies"} <= set(plain["workloads"]["a"])


def test_one_study_decides_nothing_by_itself() -> None:
    times = {name: {workload: row[0] for workload, row in cells.items()} for name, cells in TIMES.items()}
    found = versus(table(times), "quick", "same", QUERY)
    assert (found.overall.low, found.overall.verdict, found.overall.more_studies) == (None, "undecided", None)
    assert json.dumps(found.as_json(), allow_nan=False)


def test_a_workload_that_one_is_not_made_for_is_left_out() -> None:
    records = [
        replace(r, outcome=Outcome.UNSUITABLE, reason="no", evaluations=())
        if (r.submission, r.workload) == ("quick", "b")
        else r
        for r in table(TIMES)
    ]
    found = versus(records, "quick", "same", QUERY)
    assert found.workloads["b"] is None
    assert found.overall.speedup == pytest.approx(2.0, rel=0.03)


def test_without_the_reference_the_second_is_the_measure() -> None:
    times = {name: row for name, row in TIMES.items() if name != "nadamw"}
    assert versus(table(times), "quick", "same", QUERY).reference == "same"


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        ("quick", "quick", UsageError, "compared with itself"),
        ("quick", "none", RecordsError, "no finished trials of none .* of nadamw, noisy, quick, same"),
    ],
)
def test_what_cannot_be_compared(a: str, b: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        versus(table(TIMES), a, b, QUERY)
    with pytest.raises(UsageError, match=r"margin is 1\.5"):
        versus(table(TIMES), "quick", "same", QUERY, margin=1.5)


def test_signal_to_noise_by_hand() -> None:
    # Means 1 and 4, whose standard deviation is 4.5 ** 0.5; each has a variance of 2 between its two studies.
    assert signal_to_noise(np.array([[0.0, 3.0], [2.0, 5.0]])) == pytest.approx((4.5 / 2) ** 0.5)


def test_reliability_of_records() -> None:
    report = reliability(table(TIMES), QUERY, ["ladder", "anchored"])
    assert (report.studies, report.submissions, report.workloads, report.default) == (3, 4, 2, "ladder")
    ladder = report.scores["ladder"]
    # quick is first in every study, the other three change places.
    assert (ladder.tau, ladder.tau_min) == (pytest.approx(1 / 3), pytest.approx(0.0))
    assert (ladder.signal_to_noise or 0.0) > 1
    with pytest.raises(RecordsError, match="there is 1"):
        reliability(table({"nadamw": {"a": 10.0}, "quick": {"a": 5.0}}), QUERY, ["ladder"])


def test_studies_of_one_score_in_those_of_another() -> None:
    good, bad = (Reliability(tau=1.0, tau_min=1.0, signal_to_noise=value) for value in (6.0, 2.0))
    assert (bad.studies_like(good), good.studies_like(bad)) == (pytest.approx(9), pytest.approx(1 / 9))
    unknown = Reliability(tau=None, tau_min=None, signal_to_noise=None)
    assert good.studies_like(unknown) is None
