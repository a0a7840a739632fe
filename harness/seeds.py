"""Where every random number comes from: seeds derived from (root, workload, submission, study, trial)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import qmc

from submissions.space import Domain


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


def point(
    space: Mapping[str, Domain], root: int, workload: str, submission: str, study: int, trial: int
) -> dict[str, Any]:
    """Hyperparameter point number `trial` of a study: scrambled Halton, one sequence a study."""
    if not space:
        return {}
    seed = _derive("points", root, workload, submission, study)
    unit = qmc.Halton(d=len(space), rng=np.random.default_rng(seed)).random(trial + 1)[trial]
    return {name: domain.at(float(u)) for (name, domain), u in zip(space.items(), unit, strict=True)}
