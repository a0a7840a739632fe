"""How large a batch is at Pacer's scale, given the answer that a submission has for AlgoPerf's."""

from __future__ import annotations

from collections.abc import Callable

MEANING = 1  # raised when results change: see submissions/environment.py

FULL_BATCH = {
    "criteo1tb": 262_144,
    "fastmri": 32,
    "finewebedu_lm": 64,
    "imagenet_resnet": 1024,
    "imagenet_vit": 1024,
    "librispeech_conformer": 256,
    "librispeech_deepspeech": 256,
    "mnist": 16,
    "ogbg": 512,
    "wmt": 128,
}
"""Examples in a batch of AlgoPerf's own baselines, by the name of its workload."""


def scaled_batch_size(
    get_batch_size: Callable[[str], int], counterparts: tuple[str, ...], own: int, most: int
) -> int | None:
    """The batch size of a workload whose own is `own` and which has `most` examples; None where none is known.

    The first of the counterparts that the submission knows counts: its answer over that of AlgoPerf's baseline,
    times `own`, rounded, from 1 to `most`. A submission that doubles the baseline's batch doubles ours.
    """
    for name in counterparts:
        try:
            asked = get_batch_size(name)
        except ValueError:  # how AlgoPerf's submissions say that they do not know a workload
            continue
        return min(max(1, round(own * asked / FULL_BATCH[name])), most)
    return None
