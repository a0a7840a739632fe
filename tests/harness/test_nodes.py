"""Which nodes of a cluster measure, and how many trials run side by side, by hand."""

from __future__ import annotations

import pytest

from harness.cluster.nodes import ClusterError, Node, NodeFacts, choose_hardware, name_of, side_by_side
from harness.system.machine import Hardware
from pacer.errors import UsageError
from scoring.records.layout import SINGLE, Layout

OURS, THEIRS, THIRD = (
    Hardware(processor=name, cores=4, device="1 CPU core", torch="2.13") for name in ("ours", "theirs", "third")
)


def node(hardware: Hardware | None, devices: int = 1, *, cpus: int = 99, gpus: int = 0, each: int = 1) -> Node:
    facts = None if hardware is None else NodeFacts(hardware=hardware, devices=devices)
    return Node(id="id", name="name", cpus=cpus, gpus=gpus, each=each, facts=facts)


@pytest.mark.parametrize(
    ("slots", "machines", "count"),
    [
        ([], 1, 0),
        ([0], 1, 0),
        ([1], 1, 1),
        ([3, 2], 1, 5),
        ([1], 2, 0),
        ([1, 1], 2, 1),
        ([4], 2, 0),
        ([4, 1], 2, 1),
        ([4, 2, 1], 2, 3),
        ([2, 2, 2], 2, 3),
        ([3, 1, 1], 2, 2),
        ([2, 2, 2], 3, 2),
        ([9, 1, 1], 3, 1),
    ],
)
def test_trials_side_by_side_take_a_slot_on_each_of_their_machines(
    slots: list[int], machines: int, count: int
) -> None:
    assert side_by_side(slots, machines) == count


def test_a_node_has_as_many_devices_as_it_and_ray_both_count() -> None:
    assert node(OURS, 4, cpus=8).devices == 4, "physical cores, where Ray counts threads"
    assert node(OURS, 4, cpus=2).devices == 2, "as many as ray start was told"
    assert node(OURS, 4, cpus=8, gpus=2).devices == 2, "GPUs where there are some"
    assert node(OURS, 0).devices == 1
    assert node(None).devices == 0, "before it has answered"


@pytest.mark.parametrize(("each", "slots"), [(1, 5), (2, 2), (5, 1), (6, 0)])
def test_a_slot_is_the_devices_of_one_trial(each: int, slots: int) -> None:
    assert node(OURS, 5, each=each).slots == slots


def test_the_kind_with_the_most_devices_is_measured_on() -> None:
    nodes = [node(OURS, 2), node(THEIRS, 2), node(THEIRS, 1), node(None)]
    assert choose_hardware(nodes, SINGLE, None, OURS) == THEIRS
    assert choose_hardware(nodes, SINGLE, OURS.fingerprint, OURS) == OURS


def test_among_equals_it_is_this_machines_own() -> None:
    for nodes in ([node(OURS, 2), node(THEIRS, 2)], [node(THEIRS, 2), node(OURS, 2)]):
        assert choose_hardware(nodes, SINGLE, None, OURS) == OURS
        assert choose_hardware(nodes, SINGLE, None, THEIRS) == THEIRS


def test_a_node_too_small_for_a_trial_does_not_count() -> None:
    nodes = [*(node(OURS, 1, each=2) for _ in range(9)), node(THEIRS, 2, each=2)]
    assert choose_hardware(nodes, Layout(devices=2), None, OURS) == THEIRS


def test_hardware_that_no_node_has_is_refused() -> None:
    with pytest.raises(UsageError, match=rf"no node has the hardware 0123; there are: {OURS.fingerprint} \("):
        choose_hardware([node(OURS)], SINGLE, "0123", OURS)


def test_a_layout_that_fits_nowhere_names_one_that_does() -> None:
    wide = Layout(devices=8, machines=2)
    nodes = [node(OURS, 2, each=4), node(THEIRS, 3, each=4)]
    with pytest.raises(UsageError, match=r"takes 4 devices of one machine.* largest has 3; type: DEVICES=6"):
        choose_hardware(nodes, wide, None, OURS)
    nodes = [node(OURS, 4, each=4), node(THEIRS, 4, each=4), node(None)]
    with pytest.raises(UsageError, match="takes 2 machines, and of one kind there are 1; type: MACHINES=1"):
        choose_hardware(nodes, wide, None, OURS)
    with pytest.raises(ClusterError, match="the lines above say why"):
        choose_hardware([node(None)], wide, None, OURS)


@pytest.mark.parametrize(
    ("given", "name"), [("mine", "mine/0123ab"), ("10.0.0.7", "host/0123ab"), ("", "host/0123ab")]
)
def test_a_node_is_named_as_it_was_given_or_by_its_host(given: str, name: str) -> None:
    facts = {
        "NodeName": given,
        "NodeManagerAddress": "10.0.0.7",
        "NodeManagerHostname": "host",
        "NodeID": "0123abcd",
    }
    assert name_of(facts) == name
