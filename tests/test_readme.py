"""The README's commands work: make and the command line know each, and the main ones are run for real."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli
from harness.commands.shared.from_make import read_make
from harness.commands.shared.line import read
from tests.cores import on_one_core

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.M | re.S)
SHELL = [
    line.split("  #")[0].strip() for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line
]


def sample() -> str:
    """The submission that the README shows."""
    found = [text for kind, text in BLOCKS if kind == "python" and "(Submission)" in text]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("line", [line for line in SHELL if re.search(r"\bmake ", line)])
def test_make_knows_every_verb_and_setting(line: str) -> None:
    words = shlex.split(line)
    arguments = words[words.index("make") + 1 :]
    printed = subprocess.run(
        ["make", "-n", "-o", ".venv/.ready", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for command in printed.splitlines():
        if "-m harness make" in command:
            typed, given = read_make(shlex.split(command.split("-m harness make")[1]))
            assert read(typed, given) is not None


def typed_to_pacer() -> list[str]:
    """The command lines of the README that are Pacer's own."""
    starts = re.compile(r"^(?:\.venv/bin/)?(?:pacer|python -m harness) (.*)$")
    return [found.group(1) for line in SHELL if (found := starts.match(line))]


@pytest.mark.parametrize("line", typed_to_pacer())
def test_the_command_line_knows_every_command_and_option(line: str) -> None:
    words = [word for word in shlex.split(line) if not word.endswith(".toml")]
    if words != ["--help"]:
        assert read(words) is not None


def test_the_readme_shows_commands() -> None:
    assert len(typed_to_pacer()) >= 5


def test_the_sample_submission_is_short() -> None:
    assert len([line for line in sample().splitlines() if line.strip()]) <= 20


def test_links_to_files_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_the_sample_submission_passes_its_check(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "my_optimizer.py"
    path.write_text(sample())
    common = ["--suite", "smoke", "--workloads", "mnist_mlp", "--data", str(cache)]
    assert cli.main(["check", *common, "--submission", str(path)]) == 0


@pytest.mark.slow
@pytest.mark.long
def test_a_fresh_clone_gives_a_leaderboard(tmp_path: Path) -> None:
    """What a new user types, in an empty home, without caches; the packages are those that `make` set up here."""
    clone, home = tmp_path / "clone", tmp_path / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    (clone / ".venv").symlink_to(ROOT / ".venv")
    os.utime(clone / "requirements.txt", (0, 0))  # older than the virtual environment, which is up to date
    kept = ("PATH", "LANG", "TERM", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    environment = {k: v for k, v in os.environ.items() if k in kept or k.startswith("PIP_")}
    venv = str(Path(sys.executable).parent)
    path = os.pathsep.join(part for part in environment["PATH"].split(os.pathsep) if part != venv)
    config = Path.home() / ".config" / "pip"
    if config.exists():  # the settings with which pip reaches its index here
        (home / ".config").mkdir()
        (home / ".config" / "pip").symlink_to(config)
    environment |= {"HOME": str(home), "PATH": path, "PIP_NO_CACHE_DIR": "1"}

    def make(*arguments: str) -> str:
        done = subprocess.run(
            ["make", *arguments],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            preexec_fn=on_one_core,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    (clone / "my_optimizer.py").write_text(sample())
    some = ("SUITE=smoke", "WORKLOADS=flights_dlrm,mnist_mlp", "STUDIES=1")
    first = make("bench", *some)
    assert "schedule_free_adamw" in first
    again = make("bench", *some, "SUBMISSION=my_optimizer.py")
    assert re.search(r"^ +\d+ .*\bmy_optimizer\b", again, re.M)
    assert "2 to run" in again
    assert "my_optimizer" in make("leaderboard", "SUITE=smoke", "BY=steps", "SCORE=algoperf")
