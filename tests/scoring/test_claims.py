"""The page of claims: speed-ups, their intervals and verdicts by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import main
from harness.report.listings import claims
from pacer.errors import RecordsError
from scoring import versus
from scoring.claims import Claim, Expects, Verdict, as_markdown
from scoring.records import Outcome, Record, RecordStore
from scoring.versus import Speedup
from tests.scoring.build import table

TIMES = {
    "adam": {"a": [10, 10, 10], "b": [20, 20, 20]},
    "mine": {"a": [5, 5, 5], "b": [10, 10, 10]},
    "slow": {"a": [20, 30, 25], "b": [None, None, 30]},
    "lost": {"a": [None, None, None], "b": [None, None, None]},
}


def claim(name: str, expects: Expects = Expects.FASTER, against: str = "adam") -> Claim:
    return Claim(
        name=name,
        about=f"{name}: a rule.",
        paper="Somebody, 2020.",
        variant="plain",
        claim="Better.",
        against=against,
        expects=expects,
        state_bytes=8.0,
    )


def test_workloads_that_one_is_not_made_for_are_left_out() -> None:
    records = [
        replace(r, outcome=Outcome.UNSUITABLE, reason="It needs classes.", evaluations=())
        if (r.submission, r.workload) == ("mine", "b")
        else r
        for r in table(TIMES)
    ]
    text = page(records, claim("mine"))
    assert "n/a: It needs classes." in text
    assert "| tuned | 2.00x \\[2.00, 2.00\\] | n/a | 2.00x" in text
    assert "baseline n/a" in page(records, claim("slow", against="mine"))


def test_workloads_without_trials_are_not_run() -> None:
    records = [r for r in table(TIMES) if (r.submission, r.workload) != ("mine", "b")]
    assert "| tuned | 2.00x \\[2.00, 2.00\\] | not run |" in page(records, claim("mine"))


@pytest.mark.parametrize(
    ("low", "high", "faster", "level"),
    [
        (1.1, 1.3, Verdict.HELD_UP, Verdict.HELD_UP),
        (0.9, 1.2, Verdict.CANNOT_TELL, Verdict.HELD_UP),
        (0.7, 0.95, Verdict.DID_NOT, Verdict.CANNOT_TELL),
        (0.3, 0.7, Verdict.DID_NOT, Verdict.DID_NOT),
        (0.7, 1.5, Verdict.CANNOT_TELL, Verdict.CANNOT_TELL),
        (None, None, Verdict.CANNOT_TELL, Verdict.CANNOT_TELL),
    ],
)
def test_verdicts_follow_the_interval(
    low: float | None, high: float | None, faster: Verdict, level: Verdict
) -> None:
    measured = Speedup(
        speedup=1.0, low=low, high=high, verdict=versus.Verdict.UNDECIDED, more_studies=None, studies=3
    )
    assert claim("mine", Expects.FASTER).verdict(measured) is faster
    assert claim("mine", Expects.LEVEL).verdict(measured) is level
    assert claim("mine", Expects.NOTHING).verdict(measured) is None


def test_a_verdict_that_cannot_be_told_says_how_many_studies_would() -> None:
    records = table({"adam": {"a": [10, 10, 10]}, "mine": {"a": [8, 10.5, 9]}})
    assert re.search(
        r"\* tuned: cannot tell from 3 studies, \d+ more would: 1\.\d\dx", page(records, claim("mine"))
    )


def test_the_sets_of_defaults_are_compared_each_with_its_own() -> None:
    records = table(TIMES | {"adam@literature": TIMES["slow"], "mine@literature": TIMES["adam"]})
    text = page(records, claim("mine"), claim("slow"))
    assert "| tuned | 2.00x \\[2.00, 2.00\\] |" in text
    assert re.search(r"\| literature \| 2\.4\dx \\\[", text)  # geometric mean of 2, 3 and 2.5
    assert "| literature | not run |" in text


def test_verdicts_are_counted() -> None:
    text = page(
        table(TIMES), claim("mine"), claim("slow"), claim("lost", Expects.NOTHING), claim("lost", against="slow")
    )
    assert "* At the tuned defaults 1 of 3 claims held up, 1 did not, 1 cannot be told." in text
    assert "* At the literature defaults 0 of 0 claims held up, 0 did not, 0 cannot be told." in text


def test_every_verdict_has_its_interval() -> None:
    text = page(table(TIMES), *(claim(name, expects) for name in ("mine", "slow") for expects in Expects))
    words = ("held up", "did not hold up", "cannot tell from", "no claim about speed")
    verdicts = [line for line in text.splitlines() if line.startswith("* tuned: ")]
    assert len(verdicts) == 6
    for line in verdicts:
        assert any(word in line for word in words)
        assert "x \\[" in line


def test_the_same_records_make_the_same_page() -> None:
    records = table(TIMES)
    assert page(records, claim("mine")) == page(records[::-1], claim("mine"))


def test_a_claim_without_trials_is_left_out() -> None:
    records = table(TIMES)
    assert page(records, claim("mine"), claim("new")) == page(records, claim("mine"))


def test_no_records() -> None:
    with pytest.raises(RecordsError):
        page([], claim("mine"))


def external(times: dict[str, dict[str, list[int | None]]]) -> list[Record]:
    return [replace(r, ruleset="external") for r in table(times)]


def test_the_page_is_of_the_ruleset_that_is_asked_for() -> None:
    slower = external({"adam": {"a": [10] * 3}, "mine": {"a": [20] * 3}})
    records = [*table(TIMES), *slower]
    made = as_markdown(records, [claim("mine")], suite="mini", ruleset="external", command="make claims")
    assert "| tuned | 0.50x \\[0.50, 0.50\\] | 0.50x" in made
    assert "| tuned | 2.00x" in page(records, claim("mine"))
    with pytest.raises(RecordsError, match="with ruleset external; there are some of mini \\(self\\)"):
        as_markdown(table(TIMES), [], suite="mini", ruleset="external", command="make claims")


@pytest.mark.parametrize(("ruleset", "speedup"), [("self", "2.00x"), ("external", "0.50x")])
def test_the_command_takes_the_ruleset(tmp_path: Path, ruleset: str, speedup: str) -> None:
    slower = external({"nadamw": {"a": [10] * 3}, "lion": {"a": [20] * 3}})
    faster = table({"nadamw": {"a": [10] * 3}, "lion": {"a": [5] * 3}})
    against = {c.name: c.against for c in claims()}["lion"]
    records = [replace(r, submission=against) if r.submission == "nadamw" else r for r in (*slower, *faster)]
    RecordStore(tmp_path, "mini").extend(records)
    written = tmp_path / "claims.md"
    assert main(["claims", "--results", str(tmp_path), "--ruleset", ruleset, "--to", str(written)]) == 0
    assert f"| tuned | {speedup}" in written.read_text()


def page(records: list[Record], *claims: Claim) -> str:
    return as_markdown(records, claims, suite="mini", command="make claims")
