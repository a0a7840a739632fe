"""Where AlgoPerf's published logs lie, and of which trials they are."""

from __future__ import annotations

import re
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.algoperf.facts import Leaderboard, all_leaderboards
from pacer.errors import UsageError
from scoring.selection import some

SHOWN = 3
"""How many of the paths with a fault a report names."""

PUBLISHED_LOGS = Path(__file__).with_name("published_logs.tar.xz")
"""AlgoPerf's published logs, thinned; tests/data/make_algoperf_logs.py made it."""

_LAYOUT = "SUBMISSION/study_N/WORKLOAD_(jax|pytorch)/trial_M/eval_measurements.csv"
_DEPTH = 4  # folders between the one that is named and the submissions

Faults = dict[str, list[str]]
"""What is wrong, and the paths where it is."""


@dataclass(frozen=True, kw_only=True)
class TrialLog:
    """Where the log of one trial is, and what its path says of the trial."""

    submission: str
    study: int
    workload: str
    framework: str
    trial: int
    folder: Path

    @property
    def path(self) -> str:
        """The trial's folder below that of the submissions."""
        return "/".join(self.folder.parts[-4:])


def find_submissions(folder: Path, ruleset: str) -> Path:
    """The folder that holds the submissions, which is `folder` or one below it.

    Raises UsageError where there is none, or more than one of the ruleset.
    """
    expected = f"expected a folder with {_LAYOUT} in it, or one above it such as logs/{ruleset}_tuning"
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; {expected}")
    if _numbered(folder, "study"):
        raise UsageError(f"{folder} is one submission; name the folder above: {folder.resolve().parent}")
    found = list(submission_folders(folder))
    if not found:
        there = some(sorted(path.name for path in folder.iterdir()), SHOWN) or "nothing"
        raise UsageError(f"{folder} holds no logs, it has: {there}; {expected}")
    # The published logs say in a folder's name which ruleset they are of: another's are not taken for this one.
    fitting = [path for path in found if path.name == f"{ruleset}_tuning" or not path.name.endswith("_tuning")]
    if len(fitting) != 1:
        which = "none of them" if not fitting else "more than one"
        raise UsageError(
            f"{folder} has logs under {some([str(path) for path in found], SHOWN)}, and {which} fits the ruleset "
            f"{ruleset}; name one of them, with its ruleset"
        )
    return fitting[0]


@contextmanager
def published() -> Iterator[Path]:
    """A folder with the published logs that come with Pacer, unpacked while the context lasts."""
    with tempfile.TemporaryDirectory() as unpacked:
        with tarfile.open(PUBLISHED_LOGS) as archive:
            archive.extractall(unpacked, filter="data")
        yield Path(unpacked)


def leaderboards(folder: Path) -> list[tuple[Leaderboard, Path]]:
    """The leaderboards below `folder` whose path says what they are, as `algoperf_v06/logs/external_tuning` does.

    Raises UsageError where there is none.
    """
    found = [
        (facts, path)
        for facts in all_leaderboards()
        for path in (submission_folders(folder.resolve()) if folder.is_dir() else ())
        if path.name == f"{facts.ruleset}_tuning"
        and any(name.endswith((facts.version, f"v{facts.version.replace('.', '')}")) for name in path.parts)
    ]
    if not found:
        raise UsageError(
            f"{folder} has no logs whose folders say what they are; expected some such as "
            "algoperf_v06/logs/external_tuning/SUBMISSION/study_0 below it. To say it yourself, type: "
            ".venv/bin/python -m harness import-algoperf DIR --version 0.6 --ruleset external"
        )
    return found


def submission_folders(folder: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """The folders that hold submissions, among `folder` and those below it."""
    below = _folders(folder)
    if any(_numbered(path, "study") for path in below):
        yield folder
    elif depth:
        for path in below:
            yield from submission_folders(path, depth - 1)


def trials_of(root: Path, facts: Leaderboard, faults: Faults) -> list[TrialLog]:
    """The trials of all submissions on the leaderboard's workloads; what does not belong there is a fault."""
    trials: list[TrialLog] = []
    for submission in _folders(root):
        own = list(_of_submission(submission, facts, faults))
        if own:
            trials += own
            _count(submission.name, own, facts, faults)
        else:
            faults["no trials in the folder of a submission, left out"].append(submission.name)
    return trials


def _of_submission(folder: Path, facts: Leaderboard, faults: Faults) -> Iterator[TrialLog]:
    seen: dict[tuple[int, str], str] = {}
    for study, study_folder in _numbered(folder, "study", faults):
        for path in _folders(study_folder):
            workload, _, framework = path.name.rpartition("_")
            where = f"{folder.name}/{study_folder.name}/{path.name}"
            if framework not in ("jax", "pytorch") or workload not in facts.workloads:
                faults[f"no workload of AlgoPerf {facts.version}, left out"].append(where)
            elif workload not in facts.used:
                faults["a variant that is not part of this leaderboard, left out"].append(where)
            elif (study, workload) in seen:
                faults[f"a second framework for the same workload, left out beside {seen[study, workload]}"].append(
                    where
                )
            else:
                seen[study, workload] = framework
                for trial, trial_folder in _numbered(path, "trial", faults):
                    yield TrialLog(
                        submission=folder.name,
                        study=study,
                        workload=workload,
                        framework=framework,
                        trial=trial,
                        folder=trial_folder,
                    )


def _count(submission: str, trials: Sequence[TrialLog], facts: Leaderboard, faults: Faults) -> None:
    """Names the workloads without logs, and those with more or fewer studies or trials than the rules ask for."""
    studies: dict[str, dict[int, int]] = {name: defaultdict(int) for name in facts.used}
    for trial in trials:
        studies[trial.workload][trial.study] += 1
    for workload, counts in studies.items():
        cell = f"{submission} on {workload}"
        if not counts:
            if workload not in facts.added:
                faults["no logs, a miss"].append(cell)
        elif len(counts) != facts.studies:
            faults[f"{len(counts)} studies instead of {facts.studies}"].append(cell)
        for study, count in counts.items():
            if count != facts.trials:
                faults[f"{count} trials a study instead of {facts.trials}"].append(f"{cell}, study {study}")


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder by name, hidden ones aside; none where it may not be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except PermissionError:
        return []


def _numbered(folder: Path, kind: str, faults: Faults | None = None) -> list[tuple[int, Path]]:
    """The folders `study_3` or `trial_1` with their numbers, in the order of these; others are faults."""
    found = []
    for path in _folders(folder):
        if match := re.fullmatch(rf"{kind}_(\d+)", path.name):
            found.append((int(match[1]), path))
        elif faults is not None:
            faults[f"no {kind}_N, left out"].append(f"{folder.name}/{path.name}")
    return sorted(found)
