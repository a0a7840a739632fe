"""The one stopwatch that all timing passes through: every moment of a trial is booked to exactly one account."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from scoring.records.protocol import ON_CLOCK, Account

CLOCK_TOLERANCE = 0.01
"""Largest relative difference between a ledger's sum and the wall time of its trial."""

CLOCK_GRACE_S = 0.05
"""Seconds of difference that count for nothing: a process may be set aside between two readings."""


class Stopwatch:
    """A ledger of consecutive intervals, in seconds of `now`, which must be monotonic."""

    def __init__(self, account: Account, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._account = account
        self._since = now()
        self._entries: list[tuple[Account, float]] = []

    def resume(self, ledger: Iterable[tuple[str, float]]) -> None:
        """Puts the ledger of a trial that was interrupted before this one's."""
        self._entries = [*((Account(name), seconds) for name, seconds in ledger), *self._entries]

    def switch(self, account: Account) -> None:
        """Ends the running interval and books the time from now on to `account`."""
        moment = self._now()
        if account != self._account:
            self._entries.append((self._account, moment - self._since))
            self._account, self._since = account, moment

    def overdrawn(self, allowed_s: float, account: Account) -> None:
        """Books to `account` what the running interval has taken beyond `allowed_s` seconds."""
        moment = self._now()
        if (excess := moment - self._since - allowed_s) > 0:
            self._entries += [(self._account, allowed_s), (account, excess)]
            self._since = moment

    def relieve(self, seconds: float) -> float:
        """Takes so many seconds off the clock, of those that it has run since it last stood or was relieved, and
        books them to others. Returns how many it took, which are never more than those."""
        if seconds <= 0:
            return 0.0
        if self._account in ON_CLOCK:
            moment = self._now()
            self._entries.append((self._account, moment - self._since))
            self._since = moment
        left_s = seconds
        for index in range(len(self._entries) - 1, -1, -1):
            account, spent_s = self._entries[index]
            if account not in ON_CLOCK:
                break
            taken_s = min(left_s, spent_s)
            self._entries[index] = (account, spent_s - taken_s)
            left_s -= taken_s
        if left_s < seconds:
            self._entries.append((Account.OTHERS, seconds - left_s))
        return seconds - left_s

    def submission_s(self) -> float:
        """Seconds on the submission's clock so far, the running interval included."""
        running = self._now() - self._since if self._account in ON_CLOCK else 0.0
        return sum(seconds for account, seconds in self._entries if account in ON_CLOCK) + running

    def ledger(self) -> tuple[tuple[str, float], ...]:
        """Every interval in order, the running one up to now."""
        last = (self._account, self._now() - self._since)
        return tuple((str(account), seconds) for account, seconds in [*self._entries, last])


def adds_up(booked_s: float, wall_s: float) -> bool:
    """Whether a ledger that holds so many seconds accounts for a trial that took so many by the wall's clock."""
    return abs(booked_s - wall_s) <= max(CLOCK_TOLERANCE * wall_s, CLOCK_GRACE_S)


def wall_clock() -> float:
    """Seconds on a clock that keeps counting while the machine sleeps, to check ledgers against."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)
