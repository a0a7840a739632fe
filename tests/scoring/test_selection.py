"""Which records make a board, and what is said about the rest."""

from dataclasses import replace

import pytest

from pacer.errors import RecordsError
from scoring.query import BoardQuery
from scoring.records import Outcome
from scoring.selection import select, some
from tests.scoring.build import record, table


def chosen(records, **other):
    return select(records, BoardQuery(**({"suite": "mini"} | other)))


def test_only_the_newest_version_of_submissions_and_workloads():
    old = [
        record(time=1.0, ended=5.0, submission_hash="nadamw-0"),
        record(time=2.0, ended=6.0, workload_hash="digits-0"),
    ]
    found = chosen([*old, *table({"nadamw": {"digits": [10, 11, 12]}})])
    assert found.count == 3
    assert found.warnings == ("2 trials of earlier versions of a submission or workload are left out",)


def test_trials_without_a_target_count_for_the_ladder_alone():
    records = [*table({"nadamw": {"digits": [10, 11, 12]}}), record(time=1.0, study=7, target=None)]
    assert chosen(records, score="anchored").count == 3
    assert chosen(records, score="ladder").count == chosen(records).count == 4


def test_newest_is_the_latest_ended_not_the_last_read():
    new, old = (
        record(time=3.0, ended=9.0, submission_hash="new"),
        record(time=1.0, ended=8.0, submission_hash="old"),
    )
    assert chosen([new, old]).trials["nadamw", "digits"] == [new]


def test_hardware_with_most_records_and_a_warning_for_the_rest():
    records = [*table({"nadamw": {"digits": [1, 2, 3]}}), record(fingerprint="gpu", hardware="GPU")]
    found = chosen(records)
    assert (found.fingerprint, found.hardware, found.count) == ("cpu-2", "2 x Some CPU", 3)
    assert "other hardware is left out, times do not compare across it: gpu (1 trials)" in found.warnings
    assert chosen(records, fingerprint="gpu").hardware == "GPU"


def test_uneven_records_are_named():
    found = chosen(
        table({"nadamw": {"x": [1, 2, 3], "y": [1, 2]}, "sgd": {"x": [1, 2, 3]}}), workloads=["y", "x", "z"]
    )
    assert found.workloads == ("y", "x", "z")
    assert found.warnings == (
        "no trials at all on z: a miss for everyone; run: make bench",
        "no trials, counted as a miss: sgd on y; run: make bench",
        "fewer than 3 studies: nadamw on y (2)",
    )


def test_few_studies_and_workloads_not_asked_for():
    warnings = chosen(table({"nadamw": {"x": 1, "y": 1}}), workloads=["x"]).warnings
    assert warnings == (
        "1 trials on other workloads are not on this board: y",
        "1 study a workload: how far another would be is not known; run: make bench STUDIES=3",
    )


def test_variants_are_on_the_board_where_they_are_asked_for():
    trials = [replace(r, variant_of="x") if r.workload == "x_gelu" else r for r in
              table({"nadamw": {"x": [1, 2, 3], "x_gelu": [1, 2, 3]}})]  # fmt: skip
    assert chosen(trials).workloads == ("x",)
    assert chosen(trials, workloads=["x", "x_gelu"]).count == 6


def test_unfinished_studies_are_named_unless_they_hit():
    trials = [
        *[
            record(submission=s, time=None, trial=t, study=k)
            for s in ("nadamw", "sgd")
            for t in (0, 1)
            for k in range(3)
        ],
        record("adamw", time=None),
        record("adamw", time=4.0, study=1),
        record("adamw", time=4.0, study=2),
    ]
    warnings = chosen(trials).warnings
    assert warnings == ("studies with fewer than 2 trials and no hit among them: adamw on digits",)


@pytest.mark.parametrize(
    ("records", "other", "message"),
    [
        ([], {}, r"no finished trials of suite mini with ruleset self; run: make bench"),
        ([record()], {"suite": "base"}, r"suite base .*there are some of mini \(self\); run: make bench"),
        ([record()], {"ruleset": "external"}, r"there are some of mini \(self\)"),
        ([record()], {"fingerprint": "gpu"}, r"on hardware gpu; there are some on cpu-2"),
        ([record()], {"workloads": ["other"]}, r"no finished trials of the present version on other"),
        ([record()], {"workloads": []}, r"no workloads"),
    ],
)
def test_nothing_to_rank_says_what_to_type(records, other, message):
    with pytest.raises(RecordsError, match=message):
        chosen(records, **other)


def test_two_studies_are_few_and_three_are_not():
    two = chosen(table({"nadamw": {"x": [1, 2]}})).warnings
    assert two == ("2 studies a workload: intervals mean little with fewer than 3",)
    assert chosen(table({"nadamw": {"x": [1, 2, 3]}})).warnings == ()


def test_of_equally_many_records_the_first_hardware_by_name_is_taken():
    records = [record(fingerprint=name, hardware=name, study=k) for name in ("b", "a") for k in range(3)]
    found = chosen(records)
    assert (found.fingerprint, found.count) == ("a", 3)


def test_hardware_is_named_as_the_latest_trial_names_it():
    records = [
        record(study=k, ended=float(ended), hardware=name)
        for k, (ended, name) in enumerate([(2, "old"), (9, "new"), (5, "middle")])
    ]
    assert chosen(records).hardware == "new"


def test_versions_of_pacer_that_made_the_trials_are_named():
    found = chosen([record(study=k, code=code) for k, code in enumerate(["0.2", "0.1", "0.2"])])
    assert found.code == ("0.1", "0.2")
    assert found.warnings == ("the trials were made by 2 versions of Pacer: 0.1, 0.2",)


def test_held_out_columns_are_variants_whose_base_is_on_the_board():
    trials = [
        record("nadamw", w, variant_of=base, study=k)
        for w, base in (("a", None), ("b", None), ("b-v", "b"), ("c-v", "c"))
        for k in range(3)
    ]
    found = chosen(trials, workloads=["b-v", "a", "c-v", "b"])
    assert found.held_out == {0: 3}
    assert [len(found.of_workload(w)) for w in ("a", "b-v", "none")] == [3, 3, 0]


def test_the_first_reason_why_a_submission_is_not_made_for_a_workload():
    unsuitable = record("muon", "x", None, outcome=Outcome.UNSUITABLE, reason="It needs matrices.")
    found = chosen([*table({"nadamw": {"x": [1, 2, 3]}}), unsuitable, record("muon", "x", study=1)])
    assert found.reason("muon", "x") == "It needs matrices."
    assert found.reason("nadamw", "x") is None
    assert found.reason("muon", "y") is None


def test_a_list_is_cut_after_four():
    assert some([*"abcd"]) == "a, b, c, d"
    assert some([*"abcde"]) == "a, b, c, d and 1 more"
    assert some([*"abc"], most=1) == "a and 2 more"
