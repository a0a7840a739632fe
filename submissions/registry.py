"""Finds submissions, without running them, and loads one, which runs it: only a trial's player does that."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

from submissions import points
from submissions.algoperf import compat, folder
from submissions.algoperf.adapter import AlgoPerfSubmission
from submissions.algoperf.folder import Folder, FolderError
from submissions.base import Submission
from submissions.by_name import OptimizerByName, parse
from submissions.environment import code, environment, environment_below
from workloads.base import Workload

_FOLDER = Path(__file__).parent
_NAME = re.compile(r"\w[\w.-]{0,63}", re.ASCII)
LITERATURE, TUNED = "literature", "tuned"
"""The two sets of defaults, as they are asked for: NAME@literature, NAME@tuned."""
_FORMERLY_TUNED = "calibrated"


class UnknownSubmissionError(ValueError):
    """No submission goes by that name, path or class."""


@dataclass(frozen=True)
class SubmissionRef:
    """A submission that has not been run: its name on the board and its text, a file's or one line's.

    `filename` is None for the one-line form. `environment` stands for what the text relies on: the shared modules
    of this folder that it imports, and the package version that a line refers to. `point` is the tuned point,
    None where the defaults of the text itself count. `folder` holds all files of a submission written for AlgoPerf.
    """

    name: str
    text: str
    filename: str | None = None
    environment: str = ""
    point: Mapping[str, object] | None = None
    folder: Folder | None = None

    @property
    def source(self) -> str:
        """All that the submission's author wrote, for reading."""
        if self.folder is None:
            return self.text
        return "".join(f"# ---- {name}\n{text}\n" for name, text in self.folder.files.items())

    @property
    def requirements(self) -> str | None:
        """The text of its `requirements.txt`, None where it has none."""
        return None if self.folder is None else self.folder.files.get(folder.REQUIREMENTS)

    @property
    def hash(self) -> str:
        """Twelve hex digits over all that makes two submissions different; comments and docstrings do not."""
        point = "" if self.point is None else json.dumps(self.point, sort_keys=True)
        files = () if self.folder is None else (json.dumps(dict(self.folder.files), sort_keys=True),)
        facts = "\0".join([self.name, code(self.text), self.filename or "", self.environment, point, *files])
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
    """The submission that a name of this folder, a path to a .py file or to an AlgoPerf submission's folder, or a
    line like torch.optim:SGD means.

    A name or path stands for the tuned point where there is one; with `@literature` for the author's own
    defaults, and the submission is then named so. Raises UnknownSubmissionError.
    """
    spec = spec.strip()
    if ":" in spec:
        try:
            module = parse(spec).module
        except ValueError as error:
            raise UnknownSubmissionError(str(error)) from None
        parts = environment_below("by_name")
        return SubmissionRef(name=spec, text=spec, environment=f"{_package_version(module)} {parts}")
    if spec not in known() and (found := _algoperf_folder(Path(spec).expanduser())) is not None:
        return found
    base, at, defaults = spec.partition("@")
    if at and defaults not in (LITERATURE, TUNED, _FORMERLY_TUNED):
        raise UnknownSubmissionError(
            f"{spec!r}: there are no defaults {defaults!r}; expected @{LITERATURE} or @{TUNED}"
        )
    path, name = locate(base)
    text = path.read_text()
    tuned = points.load(path, name)
    if defaults in (TUNED, _FORMERLY_TUNED) and tuned is None:
        raise UnknownSubmissionError(f"{name} has not been tuned; type: make tune SUBMISSION={base}")
    own = defaults == LITERATURE
    return SubmissionRef(
        name=f"{name}@{LITERATURE}" if own else name,
        text=text,
        filename=path.name,
        environment=environment(text),
        point=None if own or tuned is None else tuned.point,
    )


def locate(spec: str) -> tuple[Path, str]:
    """The file that a name of this folder or a path means, and the submission's name in it.

    Raises UnknownSubmissionError.
    """
    files = known()
    if spec in files:
        return files[spec], spec
    if not spec.endswith(".py"):
        raise UnknownSubmissionError(
            f"there is no submission {spec!r}; known: {', '.join(files)}. "
            "Or pass a path to a .py file or to a folder with an AlgoPerf submission, or a class like "
            "torch.optim:RMSprop"
        )
    path = Path(spec).expanduser()
    if not path.is_file():
        raise UnknownSubmissionError(
            f"there is no file {path.absolute()}; pass the path of a submission's .py file"
        )
    name = _declared_name(path.read_text(), path.name) or path.stem
    if not _NAME.fullmatch(name):
        raise UnknownSubmissionError(
            f"{path} names itself {name!r}; expected a name of 1 to 64 letters, digits and any of _ . -"
        )
    taken = files.get(name)
    if taken is not None and taken != path.resolve():
        raise UnknownSubmissionError(
            f"{path} names itself {name!r}, which submissions/{taken.name} is already; give it another `name`"
        )
    return path, name


def load(ref: SubmissionRef, scratch: Path, workload: Workload) -> Submission:
    """Runs a submission's file, from a copy in `scratch`, and makes its instance. Raises whatever that raises.

    The workload is not for the submission: it tells the adapter of AlgoPerf's interface what to stand in for.
    """
    if ref.filename is None:
        return OptimizerByName(ref.text)
    if ref.folder is not None:
        compat.install()
        module = folder.load(ref.folder, scratch)
        return AlgoPerfSubmission(ref.name, module, ref.folder.space, workload)
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


def _algoperf_folder(path: Path) -> SubmissionRef | None:
    """The AlgoPerf submission at a path, None where there is none. Raises UnknownSubmissionError."""
    try:
        place = folder.find(path)
        if place is None or (path.is_file() and _declared_name(path.read_text(), path.name) is not None):
            return None
        found = folder.read(place)
    except (FolderError, OSError, UnicodeDecodeError) as error:
        raise UnknownSubmissionError(str(error)) from None
    return SubmissionRef(
        name=folder.name_of(place),
        text=found.files[folder.MAIN],
        filename=folder.MAIN,
        environment=environment_below("algoperf.adapter"),
        folder=found,
    )


@cache
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
