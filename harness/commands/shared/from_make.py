"""What `make VERB NAME=value ...` asks for: the words after `python -m harness make`."""

from __future__ import annotations

from collections.abc import Sequence

from harness.commands.shared.given import Given, find
from harness.commands.shared.line import arguments_of, canonical
from pacer.errors import UsageError

WORD = "make"
"""The first word of such a command line."""

_ELSEWHERE = {"PYTHON", "RAY_ADDRESS", "MLFLOW_TRACKING_URI"}
"""Settings of make itself, and those that reach us through the environment."""


def read_make(words: Sequence[str]) -> tuple[list[str], Given]:
    """The words of a command line, and the settings given with them.

    `words` are the verb, options that the alias itself has, then `NAME=value` settings and the other verbs of the
    same call of make. A setting of one of those alone is left to it. Raises UsageError for a name in small letters.
    """
    verb = words[0] if words else ""
    typed: list[str] = [verb]
    settings: dict[str, str] = {}
    others: list[str] = []
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if word.startswith("--"):
            typed.append(word)
        elif not equals:
            others.append(word)
        elif name in _ELSEWHERE:
            continue
        elif name != name.upper():
            raise UsageError(
                f"{name} is no setting of make {verb}; settings are in capitals: {name.upper()}={value}"
            )
        else:
            settings[name] = value
    return typed, Given({n: v for n, v in settings.items() if not _of_another(n, verb, others)}, "make")


def _of_another(name: str, verb: str, others: Sequence[str]) -> bool:
    """Whether a setting acts for another verb of the call and not for this one."""
    known = canonical(verb)
    if known is None or find(arguments_of(known), name) is not None:
        return False
    acting = [other for each in others if (other := canonical(each)) is not None]
    return any(find(arguments_of(other), name) is not None for other in acting)
