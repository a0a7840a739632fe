"""Has trials run through Ray: a task a trial on exclusive cores, on any node of the right hardware."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness import machine
from harness.cluster import Cluster, ray
from harness.desk import Desk, Running
from harness.plan import Place, Trial
from harness.player_process import Disturbed
from harness.records import Record
from harness.stopping import StopRule
from harness.trial import run_trial

_RETRIES = 3
"""How often a trial is run again whose worker or node died, or whose measurement was spoilt."""

_LOOK_EVERY_S = 2.0


@dataclass(frozen=True)
class Lost:
    """A trial that left no record, through no fault of its submission; the next bench runs it again."""

    trial: Trial
    reason: str


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Who is told what happens while trials run: `repeated` of each that has to be run again, why, and on which
    node it was if that is known; `running` every few seconds of all that run, and on how many devices."""

    repeated: Callable[[Trial, str, str | None], None] = lambda trial, reason, node: None
    running: Callable[[Sequence[Running], int], None] = lambda running, devices: None


class _Sent:
    """A trial that was given to Ray, and the nodes that it may run on."""

    def __init__(self, trial: Trial, cluster: Cluster, desk: Desk) -> None:
        self.trial = trial
        self.nodes = frozenset(node.id for node in cluster.nodes)
        selector = {"ray.io/node-id": f"in({','.join(sorted(self.nodes))})"}
        self.reference = _run.options(label_selector=selector, num_cpus=cluster.cpus_each).remote(trial, desk)


def run(
    trials: Sequence[Trial],
    cluster: Cluster,
    rule: Callable[[Trial], StopRule] | None = None,
    watch: Watch = Watch(),
) -> Iterator[Record | Lost]:
    """Runs trials as devices fall free and yields their records as they come, in any order.

    `rule` is asked when a trial is about to start, and may know of all records that were yielded before. Trials of
    a node that is gone move to others; while there is none, they wait for one.
    """
    waiting, desk = list(reversed(trials)), Desk()
    sent: dict[ray.ObjectRef, _Sent] = {}
    attempts: Counter[Place] = Counter()

    def again(trial: Trial, reason: str) -> None:
        waiting.append(trial)
        where = next((r.node for r in desk.running() if r.place == trial.place), None)
        watch.repeated(trial, reason, where and cluster.name(where))

    while waiting or sent:
        while (
            waiting and len(sent) < 2 * cluster.devices
        ):  # a queue as long as the cluster, so that no device waits
            trial = waiting.pop()
            if rule is not None:
                trial = dataclasses.replace(trial, rule=rule(trial))
            one = _Sent(trial, cluster, desk)
            sent[one.reference] = one
        done, _ = ray.wait(list(sent), num_returns=1, timeout=_LOOK_EVERY_S) if sent else ([], [])
        for reference in done:
            trial = sent.pop(reference).trial
            try:
                yield ray.get(reference)
            except ray.exceptions.RayError as error:
                attempts[trial.place] += 1
                if attempts[trial.place] > _RETRIES or not _passing(error):
                    yield Lost(trial, str(error).strip())
                else:
                    again(trial, str(getattr(error, "cause", error)).strip())  # Ray would, but without a word
        if cluster.look():
            watch.running(_under_way(desk, sent), cluster.devices)
            alive = {node.id for node in cluster.nodes}
            for one in [one for one in sent.values() if not one.nodes & alive]:
                del sent[one.reference]  # it was waiting for nodes that are gone, and would for ever
                ray.cancel(one.reference, force=True)
                again(one.trial, "the nodes that it could have run on are gone")


def _under_way(desk: Desk, sent: dict[ray.ObjectRef, _Sent]) -> list[Running]:
    places = {one.trial.place for one in sent.values()}
    return [running for running in desk.running() if running.place in places]


def _passing(error: ray.exceptions.RayError) -> bool:
    """Whether what happened need not happen again: it was neither the submission's doing nor a mistake of ours."""
    return isinstance(error.cause, Disturbed) if isinstance(error, ray.exceptions.RayTaskError) else True


@ray.remote(max_retries=0)
def _run(trial: Trial, desk: Desk) -> Record:
    trial = dataclasses.replace(trial, data=machine.writable(trial.data))
    with machine.exclusive_cores(trial.devices) as cores:
        desk.started(trial.place, cores[0])
        return run_trial(trial, cores, desk)
