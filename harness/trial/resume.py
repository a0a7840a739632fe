"""Saving a running trial and going on with it later: while its clock stands, and so that saving buys no time."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from harness.player.commands import Continue, FetchWeights, SendWeights
from harness.player.messages import Restored
from harness.player.weights import Weights
from harness.protocol.trial import Trial
from harness.trial import checkpoints
from harness.trial.checkpoint_store import CheckpointStore
from harness.trial.checkpoints import Checkpoint
from harness.trial.clock import wall_clock
from harness.trial.contention import CoreContention
from harness.trial.player_handle import LOAD_TIMEOUT_S, PlayerGone
from harness.trial.players import Players
from harness.trial.state import TrialState, identity
from scoring.records import Failure
from scoring.records.protocol import Account
from workloads.base import Workload

_COPY_GRACE_S, _COPY_BYTES_PER_S, _RESTORE_GRACE_S = 0.05, 200e6, 0.5
"""What a player may take off the clock to copy its state, and to read it back."""

_ORDINARY_BYTES, _ORDINARY_WEIGHTS = 4 * 2**20, 16
_LARGEST_BYTES, _LARGEST_WEIGHTS = 256 * 2**20, 256
"""A state of an ordinary size, and the largest that is kept: so many bytes, and so many times the weights'."""


class Resumption:
    """The checkpoint of one trial: when to write it, and how to go on from it.

    `saved` is the checkpoint that the trial goes on from, None where it starts anew.
    """

    def __init__(self, trial: Trial, workload: Workload, checkpoint_store: CheckpointStore) -> None:
        self._path, self._every_s = trial.checkpoint, trial.checkpoint_every_s
        self._store = checkpoint_store
        self._identity = identity(trial, workload)
        self._saved_at = wall_clock()
        self.saved = checkpoints.load(self._path, self._identity, checkpoint_store) if self._path else None

    @property
    def is_due(self) -> bool:
        """Whether the trial is to be saved now."""
        return self._path is not None and wall_clock() - self._saved_at >= self._every_s

    def save(self, players: Players, weights: Weights, state: TrialState, contention: CoreContention) -> None:
        """Writes a checkpoint while the clock stands; what the player takes beyond mere copying is on the clock."""
        state.watch.switch(Account.CHECKPOINT)
        contention.clock_runs()
        states = players.states(_LARGEST_BYTES + _LARGEST_WEIGHTS * weights.nbytes)
        allowed_s = _COPY_GRACE_S + _copying_s(states or (), weights) + contention.relief_s()
        state.watch.overdrawn(allowed_s, Account.TRAINING)
        state.watch.switch(Account.CHECKPOINT)
        self._saved_at = wall_clock()
        if states is None or self._path is None:
            return
        players.send(FetchWeights())
        checkpoint = Checkpoint(facts=state.facts(), weights=weights.held, players=states)
        with contextlib.suppress(OSError):  # a trial that cannot be saved can still be run
            checkpoints.save(self._path, self._identity, checkpoint, self._store)

    def restore(
        self, saved: Checkpoint, players: Players, weights: Weights, state: TrialState, contention: CoreContention
    ) -> None:
        """Brings configured players, the weights and the ledger to where a checkpoint was made.

        What the player takes beyond setting itself up again and reading its state is on the clock; `contention`
        has measured since it began to. Raises PlayerGone where it cannot read it.
        """
        players.send(Continue(submission_s=0.0, eval_step=None, resume=True))
        players.restore(saved.players)
        if not players.ready_within(LOAD_TIMEOUT_S):
            message = "its state could not be restored"
            raise PlayerGone(Failure(hook="load_state_dict", kind="Timeout", message=message))
        players.expect(Restored)
        setup_s = sum(seconds for account, seconds in saved.facts["ledger"] if account == Account.SETUP)
        allowed_s = _RESTORE_GRACE_S + setup_s + _copying_s(saved.players, weights) + contention.relief_s()
        state.watch.overdrawn(allowed_s, Account.TRAINING)
        for held, kept in zip(weights.held, saved.weights, strict=True):
            held.copy_(kept)
        players.send(SendWeights())
        state.resume(saved.facts)


def _copying_s(states: Sequence[bytes], weights: Weights) -> float:
    """Seconds that copying players' states may take, as far as those are of an ordinary size beside the weights."""
    most = _ORDINARY_BYTES + _ORDINARY_WEIGHTS * weights.nbytes
    return sum(min(len(state), most) for state in states) / _COPY_BYTES_PER_S
