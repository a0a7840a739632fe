"""Edit distances beside jiwer's."""

import jiwer
import torch

from workloads.base import PADDING
from workloads.edit_distance import edit_distances


def test_distances_are_those_of_jiwer():
    torch.manual_seed(0)
    pairs = []
    for _ in range(300):
        words = [torch.randint(4, (int(torch.randint(1, 9, ())),)).tolist() for _ in range(2)]
        pairs.append(words)
    found = edit_distances(*(padded([pair[side] for pair in pairs], 8) for side in (0, 1)))
    for (hypothesis, reference), distance in zip(pairs, found.tolist(), strict=True):
        said = jiwer.process_words(" ".join(map(str, reference)), " ".join(map(str, hypothesis)))
        assert distance == said.substitutions + said.insertions + said.deletions


def test_empty_rows_and_widths_that_differ():
    hypotheses, references = padded([[], [1, 2, 3], []], 3), padded([[1, 2], [], []], 2)
    assert edit_distances(hypotheses, references).tolist() == [2, 3, 0]
    assert edit_distances(hypotheses[:, :0], references).tolist() == [2, 0, 0]
    assert edit_distances(hypotheses[:0], references[:0]).tolist() == []


def padded(rows: list[list[int]], width: int) -> torch.Tensor:
    """[B, width] with PADDING behind each row."""
    return torch.tensor([row + [PADDING] * (width - len(row)) for row in rows])
