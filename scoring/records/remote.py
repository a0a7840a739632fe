"""RESULTS as an address such as s3://bucket/folder: a working copy on this machine that is kept in step with it.

Records travel as files of lines that are written once and never again, so that benches of several machines may
share an address: nothing of one can be overwritten by another.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow
from filelock import FileLock
from pyarrow import fs

from pacer import paths
from pacer.errors import RecordsError, UsageError
from scoring.records import files

_EVERY_S = 10.0
_COPIED = ("*/sources/*.txt", "*/variants.json", "*/trials.jsonl.gz", "*/status.json", "*/board/*")
_CHECKPOINTS = "*/checkpoints/*.checkpoint"
_PACE = "calibration.json"
_STATE = ".remote.json"


@contextmanager
def opened(address: str, tell: Callable[[str], None]) -> Iterator[Path]:
    """The working copy, up to date; what changes in it goes to the address while the context lasts and at its end.

    Where the address cannot be reached meanwhile, that is told, and tried again. Raises UsageError for an address
    that is none or cannot be read, RecordsError where not all has arrived there at the end.
    """
    try:
        system, root = fs.FileSystem.from_uri(address)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise UsageError(
            f"RESULTS={address} cannot be used ({error}); expected a folder, or an address that pyarrow knows, as "
            "s3://bucket/folder, gs://bucket/folder or file:///shared/folder"
        ) from error
    name = hashlib.sha256(address.encode()).hexdigest()[:12]
    copy = Copy(paths.user_cache() / "results" / name, system, root)
    try:
        copy.fetch()
    except OSError as error:
        raise UsageError(f"RESULTS={address} cannot be read: {error}") from error
    over = threading.Event()
    following = threading.Thread(target=_follow, args=(copy, over, tell), daemon=True)
    following.start()
    try:
        yield copy.folder
    finally:
        over.set()
        following.join()
        try:
            copy.send()
        except OSError as error:
            raise RecordsError(
                f"not all records have reached {address}: {error}. They are safe in {copy.folder}; "
                "the same command sends them."
            ) from error


def _follow(copy: Copy, over: threading.Event, tell: Callable[[str], None]) -> None:
    silent = True
    while not over.wait(_EVERY_S):
        try:
            copy.send()
            silent = True
        except OSError as error:
            if silent:
                tell(f"warning: the results cannot be sent now ({error}); they are kept and tried again")
            silent = False


class Copy:
    """A working copy in `folder` of the folder `root` of a file system."""

    def __init__(self, folder: Path, system: fs.FileSystem, root: str) -> None:
        self.folder = folder
        self._system = system
        self._root = root.rstrip("/")
        self._sent: dict[str, float] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def fetch(self) -> None:
        """Brings here what others have sent. Raises OSError."""
        there = self._list()
        for path in there:
            if path.match("*/trials/*.jsonl"):
                self._take_lines(path)
            elif str(path) == _PACE:
                self._merge_pace()
            elif path.match(_CHECKPOINTS) or (
                any(path.match(pattern) for pattern in _COPIED) and not (self.folder / path).exists()
            ):
                self._write_here(path, self._read_there(path))

    def send(self) -> None:
        """Sends what has changed here. Raises OSError."""
        for records in self.folder.glob("*/trials.jsonl"):
            self._send_lines(records)
        pace = self.folder / _PACE
        if pace.exists() and self._changed(pace):
            self._merge_pace()
            self._write_there(Path(_PACE), pace.read_bytes())
        for pattern in (*_COPIED, _CHECKPOINTS):
            for path in self.folder.glob(pattern):
                if path.is_file() and self._changed(path):
                    with contextlib.suppress(FileNotFoundError):  # a trial that has just ended has no checkpoint
                        self._write_there(path.relative_to(self.folder), path.read_bytes())
        for path in [path for path in self._sent if Path(path).match(_CHECKPOINTS) and not Path(path).exists()]:
            del self._sent[path]
            self._system.delete_file(self._there(Path(path).relative_to(self.folder)))

    # ---- records: the lines that are new here become one more file there

    def _send_lines(self, records: Path) -> None:
        with self._lock(records.parent):
            state = self._state(records.parent)
            with records.open("rb") as file:
                file.seek(state["sent"])
                new = file.read()
            new = new[: new.rfind(b"\n") + 1]
            if not new:
                return
            name = f"{time.time_ns():x}-{hashlib.sha256(new).hexdigest()[:16]}.jsonl"
            self._write_there(records.parent.relative_to(self.folder) / "trials" / name, new)
            self._keep(records.parent, sent=state["sent"] + len(new), seen=[*state["seen"], name])

    def _take_lines(self, path: Path) -> None:
        suite = self.folder / path.parent.parent
        suite.mkdir(parents=True, exist_ok=True)
        records = suite / "trials.jsonl"
        if path.name in self._state(suite)["seen"]:
            return
        if records.exists():
            self._send_lines(records)
        with self._lock(suite):
            state = self._state(suite)
            lines = self._read_there(path)
            with records.open("ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
            self._keep(suite, sent=records.stat().st_size, seen=[*state["seen"], path.name])

    def _lock(self, suite: Path) -> FileLock:
        return FileLock(suite / ".trials.lock")  # the one of RecordStore: nobody appends meanwhile

    def _state(self, suite: Path) -> dict:
        path = suite / _STATE
        return json.loads(path.read_text()) if path.exists() else {"sent": 0, "seen": []}

    def _keep(self, suite: Path, **state: object) -> None:
        files.replace(suite / _STATE, json.dumps(state).encode())

    # ---- the rest: small files, the newest counts; of the pace, whatever was measured first

    def _merge_pace(self) -> None:
        here = self.folder / _PACE
        try:
            theirs: Mapping[str, dict] = json.loads(self._read_there(Path(_PACE)))
        except FileNotFoundError:
            return
        ours = json.loads(here.read_text()) if here.exists() else {}
        merged = {key: {**ours.get(key, {}), **theirs.get(key, {})} for key in {**ours, **theirs}}
        self._write_here(Path(_PACE), json.dumps(merged, indent=1).encode())

    def _changed(self, path: Path) -> bool:
        try:
            return self._sent.get(str(path)) != path.stat().st_mtime
        except FileNotFoundError:
            return False

    def _write_here(self, path: Path, data: bytes) -> None:
        place = self.folder / path
        files.replace(place, data)
        self._sent[str(place)] = place.stat().st_mtime

    def _write_there(self, path: Path, data: bytes) -> None:
        place = self._there(path)
        self._system.create_dir(place.rpartition("/")[0], recursive=True)
        partial = f"{place}.{os.getpid()}.partial"
        with self._system.open_output_stream(partial) as stream:
            stream.write(data)
        self._system.move(partial, place)
        here = self.folder / path
        if here.exists():
            self._sent[str(here)] = here.stat().st_mtime

    def _read_there(self, path: Path) -> bytes:
        with self._system.open_input_stream(self._there(path)) as stream:
            return stream.read()

    def _there(self, path: Path) -> str:
        return f"{self._root}/{path.as_posix()}"

    def _list(self) -> list[Path]:
        selector = fs.FileSelector(self._root, allow_not_found=True, recursive=True)
        found = [info.path for info in self._system.get_file_info(selector) if info.type is fs.FileType.File]
        return [Path(path.removeprefix(f"{self._root}/")) for path in sorted(found)]
