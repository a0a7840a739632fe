"""Pacer installed: what is in its wheel, and that nothing of this clone is needed beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from rich.console import Console

from harness.cluster.connect import connected
from harness.protocol.settings import Settings
from harness.system import machine, sandbox
from pacer import paths
from pacer._version import VERSION
from pacer.errors import UsageError
from scoring.records import RecordStore
from tests.cores import on_one_core
from tests.folders import ROOT

FOLDERS = "from pacer import paths; print(*paths.package_folders(), sep='\\n')"
SUITES = """
from harness.algoperf.find_logs import leaderboards, published
with published() as logs:
    print(sorted(facts.suite for facts, _ in leaderboards(logs)))
"""


def tracked(*folders: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(filter(None, listed.stdout.split("\0")))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built as `pip install .` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    wanted = tracked(*paths.PACKAGES)
    for kind in ("workloads/targets/mini/mri_unet.json", "harness/algoperf/published_logs.tar.xz"):
        assert kind in wanted
    files = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    untracked = {name for name in files - wanted if (ROOT / name).exists()}  # not committed yet
    assert files - untracked == {name for name in wanted if (ROOT / name).exists()}
    assert not {name for name in files if name.split("/")[0] not in paths.PACKAGES}


def test_the_wheel_brings_the_command_and_the_licence(wheel: Path) -> None:
    archive, head = zipfile.ZipFile(wheel), f"pacer-{VERSION}.dist-info"
    assert "pacer = harness.cli:program" in archive.read(f"{head}/entry_points.txt").decode()
    assert f"{head}/licenses/LICENSE" in archive.namelist()
    needed = archive.read(f"{head}/METADATA").decode()
    assert "Requires-Dist: torch==2.13.0" in needed
    assert "Requires-Dist: pip>=" in needed, "code calls python -m pip, and environments of uv have none"


def test_the_lock_holds_what_the_project_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {
        line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "requirements.txt").read_text().split()
    }
    named = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for line in named:
        name = line.split(";")[0].split("[")[0]
        for operator in (">", "=", "<"):
            name = name.split(operator)[0]
        assert name.strip().lower().replace("_", "-") in locked


def test_results_are_where_the_user_is_and_data_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(paths.DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert paths.default_results() == tmp_path / "results"
    if sys.platform == "linux":
        assert paths.default_data() == tmp_path / "cache" / "pacer" / "data"
    monkeypatch.setenv(paths.DATA_VARIABLE, "mine")
    assert paths.default_data() == tmp_path / "mine"


def test_a_record_names_the_commit_in_a_clone_and_the_version_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def named() -> str:
        return machine.code_version.__wrapped__()

    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    monkeypatch.setattr(paths, "source_tree", lambda: tmp_path)
    assert named() == head[:12]
    (tmp_path / "new.py").touch()
    assert named() == f"{head[:12]}+dirty"
    monkeypatch.setattr(paths, "source_tree", lambda: tmp_path / "unpacked")  # within somebody else's repository
    assert named() == f"pacer {VERSION}"
    monkeypatch.setattr(paths, "source_tree", lambda: None)
    assert named() == f"pacer {VERSION}"


def test_a_working_directory_with_packages_of_our_names_is_told(tmp_path: Path) -> None:
    (tmp_path / "scoring").mkdir()
    (tmp_path / "results").mkdir()
    assert paths.shadowing(tmp_path) == []
    (tmp_path / "scoring" / "__init__.py").touch()
    assert paths.shadowing(tmp_path) == ["scoring"]
    assert paths.shadowing(ROOT) == []


def test_a_bench_refuses_such_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="has a package harness of its own"), connected(Settings(), Console()):
        pass


def test_child_processes_import_what_this_one_does_wherever_they_are(tmp_path: Path) -> None:
    (tmp_path / "scoring.py").write_text("raise RuntimeError('the one of the working directory')")
    code = "import scoring, pacer; print(scoring.__file__); print(pacer.__file__)"
    command, environment = paths.python_command("-c", code), paths.python_environment()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(ROOT / name / "__init__.py") for name in ("scoring", "pacer")]


@pytest.mark.slow
def test_an_installed_pacer_needs_nothing_of_the_clone(wheel: Path, tmp_path: Path, cache: Path) -> None:
    """Installed without what it depends on, which is here, and used from an empty folder in an empty home."""
    installed, here, home = tmp_path / "installed", tmp_path / "here", tmp_path / "home"
    here.mkdir()
    home.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(installed)]
    subprocess.run([*pip, str(wheel)], check=True)
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ}
    environment |= {"HOME": str(home), "PYTHONPATH": str(installed), paths.DATA_VARIABLE: str(cache)}

    def run(*words: str) -> str:
        done = subprocess.run(
            words, cwd=here, env=environment, capture_output=True, text=True, timeout=600, preexec_fn=on_one_core
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pacer(*words: str) -> str:
        return run(sys.executable, str(installed / "bin" / "pacer"), *words)

    def python(code: str) -> str:
        return run(sys.executable, "-P", "-c", code)

    assert python(FOLDERS).splitlines() == [str(installed / name) for name in paths.PACKAGES]
    assert "mnist_mlp" in pacer("workloads", "--suite", "smoke")
    assert f"code         pacer {VERSION}" in pacer("doctor")
    few = (
        "--suite",
        "smoke",
        "--workloads",
        "mnist_mlp",
        "--submissions",
        "nadamw",
        "--studies",
        "1",
        "--no-mlflow",
    )
    assert "nadamw" in pacer("bench", *few)
    (record,) = RecordStore(here / "results", "smoke").read()[0]
    assert record.code == f"pacer {VERSION}"
    assert record.failure is None
    assert set(record.guards) == set(sandbox.available())
    assert "nadamw" in pacer("leaderboard", "--suite", "smoke", "--no-mlflow")
    assert python(SUITES) == "['algoperf-0.5-self', 'algoperf-0.6-external']\n"
