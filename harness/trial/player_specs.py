"""What the players of a trial are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.player.player import PlayerSpec
from harness.protocol import seeds
from harness.protocol.trial import Trial
from harness.system import sandbox
from harness.system.machine import Device
from workloads.base import Workload


def player_specs(
    trial: Trial,
    workload: Workload,
    folder: Path,
    places: Sequence[Device],
    scratch: Path,
    further: Path | None,
    *,
    first: int = 0,
    host: str | None = None,
) -> list[PlayerSpec]:
    """What each player on this machine is told: one for each of `places`, with ranks from `first` up.

    They live in `scratch`, train on the data in `folder` and may import the packages in `further`. `host` is where
    the first player of all is to be reached, None where all are on this machine.
    """
    named = (trial.seed, workload.name)
    draw = (trial.study, trial.trial)
    part = PlayerSpec(
        workload=(trial.suite, workload.name),
        data=folder,
        submission=trial.submission,
        searches=trial.ruleset != "self",
        hp=trial.hp,
        point=trial.trial,
        points_seed=seeds.points_seed(*named, trial.submission.name, trial.study),
        seed=seeds.submission_seed(*named, trial.submission.name, *draw),
        data_seed=seeds.data_seed(*named, *draw),
        budget_s=trial.budget_s,
        core=places[0].core,
        sandbox_spec=sandbox.SandboxSpec(
            scratch=scratch,
            packages=further,
            hidden=(trial.data.absolute(), *trial.hidden),
            limits=trial.limits,
            neighbours=trial.layout.each,
            multi_host=host is not None,
            gpu=places[0].gpu,
        ),
        ranks=trial.layout.devices,
        compiled=trial.layout.compiled,
        host=host,
    )
    if part.ranks == 1:
        return [part]
    rendezvous = None if host is not None else _made(scratch / "meeting")
    return [
        replace(
            part,
            rank=rank,
            core=place.core,
            sandbox_spec=replace(
                part.sandbox_spec, scratch=_made(scratch / f"rank{rank}"), rendezvous=rendezvous, gpu=place.gpu
            ),
        )
        for rank, place in enumerate(places, first)
    ]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
