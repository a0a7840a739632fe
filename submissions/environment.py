"""What a submission relies on beside its own text: shared modules of this folder, by the version of their meaning.

Each of them declares `MEANING = 1`. Whoever changes one so that a result may change raises that number, and with it
changes the hash of every submission that imports the module, directly or through others. Moving or rewording code
leaves the number, and with it every recorded trial, as it is.

Hashes were once made of the modules' text, and must not change. So a module at version 1 stands for the text that
it had then, which `first_meanings.json` keeps.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
_IMPORT = re.compile(r"^from submissions\.([\w.]+) import", re.MULTILINE)
_MEANING = re.compile(r"^MEANING = (\d+)\b", re.MULTILINE)


def environment(text: str, folder: Path = FOLDER) -> str:
    """Twelve hex digits that stand for what the text of a submission imports from this folder."""
    return _environment(_IMPORT.findall(text), _imports(text), folder)


def environment_below(module: str, folder: Path = FOLDER) -> str:
    """The same for a submission that one of this folder's modules makes, such as the one-line form by `by_name`."""
    return _environment(_IMPORT.findall(_first(module, folder)), {module}, folder)


def meaning(text: str) -> int | None:
    """The version that a module's text declares, None where it declares none."""
    found = _MEANING.search(text)
    return int(found[1]) if found else None


@cache
def code(source: str) -> str:
    """A source without its comments and docstrings, which change no result; as it is where it is no Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[:1] = [] if len(body) > 1 or isinstance(node, ast.Module) else [ast.Pass()]
    return ast.unparse(tree)


def _environment(first: Iterable[str], today: Iterable[str], folder: Path) -> str:
    """`first`: what the text imports as hashes of text saw it; `today`: all that it imports."""
    then = _reached(first, lambda name: _IMPORT.findall(_first(name, folder)), folder)
    facts = [_fact(name, folder) for name in sorted(then)]
    # Modules that it relies on since then, as code has moved, count once their meaning changes.
    since = _reached(today, lambda name: _imports(_text(name, folder)), folder) - then
    facts += [_fact(name, folder) for name in sorted(since) if (meaning(_text(name, folder)) or 1) > 1]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:12]


def _fact(name: str, folder: Path) -> str:
    version = meaning(_text(name, folder))
    if version is not None and version > 1:
        return f"{name} {version}"
    first = _first(name, folder)
    return first if first == _first_meanings().get(name) else code(first)


def _first(name: str, folder: Path) -> str:
    """The code of a module at version 1; today's text of one that declares no version, as a submission."""
    text = _text(name, folder)
    return text if meaning(text) is None else _first_meanings().get(name, text)


def _reached(names: Iterable[str], imports: Callable[[str], Iterable[str]], folder: Path) -> set[str]:
    """These modules of the folder, and those that they import, directly or through each other."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found and (_path(name, folder).exists() or name in _first_meanings()):
            found.add(name)
            waiting += imports(name)
    return found


@cache
def _imports(text: str) -> frozenset[str]:
    """The modules of this folder that a text may import, and other names; none where it is no Python."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except SyntaxError:
        return frozenset()
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(name.removeprefix("submissions.") for name in names if name.startswith("submissions."))


def _text(name: str, folder: Path) -> str:
    """Today's text of a module; its first code where the file is gone."""
    path = _path(name, folder)
    return path.read_text() if path.exists() else _first_meanings()[name]


def _path(name: str, folder: Path) -> Path:
    return folder / f"{name.replace('.', '/')}.py"


@cache
def _first_meanings() -> Mapping[str, str]:
    return json.loads((FOLDER / "first_meanings.json").read_text())
