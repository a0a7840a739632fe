"""The kinds of values that options take: how their text is read, and what is refused with which words.

Each is an annotated type for a field of a command's `Options`. A converter raises ValueError with what was
expected; the message that the user sees names the option and the value as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token

from scoring.records.layout import FACTOR, is_factor

_DRIVE = re.compile(r"^[A-Za-z]:[\\/]|^\\\\")
_PORTS = 65535

Converter = Callable[[Any, Sequence[Token]], Any]


def split_names(text: str) -> tuple[str, ...]:
    """Splits "a, b(c=1,d=2),e" at the commas that are in no parentheses. Raises ValueError where a name is empty or
    a parenthesis is not closed."""
    found, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    if depth:
        raise ValueError("expected as many ( as )")
    names = tuple(name.strip() for name in found)
    if names == ("",):
        raise ValueError("expected names, separated by commas, and this is empty")
    if not all(names):
        raise ValueError("expected a name between two commas")
    return names


def _names(_: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    return tuple(name for token in tokens for name in split_names(token.value))


def _text(_: Any, tokens: Sequence[Token]) -> str:
    text = tokens[0].value.strip()
    if not text:
        raise ValueError("expected a word, and this is empty")
    return text


def _path(_: Any, tokens: Sequence[Token]) -> str:
    text = _text(None, tokens)
    if _DRIVE.match(text):
        raise ValueError("expected a path of this system, such as results/mine; this is one of Windows")
    return text if "://" in text else str(Path(text).expanduser())


def _folder(_: Any, tokens: Sequence[Token]) -> str:
    text = _path(None, tokens)
    if "://" not in text and Path(text).exists() and not Path(text).is_dir():
        raise ValueError("expected a folder, and this is a file")
    return text


def _whole(least: int, most: int | None = None) -> Converter:
    wanted = f"from {least} to {most}" if most is not None else f"from {least} up"

    def read(_: Any, tokens: Sequence[Token]) -> int:
        text = tokens[0].value.strip().replace("_", "")
        if not (text.isascii() and text.removeprefix("-").isdigit()):
            raise ValueError(f"expected a whole number {wanted}")
        if int(text) < least or (most is not None and int(text) > most):
            raise ValueError(f"expected a whole number {wanted}")
        return int(text)

    return read


def _number(wanted: str, accepted: Callable[[float], bool]) -> Converter:
    def read(_: Any, tokens: Sequence[Token]) -> float:
        try:
            number = float(tokens[0].value)
        except ValueError:
            raise ValueError(f"expected {wanted}") from None
        if math.isnan(number) or not accepted(number):
            raise ValueError(f"expected {wanted}")
        return number

    return read


def one_of(*choices: str) -> Converter:
    """One of some words; Cyclopts itself takes "none" for an option that may be None."""

    def read(_: Any, tokens: Sequence[Token]) -> str:
        if tokens[0].value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return tokens[0].value

    return read


Names = Annotated[tuple[str, ...], Parameter(converter=_names, metavar="A,B")]
"""Names or lines, separated by the commas that are in no parentheses; an option given twice adds to them."""

Text = Annotated[str, Parameter(converter=_text, metavar="X")]
File = Annotated[str, Parameter(converter=_path, metavar="FILE")]
Folder = Annotated[str, Parameter(converter=_folder, metavar="FOLDER")]
"""A folder that is there or not, or an address as s3://bucket/folder."""

AtLeastOne = Annotated[int, Parameter(converter=_whole(1), metavar="N")]
AtLeastZero = Annotated[int, Parameter(converter=_whole(0), metavar="N")]
Seed = Annotated[int, Parameter(converter=_whole(0), metavar="N")]
Port = Annotated[int, Parameter(converter=_whole(0, _PORTS), metavar="N")]
Positive = Annotated[
    float,
    Parameter(converter=_number("a number above 0", lambda n: 0 < n < math.inf), metavar="N"),
]
Factor = Annotated[float, Parameter(converter=_number(FACTOR, is_factor), metavar="K")]
Patience = Annotated[
    float, Parameter(converter=_number("seconds from 0 up, or inf", lambda n: n >= 0), metavar="N")
]
Share = Annotated[
    float, Parameter(converter=_number("a share between 0 and 1, such as 0.05", lambda n: 0 < n < 1), metavar="P")
]
Portion = Annotated[
    float,
    Parameter(converter=_number("a share above 0, 1 at most, such as 0.8", lambda n: 0 < n <= 1), metavar="P"),
]
Probability = Annotated[
    float, Parameter(converter=_number("a probability between 0.5 and 1", lambda n: 0.5 < n < 1), metavar="P")
]
