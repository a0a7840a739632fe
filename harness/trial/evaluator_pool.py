"""Evaluation shared out over the devices of a trial: trusted processes that each evaluate a part of the batches.

They sleep while the players train, hold no code of a submission, and share the memory of the weights. The batches
are those of one device, each evaluated once, so the value is that of one device, bit for bit.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import chain, zip_longest
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn

from harness.player import buffer, devices, weights
from harness.player.buffer import SharedBuffer
from harness.player.channel import receive_files, send_files
from harness.system import machine
from harness.trial.player_handle import MeasurementInvalid
from harness.trial.player_process import fork
from workloads import registry
from workloads.base import Arrays, Precision, Workload
from workloads.datasets.base import open_split
from workloads.metrics import EvalResult, evaluate_part, judge

_CONTEXT = multiprocessing.get_context("forkserver")
_CPU = torch.device("cpu")
_EXIT_S = 5.0


class EvaluatorPool:
    """This process, which evaluates the first part, and a helper on each of `cores`, None where it is not pinned.

    `memory` holds the tensors of the model that is evaluated; `data` is the folder of the workload's splits.
    """

    def __init__(self, workload: Workload, data: Path, memory: SharedBuffer, cores: Sequence[int | None]) -> None:
        self._workload, self._parts = workload, len(cores) + 1
        self._connections: list[Connection] = []
        self._end = ExitStack()
        for part, core in enumerate(cores, 1):
            ours, theirs = _CONTEXT.Pipe()
            key = (workload.suite, workload.name)
            helper = _CONTEXT.Process(target=_serve, args=(theirs, key, data, core, part, self._parts), daemon=True)
            fork(helper)
            theirs.close()
            self._end.callback(helper.join, _EXIT_S)
            self._end.callback(ours.close)  # before that, and the helper's end
            send_files(ours, [memory.descriptor])
            self._connections.append(ours)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.close()

    def ready(self) -> None:
        """Waits until all helpers sleep, so that none of them takes time from a clock that runs."""
        for connection in self._connections:
            self._answer(connection)

    def evaluate(self, model: nn.Module, split: str, limit: int | None, arrays: Arrays) -> EvalResult:
        """The workload's metrics of the model whose tensors lie in the memory, on the first examples of a split.

        Raises MeasurementInvalid where a helper is gone.
        """
        for connection in self._connections:
            with suppress(ConnectionError):  # which is noticed when it does not answer
                connection.send((split, limit))
        parts = [evaluate_part(self._workload, model, arrays, _CPU, 0, self._parts)]
        parts += [self._answer(connection) for connection in self._connections]
        in_order = [batch for batch in chain(*zip_longest(*parts)) if batch is not None]
        return judge(self._workload, [tuple(torch.as_tensor(rows) for rows in batch) for batch in in_order])

    def _answer(self, connection: Connection) -> Any:
        try:
            return connection.recv()
        except (EOFError, ConnectionError) as error:
            raise MeasurementInvalid(f"a process that evaluates is gone ({error!r})") from None


def _serve(
    connection: Connection, key: tuple[str, str], data: Path, core: int | None, part: int, parts: int
) -> None:
    """A helper's whole life: it evaluates its part of a split whenever it is asked, until the referee is gone.

    `key` is the suite and the name of the workload.
    """
    if core is not None:
        machine.pin(core)
    machine.keep_freed_memory()
    torch.set_num_threads(1)
    devices.set_products(Precision.FP32)
    workload = registry.find(*key)
    model = workload.model()
    weights.adopt(model, buffer.attach(weights.size_of(model), receive_files(connection)[0]))
    connection.send(None)
    while True:
        try:
            split, limit = connection.recv()
        except EOFError:
            return
        batches = evaluate_part(workload, model, open_split(data, split, limit), _CPU, part, parts)
        connection.send([tuple(rows.numpy() for rows in batch) for batch in batches])
