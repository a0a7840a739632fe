"""Hashes follow meaning: those of 2026 hold for ever, and what changes results changes them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from itertools import combinations
from pathlib import Path

import pytest

from submissions import environment, registry
from submissions.environment import environment_below
from submissions.registry import resolve
from tests.submissions.pin_meanings import PINS, pinned, shared_modules

HASHES = json.loads(Path(__file__).with_name("hashes.json").read_text())
"""Those that commit 0d574f6 gave, which made them of the text of what a submission imports."""

STYLE = Path(__file__).parents[1] / "algoperf_style"


@pytest.mark.parametrize("spec", HASHES["submissions"])
def test_the_hash_of_a_submission_is_that_of_its_recorded_trials(spec: str) -> None:
    assert resolve(spec).hash == HASHES["submissions"][spec]


@pytest.mark.parametrize("name", HASHES["algoperf_style"])
def test_so_is_that_of_a_folder_written_for_algoperf(name: str) -> None:
    assert resolve(str(STYLE / name)).hash == HASHES["algoperf_style"][name]


def test_so_is_that_of_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_package_version", lambda _: "torch==2.13.0+cpu")
    assert resolve("torch.optim:SGD").hash == "d875426f79d3"
    assert resolve("torch.optim:SGD(lr=0.1, momentum=0.9)@constant").hash == "28167b5c9444"


def test_so_is_that_of_whatever_a_users_file_imports() -> None:
    """All sets of up to three shared modules, one of the fifty among them, and the set of all."""
    names = list(HASHES["environments"])
    names.remove("")
    made = {
        " ".join(chosen): environment.environment("".join(f"from submissions.{name} import x\n" for name in chosen))
        for count in (0, 1, 2, 3, len(names))
        for chosen in combinations(names, count)
    }
    assert {name: made[name] for name in HASHES["environments"]} == HASHES["environments"]
    text = "\n".join(f"{name}: {digest}" for name, digest in made.items())
    assert hashlib.sha256(text.encode()).hexdigest() == HASHES["all environments"]


def test_so_are_those_below_the_two_adapters() -> None:
    assert environment_below("by_name") == HASHES["one-line form"]
    assert environment_below("algoperf.adapter") == HASHES["AlgoPerf folders"]


@pytest.mark.parametrize("name", shared_modules())
def test_a_shared_module_declares_its_meaning_and_its_code_is_pinned(name: str) -> None:
    text = shared_modules()[name]
    assert environment.meaning(text) is not None, (
        f"submissions/{name.replace('.', '/')}.py declares no version of its meaning; write below its imports: "
        "MEANING = 1  # raised when results change: see submissions/environment.py"
    )
    assert pinned(text) == json.loads(PINS.read_text()).get(name), (
        f"the code of submissions/{name.replace('.', '/')}.py changed: raise its MEANING if results may change; "
        "then, or if they do not, type: .venv/bin/python -m tests.submissions.pin_meanings"
    )


def test_no_pin_is_of_a_module_that_is_gone() -> None:
    assert json.loads(PINS.read_text()).keys() == shared_modules().keys()


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """A copy of submissions/."""
    return shutil.copytree(environment.FOLDER, tmp_path / "submissions")


def environments(folder: Path) -> dict[str, str]:
    """Those of all submissions of a folder, of the one-line form and of AlgoPerf's folders."""
    files = {path.stem: environment.environment(path.read_text(), folder) for path in registry.known().values()}
    below = {name: environment_below(name, folder) for name in ("by_name", "algoperf.adapter")}
    return files | below


def raise_meaning(path: Path) -> None:
    path.write_text(re.sub(r"^MEANING = 1\b", "MEANING = 2", path.read_text(), flags=re.MULTILINE))


def importers(folder: Path, name: str) -> set[str]:
    """What imports a module, directly or through others; the two adapters rely on themselves."""
    found, before = {name}, set[str]()
    texts = {
        ".".join(path.relative_to(folder).with_suffix("").parts): path.read_text() for path in folder.rglob("*.py")
    }
    while found != before:
        before = set(found)
        found |= {
            other
            for other, text in texts.items()
            if any(
                re.search(rf"^from submissions\.{re.escape(each)} import", text, re.MULTILINE) for each in before
            )
        }
    return found


@pytest.mark.parametrize("name", shared_modules())
def test_raising_a_meaning_changes_just_what_imports_it(name: str, folder: Path) -> None:
    before = environments(folder)
    raise_meaning(folder / f"{name.replace('.', '/')}.py")
    after = environments(folder)
    changed = {each for each in before if before[each] != after[each]}
    assert changed == importers(folder, name) & before.keys()
    assert len({after[each] for each in changed}) <= len({before[each] for each in changed})


@pytest.mark.parametrize("name", shared_modules())
def test_other_text_of_the_same_meaning_changes_nothing(name: str, folder: Path) -> None:
    before = environments(folder)
    with open(folder / f"{name.replace('.', '/')}.py", "a") as file:
        file.write("\nfrom submissions.parts.averages import Average as _\nMOVED = True\n")
    assert environments(folder) == before


def test_code_that_moved_counts_once_its_meaning_changes(folder: Path) -> None:
    before = environments(folder)
    (folder / "hooks.py").write_text("MEANING = 1\n")
    with open(folder / "parts" / "schedules.py", "a") as file:
        file.write("\nfrom submissions import hooks\n")
    assert environments(folder) == before
    raise_meaning(folder / "hooks.py")
    after = environments(folder)
    changed = {each for each in before if before[each] != after[each]}
    assert changed == importers(folder, "parts.schedules") & before.keys()


def test_a_module_that_was_merged_into_another_still_counts(folder: Path) -> None:
    before = environments(folder)
    (folder / "parts" / "spaces.py").unlink()
    assert environments(folder) == before


def test_a_submission_that_another_one_imports_counts_by_its_code(folder: Path) -> None:
    text = "from submissions.nadamw import NAdamW\n"
    before = environment.environment(text, folder)
    path = folder / "nadamw.py"
    path.write_text(f"{path.read_text()}\n# a comment")
    assert environment.environment(text, folder) == before
    path.write_text(f"{path.read_text()}\nCHANGED = True\n")
    assert environment.environment(text, folder) != before


@pytest.mark.parametrize("text", ["import submissions.ranks\n", "from submissions import ranks\n", "def (:\n"])
def test_an_import_that_hashes_did_not_see_counts_once_its_meaning_changes(text: str, folder: Path) -> None:
    before = environment.environment(text, folder)
    assert before == environment.environment("", folder)
    raise_meaning(folder / "ranks.py")
    assert (environment.environment(text, folder) != before) == ("ranks" in text)
