"""What the players of a trial are given to start with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.player.spec import PlayerSpec
from harness.protocol import seeds
from harness.protocol.trial import Trial
from harness.system import sandbox
from harness.system.machine import Device
from workloads.base import Workload


def player_specs(
    trial: Trial,
    workload: Workload,
    folder: Path,
    own_devices: Sequence[Device],
    scratch: Path,
    further: Path | None,
    *,
    first: int = 0,
    host: str | None = None,
) -> list[PlayerSpec]:
    """The players on this machine: one for each of `own_devices`, with ranks from `first` up.

    They write in `scratch`, train on the data in `folder` and may import the packages in `further`. `host` is the
    address of the first player of all, None where all are on this machine.
    """
    root = (trial.seed, workload.name)
    draw = (trial.study, trial.trial)
    spec = PlayerSpec(
        workload=(trial.suite, workload.name),
        scale=(trial.layout.horizon, trial.layout.batch),
        data=folder,
        submission=trial.submission,
        searches=trial.ruleset != "self",
        hp=trial.hp,
        point=trial.trial,
        points_seed=seeds.points_seed(*root, trial.submission.name, trial.study),
        seed=seeds.submission_seed(*root, trial.submission.name, *draw),
        data_seed=seeds.data_seed(*root, *draw),
        budget_s=trial.budget_s,
        core=own_devices[0].core,
        sandbox_spec=sandbox.SandboxSpec(
            scratch=scratch,
            packages=further,
            hidden=(trial.data.absolute(), *trial.hidden),
            limits=trial.limits,
            players_here=trial.layout.each,
            multi_host=host is not None,
            gpu=own_devices[0].gpu,
        ),
        ranks=trial.layout.devices,
        compiled=trial.layout.compiled,
        host=host,
    )
    if spec.ranks == 1:
        return [spec]
    rendezvous_folder = None if host is not None else _made(scratch / "rendezvous")
    return [
        replace(
            spec,
            rank=rank,
            core=device.core,
            sandbox_spec=replace(
                spec.sandbox_spec,
                scratch=_made(scratch / f"rank{rank}"),
                rendezvous_folder=rendezvous_folder,
                gpu=device.gpu,
            ),
        )
        for rank, device in enumerate(own_devices, first)
    ]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
