"""Finds what belongs to an AlgoPerf submission on disk, and loads it inside a player."""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from submissions.space import Choice, Domain, LogUniform, Points, Space, Uniform

MAIN, SEARCH_SPACE, REQUIREMENTS = "submission.py", "tuning_search_space.json", "requirements.txt"
_FUNCTIONS = ("init_optimizer_state", "update_params", "get_batch_size", "data_selection")
_JAX = {"jax", "flax", "optax"}
_KEPT = {".py", ".json", ".txt", ".yaml", ".yml", ".toml"}
_HIDDEN = {"__pycache__", ".git", ".venv"}
_MOST_BYTES = 4_000_000


class FolderError(ValueError):
    """A folder holds no submission that can be run."""


@dataclass(frozen=True)
class Folder:
    """A submission's folder: its own name, and the texts of its files by path inside it."""

    name: str
    files: Mapping[str, str]

    @property
    def space(self) -> Space:
        """What the search space file says, nothing where there is none. Raises FolderError for a bad one."""
        if SEARCH_SPACE not in self.files:
            return {}
        try:
            found = json.loads(self.files[SEARCH_SPACE])
            if isinstance(found, list):
                return Points(tuple(found))
            return {name: _domain(**told) for name, told in found.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise FolderError(
                f"{SEARCH_SPACE} cannot be read ({error}); expected a list of points, or for each name either "
                '{"feasible_points": [...]} or {"min": low, "max": high, "scaling": "linear" or "log"}'
            ) from None


def find(path: Path) -> Path | None:
    """The folder of the PyTorch `submission.py` that a path means, at it or in a `pytorch` below; None for none.

    Raises FolderError where there is one for JAX only.
    """
    folder = path.parent if path.name == MAIN else path
    for place in (folder, folder / "pytorch"):
        if (place / MAIN).is_file() and not _for_jax((place / MAIN).read_text()):
            return place
    if any((place / MAIN).is_file() for place in (folder, folder / "pytorch", folder / "jax")):
        raise FolderError(f"{folder} holds a submission for JAX; Pacer trains in PyTorch, so pass a PyTorch one")
    return None


def name_of(folder: Path) -> str:
    """The name on the board: that of the folder, or of the one above where it is only called after PyTorch."""
    folder = folder.resolve()
    return f"algoperf/{folder.parent.name if folder.name == 'pytorch' else folder.name}"


def read(folder: Path) -> Folder:
    """A folder's files. Raises FolderError for what cannot be run."""
    files = {
        str(PurePosixPath(path.relative_to(folder))): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.suffix in _KEPT and path.is_file() and not _HIDDEN & {*path.parts}
    }
    above = folder.parent / SEARCH_SPACE
    if folder.name == "pytorch" and SEARCH_SPACE not in files and above.is_file():
        files[SEARCH_SPACE] = above.read_text()
    if (size := sum(map(len, files.values()))) > _MOST_BYTES:
        raise FolderError(f"{folder} holds {size} bytes of text, expected at most {_MOST_BYTES}: only a submission")
    try:
        tree = ast.parse(files[MAIN])
    except SyntaxError as error:
        raise FolderError(f"{folder / MAIN}, line {error.lineno}: {error.msg}") from None
    defined = {name for node in tree.body for name in _bound(node)}
    if missing := [name for name in _FUNCTIONS if name not in defined]:
        raise FolderError(f"{folder / MAIN} lacks {', '.join(missing)}, which AlgoPerf's interface asks for")
    found = Folder(folder.resolve().name, files)
    _ = found.space  # raises for one that cannot be read
    return found


def load(folder: Folder, scratch: Path) -> ModuleType:
    """Writes the files to `scratch` and runs `submission.py` there. Raises whatever that raises.

    Modules beside it are found by their own names, and by a path that ends in the folder's name, as in
    `from submissions.self_tuning.FOLDER.helper import f`.
    """
    for name, text in folder.files.items():
        place = scratch / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    sys.path.insert(0, str(scratch))
    for text in (text for name, text in folder.files.items() if name.endswith(".py")):
        for module in _imports(text):
            _make_findable(module, folder.name, scratch)
    spec = importlib.util.spec_from_file_location("submission", scratch / MAIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["submission"] = module
    spec.loader.exec_module(module)
    return module


def _domain(
    feasible_points: list[Any] | None = None,
    min: float | None = None,
    max: float | None = None,
    scaling: str = "linear",
) -> Domain:
    if feasible_points is not None:
        return Choice(*feasible_points)
    if scaling not in ("linear", "log"):
        raise ValueError(f"scaling is {scaling!r}")
    if min is None or max is None:
        raise ValueError("neither feasible_points nor min and max")
    if min == max:
        return Choice(min)
    return LogUniform(min, max) if scaling == "log" else Uniform(min, max)


def _for_jax(text: str) -> bool:
    tops = {name.partition(".")[0] for name in _imports(text)}
    return bool(tops & _JAX) and "torch" not in tops


def _imports(text: str) -> Iterator[str]:
    """The modules that a source imports, by their full names; none where it is no Python."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement at the top of a module binds."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.ImportFrom | ast.Import):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _make_findable(module: str, folder_name: str, scratch: Path) -> None:
    """Makes empty packages for the path to the submission's folder in the repository that it was written in."""
    *path, _ = (*module.split("."), "")
    if folder_name not in path:
        return
    for depth in range(1, path.index(folder_name) + 2):
        name = ".".join(path[:depth])
        if name not in sys.modules:
            sys.modules[name] = ModuleType(name)
            sys.modules[name].__path__ = []
    sys.modules[".".join(path[: path.index(folder_name) + 1])].__path__ = [str(scratch)]
