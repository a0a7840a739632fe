"""Records on disk: strict, append-only, and readable after whatever happened to their writer."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import multiprocessing
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pacer.errors import RecordsError
from scoring.board import BoardQuery, build_board
from scoring.records import Evaluation, Failure, Outcome, Record, RecordStore, from_json, lines, to_json
from tests.scoring.build import record


def test_a_record_comes_back_as_it_was() -> None:
    failure = Failure(hook="update", kind="ValueError", message="bad\nthing", file="x.py", line=3, traceback="...")
    before = replace(record(time=2.0), failure=failure, outcome=Outcome.ERROR)
    assert from_json(to_json(before)) == before


def test_a_line_is_that_of_the_plain_dataclass() -> None:
    """Writing is quick because it copies nothing; the bytes are those of dataclasses.asdict."""
    failure = Failure(hook="update", kind="ValueError", message="bad\nthing", file="x.py", line=3, traceback="...")
    evaluation = Evaluation(
        step=1, examples=2, time_s=0.1, value=None, train_loss=1e-7, extra_metrics={"a": None, "b": 2.0}
    )
    for each in (
        record(hp={"lr": 0.1, "betas": (0.9, 0.999)}, variant_of="y", reason="é"),
        replace(record(), failure=failure, evaluations=(evaluation,)),
    ):
        usual = {"contention_s": None, "skipped": 0, "curve": None, "devices": 1, "machines": 1, "compiled": False}
        usual |= {"horizon": 1.0, "batch": 1.0, "waited_s": None}
        plain = {name: value for name, value in asdict(each).items() if name not in usual}
        text = json.dumps(plain, allow_nan=False, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        assert to_json(each) == f'{text[:-1]},"digest":"{digest}"}}'


def test_a_record_that_was_edited_is_none() -> None:
    line = to_json(record(time=2.0))
    assert "2.0" in line
    with pytest.raises(ValueError, match="changed after it was written"):
        from_json(line.replace("2.0", "1.0"))


def test_many_records_are_added_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, synced = RecordStore(tmp_path, "mini"), []
    store.append(record(study=0))
    with open(store.path, "ab") as file:
        file.write(b"half a li")
    monkeypatch.setattr(os, "fsync", synced.append)
    store.extend(record(study=study) for study in range(1, 50))
    assert len(synced) == 1
    records, warnings = store.read()
    assert [r.study for r in records] == list(range(50))
    assert len(warnings) == 1


def test_numbers_that_are_not_finite_cannot_be_recorded() -> None:
    with pytest.raises(ValueError, match="finite"):
        replace(
            record(), evaluations=(Evaluation(step=1, examples=1, time_s=1.0, value=math.nan, train_loss=None),)
        )


def test_time_cannot_go_backwards() -> None:
    first = Evaluation(step=2, examples=2, time_s=2.0, value=1.0, train_loss=None)
    with pytest.raises(ValueError, match="back in time"):
        replace(record(), evaluations=(first, replace(first, time_s=1.0, step=3)))


def test_a_missing_value_is_no_crossing() -> None:
    unknown = Evaluation(step=1, examples=1, time_s=1.0, value=None, train_loss=None)
    assert replace(record(), evaluations=(unknown,)).crossing is None


def test_appended_records_are_read_in_order_and_a_repeated_key_once(tmp_path: Path) -> None:
    store = RecordStore(tmp_path, "mini")
    first, second = record(study=0), record(study=1)
    for each in (first, second, replace(first, wall_s=99.0)):
        store.append(each)
    assert store.read() == ([first, second], [])


def test_a_torn_line_loses_only_itself(tmp_path: Path) -> None:
    store = RecordStore(tmp_path, "mini")
    store.append(record(study=0))
    with open(store.path, "ab") as file:
        file.write(to_json(record(study=1)).encode()[:200])  # a writer that was killed in the middle
    store.append(record(study=2))
    records, warnings = store.read()
    assert [r.study for r in records] == [0, 2]
    assert len(warnings) == 1
    assert "trials.jsonl:2" in warnings[0]


def test_a_line_of_another_schema_is_named(tmp_path: Path) -> None:
    store = RecordStore(tmp_path, "mini")
    store.append(record())
    data = json.loads(to_json(record(study=1))) | {"schema": 99, "digest": None}
    with open(store.path, "a") as file:
        file.write(json.dumps(data) + "\n")
    records, warnings = store.read()
    assert len(records) == 1
    assert "schema 99" in warnings[0]


def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RecordStore(tmp_path, "mini")
    store.append(record(study=0))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordsError, match=r"No space left.*same command again"):
        store.append(record(study=1))
    monkeypatch.undo()
    assert store.read()[0][0].study == 0


def _write_many(folder: Path, writer: int) -> None:
    for study in range(20):
        RecordStore(folder, "mini").append(record(study=study, submission=f"writer{writer}"))


def test_several_writers_do_not_mix_their_lines(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(tmp_path, n)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    records, warnings = RecordStore(tmp_path, "mini").read()
    assert len(records) == 60
    assert warnings == []


def test_an_archive_makes_the_same_board(tmp_path: Path) -> None:
    """Compact records say all that a board shows, in a small part of the bytes."""
    ledger = tuple(("training", 0.25) for _ in range(40))
    long = record("slow", values=(*[0.2] * 30, 0.95, 0.8, 0.96), time=1.0, ledger=ledger)
    failed = record("bad", time=None, outcome="error", message="no")
    failed = replace(failed, failure=replace(failed.failure, traceback="a line\n" * 500))
    trials = [record(), long, record("lost", time=None), failed]
    store = RecordStore(tmp_path / "archive", "mini")
    store.write_archive(trials)
    first = store.archive.read_bytes()
    kept, warnings = store.read()
    assert not warnings
    assert {r.key for r in kept} == {r.key for r in trials}
    assert (
        build_board(kept, BoardQuery(suite="mini")).as_json()
        == build_board(trials, BoardQuery(suite="mini")).as_json()
    )
    slow = next(r for r in kept if r.submission == "slow")
    assert [e.value for e in slow.evaluations] == [0.95, 0.8]
    assert slow.ledger == (("training", 10.0),)
    assert store.archive.stat().st_size < sum(len(to_json(r)) for r in trials) / 5
    store.write_archive(kept[::-1])
    assert store.archive.read_bytes() == first


def test_new_records_are_read_after_the_archive(tmp_path: Path) -> None:
    store = RecordStore(tmp_path, "mini")
    store.write_archive([record(study=0)])
    store.append(record(study=1))
    store.append(replace(record(study=0), wall_s=99.0))
    assert [(r.study, r.wall_s) for r in store.read()[0]] == [(0, 11.0), (1, 11.0)]


CURVES = {
    "hit": record(values=(0.2, 0.95, 0.8, 0.97), ledger=(("training", 1.0), ("evaluation", 0.5))),
    "hit at once": record(values=(0.95, 0.8)),
    "hit at the end": record(values=(0.1, None, 0.3, 0.95)),
    "miss": record(values=(0.1, 0.2, 0.3), time=1.0),
    "one": record(values=(0.1,)),
    "none": record(values=()),
    "lower": record(values=(0.95, 0.94, 0.2, 0.99), higher_is_better=False),
    "no target": record(values=(0.1, 0.2, 0.3), target=None),
    "failed": replace(
        record(values=(0.2, 0.95, 0.4), outcome="error", message='a "quoted"\né\ud800,"ledger":['), hp={}
    ),
    "no budget": record(values=(0.2, 0.95, 0.4), budget=0.0),
    "awkward": record(
        values=(0.1, 0.95, 0.3, 0.4), hp={"ledger": [1, 2], "evaluations": [{"step": 1, "value": 2}]}
    ),
    "large seed": record(values=(0.1, 0.95, 0.3, 0.4), seed=2**70),
}


def extra_metrics(each: Record) -> Record:
    """The same with further metrics of names as bad as can be."""
    bad = {"value": 1.0, "train_loss": None, "step": 2.0, '],"metric":': 3.0}
    return replace(each, evaluations=tuple(replace(e, extra_metrics=bad) for e in each.evaluations))


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("change", [lambda each: each, extra_metrics])
def test_a_record_in_brief_is_the_record_without_what_no_board_needs(name, change, tmp_path: Path) -> None:
    store, made = RecordStore(tmp_path, "mini"), change(CURVES[name])
    store.append(record(study=1))
    store.append(made)
    (_, brief), warnings = store.brief()
    assert not warnings
    assert brief.whole() == made
    assert brief.name == hashlib.sha256(to_json(made).encode()).hexdigest()[:32]
    short = brief.record
    assert (short.key, short.crossing, short.outcome) == (made.key, made.crossing, made.outcome)
    place = short.skipped - made.skipped
    assert short.evaluations == made.evaluations[place : place + 2] or short == made
    assert short.curve == made.learning_curve()
    whole = {name: getattr(made, name) for name in ("evaluations", "ledger", "skipped", "curve")}
    assert replace(short, **whole) == made
    if made.crossing is None:
        assert short.evaluations[-1:] == made.evaluations[-1:]
    if made.budget_s == 0.0:
        assert short.submission_s == made.submission_s


def test_reading_in_brief_leaves_out_what_reading_does(tmp_path: Path) -> None:
    store = RecordStore(tmp_path, "mini")
    store.write_archive([record(study=0)])
    for each in (record(study=1), replace(record(study=1), wall_s=99.0), record(study=0)):
        store.append(each)
    made = [to_json(record(study=study)).encode() for study in (2, 3, 4)]
    old = {k: v for k, v in json.loads(made[2]).items() if k not in ("digest", "guards", "worker")}
    with open(store.path, "ab") as file:
        file.write(
            b"\n".join([made[0][:300], b"", b"[1]", b"{}", made[1].replace(b"0.95", b"0.96"), b"\xff"]) + b"\n"
        )
        file.write(json.dumps(old).encode())
    whole, said = store.read()
    brief, said_in_brief = store.brief()
    assert [each.record.key for each in brief] == [each.key for each in whole]
    assert [each.whole() for each in brief] == whole
    assert [r.study for r in whole] == [0, 1, 4]
    assert said == said_in_brief
    assert [line.split(":")[1].split()[0] for line in said] == ["4", "6", "7", "8", "9"]


def test_a_board_of_records_in_brief_is_that_of_whole_ones(tmp_path: Path) -> None:
    store = RecordStore(tmp_path, "mini")
    store.extend([replace(each, workload=name) for name, each in CURVES.items() if each.seed == 0])
    whole, brief = store.read()[0], [each.record for each in store.brief()[0]]
    for score in ("anchored", "algoperf-published"):
        made = [
            build_board(records, BoardQuery(suite="mini", score=score, draws=20)).as_json()
            for records in (whole, brief)
        ]
        assert made[0] == made[1]


@pytest.mark.parametrize("broken", [False, True])
def test_a_large_file_is_read_by_processes_side_by_side(
    broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RecordStore(tmp_path, "mini")
    store.extend(record(study=study) for study in range(40))
    good = store.path.read_bytes().splitlines()
    good[5], good[17], good[33], good[34] = b"half a li", b"", good[30], b"[]"
    store.path.write_bytes(b"\n".join(good[:-1]))  # the last line is not ended
    monkeypatch.setattr(lines, "_PART", 1000)
    monkeypatch.setattr(lines.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    if broken:  # the processes do not come up: what they were to read is read here
        monkeypatch.setattr(lines.sys, "executable", "/bin/false")
    assert len(lines._cuts(store.path)) == 4
    whole, said = store.read()
    brief, said_in_brief = store.brief()
    assert [each.record.key for each in brief] == [each.key for each in whole]
    assert [each.whole() for each in brief] == whole
    assert said == said_in_brief
    assert [line.split(":")[1].split()[0] for line in said] == ["6", "35"]
