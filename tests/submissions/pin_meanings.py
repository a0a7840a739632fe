"""The code of the shared modules, pinned: `.venv/bin/python -m tests.submissions.pin_meanings` pins it as it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from submissions import environment, registry

PINS = Path(__file__).with_name("meanings.json")
TOOLS = {"about", "algoperf.folder", "environment", "points", "registry"}
"""Modules that find and describe submissions, and that no submission imports."""


def shared_modules() -> dict[str, str]:
    """The text of each module that a submission may import, by name."""
    own = set(registry.known().values())
    paths = (
        path for path in sorted(environment.FOLDER.rglob("*.py")) if path.stem != "__init__" and path not in own
    )
    names = {".".join(path.relative_to(environment.FOLDER).with_suffix("").parts): path for path in paths}
    return {name: path.read_text() for name, path in names.items() if name not in TOOLS}


def pinned(text: str) -> dict[str, object]:
    """A module's version and a digest of its code, without its version, comments and docstrings."""
    code = environment.code(text).replace(f"MEANING = {environment.meaning(text)}", "")
    return {"meaning": environment.meaning(text), "code": hashlib.sha256(code.encode()).hexdigest()[:12]}


if __name__ == "__main__":
    PINS.write_text(json.dumps({name: pinned(text) for name, text in shared_modules().items()}, indent=1) + "\n")
