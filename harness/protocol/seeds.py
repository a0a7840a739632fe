"""Where every random number comes from: seeds derived from (root, workload, submission, study, trial)."""

from __future__ import annotations

import hashlib

import numpy as np

from submissions.space import Points, Space


def _word(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")


def _derive(*parts: int | str) -> int:
    entropy = [_word(part) if isinstance(part, str) else part for part in parts]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def init_seed(root: int, workload: str, study: int, trial: int) -> int:
    """Seed of the initial weights: the same for all submissions, so that they start from the same draws."""
    return _derive("init", root, workload, study, trial)


def data_seed(root: int, workload: str, study: int, trial: int) -> int:
    """Seed of the data order: the same for all submissions."""
    return _derive("data", root, workload, study, trial)


def submission_seed(root: int, workload: str, submission: str, study: int, trial: int) -> int:
    """Seed of whatever is random in the submission itself and in dropout."""
    return _derive("submission", root, workload, submission, study, trial)


class NoPointLeft(Exception):
    """A study has had all points of a list."""


def points_seed(root: int, workload: str, submission: str, study: int) -> int:
    """Seed of the hyperparameter points of a study."""
    return _derive("points", root, workload, submission, study)


def point(space: Space, seed: int, trial: int) -> dict[str, object]:
    """Hyperparameter point number `trial` of a study with that seed: scrambled Halton, or a list in random order.
    Raises NoPointLeft where the list is shorter."""
    if not space:
        return {}
    if isinstance(space, Points):
        if trial >= len(space.values):
            raise NoPointLeft(f"The search space lists {len(space.values)} points, which have had a trial each.")
        return dict(space.values[np.random.default_rng(seed).permutation(len(space.values))[trial]])
    from scipy.stats import qmc  # a second or two, which only trials that search have to take

    unit = qmc.Halton(d=len(space), rng=np.random.default_rng(seed)).random(trial + 1)[trial]
    return {name: domain.at(float(u)) for (name, domain), u in zip(space.items(), unit, strict=True)}
