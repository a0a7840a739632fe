"""Whose fault it is when a player ends: its own, or that of a node that dies and takes its processes one by one."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest

from harness.cluster.schedule import believed
from harness.trial.player_handle import EXIT, MeasurementInvalid
from scoring.records import Failure, Record
from tests.scoring.build import record

EXITED = replace(record(time=None), failure=Failure(hook="update", kind=EXIT, message="the player was killed"))


def on_a_node(ended: Record, *, dies: bool) -> str:
    """What a worker says of a record, whose raylet dies 0.2 s later, or does not."""
    reader, writer = os.pipe()
    raylet = os.fork()
    if raylet == 0:
        worker = os.fork()
        if worker == 0:
            try:
                said = believed(ended, os.getppid()).failure.message
            except MeasurementInvalid as disturbed:
                said = str(disturbed)
            os.write(writer, said.encode())
            os._exit(0)
        if dies:
            time.sleep(0.2)
        else:
            os.waitpid(worker, 0)
        os._exit(0)
    os.close(writer)
    os.waitpid(raylet, 0)
    with open(reader) as answer:
        return answer.read()


@pytest.mark.parametrize(("dies", "said"), [(False, "the player was killed"), (True, "the node died")])
def test_a_player_that_ends_on_a_dying_node_is_not_to_blame(dies: bool, said: str) -> None:
    assert on_a_node(EXITED, dies=dies).startswith(said)


def test_whoever_raises_is_to_blame_in_any_case() -> None:
    raised = replace(EXITED, failure=replace(EXITED.failure, kind="ValueError", message="no"))
    assert on_a_node(raised, dies=True) == "no"
