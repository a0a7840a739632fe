"""`make mutants`: changes the code in small ways, one at a time, and sees whether the tests notice.

cosmic-ray makes the mutants (a comparison turned round, a number off by one, a condition negated, a decorator
dropped) in copies of the tree, one a core, and runs the tests of the area that the changed file belongs to. All
mutants of an area take hours, so a random sample of a fixed seed is tried: the share that is killed comes with its
95 % interval. What cannot change anything at run time, annotations, is left out. Survivors are printed with their
change.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkItem
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from scipy.stats import binomtest

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True)
class Area:
    """Some code and the tests that should notice when it changes. All are patterns of paths from the root."""

    code: tuple[str, ...]
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()


AREAS = {
    "records": Area(
        code=("scoring/records/*.py",), tests=("tests/scoring/test_record*.py", "tests/scoring/test_remote.py")
    ),
    "scoring": Area(
        code=("scoring/*.py", "scoring/*/*.py"),
        without=("scoring/records/*", "scoring/m*.py", "scoring/charts.py", "scoring/export.py"),
        tests=("tests/scoring/test_*.py",),
    ),
    "protocol": Area(
        code=("harness/protocol/*.py",),
        tests=tuple(
            f"tests/harness/test_{name}.py"
            for name in ("ending", "plan", "racing", "seeds", "step_time", "variants", "referee", "cli", "commands")
        ),
    ),
    "trial": Area(
        code=("harness/trial/*.py",),
        without=("harness/trial/remote_*.py",),
        tests=tuple(
            f"tests/harness/test_{name}.py"
            for name in ("clock", "contention", "referee", "state", "evaluator", "trial", "checkpoints")
        ),
    ),
    "player": Area(
        code=("harness/player/*.py",),
        without=("harness/player/cuda.py", "harness/player/rank_group.py"),
        tests=(
            *(f"tests/harness/test_{name}.py" for name in ("batches", "messages", "snapshot", "formats")),
            *(f"tests/harness/test_{name}.py" for name in ("trial", "checkpoints")),
            "tests/faults/test_bad_submissions.py",
        ),
    ),
}
"""What needs several devices or machines, a GPU, a browser or MLflow is left out: tests of it take minutes."""

NOT_RUN = (
    *(f"tests/scoring/test_{name}.py" for name in ("mirror", "browser", "charts", "records", "remote")),
    "tests/scoring/test_record_schemas.py",
)
"""Tests of the folder scoring that are of code that its area leaves out."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of the mutants of an area: the changes that no test noticed, by file and as a diff."""

    area: str
    tried: int
    survivors: tuple[tuple[str, str], ...]

    def as_text(self) -> str:
        """One line: the share killed, with the exact 95 % interval of a binomial share (Clopper and Pearson)."""
        killed = self.tried - len(self.survivors)
        interval = binomtest(killed, self.tried).proportion_ci(0.95)
        span = f"[{interval.low:.0%}, {interval.high:.0%}]"
        return f"{self.area:<10} {killed} of {self.tried} killed, {killed / self.tried:.0%} {span}"


def main() -> int:
    """Tries mutants of the areas that are named, all by default; 1 where fewer than 90 % are killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"of {', '.join(AREAS)}; all by default")
    parser.add_argument("--sample", type=int, default=50, help="mutants of each area (50)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    options = parser.parse_args()
    if unknown := set(options.areas) - set(AREAS):
        parser.error(f"there is no area {', '.join(sorted(unknown))}; name some of: {', '.join(AREAS)}")
    console = Console()
    results = []
    for name in options.areas or AREAS:
        results.append(_area(name, options.sample, options.seed, console))
        for path, diff in results[-1].survivors:
            console.print(f"survived in {path}:\n{diff}\n", markup=False, highlight=False)
    for result in results:
        console.print(result.as_text(), markup=False, highlight=False)
    tried = sum(result.tried for result in results)
    everything = tuple(survivor for result in results for survivor in result.survivors)
    total = Result(area="all", tried=tried, survivors=everything)
    console.print(total.as_text(), markup=False, highlight=False)
    return 0 if len(everything) <= 0.1 * tried else 1


def _area(name: str, sample: int, seed: int, console: Console) -> Result:
    area = AREAS[name]
    code = [path for path in _matching(area.code) if not any(fnmatch(path, each) for each in area.without)]
    tests = [path for path in _matching(area.tests) if name != "scoring" or path not in NOT_RUN]
    with ExitStack() as held:
        copies = [
            Path(held.enter_context(tempfile.TemporaryDirectory(prefix="pacer-mutants-")))
            for _ in range(os.cpu_count() or 1)
        ]
        for copy in copies:
            _copy_tree(copy)
        started = time.monotonic()
        _must_pass(copies[0], tests)
        timeout_s = 30 + 3 * (time.monotonic() - started)
        for copy in copies:
            (copy / "mutants.toml").write_text(_config(code, tests, timeout_s))
            _run(copy, "init", "mutants.toml", "mutants.sqlite")
        with use_db(copies[0] / "mutants.sqlite", WorkDB.Mode.open) as database:
            items = sorted((i for i in database.work_items if _matters(i.mutations[0])), key=_order)
        chosen = random.Random(seed).sample(items, min(sample, len(items)))
        console.print(f"{name}: {len(chosen)} of {len(items)} mutants of {len(code)} files", highlight=False)
        return Result(area=name, tried=len(chosen), survivors=tuple(_tried(copies, chosen, console)))


def _matching(patterns: Sequence[str]) -> list[str]:
    found = {path for pattern in patterns for path in ROOT.glob(pattern) if path.name != "__init__.py"}
    return sorted(str(path.relative_to(ROOT)) for path in found)


def _copy_tree(copy: Path) -> None:
    """The files that git knows, or would take; of what it ignores, the virtual environment."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / ".venv").symlink_to(Path(sys.prefix).resolve())


def _command(tests: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-n", "0", *tests]


def _must_pass(copy: Path, tests: Sequence[str]) -> None:
    """Runs the tests on the code as it is. Raises SystemExit where they fail: they would fail on any mutant."""
    done = subprocess.run(
        _command(tests), cwd=copy, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"the tests fail before anything was changed:\n{done.stdout[-3000:]}")


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _config(code: Sequence[str], tests: Sequence[str], timeout_s: float) -> str:
    command = " ".join(_command(tests)).replace('"', '\\"')
    return (
        f"[cosmic-ray]\nmodule-path = {list(code)!r}\ntimeout = {timeout_s:.0f}\nexcluded-modules = []\n"
        f'test-command = "{command}"\n[cosmic-ray.distributor]\nname = "local"\n'
    )


def _run(copy: Path, *arguments: str) -> None:
    program = Path(sys.executable).with_name("cosmic-ray")
    subprocess.run([program, *arguments], cwd=copy, env=_environment(), check=True, stdout=subprocess.DEVNULL)


def _matters(mutation: MutationSpec) -> bool:
    """Whether a mutant can change anything at run time: annotations are never evaluated."""
    row = mutation.start_pos[0]
    return not any(
        start <= (row, mutation.start_pos[1]) < end for start, end in _annotations(str(mutation.module_path))
    )


@cache
def _annotations(path: str) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...]:
    """Where the annotations of a file are: (row, column) of their starts and ends."""
    return tuple(_spans(ast.parse((ROOT / path).read_text())))


def _spans(tree: ast.AST) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for node in ast.walk(tree):
        for each in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(each, ast.expr):
                yield (each.lineno, each.col_offset), (each.end_lineno or 0, each.end_col_offset or 0)


def _order(item: WorkItem) -> tuple[str, str, int]:
    """The same order in every run: cosmic-ray's numbers of mutants are random."""
    mutation = item.mutations[0]
    return str(mutation.module_path), f"{mutation.operator_name} {mutation.operator_args}", mutation.occurrence


def _tried(copies: Sequence[Path], chosen: Sequence[WorkItem], console: Console) -> Iterator[tuple[str, str]]:
    """Runs the mutants, some in each copy; yields those that survived."""
    sessions = [copy / "mutants.sqlite" for copy in copies]
    running = []
    for number, (copy, session) in enumerate(zip(copies, sessions, strict=True)):
        with use_db(session, WorkDB.Mode.open) as database:
            database.clear()
            database.add_work_items(chosen[number :: len(copies)])
        program = Path(sys.executable).with_name("cosmic-ray")
        command = [program, "exec", "mutants.toml", "mutants.sqlite"]
        running.append(subprocess.Popen(command, cwd=copy, env=_environment(), stdout=subprocess.DEVNULL))
    columns = (TextColumn("mutants"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(chosen))
        while any(process.poll() is None for process in running):
            time.sleep(1.0)
            progress.update(task, completed=sum(_finished(session) for session in sessions))
    for session in sessions:
        with use_db(session, WorkDB.Mode.open) as database:
            for item, result in database.completed_work_items:
                if result.test_outcome is TestOutcome.SURVIVED:
                    yield str(item.mutations[0].module_path), result.diff or ""


def _finished(session: Path) -> int:
    with use_db(session, WorkDB.Mode.open) as database:
        return database.num_results


if __name__ == "__main__":
    sys.exit(main())
