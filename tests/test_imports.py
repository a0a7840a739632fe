"""Imports point one way, and the heavy packages are imported only where they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("pacer", "workloads", "submissions", "harness", "scoring")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
LEAVES = ("pacer.errors", "pacer.paths", "pacer.target", "pacer._version")
"""Anything may import them, and they import nothing of ours."""

MAY_IMPORT = {
    "workloads": {"workloads"},
    "submissions": {"submissions", "workloads"},
    "scoring": {"scoring"},
    "harness": {"harness", "submissions", "workloads", "scoring"},
    "pacer": {"pacer", "harness", "scoring"},
}
# Of the harness, each part imports only those that stand before it.
LAYERS = ("system", "protocol", "player", "trial", "cluster", "algoperf", "report", "runs", "studies", "commands")
ON_TOP = ("cli", "__main__")
ONLY_IN = {"ray": "harness/cluster/*.py", "mlflow": "scoring/m*.py"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path, *, top_level: bool = False) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    ours = {name for name in imported(path) if name.split(".")[0] in PACKAGES}
    if module_name(path) in LEAVES:
        assert not ours
    above = {name for name in ours if not name.startswith(LEAVES) and name != "pacer"}
    assert {name.split(".")[0] for name in above} <= MAY_IMPORT[package]
    for heavy, place in ONLY_IN.items():
        if any(name.split(".")[0] == heavy for name in imported(path)):
            assert any(path.relative_to(ROOT).match(pattern) for pattern in place.split())


@pytest.mark.parametrize("path", sorted((ROOT / "scoring" / "records").glob("*.py")), ids=lambda path: path.name)
def test_records_are_a_leaf(path: Path) -> None:
    ours = {name for name in imported(path) if name.split(".")[0] in PACKAGES}
    assert all(name.startswith(("scoring.records", *LEAVES)) or name == "pacer" for name in ours)


def test_the_harness_is_built_in_layers() -> None:
    order = (*LAYERS, *ON_TOP)
    for path in sorted((ROOT / "harness").rglob("*.py")):
        layer = module_name(path).split(".")[1:2]
        if not layer:
            continue
        below = {name.split(".")[1] for name in imported(path) if name.startswith("harness.")}
        above = {name for name in below if order.index(name) > order.index(layer[0])}
        assert not above, f"{path} imports {above}"


def test_no_cycles() -> None:
    names = {module_name(path): path for path in FILES}
    graph = {
        name: {n for n in imported(path, top_level=True) if n in names} - {name} for name, path in names.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for other in graph[name]:
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("scoring.board", {"torch", "ray", "mlflow"}),
        ("harness.cluster.driver_services", {"torch", "mlflow"}),
        ("harness.runs.single", {"ray", "mlflow"}),
        ("harness.cli", {"torch", "ray", "mlflow"}),
    ],
)
def test_a_part_runs_without_what_it_does_not_need(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(sorted({absent!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
