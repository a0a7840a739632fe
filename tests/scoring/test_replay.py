"""Exact policies change no score, to the last bit; a replay knows only what a live run would."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from harness.cli import main
from pacer.errors import RecordsError, UsageError
from scoring.records import Outcome, RecordStore
from scoring.records.compact import brief
from scoring.replay import as_text, credits, curves, effects, in_full, replay, report, with_lost_studies
from scoring.stopping import AllOf, Cut, Forecast, GiveUp, OwnStudy, Until, exact_policies
from tests.scoring.build import record, table

REFERENCE = "nadamw"


def random_records(seed):
    """Trials of up to four submissions; slow ones, misses, ties, errors, lost studies and variants among them."""
    draw = np.random.default_rng(seed)
    studies = int(draw.integers(1, 6))
    trials = int(draw.integers(1, 4))
    workloads = {"a": None, "b": None, "a-v": "a", "a-w": "a"}
    found = []
    for submission in (REFERENCE, "adam", "sgd", "slow")[: draw.integers(2, 5)]:
        for workload, base in workloads.items():
            easy, pace = draw.random(), 8 * 2 ** draw.normal(0, 1.5)
            for study in range(studies):
                for trial in range(trials):
                    hit = draw.random() < easy
                    time = float(np.clip(np.round(pace * 2 ** draw.normal(0, 0.7)), 1, 100)) if hit else None
                    outcome = "error" if draw.random() < 0.05 else None
                    values = (None, 0.5, 0.95, 0.3, 0.96) if hit and draw.random() < 0.3 else None
                    time = time / 3 if values else time  # reached at the third
                    made = record(
                        submission, workload, time, study=study, trial=trial, values=values, outcome=outcome,
                        variant_of=base,
                    )  # fmt: skip
                    if draw.random() < 0.05:
                        made = replace(made, evaluations=())
                    used = made.evaluations[-1].time_s if made.evaluations else 0.0
                    found.append(replace(made, ledger=(("training", used),)))
    return found


@pytest.mark.parametrize("seed", range(60))
def test_exact_policies_move_no_score_by_one_bit(seed):
    records = random_records(seed)
    before = credits(records, REFERENCE)
    for newcomer in (None, REFERENCE, "adam"):
        after, spent = replay(records, exact_policies(REFERENCE, held_out=True), newcomer=newcomer)
        assert credits(after, REFERENCE) == before
        after, less = replay(records, exact_policies(held_out=True), newcomer=newcomer)
        assert credits(after, REFERENCE)["algoperf"] == before["algoperf"]
        assert less <= spent <= sum(r.submission_s for r in records if newcomer in (None, r.submission))


def test_exact_policies_do_stop_trials_for_each_of_their_reasons():
    stopped = {
        r.outcome for seed in range(30) for r in replay(random_records(seed), exact_policies(held_out=True))[0]
    }
    assert stopped >= {Outcome.OUTRUN, Outcome.SETTLED, Outcome.CUT}


@dataclass(frozen=True)
class EagerCut:
    """The cut without what makes it exact."""

    def rule(self, context, finished):
        odd = 2 * (context.studies // 2) + 1
        return Cut().rule(replace(context, studies=odd, has_variants=False), finished)


@pytest.mark.parametrize(
    "times",
    [
        {"fast": {"a": [10, 10]}, "slow": {"a": [10, 50]}},  # the mean of two studies, 30 s, is not above the cut
        {
            "fast": {"a": 10, "v": 90},
            "slow": {"a": 50, "v": 10},
        },  # slow, but with the time that cuts the other's 90 s
    ],
    ids=["even", "variant"],
)
def test_the_cut_would_move_scores_without_its_two_exceptions(times):
    records = [replace(r, variant_of="a" if r.workload == "v" else None) for r in table(times)]
    before = credits(records, None)["algoperf"]
    assert credits(replay(records, exact_policies())[0], None)["algoperf"] == before
    assert credits(replay(records, EagerCut())[0], None)["algoperf"] != before


def test_a_trial_ends_at_its_target_at_its_bound_or_at_its_last_evaluation():
    first = record(time=20.0, later=(0.5,), ledger=(("training", 21.0),))
    second = record(time=50.0, trial=1)  # evaluations at 25 and 50 s
    third = record(time=None, trial=2, ledger=(("setup", 1.0), ("training", 7.0)), values=(0.1,), budget=5.0)
    (a, b, c), spent = replay([third, second, first], OwnStudy())
    assert (a.outcome, a.submission_s, len(a.evaluations)) == (Outcome.REACHED, 20.0, 2)
    assert (b.outcome, b.submission_s, len(b.evaluations)) == (Outcome.OUTRUN, 20.0, 0)
    assert c == third
    assert spent == 20.0 + 20.0 + 8.0


def test_a_curve_is_judged_at_evaluations():
    bar = record("nadamw", values=(0.3, 0.5, 0.7, 0.8, 0.95), time=10.0)
    poor = record("sgd", values=(0.2, 0.2, 0.2), time=40.0, ledger=(("training", 120.0),))
    _, after = replay([bar, poor], Forecast(AllOf(), 1.0))[0]
    assert after.outcome is Outcome.UNPROMISING
    assert after.submission_s == 40.0
    assert len(after.evaluations) == 1


@dataclass(frozen=True)
class Watch:
    """Stops nothing, and notes what it was shown."""

    seen: list

    def rule(self, context, finished):
        known = {(*pair, t.study, t.trial) for pair, trials in finished.items() for t in trials}
        self.seen.append((context, known))
        return Until()


def test_a_bench_knows_what_has_finished_base_workloads_first():
    records = [
        record(s, w, study=k, trial=m, variant_of="a" if w == "v" else None)
        for w in ("v", "a") for s in ("x", "nadamw") for k in range(2) for m in range(2)
    ]  # fmt: skip
    watch = Watch([])
    replay(records, watch)
    order = [(context.variant_of is not None, context.study, context.submission) for context, _ in watch.seen]
    assert [len(known) for _, known in watch.seen] == list(range(16))
    assert [p[0] for p in order] == [False] * 8 + [True] * 8
    assert [p[1] for p in order[:8]] == [0] * 4 + [1] * 4
    context = watch.seen[0][0]
    assert (context.studies, context.trials, context.has_variants) == (2, 2, True)


def test_a_newcomer_knows_all_others_and_its_own_past():
    watch = Watch([])
    after, spent = replay(table({s: {"a": [1, 2]} for s in ("x", "y", "z")}), watch, newcomer="x")
    assert {context.submission for context, _ in watch.seen} == {"x"}
    assert [sorted(k[0] for k in known) for _, known in watch.seen] == [[*"yyzz"], [*"xyyzz"]]
    assert len(after) == 6
    assert spent == 3.0


def test_the_budget_of_a_log_that_does_not_tell_it_is_the_longest_trial():
    watch = Watch([])
    replay(
        [record(time=t, budget=0.0, ledger=(("training", t),), study=t) for t in (3.0, 8.0)],
        watch,
        newcomer=REFERENCE,
    )
    assert {context.budget_s for context, _ in watch.seen} == {8.0}


def test_a_study_that_left_no_log_is_a_miss():
    records = table({"x": {"a": [1, 2, 3]}, "y": {"a": [1, 2]}})
    with pytest.raises(ValueError, match="2 to 3 studies"):
        replay(records, AllOf())
    (lost,) = with_lost_studies(records)[5:]
    assert (lost.submission, lost.study, lost.evaluations, lost.submission_s) == ("y", 2, (), 0)
    assert with_lost_studies(with_lost_studies(records)) == with_lost_studies(records)


def test_credits_follow_the_held_out_rules():
    rows = {
        "fast": {"a": 10, "b": 10, "v": 10},
        "fails_variant": {"a": 5, "b": 20, "v": None},
        "slow_variant": {"a": 20, "b": 20, "v": 41},
        "misses_base": {"a": None, "b": 20, "v": 1},
    }
    records = [replace(r, variant_of="a" if r.workload == "v" else None) for r in table(rows)]
    credit = credits(records, None)["algoperf"]
    # The 1 s of who missed its base does not count: 10 s is the variant's mark and 41 s is above the cut. Who fails
    # the variant loses its 5 s on the base, so that the mark there is 10 s.
    assert {name: credit[name, "a"] for name in rows} == {
        "fast": 1.0, "fails_variant": 0.0, "slow_variant": 0.0, "misses_base": 0.0,
    }  # fmt: skip
    assert credit["slow_variant", "b"] == pytest.approx(2 / 3)


def risky():
    """Three studies, of which giving up after one miss would cost `late` two that reach the target."""
    return table(
        {
            REFERENCE: {"a": [10, 10, 10], "b": [10, 10, 10]},
            "late": {"a": [None, 10, 10], "b": [10, 10, 10]},
            "never": {"a": [None] * 3, "b": [None] * 3},
        }
    )


def test_report():
    made = report(risky(), suite="mini", ruleset="self", reference=REFERENCE)
    assert (made.trials, made.submissions) == (18, ("late", REFERENCE, "never"))
    lines = {(line.family, line.label): line for line in made.lines}
    sure = lines["exact", "+ base missed"]
    assert sure.bench.change() == sure.newcomer.change() == 0.0
    # Two third studies need not run, two second ones are cut at 40 s, and 11 trials end at the target.
    assert made.logged_s - sure.bench.spent_s == pytest.approx(2 * 100.5 + 2 * 60.5 + 11 * 0.5)
    eager = lines["give-up", "misses 1"]
    assert eager.bench.lost == eager.newcomer.lost == (("late", "a"),)
    assert (eager.bench.changes["algoperf"], eager.bench.changes["anchored"]) == (0.5, 0.25)
    text = as_text(made)
    assert "3 submissions" in text
    assert "give-up misses 1 loses, bench: late a" in text
    assert all(line.label in text for line in made.lines)
    assert curves(made)["give-up"][-1] == (0.5, made.logged_s / eager.newcomer.spent_s)


def test_a_strictness_is_picked_without_the_submission_that_it_is_judged_on(monkeypatch):
    # Nobody but `late` is harmed by giving up after one miss: the others pick that, and it costs `late` a workload.
    made = report(risky(), suite="mini", ruleset="self", reference=REFERENCE, only=["give-up"])
    picked = made.picked["give-up"]
    assert picked.labels["late"] == "misses 1"
    assert picked.newcomer.lost == (("late", "a"),)
    assert picked.newcomer.change() > effects.TOLERANCES["algoperf"]
    shown = []
    monkeypatch.setattr(
        effects, "newcomer_effects", lambda records, *_: shown.append(records) or {"": made.lines[0].bench}
    )
    effects.pick(risky(), {"mild": GiveUp(3), "strict": GiveUp(1)}, "late", REFERENCE)
    assert len(shown) == 2
    assert {r.submission for records in shown for r in records} == {REFERENCE, "never"}


def test_what_cannot_be_replayed_is_said():
    with pytest.raises(RecordsError, match="no finished trials"):
        report([], suite="mini", ruleset="self")
    with pytest.raises(UsageError, match="no policy 'luck'; there are exact, give-up, forecast"):
        report(risky(), suite="mini", ruleset="self", only=["luck"])
    with pytest.raises(UsageError, match="'lion' has no trials; there are late, nadamw, never"):
        report(risky(), suite="mini", ruleset="self", reference="lion")


def test_the_verb(tmp_path, capsys):
    for made in risky():
        RecordStore(tmp_path, "mini").append(made)
    arguments = ["replay", "--suite", "mini", "--results", str(tmp_path), "--policy", "exact,give-up"]
    assert main([*arguments, "--reference", REFERENCE]) == 0
    assert "picked on the others" in capsys.readouterr().out
    assert (tmp_path / "mini" / "replay.png").read_bytes().startswith(b"\x89PNG")
    assert main([*arguments, "--reference", "lion"]) == 2


@dataclass(frozen=True)
class Ends:
    """Stops every trial at a time."""

    at_s: float

    def rule(self, context, finished):
        return Until(self.at_s)


def test_the_ladder_s_change_is_that_of_its_logarithm():
    """Who is stopped halfway to a target that it would have reached at twice the reference's time."""
    points = [(10 * i, 10.0 * i, 0.1 * i) for i in range(1, 10)]
    slow = [(10 * i, 20.0 * i, 0.1 * i) for i in range(1, 10)]
    records = [
        replace(made, ledger=(("training", made.evaluations[-1].time_s),))
        for made in (record(REFERENCE, "a", points=points), record("slow", "a", points=slow, budget=200.0))
    ]
    until = effects.newcomer_effects(records, Ends(100.0), REFERENCE)["slow"]
    assert until.spent_s == 100.0
    # At the levels up to 0.5 of the way it is half as fast; beyond those its 0.5, which the reference had at 50 s,
    # took it 100 s: half as fast as well.
    assert until.changes["ladder"] == pytest.approx(0.0, abs=1e-9)
    assert until.changes["anchored"] > 0.0
    # Where it waits at 0.4 from 80 to 100 s, and then comes to 0.9 by 180 s, it would have been faster later.
    waits = [*slow[:4], (50, 100.0, 0.4), (90, 180.0, 0.9)]
    records[1] = replace(record("slow", "a", points=waits, budget=200.0), ledger=(("training", 180.0),))
    early = effects.newcomer_effects(records, Ends(110.0), REFERENCE)["slow"]
    levels = 0.9 * np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    whole = np.log(100 * levels / (100 + 160 * (levels - 0.4))).mean()
    assert early.changes["ladder"] == pytest.approx(abs(whole - np.log(40 / 100)))


def test_archives_are_replayed_by_their_curves():
    whole = record("adam", "a", None, values=(0.1, 0.3, 0.2, 0.5, 0.4, 0.6), budget=10.0)
    short = brief(whole)
    assert len(short.evaluations) == 2
    full = in_full(short)
    assert full.skipped == 0
    assert full.learning_curve() == whole.learning_curve()
    assert [e.value for e in full.evaluations] == [0.1, 0.3, 0.3, 0.5, 0.5, 0.6]
    assert in_full(whole) is whole


def test_the_ladder_has_policies_of_its_own_where_there_is_a_reference():
    made = report(risky(), suite="mini", ruleset="self", reference=REFERENCE, only=["ladder"])
    assert {line.family for line in made.lines} == {"ladder"}
    assert REFERENCE not in made.picked["ladder"].labels
    with pytest.raises(UsageError, match="no policy 'ladder'"):
        report(risky(), suite="mini", ruleset="self", only=["ladder"])
