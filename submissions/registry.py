"""Finds submissions, without running them, and loads one, which runs it: only a trial's player does that."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

from submissions.base import Submission
from submissions.by_name import OptimizerByName, parse

_FOLDER = Path(__file__).parent
_IMPORT = re.compile(r"^from submissions\.(\w+) import", re.MULTILINE)


class UnknownSubmissionError(ValueError):
    """No submission goes by that name, path or class."""


@dataclass(frozen=True)
class SubmissionRef:
    """A submission that has not been run: its name on the board and its text, a file's or one line's.

    `filename` is None for the one-line form. `environment` stands for what the text relies on: the shared parts of
    this folder that it imports, and the package version that a line refers to.
    """

    name: str
    text: str
    filename: str | None = None
    environment: str = ""

    @property
    def hash(self) -> str:
        """Twelve hex digits over everything that makes two submissions different."""
        facts = "\0".join([self.name, self.text, self.filename or "", self.environment])
        return hashlib.sha256(facts.encode()).hexdigest()[:12]


def known() -> dict[str, Path]:
    """The files of this folder that define a submission, by name. Raises ValueError where two share a name."""
    found: dict[str, Path] = {}
    for path in sorted(_FOLDER.glob("*.py")):
        name = _declared_name(path.read_text(), path.name)
        if name is None:
            continue
        if name in found:
            raise ValueError(f"{found[name].name} and {path.name} both define a submission named {name!r}")
        found[name] = path
    return found


def resolve(spec: str) -> SubmissionRef:
    """The submission that a name of this folder, a path to a .py file, or a line like torch.optim:SGD means."""
    spec = spec.strip()
    if spec.endswith(".py"):
        path = Path(spec).expanduser()
        if not path.is_file():
            raise UnknownSubmissionError(
                f"there is no file {path.absolute()}; pass the path of a submission's .py file"
            )
        text = path.read_text()
        name = _declared_name(text, path.name) or path.stem
        taken = known().get(name)
        if taken is not None and taken != path.resolve():
            raise UnknownSubmissionError(
                f"{path} names itself {name!r}, which submissions/{taken.name} is already; give it another `name`"
            )
        return SubmissionRef(name=name, text=text, filename=path.name, environment=_parts(text))
    if ":" in spec:
        try:
            module = parse(spec).module
        except ValueError as error:
            raise UnknownSubmissionError(str(error)) from None
        parts = _parts((_FOLDER / "by_name.py").read_text())
        return SubmissionRef(name=spec, text=spec, environment=f"{_package_version(module)} {parts}")
    files = known()
    if spec not in files:
        raise UnknownSubmissionError(
            f"there is no submission {spec!r}; known: {', '.join(files)}. "
            "Or pass a path to a .py file, or a class like torch.optim:RMSprop"
        )
    text = files[spec].read_text()
    return SubmissionRef(name=spec, text=text, filename=files[spec].name, environment=_parts(text))


def summary(path: Path) -> str:
    """The first line of a submission file's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


def load(ref: SubmissionRef, scratch: Path) -> Submission:
    """Runs a submission's file, from a copy in `scratch`, and makes its instance. Raises whatever that raises."""
    if ref.filename is None:
        return OptimizerByName(ref.text)
    path = scratch / Path(ref.filename).name
    path.write_text(ref.text)
    spec = importlib.util.spec_from_file_location(f"submission_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Submission) and value.__module__ == spec.name
    ]
    if len(classes) != 1:
        raise TypeError(
            f"{ref.filename} defines {len(classes)} subclasses of submissions.base.Submission, expected exactly one"
        )
    return classes[0]()


def _declared_name(source: str, filename: str) -> str | None:
    """The `name = "..."` of the first class that subclasses Submission; None where none can be read."""
    try:
        tree = ast.parse(source, filename)
    except SyntaxError:
        return None
    for node in tree.body:
        if not (isinstance(node, ast.ClassDef) and any(ast.unparse(b).endswith("Submission") for b in node.bases)):
            continue
        for line in node.body:
            if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "name":
                value = line.value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    return value.value
    return None


def _parts(source: str) -> str:
    """A hash over the modules of this folder that a source imports, directly or through each other."""
    texts: dict[str, str] = {}
    waiting = [source]
    while waiting:
        for name in _IMPORT.findall(waiting.pop()):
            path = _FOLDER / f"{name}.py"
            if name not in texts and path.exists():
                texts[name] = path.read_text()
                waiting.append(texts[name])
    return hashlib.sha256("\0".join(texts[name] for name in sorted(texts)).encode()).hexdigest()[:12]


def _package_version(module: str) -> str:
    top = module.split(".")[0]
    names = _distributions().get(top)
    if names:
        return f"{names[0]}=={version(names[0])}"
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise UnknownSubmissionError(
            f"no module {top!r} is installed; type: .venv/bin/pip install {top}, or put it on PYTHONPATH"
        )
    origin = Path(spec.origin)
    files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())
