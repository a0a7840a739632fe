"""A player's state: all generators, the walk through the data and the submission's own go on where they stood."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from harness.player import snapshot
from harness.player.rank_group import RngStream
from submissions.base import Submission, Training, Validation, WorkloadView
from submissions.registry import load, resolve
from tests.harness.test_batches import batches
from workloads.base import LossKind, LossTerms

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def generators() -> Iterator[None]:
    """The generators of this process are afterwards what they were."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        yield
    random.setstate(python)
    np.random.set_state(numpy)


@pytest.fixture
def view() -> WorkloadView:
    return WorkloadView(
        loss_kind=next(iter(LossKind)),
        roles={},
        train_examples=10,
        batch_size=5,
        step_hint=10,
        budget_s=1.0,
        target=None,
        higher_is_better=True,
        device=CPU,
        seed=0,
    )


class Player:
    """What a state is taken of, and what is drawn from it."""

    def __init__(self, view: WorkloadView, tmp_path: Path, seed: int) -> None:
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        self.batches = batches(seed)
        self.rng_stream: RngStream | None = RngStream(np.random.SeedSequence(seed), CPU)
        self.submission: Submission = load(resolve("torch.optim:SGD(lr=0.1,momentum=0.9)@constant"), tmp_path, None)
        model = nn.Linear(2, 1)
        loss: Callable[..., LossTerms] = lambda *_: pytest.fail("nothing trains here")  # noqa: E731
        self.training = Training(model, view, SimpleNamespace(**self.submission.defaults), loss, lambda: 0.0)
        self.training.adopt(self.submission.configure(model, view, self.training.hp))

    def step(self) -> None:
        model, optimizer = self.training.model, self.training.optimizer
        assert optimizer is not None
        model.zero_grad()
        model(torch.rand(5, 2)).sum().backward()
        optimizer.step()
        self.training.step += 1

    def saved(self) -> bytes:
        return snapshot.saved(self.submission, self.training, self.batches, self.rng_stream)

    def restore(self, state: bytes) -> None:
        snapshot.restore(self.submission, self.training, self.batches, self.rng_stream, state)


def drawn_by_model(player: Player) -> list[float]:
    assert player.rng_stream is not None
    player.rng_stream.enter(True)
    drawn = torch.rand(3).tolist()
    player.rng_stream.leave()
    return drawn


DRAWS: dict[str, Callable[[Player], object]] = {
    "NumPy's": lambda _: np.random.random(3).tolist(),
    "a half of NumPy's pair of normals": lambda _: np.random.standard_normal(1).tolist(),
    "Python's": lambda _: [random.random() for _ in range(3)],
    "torch's": lambda _: torch.rand(3).tolist(),
    "the model's own": drawn_by_model,
    "the order of the data": lambda player: [player.batches.next(4).index.tolist() for _ in range(5)],
}
"""Of each generator the next draws."""


@pytest.mark.parametrize("which", DRAWS)
def test_every_generator_goes_on_where_it_stood(which: str, view: WorkloadView, tmp_path: Path) -> None:
    player = Player(view, tmp_path, 1)
    for draw in DRAWS.values():
        draw(player)
    state = player.saved()
    expected = DRAWS[which](player)
    assert DRAWS[which](player) != expected, "the generator moves on"
    other = Player(view, tmp_path, 2)
    other.restore(state)
    assert DRAWS[which](other) == expected


def test_saving_draws_nothing(view: WorkloadView, tmp_path: Path) -> None:
    player = Player(view, tmp_path, 1)
    state = player.saved()
    assert player.saved() == state


def test_training_goes_on_where_it_stood(view: WorkloadView, tmp_path: Path) -> None:
    player, other = Player(view, tmp_path, 1), Player(view, tmp_path, 2)
    for _ in range(2):
        player.step()
    player.training.evaluations = (Validation(1, 0.5, 0.25), Validation(2, 0.75, None))
    state = player.saved()
    other.training.model.load_state_dict(player.training.model.state_dict())  # weights are not part of a state
    other.restore(state)
    assert (other.training.step, other.training.evaluations) == (2, player.training.evaluations)
    for each in (player, other):
        torch.manual_seed(5)
        each.step()
    for mine, theirs in zip(player.training.model.parameters(), other.training.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_player_on_one_device_has_no_generator_of_the_models(view: WorkloadView, tmp_path: Path) -> None:
    player, other = Player(view, tmp_path, 1), Player(view, tmp_path, 2)
    player.rng_stream = other.rng_stream = None
    state = player.saved()
    expected = torch.rand(3)
    other.restore(state)
    assert torch.equal(torch.rand(3), expected)
