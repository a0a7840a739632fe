"""What `make scale` measures, its bounds, and its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from harness.studies.growth import Growth
from harness.studies.scale_bench import SETTLED, STUDIES, WORKLOADS

_BYTES_BOUND, _RATE_BOUND, _RESUME_BOUND_S, _BOARD_BOUND_S = 1_000.0, 100.0, 10.0, 10.0


@dataclass(frozen=True, kw_only=True)
class ScaleReport:
    """`rate`: trials a second through Ray, from the first to the last. `peak_mb`, `settled_mb`: peak memory of the
    driver at the end and after 10,000 trials, and `bytes_per_trial` what it grew by between, None for a shorter
    bench. `resume_s`: until a bench that has as many records is ready to run. `board_s`: from typing `leaderboard`
    to the printed table, of which `reading_s` and `scoring_s`; `files_s`: until its charts and files are written
    too. `mirrored`: trials a second into a fresh MLflow store, after the bench. Each is one measurement.
    """

    trials: int
    submissions: int
    devices: int
    hardware: str
    rate: float
    driver_cpu_ms: float
    peak_mb: float
    settled_mb: float | None
    bytes_per_trial: float | None
    resume_s: float
    board_s: float
    files_s: float
    reading_s: float
    scoring_s: float
    mirrored: float
    mirror_text: str
    growth: tuple[Growth, ...]

    def as_json(self) -> Mapping[str, object]:
        """Plain values."""
        return asdict(self) | {"exponents": {each.cost: each.exponent for each in self.growth}}

    def complaints(self) -> list[str]:
        """What is out of bounds."""
        complaints: list[str] = []
        if self.rate < _RATE_BOUND:
            complaints.append(f"{self.rate:.0f} trials a second through Ray, expected at least {_RATE_BOUND:.0f}")
        for value, bound, unit, what in (
            (self.bytes_per_trial, _BYTES_BOUND, "bytes", "growth of the driver a trial"),
            (self.resume_s, _RESUME_BOUND_S, "s", "a resumed bench until it is ready"),
            (self.board_s, _BOARD_BOUND_S, "s", "the leaderboard until it is printed"),
        ):
            if value is not None and value > bound:
                complaints.append(f"{what}: {value:.4g} {unit}, expected at most {bound:.4g}")
        return complaints

    def within_bounds(self) -> bool:
        """Whether nothing is to complain of."""
        return not self.complaints()

    def as_text(self) -> str:
        """For a person."""
        grown = (
            f", {self.settled_mb:.0f} MB after {SETTLED:,}: {self.bytes_per_trial:.0f} bytes a trial"
            f" (at most {_BYTES_BOUND:.0f})"
            if self.settled_mb is not None and self.bytes_per_trial is not None
            else f"; its growth is judged from {SETTLED:,} trials on"
        )
        shape = f"{self.submissions:,} submissions x {WORKLOADS} workloads x {STUDIES} studies"
        lines = [
            f"{self.trials:,} trials, {shape}, on {self.devices} x {self.hardware}",
            f"through Ray   {self.rate:.0f} trials/s (at least {_RATE_BOUND:.0f}), "
            f"{self.driver_cpu_ms:.2f} ms of the driver's core a trial",
            f"driver        {self.peak_mb:.0f} MB at its peak{grown}",
            f"resume        {self.resume_s:.1f} s (at most {_RESUME_BOUND_S:.0f}) to read {self.trials:,} records "
            "and plan the rest",
            f"leaderboard   {self.board_s:.1f} s (at most {_BOARD_BOUND_S:.0f}) from the command to its table: "
            f"reading {self.reading_s:.1f} s, scores {self.scoring_s:.1f} s; with its files {self.files_s:.1f} s",
            f"MLflow        {self.mirrored:.0f} trials/s, after the bench and never beside a trial: "
            f"{self.mirror_text}",
            "",
            *(each.as_text() for each in self.growth),
        ]
        return "\n".join([*lines, *(f"out of bounds: {text}" for text in self.complaints())])
