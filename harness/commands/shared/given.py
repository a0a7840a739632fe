"""Settings that do not come from words of the command line: from a settings file, from make and from Python.

Each goes the way of an option that was typed, so that all are checked in one place. What was typed wins, then what
make or Python gave, then the file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from cyclopts import Argument, ArgumentCollection, Token, UnknownOptionError

from harness.commands.shared.kinds import split_names
from pacer.errors import UsageError

if TYPE_CHECKING:
    from cyclopts import App

SETTINGS = "settings"
"""The option that names a settings file."""

Source = Literal["cli", "file", "make", "python"]
_OFF = ("", "0")


@dataclass(frozen=True)
class Given:
    """Settings by the names of options, `-` and `_` being the same, who gave them, and the file they stand in."""

    values: Mapping[str, object]
    source: Source
    file: str = ""

    def __call__(self, _app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Gives each value to its argument, save where that has one already: what Cyclopts calls a configuration.

        Raises UnknownOptionError for a name that is none, UsageError for a value of a wrong kind.
        """
        for key, value in self.values.items():
            argument = find(arguments, key)
            if argument is None or (self.source == "file" and option_name(argument) == SETTINGS):
                token = Token(keyword=key, value=str(value), source=self.label)
                raise UnknownOptionError(token=token, argument_collection=arguments)
            texts = self._texts(argument, key, value)
            if argument.tokens:
                continue
            for index, text in enumerate(texts):
                argument.append(Token(keyword=key, value=text, source=self.label, index=index))

    @property
    def label(self) -> str:
        """What tokens have as their source: who gave them, and the file."""
        return f"{self.source}:{self.file}"

    def _texts(self, argument: Argument, key: str, value: object) -> Sequence[str]:
        """What one would type for the value, nothing where it stands for none."""
        if self.source == "make":
            text = str(value)
            if _kinds(argument) == {bool}:
                return ["false" if text in _OFF else "true" if text == "1" else text]
            return [text] if text else []
        if value is None and self.source == "python":
            return []
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        wanted = _kinds(argument)
        if isinstance(value, list | tuple) and tuple in wanted and all(isinstance(each, str) for each in value):
            for each in value:
                if len(split_names(each)) != 1:
                    raise UsageError(f"{self.spelled(key, each)}: expected one name, and this is several")
            return [str(each) for each in value]
        if isinstance(value, bool) != (bool in wanted) or not isinstance(value, bool | int | float | str):
            raise UsageError(f"{self.spelled(key, value)}: expected {_in_words(wanted)}")
        if isinstance(value, str) != bool(wanted & {str, tuple}) or (int in wanted and isinstance(value, float)):
            raise UsageError(f"{self.spelled(key, value)}: expected {_in_words(wanted)}")
        return [str(value).lower() if isinstance(value, bool) else str(value)]

    def spelled(self, key: str, value: object) -> str:
        """A setting as it was written."""
        return spelled(Token(keyword=key, value=str(value), source=self.label), value)


def spelled(token: Token, value: object = None) -> str:
    """A token as the user wrote it, for messages."""
    source, _, file = token.source.partition(":")
    if value is None:
        value = _written(token.value) if source in ("file", "python") else token.value
    if source == "file":
        return f"{file}: {token.keyword} = {_as_toml(value)}"
    if source == "make":
        return f"{token.keyword}={value}"
    if source == "python":
        return f"{token.keyword}={value!r}"
    return f"{token.keyword} {value}".strip() if token.keyword else str(value)


def _written(text: str) -> object:
    """What stood in a file or a program where this text is what is left of it: a number, or the text."""
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


def option_name(argument: Argument) -> str:
    """The name of an option without its dashes."""
    return argument.name.lstrip("-").lower()


def find(arguments: ArgumentCollection, key: str) -> Argument | None:
    """The argument of a name, `-` and `_`, small and capital letters being the same."""
    wanted = key.lower().replace("_", "-")
    for argument in arguments:
        if argument.parse and wanted in {name.lstrip("-").lower() for name in argument.parameter.name or ()}:
            return argument
    return None


def from_settings_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Gives what a settings file says, where the command takes one and one was named."""
    argument = find(arguments, SETTINGS)
    if argument is not None and argument.tokens:
        path = argument.tokens[0].value
        Given(read_settings(path), "file", path)(app, commands, arguments)


def read_settings(path: str) -> Mapping[str, object]:
    """The settings in a TOML file. Raises UsageError where there is none, or it cannot be read."""
    file = Path(path).expanduser()
    if not file.exists():
        named = (
            f"; to name a submission, type: pacer bench --submission {path}" if not path.endswith(".toml") else ""
        )
        raise UsageError(f"there is no settings file {path}{named}")
    if file.suffix == ".py":
        raise UsageError(
            f"{path} is no settings file; to bench it as a submission, type: pacer bench --submission {path}"
        )
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a settings file: {error}") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}; a line of it is: studies = 5") from None


def _kinds(argument: Argument) -> set[type]:
    """The Python types that a value may have: bool, int, float, str, and tuple for names."""
    return set(_types(argument.hint))


def _types(hint: object) -> Sequence[type]:
    origin = get_origin(hint)
    if origin is Literal:
        return [str]
    if origin is tuple or hint is tuple:
        return [tuple]
    if isinstance(hint, type):
        return [] if hint is type(None) else [str] if issubclass(hint, str) else [hint]
    if hasattr(hint, "__metadata__"):
        return _types(get_args(hint)[0])
    return [kind for part in get_args(hint) for kind in _types(part)]


def _in_words(kinds: set[type]) -> str:
    if tuple in kinds:
        return 'a list of names, such as ["adamw", "lion"]'
    if str in kinds:
        return "a text"
    if bool in kinds:
        return "true or false"
    return "a whole number" if int in kinds else "a number"


def _as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
