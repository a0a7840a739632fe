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

from harness.errors import RecordsError
from harness.records import Evaluation, Failure, Outcome, RecordStore, from_json, to_json
from scoring.board import build_board
from tests.scoring.build import record


def test_a_record_comes_back_as_it_was() -> None:
    failure = Failure(hook="update", kind="ValueError", message="bad\nthing", file="x.py", line=3, traceback="...")
    before = replace(record(time=2.0), failure=failure, outcome=Outcome.ERROR)
    assert from_json(to_json(before)) == before


def test_a_line_is_that_of_the_plain_dataclass() -> None:
    """Writing is quick because it copies nothing; the bytes are those of dataclasses.asdict."""
    failure = Failure(hook="update", kind="ValueError", message="bad\nthing", file="x.py", line=3, traceback="...")
    evaluation = Evaluation(
        step=1, examples=2, time_s=0.1, value=None, train_loss=1e-7, beside={"a": None, "b": 2.0}
    )
    for each in (
        record(hp={"lr": 0.1, "betas": (0.9, 0.999)}, variant_of="y", reason="é"),
        replace(record(), failure=failure, evaluations=(evaluation,)),
    ):
        usual = {"skipped": 0, "devices": 1, "compiled": False}
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
    assert build_board(kept, suite="mini").as_json() == build_board(trials, suite="mini").as_json()
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
