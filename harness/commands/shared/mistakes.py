"""What is said of a command line that cannot be understood: one plain sentence, with what to type."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from cyclopts import (
    Argument,
    ArgumentCollection,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from harness.commands.shared.given import spelled

_NEAR = 0.7
_MOST = 8
"""Options that a message lists at most."""


def sentence(
    error: CycloptsError, verb: str, verbs: Sequence[str], fields: Sequence[str], *, by_make: bool = False
) -> str:
    """The message for an error of Cyclopts in the command `verb`, whose options are `fields`; `verbs` are all."""
    call = f"make {verb}" if by_make else f"pacer {verb}"
    match error:
        case UnknownCommandError():
            word = (error.unused_tokens or [""])[0]
            if word.startswith("-"):
                return f"{word} comes before a command; name the command first: pacer bench {word}"
            near = closest(word, verbs)
            return f"there is no command {word}; " + (
                f"did you mean {near}?" if near else "for a list, type: pacer --help"
            )
        case UnknownOptionError():
            return _unknown(error, verb, call)
        case MissingArgumentError() if error.argument is not None and not error.argument.tokens:
            return _missing(error.argument, error.keyword, call, by_make)
        case CoercionError() if error.token is not None:
            return f"{spelled(error.token)}: {_expected(error)}"
        case UnusedCliTokensError() if error.unused_tokens:
            return _unused(error.unused_tokens, fields, call)
    error.verbose = False
    return str(error)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like this one, None where none is."""
    spelled_alike = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), list(spelled_alike), n=1, cutoff=_NEAR)
    return spelled_alike[near[0]] if near else None


def _meant(word: str, known: Iterable[str]) -> str:
    near = closest(word, known)
    return f"; did you mean {near}?" if near else ""


def _unknown(error: UnknownOptionError, verb: str, call: str) -> str:
    token, arguments = error.token, error.argument_collection
    source, _, file = token.source.partition(":")
    options = _shown(arguments)
    if source == "make":
        known = [_setting(option) for option in options]
        near = closest(token.keyword or "", known)
        said = f"; did you mean {near}?" if near else f", which takes {', '.join(known) or 'no setting'}"
        return f"{token.keyword} is no setting of make {verb}{said}"
    if source == "file":
        known = [option.lstrip("-") for option in options if option != "--settings"]
        return f"{file}: {token.keyword} is no option of {call}{_meant(token.keyword or '', known) or _all(known)}"
    if source == "python":
        known = [option.lstrip("-").replace("-", "_") for option in options]
        return f"{token.keyword} is no option of pacer.{verb}{_meant(token.keyword or '', known) or _all(known)}"
    word = (token.keyword or token.value).partition("=")[0]
    every = [*options, "--help"] + [name for argument in arguments for name in argument.names if argument.parse]
    return (
        f"{verb} has no option {word}{_meant(word, every) or _all(options)}" if verb else f"unknown option {word}"
    )


def _all(known: Sequence[str]) -> str:
    shown = ", ".join(known[:_MOST]) + (", and more (see --help)" if len(known) > _MOST else "")
    return f"; it takes {shown}" if known else "; it takes none"


def _shown(arguments: ArgumentCollection) -> list[str]:
    """The options of a command, each by its first name."""
    return [argument.name for argument in arguments if argument.parse and argument.name.startswith("--")]


def _setting(option: str) -> str:
    """The name of an option among the settings of make."""
    return option.lstrip("-").replace("-", "_").upper()


def _missing(argument: Argument, keyword: str | None, call: str, by_make: bool) -> str:
    metavar = argument.parameter.metavar or "X"
    if keyword is not None:
        return f"{keyword} needs a value: {keyword} {metavar}"
    name = argument.name
    typed = f"{_setting(name)}={metavar}" if by_make else f"{name} {metavar}" if name.startswith("-") else metavar
    wanted = (argument.parameter.help or "").rstrip(".")
    wanted = f" ({wanted[:1].lower()}{wanted[1:]})" if wanted else ""
    return f"{call.split()[-1]} needs {_setting(name) if by_make else name}{wanted}; type: {call} {typed}"


def _expected(error: CoercionError) -> str:
    if error.msg is not None:
        return str(error.msg)
    choices = error.argument.get_choices(force=True) if error.argument is not None else None
    assert error.token is not None
    if choices:
        return f"expected one of {', '.join(choices)}{_meant(error.token.value, choices)}"
    return "expected true or false" if error.target_type is bool else str(error).partition(": ")[2]


def _unused(words: Sequence[str], fields: Sequence[str], call: str) -> str:
    useless = f"{call.split()[-1]} has no use for {' '.join(words)!r}"
    if "submission" in fields:
        return f"{useless}; to name a submission, type: {call} --submission {words[0]}"
    return f"{useless}; to see its options, type: {call} --help"
