"""What a player may read, wherever Pacer, the user and the records are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.system import sandbox
from pacer import paths
from scoring.records.protocol import Guard

needs_landlock = pytest.mark.skipif(
    Guard.FILES not in sandbox.available(), reason="this kernel keeps no process from files"
)
TRY = """
import json, os, sys
from pathlib import Path
from harness.system.sandbox import SandboxSpec, enter
scratch, hidden, *files = map(Path, json.loads(sys.argv[1]))
enter(SandboxSpec(scratch=scratch, hidden=(hidden,)))
read = []
for file in files:
    try:
        file.read_bytes()
        read.append(str(file))
    except PermissionError:
        pass
print(json.dumps(read))
"""


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def readable(scratch: Path, hidden: Path, *files: Path, path: Path) -> set[Path]:
    """Those of the files that a process in the sandbox can read which has `path` in front of its import path."""
    environment = paths.python_environment()
    environment["PYTHONPATH"] = os.pathsep.join([str(path), environment["PYTHONPATH"]])
    words = json.dumps([str(each) for each in (scratch, hidden, *files)])
    done = subprocess.run(
        [sys.executable, "-P", "-c", TRY, words], env=environment, capture_output=True, text=True, check=True
    )
    return {Path(name) for name in json.loads(done.stdout)}


def written(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


@needs_landlock
def test_of_the_folder_where_the_user_works_only_packages_are_read(tmp_path: Path, scratch: Path) -> None:
    """Ray puts it on the import path of the processes that players come from."""
    here = tmp_path / "here"
    package, module = written(here / "mine" / "__init__.py"), written(here / "alone.py")
    secrets = (
        written(here / "notes.txt"),
        written(here / "other" / "key.pem"),
        written(here / "results" / "r.jsonl"),
    )
    assert readable(scratch, here / "results", package, module, *secrets, path=here) == {package, module}
    assert readable(scratch, tmp_path / "elsewhere", package, module, *secrets, path=here) == {package, module}


@needs_landlock
def test_where_packages_are_installed_all_is_read_save_what_is_hidden(tmp_path: Path, scratch: Path) -> None:
    """Libraries lie beside the packages that load them."""
    site = tmp_path / "site"
    written(site / "some-1.0.dist-info" / "METADATA")
    library, record = written(site / "some.libs" / "lib.so"), written(site / "results" / "r.jsonl")
    assert readable(scratch, tmp_path / "elsewhere", library, path=site) == {library}
    assert readable(scratch, site / "results", library, record, path=site) == set()


@needs_landlock
def test_an_environment_in_which_the_user_works_hides_the_results(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = tmp_path / "environment"
    library, record = written(prefix / "lib" / "some.py"), written(prefix / "results" / "r.jsonl")
    monkeypatch.setattr(sys, "prefix", str(prefix))
    seen = sandbox._python((prefix / "results",))
    assert any(library.is_relative_to(place) for place in seen)
    assert not any(record.is_relative_to(place) for place in seen)
    assert prefix in sandbox._python((tmp_path / "elsewhere",))
