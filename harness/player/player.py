"""The player: the process that runs a submission's code. It holds training data and nothing to evaluate itself by.

It starts, enters its sandbox, meets the other ranks and warms up the workload's own code; then loop.py runs the
submission. It forgets before that what trial it is in, and is given the training data once the clock runs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from torch import nn

from harness.player import devices, shared
from harness.player.channel import RefereeChannel, receive_files
from harness.player.commands import JoinAt
from harness.player.failure import failure_of
from harness.player.loop import run_submission
from harness.player.messages import Confined, Failed, RendezvousReady
from harness.player.rank_group import RankGroup, Rendezvous
from harness.player.spec import PlayerSpec
from harness.player.task import Hook, Task
from harness.system import machine, processes, sandbox
from workloads import registry
from workloads.base import Arrays, Workload
from workloads.datasets.base import open_split
from workloads.metrics import to_device

_WARM_UPS = 2


def play(connection: Connection, lifeline: Connection) -> None:
    """All that the player's process does. When the referee dies, however it dies, `lifeline` closes and the player
    dies too.

    The referee first sends the open files of the player's output and of the flags that both share, then a
    `PlayerSpec`, and for all ranks but the first `EnterNamespaces` or `JoinAt`.
    """
    os.setsid()
    processes.adopt_orphans()
    output, memory = receive_files(connection)
    for stream in (1, 2):
        os.dup2(output, stream)
    referee = RefereeChannel(connection, shared.attach(memory))
    os.close(output)
    os.close(memory)
    # What trial this is stays where a submission cannot find it: in no frame and in no argument.
    task = _prepare(connection.recv(), referee)
    processes.end_with_parent()
    threading.Thread(target=_die_with_referee, args=(lifeline,), daemon=True).start()
    hook = Hook()
    try:
        run_submission(task, referee, hook)
    except BaseException as error:  # whatever a submission raises ends its own trial only
        referee.send(Failed(failure=failure_of(error, hook.name, task.spec.submission.filename)))


def _prepare(spec: PlayerSpec, referee: RefereeChannel) -> Task:
    """Enters the sandbox, meets the other ranks and runs the workload's own code once, all before the clock."""
    if spec.core is not None:
        machine.pin(spec.core)
    machine.keep_freed_memory()
    torch.set_num_threads(1)
    workload = registry.find(*spec.workload).scaled(*spec.scale)
    arrays = open_split(spec.data, "train", workload.train_examples)
    joins_namespaces = spec.rank > 0 and spec.host is None
    guards = sandbox.enter(spec.sandbox_spec, referee.receive_files() if joins_namespaces else ())
    device = devices.of(spec.sandbox_spec.gpu)
    model = workload.model().train().to(device)  # its tensors are the referee's, once they come
    group = _meet(spec, referee, device) if spec.ranks > 1 else None
    if group is not None:
        workload = replace(workload, loss=group.over_all(workload.loss))
    devices.set_products(workload.precision)
    devices.lower(model, workload.precision, device)
    if spec.compiled:
        devices.compile_forward(model)
    rng_stream = None if group is None else group.tie(model, spec.seed)
    _warm_up(workload, model, arrays, spec.ranks, device)
    referee.send(Confined(guards=guards))
    dataset = replace(workload.dataset, name="dataset", packages=())
    return Task(
        spec=replace(spec, workload=("", ""), data=Path()),
        workload=replace(workload, name="workload", variant_of=None, dataset=dataset),
        model=model,
        examples=_examples(arrays),
        device=device,
        group=group,
        rng_stream=rng_stream,
    )


def _meet(spec: PlayerSpec, referee: RefereeChannel, device: torch.device) -> RankGroup:
    """Waits for the other ranks."""
    if spec.host is None:
        assert spec.sandbox_spec.rendezvous_folder is not None
        rendezvous = Rendezvous.in_folder(spec.sandbox_spec.rendezvous_folder, spec.ranks)
    elif spec.rank == 0:
        rendezvous = Rendezvous.opened(spec.host)
    else:
        first = referee.receive(JoinAt)
        rendezvous = Rendezvous.joined(first.host, first.port)
    if spec.rank == 0:
        referee.send(RendezvousReady(port=rendezvous.port))
    return RankGroup(spec.rank, spec.ranks, rendezvous, referee.flags, device)


def _warm_up(workload: Workload, model: nn.Module, arrays: Arrays, ranks: int, device: torch.device) -> None:
    """Runs the workload's own forward and backward."""
    examples = _examples(arrays)
    size = min(-(-workload.batch_size // ranks), examples)
    for number in range(_WARM_UPS):
        # Other rows are of other lengths, for which compiled code is made anew once.
        batch = to_device(workload.collate(arrays, (np.arange(size) + number * size) % examples), device)
        workload.loss(model(*batch.inputs), batch).mean().backward()
    model.zero_grad(set_to_none=True)
    devices.settled(device)


def _examples(arrays: Arrays) -> int:
    return len(next(iter(arrays.values())))


def _die_with_referee(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os.killpg(0, signal.SIGKILL)
