"""Texts as rows of tokens: what the datasets for language models store."""

from __future__ import annotations

import numpy as np


def text_rows(text: str, vocabulary: str, length: int) -> np.ndarray:
    """[N, length + 1] uint8 places in an ASCII `vocabulary`; each row begins with the last token of the one before.

    The rest of the text that fills no row is dropped.
    """
    index = np.full(256, 255, dtype=np.uint8)
    index[list(vocabulary.encode("ascii"))] = np.arange(len(vocabulary))
    tokens = index[np.frombuffer(text.encode("ascii"), dtype=np.uint8)]
    assert tokens.max(initial=0) < len(vocabulary), "a character outside the vocabulary"
    starts = np.arange(0, len(tokens) - length, length)
    return tokens[starts[:, np.newaxis] + np.arange(length + 1)]
