"""Published logs into records: every fault is named, none helps a submission, and nothing is written twice."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from harness.algoperf import facts as algoperf_facts
from harness.algoperf.facts import Leaderboard, leaderboard
from harness.algoperf.find_logs import find_submissions, leaderboards
from harness.algoperf.import_logs import ImportReport, import_logs
from pacer.errors import UsageError
from scoring.records import Outcome, Record, RecordStore

EXTERNAL = leaderboard("0.6", "external")
SELF = leaderboard("0.5", "self")
HEAD = (
    "accumulated_eval_time,accumulated_logging_time,global_step,score,test/wer,total_duration,"
    "validation/ctc_loss,validation/wer"
)
GOOD = ("10,1,100,50,0.9,61,2,0.9", "20,2,200,100,0.06,122,1,0.08", "30,3,300,150,0.05,183,1,0.07")
"""A trial on librispeech_conformer, whose target of 0.085884 the second row reaches."""
PLACE = "mine/study_0/librispeech_conformer_jax/trial_1"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Logs of one submission, complete in studies and trials, on one workload."""
    for study in range(3):
        for trial in range(1, 6):
            write(tmp_path, f"mine/study_{study}/librispeech_conformer_jax/trial_{trial}", *GOOD)
    return tmp_path


def write(folder: Path, place: str, *rows: str, head: str = HEAD, hp: str = '{"lr": 0.1}') -> None:
    trial = folder / place
    trial.mkdir(parents=True, exist_ok=True)
    (trial / "eval_measurements.csv").write_text("\n".join((head, *rows)) + "\n")
    (trial / "hparams.json").write_text(hp)


def imported(logs: Path, facts: Leaderboard = EXTERNAL, results: str = "results") -> ImportReport:
    return import_logs(logs, facts, logs / ".results" / results, Console(file=io.StringIO()))


def read(logs: Path, facts: Leaderboard = EXTERNAL, results: str = "results") -> dict[str, Record]:
    records, warnings = RecordStore(logs / ".results" / results, facts.suite).read()
    assert not warnings
    return {f"{r.submission}/study_{r.study}/{r.workload}/trial_{r.trial}": r for r in records}


def faults(report: ImportReport) -> list[str]:
    """The faults, less the one on the workloads that these logs leave out."""
    return [line for line in report.faults if not line.startswith("no logs, a miss")]


def test_a_trial_is_read_as_it_was_published(logs: Path) -> None:
    report = imported(logs)
    assert (report.suite, report.trials, report.present, report.evaluations) == ("algoperf-0.6-external", 15, 0, 45)
    assert report.faults == (
        "no logs, a miss (7): mine on criteo1tb, mine on fastmri, mine on imagenet_resnet and 4 more",
    )
    record = read(logs)["mine/study_0/librispeech_conformer/trial_1"]
    assert [(e.step, e.time_s, e.value, e.extra_metrics) for e in record.evaluations] == [
        (100, 50.0, 0.9, {"test_wer": 0.9}),
        (200, 100.0, 0.08, {"test_wer": 0.06}),
        (300, 150.0, 0.07, {"test_wer": 0.05}),
    ]
    assert (record.outcome, record.test_value, record.crossing) == (Outcome.REACHED, 0.06, record.evaluations[1])
    assert (record.metric, record.higher_is_better, record.target) == ("wer", False, 0.085884)
    assert record.ledger == (("training", 150.0), ("evaluation", 30.0), ("logging", 3.0))
    assert (record.wall_s, record.budget_s, record.step_hint) == (183.0, 58015.0, 76000)
    assert (record.hp, record.versions["framework"], record.batch_size) == ({"lr": 0.1}, "jax", 0)
    assert (record.hardware, record.fingerprint) == ("the machines of AlgoPerf 0.6, as published", "algoperf-0.6")


def test_examples_are_told_where_the_batch_size_is(logs: Path) -> None:
    write(logs, PLACE, *GOOD, hp='{"batch_size": 256}')
    imported(logs)
    record = read(logs)["mine/study_0/librispeech_conformer/trial_1"]
    assert [e.examples for e in record.evaluations] == [25600, 51200, 76800]


def test_importing_again_adds_only_what_is_new(logs: Path) -> None:
    imported(logs)
    before = RecordStore(logs / ".results" / "results", EXTERNAL.suite).path.read_bytes()
    write(logs, PLACE, "10,1,100,50,0.9,61,2,0.01")  # changed since: what is recorded stays
    again = imported(logs)
    assert (again.trials, again.present) == (0, 15)
    assert RecordStore(logs / ".results" / "results", EXTERNAL.suite).path.read_bytes() == before
    write(logs, "other/study_0/ogbg_pytorch/trial_1", head="global_step,score,validation/mean_average_precision")
    assert (imported(logs).trials, len(read(logs))) == (1, 16)


def test_a_trial_without_a_file_is_a_miss(logs: Path) -> None:
    (logs / PLACE / "eval_measurements.csv").unlink()
    assert faults(imported(logs)) == [f"no eval_measurements.csv, a miss (1): {PLACE}"]
    record = read(logs)["mine/study_0/librispeech_conformer/trial_1"]
    assert (record.outcome, record.evaluations, record.crossing) == (Outcome.ERROR, (), None)
    assert "no eval_measurements.csv" in record.failure.message


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "cannot be read, a miss: it is empty"),
        (f"{HEAD}\n", "no evaluation in eval_measurements.csv, a miss"),
        (f"{HEAD}\n1,2\n", "cannot be read, a miss: CSV parse error"),
        (f"{HEAD}\n10,1,100,fifty,0.9,61,2,0.9\n", "cannot be read, a miss: In CSV column"),
        ("global_step,validation/wer\n1,0.01\n", "cannot be read, a miss: no column score"),
        ("global_step,score,validation/ctc_loss\n1,1,0.01\n", "cannot be read, a miss: no column validation/wer"),
        ("\xff\x00\n", "cannot be read, a miss: no column global_step"),
        (f"{HEAD}\n1,1,,,0.9,1,2,0.01\n", "rows without a global_step or a score, left out"),
    ],
)
def test_a_file_that_says_nothing_is_a_miss(logs: Path, text: str, fault: str) -> None:
    (logs / PLACE / "eval_measurements.csv").write_text(text)
    found = faults(imported(logs))
    assert any(fault in line and PLACE in line for line in found), found
    assert read(logs)["mine/study_0/librispeech_conformer/trial_1"].outcome is Outcome.ERROR


@pytest.mark.parametrize("text", ["NaN", "nan", "inf", "-inf", ""])
def test_a_metric_that_is_no_number_reaches_nothing(logs: Path, text: str) -> None:
    # -inf is below every target of a metric that is minimized, and no result.
    write(logs, PLACE, f"10,1,100,50,{text},61,2,{text}", GOOD[1])
    assert faults(imported(logs)) == [
        f"evaluations whose validation/wer is no number, which reach no target (1): {PLACE} (1 of 2)"
    ]
    record = read(logs)["mine/study_0/librispeech_conformer/trial_1"]
    assert record.evaluations[0].value is None
    assert record.evaluations[0].extra_metrics == {"test_wer": None}
    assert record.crossing is record.evaluations[1]


def test_a_trial_that_ends_without_a_number_diverged(logs: Path) -> None:
    write(logs, PLACE, GOOD[0], "20,2,200,100,NaN,122,1,NaN")
    imported(logs)
    assert read(logs)["mine/study_0/librispeech_conformer/trial_1"].outcome is Outcome.DIVERGED


@pytest.mark.parametrize("back", ["30,3,300,40,0.05,183,1,0.01", "30,3,90,120,0.05,183,1,0.01"])
def test_a_row_that_goes_back_is_left_out_and_reaches_nothing(logs: Path, back: str) -> None:
    write(logs, PLACE, GOOD[0], back, "40,4,400,200,0.05,244,1,0.02")
    assert faults(imported(logs)) == [f"rows that go back in time or steps, left out (1): {PLACE} (1 of 3)"]
    record = read(logs)["mine/study_0/librispeech_conformer/trial_1"]
    assert [e.time_s for e in record.evaluations] == [50.0, 200.0]
    assert record.crossing.time_s == 200.0


@pytest.mark.parametrize("row", ["1,1,,50,0.1,9,1,0.01", "1,1,100,nan,0.1,9,1,0.01", "1,1,100,-5,0.1,9,1,0.01"])
def test_a_row_without_a_step_or_a_time_is_left_out(logs: Path, row: str) -> None:
    write(logs, PLACE, row, *GOOD)
    assert faults(imported(logs)) == [f"rows without a global_step or a score, left out (1): {PLACE} (1 of 4)"]
    assert read(logs)["mine/study_0/librispeech_conformer/trial_1"].crossing.time_s == 100.0


def test_counts_that_differ_from_the_rules_are_named(logs: Path) -> None:
    write(logs, "mine/study_3/librispeech_conformer_jax/trial_1", *GOOD)
    assert faults(imported(logs)) == [
        "4 studies instead of 3 (1): mine on librispeech_conformer",
        "1 trials a study instead of 5 (1): mine on librispeech_conformer, study 3",
    ]


def test_names_that_mean_nothing_are_left_out(logs: Path) -> None:
    for place in (
        "mine/study_0/mnist2_jax/trial_1",
        "mine/study_0/ogbg/trial_1",
        "mine/study_0/ogbg_gelu_jax/trial_1",
        "mine/study_0/librispeech_conformer_pytorch/trial_1",
        "mine/study_0/librispeech_conformer_jax/trial_one",
        "mine/notes/ogbg_jax/trial_1",
        "papers/figures/x",
    ):
        write(logs, place, *GOOD)
    assert set(faults(imported(logs))) == {
        "no study_N, left out (2): mine/notes, papers/figures",
        "no workload of AlgoPerf 0.6, left out (2): mine/study_0/mnist2_jax, mine/study_0/ogbg",
        "no trial_N, left out (1): librispeech_conformer_jax/trial_one",
        "a variant that is not part of this leaderboard, left out (1): mine/study_0/ogbg_gelu_jax",
        "a second framework for the same workload, left out beside jax (1): "
        "mine/study_0/librispeech_conformer_pytorch",
        "no trials in the folder of a submission, left out (1): papers",
    }
    assert len(read(logs)) == 15


def test_hyperparameters_are_asked_of_external_trials_only(logs: Path) -> None:
    (logs / PLACE / "hparams.json").unlink()
    (logs / "mine/study_1/librispeech_conformer_jax/trial_1/hparams.json").write_text("{")
    assert faults(imported(logs)) == [
        f"no hparams.json (1): {PLACE}",
        "hparams.json cannot be read (1): mine/study_1/librispeech_conformer_jax/trial_1",
    ]
    assert not any("hparams" in line and PLACE in line for line in imported(logs, SELF, "self").faults)


def test_a_held_out_workload_names_its_base(tmp_path: Path) -> None:
    write(tmp_path, "mine/study_0/ogbg_model_size_jax/trial_1", "100,5,0.1", head="global_step,score,validation/x")
    write(tmp_path, "mine/study_0/ogbg_jax/trial_1", "100,5,0.1", head="global_step,score,validation/x")
    imported(tmp_path, SELF)
    records = read(tmp_path, SELF)
    assert {r.workload: r.variant_of for r in records.values()} == {"ogbg_model_size": "ogbg", "ogbg": None}


def test_numbers_in_hyperparameters_stay_strict_json(logs: Path) -> None:
    write(logs, PLACE, *GOOD, hp='{"lr": NaN, "b": [1, Infinity]}')
    imported(logs)
    assert read(logs)["mine/study_0/librispeech_conformer/trial_1"].hp == {"lr": "NaN", "b": [1, "Infinity"]}


@pytest.mark.parametrize(
    "above", ["algoperf_v06/logs/external_tuning", "logs/external_tuning", "external_tuning", "x"]
)
def test_logs_are_found_from_above(tmp_path: Path, above: str) -> None:
    write(tmp_path / above, PLACE, *GOOD)
    write(tmp_path / "algoperf_v05/logs/self_tuning", PLACE, *GOOD)
    assert find_submissions(tmp_path / above, "external") == tmp_path / above
    assert find_submissions(tmp_path, "external") == tmp_path / above
    assert above == "x" or find_submissions(tmp_path, "self") == tmp_path / "algoperf_v05/logs/self_tuning"


def test_what_is_no_folder_of_logs_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is no folder; expected a folder with SUBMISSION/study_N"):
        find_submissions(tmp_path / "none", "self")
    (tmp_path / "photos").mkdir()
    with pytest.raises(UsageError, match=r"holds no logs, it has: photos; expected"):
        find_submissions(tmp_path, "self")
    write(tmp_path / "external_tuning", PLACE, *GOOD)
    with pytest.raises(UsageError, match=r"external_tuning, and none of them fits the ruleset self"):
        find_submissions(tmp_path, "self")
    with pytest.raises(UsageError, match=r"is one submission; name the folder above: .*external_tuning$"):
        find_submissions(tmp_path / "external_tuning" / "mine", "external")
    write(tmp_path / "more" / "external_tuning", PLACE, *GOOD)
    with pytest.raises(UsageError, match="more than one fits the ruleset external; name one"):
        find_submissions(tmp_path, "external")


def test_leaderboards_are_told_by_their_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"type: .*import-algoperf DIR"):
        leaderboards(tmp_path)
    for place in ("algoperf_v06/logs/external_tuning", "0.5/self_tuning", "v07/self_tuning"):
        write(tmp_path / place, PLACE, *GOOD)
    assert {(facts.suite, path.relative_to(tmp_path)) for facts, path in leaderboards(tmp_path)} == {
        ("algoperf-0.6-external", Path("algoperf_v06/logs/external_tuning")),
        ("algoperf-0.5-self", Path("0.5/self_tuning")),
    }


def test_facts_are_whole() -> None:
    for facts in algoperf_facts.all_leaderboards():
        assert algoperf_facts.of_suite(facts.suite) == facts
        assert set(facts.used) <= set(facts.workloads)
        assert set(facts.held_out.values()) <= set(facts.base)
        assert all(own.startswith(base) for own, base in facts.held_out.items())
        assert all(math.isfinite(w.target) and w.step_hint > 0 for w in facts.workloads.values())
    assert algoperf_facts.of_suite("mini") is None
    assert [(f.suite, f.studies, f.trials) for f in algoperf_facts.all_leaderboards()] == [
        ("algoperf-0.5-external", 5, 5),
        ("algoperf-0.5-self", 5, 1),
        ("algoperf-0.6-external", 3, 5),
        ("algoperf-0.6-self", 3, 1),
    ]
    assert leaderboard("0.6", "self").workloads["ogbg"].budget_s == 1.5 * 12011
    assert not SELF.workloads["criteo1tb"].higher_is_better
    assert SELF.workloads["wmt"].higher_is_better


def test_facts_are_those_of_the_shared_table() -> None:
    path = Path(__file__).parents[2] / ".." / "shared" / "algoperf" / "targets.json"
    if not path.exists():
        pytest.skip("the shared table of targets is not here")
    for version, table in json.loads(path.read_text()).items():
        facts = leaderboard(version, "external")
        assert set(facts.base + facts.added) == set(table["base_workloads"])
        assert list(facts.held_out) == table["held_out_workloads"]
        own = {name: (w.metric, w.target, w.step_hint) for name, w in facts.workloads.items()}
        assert own == {n: (w["metric"], w["target"], w["step_hint"]) for n, w in table["workloads"].items()}
