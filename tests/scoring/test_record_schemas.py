"""Lines of every schema that was ever written are read, and those of one to come are named."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scoring.records import SCHEMA, Evaluation, Record, RecordStore, codec, from_json, to_json
from scoring.records.brief import BriefReader
from scoring.records.codec import from_line
from scoring.records.compact import brief
from scoring.records.migrations import MIGRATIONS, migrated
from tests.scoring.build import record

ROOT = Path(__file__).parents[2]
WRITTEN_IN_1 = (
    b'{"suite":"mini","workload":"digits","submission":"nadamw","ruleset":"self","seed":0,"study":3,"trial":0,'
    b'"workload_hash":"digits-1","submission_hash":"nadamw-1","outcome":"reached","evaluations":['
    b'{"step":50,"examples":1600,"time_s":5.0,"value":0.1,"train_loss":null,"beside":{"auc":0.5,"f1":null}},'
    b'{"step":100,"examples":3200,"time_s":10.0,"value":0.95,"train_loss":1e-07,"beside":{}}],"metric":"accuracy",'
    b'"higher_is_better":true,"target":0.9,"test_value":null,"hp":{"lr":0.001,"beside":{"others_s":1}},'
    b'"step_hint":800,"batch_size":32,"budget_s":100.0,"evaluation_period_s":1.0,'
    b'"ledger":[["setup",0.5],["training",10.0]],"wall_s":11.0,"started":0.0,"clock_started":1.0,"ended":100.0,'
    b'"device":"cpu","hardware":"2 x Some CPU","fingerprint":"cpu-2","versions":{"torch":"2.13"},"code":"0.1.0",'
    b'"worker":"","failure":null,"variant_of":null,"reason":null,"parameters":null,"state_bytes":null,'
    b'"guards":["files"],"resumed":0,"others_s":0.25,"schema":1'
)
"""A line of Pacer 0.1, without its digest and the brace after it."""


def sealed(content: bytes) -> bytes:
    """The line with its digest, its content being all but the last brace."""
    digest = hashlib.sha256(content + b"}").hexdigest()[:32]
    return content + b',"digest":"' + digest.encode() + b'"}'


def changed(line: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The line with other fields and a digest that is right, as a version that has these would write it."""
    data = json.loads(line)
    del data["digest"]
    change(data)
    return sealed(json.dumps(data, separators=(",", ":")).encode()[:-1])


def in_1(each: Record) -> bytes:
    """The line that a record had in schema 1."""
    data = json.loads(to_json(each))
    del data["digest"]
    renamed = {"contention_s": "others_s", "extra_metrics": "beside"}
    data["evaluations"] = [{renamed.get(k, k): v for k, v in e.items()} for e in data["evaluations"]]
    data = {renamed.get(k, k): v for k, v in data.items()} | {"schema": 1}
    return sealed(json.dumps(data, separators=(",", ":")).encode()[:-1])


EXPECTED_OF_1 = replace(
    record(study=3, hp={"lr": 0.001, "beside": {"others_s": 1}}, guards=("files",), contention_s=0.25),
    evaluations=(
        Evaluation(
            step=50, examples=1600, time_s=5.0, value=0.1, train_loss=None, extra_metrics={"auc": 0.5, "f1": None}
        ),
        Evaluation(step=100, examples=3200, time_s=10.0, value=0.95, train_loss=1e-07),
    ),
)


@pytest.mark.parametrize("with_digest", [True, False])
def test_a_line_of_schema_1_is_read_as_a_record_of_today(with_digest: bool) -> None:
    line = sealed(WRITTEN_IN_1) if with_digest else WRITTEN_IN_1 + b"}"
    made, name = from_line(line + b"\n")
    assert made == EXPECTED_OF_1
    assert made.schema == SCHEMA
    assert name == hashlib.sha256(line).hexdigest()[:32]
    assert BriefReader()(line) == (replace(brief(made)), name)


def test_a_line_of_schema_1_that_was_edited_is_none() -> None:
    line = sealed(WRITTEN_IN_1).replace(b"0.95", b"0.96")
    for reader in (from_json, BriefReader()):
        with pytest.raises(ValueError, match="changed after it was written"):
            reader(line)


def test_a_line_of_today_is_pinned() -> None:
    line = to_json(EXPECTED_OF_1).encode()
    expected = (
        WRITTEN_IN_1.replace(b'"beside":{"auc"', b'"extra_metrics":{"auc"')
        .replace(b'"beside":{}', b'"extra_metrics":{}')
        .replace(b'"others_s":0.25,"schema":1', b'"contention_s":0.25,"schema":4')
    )
    assert line == sealed(expected)


def test_records_are_added_to_a_folder_of_an_older_schema(tmp_path: Path) -> None:
    store = RecordStore(tmp_path, "mini")
    store.folder.mkdir()
    store.path.write_bytes(sealed(WRITTEN_IN_1) + b"\n")
    again, new = replace(EXPECTED_OF_1, wall_s=99.0), record(study=4)
    store.extend((again, new))
    assert store.read() == ([EXPECTED_OF_1, new], [])
    briefs, warnings = store.brief()
    assert not warnings
    assert [each.whole() for each in briefs] == [EXPECTED_OF_1, new]
    store.write_archive(store.read()[0])
    store.path.unlink()
    assert [each.key for each in store.read()[0]] == [EXPECTED_OF_1.key, new.key]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (SCHEMA + 1, f"schema {SCHEMA + 1}, written by a newer Pacer; this one reads up to {SCHEMA}. Update Pacer"),
        (0, "schema 0, expected a number from 1"),
        (-1, "schema -1, expected a number from 1"),
        ("2", "schema '2', expected a number from 1"),
        (None, "schema None, expected a number from 1"),
    ],
)
def test_a_schema_that_is_not_known_is_named(schema: object, reason: str) -> None:
    line = changed(to_json(record()).encode(), lambda data: data.update(schema=schema))
    for reader in (from_json, BriefReader()):
        with pytest.raises(ValueError, match=reason):
            reader(line)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(new_field=1),
        lambda data: data["evaluations"][0].update(new_field=1),
        lambda data: data.pop("suite"),
        lambda data: data.update(outcome="won"),
        lambda data: data.update(study="0"),
        lambda data: data.update(evaluations=None),
        lambda data: data.update(ledger=[["setup"]]),
    ],
)
def test_fields_that_are_not_those_of_its_schema_are_refused(change: Callable[[dict[str, Any]], object]) -> None:
    for line in (
        to_json(replace(EXPECTED_OF_1, budget_s=0.0)).encode(),
        in_1(replace(EXPECTED_OF_1, budget_s=0.0)),
    ):
        for reader in (from_json, BriefReader()):
            with pytest.raises(ValueError, match="not a record"):
                reader(changed(line, change))


@pytest.mark.parametrize("schema", [2, 3])
def test_a_line_from_before_the_clock_of_the_cores_is_by_that_of_the_wall(schema: int) -> None:
    line = changed(to_json(EXPECTED_OF_1).encode(), lambda data: data.update(schema=schema))
    made, _ = from_line(line)
    assert made == EXPECTED_OF_1
    assert (made.schema, made.waited_s) == (SCHEMA, None)
    assert BriefReader()(line) == (brief(made), hashlib.sha256(line).hexdigest()[:32])
    assert codec._of_any_schema(line) == made


def test_each_older_schema_has_its_migration() -> None:
    assert set(MIGRATIONS) == set(range(1, SCHEMA))


def test_fields_of_today_need_no_migration() -> None:
    data = json.loads(to_json(EXPECTED_OF_1))
    assert migrated(data) == data


COMMITTED = {
    "results/forty/mini/trials.jsonl.gz": 1200,
    "results/h200/base/trials.jsonl": 6,
}


@pytest.mark.parametrize("name", COMMITTED)
def test_every_line_that_is_kept_here_is_read_alike_by_each_way(name: str) -> None:
    """Decoded at once, and by way of dictionaries and migrations."""
    data = (ROOT / name).read_bytes()
    lines = (gzip.decompress(data) if name.endswith(".gz") else data).splitlines()
    assert len(lines) == COMMITTED[name]
    reader = BriefReader()
    for line in lines:
        made, digest = from_line(line)
        assert made == codec._of_any_schema(line)
        assert reader(line) == (brief(made), digest)
        assert digest == hashlib.sha256(line).hexdigest()[:32]
        assert from_json(to_json(made)) == made
