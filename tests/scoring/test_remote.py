"""RESULTS at an address: two machines share it, and nothing gets lost on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import fs

from pacer.errors import RecordsError, UsageError
from scoring.records import RecordStore, remote
from scoring.records.remote import Copy
from tests.scoring.build import record

FIRST, SECOND, THIRD = (record("adamw", "a", 5.0 + study, study=study) for study in range(3))


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there"


def copy(folder: Path, there: Path) -> Copy:
    return Copy(folder, fs.LocalFileSystem(), str(there))


def keys(folder: Path) -> list[object]:
    return [r.key for r in RecordStore(folder, "mini").read()[0]]


def test_two_machines_have_each_others_records(tmp_path: Path, there: Path) -> None:
    one, two = copy(tmp_path / "one", there), copy(tmp_path / "two", there)
    RecordStore(one.folder, "mini").append(FIRST)
    one.send()
    two.fetch()
    assert keys(two.folder) == [FIRST.key]
    RecordStore(two.folder, "mini").append(SECOND)
    RecordStore(one.folder, "mini").append(THIRD)  # before it knows of the second
    two.send()
    one.fetch()
    one.send()
    two.fetch()
    assert set(keys(one.folder)) == set(keys(two.folder)) == {FIRST.key, SECOND.key, THIRD.key}
    for folder in (one.folder, two.folder):
        assert len((folder / "mini" / "trials.jsonl").read_text().splitlines()) == 3, "a line came twice"
    assert len(list(there.glob("mini/trials/*.jsonl"))) == 3
    one.send()
    two.send()
    assert len(list(there.glob("mini/trials/*.jsonl"))) == 3, "nothing is sent twice"


def test_half_a_line_waits_for_its_other_half(tmp_path: Path, there: Path) -> None:
    one = copy(tmp_path / "one", there)
    RecordStore(one.folder, "mini").append(FIRST)
    with (one.folder / "mini" / "trials.jsonl").open("a") as file:
        file.write('{"torn')
    one.send()
    (sent,) = there.glob("mini/trials/*.jsonl")
    assert sent.read_text().count("\n") == 1
    assert "torn" not in sent.read_text()


def test_checkpoints_come_and_go(tmp_path: Path, there: Path) -> None:
    one, two = copy(tmp_path / "one", there), copy(tmp_path / "two", there)
    path = Path("mini") / "checkpoints" / "a.checkpoint"
    (one.folder / path).parent.mkdir(parents=True)
    (one.folder / path).write_bytes(b"where it stands")
    one.send()
    two.fetch()
    assert (two.folder / path).read_bytes() == b"where it stands"
    (one.folder / path).unlink()
    one.send()
    assert not (there / path).exists()


def test_what_was_measured_first_sets_the_pace(tmp_path: Path, there: Path) -> None:
    one, two = copy(tmp_path / "one", there), copy(tmp_path / "two", there)
    (one.folder / "calibration.json").write_text(json.dumps({"cpu": {"a": {"samples_s": [1.0]}}}))
    (two.folder / "calibration.json").write_text(
        json.dumps(
            {"cpu": {"a": {"samples_s": [2.0]}, "b": {"samples_s": [3.0]}}, "gpu": {"a": {"samples_s": [4.0]}}}
        )
    )
    one.send()
    two.send()
    expected = {"cpu": {"a": {"samples_s": [1.0]}, "b": {"samples_s": [3.0]}}, "gpu": {"a": {"samples_s": [4.0]}}}
    assert json.loads((there / "calibration.json").read_text()) == expected
    one.fetch()
    assert json.loads((one.folder / "calibration.json").read_text()) == expected


def test_a_command_sees_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    address = f"file://{tmp_path / 'there'}"
    with remote.opened(address, print) as folder:
        RecordStore(folder, "mini").append(FIRST)
    monkeypatch.setenv("HOME", str(tmp_path / "another"))
    with remote.opened(address, print) as folder:
        assert keys(folder) == [FIRST.key]


def _bench_while_it_closes(place: Path) -> None:
    with remote.opened(f"file://{place}", print) as folder:
        RecordStore(folder, "mini").append(FIRST)
        place.rmdir()
        place.write_text("a file where a folder was")


def test_where_the_way_is_closed_the_records_stay_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    place = tmp_path / "there"
    place.mkdir()
    with pytest.raises(RecordsError, match="the same command sends them"):
        _bench_while_it_closes(place)
    place.unlink()
    with remote.opened(f"file://{place}", print) as folder:
        assert keys(folder) == [FIRST.key]
    assert len(list(place.glob("mini/trials/*.jsonl"))) == 1


@pytest.mark.parametrize("address", ["nowhere://a/b", "://"])
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be used .*s3://bucket/folder"), remote.opened(address, print):
        pass


def test_records_are_as_they_were(tmp_path: Path, there: Path) -> None:
    one = copy(tmp_path / "one", there)
    odd = replace(FIRST, hp={"lr": 1e-3, "name": "ä"})
    RecordStore(one.folder, "mini").append(odd)
    one.send()
    (sent,) = there.glob("mini/trials/*.jsonl")
    assert sent.read_bytes() == (one.folder / "mini" / "trials.jsonl").read_bytes()
