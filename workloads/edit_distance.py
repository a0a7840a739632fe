"""How many letters apart two sequences are, for whole batches at once and on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from workloads.base import PADDING


def edit_distances(hypotheses: Tensor, references: Tensor) -> Tensor:
    """Levenshtein distances of the rows of `hypotheses`, int64 [B, L1], to those of `references`, int64 [B, L2].

    A row ends where PADDING begins. Returns int64 [B]: the least number of insertions, deletions and
    substitutions (Wagner and Fischer, 1974).
    """
    lengths = (references != PADDING).sum(dim=1)
    width = references.shape[1] + 1
    steps = torch.arange(width, device=references.device)
    # row[b, j]: distance of the first letters of the hypothesis to the first j of the reference
    row = steps.expand(len(references), width)
    for letter in hypotheses.unbind(dim=1):
        substituted = row[:, :-1] + (references != letter.unsqueeze(1)).long()
        best = torch.cat([row[:, :1] + 1, torch.minimum(substituted, row[:, 1:] + 1)], dim=1)
        # Insertions run along the row: the least of best[k] + (j - k) over k up to j.
        best = (best - steps).cummin(dim=1).values + steps
        row = torch.where((letter != PADDING).unsqueeze(1), best, row)
    return row.gather(1, lengths.unsqueeze(1)).squeeze(1)
