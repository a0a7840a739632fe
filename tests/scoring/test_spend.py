"""Studies go where they decide: pairs by worked examples, and how often an adaptive bench is wrong."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from harness.cli import main
from scoring.query import BoardQuery
from scoring.records import Record, RecordStore
from scoring.spend import (
    Rule,
    Standing,
    device_s_to,
    neighbours,
    next_studies,
    play,
    play_records,
    spend_report,
    spend_text,
    standing,
)
from scoring.spend.chart import spend_png
from scoring.validity import spend_alarms
from scoring.versus import Verdict
from tests.scoring.build import record

B, E, U = Verdict.BETTER, Verdict.EQUIVALENT, Verdict.UNDECIDED
NAN = math.nan


def test_neighbours_are_those_of_the_board() -> None:
    logs = np.array([[[0.0, 0.0]], [[0.2, 0.4]], [[-0.1, NAN]]])
    assert neighbours(logs, 0) == ((1, 0), (0, 2))


def known_noise(third: float) -> np.ndarray:
    """Five studies of two submissions with a noise of about 0.01, and one study of a third."""
    wave = np.array([0.01, -0.01, 0.0, 0.01, -0.01])
    logs = np.full((4, 2, 5), NAN)
    logs[0], logs[1], logs[2], logs[3, :, 0] = 0.0, 0.3 + wave, 0.1 - wave, third
    return logs


def test_one_study_decides_by_the_noise_of_the_others() -> None:
    where = standing(known_noise(0.2), 0, [(3, 2), (1, 3), (1, 2)], Rule())
    assert where.verdicts == (B, B, B)
    assert (where.decided, where.share, where.more) == (3, 1.0, (0, 0, 0))
    near = standing(known_noise(0.1), 0, [(3, 2)], Rule(margin=0.005))
    assert near.verdicts == (U,)
    assert near.more[0]


def test_without_any_noise_known_a_study_more_is_asked_for() -> None:
    logs = np.array([[[0.0]], [[0.5]], [[1.0]]])
    assert standing(logs, 0, [(2, 1)], Rule()) == Standing(pairs=((2, 1),), verdicts=(U,), more=(1,), reference=0)


def test_a_pair_that_a_look_decided_stays_decided() -> None:
    """Its first study decides by the noise of others; its own noise, seen later, would leave it open."""
    alike = np.repeat(known_noise(0.5)[1:3], 4, axis=0)
    logs = np.concatenate([known_noise(0.5), alike])
    logs[3, :, 1] = 0.42
    assert standing(logs, 0, [(3, 1)], Rule()).verdicts == (B,)
    logs[3, :, 0] = 0.32
    assert standing(logs, 0, [(3, 1)], Rule(margin=0.005)).verdicts == (U,)


def test_equivalence_decides() -> None:
    logs = np.zeros((3, 2, 6))
    logs[1] = np.array([0.001, -0.001, 0.002, -0.002, 0.0, 0.0])
    logs[2] = 0.3 - logs[1]
    assert standing(logs, 0, [(0, 1), (2, 1)], Rule(margin=0.05)).verdicts == (E, B)


def test_studies_in_common_count_alone() -> None:
    logs = known_noise(0.2)
    logs[2, :, 0] = NAN
    assert standing(logs, 0, [(3, 2)], Rule()).verdicts == (U,)


def where(*more: int | None, reference: int = 0) -> Standing:
    pairs = tuple((k, k + 1) for k in range(len(more)))
    verdicts = tuple(B if m == 0 else U for m in more)
    return Standing(pairs=pairs, verdicts=verdicts, more=more, reference=reference)


def test_the_pair_that_is_cheapest_to_decide_is_first() -> None:
    """(0, 1) takes 3 x 2 s, (1, 2) is decided, (2, 3) takes 11 s or 3 s, and 1 s of the reference, row 0."""
    assert next_studies(where(3, 0, 1), [1, 1, 1, 1], [1.0, 1.0, 1.0, 10.0], most=5) == {0: 2, 1: 2}
    assert next_studies(where(3, 0, 1), [1, 1, 1, 1], [1.0, 1.0, 1.0, 2.0], most=5) == {2: 2, 3: 2, 0: 2}


def test_of_a_pair_the_one_with_fewer_studies_catches_up() -> None:
    assert next_studies(where(2), [4, 1], [1.0, 1.0], most=9) == {1: 2}


def test_what_cannot_be_decided_or_paid_gets_nothing() -> None:
    assert next_studies(where(5, None), [1, 1, 1], [1.0] * 3, most=5) == {}
    assert next_studies(where(4), [1, 1], [1.0] * 2, most=5) == {0: 2, 1: 2}
    dear, studies = [9.0, 1.0, 1.0], [1, 1, 1]
    assert next_studies(where(1, 1, reference=2), studies, dear, most=5, within_s=3.0) == {1: 2, 2: 2}
    assert next_studies(where(1, 1, reference=2), studies, dear, most=5, within_s=1.0) == {}
    assert next_studies(where(1, 1, reference=0), studies, dear, most=5, within_s=3.0) == {}, "its study counts"


def test_a_round_is_filled_up() -> None:
    assert next_studies(where(1, 0, 1), [1] * 4, [1.0] * 4, most=5, fill=3) == {0: 2, 1: 2, 2: 2, 3: 2}
    assert next_studies(where(1, 1), [1] * 3, [1.0] * 3, most=5, fill=3) == {0: 2, 1: 2, 2: 2}
    many = where(*[1, 0] * 50)
    assert len(next_studies(many, [1] * 101, [1.0] * 101, most=5)) == 6, "a twentieth of a large board"


def test_the_time_to_a_share_is_that_of_the_cheapest_pairs() -> None:
    stand = where(3, 0, 1, 2)
    have, seconds = [1, 1, 1, 1, 2], [1.0] * 5
    costs = {(0, 1): 6.0, (2, 3): 3.0, (3, 4): 2.0 + 1.0 + 2.0}
    assert device_s_to(stand, have, seconds, share=0.25, most=9) == 0.0
    assert device_s_to(stand, have, seconds, share=0.5, most=9) == costs[2, 3]
    assert device_s_to(stand, have, seconds, share=0.75, most=9) == costs[2, 3] + costs[3, 4]
    assert device_s_to(stand, have, seconds, share=1.0, most=9) == sum(costs.values())
    assert device_s_to(stand, have, seconds, share=1.0, most=3) is None
    assert Standing(pairs=(), verdicts=(), more=(), reference=0).share == 1.0


def test_clear_submissions_are_done_after_a_few_studies() -> None:
    rng = np.random.default_rng(0)
    truth = np.linspace(0.0, 2.0, 6)
    full = truth[:, None, None] + rng.normal(0, 0.02, (6, 4, 8))

    def shown(have: list[int]) -> np.ndarray:
        return np.where(np.arange(8) < np.array(have)[:, None, None], full, NAN)

    points = play(shown, full, 0, np.full((6, 8), 3600.0), Rule())
    assert points[0].studies == 6
    assert (points[0].decided, points[-1].decided) == (0.0, 1.0), "one study says nothing of its noise"
    assert points[-1].studies <= 12
    assert points[-1].hours == points[-1].studies
    assert 0.0 < points[-1].change < 0.1
    assert [p.studies for p in points] == sorted(p.studies for p in points)


def test_records_are_played_with_the_studies_that_there_would_be() -> None:
    """The ladder of a point is that of its studies alone, the reference's among them."""
    points = play_records(bench_of(CLEAR), BoardQuery(suite="mini"))
    assert points[0].studies == 4
    assert points[0].hours == pytest.approx(sum(2 * own[0] + 1.0 for own in CLEAR.values()) / 3600)
    assert points[-1].decided == 1.0
    assert points[-1].studies < 12


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_copies_are_called_different_no_more_often_than_is_said(spread: float) -> None:
    """Also where one submission is noisier than another."""
    rng = np.random.default_rng(3)
    noise = np.array([0.15, 0.12, 0.055, 0.055])[:, None] * np.exp(spread * rng.normal(size=(4, 1, 1)))
    logs = np.linspace(0, 0.3, 4)[:, None, None] + rng.normal(size=(4, 4, 20)) * noise
    found = spend_alarms(logs, 0, draws=40)
    assert found.studies == 10
    assert found.false_alarms.of == 160
    assert found.false_alarms.interval()[0] <= 0.05
    assert 0.1 <= found.device_time < 1.0
    with pytest.raises(ValueError, match="3 studies are complete"):
        spend_alarms(logs[..., :3], 0)


def bench_of(times: dict[str, list[float]]) -> list[Record]:
    return [
        record(name, workload, time, study=study)
        for name, own in times.items()
        for study, time in enumerate(own)
        for workload in ("a", "b")
    ]


CLEAR = {
    "nadamw": [10.0, 10.2, 9.9],
    "fast": [5.0, 5.1, 5.0],
    "slow": [19.0, 20.0, 19.5],
    "slower": [38.0, 37.0, 38.5],
}


def test_a_report_leaves_each_submission_out_in_turn(tmp_path: Path) -> None:
    made = spend_report(bench_of(CLEAR), BoardQuery(suite="mini"))
    assert (made.submissions, made.studies, len(made.without_each)) == (4, 3, 3)
    assert made.all_hours == pytest.approx(sum(2 * (t + 0.5) for own in CLEAR.values() for t in own) / 3600)
    assert made.points[-1].hours < made.all_hours
    assert all(point.hours < hours < made.all_hours for point, hours in made.without_each)
    text = spend_text(made)
    assert "4 submissions, up to 3 studies each" in text
    assert "each submission left out in turn" in text
    spend_png(made, tmp_path / "spend.png")
    assert (tmp_path / "spend.png").read_bytes().startswith(b"\x89PNG")
    few = spend_report(bench_of({name: CLEAR[name] for name in ("nadamw", "fast")}), BoardQuery(suite="mini"))
    assert few.without_each == ()
    assert "left out" not in spend_text(few)


def test_the_verb_prints_and_draws_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RecordStore(tmp_path, "mini").extend(bench_of(CLEAR))
    assert main(["replay", "--results", str(tmp_path), "--policy", "spend"]) == 0
    assert "studies where they decide" in capsys.readouterr().out
    assert (tmp_path / "mini" / "spend.png").exists()
    assert not (tmp_path / "mini" / "replay.png").exists()
