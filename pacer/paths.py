"""Where things lie: the user's results and data, this machine's cache, and Pacer's own code.

Results go to the folder where the user is, what can be fetched again to the platform's cache. Nothing is made here.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import platformdirs

PACKAGES = ("pacer", "harness", "scoring", "submissions", "workloads")
"""The import names of all of Pacer."""

DATA_VARIABLE = "PACER_DATA"
"""The environment variable that names the folder of the datasets, for all commands."""


def default_results() -> Path:
    """The folder of the records where none is named: `results` in the working directory."""
    return Path("results").absolute()


def default_data() -> Path:
    """The folder of the datasets where none is named: that of PACER_DATA, else `data` in Pacer's cache."""
    named = os.environ.get(DATA_VARIABLE)
    return Path(named).expanduser().absolute() if named else user_cache() / "data"


def user_cache() -> Path:
    """This user's cache of Pacer, `~/.cache/pacer` on Linux."""
    return platformdirs.user_cache_path("pacer", appauthor=False).absolute()


@cache
def package_folders() -> tuple[Path, ...]:
    """The folders of Pacer's packages, in the order of PACKAGES."""
    specs = [find_spec(name) for name in PACKAGES]
    origins = [spec.origin for spec in specs if spec is not None and spec.origin is not None]
    return tuple(Path(origin).resolve().parent for origin in origins)


@cache
def source_tree() -> Path | None:
    """The folder of the sources that this code runs from, as a clone has them; None where Pacer is installed."""
    folder = Path(__file__).resolve().parents[1]
    return folder if (folder / "pyproject.toml").exists() else None


def is_installed_file(path: Path) -> bool:
    """Whether a path lies in an installed Pacer, where the next installation replaces what a user writes."""
    return source_tree() is None and any(path.resolve().is_relative_to(folder) for folder in package_folders())


def shadowing(folder: Path) -> list[str]:
    """Packages in a folder that have the name of one of Pacer's and are others."""
    own = package_folders()
    found = [folder / name for name in PACKAGES]
    return [path.name for path in found if (path / "__init__.py").exists() and path.resolve() not in own]


def python_command(*arguments: str) -> list[str]:
    """A command of this Python that imports nothing from the working directory; see `python_environment`."""
    return [sys.executable, "-P", *arguments]


def python_environment() -> dict[str, str]:
    """The environment in which a child process imports what this one does, wherever it is started."""
    entries = dict.fromkeys(os.path.abspath(entry) for entry in sys.path)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entries)}
