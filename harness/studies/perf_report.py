"""What `make perf` measures, its bounds, and its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

SMALLEST = "mnist_mlp"
"""The workload with the shortest steps, on which the harness shows most."""

STEP_BOUND, SMALLEST_STEP_BOUND, GPU_STEP_BOUND = 1.03, 1.10, 1.02
_OUTSIDE_BOUND, _START_BOUND_S, _RESUME_BOUND_S, _WALL_BOUND, _OVERHEAD_BOUND = 0.10, 1.0, 0.15, 1.4, 0.03


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """`step_ratio`: seconds per step in the harness over a bare loop. `outside_share`: share of a step in the
    harness that is neither the model nor the optimizer; None on a GPU, which works while the process goes on.
    `resume_ratio`: submission time of a trial that was interrupted and went on from its checkpoint over that of
    another; `resume_s`: the difference, in which a fresh process warms up, however long the trial. Medians over
    pairs, with quartiles. `step_ratio` may be `bound` at most."""

    step_ratio: float
    step_ratio_quartiles: tuple[float, float]
    outside_share: float | None
    resume_ratio: float
    resume_ratio_quartiles: tuple[float, float]
    resume_s: float
    bound: float
    seconds_per_step: float


@dataclass(frozen=True, kw_only=True)
class PerfReport:
    """`trial_start_s`: from a device falling free to the clock of its next trial, median. `bench_wall_ratio`: wall
    time of the bench over submission time per device. `overhead_cores`: share of a core that the driver and Ray's
    services took while trials ran. The last three are of the last bench that ran trials, None without one."""

    workloads: Mapping[str, StepCost]
    trial_start_s: float | None
    bench_wall_ratio: float | None
    overhead_cores: float | None
    hardware: str

    def as_json(self) -> Mapping[str, object]:
        """Plain values."""
        return asdict(self)

    def complaints(self) -> list[str]:
        """What is out of bounds."""
        complaints: list[str] = []
        for name, cost in self.workloads.items():
            if cost.step_ratio > cost.bound:
                complaints.append(
                    f"{name}: a step takes {cost.step_ratio:.3f} x a bare loop's, expected at most {cost.bound}"
                )
            if cost.resume_s > _RESUME_BOUND_S:
                complaints.append(
                    f"{name}: an interruption costs {cost.resume_s:.2f} s of submission time, "
                    f"expected at most {_RESUME_BOUND_S}"
                )
            if (cost.outside_share or 0.0) > _OUTSIDE_BOUND and name != SMALLEST:
                complaints.append(f"{name}: {cost.outside_share:.1%} of a step is neither model nor optimizer")
        for value, bound, name in (
            (self.trial_start_s, _START_BOUND_S, "trial_start_s"),
            (self.bench_wall_ratio, _WALL_BOUND, "bench_wall_ratio"),
            (self.overhead_cores, _OVERHEAD_BOUND, "overhead_cores"),
        ):
            if value is not None and value > bound:
                complaints.append(f"{name} is {value:.3f}, expected at most {bound}")
        return complaints

    def within_bounds(self) -> bool:
        """Whether nothing is to complain of."""
        return not self.complaints()

    def as_text(self) -> str:
        """For a person."""
        lines = [
            f"on {self.hardware}",
            f"{'workload':<20} {'step ratio':>10} {'quartiles':>13} {'outside':>8} "
            f"{'resumed':>8} {'quartiles':>13} {'+ms':>5} {'ms/step':>8}",
        ]
        for name, cost in self.workloads.items():
            spreads = [
                f"{low:.3f}-{high:.3f}" for low, high in (cost.step_ratio_quartiles, cost.resume_ratio_quartiles)
            ]
            outside = "-" if cost.outside_share is None else f"{cost.outside_share:.1%}"
            lines.append(
                f"{name:<20} {cost.step_ratio:>10.3f} {spreads[0]:>13} {outside:>8} "
                f"{cost.resume_ratio:>8.3f} {spreads[1]:>13} {1000 * cost.resume_s:>5.0f} "
                f"{1000 * cost.seconds_per_step:>8.2f}"
            )
        if self.bench_wall_ratio is None:
            lines.append("no bench has run trials in this results folder yet; type: make bench, then make perf")
        else:
            lines.append(
                f"trial_start_s     {self.trial_start_s:.3f}  (from a free device to a running clock, median)"
            )
            lines.append(f"bench_wall_ratio  {self.bench_wall_ratio:.3f}  (wall time / submission time per device)")
            lines.append(f"overhead          {self.overhead_cores:.2%} of a core while trials ran")
        return "\n".join([*lines, *(f"out of bounds: {text}" for text in self.complaints())])
