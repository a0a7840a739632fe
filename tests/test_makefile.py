"""make's verbs are aliases: what is typed reaches Pacer as it is, and the environment does not."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from harness.commands.shared.from_make import read_make
from harness.commands.shared.line import all_commands, arguments_of, canonical

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
ALIASES = re.search(r"^ALIASES := (.*)$", MAKEFILE, re.M).group(1).split()


def make(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`make -n`, with nothing to set up."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-n", "-o", ".venv/.ready", *words]
    return subprocess.run(command, cwd=ROOT, env=kept | environment, capture_output=True, text=True)


def settings(*words: str, **environment: str) -> dict[str, object]:
    """The settings that a call of make passes on."""
    (line,) = make(*words, **environment).stdout.splitlines()
    typed = shlex.split(line)
    assert typed[1:4] == ["-m", "harness", "make"]
    return dict(read_make(typed[4:])[1].values)


@pytest.mark.parametrize(
    "value",
    [
        "pytorch_optimizer:AdamP(lr=3e-3, weight_decay=0.01)",
        'it\'s "mine"',
        "a b.py",
        "a;rm -rf b",
        "`id`$(id)$HOME",
        "#x",
        "a\\b",
    ],
)
def test_values_are_safe(value: str) -> None:
    assert settings("bench", f"SUBMISSION={value}") == {"SUBMISSION": value}


def test_the_environment_is_not_taken() -> None:
    assert settings("bench", SEED="5", DATA="/x", PROCESSES="1", STUDIES="9") == {}
    assert settings("bench", "SEED=1", SEED="5") == {"SEED": "1"}


@pytest.mark.parametrize("words", [("test", "STUDIES=1"), ("soak", "SUBMISSON=lion"), ("clean", "DATA=x")])
def test_verbs_that_are_no_aliases_refuse_settings(words: tuple[str, str]) -> None:
    done = make(*words)
    assert done.returncode == 2
    assert f"make {words[0]} takes no setting {words[1].split('=')[0]}" in done.stderr


def test_soak_takes_what_is_typed_alone() -> None:
    assert "-k 'lion'" in make("soak", "SUBMISSION=lion").stdout
    assert "-k" not in make("soak", SUBMISSION="lion").stdout


def test_the_help_has_every_verb_and_setting() -> None:
    assert {canonical(alias) for alias in ALIASES} <= set(all_commands())
    wanted = {
        argument.name.lstrip("-").replace("-", "_").upper()
        for alias in ALIASES
        for argument in arguments_of(canonical(alias) or alias)
        if argument.parse and argument.name != "*"
    }
    help_text = MAKEFILE.partition("help:  ##")[2].partition("\nsetup:")[0]
    shown = set(re.findall(r"(?<!-)\b[A-Z][A-Z_]*\b", help_text)) - {"VERB", "MAKEFILE_LIST"}
    assert shown - {"PYTHON", "RAY_ADDRESS", "MLFLOW_TRACKING_URI"} == wanted
