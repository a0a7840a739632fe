"""Batches: each example once an epoch, in an order that the seed alone decides."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.player.batches import EpochBatches
from workloads.base import Batch

ARRAYS = {"x": np.arange(10)}


def collate(arrays, index) -> Batch:
    rows = torch.from_numpy(arrays["x"][index])
    return Batch((rows,), rows, torch.from_numpy(index))


def batches(seed: int = 0) -> EpochBatches:
    return EpochBatches(ARRAYS, collate, seed)


def test_an_epoch_has_each_example_once() -> None:
    source = batches()
    seen = torch.cat([source.next(5).targets for _ in range(2)])
    assert sorted(seen.tolist()) == list(range(10))


def test_the_rest_of_an_epoch_is_dropped() -> None:
    source = batches()
    seen = [source.next(4).targets.tolist() for _ in range(3)]
    assert len({*seen[0], *seen[1]}) == 8
    assert source.examples == 12


def test_the_seed_decides_the_order() -> None:
    assert batches(1).next(10).targets.tolist() == batches(1).next(10).targets.tolist()
    assert batches(1).next(10).targets.tolist() != batches(2).next(10).targets.tolist()


def test_epochs_differ() -> None:
    source = batches()
    assert source.next(10).targets.tolist() != source.next(10).targets.tolist()


def test_any_rows_can_be_taken_and_count() -> None:
    source = batches()
    assert source.take(np.array([7, 7, 2])).targets.tolist() == [7, 7, 2]
    assert source.examples == 3


@pytest.mark.parametrize("size", [0, -1, 11])
def test_a_size_that_cannot_be_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 10"):
        batches().next(size)


def test_examples_of_like_length_go_together() -> None:
    lengths = np.random.default_rng(5).integers(1, 100, 1000)
    source = EpochBatches({"x": np.arange(1000)}, collate, 0, lengths, 10)
    epoch = [source.next(10).index.numpy() for _ in range(100)]
    assert sorted(np.concatenate(epoch)) == list(range(1000))
    longest = [lengths[index].max() for index in epoch]
    padded = sum(10 * longest) / lengths.sum() - 1
    assert padded < 0.1
    assert longest != sorted(longest)


def test_groups_do_not_depend_on_the_sizes_asked_for() -> None:
    lengths = np.arange(40) % 7
    seen = []
    for sizes in ([10, 10, 10, 10], [20, 20], [5] * 8):
        source = EpochBatches({"x": np.arange(40)}, collate, 3, lengths, 10)
        seen.append(np.concatenate([source.next(size).index.numpy() for size in sizes]).tolist())
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("lengths", [None, np.arange(10) % 3])
@pytest.mark.parametrize("taken", range(6))
def test_what_goes_on_has_the_same_order_beyond_the_end_of_an_epoch(taken: int, lengths: np.ndarray | None) -> None:
    """The permutations of the epochs that are still to come are those of the run that was not interrupted."""

    def made() -> EpochBatches:
        return EpochBatches(ARRAYS, collate, 0, lengths, 2)

    whole, before, after = made(), made(), made()
    expected = [whole.next(4).targets.tolist() for _ in range(taken + 9)][taken:]
    for _ in range(taken):
        before.next(4)
    after.load_state_dict(before.state_dict())
    assert [after.next(4).targets.tolist() for _ in range(9)] == expected
    assert after.examples == whole.examples


@pytest.mark.parametrize("before", [0, 1, 2, 3, 5])
def test_the_order_goes_on_where_its_state_was_taken(before: int) -> None:
    """Within an epoch and over its end, where the next order is drawn."""
    source, other = batches(1), batches(2)
    for _ in range(before):
        source.next(4)
    other.load_state_dict(source.state_dict())
    assert other.examples == source.examples == 4 * before
    expected = [source.next(4).targets.tolist() for _ in range(8)]
    assert [other.next(4).targets.tolist() for _ in range(8)] == expected
    assert other.examples == source.examples


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_rank_r_gets_every_ranks_th_example_from_r(ranks: int) -> None:
    whole = batches(4).next(7).targets.tolist()
    for rank in range(ranks):
        mine = EpochBatches(ARRAYS, collate, 4, rank=rank, ranks=ranks).next(7)
        assert mine.targets.tolist() == whole[rank::ranks]
        assert mine.whole == (7 if ranks > 1 else None)


def test_a_batch_with_fewer_examples_than_ranks_is_everybodys() -> None:
    whole = batches(4).next(2).targets.tolist()
    for rank in range(3):
        assert EpochBatches(ARRAYS, collate, 4, rank=rank, ranks=3).next(2).targets.tolist() == whole
    assert len(EpochBatches(ARRAYS, collate, 4, rank=1, ranks=3).next(3).targets) == 1


def test_rows_that_were_taken_on_one_device_are_not_compared() -> None:
    source = batches()
    taken = source.take(np.array([3]))
    assert source.shared(taken, lambda _: False) is taken


def test_rows_that_were_taken_are_shared_once_if_all_ranks_took_the_same() -> None:
    index = np.array([7, 1, 4, 9])
    source = EpochBatches(ARRAYS, collate, 0, rank=1, ranks=2)
    taken = source.take(index)
    with pytest.raises(ValueError, match="the ranks took different rows"):
        source.shared(taken, lambda _: False)
    taken = source.take(index)
    assert source.shared(taken, lambda rows: rows.tolist() == index.tolist()).targets.tolist() == [1, 9]
    assert source.shared(taken, lambda _: False) is taken
    other = source.next(4)
    assert source.shared(other, lambda _: False) is other
